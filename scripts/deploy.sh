#!/usr/bin/env bash
# Checks, packages, shows the change set, deploys, tries, and goes back where it does not work: docs/deployment.md
set -euo pipefail
cd "$(dirname "$0")/.."
make --silent .venv/.installed
exec .venv/bin/python -m scripts.deploy "$@"
