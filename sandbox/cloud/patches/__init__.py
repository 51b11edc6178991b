"""What MiniStack does differently from AWS, and is mended here: one module per difference.

Every module says what MiniStack does, what AWS does and how it is mended, has one function `apply`, and one smoke test
under `tests/cloud/` that fails without it. They reach into private functions, so the version is pinned exactly.
"""

from collections.abc import Callable, Set

from sandbox.cloud.patches import (
    apigateway_import,
    asynchronous_invocations,
    cloudformation_placeholders,
    cloudformation_properties,
    cloudformation_tables,
    condition_keys,
    drs_resource_arns,
    dynamodb_streams,
    dynamodb_transactions,
    ec2_describe_instances,
    embedded_metrics,
    failed_invocations,
    function_updates,
    invocation_wait,
    queue_metrics,
    scheduled_rules,
    sqs_batch_actions,
    sqs_event_sources,
)

PATCHES: dict[str, Callable[[], None]] = {
    module.__name__.rpartition(".")[2]: module.apply
    for module in (
        apigateway_import,
        asynchronous_invocations,
        cloudformation_placeholders,
        cloudformation_properties,
        cloudformation_tables,
        condition_keys,
        drs_resource_arns,
        dynamodb_streams,
        dynamodb_transactions,
        ec2_describe_instances,
        embedded_metrics,
        failed_invocations,
        function_updates,
        invocation_wait,
        queue_metrics,
        scheduled_rules,
        sqs_batch_actions,
        sqs_event_sources,
    )
}
"""Every patch by the name under which `SANDBOX_SKIP_PATCHES` leaves it out (to see its smoke test fail)."""


def apply(skipped: Set[str] = frozenset()) -> None:
    """Apply every patch but those `skipped`.

    Raises:
        ValueError: a skipped name is no patch.
    """
    if unknown := skipped - PATCHES.keys():
        raise ValueError(f"no such patch: {', '.join(sorted(unknown))}")
    for name, patch in PATCHES.items():
        if name not in skipped:
            patch()
