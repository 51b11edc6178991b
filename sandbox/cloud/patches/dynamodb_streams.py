"""DynamoDB streams as event sources of functions.

MiniStack: invokes the function in the one thread that polls every source, so that a slow handler stalls every queue;
takes every invocation that did not raise as a success of the whole batch, so that records of a partial-batch response
are lost; and retries a failing batch for ever, once a second, whatever MaximumRetryAttempts,
BisectBatchOnFunctionError, DestinationConfig and MaximumBatchingWindowInSeconds say.

AWS: one poller per shard; a batch that fails is retried with growing pauses until it succeeds, its retries or its age
are used up (then it is described to the OnFailure destination and skipped) or it is split in two; a partial-batch
response moves the checkpoint to the lowest sequence number that it names.
(https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html, with-ddb.html)

Mended: one thread per mapping, which keeps the order of its stream's only shard. Splitting a batch costs none of its
retries. Left out: ParallelizationFactor and tumbling windows. A mapping that is disabled in the middle of a failing
batch starts that batch anew when it is enabled.
"""

import logging
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ministack.core.arn import parse_arn
from ministack.core.responses import request_scope
from ministack.services import dynamodb, lambda_svc

Record = dict[str, Any]
Mapping = dict[str, Any]

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
AWS_BATCH_SIZE = 100
FOR_EVER = -1

logger = logging.getLogger("sandbox.streams")


def apply() -> None:
    """Take stream mappings away from MiniStack's shared poller."""
    lambda_svc._poll_dynamodb_streams = _Consumers().wake


@dataclass(frozen=True)
class _Scope:
    account_id: str
    region: str
    mapping_id: str


class _Consumers:
    """The consumer threads, by mapping. Called from the shared poller, so it never waits."""

    def __init__(self) -> None:
        self._running: dict[_Scope, _Consumer] = {}

    def wake(self) -> bool:
        """Wake every consumer whose stream has unread records; return False: the poller itself did nothing."""
        mappings = {
            _Scope(account_id, region, mapping["UUID"]): mapping
            for account_id, region, mapping in lambda_svc._iter_all_esms()
            if ":dynamodb:" in mapping.get("EventSourceArn", "")
        }
        for gone in self._running.keys() - mappings.keys():
            self._running.pop(gone).stop()
        for scope in mappings:
            if scope not in self._running:
                self._running[scope] = _Consumer(scope)
            self._running[scope].wake_for_unread()
        return False


class _Consumer:
    """Feeds one mapping's function, batch after batch, in the order of the stream."""

    def __init__(self, scope: _Scope) -> None:
        self._scope = scope
        self._wake = threading.Event()
        self._stopped = threading.Event()
        threading.Thread(target=self._run, daemon=True, name=f"stream-{scope.mapping_id[:8]}").start()

    def stop(self) -> None:
        self._stopped.set()
        self._wake.set()

    def wake_for_unread(self) -> None:
        with request_scope(self._scope.account_id, self._scope.region):
            mapping = self._mapping()
            if mapping is not None and self._unread(mapping):
                self._wake.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wake.wait()
            self._wake.clear()
            try:
                with request_scope(self._scope.account_id, self._scope.region):
                    self._drain()
            except Exception:
                logger.exception("the consumer of %s failed and goes on", self._scope)

    def _drain(self) -> None:
        while (mapping := self._mapping()) is not None and self._unread(mapping):
            self._gather(mapping)
            position = _position(mapping)
            unread = dynamodb.stream_records_since(_table_of(mapping), position, _batch_size(mapping))
            wanted = lambda_svc._apply_filter_criteria(unread, mapping)
            if not self._settle(mapping, wanted):
                return
            _move_to(mapping, position + len(unread))

    def _mapping(self) -> Mapping | None:
        """Return the mapping where it may be worked on now: enabled, with its function and its stream."""
        mapping: Mapping | None = lambda_svc._esms.get(self._scope.mapping_id)
        if self._stopped.is_set() or mapping is None or not mapping.get("Enabled", True):
            return None
        table = dynamodb._tables.get(_table_of(mapping))
        streaming = table is not None and table.get("LatestStreamArn") == mapping["EventSourceArn"]
        return mapping if streaming and _function_of(mapping) is not None else None

    def _unread(self, mapping: Mapping) -> int:
        return int(dynamodb.stream_end_position(_table_of(mapping))) - _position(mapping)

    def _gather(self, mapping: Mapping) -> None:
        """Wait for a full batch, at most the batching window from the first unread record on."""
        window = int(mapping.get("MaximumBatchingWindowInSeconds") or 0)
        deadline = time.monotonic() + window
        while self._unread(mapping) < _batch_size(mapping) and not self._stopped.is_set():
            if (remaining := deadline - time.monotonic()) <= 0:
                return
            self._wake.wait(remaining)
            self._wake.clear()

    def _settle(self, mapping: Mapping, records: list[Record]) -> bool:
        """Invoke the function until every record succeeded or was given up; return False where it had to stop."""
        parts = [(records, 0)] if records else []
        while parts:
            part, failures = parts.pop()
            if self._mapping() is None:
                return False
            function = _function_of(mapping)
            result = lambda_svc._execute_function(function, {"Records": part})
            failed_from = _first_failed(part, result, mapping)
            if failed_from is None:
                mapping["LastProcessingResult"] = f"OK - {len(part)} records"
                continue
            mapping["LastProcessingResult"] = "FAILED"
            failures += 0 if result.get("throttle") else 1
            if condition := _given_up(mapping, part, failures, failed_from):
                lambda_svc._send_ddb_stream_failure_record(
                    mapping, function, part[failed_from:], mapping["EventSourceArn"], result, condition
                )
                continue
            self._stopped.wait(min(FIRST_PAUSE_SECONDS * 2 ** (failures - 1), LONGEST_PAUSE_SECONDS))
            parts.extend(_retries(part, failed_from, failures, bisect=_bisects(mapping, result)))
        return True


def _retries(part: list[Record], failed_from: int, failures: int, *, bisect: bool) -> list[tuple[list[Record], int]]:
    """Return what to try again, the last one first: the rest of a batch that got somewhere, or its halves."""
    rest = part[failed_from:]
    if failed_from or not bisect or len(rest) == 1:
        return [(rest, failures)]
    middle = len(rest) // 2
    return [(rest[middle:], failures - 1), (rest[:middle], failures - 1)]


def _first_failed(part: list[Record], result: dict[str, Any], mapping: Mapping) -> int | None:
    """Return the index of the first record that must be tried again, None where all succeeded.

    A response that names no failure is a success, one that cannot be understood is a failure of the whole batch.
    """
    if result.get("error"):
        return 0
    if "ReportBatchItemFailures" not in (mapping.get("FunctionResponseTypes") or []):
        return None
    numbers = [record["dynamodb"]["SequenceNumber"] for record in part]
    return first_reported(result.get("body"), numbers)


def first_reported(body: object, identifiers: list[str]) -> int | None:
    """Return the lowest index that a partial-batch response names; 0 where it is malformed, None where it is empty."""
    reported = reported_failures(body)
    if reported is None or not set(reported) <= set(identifiers):
        return 0
    return min((identifiers.index(identifier) for identifier in reported), default=None)


def reported_failures(body: object) -> Collection[str] | None:
    """Return the identifiers in a partial-batch response; None where it is malformed."""
    if body is None:
        return []
    if not isinstance(body, dict):
        return None
    failures = body.get("batchItemFailures") or []
    if not isinstance(failures, list) or not all(isinstance(failure, dict) for failure in failures):
        return None
    identifiers = [failure.get("itemIdentifier") for failure in failures]
    return [item for item in identifiers if isinstance(item, str)] if all(identifiers) else None


def _given_up(mapping: Mapping, part: list[Record], failures: int, failed_from: int) -> str | None:
    """Return why the failed records of `part` are not tried again, None where they are."""
    oldest = part[failed_from]["dynamodb"]["ApproximateCreationDateTime"]
    if _limited(age := mapping.get("MaximumRecordAgeInSeconds")) and time.time() - oldest > int(age or 0):
        return "RecordAgeExceeded"
    can_split = bool(mapping.get("BisectBatchOnFunctionError")) and len(part) - failed_from > 1
    if _limited(limit := mapping.get("MaximumRetryAttempts")) and failures > int(limit or 0) and not can_split:
        return "RetryAttemptsExhausted"
    return None


def _limited(value: object) -> bool:
    return value is not None and value != FOR_EVER


def _bisects(mapping: Mapping, result: dict[str, Any]) -> bool:
    return bool(mapping.get("BisectBatchOnFunctionError")) and not result.get("throttle")


def _function_of(mapping: Mapping) -> dict[str, Any] | None:
    function: dict[str, Any] | None
    function, _ = lambda_svc._get_func_record_for_qualifier(mapping["FunctionName"], mapping.get("Qualifier"))
    return function


def _table_of(mapping: Mapping) -> str:
    found = lambda_svc._dynamodb_stream_table_from_arn_spec(parse_arn(mapping["EventSourceArn"]))
    return str(found[0]) if found else ""


def _batch_size(mapping: Mapping) -> int:
    return int(mapping.get("BatchSize") or AWS_BATCH_SIZE)


def _position(mapping: Mapping) -> int:
    """Return where the mapping reads on; records that expired meanwhile are gone."""
    table, identifier = _table_of(mapping), mapping["UUID"]
    lambda_svc._init_stream_position(identifier, mapping["EventSourceArn"], mapping.get("StartingPosition", "LATEST"))
    with lambda_svc._dynamodb_stream_positions_lock:
        stored = lambda_svc._dynamodb_stream_positions[identifier]
    return max(int(stored), int(dynamodb.stream_start_position(table)))


def _move_to(mapping: Mapping, position: int) -> None:
    with lambda_svc._dynamodb_stream_positions_lock:
        if mapping["UUID"] in lambda_svc._dynamodb_stream_positions:
            lambda_svc._dynamodb_stream_positions[mapping["UUID"]] = position
