"""Tables that CloudFormation must leave alone.

MiniStack: a new `AWS::DynamoDB::Table` whose name is taken replaces the table that has it, with everything in it; a
table with deletion protection is deleted with its stack or its resource.

AWS: the first is refused ("already exists"), the second too ("Resource cannot be deleted as it is currently protected
against deletion"); the operation fails
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithTables.Basics.html).

Mended: both raise.
"""

from collections.abc import Mapping
from typing import Any

from ministack.services import dynamodb
from ministack.services.cloudformation import provisioners

from sandbox.cloud.patches.cloudformation_properties import truth

TABLE = "AWS::DynamoDB::Table"
Properties = Mapping[str, Any]


def apply() -> None:
    """Refuse to make a table twice, and to delete a protected one."""
    handlers = provisioners._RESOURCE_HANDLERS[TABLE]
    create, delete = handlers["create"], handlers["delete"]

    def create_if_free(logical_id: str, properties: Properties, stack_name: str) -> Any:
        if (name := properties.get("TableName")) in dynamodb._tables:
            raise ValueError(f"Table already exists: {name}")
        return create(logical_id, properties, stack_name)

    def delete_if_unprotected(name: str, properties: Properties) -> Any:
        if truth(dynamodb._tables.get(name, {}).get("DeletionProtectionEnabled")):
            raise ValueError(f"Resource cannot be deleted as it is currently protected against deletion: {name}")
        return delete(name, properties)

    handlers["create"], handlers["delete"] = create_if_free, delete_if_unprotected
