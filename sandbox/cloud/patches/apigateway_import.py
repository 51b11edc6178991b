"""The OpenAPI document of a REST API, which is how SAM deploys one.

MiniStack: imports type, method and URI of an integration only: a CORS preflight is answered without its headers, and
the API's binary media types are dropped, so that binary bodies arrive mangled.

AWS: imports the integration's request templates and responses with their headers, and the binary media types.

Mended: what was left out is added to the imported integration through MiniStack's own functions.
"""

from typing import Any

from ministack.services import apigateway_v1

COPIED = ("requestTemplates", "requestParameters", "passthroughBehavior", "contentHandling", "timeoutInMillis")
MEDIA_TYPES = "x-amazon-apigateway-binary-media-types"


def apply() -> None:
    """Complete what the import of an operation and of an API leave out."""
    import_operation, import_api = apigateway_v1._import_operation, apigateway_v1._import_rest_api

    def operation(api_id: str, resource_id: str, method: str, document: dict[str, Any] | None, *more: Any) -> None:
        import_operation(api_id, resource_id, method, document, *more)
        if integration := (document or {}).get("x-amazon-apigateway-integration"):
            _complete(api_id, resource_id, method, integration)

    def api(document: dict[str, Any], settings: dict[str, Any] | None = None) -> str:
        settings = dict(settings or {})
        if media_types := document.get(MEDIA_TYPES):
            settings["binaryMediaTypes"] = sorted(set(media_types))
        return str(import_api(document, settings))

    apigateway_v1._import_operation = operation
    apigateway_v1._import_rest_api = api


def _complete(api_id: str, resource_id: str, method: str, integration: dict[str, Any]) -> None:
    resource = apigateway_v1._resources[api_id][resource_id]
    imported = resource["resourceMethods"][method]["methodIntegration"]
    imported.update({name: integration[name] for name in COPIED if name in integration})
    for pattern, response in (integration.get("responses") or {}).items():
        selected = {**response, "selectionPattern": "" if pattern == "default" else pattern}
        status = str(response.get("statusCode", 200))
        apigateway_v1._put_integration_response(api_id, resource_id, method, status, selected)
