"""The table of operations: what REST, direct invocation and the OpenAPI document have in common."""

from . import accounts, capacity, health, maintenance, regions, servers, staging_accounts, syncs
from .operation import Operation

RESOURCES = (health, regions, accounts, capacity, staging_accounts, servers, syncs, maintenance)
OPERATIONS: dict[str, Operation] = {
    operation.name: operation for resource in RESOURCES for operation in resource.OPERATIONS
}
QUESTIONS = {name: operation for name, operation in OPERATIONS.items() if operation.only_reads}
"""What can be asked without a permission to write anything or to enter any account."""
