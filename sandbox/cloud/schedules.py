"""Make a scheduled rule due now, so that nobody waits for its interval to see it fire."""

from ministack.services import eventbridge
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

LONG_AGO = 0.0


class Due(BaseModel):
    """Which rules: those whose name contains `rule`, in the account."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    account_id: str
    rule: str


def make_due(wanted: Due) -> list[str]:
    """Let the scheduler fire the wanted rules at its next tick; return the names of those that are enabled.

    The rule fires through MiniStack's own scheduler, once, and its next interval counts from then.
    """
    due = []
    for key, rule in eventbridge._rules.all_items():
        if key[0] == wanted.account_id and wanted.rule in rule["Name"] and rule.get("ScheduleExpression"):
            eventbridge._rule_last_fired[key] = LONG_AGO
            due += [rule["Name"]] if rule.get("State") == "ENABLED" else []
    return due
