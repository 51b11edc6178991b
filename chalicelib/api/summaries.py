"""What a sync came to, in the seed's words."""

from collections import Counter
from typing import Any

from ..domain.results import RunProgress
from ..domain.work import WorkKind


def summary(progress: RunProgress) -> dict[str, Any]:
    """Return the seed's summary of a run: of what is done by now; `status` says whether that is all."""
    servers = Counter[str]()
    for scope in progress.scopes:
        if scope.result and progress.run.kind is WorkKind.INVENTORY:
            servers[scope.region] += scope.result.counts.get("servers", 0)
    told = {
        "runId": progress.run.run_id,
        "status": progress.status,
        "regionsScanned": len({scope.region for scope in progress.scopes if scope.done}),
        "scopesScanned": progress.done,
        "scopesFailed": progress.failed,
        "scopesSkipped": progress.calls_saved,
        "apiCalls": sum(progress.calls.values()),
        "counts": progress.counts,
        "errors": [
            {"accountId": scope.account_id, "region": scope.region, "error": error}
            for scope in progress.scopes
            if (error := scope.error or (scope.result.message if scope.result else None))
        ],
    }
    if progress.run.kind is WorkKind.INVENTORY:
        told |= {"totalServers": servers.total(), "regionCounts": {r: n for r, n in sorted(servers.items()) if n}}
    return told
