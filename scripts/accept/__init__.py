"""Acceptance of a deployed hub, with its own accounts: docs/runbooks/acceptance.md."""
