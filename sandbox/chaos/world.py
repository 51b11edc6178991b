"""What is so: the fleet as it changes, who is registered, and the operator who tells the product of it."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.cloud.client import InvocationError, SandboxCloud
from sandbox.fleet.evidence import Item, ServerKey, TrueServer, Truth, read_truth
from sandbox.fleet.model import STAGING, TARGET, Fleet, FleetAccount, FleetMembership
from sandbox.fleet.planting import plant_accounts
from sandbox.fleet.roles import deploy_roles

AGAIN_SECONDS = 1.0
OPERATOR_SECONDS = 180.0
"""How long an operator insists: an account must be scanned out of the inventory before it may come back."""


class RefusedError(Exception):
    """The product did not do what the operator asked for; the message carries its last answer."""


class World:
    """The fleet and everything that changes it: nature, and the operator, each with random numbers of its own.

    `fleet` is replaced as a whole, by `amend` only; `amending` is held where the cloud changes together with it.
    """

    def __init__(self, fleet: Fleet, cloud: SandboxCloud, seed: int) -> None:
        self.fleet = fleet
        self.cloud = cloud
        self.nature = random.Random(f"nature {seed}")
        self.operator = random.Random(f"operator {seed}")
        self.amending = threading.RLock()
        self.poison: set[str] = set()
        self.spare = _spare_account(fleet, seed)

    def amend(self, change: Callable[[Fleet], Fleet]) -> None:
        """Replace the fleet by what `change` makes of it."""
        with self.amending:
            self.fleet = change(self.fleet)

    def plant_spare(self) -> None:
        """Put the account that comes and goes into the cloud, with its roles; the product is not told yet."""
        alone = replace(self.fleet, accounts=(self.spare,))
        plant_accounts(alone, self.cloud)
        deploy_roles(alone, self.cloud)

    def truth(self) -> Truth:
        """Return what is so in the cloud now."""
        return read_truth(self.cloud)

    def ordinary(self, truth: Truth) -> list[TrueServer]:
        """Return the servers of registered accounts that nothing is special about, by ID: those that may change."""
        special = {server.server_id for server in self.fleet.servers if _special(server)}
        registered = {account.account_id for account in self.fleet.accounts}
        return sorted(
            (
                server
                for server in truth.servers()
                if server.place[0] in registered
                and server.server_id not in special
                and not (
                    server.default_ebs_key or server.extension_error or server.staging["status"] == "EXTENSION_ERROR"
                )
                and server.direction == "FAILOVER"
                and truth.instance_of(server)
            ),
            key=lambda server: server.server_id,
        )

    def row(self, key: ServerKey) -> Item | None:
        """Return the product's row of a server."""
        table: Any = self.cloud.hub().resource("dynamodb").Table(self.cloud.outputs.stack["InventoryTableName"])
        found = table.get_item(
            Key=dict(zip(("sourceServerID", "replicationRegion"), key, strict=True)), ConsistentRead=True
        )
        item: Item | None = found.get("Item")
        return item

    def gone(self, keys: Iterator[ServerKey]) -> None:
        """Note that servers are gone, or their account is: of those that the product never saw it owes no tombstone."""
        unseen = {key for key in keys if self.row(key) is None}
        self.amend(
            lambda fleet: replace(
                fleet,
                servers=tuple(server for server in fleet.servers if (server.server_id, server.region) not in unseen),
            )
        )

    def targets(self) -> list[str]:
        """Return the target accounts."""
        return [account.account_id for account in self.fleet.of_kind(TARGET)]

    def join(self, membership: FleetMembership) -> None:
        """Make a staging account one of a target's."""
        self.operate("add_staging_account", "ALREADY_EXISTS", **_membership(membership))
        self.amend(lambda fleet: replace(fleet, memberships=(*fleet.memberships, membership)))

    def part(self, membership: FleetMembership) -> None:
        """Take a staging account from a target."""
        self.operate("remove_staging_account", "NOT_FOUND", **_membership(membership))
        self.over_for(membership)

    def over_for(self, membership: FleetMembership) -> None:
        """Note that a membership is over."""
        self.amend(
            lambda fleet: replace(
                fleet,
                memberships=tuple(other for other in fleet.memberships if other != membership),
                former=(*fleet.former, membership),
            )
        )

    def operate(self, operation: str, *settled: str, **values: object) -> Item:
        """Let an operator ask for an operation until it is done.

        Args:
            operation: its name.
            settled: error codes that say that it is done, perhaps by an attempt whose answer was lost.
            values: its fields.

        Raises:
            RefusedError: the product refuses, or is not at it within three minutes.
        """
        deadline = time.monotonic() + OPERATOR_SECONDS
        while True:
            answer = self._asked({"operation": operation, **values})
            if "error" not in answer or answer["error"] in settled:
                return answer
            if time.monotonic() > deadline or answer["error"] == "INVALID_REQUEST":
                raise RefusedError(f"{operation} {values.get('accountId', '')}: {answer}")
            time.sleep(AGAIN_SECONDS)

    def _asked(self, event: Item) -> Item:
        """Return the product's answer; what breaks on the way is an answer too."""
        try:
            answer: Item = self.cloud.invoke(self.cloud.outputs.stack["OperationsFunctionName"], event)
        except (InvocationError, ClientError, BotoCoreError) as error:
            return {"error": "UNANSWERED", "message": str(error)}
        return answer


def _membership(membership: FleetMembership) -> Item:
    return {"accountId": membership.target, "stagingAccountId": membership.staging}


def _special(server: Any) -> bool:
    """Return whether a planted server is out of the ordinary: changing it would make it something else."""
    return bool(server.tags or server.default_ebs_key or server.extension_error or server.state == "DISCONNECTED")


def _spare_account(fleet: Fleet, seed: int) -> FleetAccount:
    """Return a staging account beside the fleet's: the same regions and trust as the first of them."""
    pattern = next(account for account in fleet.of_kind(STAGING) if account.trusts)
    made = random.Random(f"spare {seed}")
    return replace(
        pattern,
        account_id=f"399{made.randrange(10**9):09d}",
        name=f"{fleet.name}-staging-spare",
        external_id=f"{made.getrandbits(128):032x}",
    )
