"""Write the regions of DRS, as the locked botocore's endpoint data has them, to the module that ships.

python -m scripts.regions chalicelib/adapters/shipped_regions.py
python -m scripts.regions --check chalicelib/adapters/shipped_regions.py
"""

import argparse
import sys
from pathlib import Path

from botocore.session import Session

HEAD = '''"""The regions of DRS by partition, from the locked botocore.

`make regions` writes this module, `make check` compares it.
"""

SHIPPED_REGIONS: dict[str, tuple[str, ...]] = {
'''


def module() -> str:
    """Return the module's text."""
    session = Session()
    regions = {name: session.get_available_regions("drs", name) for name in sorted(session.get_available_partitions())}
    return "".join([HEAD, *(_lines(name, sorted(known)) for name, known in regions.items() if known), "}\n"])


def _lines(partition: str, regions: list[str]) -> str:
    """Return a partition's entry, as the formatter leaves it."""
    if len(regions) == 1:
        return f'    "{partition}": ("{regions[0]}",),\n'
    return "".join([f'    "{partition}": (\n', *(f'        "{name}",\n' for name in regions), "    ),\n"])


def main() -> int:
    """Write or compare the module; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only")
    parser.add_argument("path", type=Path)
    arguments = parser.parse_args()
    text = module()
    if not arguments.check:
        arguments.path.write_text(text)
    elif not arguments.path.exists() or arguments.path.read_text() != text:
        sys.stderr.write(f"{arguments.path} is not what the locked botocore knows: run `make regions`\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
