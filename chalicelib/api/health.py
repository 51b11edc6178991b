"""`GET /health`: whether the function runs with its settings. The only route without authorisation."""

from chalice import Blueprint

from ..settings import settings
from .answers import answered

blueprint = Blueprint(__name__)


@blueprint.route("/health", methods=["GET"])
@answered
def health() -> dict[str, str]:
    """Answer that the function runs; a missing setting fails here as everywhere."""
    settings()
    return {"status": "OK"}
