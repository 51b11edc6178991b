"""What tags a DRS server has to carry, from the requirements (R2.2, R2.4, R2.5)."""

from sandbox.fleet.evidence import Item, TrueServer

LIMIT = 50
"""AWS: tags per resource."""


def expected_tags(server: TrueServer, instance: Item | None, before: dict[str, str]) -> dict[str, str]:
    """Return the tags that DRS must show for `server` once tags are in sync.

    Args:
        server: the server.
        instance: the EC2 instance behind it; None where there is none.
        before: tags that it had before the product came: others'.
    """
    if server.direction == "FAILBACK" or server.state == "DISCONNECTED" or instance is None:
        return before
    wanted = {key: value for key, value in instance["tags"].items() if not key.lower().startswith("aws:")}
    others = {key: value for key, value in before.items() if key not in wanted}
    preferred = sorted(wanted, key=lambda key: (key not in before, key != "Name", key))
    kept = preferred[: LIMIT - len(others)]
    return {**others, **{key: wanted[key] for key in kept}}
