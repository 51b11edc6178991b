"""Build the product's deployment package and SAM template for this machine, once per content.

The result is cached by a hash of what goes in, because pip's download is what takes long.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.cloud.outputs import REGION
from scripts.bytecode import add_bytecode
from scripts.materials import write_materials
from scripts.trim import trim

REPO = Path(__file__).resolve().parents[2]
SHIPPED = ("app.py", "chalicelib", ".chalice", "requirements.txt", "vendor")
"""What `chalice package` reads of an app's folder."""
LOCKED = "requirements.txt"
MATERIALS = "deployment.cdx.json"
"""The bill of materials beside the package: CycloneDX, every shipped distribution with its hashes."""
BUILD_OUTPUT = {"deployments", "deployed", "__pycache__"}
CHALICE = "from chalice.cli import main; raise SystemExit(main())"
KEPT_BUILDS = 4
MACHINES = {"aarch64": "arm64", "arm64": "arm64"}


class PackagingError(Exception):
    """`chalice package` failed; the message carries its output."""


@dataclass(frozen=True)
class AppSource:
    """A Chalice app and how it is deployed.

    Attributes:
        app_dir: the folder that holds `app.py`.
        stage: Chalice stage.
        merge_template: template merged into Chalice's; `<app_dir>/.chalice/resources.yaml` where it exists by default.
        stack_name: CloudFormation stack.
        parameters: template parameters.
        slim: leave requirements.txt out of the package. Functions find the libraries in the environment that runs
            the cloud; packages are smaller and cold starts faster, but a missing requirement goes unnoticed.
        for_aws: build for the processor that Chalice's settings name, not for this machine's.
    """

    app_dir: Path = REPO
    stage: str = "dev"
    merge_template: Path | None = None
    stack_name: str = "drs-active-regions"
    parameters: dict[str, str] = field(default_factory=dict)
    slim: bool = False
    for_aws: bool = False

    @property
    def template_to_merge(self) -> Path | None:
        """The template that is merged, or None where there is none."""
        if self.merge_template is not None:
            return self.merge_template.resolve()
        default = self.app_dir.resolve() / ".chalice" / "resources.yaml"
        return default if default.exists() else None


@dataclass(frozen=True)
class Package:
    """A built package: the template refers to the code as `./deployment.zip` beside it."""

    template: Path
    code: Path
    fingerprint: str

    @property
    def materials(self) -> Path:
        """The bill of materials; there is none of a slim package, nor of an app without requirements."""
        return self.code.with_name(MATERIALS)


def build(app: AppSource, cache_dir: Path) -> tuple[Package, bool]:
    """Return the package of `app` and whether it had to be built.

    Raises:
        PackagingError: Chalice refused the app.
    """
    cache_dir = cache_dir.resolve()  # Chalice runs in another folder
    fingerprint = _fingerprint(app)
    folder = cache_dir / fingerprint
    if (built := _find(folder, fingerprint)) is not None:
        os.utime(folder)
        return built, False
    cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir, prefix=".build-") as scratch:
        output = _chalice_package(app, Path(scratch))
        shutil.rmtree(folder, ignore_errors=True)
        output.rename(folder)
    _forget_old_builds(cache_dir)
    package = _find(folder, fingerprint)
    if package is None:
        raise PackagingError(f"chalice package left no template in {folder}")
    return package, True


def _find(folder: Path, fingerprint: str) -> Package | None:
    code = folder / "deployment.zip"
    templates = [folder / name for name in ("sam.yaml", "sam.json") if (folder / name).exists()]
    return Package(templates[0], code, fingerprint) if templates and code.exists() else None


def _chalice_package(app: AppSource, scratch: Path) -> Path:
    source, output = scratch / "app", scratch / "out"
    _copy(app, source)
    command = [
        sys.executable,
        "-c",
        "from chalice.cli import main; raise SystemExit(main())",
        "package",
        "--stage",
        app.stage,
    ]
    if app.template_to_merge is not None:
        command += ["--merge-template", str(app.template_to_merge)]
    done = subprocess.run(  # noqa: S603 - our own interpreter and arguments
        [*command, str(output)], cwd=source, env=_environment(source), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise PackagingError(f"chalice package failed:\n{done.stdout}{done.stderr}")
    trim(output / "deployment.zip")
    add_bytecode(output / "deployment.zip")
    if not app.slim and (source / LOCKED).exists():
        write_materials(source / LOCKED, output / MATERIALS)
    return output


def _copy(app: AppSource, target: Path) -> None:
    """Copy what ships, with Chalice's settings for the stage and the processor that it is built for."""
    target.mkdir()
    for name in SHIPPED:
        source = app.app_dir / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=lambda _, names: BUILD_OUTPUT.intersection(names))
        elif source.exists():
            shutil.copy2(source, target / name)
    config = target / ".chalice" / "config.json"
    settings = _without_architecture(_for_stage(app.stage, json.loads(config.read_text())))
    config.write_text(json.dumps({**settings, "lambda_architecture": _architecture(app)}))
    if app.slim:
        (target / LOCKED).write_text("")


def _for_stage(stage: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with those of `stage`: a stage that has none of its own is as `dev`."""
    stages = settings.get("stages", {})
    return {**settings, "stages": {stage: stages.get(stage, stages.get("dev", {}))}}


def _architecture(app: AppSource) -> str:
    """Return the processor to build for: this machine's interpreter cannot load wheels of another one."""
    if app.for_aws:
        return str(json.loads((app.app_dir / ".chalice" / "config.json").read_text())["lambda_architecture"])
    return MACHINES.get(platform.machine(), "x86_64")


def _without_architecture(config: Any) -> Any:
    if isinstance(config, dict):
        return {key: _without_architecture(value) for key, value in config.items() if key != "lambda_architecture"}
    return config


def _environment(source: Path) -> dict[str, str]:
    """The caller's environment with no AWS account in it, which Chalice would look for; pip keeps its own settings.

    Chalice asks pip by name and version alone for wheels of another processor: the locked requirements are constraints
    too, so that their hashes hold there.
    """
    locked = source / LOCKED
    constraints = {"PIP_CONSTRAINT": str(locked)} if locked.exists() else {}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **kept,
        **constraints,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def _fingerprint(app: AppSource) -> str:
    digest = hashlib.sha256(
        f"trim,bytecode\0{app.stage}\0{app.slim}\0{sys.version_info[:2]}\0{_architecture(app)}".encode()
    )
    for name in SHIPPED:
        root = app.app_dir / name
        for path in sorted([root, *root.rglob("*")]):
            relative = path.relative_to(app.app_dir)
            if path.is_file() and not BUILD_OUTPUT.intersection(relative.parts):
                digest.update(f"{relative}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    if app.template_to_merge is not None:
        digest.update(app.template_to_merge.read_bytes())
    return digest.hexdigest()[:16]


def _forget_old_builds(cache_dir: Path) -> None:
    builds = sorted((path for path in cache_dir.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for build_dir in builds[:-KEPT_BUILDS]:
        shutil.rmtree(build_dir, ignore_errors=True)
