"""The calls of a tag run to DRS: two for each server, and what became of each."""

from ...domain.accounts import Account
from ...domain.tag_ownership import Effect
from ...domain.tag_plan import ServerTags
from ...errors import (
    AccessDenied,
    NotOptedIn,
    OutOfTime,
    Refused,
    ResourceNotFound,
    ServiceError,
    Throttled,
)
from ..ports import DrsChanges

WITHOUT_EFFECT = (AccessDenied, Throttled, NotOptedIn, OutOfTime, Refused, ResourceNotFound)  # the call did nothing


class TagCalls:
    """Changes the tags of one server in DRS, and remembers what became of each of the two calls."""

    def __init__(self, drs: DrsChanges, account: Account, region: str) -> None:
        self._drs = drs
        self._account = account
        self._region = region
        self._effects: dict[str, tuple[Effect, Effect]] = {}

    def __call__(self, plan: ServerTags) -> ServiceError | None:
        """Return why the change could not be made, or None. Removes first: 50 tags are the limit at every moment."""
        arn, change = plan.row.arn, plan.change
        untagged = tagged = Effect.NONE
        try:
            try:
                if change.remove:
                    self._drs.untag(self._account, self._region, arn, change.remove)
                untagged = Effect.DONE
            except ServiceError as error:
                untagged = _effect_of(error)
                return error
            try:
                if change.put:
                    self._drs.tag(self._account, self._region, arn, change.put)
                tagged = Effect.DONE
            except ServiceError as error:
                tagged = _effect_of(error)
                return error
            return None
        finally:
            self._effects[arn] = (untagged, tagged)

    def effects(self, plan: ServerTags) -> tuple[Effect, Effect]:
        """Return what became of removing and of setting tags; of what was not tried: nothing."""
        return self._effects.get(plan.row.arn, (Effect.NONE, Effect.NONE))


def _effect_of(error: ServiceError) -> Effect:
    return Effect.NONE if isinstance(error, WITHOUT_EFFECT) else Effect.UNCLEAR
