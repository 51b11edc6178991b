"""SQS: what is sent waits in plain lists, by queue; whoever plays Lambda's part takes it from there."""

import json
from collections import defaultdict
from hashlib import md5


class Sqs:
    """The waiting messages, by queue URL."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[str]] = defaultdict(list)

    def answer(self, operation: str, body: bytes) -> tuple[int, bytes]:
        """Return status and body of an operation that sends, or of CreateQueue."""
        asked = json.loads(body)
        if operation == "CreateQueue":
            return _ok({"QueueUrl": f"https://sqs.us-east-1.amazonaws.com/111111111111/{asked['QueueName']}"})
        if operation == "SendMessage":
            self.waiting[asked["QueueUrl"]].append(asked["MessageBody"])
            return _ok(_receipt("1", asked["MessageBody"]))
        if operation == "SendMessageBatch":
            bodies = [entry["MessageBody"] for entry in asked["Entries"]]
            self.waiting[asked["QueueUrl"]] += bodies
            receipts = [_receipt(entry["Id"], entry["MessageBody"]) for entry in asked["Entries"]]
            return _ok({"Successful": receipts, "Failed": []})
        return 400, json.dumps({"__type": "InvalidAction", "message": f"{operation} is not simulated"}).encode()

    def take(self, url: str) -> list[str]:
        """Return what waits in a queue, which is empty then."""
        return self.waiting.pop(url, [])


def _receipt(identifier: str, body: str) -> dict[str, str]:
    digest = md5(body.encode(), usedforsecurity=False).hexdigest()
    return {"Id": identifier, "MessageId": identifier, "MD5OfMessageBody": digest}


def _ok(content: dict[str, object]) -> tuple[int, bytes]:
    return 200, json.dumps(content).encode()
