"""Where DRS exists: as this version of the product ships it, and as the botocore that runs knows it."""

from functools import cache

import botocore

from ..errors import InvalidRequest
from .sessions import hub_session
from .shipped_regions import SHIPPED_REGIONS


@cache
def drs_regions(partition: str = "aws") -> list[str]:
    """Return the regions of `partition` in which DRS exists, sorted.

    Those of the locked botocore and those of the one that runs: an older one does not take a region away, a newer one
    brings what AWS has added.

    Raises:
        InvalidRequest: where neither knows such a partition.
    """
    running = hub_session()
    known = sorted({*running.get_available_partitions(), *SHIPPED_REGIONS})
    if partition not in known:
        raise InvalidRequest(f"partition: '{partition}' is not one of {', '.join(known)}")
    return sorted({*running.get_available_regions("drs", partition), *SHIPPED_REGIONS.get(partition, ())})


def region_counts() -> dict[str, int]:
    """Return in how many regions of each partition DRS exists; partitions without it are left out."""
    partitions = sorted({*hub_session().get_available_partitions(), *SHIPPED_REGIONS})
    counts = {partition: len(drs_regions(partition)) for partition in partitions}
    return {partition: count for partition, count in counts.items() if count}


def botocore_version() -> str:
    """Return the version of the botocore that runs: the package's, or Lambda's where a package has none."""
    return str(botocore.__version__)
