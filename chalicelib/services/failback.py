"""Failback topology: where a server came from, for living servers and tombstones (R13.2)."""

from ..domain.failback import FailbackTopology, failback_topology
from ..domain.servers import InventoryIndex, Partition, ServerRow
from ..errors import NotFound
from ..observability import logger
from .ports import Inventory

MOST_OF_A_NAME = 50


class Failback:
    """Answers from the inventory alone: in a disaster, DRS of the origin region may not."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory

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
        topology = failback_topology(row, self._counterpart(row))
        if topology.warnings:
            logger.warning("failback topology is incomplete", server=row.source_server_id, missing=topology.warnings)
        return topology

    def _counterpart(self, row: ServerRow) -> ServerRow | None:
        """Return the record in the other direction, by its ARN: `...:source-server/<ID>`, where it was ever seen."""
        arn = row.reversed_direction_source_server_arn
        if not arn:
            return None
        region, server_id = arn.split(":")[3], arn.rpartition("/")[2]
        rows = self._inventory.of_server(server_id)
        return next((row for row in rows if row.replication_region == region), None)
