"""Pages that neither skip nor repeat an item that exists during the whole scan.

Items are served in the order of a key that never changes and is never given twice (a server's sequence number, an
account's number), and a token says which key was served last. What comes or goes behind that key does not matter;
what comes after it is served. An offset would shift with every arrival and departure.
"""

import base64
import binascii
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from sandbox.drs.errors import invalid_field

Item = TypeVar("Item")


class Page(NamedTuple, Generic[Item]):
    """The items of one page, and the token for the next one (None: this was the last)."""

    items: list[Item]
    next_token: str | None


def page(
    items: Sequence[Item], key: Callable[[Item], int], token: str | None, limit: int, *, listing: str
) -> Page[Item]:
    """Return the up to `limit` items that follow the one `token` names.

    Args:
        items: everything there is now, ascending by `key`.
        key: the stable key, at least 0.
        token: the previous page's token, None for the first page.
        limit: the largest number of items on the page, at least 1.
        listing: what is listed (operation, account, region): a token is good for that listing only.

    Raises:
        DrsError: ValidationException where the token is malformed or belongs to another listing.
    """
    after = _last_served(token, listing) if token else -1
    start = bisect_right(items, after, key=key)
    served = list(items[start : start + limit])
    more = start + limit < len(items)
    return Page(served, _token(key(served[-1]), listing) if more else None)


def _token(last_served: int, listing: str) -> str:
    return base64.urlsafe_b64encode(f"{listing}#{last_served}".encode()).decode()


def _last_served(token: str, listing: str) -> int:
    malformed = invalid_field("nextToken", "Invalid nextToken")
    try:
        owner, _, last = base64.b64decode(token, altchars=b"-_", validate=True).decode().rpartition("#")
    except (binascii.Error, ValueError) as error:
        raise malformed from error
    if owner != listing or not (last.isascii() and last.isdigit()):
        raise malformed
    return int(last)
