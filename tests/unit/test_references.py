"""References in code, tests and documents lead somewhere."""

import re
from pathlib import Path

import pytest

from scripts.references import Repository, anchor, dangling, read

REPO = Path(__file__).parents[2]
TEXTS = {
    "docs/requirements.md": "## R5 Status\n\n- **R5.4** Errors.\n\n| Property 3 | Scans. |\n| Scenario 1 | Tags. |\n",
    "docs/architecture.md": "# Architecture\n\n## How stale can `GET` be?\n\n```sh\n# no heading\n```\n\n## Work\n",
    "docs/adr/0009-removal.md": "# 9. Removal\n",
    "chalicelib/domain/tag_plan.py": "",
    "README.md": "",
}


def what_dangles(text, path="docs/page.md"):
    texts = {**TEXTS, path: text}
    return [(one.line, one.what) for one in dangling(Repository(frozenset(texts), texts)) if one.path == path]


@pytest.mark.parametrize(
    "text",
    [
        "R5 and (R5.4)",
        "Property 3, Scenario 1",
        "ADR 9",
        "[text](architecture.md), [text](architecture.md#work), [text](#title), [text](https://aws.com/#x)\n# Title",
        "[text](../README.md), [text](adr/)",
        "`docs/architecture.md`, `domain/tag_plan.py`, `chalicelib/domain`, `domain/tag_plan`, `tag_plan.py`, `docs/`",
        'docs/architecture.md, "Work", and\narchitecture.md,\n"How stale can GET be?"',
        "`kind/name`, `/health`, `outputs.json`, `build/template.yaml`, `s3://bucket`, https://aws.com/docs/none.md",
        "the random seed; its seed; an item 400 KB; 3 of 5 servers",
    ],
)
def test_what_leads_somewhere_is_left_alone(text):
    assert what_dangles(text) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("R5.5", "R5.5 is not defined"),
        ("R6", "R6 is not defined"),
        ("Property 13", "Property 13 is not defined"),
        ("ADR 19", "there is no ADR 19"),
        ("[text](none.md)", "none.md does not exist"),
        ("[text](architecture.md#none)", "docs/architecture.md has no heading for #none"),
        ("[text](architecture.md#no-heading)", "docs/architecture.md has no heading for #no-heading"),
        ("`docs/none.md`", "docs/none.md does not exist"),
        ("`domain/none.py`", "domain/none.py does not exist"),
        ("chalicelib/none.py", "chalicelib/none.py does not exist"),
        ("`chalicelib/none`", "chalicelib/none does not exist"),
        ("`none.py`", "none.py does not exist"),
        ("see design.md", "design.md does not exist"),
        ('docs/architecture.md, "Rest"', 'docs/architecture.md has no heading "Rest"'),
        ("as the seed says", "'the seed' means nothing to a reader of this repository"),
        ("(decision 2)", "'decision 2' means nothing to a reader of this repository"),
        ("requirement 3 of the issue", "'requirement 3' means nothing to a reader of this repository"),
        ("issue 9", "'issue 9' means nothing to a reader of this repository"),
        ("item 12", "'item 12' means nothing to a reader of this repository"),
        ("Chaos (2 of 5)", "'(2 of 5)' means nothing to a reader of this repository"),
    ],
)
def test_what_dangles_is_named(text, what):
    assert what_dangles(f"\n{text}\n") == [(2, what)]


def test_of_python_only_docstrings_and_comments_name_paths():
    code = '"""See docs/none.md."""\nmade = "chalicelib/made.py"\n# see domain/gone.py\n'
    assert what_dangles(code, "chalicelib/module.py") == [
        (1, "docs/none.md does not exist"),
        (3, "domain/gone.py does not exist"),
    ]


def test_a_message_says_where_it_is_and_what_to_do():
    texts = {**TEXTS, "README.md": "\n\nADR 19"}
    [one] = dangling(Repository(frozenset(texts), texts))
    assert str(one) == "README.md:3: there is no ADR 19: see docs/adr/README.md"


@pytest.mark.parametrize(
    ("title", "wanted"),
    [
        ("How stale can an answer be?", "how-stale-can-an-answer-be"),
        ("runs: one record per sync run", "runs-one-record-per-sync-run"),
        ("`GET /servers` and **more**", "get-servers-and-more"),
    ],
)
def test_anchors_are_those_of_github(title, wanted):
    assert anchor(title) == wanted


@pytest.mark.skipif(not (REPO / ".git").exists(), reason="git lists the files")
def test_nothing_dangles_in_this_repository(monkeypatch):
    monkeypatch.chdir(REPO)
    assert [str(one) for one in dangling(read())] == []


def test_the_index_of_decisions_is_complete_and_in_order():
    files = sorted(path.name for path in (REPO / "docs/adr").glob("0*.md"))
    assert re.findall(r"\]\((0.*?\.md)\)", (REPO / "docs/adr/README.md").read_text()) == files
    for name in files:
        assert (REPO / "docs/adr" / name).read_text().startswith(f"# {int(name[:4])}. ")
