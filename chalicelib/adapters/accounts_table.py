"""The table `accounts`: registered accounts and their staging memberships, an item each."""

from botocore.exceptions import ClientError

from ..domain.accounts import Account, Membership
from ..errors import AlreadyExists
from . import dynamodb

ACCOUNT = "ACCOUNT"
STAGING = "STAGING#"
MEMBER_INDEX = "MemberIndex"


class AccountsTable:
    """Reads and writes the registry."""

    def __init__(self, table: str) -> None:
        self._table = table

    def read(self, account_id: str) -> Account | None:
        """Return the account, or None where it is not registered."""
        item = dynamodb.get(self._table, {"accountId": account_id, "record": ACCOUNT})
        return Account.of(item) if item else None

    def read_all(self) -> list[Account]:
        """Return every registered account, by ID: a scan of the registry, for registration and fallback only."""
        items = dynamodb.scan(
            TableName=self._table,
            FilterExpression="#record = :account",
            ExpressionAttributeNames={"#record": "record"},
            values={":account": ACCOUNT},
            ConsistentRead=True,
        )
        return sorted(map(Account.of, items), key=lambda account: account.account_id)

    def memberships(self, account_id: str) -> list[Membership]:
        """Return the staging memberships of the target `account_id`, by staging account."""
        items = dynamodb.query(
            TableName=self._table,
            KeyConditionExpression="accountId = :account AND begins_with(#record, :staging)",
            ExpressionAttributeNames={"#record": "record"},
            values={":account": account_id, ":staging": STAGING},
            ConsistentRead=True,
        )
        return [Membership.of(item) for item in items]

    def targets_of(self, staging_account_id: str) -> list[str]:
        """Return the IDs of the targets whose staging account this is; an index, hence a moment behind."""
        items = dynamodb.query(
            TableName=self._table,
            IndexName=MEMBER_INDEX,
            KeyConditionExpression="stagingAccountId = :staging",
            values={":staging": staging_account_id},
        )
        return sorted(item["accountId"] for item in items)

    def create(self, account: Account) -> None:
        """Store a new account.

        Raises:
            AlreadyExists: where it is registered.
        """
        self._create({**account.item(), "record": ACCOUNT}, f"account {account.account_id} is registered already")

    def create_membership(self, membership: Membership) -> None:
        """Store a new membership.

        Raises:
            AlreadyExists: where the target has this staging account already.
        """
        self._create(
            {**membership.item(), "record": STAGING + membership.staging_account_id},
            f"{membership.staging_account_id} is a staging account of {membership.account_id} already",
        )

    def _create(self, item: dynamodb.Item, exists: str) -> None:
        try:
            dynamodb.client().put_item(
                TableName=self._table,
                Item=dynamodb.marshal(item),
                ConditionExpression="attribute_not_exists(accountId)",
            )
        except ClientError as error:
            if dynamodb.code(error) == "ConditionalCheckFailedException":
                raise AlreadyExists(exists) from None
            raise
