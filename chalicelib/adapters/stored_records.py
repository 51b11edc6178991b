"""Reading records that a newer version of this product may have written: after a rollback they are still there.

A newer version may add attributes, members of an enumeration, values at the end of a telemetry entry. What this version
does not know is left out, or reads as something safe: never as fine (docs/adr/0024-reading-newer-items.md).
"""

from typing import Any, TypeVar

from pydantic import ValidationError

from ..domain.accounts import Account, AccountStatus
from ..domain.extension import Refusal, RefusalReason
from ..domain.records import Record
from ..domain.regions import RegionStatus, ScanRecord, ScopeState
from ..domain.results import Run, RunMode, WorkResult
from ..domain.servers import ServerRow
from ..errors import TableUnavailable

Model = TypeVar("Model", bound=Record)

NEWER = "recorded by a newer version of this product, in words that this one does not know"

SAFE: dict[type[Record], dict[str, Any]] = {
    ScanRecord: {"state": ScopeState.ERROR},
    RegionStatus: {"status": ScopeState.ERROR},
    WorkResult: {"state": ScopeState.ERROR, "problems": [], "changes": [], "counts": {}, "calls": {}},
    Account: {"status": AccountStatus.INACTIVE},
    Refusal: {"reason": RefusalReason.REFUSED},
    Run: {"mode": RunMode.NAMED},
    ServerRow: {"instanceState": None},
}
"""By record and attribute: what a value reads as that this version does not know."""

SAID: dict[type[Record], dict[str, Any]] = {
    ScanRecord: {"errorMessage": NEWER},
    RegionStatus: {"errorMessage": NEWER},
    WorkResult: {"state": ScopeState.ERROR, "message": NEWER, "tagsVersion": None},
}
"""What such a record says besides, so that nobody takes it for fine."""


def stored(model: type[Model], item: Any) -> Model:
    """Return the record of type `model` that `item` holds.

    Raises:
        TableUnavailable: where a value that this version does not know has no safe reading.
    """
    try:
        return model.of(item)
    except ValidationError as error:
        unknown = {str(fault["loc"][0]) if fault["loc"] else "" for fault in error.errors()}
    safe = SAFE.get(model, {})
    if not unknown <= safe.keys():
        raise TableUnavailable(f"{model.__name__}: {', '.join(sorted(unknown))} cannot be read: {NEWER}")
    return model.of({**item, **{name: safe[name] for name in unknown}, **SAID.get(model, {})})
