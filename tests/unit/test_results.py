"""What a piece of work reports: as much as an item holds, and how much is left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.adapters.dynamodb import marshal
from chalicelib.domain.regions import ScopeState
from chalicelib.domain.results import MOST_REPORTED_BYTES, Problem, RunProgress, ScopeProgress, WorkResult
from chalicelib.domain.texts import fitting, json_bytes, message_text, neutral, shortened
from chalicelib.domain.work import WorkKind
from chalicelib.errors import DrsActiveRegionsError

from ..factories import NOW, REGION, SCOPE, TARGET, instance, run, scan_record, wire_server

WELL_TAGGED = {f"company:cost-centre:{number:02}": "x" * 68 for number in range(45)}
HUNDRED_TWENTY = 120


def result(**values):
    return WorkResult(finished_at=NOW, epoch=1, state=ScopeState.AVAILABLE, **values)


def problems(number, message="no"):
    return [Problem(subject=f"s-{each:04}", code="NO", message=message) for each in range(number)]


class TestReporting:
    def test_few_are_all_named(self):
        told = result(counts={"servers": 3}).reporting(problems(2), [{"extend": "arn"}])
        assert told.counts == {"servers": 3, "problems": 2}
        assert (told.problems, told.changes) == (problems(2), [{"extend": "arn"}])

    def test_the_first_hundred_by_subject_are_named_and_the_rest_is_counted(self):
        told = result().reporting(reversed(problems(130)), [{"number": number} for number in range(101)])
        assert told.problems == problems(100)
        assert told.counts == {"problems": 130, "problemsLeftOut": 30, "changesLeftOut": 1}

    def test_long_messages_are_shortened_and_say_so(self):
        (told,) = result().reporting(problems(1, "x" * 1500)).problems
        assert told.message == "x" * 1000 + " ... (500 more characters)"

    def test_no_more_bytes_are_reported_than_an_item_holds(self):
        changes = [{"sourceServerID": f"s-{number}", "put": WELL_TAGGED} for number in range(HUNDRED_TWENTY)]
        told = result().reporting(problems(HUNDRED_TWENTY, "ü" * 1000), changes)
        assert json_bytes(told.item()) < 2 * MOST_REPORTED_BYTES + 1000
        assert told.counts["problemsLeftOut"] == HUNDRED_TWENTY - len(told.problems) > 20
        assert told.counts["changesLeftOut"] == HUNDRED_TWENTY - len(told.changes) > 20
        assert told.problems
        assert told.changes


def test_a_dry_run_of_a_well_tagged_scope_fits_its_item_and_says_what_is_left_out(world):
    world.add_account()
    for number in range(HUNDRED_TWENTY):
        world.drs.add(wire_server(f"s-{number:03}", instance=f"i-{number}", origin=(TARGET, REGION)))
        world.ec2.add(TARGET, REGION, instance(f"i-{number}", tags=WELL_TAGGED))
    world.scan()
    told = world.run_work(WorkKind.TAGS, SCOPE, dry_run=True).result
    assert told.counts["would_tag"] == HUNDRED_TWENTY
    assert told.counts["changesLeftOut"] == HUNDRED_TWENTY - len(told.changes) > 0
    assert json_bytes(told.item()) < 200_000


def test_what_is_noted_before_tags_are_written_fits_an_item(world):
    world.add_account()
    for number in range(50):
        world.drs.add(wire_server(f"s-{number:03}", instance=f"i-{number}", origin=(TARGET, REGION)))
        world.ec2.add(TARGET, REGION, instance(f"i-{number}", tags={f"{n:02}" + "ü" * 126: "1" for n in range(50)}))
    world.scan()
    noted = []
    real = world.work_states.record_intent
    world.work_states.record_intent = lambda lease, intent: (noted.append(intent), real(lease, intent))
    world.run_work(WorkKind.TAGS)
    assert len({server for intent in noted for server in intent}) == 50
    assert max(map(json_bytes, noted)) <= 110_000
    assert all(len(world.drs.get(row.arn)["tags"]) == 50 for row in world.inventory.of_scope(SCOPE))


def test_messages_of_services_are_bounded_where_they_are_recorded():
    record = scan_record().failed(ScopeState.ERROR, "no\x1b[2J" + "y" * 5000, NOW, 2)
    assert record.error_message.startswith("no\\u001b[2J")
    assert len(record.error_message) < 1100


@given(st.text(st.characters(exclude_categories=[])))
def test_a_neutral_text_moves_no_cursor_begins_no_line_and_can_be_stored(text):
    clean = neutral(text)
    clean.encode()
    forbidden = [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
    assert not {*map(chr, [*forbidden, 0x061C, 0x200E, 0x200F, 0x2028, 0x2029, 0xFEFF])} & set(clean)
    assert neutral(clean) == clean
    if text.isprintable():
        assert clean == text


@given(st.text())
def test_lines_and_tabs_are_kept_where_they_are_wanted(text):
    assert neutral(f"{text}\n\tat", lines=True).endswith("\n\tat")


@given(st.text(max_size=60), st.integers(0, 50))
def test_a_shortened_text_begins_as_the_text_does(text, most):
    short = shortened(text, most)
    assert short == text if len(text) <= most else short.startswith(text[:most])


@given(st.lists(st.integers(0, 20)), st.integers(0, 10), st.integers(0, 50))
def test_what_fits_is_the_beginning_and_no_less_than_fits(sizes, most, most_bytes):
    kept = fitting(sizes, most, most_bytes, lambda size: size)
    assert kept == sizes[: len(kept)]
    assert sum(kept) <= most_bytes
    assert len(kept) <= most
    assert len(kept) == min(most, len(sizes)) or sum(sizes[: len(kept) + 1]) > most_bytes


def test_an_error_of_ours_is_shown_without_control_characters():
    assert message_text(str(DrsActiveRegionsError("a\u202eb\nc"))) == "a\\u202eb\\u000ac"


@pytest.mark.parametrize("value", [{"Name": "ü" * 40}, [1, 2.5, None, True], {"a": [{"b": "c"}] * 7}])
def test_json_takes_no_fewer_bytes_than_the_item(value):
    def size(typed):
        ((kind, held),) = typed.items()
        if kind == "M":
            return 3 + sum(1 + len(name.encode()) + size(part) for name, part in held.items())
        if kind == "L":
            return 3 + sum(1 + size(part) for part in held)
        return {"S": lambda: len(held.encode()), "N": lambda: len(held) // 2 + 2}.get(kind, lambda: 1)()

    assert json_bytes(value) >= size(marshal({"value": value})["value"]) - 8


def test_an_answer_about_very_many_scopes_holds_the_failed_ones_and_counts_all():
    scopes = [
        ScopeProgress(account_id=f"{number:012d}", region="eu-west-1", done=number % 3 == 0) for number in range(4999)
    ]
    scopes.append(ScopeProgress(account_id="999999999999", region="eu-west-1", done=False, error="x" * 200))
    figures = {"done": 1667, "failed": 1, "waiting": 3333, "calls": {}, "calls_saved": 0, "counts": {}}
    progress = RunProgress(run=run(), status="RUNNING", scopes=scopes, **figures)
    small = progress.within(100_000)
    assert json_bytes(small.model_dump(mode="json", by_alias=True)) < 110_000
    assert small.scopes[0].error
    assert not any(scope.done for scope in small.scopes)
    assert len(small.scopes) + small.scopes_left_out == 5000
    assert progress.within(10_000_000) is progress
