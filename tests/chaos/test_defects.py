"""The chaos run finds what it is there for: each defect is planted, and must be caught within 150 runs."""

from contextlib import contextmanager

import pytest
from hypothesis import Phase
from hypothesis.stateful import run_state_machine_as_test

from chalicelib.adapters import dynamodb
from chalicelib.domain import server_changes
from chalicelib.domain.regions import ScanRecord
from chalicelib.domain.scopes import Scope
from chalicelib.domain.server_changes import PreviousState, entry_of, tombstone
from chalicelib.domain.servers import ServerRow
from chalicelib.events import queues, streams
from chalicelib.services.sync.scope_scanner import ScopeScanner

from .machine import Chaos, machine_settings

MOST_RUNS = 150


class Planted(Chaos):
    """Runs with a defect: no part of the report."""

    reported = False


@contextmanager
def zero_on_error(patch):
    """A failed scan zeroes the counts of its scope."""
    failed = ScanRecord.failed

    def zeroed(self, *arguments):
        return failed(self, *arguments).model_copy(update={"server_count": 0, "replicating_count": 0})

    patch.setattr(ScanRecord, "failed", zeroed)
    yield


@contextmanager
def cleanup_across_accounts(patch):
    """A scan buries what it does not list of the whole region, whoever's it is."""

    def rows_of_the_region(self, work):
        region = work.scope.region
        rows = map(ServerRow.of, dynamodb.scan(TableName="inventory_table", ConsistentRead=True))
        rows = [row for row in rows if row.replication_region == region and row.living]
        return PreviousState({row.source_server_id: entry_of(row) for row in rows}, complete=False)

    def buried_as_its_owner(scope, row, now):
        return tombstone(Scope(row.account_id, scope.region), row, now) if row else []

    patch.setattr(ScopeScanner, "_previous_state", rows_of_the_region)
    patch.setattr(server_changes, "burial", buried_as_its_owner)
    yield


@contextmanager
def records_lost_in_a_batch(patch):
    """The stream's handler answers with success for a region that failed."""
    react = streams._react
    patch.setattr(streams, "_react", lambda *arguments: react(*arguments) or True)
    yield


@contextmanager
def messages_lost_in_a_batch(patch):
    """The workers answer with success for a message that failed."""
    worked_off = queues._worked_off
    patch.setattr(queues, "_worked_off", lambda *arguments, **more: worked_off(*arguments, **more) or True)
    yield


@pytest.mark.parametrize(
    ("defect", "seen_as"),
    [
        (zero_on_error, "changed counts from"),
        (cleanup_across_accounts, "living rows too many|neither alive nor buried|differ|missing|rows were read"),
        (
            records_lost_in_a_batch,
            "the records were answered as done|nothing was said to fail|will never be looked at again|says|"
            "not given up|carries|not extended",
        ),
        (messages_lost_in_a_batch, "failed, and its message was answered as worked off"),
    ],
)
def test_a_planted_defect_is_caught(monkeypatch, defect, seen_as):
    how = machine_settings(
        max_examples=MOST_RUNS, phases=[Phase.generate], report_multiple_bugs=False, derandomize=True
    )
    with defect(monkeypatch), pytest.raises(AssertionError, match=seen_as):
        run_state_machine_as_test(Planted, settings=how)
