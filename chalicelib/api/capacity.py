"""How full accounts are."""

from ..container import container
from ..domain.capacity import ScopeCapacity
from ..domain.records import Record
from .account_bodies import AccountRequest
from .fields import Region
from .operation import Operation, Request, routes


class ExtensionNeedBody(Record):
    """What an extension run would find in one target scope; None: not known."""

    region: str
    waiting: int | None
    held: int | None
    free: int | None


class AccountCapacityBody(Record):
    """How full an account's scopes are, its staging accounts apart, and what extension would need."""

    account_id: str
    own: list[ScopeCapacity]
    staging: list[ScopeCapacity]
    extension_needs: list[ExtensionNeedBody]


class CapacityRequest(Request):
    """Which region; absent: every active one."""

    region: Region | None = None


class CapacityList(Record):
    """How full the scopes are that hold servers, the fullest of each region first."""

    scopes: list[ScopeCapacity]


def get_account_capacity(request: AccountRequest, _: str) -> AccountCapacityBody:
    """Return how full the account is."""
    told = container().capacity.of_account(request.account_id)
    needs = [ExtensionNeedBody(**need._asdict()) for need in told.needs]
    return AccountCapacityBody(account_id=request.account_id, own=told.own, staging=told.staging, extension_needs=needs)


def list_capacity(request: CapacityRequest, _: str) -> CapacityList:
    """Return how full all accounts are."""
    regions = [request.region] if request.region else container().capacity.regions()
    return CapacityList(scopes=[one for region in regions for one in container().capacity.of_region(region)])


OPERATIONS = (
    Operation(
        "get_account_capacity",
        AccountRequest,
        AccountCapacityBody,
        get_account_capacity,
        "How full an account is",
        "GET",
        "/accounts/{accountId}/capacity",
    ),
    Operation("list_capacity", CapacityRequest, CapacityList, list_capacity, "How full all are", "GET", "/capacity"),
)
blueprint = routes(OPERATIONS, __name__)
