"""EC2 instances in their origin account and region."""

from typing import Any

from ..domain.accounts import Access, Account
from .dynamodb import chunks
from .services import readable, translated
from .sessions import CustomerSessions

FILTER_LIMIT = 200  # EC2: values per filter


class Ec2Reader:
    """Looks EC2 instances up with an account's reader role."""

    def __init__(self, sessions: CustomerSessions) -> None:
        self._sessions = sessions

    def instances(self, account: Account, region: str, instance_ids: list[str]) -> dict[str, dict[str, Any]]:
        """Return those of `instance_ids` that exist, by ID.

        They are filtered for, not named: naming one that is gone fails the whole call.

        Raises:
            ServiceError: its kind says why; never an incomplete answer.
        """
        found = {}
        subject = f"EC2 of {account.account_id} in {region}"
        with translated(subject), readable(subject):
            client = self._sessions.client(account, Access.READER, "ec2", region)
            for some in chunks(sorted(set(instance_ids)), FILTER_LIMIT):
                pages = client.get_paginator("describe_instances").paginate(
                    Filters=[{"Name": "instance-id", "Values": some}]
                )
                for page in pages:
                    for reservation in page["Reservations"]:
                        found.update({instance["InstanceId"]: instance for instance in reservation["Instances"]})
        return found
