"""The base of every record that crosses a boundary: tables, messages, API.

Fields are snake_case in Python and camelCase outside (R8).
"""

from datetime import datetime
from threading import RLock
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, PlainSerializer
from pydantic.alias_generators import to_camel


def iso(moment: datetime) -> str:
    """Return `moment` (aware) as ISO 8601 in UTC with milliseconds, e.g. `2026-02-15T06:00:00.000Z`.

    Fixed width, so that text order is time order.
    """
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_BUILDING = RLock()

Moment = Annotated[datetime, PlainSerializer(iso, return_type=str)]


class Record(BaseModel):
    """An immutable record; `None` means absent, and is not stored. Its errors do not repeat what was given: secrets.

    Its validator is built when it is first used: a function imports more records than it meets.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        defer_build=True,
    )

    def item(self) -> dict[str, Any]:
        """Return the record as stored: camelCase, without absent values, times as ISO 8601 text."""
        return self.model_dump(by_alias=True, exclude_none=True)

    @classmethod
    def of(cls, item: Any) -> Self:
        """Return the record that `item` (camelCase) holds.

        Raises:
            pydantic.ValidationError: naming each field that does not fit.
        """
        return cls.model_validate(item)

    @classmethod
    def model_rebuild(cls, *, _parent_namespace_depth: int = 2, **options: Any) -> bool | None:
        """Build the validator, in one thread at a time: pydantic's own building is not safe for threads."""
        with _BUILDING:
            return super().model_rebuild(_parent_namespace_depth=_parent_namespace_depth + 1, **options)
