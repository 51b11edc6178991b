"""Writes the OpenAPI document, or checks that the committed one is up to date."""

import json
import sys
from pathlib import Path

from chalicelib.api.openapi import document
from chalicelib.api.table import OPERATIONS


def main(arguments: list[str]) -> int:
    """Write the document to the given file; with `--check`, only compare: 1 where it differs."""
    path = Path(arguments[-1])
    text = json.dumps(document(OPERATIONS.values()), indent=2) + "\n"
    if "--check" not in arguments:
        path.write_text(text)
        return 0
    if path.read_text() == text:
        return 0
    sys.stderr.write(f"{path} is out of date: run `make openapi`\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
