"""The deployment package: how large it is, what each part costs, and what it would be with boto3 in it."""

import zipfile
from collections import Counter
from io import BytesIO
from pathlib import Path

from benchmarks import plots
from benchmarks.built import Built
from benchmarks.context import Context
from benchmarks.figures import Figure, at_most
from tests.packaging.on_lambda import FROM_THE_RUNTIME

TITLE = "Deployment package"
SMALL = True
KEYS = ("package.bytes", "package.bytes.with_boto3")
MARK, MARK_WITH_BOTO3 = 8_000_000, 22_000_000


def run(context: Context) -> dict[str, Figure]:
    """Return the zip's size as it is, and with what now comes from Lambda's runtime."""
    built = Built(context)
    parts = by_part(built.code)
    plots.package(context.out, parts, built.code.stat().st_size)
    runtime = {source.name: zipped(source.resolve()) for source in sorted(built.runtime.iterdir())}
    together = built.code.stat().st_size + sum(runtime.values())
    return {
        "package.bytes": Figure(
            built.code.stat().st_size,
            "bytes",
            f"the built zip, bytecode included, without {FROM_THE_RUNTIME} (ADR 3)",
            at_most(MARK),
            dict(parts.most_common()),
        ),
        "package.bytes.with_boto3": Figure(
            together,
            "bytes",
            f"the same with {FROM_THE_RUNTIME} and what it needs, their bytecode included",
            details={**runtime, "mark": MARK_WITH_BOTO3},
        ),
    }


def by_part(package: Path) -> Counter[str]:
    """Return the compressed bytes of each dependency, and of the product's own code."""
    parts: Counter[str] = Counter()
    with zipfile.ZipFile(package) as archive:
        for entry in archive.infolist():
            parts[_part(entry.filename)] += entry.compress_size
    return parts


def zipped(source: Path) -> int:
    """Return the bytes of a module or folder in a zip."""
    content = BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if path.is_file():
                archive.write(path, path.relative_to(source.parent))
    return len(content.getbuffer())


def _part(name: str) -> str:
    """Return the dependency that a file of the package belongs to: metadata to what it describes."""
    top = name.split("/", maxsplit=1)[0]
    if top == "__pycache__":
        top = name.split("/")[1].split(".", maxsplit=1)[0]
    return top.split("-")[0].removesuffix(".py")
