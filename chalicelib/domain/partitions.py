"""Partitions of AWS, and whether what a service says of an account, a region or a zone can be one at all.

Values that DRS reports come from agents on customers' machines. They are put into commands that people run, and decide
whom the hub asks: only what has the form of such a value is taken.
"""

import re
from typing import Any, NamedTuple

ACCOUNT_ID = re.compile(r"[0-9]{12}")
REGION_FORM = re.compile(r"[a-z]{2,10}(-[a-z]{2,20}){1,3}-[0-9]{1,2}")
ZONE_FORM = re.compile(rf"(?P<region>{REGION_FORM.pattern})(-[a-z]{{3}}-[0-9])?[a-z]")  # local zones: us-west-2-lax-1a


class AwsPartition(NamedTuple):
    """One partition of AWS.

    Attributes:
        name: e.g. `aws`, `aws-us-gov`.
        dns_suffix: what its services' host names end in, e.g. `amazonaws.com`.
        region_pattern: a regular expression that its regions match as a whole (botocore, `partitions.json`).
    """

    name: str
    dns_suffix: str
    region_pattern: str

    def is_region(self, value: Any) -> bool:
        """Return whether `value` has the form of a region of this partition."""
        return has_region_form(value) and re.fullmatch(self.region_pattern, value, re.ASCII) is not None

    def is_zone(self, value: Any) -> bool:
        """Return whether `value` has the form of an availability zone or local zone of this partition."""
        form = ZONE_FORM.fullmatch(value) if isinstance(value, str) else None
        return form is not None and self.is_region(form["region"])


def has_region_form(value: Any) -> bool:
    """Return whether `value` could be a region of any partition."""
    return isinstance(value, str) and REGION_FORM.fullmatch(value) is not None


def has_zone_form(value: Any) -> bool:
    """Return whether `value` could be a zone of any partition."""
    return isinstance(value, str) and ZONE_FORM.fullmatch(value) is not None


def is_account_id(value: Any) -> bool:
    """Return whether `value` is twelve digits."""
    return isinstance(value, str) and ACCOUNT_ID.fullmatch(value) is not None
