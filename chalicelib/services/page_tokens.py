"""Page tokens: opaque, and good for the query that they were made for only.

A token holds a place, never a key to read from: the key is made again from the query's own partitions, so that a forged
token can at most choose another place within what the query covers.
"""

import base64
import binascii
import json
from hashlib import blake2b
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from ..domain.servers import Position
from ..errors import InvalidRequest

LONGEST_TOKEN = 1024


class Cursor(NamedTuple):
    """Behind which row of which partition a page begins."""

    partition: str
    position: Position


class _Token(BaseModel):
    """What a token holds."""

    model_config = ConfigDict(extra="forbid", strict=True)

    query: str
    partition: str
    server: str
    region: str


def token_of(query: tuple[object, ...], cursor: Cursor) -> str:
    """Return the token of the page behind `cursor` of `query`."""
    token = _Token(
        query=_digest(query),
        partition=cursor.partition,
        server=cursor.position.source_server_id,
        region=cursor.position.replication_region,
    )
    return base64.urlsafe_b64encode(token.model_dump_json().encode()).decode()


def cursor_of(token: str | None, query: tuple[object, ...]) -> Cursor | None:
    """Return where `token` says that the page begins; None where there is none.

    Raises:
        InvalidRequest: where it is none of ours, or of another query.
    """
    if token is None:
        return None
    try:
        said = _Token.model_validate_json(base64.b64decode(token[:LONGEST_TOKEN], altchars=b"-_", validate=True))
    except (binascii.Error, ValidationError, ValueError):
        raise InvalidRequest("nextToken: not a token of this API") from None
    if said.query != _digest(query):
        raise InvalidRequest("nextToken: belongs to another query")
    if not (said.partition and said.server and said.region):
        raise InvalidRequest("nextToken: not a token of this API")
    return Cursor(said.partition, Position(said.server, said.region))


def _digest(query: tuple[object, ...]) -> str:
    return blake2b(json.dumps(query).encode(), digest_size=9).hexdigest()
