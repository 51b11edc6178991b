"""Add bytecode to a built deployment package.

    python -m scripts.bytecode build/package/deployment.zip

On Lambda /var/task is read-only: without bytecode in the package, every cold start compiles each module it imports.
The bytecode is for the Python that runs this, which is the one that Chalice packages for. It is never checked against
its source: both are in the same package, and times do not survive it.
"""

import argparse
import tempfile
import zipfile
from compileall import compile_dir
from pathlib import Path
from py_compile import PycInvalidationMode

EARLIEST = (1980, 1, 1, 0, 0, 0)  # zip format; equal content makes an equal package


def add_bytecode(package: Path) -> int:
    """Add the bytecode of every module in the zip `package` to it; return how many modules there are.

    Raises:
        SyntaxError: where a module does not compile.
    """
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(package, "a", zipfile.ZIP_DEFLATED) as archive:
        folder = Path(scratch)
        archive.extractall(folder)
        done = compile_dir(
            folder,
            quiet=2,
            stripdir=scratch,
            prependdir="/var/task",
            invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
        )
        if not done:
            raise SyntaxError(f"{package}: a module does not compile; python -m compileall names it")
        compiled = sorted(folder.rglob("*.pyc"))
        for path in compiled:
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), EARLIEST)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return len(compiled)


def main() -> None:
    """Add bytecode to the package named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="deployment.zip of `chalice package`")
    package = parser.parse_args().package
    modules = add_bytecode(package)
    print(f"{package}: bytecode of {modules} modules added, {package.stat().st_size / 1e6:.1f} MB")  # noqa: T201


if __name__ == "__main__":
    main()
