"""Texts that came from outside, made safe to store, to log and to show.

What a customer's service says may hold anything: characters that move a terminal's cursor, that reverse the reading
direction or that begin a new line, and as much of it as somebody likes.
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

MOST_CHARACTERS = 1000  # of one message
ELLIPSIS = " ... ({left} more characters)"

Value = TypeVar("Value")

_UNSAFE = re.compile(
    "["
    "\u0000-\u001f\u007f-\u009f"  # C0, delete, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional controls (Unicode Standard Annex 9, section 2)
    "\u2028\u2029"  # line and paragraph separator
    "\ufeff"
    "\ud800-\udfff"  # half of a surrogate pair: no UTF-8 can hold it
    "]"
)
_UNSAFE_ON_A_LINE = re.compile(_UNSAFE.pattern.replace("\u0000-\u001f", "\u0000-\u0008\u000b-\u001f"))


def neutral(text: str, *, lines: bool = False) -> str:
    """Return `text` with every control character written out; with `lines`, line breaks and tabs stay as they are."""
    return (_UNSAFE_ON_A_LINE if lines else _UNSAFE).sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def shortened(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return the first `most` characters of `text`; where that is not all of it, how many are left out."""
    return text if len(text) <= most else text[:most] + ELLIPSIS.format(left=len(text) - most)


def message_text(text: str) -> str:
    """Return a message of another's service as it is stored and shown: neutral, and of bounded length."""
    return shortened(neutral(text))


def json_bytes(value: Any) -> int:
    """Return how many bytes `value` takes as JSON in UTF-8: never less than in a DynamoDB item."""
    return len(json.dumps(value, ensure_ascii=False, default=str).encode(errors="replace"))


def fitting(values: Iterable[Value], most: int, most_bytes: int, size: Callable[[Value], int]) -> list[Value]:
    """Return the first of `values`: `most` at most, and no more than together take `most_bytes`."""
    kept: list[Value] = []
    for value in values:
        most_bytes -= size(value)
        if len(kept) == most or most_bytes < 0:
            break
        kept.append(value)
    return kept
