"""What the dependency audit makes of pip-audit's answers."""

import json
import subprocess
from pathlib import Path

import pytest

from scripts import audit

SOUND = {"name": "sound", "version": "1.0", "vulns": []}
WEAK = {"name": "weak", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"], "aliases": []}]}
SKIPPED = {"name": "skipped", "skip_reason": "not found"}


def answer(*dependencies):
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_a_vulnerability_is_named_with_the_version_that_mends_it():
    found = audit.read(answer(SOUND, WEAK), "")
    assert found == audit.Audit(["weak 1.0: PYSEC-1, mended in 1.1"], [], 2)


def test_what_was_not_looked_up_does_not_count_as_sound():
    assert audit.read(answer(SOUND, SKIPPED), "") == audit.Audit([], ["skipped: not found"], 1)


@pytest.mark.parametrize("text", ["", "Traceback", "[]", "{}"])
def test_no_report_is_no_clean_report(text):
    assert audit.read(text, "first\nConnectionError: no way") == audit.Audit([], ["ConnectionError: no way"], 0)


def test_each_file_is_an_environment_of_its_own(monkeypatch):
    """Two files may pin one package to two versions; pip-audit takes that for a mistake in a single one."""
    asked = []

    def run(command, **_):
        asked.append(command[command.index("-r") + 1 :])
        return subprocess.CompletedProcess(command, 1, answer(WEAK, SKIPPED), "")

    monkeypatch.setattr(audit.subprocess, "run", run)
    found = audit.audit([Path("requirements.txt"), Path("requirements-dev.txt")])
    assert asked == [["requirements.txt"], ["requirements-dev.txt"]]
    assert found == audit.Audit(["weak 1.0: PYSEC-1, mended in 1.1"], ["skipped: not found"] * 2, 2)


@pytest.mark.parametrize(
    ("found", "strict", "code"),
    [
        (audit.Audit([], [], 3), True, 0),
        (audit.Audit([], ["x"], 3), False, 0),
        (audit.Audit([], ["x"], 3), True, 1),
        (audit.Audit(["x"], [], 3), False, 1),
    ],
)
def test_the_exit_code_says_whether_to_go_on(monkeypatch, capsys, found, strict, code):
    monkeypatch.setattr(audit, "audit", lambda _: found)
    monkeypatch.setattr("sys.argv", ["audit", "requirements.txt", *(["--strict"] if strict else [])])
    assert audit.main() == code
    assert ("NOT audited" in capsys.readouterr().err) is bool(found.unknown)
