"""Leave out of a built deployment package what botocore brings for services that are not called.

    python -m scripts.trim build/package/deployment.zip

botocore's wheel holds the models of some four hundred services; all of its code stays, and its endpoint and retry data.
"""

import argparse
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

SERVICES = frozenset({"drs", "dynamodb", "ec2", "lambda", "sqs", "sts"})
"""The services that the functions call (tests/packaging holds this against the clients that the product makes)."""
DATA = PurePosixPath("botocore/data")
DOCUMENTATION = "examples-1.json"


def trim(package: Path) -> None:
    """Write the zip `package` anew without what no function can use; safe to repeat."""
    with zipfile.ZipFile(package) as whole, tempfile.NamedTemporaryFile(dir=package.parent, delete=False) as target:
        unused = set(unused_data(whole.namelist()))
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as trimmed:
            for entry in whole.infolist():
                if entry.filename not in unused:
                    trimmed.writestr(entry, whole.read(entry), zipfile.ZIP_DEFLATED)
    Path(target.name).chmod(package.stat().st_mode)
    Path(target.name).replace(package)


def unused_data(names: Iterable[str]) -> Iterator[str]:
    """Yield those of a package's files that are not needed: of botocore's data all but the models that clients load.

    A client loads the newest version of its service's model; the data of all services together has no folder.
    """
    versions: dict[str, dict[str, list[str]]] = {}
    for name in names:
        path = PurePosixPath(name)
        if path.is_relative_to(DATA) and len(path.parts) == len(DATA.parts) + 3:
            service, version, _ = path.parts[len(DATA.parts) :]
            versions.setdefault(service, {}).setdefault(version, []).append(name)
    for service, files in versions.items():
        used = max(files) if service in SERVICES else None
        for version, of_version in files.items():
            yield from (name for name in of_version if version != used or name.endswith(DOCUMENTATION))


def main() -> None:
    """Trim the package named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="deployment.zip of `chalice package`")
    package = parser.parse_args().package
    before = package.stat().st_size
    trim(package)
    print(f"{package}: {before / 1e6:.1f} MB before, {package.stat().st_size / 1e6:.1f} MB after")  # noqa: T201


if __name__ == "__main__":
    main()
