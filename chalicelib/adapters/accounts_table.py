"""The table `accounts`: registered accounts and their staging memberships, an item each."""

from botocore.exceptions import ClientError

from ..domain.accounts import DEFAULT_TENANT, Account, AccountKind, AccountStatus, Membership
from ..errors import AlreadyExists, NotFound
from . import dynamodb
from .stored_records import stored

ACCOUNT = "ACCOUNT"
STAGING = "STAGING#"
MEMBER_INDEX = "MemberIndex"
KIND_INDEX = "KindIndex"


class AccountsTable:
    """Reads and writes the registry.

    Args:
        table: its name.
        default_tenant: the tenant of accounts that were stored without one.
    """

    def __init__(self, table: str, default_tenant: str = DEFAULT_TENANT) -> None:
        self._table = table
        self._default_tenant = default_tenant

    def read(self, account_id: str) -> Account | None:
        """Return the account, or None where it is not registered."""
        item = dynamodb.get(self._table, {"accountId": account_id, "record": ACCOUNT})
        return self._account(item) if item else None

    def read_all(self) -> list[Account]:
        """Return every registered account, by kind and ID; an index, hence a moment behind."""
        return [account for kind in AccountKind for account in self.of_kind(kind)]

    def of_kind(self, kind: AccountKind) -> list[Account]:
        """Return the registered accounts of `kind`, by ID; an index, hence a moment behind."""
        items = dynamodb.query(
            TableName=self._table,
            IndexName=KIND_INDEX,
            KeyConditionExpression="kind = :kind",
            values={":kind": kind.value},
        )
        return [self._account(item) for item in items]

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

    def replace(self, account: Account) -> None:
        """Store the account anew.

        Raises:
            NotFound: where it is not registered, or is being removed.
        """
        try:
            dynamodb.write(
                "put_item",
                TableName=self._table,
                Item=dynamodb.marshal({**account.item(), "record": ACCOUNT}),
                ConditionExpression="attribute_exists(accountId) AND #status <> :removing",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues=dynamodb.marshal({":removing": AccountStatus.REMOVING.value}),
            )
        except ClientError as error:
            if dynamodb.code(error) == "ConditionalCheckFailedException":
                raise NotFound(f"account {account.account_id} is not registered, or is being removed") from None
            raise

    def delete(self, account_id: str, status: AccountStatus) -> None:
        """Take away the account of that `status`; nothing happens where there is none, or it came back meanwhile."""
        try:
            dynamodb.write(
                "delete_item",
                TableName=self._table,
                Key=dynamodb.marshal({"accountId": account_id, "record": ACCOUNT}),
                ConditionExpression="#status = :status",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues=dynamodb.marshal({":status": status.value}),
            )
        except ClientError as error:
            if dynamodb.code(error) != "ConditionalCheckFailedException":
                raise

    def delete_membership(self, account_id: str, staging_account_id: str) -> bool:
        """Take a membership away; False where there was none."""
        answer = dynamodb.write(
            "delete_item",
            TableName=self._table,
            Key=dynamodb.marshal({"accountId": account_id, "record": STAGING + staging_account_id}),
            ReturnValues="ALL_OLD",
        )
        return "Attributes" in answer

    def _account(self, item: dynamodb.Item) -> Account:
        return stored(Account, {"tenant": self._default_tenant, **item})

    def _create(self, item: dynamodb.Item, exists: str) -> None:
        try:
            dynamodb.write(
                "put_item",
                TableName=self._table,
                Item=dynamodb.marshal(item),
                ConditionExpression="attribute_not_exists(accountId)",
            )
        except ClientError as error:
            if dynamodb.code(error) == "ConditionalCheckFailedException":
                raise AlreadyExists(exists) from None
            raise
