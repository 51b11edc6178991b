#!/usr/bin/env bash
# Tries a deployed hub with real accounts, step by step: docs/runbooks/acceptance.md
set -euo pipefail
cd "$(dirname "$0")/.."
make --silent .venv/.installed
exec .venv/bin/python -m scripts.accept "$@"
