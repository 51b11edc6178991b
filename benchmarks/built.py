"""The built package as Lambda unpacks it, beside boto3, whose import is the unit of cold starts."""

import json
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from http.server import ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import yaml

from benchmarks.context import Context
from sandbox.cloud.packaging import REPO, AppSource, build
from tests.packaging.on_lambda import EmptyTables, environment

UNIT = "boto3"


class Built:
    """The package and its functions.

    Attributes:
        code: the zip.
        folder: where it is unpacked.
        unit: a folder with boto3 and what it needs, each with its bytecode.
    """

    def __init__(self, context: Context) -> None:
        package, _ = build(AppSource(), REPO / "sandbox" / ".state" / "packages")
        self.code = package.code
        self.folder = (context.build / "package" / package.fingerprint).resolve()
        self.unit = (context.build / "boto3").resolve()
        self._package = package
        if not self.folder.exists():
            shutil.rmtree(self.folder.parent, ignore_errors=True)
            with zipfile.ZipFile(self.code) as archive:
                archive.extractall(self.folder)
        self.unit.mkdir(parents=True, exist_ok=True)
        link(UNIT, self.unit)

    @cached_property
    def template(self) -> dict[str, Any]:
        """The template that is deployed."""
        return dict(yaml.safe_load(self._package.template.read_text()))

    @cached_property
    def handlers(self) -> dict[str, str]:
        """Each function's handler, by the function's name in the template."""
        resources = self.template["Resources"].items()
        functions = {name: one for name, one in resources if one["Type"] == "AWS::Serverless::Function"}
        return {name: function["Properties"]["Handler"] for name, function in sorted(functions.items())}

    def run(self, program: str, port: int = 9, given: Any = None) -> str:
        """Return what `program` prints in a fresh interpreter that sees the package, boto3 and nothing else.

        It writes no bytecode: on Lambda it could not. It reads `given`, as JSON.
        """
        path = [str(self.folder), str(self.unit)]
        return subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c", f"import sys; sys.path[:0] = {path!r}\n{program}"],
            env=environment(self.template, port),
            input=json.dumps(given),
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout


@contextmanager
def empty_tables() -> Iterator[int]:
    """Serve AWS as a stack with empty tables answers; yield the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), EmptyTables)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def link(name: str, folder: Path) -> None:
    """Fill `folder` with a distribution and what it needs, and nothing else of this environment."""
    for one in _closure(name):
        for top in {file.parts[0] for file in distribution(one).files or () if ".." not in file.parts}:
            source = Path(str(distribution(one).locate_file(top)))
            if source.exists() and top != "__pycache__" and not (folder / top).exists():
                (folder / top).symlink_to(source)


def _closure(name: str, known: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return a distribution and what it needs, without extras."""
    found = (*known, name)
    for requirement in distribution(name).requires or []:
        needed = re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0]
        if "extra ==" not in requirement and needed not in found:
            found = _closure(needed, found)
    return found
