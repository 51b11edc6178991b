"""The deployment package: how large it is, and what each part costs."""

import zipfile
from collections import Counter
from pathlib import Path

from benchmarks import plots
from benchmarks.built import Built
from benchmarks.context import Context
from benchmarks.figures import Figure, at_most

TITLE = "Deployment package"
SMALL = True
KEYS = ("package.bytes",)
MARK = 10_000_000


def run(context: Context) -> dict[str, Figure]:
    """Return the zip's size."""
    built = Built(context)
    parts = by_part(built.code)
    plots.package(context.out, parts, built.code.stat().st_size)
    return {
        "package.bytes": Figure(
            built.code.stat().st_size,
            "bytes",
            "the built zip, botocore and bytecode included (ADR 22)",
            at_most(MARK),
            dict(parts.most_common()),
        ),
    }


def by_part(package: Path) -> Counter[str]:
    """Return the compressed bytes of each dependency, and of the product's own code."""
    parts: Counter[str] = Counter()
    with zipfile.ZipFile(package) as archive:
        for entry in archive.infolist():
            parts[_part(entry.filename)] += entry.compress_size
    return parts


def _part(name: str) -> str:
    """Return the dependency that a file of the package belongs to: metadata to what it describes."""
    top = name.split("/", maxsplit=1)[0]
    if top == "__pycache__":
        top = name.split("/")[1].split(".", maxsplit=1)[0]
    return top.split("-")[0].removesuffix(".py")
