"""SQS of the hub, DRS and EC2 of customers' accounts, as botocore's clients of them: what the real adapters speak to.

Every request passes the switchboard, in pages of two: it can fail between pages, and be slow. Errors are AWS's own.
"""

from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.domain.accounts import Access, Account
from chalicelib.domain.scopes import Scope
from chalicelib.errors import ServiceError

from .disruptions import Switchboard
from .sqs import SqsQueue

PAGE = 2


class SqsClient:
    """The hub's SQS: queues by URL.

    Attributes:
        refusing: how many entries of the next batches SQS does not take: it answers for each entry.
    """

    def __init__(self, queues: dict[str, SqsQueue], switchboard: Switchboard) -> None:
        self._queues = queues
        self._switchboard = switchboard
        self.refusing = 0

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        assert 0 < len(Entries) <= 10, "SQS: at most 10 entries"
        failed = []
        for entry in Entries[::-1]:
            if self.refusing:
                self.refusing -= 1
                failed.append({"Id": entry["Id"], "Code": "InternalError", "SenderFault": False})
            else:
                self._queues[QueueUrl].send(entry["MessageBody"], entry.get("MessageAttributes"))
        if failed and self._switchboard.invocation:
            self._switchboard.invocation.unsent += len(failed)
        return {"Failed": failed} if failed else {}

    def send_message(self, QueueUrl: str, MessageBody: str, MessageAttributes: Any = None) -> dict[str, Any]:
        assert MessageBody, "SQS: a message has a body"
        self._queues[QueueUrl].send(MessageBody, MessageAttributes)
        return {}

    def change_message_visibility(self, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> dict[str, Any]:
        self._queues[QueueUrl].change_visibility(ReceiptHandle, VisibilityTimeout)
        return {}

    def change_message_visibility_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        for entry in Entries:
            self._queues[QueueUrl].change_visibility(entry["ReceiptHandle"], entry["VisibilityTimeout"])
        return {}

    def receive_message(self, QueueUrl: str, MaxNumberOfMessages: int, **_: Any) -> dict[str, Any]:
        queue = self._queues[QueueUrl]
        return {
            "Messages": [
                {
                    "MessageId": message.message_id,
                    "ReceiptHandle": message.receipt,
                    "Body": message.body,
                    "Attributes": {
                        "SentTimestamp": str(int(message.sent_at * 1000)),
                        "ApproximateReceiveCount": str(message.received),
                    },
                    "MessageAttributes": message.attributes,
                }
                for message in queue.receive(queue.visible()[:MaxNumberOfMessages])
            ]
        }

    def delete_message(self, QueueUrl: str, ReceiptHandle: str) -> dict[str, Any]:
        self._queues[QueueUrl].delete(ReceiptHandle)
        return {}

    def get_queue_attributes(self, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:
        return {"Attributes": {AttributeNames[0]: str(len(self._queues[QueueUrl].visible()))}}


class CustomerClients:
    """What stands for `CustomerSessions`: clients in customers' accounts.

    A call into an account that its registry entry gives no role for never comes here: `sessions` has tests of its own.
    """

    def __init__(self, world: Any, switchboard: Switchboard) -> None:
        self._world = world
        self._switchboard = switchboard

    def client(self, account: Account, access: Access, service: str, region: str, *, patient: bool = True) -> Any:
        return {"drs": DrsClient, "ec2": Ec2Client}[service](self._world, self._switchboard, account, access, region)


class _Client:
    def __init__(self, world: Any, switchboard: Switchboard, account: Account, access: Access, region: str) -> None:
        self._world = world
        self._switchboard = switchboard
        self._account = account
        self._access = access
        self._region = region
        self._scope = Scope(account.account_id, region)

    def _ask(self, call: str, operation: str, real: Callable[[], Any]) -> Any:
        """Make one request, with what it meets; the errors of the simulated services become AWS's."""
        self._world.ledger.asked(self._account, self._access, self._scope, operation)

        def request() -> Any:
            try:
                return real()
            except ServiceError as refusal:
                raise aws_error(refusal, operation) from None

        return self._switchboard.request(call, self._scope, request)

    def get_paginator(self, operation: str) -> Any:
        pages = getattr(self, f"_{operation}")

        class Paginator:
            def paginate(self, **parameters: Any) -> Iterator[dict[str, Any]]:
                return pages(**parameters)

        return Paginator()

    def _pages(self, call: str, operation: str, real: Callable[[], list[Any]], member: str) -> Iterator[dict[str, Any]]:
        """Yield pages of what was there when the first was asked for; each is a request of its own."""
        everything = self._ask(call, operation, real)
        yield {member: everything[:PAGE]}
        for start in range(PAGE, len(everything), PAGE):
            yield self._ask(call, operation, lambda start=start: {member: everything[start : start + PAGE]})


class DrsClient(_Client):
    """DRS of one account and region."""

    def describe_source_servers(self, maxResults: int = 200) -> dict[str, Any]:
        return self._ask("drs.probe", "DescribeSourceServers", lambda: self._listed()[:maxResults] and {"items": []})

    def get_replication_configuration(self, sourceServerID: str) -> dict[str, Any]:
        drs = self._world.drs
        return self._ask(
            "drs.replication_configuration",
            "GetReplicationConfiguration",
            lambda: drs.replication_configuration(self._account, self._region, sourceServerID),
        )

    def tag_resource(self, resourceArn: str, tags: dict[str, str]) -> dict[str, Any]:
        drs = self._world.drs
        real = lambda: drs.tag(self._account, self._region, resourceArn, tags)  # noqa: E731
        return self._ask("drs.tag", "TagResource", real) or {}

    def untag_resource(self, resourceArn: str, tagKeys: list[str]) -> dict[str, Any]:
        drs = self._world.drs
        real = lambda: drs.untag(self._account, self._region, resourceArn, tagKeys)  # noqa: E731
        return self._ask("drs.untag", "UntagResource", real) or {}

    def create_extended_source_server(self, sourceServerArn: str) -> dict[str, Any]:
        drs = self._world.drs
        real = lambda: drs.extend(self._account, self._region, sourceServerArn)  # noqa: E731
        return {"sourceServer": {"sourceServerID": self._ask("drs.extend", "CreateExtendedSourceServer", real)}}

    def _describe_source_servers(self, **_: Any) -> Iterator[dict[str, Any]]:
        return self._pages("drs.source_servers", "DescribeSourceServers", self._listed, "items")

    def _list_extensible_source_servers(self, stagingAccountID: str, **_: Any) -> Iterator[dict[str, Any]]:
        def listed() -> list[dict[str, Any]]:
            found = self._world.drs.extensible(self._account, self._region, stagingAccountID)
            return [{"arn": arn, "tags": tags} for arn, tags in found.items()]

        return self._pages("drs.extensible", "ListExtensibleSourceServers", listed, "items")

    def _listed(self) -> list[dict[str, Any]]:
        return list(self._world.drs.source_servers(self._account, self._region))


class Ec2Client(_Client):
    """EC2 of one account and region."""

    def _describe_instances(self, Filters: list[dict[str, Any]], **_: Any) -> Iterator[dict[str, Any]]:
        def found() -> list[dict[str, Any]]:
            instances = self._world.ec2.instances(self._account, self._region, Filters[0]["Values"])
            return [{"Instances": [instance]} for instance in instances.values()]

        return self._pages("ec2.instances", "DescribeInstances", found, "Reservations")


def aws_error(refusal: ServiceError, operation: str) -> ClientError:
    """Return the error of AWS that stands behind one of the product's."""
    wait = {"retry-after": str(refusal.retry_after_seconds)} if refusal.retry_after_seconds else {}
    told = {"Error": {"Code": refusal.code, "Message": str(refusal)}, "ResponseMetadata": {"HTTPHeaders": wait}}
    return ClientError(told, operation)
