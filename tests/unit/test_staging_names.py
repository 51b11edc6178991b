"""The functions of staging account sync (R8): they read the inventory and ask for work."""

import pytest

from chalicelib import staging_sync
from chalicelib.container import container
from chalicelib.domain.accounts import AccountKind
from chalicelib.domain.scopes import Scope
from chalicelib.domain.servers import Telemetry
from chalicelib.domain.work import WorkId, WorkKind
from chalicelib.domain.writes import ScopeTelemetry
from chalicelib.errors import InvalidRequest, NotFound

from .. import factories
from ..factories import REGION, SCOPE, SECOND, STAGING, TARGET

ORIGINAL = factories.arn_of("s-original", STAGING)
STAGED = Scope(STAGING, REGION)


@pytest.fixture
def registered(deployed):
    """A target with one staging account, which holds one server in one region; the target extends another."""
    for account_id, kind in ((TARGET, AccountKind.TARGET), (STAGING, AccountKind.STAGING)):
        container().ports.accounts.create(factories.account(account_id, kind))
    container().ports.accounts.create_membership(factories.membership())
    store(STAGED, {"s-original": Telemetry("1", original=ORIGINAL)})
    store(SCOPE, {"s-extension": Telemetry("2", extends="arn:other", extension="EXTENDED"), "s-own": Telemetry("3")})


def store(scope, servers):
    """Record a complete scan of `scope` that found `servers`."""
    work = WorkId(WorkKind.INVENTORY, scope)
    container().ports.work_states.request(work, 0)
    taken = container().ports.work_states.take(work, factories.EPOCH, factories.EPOCH + 60)
    record = factories.scan_record(scope.region, scope.account_id, server_count=len(servers), epoch=taken.lease.epoch)
    telemetry = ScopeTelemetry(scope, taken.lease.epoch, "2026-03-01T12:00:00.000Z", servers)
    container().ports.writer.write(taken.lease, [telemetry, record])


@pytest.mark.usefixtures("registered")
class TestSeedNames:
    def test_staging_servers_come_from_the_inventory(self):
        (found,) = staging_sync.get_staging_account_servers(STAGING, [REGION, SECOND])
        assert found == {"sourceServerID": "s-original", "arn": ORIGINAL, "region": REGION}

    def test_extended_servers_come_from_the_inventory(self):
        (found,) = staging_sync.get_extended_source_servers(TARGET, [REGION, SECOND])
        assert (found["sourceServerID"], found["stagingSourceServerArn"]) == ("s-extension", "arn:other")

    def test_extension_is_asked_for_where_a_staging_account_is_active(self):
        run = staging_sync.auto_extend_staging_servers([TARGET])
        assert (run.regions_used, run.planned_scopes) == ([REGION], 1)
        assert staging_sync.auto_extend_staging_servers([TARGET], [SECOND]).planned_scopes == 0

    def test_a_server_that_is_asked_for_is_tried_although_it_was_refused(self):
        staging_sync.extend_source_server(TARGET, ORIGINAL)
        taken = container().ports.work_states.take(
            WorkId(WorkKind.STAGING, SCOPE), factories.EPOCH, factories.EPOCH + 60
        )
        assert taken.lease.retry_refused

    @pytest.mark.parametrize("arn", ["", "s-1", "arn:aws:ec2:eu-west-1:1:instance/i-1", "arn:aws:drs:r:1:job/j"])
    def test_what_is_no_server_is_refused(self, arn):
        with pytest.raises(InvalidRequest, match="sourceServerArn"):
            staging_sync.extend_source_server(TARGET, arn)

    def test_an_unknown_target_is_refused(self):
        with pytest.raises(NotFound):
            staging_sync.auto_extend_staging_servers(["555555555555"])
