"""Whether a function runs with its settings, by direct invocation; `GET /health` is answered by API Gateway alone."""

from ..container import container
from ..domain.records import Record
from .operation import Nothing, Operation, routes


class Health(Record):
    """That the function runs."""

    status: str


def health(_: Nothing, __: str) -> Health:
    """Answer that the function runs; a missing setting fails here as everywhere."""
    container()
    return Health(status="OK")


OPERATIONS = (Operation("health", Nothing, Health, health, "Whether the API runs", "GET", "/health", open=True),)
blueprint = routes(OPERATIONS, __name__)
