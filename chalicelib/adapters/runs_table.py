"""The table `runs`: what each sync run asked for. What came of it is in the work items."""

import json
import zlib

from botocore.exceptions import ClientError

from ..domain.results import Remembered, Run
from ..domain.work import WorkId, WorkKind
from . import dynamodb
from .stored_records import stored

RUN = "RUN"
SCOPES = "SCOPES#"
KEY = "KEY#"
RUN_INDEX = "RunIndex"  # runs only: their parts have no kind
SCOPES_PER_ITEM = 1000  # about 10 KB compressed


class RunsTable:
    """Stores and reads runs."""

    def __init__(self, table: str) -> None:
        self._table = table

    def store(self, run: Run, asked: dict[WorkId, int]) -> None:
        """Store a run and, by work, the value of `done` that settles its request. Storing it again is harmless."""
        parts = [
            {
                "part": f"{SCOPES}{number:04d}",
                "asked": zlib.compress(json.dumps({work.key: wanted for work, wanted in some}).encode()),
            }
            for number, some in enumerate(dynamodb.chunks(asked.items(), SCOPES_PER_ITEM))
        ]
        for part in (*parts, {"part": RUN, **run.item()}):
            item = {**part, "runId": run.run_id, "expiresAt": run.expires_at}
            dynamodb.write("put_item", TableName=self._table, Item=dynamodb.marshal(item))

    def remember(self, key: str, request: str, run_id: str, now: int, expires_at: int) -> Remembered | None:
        """Keep what a caller's key is used for, where it is not kept already; return what was kept before, or None.

        What has expired counts as absent: DynamoDB takes days to delete it.

        Args:
            key: a digest of the caller and his key.
            request: a digest of the request.
            run_id: the run that is about to begin.
            now: epoch seconds.
            expires_at: epoch seconds; the key is good for anything again then.
        """
        item = {"runId": f"{KEY}{key}", "part": KEY, "request": request, "begins": run_id, "expiresAt": expires_at}
        try:
            dynamodb.write(
                "put_item",
                TableName=self._table,
                Item=dynamodb.marshal(item),
                ConditionExpression="attribute_not_exists(runId) OR expiresAt <= :now",
                ExpressionAttributeValues=dynamodb.marshal({":now": now}),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if dynamodb.code(error) != "ConditionalCheckFailedException":
                raise
            kept = dynamodb.unmarshal(dynamodb.refused_item(error))
            return Remembered(kept["request"], kept["begins"])
        return None

    def read(self, run_id: str) -> tuple[Run, dict[WorkId, int]] | None:
        """Return a run and what it asked for, or None where there is no such run."""
        run, asked = None, {}
        for item in dynamodb.query(
            TableName=self._table,
            KeyConditionExpression="runId = :run",
            values={":run": run_id},
            ConsistentRead=True,
        ):
            if item["part"] == RUN:
                run = stored(Run, item)
            else:
                texts = json.loads(zlib.decompress(item["asked"]))
                asked.update({WorkId.parse(key): wanted for key, wanted in texts.items()})
        return (run, asked) if run else None

    def latest(self, kind: WorkKind, limit: int, before: str | None) -> list[Run]:
        """Return up to `limit` runs of `kind`, the newest first, those older than the moment `before`."""
        older = " AND createdAt < :before" if before else ""
        answer = dynamodb.client().query(
            TableName=self._table,
            IndexName=RUN_INDEX,
            KeyConditionExpression=f"kind = :kind{older}",
            ExpressionAttributeValues=dynamodb.marshal(
                {":kind": kind.value, **({":before": before} if before else {})}
            ),
            ScanIndexForward=False,
            Limit=limit,
        )
        return [stored(Run, dynamodb.unmarshal(typed)) for typed in answer["Items"]]
