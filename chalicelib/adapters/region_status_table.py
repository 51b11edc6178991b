"""The table `drs-region-status`: one row per region, folded from its scan records."""

from botocore.exceptions import BotoCoreError, ClientError

from ..domain.regions import RegionStatus
from . import dynamodb
from .stored_records import stored


class RegionStatusTable:
    """Reads and writes status rows; a write holds only against the version that it was made from."""

    def __init__(self, table: str) -> None:
        self._table = table

    def read_all(self) -> list[RegionStatus]:
        """Return every region's row, sorted by region; empty where nothing was ever synced.

        Raises:
            TableUnavailable: where the table cannot be read.
        """
        try:
            rows = [stored(RegionStatus, item) for item in dynamodb.scan(TableName=self._table, ConsistentRead=True)]
        except (ClientError, BotoCoreError) as error:
            raise dynamodb.unavailable(self._table, error) from error
        return sorted(rows, key=lambda row: row.region)

    def read(self, region: str) -> RegionStatus | None:
        """Return the row of `region`, or None."""
        item = dynamodb.get(self._table, {"region": region})
        return stored(RegionStatus, item) if item else None

    def delete(self, stored: RegionStatus) -> bool:
        """Take a row away; False where somebody else wrote meanwhile."""
        try:
            dynamodb.write(
                "delete_item",
                TableName=self._table,
                Key=dynamodb.marshal({"region": stored.region}),
                ConditionExpression="version = :seen",
                ExpressionAttributeValues=dynamodb.marshal({":seen": stored.version}),
            )
        except ClientError as error:
            if dynamodb.code(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def replace(self, stored: RegionStatus | None, status: RegionStatus) -> bool:
        """Write `status` as the version after `stored`; False where somebody else wrote meanwhile."""
        version = stored.version if stored else 0
        try:
            dynamodb.write(
                "put_item",
                TableName=self._table,
                Item=dynamodb.marshal(status.model_copy(update={"version": version + 1}).item()),
                ConditionExpression="version = :seen" if stored else "attribute_not_exists(#region)",
                **(
                    {"ExpressionAttributeValues": dynamodb.marshal({":seen": version})}
                    if stored
                    else {"ExpressionAttributeNames": {"#region": "region"}}
                ),
            )
        except ClientError as error:
            if dynamodb.code(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True
