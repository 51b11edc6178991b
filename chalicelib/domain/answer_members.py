"""Members of an answer, read one by one: what is not as the service's model says is unknown, and named."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

_DURATION = TypeAdapter(timedelta)
_MOMENT = TypeAdapter(datetime)
# botocore model `drs`: BoundedString, LargeBoundedString (an error message needs no 64 KB), ISO8601DatetimeString
BOUNDED, LARGE = 256, 2048
DATETIME = re.compile(r"[1-9][0-9]{3}-(0[1-9]|1[0-2])-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]+)?Z")
LARGEST_NUMBER = 2**63 - 1


class Members:
    """Reads members of one item of an answer, by dotted path; notes those that are not as the model says."""

    def __init__(self, item: Any) -> None:
        self._item = item
        self.unreadable: list[str] = []

    def text(self, path: str, form: re.Pattern[str] | None = None, most: int = BOUNDED) -> str | None:
        """Return a text of at most `most` characters that has the `form`; None where there is none, or an empty one."""
        value = self._at(path)
        if value is None or value == "":
            return None
        if isinstance(value, str) and len(value) <= most and _storable(value) and (not form or form.fullmatch(value)):
            return value
        self._unreadable(path)
        return None

    def of_partition(self, path: str, fits: Any) -> str | None:
        """Return a text that `fits`."""
        value = self.text(path)
        if value is not None and not fits(value):
            self._unreadable(path)
            return None
        return value

    def number(self, path: str) -> int | None:
        """Return a number, 0 or more."""
        value = self._at(path)
        if value is None or not _is_number(value):
            if value is not None:
                self._unreadable(path)
            return None
        return int(value)

    def total(self, path: str, member: str) -> int | None:
        """Return the sum of `member` over a list of parts; None where one cannot be read, or there are none."""
        parts = self._list(path)
        numbers = [part.get(member) or 0 if isinstance(part, Mapping) else None for part in parts]
        if not all(map(_is_number, numbers)) or not _is_number(sum(n for n in numbers if n is not None)):
            self._unreadable(path)
            return None
        return sum(n for n in numbers if n is not None) if parts else None

    def texts(self, path: str, member: str) -> list[str]:
        """Return the texts in the lists `member` of a list of parts, each once."""
        found: set[str] = set()
        for part in self._list(path):
            values = part.get(member) or [] if isinstance(part, Mapping) else None
            if isinstance(values, list) and all(isinstance(value, str) and _storable(value) for value in values):
                found |= set(values)
            else:
                self._unreadable(path)
        return sorted(found)

    def moment(self, path: str) -> str | None:
        """Return a point in time as the service says it."""
        text = self.text(path, DATETIME)
        if text is not None and not _valid(_MOMENT, text):
            self._unreadable(path)
            return None
        return text

    def duration(self, path: str) -> int | None:
        """Return an ISO 8601 duration (e.g. `PT2H5M`) in seconds."""
        text = self.text(path, most=64)
        if text is None:
            return None
        found = seconds(text)
        if found is None:
            self._unreadable(path)
        return found

    def tags(self, path: str) -> dict[str, str] | None:
        """Return tags as a mapping; None where they cannot be read: nobody knows which there are."""
        value = {} if (given := self._at(path)) is None else given
        if isinstance(value, Mapping) and all(map(_is_tag, value.items())):
            return dict(value)
        self._unreadable(path)
        return None

    def tag_list(self, path: str) -> dict[str, str] | None:
        """Return EC2's list of tags as a mapping; None where they cannot be read."""
        pairs = list(_pairs(self._at(path)))
        if not all(map(_is_tag, pairs)):
            self._unreadable(path)
            return None
        return dict(pairs)

    def _at(self, path: str) -> Any:
        value = self._item
        for name in path.split("."):
            if value is None:
                return None
            if not isinstance(value, Mapping):
                self._unreadable(path)
                return None
            value = value.get(name)
        return value

    def _list(self, path: str) -> list[Any]:
        value = self._at(path)
        if value is not None and not isinstance(value, list):
            self._unreadable(path)
            return []
        return value or []

    def _unreadable(self, path: str) -> None:
        if path not in self.unreadable:
            self.unreadable.append(path)


def _pairs(tags: Any) -> Iterator[tuple[Any, Any]]:
    if tags is not None and not isinstance(tags, list):
        yield None, None
        return
    for tag in tags or []:
        yield (tag.get("Key"), tag.get("Value")) if isinstance(tag, Mapping) else (None, None)


def _is_tag(pair: tuple[Any, Any]) -> bool:
    return all(isinstance(part, str) and _storable(part) for part in pair)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_NUMBER


def _valid(kind: TypeAdapter[Any], text: str) -> bool:
    try:
        kind.validate_python(text)
    except ValidationError:
        return False
    return True


def _storable(text: str) -> bool:
    """Return whether a table can hold the text: JSON can hold half of a surrogate pair, UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def seconds(duration: str | None) -> int | None:
    """Return an ISO 8601 duration (DRS: `lagDuration`, e.g. `PT2H5M`) in seconds; None where there is none.

    One that is no duration is unknown as well: a server's lag must not stop the scan of its scope.
    """
    try:
        return None if duration is None else int(_DURATION.validate_python(duration).total_seconds())
    except (ValidationError, OverflowError):
        return None
