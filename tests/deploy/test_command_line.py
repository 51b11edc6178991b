import io

import pytest

from scripts.deploy import __main__ as command_line
from scripts.deploy import checks
from scripts.deploy.errors import DeployError


@pytest.fixture(autouse=True)
def nobodys_account(monkeypatch):
    monkeypatch.delenv("DEPLOY_BUCKET", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture
def no_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.usefixtures("no_terminal")
def test_prod_is_refused_where_nobody_can_be_asked(capsys):
    assert command_line.main(["prod", "--bucket", "b"]) == 1
    assert "no terminal: --yes" in capsys.readouterr().out


def test_without_a_bucket_the_message_says_how_to_name_one(capsys):
    assert command_line.main(["dev"]) == 1
    assert "--bucket or DEPLOY_BUCKET" in capsys.readouterr().out


def test_a_parameter_needs_a_value(capsys):
    assert command_line.main(["dev", "--bucket", "b", "--param", "EnableTagSync"]) == 1
    assert "Key=Value" in capsys.readouterr().out


def test_code_alone_has_no_parameters(capsys):
    assert command_line.main(["dev", "--bucket", "b", "--lambda-only", "--param", "EnableTagSync=false"]) == 1
    assert "--lambda-only changes no parameters" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["qa"], [], ["dev", "--validate-only", "--lambda-only"]])
def test_what_is_no_command(arguments):
    with pytest.raises(SystemExit) as ended:
        command_line.main(arguments)
    assert ended.value.code == 2


@pytest.mark.parametrize(("typed", "agreed"), [("prod", True), ("y", False), ("", False)])
def test_prod_is_confirmed_by_its_name(monkeypatch, typed, agreed):
    monkeypatch.setattr("sys.stdin", Terminal(f"{typed}\n"))
    assert command_line._asking("prod", yes=False)("Execute?") is agreed


@pytest.mark.usefixtures("no_terminal")
@pytest.mark.parametrize(("stage", "yes"), [("dev", False), ("staging", False), ("prod", True)])
def test_who_is_not_asked(stage, yes):
    assert command_line._asking(stage, yes=yes)("Execute?")


def test_checks_come_first_and_the_first_failure_ends_it():
    run = []

    def fails_at_the_second(command):
        run.append(command)
        return len(run) - 1

    with pytest.raises(DeployError, match="`make test-fast` failed; nothing was deployed"):
        checks.check(fails_at_the_second)
    assert run == [("make", "check", "STRICT=1"), ("make", "test-fast")]


def test_checks_do_not_see_the_callers_account(monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "customer")
    assert checks.run(["bash", "-c", 'test -z "${AWS_PROFILE+set}" && test -f Makefile']) == 0
    assert checks.run(["false"]) == 1
