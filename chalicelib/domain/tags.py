"""The difference between an EC2 instance's tags and its DRS server's (R2).

EC2 decides the keys that it has; keys that only the DRS server has are others', unless this product wrote them.
"""

from typing import NamedTuple

TAG_LIMIT = 50  # AWS: tags per resource
AWS_PREFIX = "aws:"  # reserved for AWS in any case; neither written nor counted


class TagChange(NamedTuple):
    """What to write to bring a DRS server's tags up to date, and who owns what afterwards.

    Attributes:
        put: tags to set.
        remove: keys to remove, sorted: written by this product earlier, and gone from EC2 since.
        overflow: keys of EC2 that found no room, sorted.
        managed: keys that this product owns once the change is made, sorted.
    """

    put: dict[str, str]
    remove: list[str]
    overflow: list[str]
    managed: list[str]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.put or self.remove)


def difference(source: dict[str, str], present: dict[str, str], managed: list[str]) -> TagChange:
    """Return the change that brings a DRS server's tags up to date.

    Where not all fit within 50 tags, keys that the server already carries stay, then `Name` is preferred, then
    alphabetical order.

    Args:
        source: tags of the EC2 instance.
        present: tags of the DRS server.
        managed: keys of the DRS server that this product wrote earlier.
    """
    wanted = {key: value for key, value in source.items() if not _reserved(key)}
    others = {key for key in present if key not in managed and key not in wanted and not _reserved(key)}
    order = sorted(wanted, key=lambda key: (key not in present, key != "Name", key))
    room = max(0, TAG_LIMIT - len(others))
    kept, overflow = order[:room], order[room:]
    put = {key: wanted[key] for key in kept if present.get(key) != wanted[key]}
    stale = {key for key in managed if key in present and key not in kept}
    owned = (set(managed) & set(kept)) | set(put)
    return TagChange(put, sorted(stale), sorted(overflow), sorted(owned))


def applied(present: dict[str, str], change: TagChange) -> dict[str, str]:
    """Return `present` after `change`."""
    left = {key: value for key, value in present.items() if key not in change.remove}
    return {**left, **change.put}


def _reserved(key: str) -> bool:
    return key.lower().startswith(AWS_PREFIX)
