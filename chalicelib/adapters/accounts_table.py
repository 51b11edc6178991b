"""The table `accounts`: registered accounts and their staging memberships, an item each."""

import time
from hashlib import sha256
from typing import Any

from botocore.exceptions import ClientError

from ..domain.accounts import DEFAULT_TENANT, Account, AccountKind, AccountStatus, Membership
from ..errors import AlreadyExists, DrsActiveRegionsError, InvalidRequest, NotFound
from . import dynamodb
from .pauses import pauses
from .stored_records import stored

ACCOUNT = "ACCOUNT"
STAGING = "STAGING#"
MEMBER_INDEX = "MemberIndex"
KIND_INDEX = "KindIndex"
EXTERNAL_ID = "EXTERNAL_ID"
TRIES = 6
CONDITION_FAILED = "ConditionalCheckFailed"
TAKEN = "externalId: another account has it; each account needs one of its own"


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
        """Store a new account, and that its ExternalId is its own, in one transaction.

        Raises:
            AlreadyExists: where it is registered.
            InvalidRequest: where another account has its ExternalId.
        """
        actions = [self._put(account, "attribute_not_exists(accountId)"), *self._claim(account)]
        failed = self._transact(actions)
        if failed[0]:
            raise AlreadyExists(f"account {account.account_id} is registered already")
        if any(failed):
            raise InvalidRequest(TAKEN)

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
        """Store the account anew; where its ExternalId changed, the old one is free again in the same transaction.

        Raises:
            NotFound: where it is not registered, or is being removed.
            InvalidRequest: where another account has its ExternalId.
        """
        while (before := self.read(account.account_id)) and before.status is not AccountStatus.REMOVING:
            condition, values = _unchanged(before, "attribute_exists(accountId) AND #status <> :removing")
            put = self._put(account, condition, {**values, ":removing": AccountStatus.REMOVING.value})
            changed = before.external_id != account.external_id
            failed = self._transact([put, *self._claim(account), *(self._release(before) if changed else [])])
            if any(failed[1:]):
                raise InvalidRequest(TAKEN)
            if not any(failed):
                return
        raise NotFound(f"account {account.account_id} is not registered, or is being removed")

    def delete(self, account_id: str, status: AccountStatus) -> None:
        """Take away the account of that `status` and free its ExternalId, in one transaction.

        Nothing happens where there is none, or it came back meanwhile.
        """
        while (before := self.read(account_id)) and before.status is status:
            condition, values = _unchanged(before, "#status = :status")
            delete = {
                "TableName": self._table,
                "Key": dynamodb.marshal({"accountId": account_id, "record": ACCOUNT}),
                "ConditionExpression": condition,
                "ExpressionAttributeNames": {"#status": "status"},
                "ExpressionAttributeValues": dynamodb.marshal({**values, ":status": status.value}),
            }
            if not any(self._transact([{"Delete": delete}, *self._release(before)])):
                return

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

    def _put(self, account: Account, condition: str, values: dynamodb.Item | None = None) -> dict[str, Any]:
        put = {
            "TableName": self._table,
            "Item": dynamodb.marshal({**account.item(), "record": ACCOUNT}),
            "ConditionExpression": condition,
        }
        if values:
            put["ExpressionAttributeNames"] = {"#status": "status"}
            put["ExpressionAttributeValues"] = dynamodb.marshal(values)
        return {"Put": put}

    def _claim(self, account: Account) -> list[dict[str, Any]]:
        """Return what stores that the account's ExternalId is its own; it fails where it is another's."""
        if account.external_id is None:
            return []
        item = {**_claim_key(account.external_id), "ownerId": account.account_id}
        put = {
            "TableName": self._table,
            "Item": dynamodb.marshal(item),
            "ConditionExpression": "attribute_not_exists(accountId) OR ownerId = :owner",
            "ExpressionAttributeValues": dynamodb.marshal({":owner": account.account_id}),
        }
        return [{"Put": put}]

    def _release(self, account: Account) -> list[dict[str, Any]]:
        """Return what frees the account's ExternalId; nothing where that was never stored to be its own."""
        if account.external_id is None:
            return []
        key = _claim_key(account.external_id)
        claim = dynamodb.get(self._table, key)
        if claim is None or claim["ownerId"] != account.account_id:
            return []
        delete = {
            "TableName": self._table,
            "Key": dynamodb.marshal(key),
            "ConditionExpression": "attribute_not_exists(accountId) OR ownerId = :owner",
            "ExpressionAttributeValues": dynamodb.marshal({":owner": account.account_id}),
        }
        return [{"Delete": delete}]

    @staticmethod
    def _transact(actions: list[dict[str, Any]]) -> list[bool]:
        """Carry out one transaction; return for each action whether its condition failed: where one did, none is done.

        Safe to repeat: each action is conditional, and a conflict with another writer leaves nothing behind.
        """
        for pause in pauses(TRIES):
            time.sleep(pause)
            try:
                dynamodb.client().transact_write_items(TransactItems=actions)
            except ClientError as error:
                if dynamodb.code(error) != "TransactionCanceledException":
                    raise
                codes = [reason.get("Code") for reason in error.response["CancellationReasons"]]
                if CONDITION_FAILED in codes:
                    return [code == CONDITION_FAILED for code in codes]
                if not set(codes) <= {"None", "TransactionConflict", "ThrottlingError"}:
                    raise
            else:
                return [False] * len(actions)
        raise DrsActiveRegionsError(f"the registry is busy: a transaction conflicted {TRIES} times")

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


def _claim_key(external_id: str) -> dynamodb.Item:
    """Return the key of the item that says whose an ExternalId is: its hash, because keys are no place for secrets."""
    return {"accountId": f"{EXTERNAL_ID}#{sha256(external_id.encode()).hexdigest()}", "record": EXTERNAL_ID}


def _unchanged(before: Account, condition: str) -> tuple[str, dynamodb.Item]:
    """Return `condition` with that the account's ExternalId is the one that was read, and its values."""
    if before.external_id is None:
        return f"{condition} AND attribute_not_exists(externalId)", {}
    return f"{condition} AND externalId = :external", {":external": before.external_id}
