"""The formulas of docs/scaling.md: what grows with what."""

import pytest

from scripts import scaling
from scripts.scaling import Fleet

SMALL, LARGE = Fleet("small", 100), Fleet("large", 200)


def test_the_document_has_the_computed_table():
    assert scaling.main(["--check", "docs/scaling.md"]) == 0


@pytest.mark.parametrize("what", ["calls", "scans", "write_units", "stored_gb", "probes"])
def test_twice_the_accounts_cost_twice_as_much(what):
    assert getattr(LARGE, what) == pytest.approx(2 * getattr(SMALL, what))


def test_reads_grow_no_faster_than_accounts():
    assert LARGE.read_units < 2.02 * SMALL.read_units


def test_servers_in_a_known_scope_cost_no_further_call_within_a_page():
    assert Fleet("few", 100, 1).calls == Fleet("full pages", 100, scaling.PAGE).calls
    assert Fleet("one more", 100, scaling.PAGE + 1).calls == 2 * Fleet("full pages", 100, scaling.PAGE).calls


def test_a_document_that_is_out_of_date_is_told(tmp_path, capsys):
    document = tmp_path / "scaling.md"
    document.write_text(f"before\n{scaling.BEGIN}\nold\n{scaling.END}\nafter\n")
    assert scaling.main(["--check", str(document)]) == 1
    assert "out of date" in capsys.readouterr().err
    scaling.main([str(document)])
    assert scaling.main(["--check", str(document)]) == 0
    assert document.read_text().startswith("before\n")
    assert document.read_text().endswith("\nafter\n")
