"""Whose a tag of a DRS server is (ADR 29). Pure.

A tag is this product's only while it carries a value that this product wrote, or may have written. Values are kept as
digests, by key: `Written`. More than one, where it is not known which of two writes took effect.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from hashlib import blake2b

Written = dict[str, list[str]]
SCANS_UNTIL_SEEN = 2  # the scan in progress when a tag was written may have listed the server before


class Effect(StrEnum):
    """What became of a call."""

    DONE = "DONE"
    NONE = "NONE"  # not made, or refused
    UNCLEAR = "UNCLEAR"  # made, and no answer that tells


def digest(value: str) -> str:
    """Return the digest of a tag's value: 12 characters."""
    return blake2b(value.encode(), digest_size=6).hexdigest()


def intent(put: Mapping[str, str]) -> dict[str, str]:
    """Return what is noted of tags before they are written: digests by key."""
    return {key: digest(value) for key, value in put.items()}


def from_keys(keys: Iterable[str], present: Mapping[str, str]) -> Written:
    """Return ownership as an earlier version kept it, keys without values: of what they carry now."""
    return {key: [digest(present[key])] for key in sorted(keys) if key in present}


def with_intent(written: Written, noted: Mapping[str, str]) -> Written:
    """Return ownership after a worker died that was about to write what it `noted`: it may have."""
    return {**written, **{key: _with(written.get(key), value) for key, value in noted.items()}}


def seen(written: Written, present: Mapping[str, str]) -> Written:
    """Return ownership by a list of tags that is newer than every write: what it does not show is ours no more."""
    return {key: [digest(present[key])] for key in owned(written, present)}


def owned(written: Written, present: Mapping[str, str]) -> list[str]:
    """Return the keys of `present` that carry a value of ours, sorted."""
    return sorted(key for key, values in written.items() if key in present and digest(present[key]) in values)


def after(
    written: Written, removed: Iterable[str], put: Mapping[str, str], untagged: Effect, tagged: Effect
) -> Written:
    """Return ownership after a change of one server's tags.

    Args:
        written: ownership before.
        removed: keys that were to be removed.
        put: tags that were to be set.
        untagged: what became of the removal.
        tagged: what became of the setting.
    """
    gone = set(removed) if untagged is Effect.DONE else set()
    left = {key: values for key, values in written.items() if key not in gone}
    if tagged is Effect.DONE:
        return {**left, **{key: [digest(value)] for key, value in put.items()}}
    return with_intent(left, intent(put)) if tagged is Effect.UNCLEAR else left


def _with(values: list[str] | None, value: str) -> list[str]:
    return sorted({*(values or []), value})
