"""The machine's processes. A slim system has no `ps`, a Mac has no `/proc`."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


class Process(NamedTuple):
    """A running process, its process group and its command line."""

    pid: int
    group: int
    command: str


def processes() -> Iterator[Process]:
    """Yield every process that can be seen; one that ends meanwhile is left out."""
    return _from_proc() if (PROC / "self" / "stat").exists() else _from_ps()


def command_of(pid: int) -> str:
    """Return a process's command line; empty where there is no such process."""
    return next((process.command for process in processes() if process.pid == pid), "")


def _from_proc() -> Iterator[Process]:
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            stat = (folder / "stat").read_text()
            command = (folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        # Behind the name, which may hold anything: state, parent, process group (proc(5))
        group = int(stat.rpartition(")")[2].split()[2])
        yield Process(int(folder.name), group, command)


def _from_ps() -> Iterator[Process]:
    shown = subprocess.run(["ps", "-eo", "pid,pgid,args"], capture_output=True, text=True, check=True)  # noqa: S607
    for line in shown.stdout.splitlines()[1:]:
        pid, group, command = line.split(None, 2)
        yield Process(int(pid), int(group), command)
