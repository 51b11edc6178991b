"""Recorded answers without anything that tells whose they are.

Everything that is text becomes a stand-in, unless the service's model lists it as one of few values, or it is a
point in time, a duration, a region or a zone. The same text gets the same stand-in everywhere, of the same form: what
refers to each other still does.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from botocore.model import Shape, StructureShape

KEPT = (
    re.compile("instance-id"),
    re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|\+00:00)"),
    re.compile(r"P(?=[0-9T])([0-9]+D)?(T([0-9]+H)?([0-9]+M)?([0-9.]+S)?)?"),
    re.compile(r"(us|eu|ap|sa|ca|me|af|il|mx|cn|us-gov|us-iso[bf]?|eusc)-[a-z]{2,9}-[0-9][a-f]?"),
)
"""The name of the filter that is asked with; moments, durations, regions and availability zones."""
ARN = re.compile(r"arn:(aws[a-z-]*):([a-z0-9-]*):([a-z0-9-]*):([0-9]{12})?:(.+)", re.DOTALL)
RESOURCE_KINDS = {"source-server", "recovery-instance", "instance", "role", "assumed-role", "key", "user"}
RESOURCE_ID = re.compile(r"(i|s|r|ri|vpc|subnet|sg|eni|vol|snap|ami|lt|rct|job)-([0-9a-zA-Z]{8,32})")
FORMS: tuple[tuple[str, re.Pattern[str], Callable[[int], str]], ...] = (
    ("account", re.compile(r"[0-9]{12}"), lambda n: f"{n:012d}"),
    (
        "mac",
        re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}"),
        lambda n: f"02:00:00:00:{n >> 8 & 255:02x}:{n & 255:02x}",
    ),
    ("ip", re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}"), lambda n: f"198.18.{n >> 8}.{n & 255}"),
    ("ipv6", re.compile(r"(?=.*:.*:)[0-9a-fA-F:.]{3,45}"), lambda n: f"2001:db8::{n:x}"),
)
"""Forms that a stand-in keeps, and the stand-in of each number: of ranges that belong to nobody."""
RESERVED = ("aws:", "AWSElasticDisasterRecovery")
"""Beginnings of tag keys that mean something to the product and belong to AWS."""
SECRETS = {"Credentials", "PackedPolicySize"}


class StandIns:
    """Gives every text its stand-in.

    Args:
        recorded: everything that was recorded, as one text: no stand-in occurs in it.
    """

    def __init__(self, recorded: str) -> None:
        self._recorded = recorded
        self._given: dict[tuple[str, str], str] = {}
        self._numbers: dict[str, int] = {}

    def text(self, original: str) -> str:
        """Return the stand-in of a text, by its form."""
        if arn := ARN.fullmatch(original):
            return self._arn(*arn.groups())
        if parts := RESOURCE_ID.fullmatch(original):
            prefix, rest = parts.groups()
            return self._next(prefix, original, lambda n: f"{prefix}-{n:0{len(rest)}x}")
        for form, pattern, made in FORMS:
            if pattern.fullmatch(original):
                return self._next(form, original, made)
        return self._next("text", original, lambda n: f"text-{n}") if original else ""

    def tag_key(self, original: str) -> str:
        """Return the stand-in of a tag's key; what marks it as AWS's own stays."""
        reserved = next((prefix for prefix in RESERVED if original.startswith(prefix)), "")
        rest = original.removeprefix(reserved)
        return reserved + (self.text(rest) if rest else "")

    def _arn(self, partition: str, service: str, region: str, account: str | None, resource: str) -> str:
        parts = re.split(r"([/:])", resource)
        named = [part if part in RESOURCE_KINDS or part in "/:" else self.text(part) for part in parts]
        return f"arn:{partition}:{service}:{region}:{self.text(account or '')}:{''.join(named)}"

    def _next(self, form: str, original: str, made: Callable[[int], str]) -> str:
        if (form, original) not in self._given:
            number = self._numbers.get(form, 0) + 1
            while made(number) in self._recorded:
                number += 1
            self._numbers[form] = number
            self._given[form, original] = made(number)
        return self._given[form, original]


def redacted(value: Any, shape: Shape | None, stand_ins: StandIns) -> Any:
    """Return `value`, an answer or a request, as JSON with stand-ins.

    Args:
        value: as botocore takes and returns it.
        shape: its shape in the service's model; None where the model does not know it.
        stand_ins: of the whole recording.
    """
    if isinstance(value, Mapping):
        return _mapping(value, shape, stand_ins)
    if isinstance(value, list | tuple):
        element = getattr(shape, "member", None)
        return [redacted(item, element, stand_ins) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    listed = getattr(shape, "enum", None) or ()
    if text in listed or any(form.fullmatch(text) for form in KEPT):
        return text
    return stand_ins.text(text)


def _mapping(value: Mapping[str, Any], shape: Shape | None, stand_ins: StandIns) -> dict[str, Any]:
    if isinstance(shape, StructureShape):
        members: Mapping[str, Shape] = shape.members
        is_tag = set(value) <= {"Key", "Value"} and "Key" in value
        return {
            name: stand_ins.tag_key(item) if is_tag and name == "Key" else redacted(item, members[name], stand_ins)
            for name, item in value.items()
            if name in members and name not in SECRETS
        }
    return {
        stand_ins.tag_key(str(name)): redacted(item, getattr(shape, "value", None), stand_ins)
        for name, item in value.items()
    }
