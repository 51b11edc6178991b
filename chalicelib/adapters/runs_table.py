"""The table `runs`: what each sync run asked for. What came of it is in the work items."""

import json
import zlib

from ..domain.results import Run
from ..domain.work import WorkId, WorkKind
from . import dynamodb
from .stored_records import stored

RUN = "RUN"
SCOPES = "SCOPES#"
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
