"""Steps of an acceptance run and what becomes of them; pages; packages; states of scans."""

import io
import zipfile

import pytest

from scripts.accept.hub import shipped_botocore
from scripts.accept.pages import ASKED, Page, ignored, probed, told
from scripts.accept.steps import Acceptance, Accounts, states_told
from scripts.accept.verdicts import (
    FailedError,
    NotTriedError,
    Outcome,
    Step,
    Verdict,
    exit_status,
    verdicts,
)


def raising(error):
    def do():
        raise error

    return do


def yes(_question):
    return True


def no(_question):
    return False


def test_every_step_is_tried_whatever_became_of_those_before():
    steps = [
        Step("a", raising(FailedError("wrong"))),
        Step("b", raising(NotTriedError("no server"))),
        Step("c", raising(KeyError("items"))),
        Step("d", lambda: "seen"),
    ]
    assert list(verdicts(steps, yes)) == [
        Verdict("a", Outcome.FAILED, "wrong"),
        Verdict("b", Outcome.NOT_TRIED, "no server"),
        Verdict("c", Outcome.FAILED, "KeyError: 'items'"),
        Verdict("d", Outcome.OK, "seen"),
    ]


def test_what_writes_is_asked_for_and_what_reads_is_not():
    asked, done = [], []
    steps = [Step("reads", lambda: "seen"), Step("writes", lambda: done.append(1) or "", "Write?")]

    def refuse(question):
        asked.append(question)
        return False

    outcomes = [verdict.outcome for verdict in verdicts(steps, refuse)]
    assert (outcomes, asked, done) == ([Outcome.OK, Outcome.NOT_TRIED], ["Write?"], [])


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ([Outcome.OK, Outcome.NOT_TRIED], 0),
        ([Outcome.OK, Outcome.FAILED, Outcome.OK], 1),
        ([], 0),
    ],
)
def test_only_a_failure_makes_the_exit_status_one(outcomes, status):
    assert exit_status(Verdict("step", outcome, "") for outcome in outcomes) == status


class Drs:
    """Pages of a DRS with so many servers, a default size and a cap."""

    def __init__(self, servers, default, cap):
        self._servers, self._default, self._cap = servers, default, cap

    def describe_source_servers(self, maxResults=None):
        size = min(maxResults or self._default, self._cap, self._servers)
        return {"items": [{}] * size, **({"nextToken": "more"} if size < self._servers else {})}


def test_a_cap_is_told_from_an_end():
    capped = probed(Drs(servers=900, default=50, cap=200))
    assert told(capped) == (
        "default: 50 servers, with more behind; largest page: 200; "
        "300 were asked for and 200 came with more behind: that is the cap"
    )
    small = probed(Drs(servers=7, default=50, cap=200))
    assert told(small) == "default: 7 servers, which is all there are; largest page: 7; no cap was met"
    assert [page.asked for page in small] == list(ASKED)


def test_a_size_that_is_not_honoured_is_found():
    assert ignored([Page(None, 50, True), Page(1, 50, True), Page(50, 50, True)]) == [Page(1, 50, True)]


def package(*names):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return content.getvalue()


@pytest.mark.parametrize(
    ("names", "version"),
    [
        (("app.py", "botocore/__init__.py", "botocore-1.43.5.dist-info/METADATA"), "1.43.5"),
        (("app.py", "botocore/__init__.py"), "of the package, version not told"),
        (("app.py", "chalicelib/botocore.py"), "of Lambda's runtime"),
    ],
)
def test_whose_botocore_a_function_runs(names, version):
    assert shipped_botocore(package(*names)) == version


def scope(state, region="eu-west-1", error=None):
    result = {"state": state, "message": "why"} if state else None
    return {"accountId": "222222222222", "region": region, "error": error, "result": result}


def test_a_region_that_answers_is_fine_whatever_it_answers():
    scopes = [scope("AVAILABLE"), scope("NOT_OPTED_IN", "af-south-1"), scope("AVAILABLE", "us-east-1")]
    assert states_told(scopes) == "AVAILABLE: 2 scopes (eu-west-1, us-east-1); NOT_OPTED_IN: 1 scopes (af-south-1)"


@pytest.mark.parametrize("bad", [scope("ACCESS_DENIED"), scope(None), scope("AVAILABLE", error="boom")])
def test_a_region_that_could_not_be_scanned_fails(bad):
    with pytest.raises(FailedError, match="222222222222 in eu-west-1"):
        states_told([scope("AVAILABLE"), bad])


class AskedHub:
    """A hub that answers by path, and keeps what it was asked."""

    def __init__(self, answers):
        self.asked = []
        self._answers = answers

    def call(self, method, path, body=None):
        self.asked.append((method, path, body))
        return self._answers[path]


def test_letters_of_others_are_not_touched():
    hub = AskedHub({"/dead-letters?queue=work&limit=100": {"deadLetters": [{"body": "theirs"}]}})
    acceptance = Acceptance(hub, Accounts([], [], "eu-west-1"), 1)
    with pytest.raises(NotTriedError, match="letters of others"):
        acceptance.dead_letter("work")
    assert [method for method, _, _ in hub.asked] == ["GET"]


def test_without_credentials_and_servers_nothing_of_customers_is_tried():
    acceptance = Acceptance(AskedHub({}), Accounts(["222222222222"], [], "eu-west-1"), 1)
    mine = ("page size of DRS", "answers of DRS, EC2 and STS", "tags", "extension")
    found = list(verdicts([step for step in acceptance.steps() if step.name in mine], no))
    assert [verdict.outcome for verdict in found] == [Outcome.NOT_TRIED] * len(mine)
    assert all("--" in verdict.told for verdict in found)


def test_a_failed_check_of_an_account_fails_the_validation():
    bad = {"name": "readerRole", "subject": "arn", "ok": False, "message": "denied"}
    unknown = {"name": "drs", "subject": "eu-west-1", "ok": None, "message": "not known"}
    hub = AskedHub({"/accounts/222222222222/validate": {"checks": [bad, unknown]}})
    with pytest.raises(FailedError, match="readerRole of arn: denied"):
        Acceptance(hub, Accounts(["222222222222"], [], "eu-west-1"), 1).validation()


def test_an_account_without_drs_is_not_scanned():
    progress = {"scopesLeftOut": 0, "scopes": [scope("AVAILABLE")]}

    class Scanned(AskedHub):
        def finished(self, _run_id, _patience):
            return progress

    regions = [{"region": "eu-west-1"}, {"region": "us-east-1"}]
    hub = Scanned(
        {
            "/accounts/222222222222/regions": {"regions": regions},
            "/accounts/444444444444/regions": {"regions": []},
            "/syncs": {"runId": "run"},
        }
    )
    acceptance = Acceptance(hub, Accounts(["222222222222", "444444444444"], ["eu-west-1"], "eu-west-1"), 1)
    assert acceptance.scan() == "AVAILABLE: 1 scopes (eu-west-1)"
    wanted = [{"accountId": "222222222222", "region": "eu-west-1"}]
    assert hub.asked[-1] == ("POST", "/syncs", {"kind": "inventory", "scopes": wanted})
