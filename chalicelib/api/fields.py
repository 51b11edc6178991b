"""Fields that several requests have."""

from typing import Annotated

from pydantic import Field, StringConstraints

from ..domain.accounts import AccountId
from ..services.inventory_query import MOST_PER_PAGE
from ..services.page_tokens import LONGEST_TOKEN
from ..services.work.runs import LONGEST_WAIT_SECONDS

Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$", max_length=32)]
# botocore model, SourceServerID
SourceServerId = Annotated[str, StringConstraints(pattern=r"^s-[0-9a-zA-Z]{17}$")]
Hostname = Annotated[str, StringConstraints(min_length=1, max_length=256)]
# botocore model of DRS, TagKey and TagValue
TagKey = Annotated[str, StringConstraints(min_length=1, max_length=256)]
TagValue = Annotated[str, StringConstraints(max_length=256)]
TagPair = Annotated[str, StringConstraints(max_length=256 + 1 + 256)]
Limit = Annotated[int, Field(ge=1, le=MOST_PER_PAGE)]
NextToken = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_TOKEN)]
RunId = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z-]{1,64}$")]
Wait = Annotated[float, Field(ge=0, le=LONGEST_WAIT_SECONDS)]

__all__ = [
    "AccountId",
    "Hostname",
    "Limit",
    "NextToken",
    "Region",
    "RunId",
    "SourceServerId",
    "TagKey",
    "TagPair",
    "TagValue",
    "Wait",
]
