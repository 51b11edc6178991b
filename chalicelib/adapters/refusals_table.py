"""The table `staging-refusals`: what is not to be extended now, and why."""

from functools import partial
from typing import Any

from botocore.exceptions import ClientError

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

    def forget(self, refusal: Refusal) -> bool:
        """Take `refusal` away as it was read; False where it is another by now, or gone.

        Safe to repeat. A removal on purpose that a scan recorded since then stays.
        """
        item = refusal.item()
        try:
            dynamodb.write(
                "delete_item",
                TableName=self._table,
                Key=dynamodb.marshal({name: item[name] for name in ("targetScope", "stagingSourceServerArn")}),
                **as_read(refusal),
            )
        except ClientError as error:
            if dynamodb.code(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True


def as_read(refusal: Refusal | None) -> dict[str, Any]:
    """Return the condition that what is recorded is `refusal` still; None: that nothing is."""
    if refusal is None:
        return {"ConditionExpression": "attribute_not_exists(targetScope)"}
    item = refusal.item()
    names = {"#reason": "reason", "#since": "since", "#attempts": "attempts"}
    return {
        "ConditionExpression": "#reason = :reason AND #since = :since AND #attempts = :attempts",
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": dynamodb.marshal({f":{name}": item[name] for name in names.values()}),
    }
