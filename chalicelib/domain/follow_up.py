"""Which work follows from the registry and the scan records: asked by the planner, the stream handler and the resync.

Inventory work follows from an account that has DRS, tag work from an active scan of its scope, staging work from an
active scan of a staging account, once for every target that it is a member of.
"""

from collections.abc import Iterable, Mapping

from .accounts import Account, AccountStatus
from .kinds import KINDS, SCAN
from .leases import WorkState
from .regions import ScanRecord
from .scopes import Scope
from .work import WorkId, WorkKind

FOLLOWING = [(kind, kind.follows) for kind in KINDS.values() if kind.follows]
"""The kinds of work that follow from scans, and how."""


def follow_ups(scan: ScanRecord, targets: Iterable[str]) -> list[WorkId]:
    """Return the work that `scan` calls for beside the next scan; none where its scope is not active.

    Args:
        scan: a scan record.
        targets: IDs of the accounts whose staging account the scanned account is.
    """
    if not scan.active:
        return []
    known = list(targets)
    return [WorkId(kind.name, scope) for kind, follows in FOLLOWING for scope in follows.scopes(scan, known)]


def changed_kinds(before: ScanRecord | None, after: ScanRecord) -> set[WorkKind]:
    """Return the kinds of follow-up work that a scan record's change from `before` to `after` calls for at once."""
    if not after.active:
        return set()
    if before is None or not before.active:
        return {kind.name for kind, _ in FOLLOWING}
    return {kind.name for kind, follows in FOLLOWING if follows.version(before) != follows.version(after)}


def expected_work(
    region: str, accounts: Iterable[Account], scans: Iterable[ScanRecord], targets: Mapping[str, Iterable[str]]
) -> set[WorkId]:
    """Return all work of one region that has to have a due time.

    Args:
        region: a region.
        accounts: the registered accounts whose partition has DRS in the region.
        scans: the region's scan records.
        targets: for each account with an active scan, the IDs of the accounts whose staging account it is.
    """
    registered = list(accounts)
    scanned = {one.account_id for one in registered if one.has_drs and one.status is not AccountStatus.INACTIVE}
    working = {one.account_id for one in registered if one.has_drs and one.is_active}
    inventory = {WorkId(SCAN, Scope(account_id, region)) for account_id in scanned}
    following = {work for scan in scans for work in follow_ups(scan, targets.get(scan.account_id, ()))}
    return inventory | {work for work in following if work.scope.account_id in working}


def is_lost(state: WorkState | None, latest: int) -> bool:
    """Return whether work that has to be done would never be, or not for ages.

    Args:
        state: the work item; None where there is none.
        latest: epoch seconds; no cadence, back-off or lease puts work off beyond that.
    """
    return state is None or state.next_due_at is None or state.next_due_at > latest


def is_behind(state: WorkState, scan: ScanRecord | None, *, removing: bool) -> bool:
    """Return whether work was missed by the event that should have asked for it, although it has a due time.

    So are tags that are in place for an older scan than the last that found a change, and the removal of a scope that
    nobody is at. Tags that could not all be written come due by themselves, more rarely where they keep failing.
    """
    if removing:
        return state.done >= state.wanted
    follows = KINDS[state.work.kind].follows
    if follows is None or scan is None or state.result is None:
        return False
    done = follows.done(state.result)
    return done is not None and done != follows.version(scan)
