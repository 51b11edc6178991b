"""What holds with every version of botocore, and which regions are known with an older or a newer one.

`make test` runs this module and the adapters' with the locked botocore and with the oldest that is tested.
"""

import re
from pathlib import Path

import botocore
import pytest

from chalicelib.adapters import aws_regions
from chalicelib.adapters.aws_regions import botocore_version, drs_regions, region_counts
from chalicelib.adapters.calls import CallCounter
from chalicelib.adapters.pacing import _Rate
from chalicelib.adapters.shipped_regions import SHIPPED_REGIONS
from chalicelib.errors import InvalidRequest
from chalicelib.events.maintenance import maintain
from scripts import regions

REPO = Path(__file__).parents[2]
FILES = ("requirements.txt", "requirements-oldest.txt")


class Knowing:
    """A session whose botocore knows these regions of DRS, by partition."""

    def __init__(self, regions):
        self._regions = regions

    def get_available_partitions(self):
        return list(self._regions)

    def get_available_regions(self, _, partition):
        return self._regions.get(partition, [])


@pytest.fixture
def knowing(monkeypatch):
    def run(known):
        drs_regions.cache_clear()
        monkeypatch.setattr(aws_regions, "hub_session", lambda: Knowing(known))

    yield run
    drs_regions.cache_clear()


def test_it_is_one_of_the_versions_that_are_locked():
    locked = {re.search(r"^botocore==([0-9.]+)", (REPO / name).read_text(), re.M).group(1) for name in FILES}
    assert botocore.__version__ in locked
    assert len(locked) == 2


def test_an_older_one_takes_no_region_away(knowing):
    knowing({"aws": ["eu-west-1"]})
    assert drs_regions() == sorted(SHIPPED_REGIONS["aws"])
    assert drs_regions("aws-us-gov") == sorted(SHIPPED_REGIONS["aws-us-gov"])


def test_a_newer_one_brings_what_was_added(knowing):
    knowing({"aws": ["moon-north-1"], "aws-moon": ["moon-gov-1"], "aws-void": []})
    assert drs_regions() == sorted({*SHIPPED_REGIONS["aws"], "moon-north-1"})
    assert drs_regions("aws-moon") == ["moon-gov-1"]
    assert region_counts() == {
        **{name: len(known) for name, known in SHIPPED_REGIONS.items()},
        "aws": len(SHIPPED_REGIONS["aws"]) + 1,
        "aws-moon": 1,
    }


def test_a_partition_that_neither_knows_is_refused(knowing):
    knowing({"aws": []})
    with pytest.raises(InvalidRequest, match="aws-mars"):
        drs_regions("aws-mars")


def test_hooks_that_botocore_reads_the_answer_of_answer_nothing(monkeypatch):
    waits = []
    rate, counter = _Rate(1000, waits.append), CallCounter()
    assert [rate(request=object()) for _ in range(2000)] == [None] * 2000
    assert waits
    assert counter._count(event_name="before-send.drs.DescribeSourceServers") is None


def test_a_function_tells_its_version_and_regions(deployed):
    told = maintain({"task": "versions"}, None)
    assert told == {"botocore": botocore_version(), "regions": region_counts()}
    assert told["regions"]["aws"] >= 34


def test_shipped_regions_that_drifted_are_told(tmp_path, monkeypatch, capsys):
    path = tmp_path / "shipped_regions.py"
    monkeypatch.setattr("sys.argv", ["regions", str(path)])
    assert regions.main() == 0
    monkeypatch.setattr("sys.argv", ["regions", "--check", str(path)])
    assert regions.main() == 0
    path.write_text(path.read_text().replace('"eu-west-1"', '"eu-west-9"'))
    assert regions.main() == 1
    assert "make regions" in capsys.readouterr().err
