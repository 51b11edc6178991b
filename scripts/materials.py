"""Write the bill of materials of the deployment package: what ships, in which version, with which hashes.

    python -m scripts.materials requirements.txt build/deployment.cdx.json

CycloneDX 1.6 in JSON, without times: equal requirements, equal bytes.
"""

import argparse
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import NAMESPACE_OID, uuid5

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?==(?P<version>[^\s;\\]+)")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class Locked(NamedTuple):
    """One locked requirement: a name, its only version, and the SHA-256 of each file that may be installed."""

    name: str
    version: str
    hashes: list[str]


def write_materials(locked: Path, target: Path) -> None:
    """Write the bill of materials of the locked requirements `locked` to `target`.

    Raises:
        ValueError: a requirement has no exact version or no hash.
    """
    target.write_text(materials(list(read_locked(locked.read_text()))))


def read_locked(text: str) -> Iterator[Locked]:
    """Yield the requirements of a locked file, as pip-compile writes it.

    Raises:
        ValueError: one has no exact version or no hash.
    """
    lines = (line.strip() for line in text.replace("\\\n", " ").splitlines())
    for line in lines:
        if not line or line.startswith("#"):
            continue
        match = REQUIREMENT.match(line)
        hashes = HASH.findall(line)
        if match is None or not hashes:
            raise ValueError(f"not locked by version and hash: {line[:80]}")
        yield Locked(match["name"], match["version"], hashes)


def materials(shipped: list[Locked]) -> str:
    """Return the bill of materials of the product with what ships beside its own code."""
    project = tomllib.loads(PROJECT.read_text())["project"]
    product = Component(
        name=project["name"], version=project["version"], type=ComponentType.APPLICATION, bom_ref=project["name"]
    )
    components = [_component(one) for one in shipped]
    bom = Bom(components=components, serial_number=uuid5(NAMESPACE_OID, repr((product.version, shipped))))
    bom.metadata.component = product
    bom.register_dependency(product, components)
    told = json.loads(JsonV1Dot6(bom).output_as_string())
    del told["metadata"]["timestamp"]
    return json.dumps(told, indent=1) + "\n"


def _component(one: Locked) -> Component:
    url = PackageURL("pypi", name=one.name, version=one.version)
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in one.hashes]
    files = ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(str(url)), hashes=hashes)
    return Component(
        name=one.name,
        version=one.version,
        type=ComponentType.LIBRARY,
        bom_ref=str(url),
        purl=url,
        external_references=[files],
    )


def main() -> None:
    """Write the bill named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("locked", type=Path, help="requirements with exact versions and hashes")
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    write_materials(arguments.locked, arguments.target)


if __name__ == "__main__":
    main()
