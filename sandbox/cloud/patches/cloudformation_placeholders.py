"""Resource types that MiniStack's CloudFormation does not know, and for which a whole stack would fail.

MiniStack: a template with one of these types is refused ("Unrecognized resource types"), and so is an alarm on metric
math.

AWS: a saved Logs Insights query, schemas of events, the policy of an event bus, an alarm made of alarms, an alarm on an
expression.

Mended: composite alarms and bus policies are made through MiniStack's own services, which have them (the policy is
kept and shown, not enforced). The others are recorded in the stack and do nothing else: an alarm on metric math stays
without data.
"""

from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch, eventbridge
from ministack.services.cloudformation import provisioners

Properties = dict[str, Any]
Made = tuple[str, dict[str, str]]
Create = Callable[[str, Properties, str], Made]

RECORDED_ONLY = {
    "AWS::Logs::QueryDefinition": "Name",
    "AWS::EventSchemas::Discoverer": "Description",
    "AWS::EventSchemas::Registry": "RegistryName",
    "AWS::EventSchemas::Schema": "SchemaName",
}
"""Type, and the property that names the resource."""
ALARM = "AWS::CloudWatch::Alarm"


def apply() -> None:
    """Register the missing types, unless MiniStack has learnt them, and record alarms on metric math."""
    for resource_type, name_property in RECORDED_ONLY.items():
        _register(resource_type, _recorder(resource_type, name_property), _nothing)
    _register("AWS::CloudWatch::CompositeAlarm", _composite_alarm, _delete_composite_alarm)
    _register("AWS::Events::EventBusPolicy", _bus_policy, _delete_bus_policy)
    alarms = provisioners._RESOURCE_HANDLERS[ALARM]
    alarms["create"] = _without_metric_math(alarms["create"])


def _register(resource_type: str, create: Create, delete: Callable[[str, Properties], None]) -> None:
    def update(physical_id: str, _old: Properties, new: Properties, stack_name: str) -> Made:
        made, attributes = create(physical_id, new, stack_name)
        if made != physical_id:
            delete(physical_id, _old)
        return made, attributes

    provisioners._RESOURCE_HANDLERS.setdefault(resource_type, {"create": create, "update": update, "delete": delete})


def _recorder(resource_type: str, name_property: str) -> Create:
    service = resource_type.split("::")[1].lower()

    def record(logical_id: str, properties: Properties, stack_name: str) -> Made:
        name = str(properties.get(name_property) or f"{stack_name}-{logical_id}")
        return name, {"Arn": f"arn:aws:{service}:{get_region()}:{get_account_id()}:{name}"}

    return record


def _nothing(*_: object) -> None:
    return None


def _without_metric_math(create: Create) -> Create:
    record = _recorder(ALARM, "AlarmName")

    def create_or_record(logical_id: str, properties: Properties, stack_name: str) -> Made:
        return (record if properties.get("Metrics") else create)(logical_id, properties, stack_name)

    return create_or_record


def _composite_alarm(logical_id: str, properties: Properties, stack_name: str) -> Made:
    name = str(properties.get("AlarmName") or f"{stack_name}-{logical_id}")
    status, _, body = cloudwatch._put_composite_alarm({}, {**properties, "AlarmName": name}, False, is_json=True)
    if status >= 400:
        raise ValueError(f"AWS::CloudWatch::CompositeAlarm {name}: {body!r}")
    return name, {"Arn": f"arn:aws:cloudwatch:{get_region()}:{get_account_id()}:alarm:{name}"}


def _delete_composite_alarm(name: str, _properties: Properties) -> None:
    cloudwatch._composite_alarms.pop(name, None)


def _bus_policy(_logical_id: str, properties: Properties, _stack_name: str) -> Made:
    statement = properties.get("Statement") or {}
    eventbridge._put_permission({**properties, **statement})
    return str(properties["StatementId"]), {}


def _delete_bus_policy(statement_id: str, properties: Properties) -> None:
    bus = properties.get("EventBusName", "default")
    eventbridge._remove_permission({"EventBusName": bus, "StatementId": statement_id})
