"""What the built package meets on Lambda: events, settings, and AWS with empty tables."""

import json
from http.server import BaseHTTPRequestHandler

SCHEDULED = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "111111111111",
    "time": "2026-01-01T00:00:00Z",
    "region": "us-east-1",
    "resources": [],
    "detail": {},
}


def rest(path, authorizer=None):
    return {
        "resource": path,
        "path": path,
        "httpMethod": "GET",
        "headers": {},
        "multiValueHeaders": {},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {"resourcePath": path, "httpMethod": "GET", "identity": {}, "requestId": "1"},
        "body": None,
        "isBase64Encoded": False,
    }


def message(number, body):
    return {
        "messageId": str(number),
        "receiptHandle": f"handle-{number}",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:111111111111:work",
        "awsRegion": "us-east-1",
    }


def messages(kind):
    """Return one message that can never be worked off, and one about work that nobody asked for."""
    wake_up = {"kind": kind, "accountId": "222222222222", "region": "eu-west-1"}
    return {"Records": [message(1, "{not json"), message(2, json.dumps(wake_up))]}


REMOVED_RECORD = {
    "Records": [
        {
            "eventID": "1",
            "eventName": "REMOVE",
            "eventSource": "aws:dynamodb",
            "awsRegion": "us-east-1",
            "dynamodb": {
                "Keys": {"region": {"S": "eu-west-1"}, "accountId": {"S": "222222222222"}},
                "SequenceNumber": "1",
                "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
            "eventSourceARN": "arn:aws:dynamodb:us-east-1:111111111111:table/scans/stream/1",
        }
    ]
}

NOTHING_FAILED = {"batchItemFailures": []}

EVENTS = {
    "api_handler": [
        (rest("/regions"), lambda answer: json.loads(answer["body"])["regions"] == []),
        (rest("/servers"), lambda answer: json.loads(answer["body"])["servers"] == []),
    ],
    "inventory_schedule": [(SCHEDULED, lambda answer: answer is None)],
    "tags_schedule": [(SCHEDULED, lambda answer: answer is None)],
    "staging_schedule": [(SCHEDULED, lambda answer: answer is None)],
    "inventory_worker": [(messages("inventory"), lambda answer: answer == NOTHING_FAILED)],
    "tags_worker": [(messages("tags"), lambda answer: answer == NOTHING_FAILED)],
    "staging_worker": [(messages("staging"), lambda answer: answer == NOTHING_FAILED)],
    "scan_stream": [(REMOVED_RECORD, lambda answer: answer == NOTHING_FAILED)],
    "operations": [
        ({"operation": "health"}, lambda answer: answer == {"status": "OK"}),
        ({"operation": "sync_tags", "wait": 1}, lambda answer: answer["plannedScopes"] == 0),
        ({"operation": "nonsense"}, lambda answer: answer["error"] == "UNKNOWN_OPERATION"),
    ],
    "operations_read": [
        ({"operation": "health"}, lambda answer: answer == {"status": "OK"}),
        ({"operation": "sync_tags"}, lambda answer: answer["error"] == "UNKNOWN_OPERATION"),
    ],
    "maintenance": [
        ({"task": "reconcile"}, lambda answer: answer["registered"] == []),
        ({"task": "nonsense"}, lambda answer: answer["error"] == "INVALID_REQUEST"),
    ],
    "account_probe": [
        ({"probe": "validate", "accountId": "222222222222"}, lambda answer: answer["error"] == "NOT_FOUND"),
        ({"probe": "nonsense"}, lambda answer: answer["error"] == "INVALID_REQUEST"),
    ],
}
"""By function, events and whether an answer is the one expected of a stack with empty tables."""


class EmptyTables(BaseHTTPRequestHandler):
    """AWS as far as the handlers ask it: tables without items, queues that take everything."""

    ANSWERS = {
        "Scan": {"Items": [], "Count": 0, "ScannedCount": 0},
        "Query": {"Items": [], "Count": 0, "ScannedCount": 0},
        "GetItem": {},
        "BatchGetItem": {"Responses": {}, "UnprocessedKeys": {}},
        "SendMessage": {"MessageId": "1", "MD5OfMessageBody": ""},
    }

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers.get("X-Amz-Target", "").rsplit(".", 1)[-1]
        self.server.asked.append(operation)
        status, content = 200, self.ANSWERS.get(operation)
        if operation == "UpdateItem":
            status, content = 400, {"__type": "com.amazonaws.dynamodb#ConditionalCheckFailedException", "message": "no"}
        elif content is None:
            status, content = 400, {"__type": "ValidationException", "message": f"{operation} was not expected"}
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        return


def logical(name):
    return "APIHandler" if name == "api_handler" else "".join(word.capitalize() for word in name.split("_"))


def setting(name, value, endpoint):
    """Return a value for a setting of the template: its literal, or one that fits its name."""
    if isinstance(value, str):
        return value
    if name.endswith("_URL"):
        return f"{endpoint}/111111111111/{name}"
    return {"HUB_ACCOUNT_ID": "111111111111", "ENABLE_REGION_FILTERING": "true", "DEFAULT_TENANT": "default"}.get(
        name, "60" if name.endswith(("_MINUTES", "_PER_SECOND")) else name.lower()
    )


def environment(template, port):
    """Return a function's environment: the template's settings, and AWS at a port of this machine."""
    endpoint = f"http://127.0.0.1:{port}"
    given = template["Globals"]["Function"]["Environment"]["Variables"]
    return {
        **{key: setting(key, value, endpoint) for key, value in given.items()},
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",  # checkov:skip=CKV_SECRET_2:AWS's own example
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "NO_PROXY": "*",
    }
