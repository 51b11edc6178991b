"""`GET /servers`: the inventory, by region, account or staging account, page by page."""

from typing import Annotated, Any

from chalice import Blueprint, IAMAuthorizer
from pydantic import ConfigDict, Field

from ..bootstrap import inventory_query
from ..domain.accounts import AccountId
from ..domain.records import Record
from ..domain.servers import ServerRow
from ..services.inventory_query import MOST_PER_PAGE, Query
from .answers import answered

blueprint = Blueprint(__name__)

INTERNAL = {"scope", "drsHash", "ec2Hash"}


class ServersRequest(Record):
    """Query parameters of `GET /servers`; an unknown one is refused."""

    model_config = ConfigDict(extra="forbid")

    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")] | None = None
    account_id: AccountId | None = None
    staging_account_id: AccountId | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_PER_PAGE)] = 100
    next_token: str | None = None


@blueprint.route("/servers", methods=["GET"], authorizer=IAMAuthorizer())
@answered
def list_servers() -> dict[str, Any]:
    """Return one page of servers, and how fresh each scope is that it was read from."""
    request = ServersRequest.of(blueprint.current_request.query_params or {})
    query = Query(request.region, request.account_id, staging_account_id=request.staging_account_id)
    page = inventory_query().page(query, request.limit, request.next_token)
    return {
        "servers": [server_body(row) for row in page.rows],
        "nextToken": page.next_token,
        "source": "inventory",
        "scopes": [
            {
                "accountId": scan.account_id,
                "region": scan.region,
                "state": scan.state,
                "asOf": scan.item().get("lastSuccess"),
                "fresh": inventory_query().is_fresh([scan]),
            }
            for scan in page.scans
        ],
    }


def server_body(row: ServerRow) -> dict[str, Any]:
    """Return a server as callers see it; what R12.4 names is there even where it is not known."""
    body = {name: value for name, value in row.item().items() if name not in INTERNAL}
    return {"hostname": None, "sourceAccountId": None, "sourceTags": {}, **body}
