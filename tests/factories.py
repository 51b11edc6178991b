"""Records and events for tests: each with sensible values, of which a test names only what matters to it."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from chalicelib.adapters.dynamodb import marshal
from chalicelib.domain.accounts import Account, AccountKind, Membership
from chalicelib.domain.extension import Refusal, RefusalReason
from chalicelib.domain.leases import Lease, LeasedWork, Outcome
from chalicelib.domain.regions import RegionStatus, ScanRecord, ScopeState
from chalicelib.domain.results import Run, RunMode, WorkResult
from chalicelib.domain.scopes import Scope
from chalicelib.domain.servers import ServerRow, Telemetry
from chalicelib.domain.topology import Topology, first_seen
from chalicelib.domain.work import Cadence, WorkId, WorkKind, WorkMessage
from chalicelib.domain.writes import ScopeTelemetry, UpdateServer
from chalicelib.settings import Settings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EPOCH = int(NOW.timestamp())

HUB = "999999999999"
TARGET, STAGING, SOURCE, OTHER = "111111111111", "222222222222", "333333333333", "444444444444"
REGION, SECOND, THIRD = "eu-west-1", "us-east-1", "ap-south-1"
REGIONS = [THIRD, "eu-central-1", REGION, SECOND, "us-west-2"]
SCOPE = Scope(TARGET, REGION)

CADENCE = Cadence(inventory=900, tags=3600, staging=300, probe=21_600)
REDELIVER_AFTER = 1800


def settings(cadence: Cadence = CADENCE, **values: Any) -> Settings:
    """Return a function's settings: names for what is required, and `values`."""
    required = {name.upper(): name for name, field in Settings.model_fields.items() if field.is_required()}
    minutes = {f"{kind.upper()}_INTERVAL_MINUTES": seconds // 60 for kind, seconds in cadence._asdict().items()}
    given = {name.upper(): value for name, value in values.items()}
    return Settings.model_validate({**required, "HUB_ACCOUNT_ID": HUB, **minutes, **given})


def account(account_id: str = TARGET, kind: AccountKind = AccountKind.TARGET, **values: Any) -> Account:
    roles = {
        "reader_role_arn": f"arn:aws:iam::{account_id}:role/reader",
        "writer_role_arn": f"arn:aws:iam::{account_id}:role/writer",
        "external_id": f"external-{account_id}",
    }
    return Account(**{"account_id": account_id, "name": f"account {account_id}", "kind": kind, **roles, **values})


def membership(target: str = TARGET, staging: str = STAGING, **values: Any) -> Membership:
    return Membership(account_id=target, staging_account_id=staging, **values)


def arn_of(server: str, account_id: str = TARGET, region: str = REGION) -> str:
    return f"arn:aws:drs:{region}:{account_id}:source-server/{server}"


def wire_server(
    server: str = "s-1",
    account_id: str = TARGET,
    region: str = REGION,
    *,
    hostname: str | None = None,
    instance: str | None = None,
    origin: tuple[str, str] | None = None,
    state: str = "CONTINUOUS",
    direction: str = "FAILOVER",
    lag: str = "PT5S",
    tags: dict[str, str] | None = None,
    staging: dict[str, Any] | None = None,
    **values: Any,
) -> dict[str, Any]:
    """One item of DescribeSourceServers; on premises unless `instance` and `origin` (account, region) say more."""
    hints = {"hostname": hostname or f"host-{server}", **({"awsInstanceID": instance} if instance else {})}
    cloud = (
        {"originAccountID": origin[0], "originRegion": origin[1], "originAvailabilityZone": f"{origin[1]}a"}
        if origin
        else {}
    )
    return {
        "sourceServerID": server,
        "arn": arn_of(server, account_id, region),
        "tags": dict(tags or {}),
        "replicationDirection": direction,
        "dataReplicationInfo": {
            "dataReplicationState": state,
            "lagDuration": lag,
            "replicatedDisks": [{"backloggedStorageBytes": 4096}],
        },
        "lifeCycle": {"lastSeenByServiceDateTime": "2026-03-01T11:59:00Z"},
        "sourceProperties": {
            "identificationHints": hints,
            "cpus": [{"cores": 4}],
            "ramBytes": 16 * 2**30,
            "disks": [{"bytes": 100 * 2**30}],
            "networkInterfaces": [{"ips": ["10.0.0.1"]}],
        },
        **({"sourceCloudProperties": cloud} if cloud else {}),
        "stagingArea": staging or {"status": "NOT_EXTENDED", "stagingAccountID": account_id},
        **values,
    }


def extended_area(original: str, staging_account_id: str = STAGING, status: str = "EXTENDED", **values: Any) -> Any:
    """The staging area of a server that extends the staging server `original` (an ARN)."""
    return {
        "status": status,
        "stagingAccountID": staging_account_id,
        "stagingSourceServerArn": original,
        **values,
    }


def instance(instance_id: str = "i-1", *, tags: dict[str, str] | None = None, **values: Any) -> dict[str, Any]:
    """One instance of DescribeInstances."""
    return {
        "InstanceId": instance_id,
        "InstanceType": "m5.large",
        "State": {"Name": "running"},
        "VpcId": "vpc-1",
        "SubnetId": "subnet-1",
        "Tags": [{"Key": key, "Value": value} for key, value in (tags or {}).items()],
        **values,
    }


def scan_record(region: str = REGION, account_id: str = TARGET, **values: Any) -> ScanRecord:
    given = {
        "state": ScopeState.AVAILABLE,
        "server_count": 1,
        "replicating_count": 1,
        "last_checked": NOW,
        "last_success": NOW,
        "epoch": 1,
        "servers_version": 1,
        "tags_version": 1,
    }
    return ScanRecord(**{"region": region, "account_id": account_id, **given, **values})


def region_status(region: str = REGION, server_count: int = 1, **values: Any) -> RegionStatus:
    given = {
        "status": ScopeState.AVAILABLE,
        "replicating_count": 0,
        "last_checked": NOW,
        "accounts": 1,
        "active_accounts": int(server_count > 0),
        "version": 1,
    }
    return RegionStatus(**{"region": region, "server_count": server_count, **given, **values})


def topology(**values: Any) -> Topology:
    made = first_seen(("eu-west-2", SOURCE, "eu-west-2a"), (REGION, TARGET), {"name": "default"}, NOW)
    return made.model_copy(update=values)


def server_row(server: str = "s-1", scope: Scope = SCOPE, **values: Any) -> ServerRow:
    given = {
        "arn": arn_of(server, *scope),
        "hostname": f"host-{server}",
        "staging_account_id": scope.account_id,
        "replication_state": "CONTINUOUS",
        "scope": scope.key,
        "first_seen": NOW,
        "last_updated": NOW,
    }
    identity = {"source_server_id": server, "replication_region": scope.region, "account_id": scope.account_id}
    return ServerRow(**{**given, **identity, **values})


def row_update(server: str = "s-1", scope: Scope = SCOPE, **values: Any) -> UpdateServer:
    """The update that makes a living row; `values` in the table's own spelling."""
    item = server_row(server, scope).item()
    del item["sourceServerID"], item["replicationRegion"], item["firstSeen"]
    return UpdateServer(server, scope, {**item, **values}, first={"firstSeen": item["lastUpdated"]})


def scope_telemetry(scope: Scope = SCOPE, epoch: int = 1, **servers: Telemetry) -> ScopeTelemetry:
    return ScopeTelemetry(scope, epoch, "2026-03-01T12:00:00.000Z", servers)


def refusal(arn: str = arn_of("s-1", STAGING), target: Scope = SCOPE, **values: Any) -> Refusal:
    given = {"reason": RefusalReason.REFUSED, "message": "default EBS key", "since": NOW}
    return Refusal(**{"target_scope": target.key, "staging_source_server_arn": arn, **given, **values})


def work(kind: WorkKind = WorkKind.INVENTORY, scope: Scope = SCOPE, *, dry_run: bool = False) -> WorkId:
    return WorkId(kind, scope, dry_run)


def message(kind: WorkKind = WorkKind.INVENTORY, scope: Scope = SCOPE, **values: Any) -> WorkMessage:
    return WorkMessage(kind=kind, account_id=scope.account_id, region=scope.region, **values)


def lease(of: WorkId | None = None, **values: Any) -> Lease:
    return Lease(**{"work": of or work(), "epoch": 1, "requested_at_lease": 1, "until": EPOCH + 330, **values})


def taken(of: WorkId | None = None, result: WorkResult | None = None, **values: Any) -> LeasedWork:
    return LeasedWork(lease(of, **values), result, {})


def work_result(**values: Any) -> WorkResult:
    return WorkResult(**{"finished_at": NOW, "epoch": 1, "state": ScopeState.AVAILABLE, **values})


def outcome(next_due: int | None = None, *, probe: bool = False, **values: Any) -> Outcome:
    return Outcome(work_result(**values), next_due, probe)


def run(run_id: str = "run-1", **values: Any) -> Run:
    given = {
        "kind": WorkKind.INVENTORY,
        "mode": RunMode.ACTIVE,
        "requested_by": "test",
        "created_at": NOW,
        "regions_used": [REGION],
        "regions_skipped": 4,
        "planned_scopes": 1,
        "total_scopes": 5,
        "expires_at": EPOCH + 86_400,
    }
    return Run(**{"run_id": run_id, **given, **values})


def sqs_event(*bodies: str, received: int = 1) -> dict[str, Any]:
    """What Lambda hands to a queue's worker."""
    records = [
        {
            "messageId": f"message-{number}",
            "receiptHandle": f"receipt-{number}",
            "body": body,
            "attributes": {"ApproximateReceiveCount": str(received)},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:999999999999:inventory-work",
            "awsRegion": "us-east-1",
        }
        for number, body in enumerate(bodies)
    ]
    return {"Records": records}


def stream_event(*changes: tuple[ScanRecord | None, ScanRecord | None]) -> dict[str, Any]:
    """What Lambda hands to a stream's handler: scan records before and after, in order."""
    records = []
    for number, (before, after) in enumerate(changes):
        either = after or before
        images = {"NewImage": after, "OldImage": before}
        record = {
            "Keys": marshal({"region": either.region, "accountId": either.account_id}),
            "SequenceNumber": str(100 + number),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            **{name: marshal(image.item()) for name, image in images.items() if image},
        }
        records.append({"eventID": str(number), "eventName": "MODIFY", "dynamodb": record})
    return {"Records": records}


def lambda_context(seconds_left: int = 300) -> SimpleNamespace:
    """The context of an invocation that has so much time left."""
    return SimpleNamespace(
        function_name="test",
        aws_request_id="request-1",
        memory_limit_in_mb=512,
        invoked_function_arn="arn:aws:lambda:us-east-1:999999999999:function:test",
        get_remaining_time_in_millis=lambda: seconds_left * 1000,
    )


def body_of(what: WorkMessage | dict[str, Any]) -> str:
    """The body of a work message as it is sent."""
    return what.model_dump_json(by_alias=True, exclude_none=True) if isinstance(what, WorkMessage) else json.dumps(what)
