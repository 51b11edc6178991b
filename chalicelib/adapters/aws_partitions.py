"""AWS's partitions, as botocore's data describe them."""

from functools import cache

from botocore.loaders import create_loader

from ..domain.partitions import AwsPartition

NO_REGION = r"(?!)"


@cache
def aws_partition(name: str = "aws") -> AwsPartition:
    """Return the partition `name`; of one that botocore does not know, no region is recognised.

    Source: botocore's `partitions.json`, the data that its endpoints are made from.
    """
    for partition in create_loader().load_data("partitions")["partitions"]:
        if partition["id"] == name:
            return AwsPartition(name, partition["outputs"]["dnsSuffix"], partition["regionRegex"])
    return AwsPartition(name, "amazonaws.com", NO_REGION)
