"""CloudFormation properties that MiniStack accepts and drops.

MiniStack: `AWS::DynamoDB::Table` loses TimeToLiveSpecification, PointInTimeRecoverySpecification and
SSESpecification, `AWS::Lambda::Function` loses ReservedConcurrentExecutions, DeadLetterConfig and
RecursiveLoop.
`AWS::Lambda::EventSourceMapping` keeps numbers and booleans as the strings that template parameters are, on which the
poller of every queue stumbles.

AWS: all of them take effect.

Mended: after the resource is created or updated, they are applied through the service's own functions, and cleared
where an update leaves them out.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ministack.services import dynamodb, lambda_svc
from ministack.services.cloudformation import provisioners

Properties = Mapping[str, Any]
Finish = Callable[[str, Properties], None]


def apply() -> None:
    """Finish tables, functions and event source mappings after CloudFormation made or changed them."""
    for resource_type, finish in FINISHES.items():
        handlers = provisioners._RESOURCE_HANDLERS[resource_type]
        handlers["create"] = _finished(handlers["create"], finish, properties_at=1)
        handlers["update"] = _finished(handlers["update"], finish, properties_at=2)


def _finished(make: Callable[..., Any], finish: Finish, properties_at: int) -> Callable[..., Any]:
    def made_and_finished(*arguments: Any, **options: Any) -> Any:
        made = make(*arguments, **options)
        finish(made[0], arguments[properties_at])
        return made

    return made_and_finished


def _finish_table(name: str, properties: Properties) -> None:
    expiry = properties.get("TimeToLiveSpecification")
    if expiry or name in dynamodb._ttl_settings:
        expiry = expiry or {"Enabled": False, "AttributeName": dynamodb._ttl_settings[name]["AttributeName"]}
        dynamodb._ttl_settings[name] = {
            "TimeToLiveStatus": "ENABLED" if truth(expiry.get("Enabled")) else "DISABLED",
            "AttributeName": expiry["AttributeName"],
        }
    recovery = properties.get("PointInTimeRecoverySpecification") or {}
    enabled = truth(recovery.get("PointInTimeRecoveryEnabled"))
    dynamodb._update_continuous_backups(
        {"TableName": name, "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": enabled}}
    )
    encryption = properties.get("SSESpecification")
    dynamodb._tables[name]["SSEDescription"] = encryption and dynamodb._sse_description_from_spec(
        {**encryption, "Enabled": truth(encryption.get("SSEEnabled"))}
    )


def _finish_function(name: str, properties: Properties) -> None:
    function = lambda_svc._functions[name]
    reserved = properties.get("ReservedConcurrentExecutions")
    function["concurrency"] = None if reserved is None else int(reserved)
    function["recursive_loop"] = properties.get("RecursiveLoop") or "Terminate"
    if dead_letters := properties.get("DeadLetterConfig"):
        function["config"]["DeadLetterConfig"] = dict(dead_letters)
    else:
        function["config"].pop("DeadLetterConfig", None)


NUMBERS = (
    "BatchSize",
    "MaximumBatchingWindowInSeconds",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "ParallelizationFactor",
)


def _finish_event_source(identifier: str, _properties: Properties) -> None:
    mapping = lambda_svc._esms[identifier]
    mapping["Enabled"] = truth(mapping["Enabled"])
    mapping["State"] = "Enabled" if mapping["Enabled"] else "Disabled"
    mapping.update({name: int(mapping[name]) for name in NUMBERS if mapping.get(name) is not None})
    if "BisectBatchOnFunctionError" in mapping:
        mapping["BisectBatchOnFunctionError"] = truth(mapping["BisectBatchOnFunctionError"])
    if concurrency := (mapping.get("ScalingConfig") or {}).get("MaximumConcurrency"):
        mapping["ScalingConfig"] = {"MaximumConcurrency": int(concurrency)}


def truth(value: object) -> bool:
    """Return what a template's boolean says, which is a string where it comes from a parameter."""
    return str(value).lower() == "true"


FINISHES: dict[str, Finish] = {
    "AWS::DynamoDB::Table": _finish_table,
    "AWS::Lambda::Function": _finish_function,
    "AWS::Lambda::EventSourceMapping": _finish_event_source,
}
