"""Failback topology: where a server came from, for living servers and tombstones (R13.2)."""

from ..domain.aws_answers import SERVER_ARN
from ..domain.failback import FailbackTopology, failback_topology
from ..domain.scopes import Scope
from ..domain.servers import InventoryIndex, Partition, ServerRow
from ..errors import NotFound
from ..observability import logger
from .ports import Accounts, AwsPartitions, Inventory

MOST_OF_A_NAME = 50


class Failback:
    """Answers from the inventory alone: in a disaster, DRS of the origin region may not."""

    def __init__(self, inventory: Inventory, accounts: Accounts, aws_partition: AwsPartitions) -> None:
        self._inventory = inventory
        self._accounts = accounts
        self._aws_partition = aws_partition

    def get_failback_topology(self, server_id: str) -> FailbackTopology:
        """Return the topology of a server, whichever of its two records is named.

        Raises:
            NotFound: where no such server was ever seen.
        """
        rows = self._inventory.of_server(server_id)
        if not rows:
            raise NotFound(f"there is no server '{server_id}', and none of that ID was ever seen")
        return self._topology(max(rows, key=lambda row: (row.living, row.last_updated)))

    def of_hostname(self, hostname: str) -> list[FailbackTopology]:
        """Return the topologies of every server of that name, living ones first; at most 50.

        Raises:
            NotFound: where no server of that name was ever seen.
        """
        page = self._inventory.page(Partition(InventoryIndex.HOSTNAME, hostname), MOST_OF_A_NAME, None)
        if not page.rows:
            raise NotFound(f"no server of the name '{hostname}' was ever seen")
        return [
            self._topology(row) for row in sorted(page.rows, key=lambda row: (not row.living, row.source_server_id))
        ]

    def _topology(self, row: ServerRow) -> FailbackTopology:
        partition = self._aws_partition(row.arn.split(":")[1] if SERVER_ARN.fullmatch(row.arn) else "")
        counterpart = self._counterpart(row)
        topology = failback_topology(
            self._with_configuration(row), self._with_configuration(counterpart) if counterpart else None, partition
        )
        if topology.warnings:
            logger.warning("failback topology is incomplete", server=row.source_server_id, missing=topology.warnings)
        return topology

    def _counterpart(self, row: ServerRow) -> ServerRow | None:
        """Return the record in the other direction, where it was ever seen and names this one too.

        What a record says of another is a claim: only two that name each other are of one machine.
        """
        found = self._related(row, row.reversed_direction_source_server_arn)
        return found if found and found.reversed_direction_source_server_arn == row.arn else None

    def _with_configuration(self, row: ServerRow) -> ServerRow:
        """Return the row of an extension with the replication configuration of its original, which replicates."""
        if not row.extended or row.topology is None or row.topology.complete:
            return row
        original = self._related(row, row.staging_source_server_arn)
        if original is None or original.topology is None:
            return row
        configuration = original.topology.original_replication_configuration
        topology = row.topology.model_copy(update={"original_replication_configuration": configuration})
        return row.model_copy(update={"topology": topology})

    def _related(self, row: ServerRow, arn: str | None) -> ServerRow | None:
        """Return the row that `arn` names, where it is of the account that the ARN names, and of the same tenant."""
        if not arn or not SERVER_ARN.fullmatch(arn):
            return None
        scope = Scope(account_id=arn.split(":")[4], region=arn.split(":")[3])
        rows = self._inventory.of_server(arn.rpartition("/")[2])
        found = next((other for other in rows if (other.account_id, other.replication_region) == scope), None)
        return found if found and self._same_tenant(row.account_id, found.account_id) else None

    def _same_tenant(self, one: str, other: str) -> bool:
        """Return whether two accounts are one tenant's; of an account that is not registered nobody knows."""
        if one == other:
            return True
        accounts = [self._accounts.read(account_id) for account_id in (one, other)]
        tenants = {account.tenant if account else None for account in accounts}
        return len(tenants) == 1 and None not in tenants
