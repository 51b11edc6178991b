"""Hold policies and templates against AWS's service authorization reference.

python -m scripts.authorization build/template.yaml .chalice/*.json .chalice/resources.yaml infra/*

Policy files refer to resources of the templates: all are given at once. Exit code 1 where something is wrong.
"""

import argparse
import sys
from pathlib import Path

from scripts.authorization.documents import read, resource_types, statements
from scripts.authorization.findings import findings
from scripts.authorization.reference import Reference


def main(arguments: list[str] | None = None) -> int:
    """Check the given files; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    wrong = check(parser.parse_args(arguments).files)
    for line in wrong:
        sys.stderr.write(f"{line}\n")
    return 1 if wrong else 0


def check(files: list[Path]) -> list[str]:
    """Return what is wrong with the policies in `files`, a line each; a file without any is wrong too."""
    documents = {path: read(path) for path in files}
    resources = {name: kind for document in documents.values() for name, kind in resource_types(document).items()}
    reference, wrong = Reference(), []
    for path, document in documents.items():
        found = list(statements(str(path), document))
        wrong += [] if found else [f"{path}: holds no policy"]
        wrong += [line for statement in found for line in findings(statement, resources, reference)]
    return wrong


if __name__ == "__main__":
    raise SystemExit(main())
