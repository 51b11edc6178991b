"""Where DRS exists, from botocore's own endpoint data: no list that goes stale."""

from functools import cache

from ..errors import InvalidRequest
from .sessions import hub_session


@cache
def drs_regions(partition: str = "aws") -> list[str]:
    """Return the regions of `partition` in which DRS exists, sorted.

    Raises:
        InvalidRequest: where botocore knows no such partition.
    """
    known = hub_session().get_available_partitions()
    if partition not in known:
        raise InvalidRequest(f"partition: '{partition}' is not one of {', '.join(known)}")
    return sorted(hub_session().get_available_regions("drs", partition))
