"""Patch `embedded_metrics`."""

from datetime import UTC, datetime, timedelta

from .waiting import eventually


def test_a_printed_metric_is_a_metric(cloud):
    cloud.invoke(cloud.outputs.resources["Probe"], {"metric": 41.5})

    now = datetime.now(UTC)
    request = {
        "Namespace": "Sample",
        "MetricName": "Things",
        "Dimensions": [{"Name": "service", "Value": "sample"}],
        "StartTime": now - timedelta(minutes=5),
        "EndTime": now + timedelta(minutes=5),
        "Period": 600,
        "Statistics": ["Maximum"],
    }
    client = cloud.hub().client("cloudwatch")
    points = eventually(lambda: client.get_metric_statistics(**request)["Datapoints"])
    assert points[0]["Maximum"] == 41.5
