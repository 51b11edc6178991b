"""botocore's own model of DRS.

Everything the service knows about its API comes from here, so that an upgrade of botocore is an upgrade of the
simulation's routes, limits and errors.
"""

from functools import lru_cache

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.session import get_session

SERVICE = "drs"


@lru_cache(maxsize=1)
def service_model() -> ServiceModel:
    """Return botocore's newest model of DRS, loaded once."""
    return ServiceModel(Loader().load_service_model(SERVICE, "service-2"), SERVICE)


@lru_cache(maxsize=256)
def partition(region: str) -> str:
    """Return the partition of `region` (`aws`, `aws-us-gov`, ...) as botocore knows or derives it."""
    return str(get_session().get_partition_for_region(region))


def arn(account: str, region: str, kind: str, ident: str) -> str:
    """Return the ARN of a DRS resource, e.g. of kind `source-server`."""
    return f"arn:{partition(region)}:{SERVICE}:{region}:{account}:{kind}/{ident}"
