"""How large a page of DescribeSourceServers becomes: the model names no maximum for `maxResults`."""

from typing import Any, NamedTuple

ASKED = (None, 1, 50, 200, 300, 1000)
"""What is asked for, None for the service's default."""


class Page(NamedTuple):
    """One first page."""

    asked: int | None
    servers: int
    more: bool


def probed(client: Any) -> list[Page]:
    """Return the first page for every size in `ASKED`.

    Args:
        client: of DRS.

    Raises:
        ClientError: DRS refused one.
    """
    return [_page(client, asked) for asked in ASKED]


def told(pages: list[Page]) -> str:
    """Return what the pages show of the default and of the largest page."""
    default = next(page for page in pages if page.asked is None)
    largest = max(pages, key=lambda page: page.servers)
    cut = [page for page in pages if page.asked is not None and page.more and page.servers < page.asked]
    parts = [
        f"default: {default.servers} servers{', with more behind' if default.more else ', which is all there are'}",
        f"largest page: {largest.servers}",
    ]
    if cut:
        parts.append(f"{cut[0].asked} were asked for and {cut[0].servers} came with more behind: that is the cap")
    else:
        parts.append("no cap was met")
    return "; ".join(parts)


def ignored(pages: list[Page]) -> list[Page]:
    """Return the pages that hold more servers than were asked for."""
    return [page for page in pages if page.asked is not None and page.servers > page.asked]


def _page(client: Any, asked: int | None) -> Page:
    answer = client.describe_source_servers(**({} if asked is None else {"maxResults": asked}))
    return Page(asked, len(answer["items"]), bool(answer.get("nextToken")))
