"""Start, deploy, find and stop the local cloud.

One state folder holds one cloud: its log, its temporary files, `outputs.json` and the cache of built packages.
A start is idempotent: a healthy cloud is reused, a dead one is cleaned up, and an unchanged stack is not deployed
again. All state of the cloud is in its process's memory and ends with it.
"""

import fcntl
import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from sandbox.cloud.deployment import DeploymentError, deploy, is_deployed
from sandbox.cloud.outputs import HUB_ACCOUNT, PRIVATE, REGION, SECRET_HEADER, Outputs
from sandbox.cloud.packaging import REPO, AppSource, PackagingError, build
from sandbox.cloud.processes import command_of

__all__ = [
    "AppSource",
    "CloudError",
    "CloudOptions",
    "Outputs",
    "down",
    "port_or_free",
    "start",
    "status",
    "up",
]

STARTUP_SECONDS = 30.0
SHUTDOWN_SECONDS = 5.0
QUIET_SECONDS = 2.0
"""A step that takes longer than this is announced."""
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "SANDBOX_SKIP_PATCHES", "COVERAGE_PROCESS_START")
"""The caller's variables that the cloud may see. Proxies and AWS settings are not among them: Lambda functions
inherit the cloud's environment, and would leave the machine by them."""

Progress = Callable[[str], None]


class CloudError(Exception):
    """The cloud could not be started or the stack not deployed; the message says why."""


@dataclass(frozen=True)
class CloudOptions:
    """Where a cloud runs.

    Attributes:
        port: TCP port on 127.0.0.1; 0 picks a free one (and keeps a running cloud's).
        state_dir: its folder.
        cache_dir: built packages; inside the state folder by default.
    """

    port: int = 4566
    state_dir: Path = REPO / "sandbox" / ".state"
    cache_dir: Path | None = None

    @property
    def outputs_file(self) -> Path:
        """Where the outputs are written."""
        return self.state_dir / "outputs.json"

    @property
    def packages(self) -> Path:
        """Where built packages are kept."""
        return (self.cache_dir or self.state_dir / "packages").resolve()


def up(options: CloudOptions, app: AppSource | None = None, progress: Progress = print) -> Outputs:
    """Start the cloud where none runs, deploy `app` where it changed, and return (and write) the outputs.

    Args:
        options: where.
        app: what to deploy; None starts the cloud only.
        progress: called with a line for every step that takes longer than two seconds, and for what was done.

    Raises:
        CloudError: the port is taken, the cloud does not come up, or the app cannot be packaged or deployed.
    """
    with _alone_in(options.state_dir):
        outputs = _started(options, progress)
        return _deploy(options, app, outputs, progress) if app is not None else outputs


def start(options: CloudOptions, progress: Progress = print) -> Outputs:
    """Return the running cloud of the state folder, started where it was not.

    A running cloud is replaced where another port is wanted or it does not answer.

    Raises:
        CloudError: the port is taken by another process, or the cloud does not come up.
    """
    with _alone_in(options.state_dir):
        return _started(options, progress)


def _started(options: CloudOptions, progress: Progress) -> Outputs:
    known = Outputs.read(options.outputs_file)
    if known is not None and _answers(known) and options.port in (0, _port_of(known)):
        progress(f"the cloud runs already on {known.endpoint}")
        return known
    down(options.state_dir)
    with _announced("starting the cloud", progress):
        outputs = _launch(options)
    outputs.write(options.outputs_file)
    return outputs


def down(state_dir: Path) -> bool:
    """Stop the cloud of `state_dir` with Lambda's workers, and forget it; return whether one was running.

    A process is only ended when it is a cloud: its number may have been given to another one since.
    """
    outputs_file = state_dir / "outputs.json"
    known = Outputs.read(outputs_file)
    running = known is not None and _is_cloud(known.pid)
    if known is not None and running:
        _end_process_group(known.pid)
    outputs_file.unlink(missing_ok=True)
    shutil.rmtree(state_dir / "tmp", ignore_errors=True)
    return running


def status(state_dir: Path) -> Outputs | None:
    """Return the running, answering cloud of `state_dir`, or None."""
    known = Outputs.read(state_dir / "outputs.json")
    return known if known is not None and _answers(known) else None


def _launch(options: CloudOptions) -> Outputs:
    state_dir = options.state_dir.resolve()
    temporary = state_dir / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    port = _free_port() if options.port == 0 else options.port
    if _port_taken(port):
        raise CloudError(f"port {port} is in use by another process; choose one with --port (0 picks a free one)")
    log, secret = state_dir / "cloud.log", secrets.token_hex(16)
    with log.open("w") as output:
        log.chmod(PRIVATE)
        process = subprocess.Popen(
            [sys.executable, "-m", "sandbox.cloud.server"],
            cwd=REPO,
            env={**_server_environment(port, temporary), "SANDBOX_SECRET": secret},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
        )
    outputs = Outputs(endpoint=f"http://127.0.0.1:{port}", pid=process.pid, secret_access_key=secret)
    _wait_until_healthy(outputs, process, log)
    return outputs


def _server_environment(port: int, temporary: Path) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {
        **inherited,
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_ACCOUNT_ID": HUB_ACCOUNT,
        "MINISTACK_REGION": REGION,
        "MINISTACK_HOST": "127.0.0.1",
        "AUTH": "true",
        # Minutes on AWS: the pauses before a failed asynchronous invocation is tried again.
        "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.5",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "POWERTOOLS_LOG_LEVEL": "INFO",  # functions inherit both; Powertools prefers its own
        # Lambda's workers unpack their code here, and are cleaned up with it.
        "TMPDIR": str(temporary),
        # boto3 inside functions must find the function's role only, never this machine's profiles.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _wait_until_healthy(outputs: Outputs, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise CloudError(f"the cloud ended with status {process.returncode}:\n{log.read_text()[-4000:]}")
        if _answers(outputs):
            return
        time.sleep(0.05)
    _end_process_group(process.pid)
    raise CloudError(f"the cloud did not answer within {STARTUP_SECONDS:.0f} s:\n{log.read_text()[-4000:]}")


def _answers(outputs: Outputs) -> bool:
    """Whether the process of `outputs`, and no other on its port, answers."""
    try:
        secret = {SECRET_HEADER: outputs.secret_access_key}
        with httpx.Client(trust_env=False, timeout=2, headers=secret) as client:
            healthy = client.get(f"{outputs.endpoint}/_ministack/health").is_success
            return healthy and client.get(f"{outputs.endpoint}/_sim/health").json()["pid"] == outputs.pid
    except (httpx.HTTPError, ValueError, KeyError):
        return False


def _deploy(options: CloudOptions, app: AppSource, outputs: Outputs, progress: Progress) -> Outputs:
    try:
        with _announced("packaging the app (the first time downloads its requirements)", progress):
            package, built = build(app, options.packages)
        fingerprint = _deployment_fingerprint(package.fingerprint, app.stack_name, app.parameters)
        if outputs.fingerprint == fingerprint and is_deployed(outputs):
            progress("the stack is deployed already")
            return outputs
        with _announced(f"deploying the stack {app.stack_name}", progress):
            deployed = deploy(outputs, package, app)
    except (PackagingError, DeploymentError) as error:
        raise CloudError(str(error)) from error
    progress(f"deployed {app.stack_name} ({'new' if built else 'cached'} package)")
    deployed = replace(deployed, fingerprint=fingerprint)
    deployed.write(options.outputs_file)
    return deployed


def _deployment_fingerprint(package: str, stack_name: str, parameters: Mapping[str, str]) -> str:
    return hashlib.sha256(repr((package, stack_name, sorted(parameters.items()))).encode()).hexdigest()[:16]


@contextmanager
def _alone_in(state_dir: Path) -> Iterator[None]:
    """Let one launcher at a time work on a state folder."""
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (state_dir / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _announced(step: str, progress: Progress) -> Iterator[None]:
    """Say how long `step` took where that was noticeable; say what is going on before it becomes so."""
    started = time.monotonic()
    timer = _Announcement(step, progress)
    try:
        yield
    finally:
        timer.stop()
        if (seconds := time.monotonic() - started) > QUIET_SECONDS:
            progress(f"{step}: {seconds:.1f} s")


class _Announcement:
    def __init__(self, step: str, progress: Progress) -> None:
        self._timer = threading.Timer(QUIET_SECONDS, progress, [f"{step} ..."])
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        self._timer.cancel()


def _is_cloud(pid: int) -> bool:
    return "sandbox.cloud.server" in command_of(pid)


def _end_process_group(pid: int) -> None:
    """End the cloud and its children: politely first, then for good."""
    for sign, seconds in ((signal.SIGTERM, SHUTDOWN_SECONDS), (signal.SIGKILL, SHUTDOWN_SECONDS)):
        try:
            os.killpg(pid, sign)
        except ProcessLookupError:
            return
        if _gone(pid, seconds):
            return


def _gone(group: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        _reap(group)
        try:
            os.killpg(group, 0)
        except (ProcessLookupError, PermissionError):
            return True
        time.sleep(0.02)
    return False


def _reap(pid: int) -> None:
    """Collect the process where it is this one's child, or it would stay a zombie and its group alive."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def port_or_free(port: int, progress: Progress) -> int:
    """Return `port`; 0, which picks a free one, where another program has it (LocalStack's is 4566 too)."""
    if port and _port_taken(port):
        progress(f"port {port} is in use by another program; taking a free one")
        return 0
    return port


def _port_of(outputs: Outputs) -> int:
    return int(outputs.endpoint.rsplit(":", 1)[1])


def _port_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
