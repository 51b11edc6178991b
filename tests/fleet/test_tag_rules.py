"""The expected tags, by the requirements' own examples."""

from types import SimpleNamespace

from sandbox.fleet.tag_rules import LIMIT, expected_tags

SERVER = SimpleNamespace(direction="FAILOVER", state="CONTINUOUS")


def instance(**tags):
    return {"tags": tags}


def test_ec2_decides_its_keys_and_others_stay():
    assert expected_tags(SERVER, instance(env="prod"), {"env": "old", "ticket": "1"}) == {"env": "prod", "ticket": "1"}


def test_tags_of_aws_are_not_copied():
    assert expected_tags(SERVER, {"tags": {"aws:x": "1", "AWS:y": "2", "env": "prod"}}, {}) == {"env": "prod"}


def test_fifty_tags_are_the_limit_and_the_order_is_fixed():
    tags = {f"key-{number:02d}": "new" for number in range(49)} | {"Name": "web"}
    kept = expected_tags(SERVER, instance(**tags), {"of-others": "1", "key-48": "old"})
    assert len(kept) == LIMIT
    assert tags.keys() - kept.keys() == {"key-47"}
    assert (kept["of-others"], kept["key-48"], kept["Name"]) == ("1", "new", "web")


def test_who_is_not_eligible_is_not_touched():
    before = {"env": "old"}
    for server in (
        SimpleNamespace(direction="FAILBACK", state="CONTINUOUS"),
        SimpleNamespace(direction="FAILOVER", state="DISCONNECTED"),
    ):
        assert expected_tags(server, instance(env="prod"), before) == before
    assert expected_tags(SERVER, None, before) == before
