"""The table `staging-refusals`: what is not to be extended now, and why."""

from functools import partial

from ..domain.extension import Refusal
from ..domain.scopes import Scope
from . import dynamodb
from .stored_records import stored


class RefusalsTable:
    """Reads refusals. Written through `fenced_writes`; taken away here once the server is extended."""

    def __init__(self, table: str) -> None:
        self._table = table

    def of_target(self, target: Scope) -> dict[str, Refusal]:
        """Return the refusals of a target scope, by the staging server's ARN."""
        items = dynamodb.query(
            TableName=self._table,
            KeyConditionExpression="targetScope = :target",
            values={":target": target.key},
            ConsistentRead=True,
        )
        return {refusal.staging_source_server_arn: refusal for refusal in map(partial(stored, Refusal), items)}

    def forget(self, target: Scope, arn: str) -> None:
        """Take the refusal of `arn` away; nothing happens where there is none."""
        dynamodb.write(
            "delete_item",
            TableName=self._table,
            Key=dynamodb.marshal({"targetScope": target.key, "stagingSourceServerArn": arn}),
        )
