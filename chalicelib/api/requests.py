"""What callers may ask for, over REST and by direct invocation alike."""

from typing import Annotated

from pydantic import ConfigDict, Field

from ..domain.accounts import AccountId
from ..domain.records import Record
from ..domain.scopes import Scope
from ..domain.work import WorkKind
from ..services.planning import SyncRequest
from ..services.runs import LONGEST_WAIT_SECONDS


class ScopeBody(Record):
    """One scope."""

    model_config = ConfigDict(extra="forbid")

    account_id: AccountId
    region: Annotated[str, Field(min_length=1, max_length=32)]


class SyncOptions(Record):
    """How to sync.

    Attributes:
        scopes: which scopes; absent: the active ones.
        dry_run: tags and staging: only say what would be done.
        retry_refused: staging: try again what was refused or removed.
        wait: seconds to wait for the summary; 0: answer at once.
    """

    model_config = ConfigDict(extra="forbid")

    scopes: Annotated[list[ScopeBody], Field(min_length=1, max_length=1000)] | None = None
    dry_run: bool = False
    retry_refused: bool = False
    wait: Annotated[float, Field(ge=0, le=LONGEST_WAIT_SECONDS)] = 0

    def request(self, kind: WorkKind, requested_by: str) -> SyncRequest:
        """Return the sync that these options describe."""
        scopes = [Scope(scope.account_id, scope.region) for scope in self.scopes] if self.scopes else None
        return SyncRequest(kind, scopes, self.dry_run, self.retry_refused, requested_by)


class SyncBody(SyncOptions):
    """Body of `POST /syncs`."""

    kind: WorkKind
