"""The stream of scan records: region status, cache invalidation, reactive work.

A batch is folded once per region. What fails is named in the answer: Lambda retries from there, bisects, and after a
few attempts puts what still fails into the on-failure queue; the records behind it are not lost. Repeating the whole
batch is safe. A record that does not parse, e.g. one that a newer version wrote before it was rolled back, is left
out: its region is folded from the table all the same, and the resync finds the work that it called for.
"""

from typing import Any

from chalice import Blueprint
from chalice.app import DynamoDBEvent

from ..adapters.dynamodb import unmarshal
from ..adapters.stored_records import stored
from ..container import container
from ..domain.regions import ScanChange, ScanRecord
from ..errors import TableUnavailable
from ..observability import count, logger, observed

blueprint = Blueprint(__name__)


@blueprint.on_dynamodb_record(
    stream_arn="set-by-the-template",
    batch_size=100,
    starting_position="TRIM_HORIZON",
    name="scan_stream",
)
@observed
def scan_stream(event: DynamoDBEvent) -> dict[str, Any]:
    """React to changed scan records, region by region."""
    records = event.to_dict()["Records"]
    by_region: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        by_region.setdefault(record["dynamodb"]["Keys"]["region"]["S"], []).append(record)
    failed = {_sequence(some[0]) for region, some in by_region.items() if not _react(region, some)}
    return {"batchItemFailures": [{"itemIdentifier": number} for number in map(_sequence, records) if number in failed]}


def _react(region: str, records: list[dict[str, Any]]) -> bool:
    """Return whether the records of one region could be processed; other regions go on where they could not."""
    try:
        container().region_changes.handle(region, [_change(record) for record in records])
    except Exception:  # noqa: BLE001  named as failed in the answer: Lambda retries it, and buries it in the end
        logger.exception("scan records are to be tried again", region=region)
        return False
    return True


def _change(record: dict[str, Any]) -> ScanChange:
    """Return a scan record before and after, None for what was or is not there, or does not parse.

    One whose former image does not parse counts as new: more is requested than is needed.
    """
    images = record["dynamodb"]
    return ScanChange(_image(images, "OldImage"), _image(images, "NewImage"))


def _image(images: dict[str, Any], name: str) -> ScanRecord | None:
    if name not in images:
        return None
    try:
        return stored(ScanRecord, unmarshal(images[name]))
    except TableUnavailable as error:
        logger.error("a scan record does not parse", keys=unmarshal(images["Keys"]), image=name, reason=str(error))
        count("UnreadableScanRecords")
        return None


def _sequence(record: dict[str, Any]) -> str:
    return str(record["dynamodb"]["SequenceNumber"])
