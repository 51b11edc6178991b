"""Looks into customer accounts for the API, which may not: validation and discovery. Reads only (R11)."""

import secrets
from collections.abc import Callable, Iterable

from ..concurrency import executor
from ..domain.accounts import MOST_TARGETS, Access, Account, membership_fault
from ..domain.checks import TRUST_CHECK, Check, Discovered, Discovery, StagingCounts, StagingValidation
from ..domain.regions import ScanRecord
from ..domain.scopes import Scope
from ..domain.servers import FAILBACK
from ..errors import AccessDenied, InvalidRequest, NotOptedIn, ServiceError, Uninitialized
from .fleet import Fleet
from .ports import DrsRegions, Inventory, Probe

REGIONS_AT_ONCE = 12
DEFAULT_EBS_KEY = "DEFAULT"  # botocore model, ReplicationConfigurationEbsEncryption


class AccountProbe:
    """Validates accounts and discovers staging accounts."""

    def __init__(
        self,
        fleet: Fleet,
        inventory: Inventory,
        probe: Probe,
        drs_regions: DrsRegions,
        *,
        hub_account_id: str,
        servers_per_scope: int,
    ) -> None:
        self._fleet = fleet
        self._inventory = inventory
        self._probe = probe
        self._drs_regions = drs_regions
        self._hub_account_id = hub_account_id
        self._servers_per_scope = servers_per_scope

    def validate(self, account_id: str) -> list[Check]:
        """Check each role of a registered account, and DRS in each region.

        Raises:
            NotFound: where it is not registered.
        """
        account = self._fleet.account_or_raise(account_id)
        needed = [Access.READER, Access.WRITER] if account.has_drs else [Access.READER]
        roles = [self._role(account, access) for access in needed]
        doors = [access for access, role in zip(needed, roles, strict=True) if role.ok and account.role_arn(access)]
        roles += [self._trust_policy(account, access) for access in doors]
        if not account.has_drs or roles[0].ok is not True:
            return roles
        return [*roles, *self._everywhere(lambda region: self._drs(account, region), account)]

    def discover(self, target_id: str) -> Discovery:
        """Find the staging accounts that a target extends from: by its inventory and by its DRS.

        Raises:
            NotFound: where the target is not registered.
            InvalidRequest: where it is a source account.
        """
        target = self._with_drs(target_id)
        scopes = [Scope(target_id, region) for region in self._drs_regions(target.partition)]
        active = [scan for scan in self._fleet.scans(scopes) if scan.active]
        found: dict[str, dict[str, int]] = {}
        for scan in active:
            for row in self._inventory.of_scope(scan.scope) if scan.extended_count else ():
                if row.extended:
                    counts = found.setdefault(row.staging_account_id, {})
                    counts[scan.region] = counts.get(scan.region, 0) + 1
        not_seen = [
            "Staging accounts from which nothing was ever extended: neither the inventory nor ListStagingAccounts names"
            " them. Add them by hand."
        ]
        with executor(REGIONS_AT_ONCE) as pool:
            for region, answer in pool.map(lambda scan: self._listed(target, scan.region), active):
                if isinstance(answer, ServiceError):
                    not_seen.append(f"{region}: ListStagingAccounts failed: {answer}")
                    continue
                for staging_account_id in answer:
                    found.setdefault(staging_account_id, {}).setdefault(region, 0)
        valid = self._fleet.memberships(target).valid
        registered = {membership.staging_account_id for membership in valid}
        found.pop(target_id, None)
        return Discovery(
            staging_accounts=[
                Discovered(
                    staging_account_id=account_id,
                    regions=sorted(counts),
                    extended_servers=sum(counts.values()),
                    registered=account_id in registered,
                )
                for account_id, counts in sorted(found.items())
            ],
            not_seen=not_seen,
        )

    def validate_staging(self, target_id: str, staging_account_id: str) -> StagingValidation:
        """Check whether a registered staging account's servers can be extended into a target.

        Raises:
            NotFound: where either is not registered.
            InvalidRequest: where the two belong to different tenants or partitions, or one is without DRS. Neither is
                entered.
        """
        target, staging = self._fleet.account_or_raise(target_id), self._fleet.account_or_raise(staging_account_id)
        if fault := membership_fault(target, staging):
            raise InvalidRequest(f"stagingAccountId: {fault}")
        regions = self._drs_regions(staging.partition)
        active = [scan for scan in self._fleet.scans(Scope(staging_account_id, r) for r in regions) if scan.active]
        checks = [self._role(staging, Access.READER), self._role(target, Access.WRITER)]
        checks.append(self._trusted_accounts(target, staging))
        checks += self._each(lambda scan: self._trust(target, scan), active)
        checks += self._each(self._encryption, active)
        if not active:
            message = "no region of it is known to hold servers"
            advice = "Install agents that replicate into it, or wait for its scans"
            checks.append(Check(name="servers", subject=staging_account_id, ok=None, message=message, advice=advice))
        counts = [self._counts(target, scan) for scan in active]
        ok = all(check.ok is not False for check in checks) and all(one.within_quota is not False for one in counts)
        return StagingValidation(ok=ok, checks=checks, counts=counts)

    def _role(self, account: Account, access: Access) -> Check:
        arn = account.role_arn(access) or ""
        name = f"{access}Role"
        if not arn and account.account_id == self._hub_account_id:
            return Check(name=name, subject=account.account_id, ok=True, message="the hub's own account needs none")
        advice = f"Deploy infra/customer-roles.yaml in {account.account_id} and check its ExternalId and role names"
        try:
            seen = self._probe.identity(account, access)
        except ServiceError as error:
            return Check(name=name, subject=arn or account.account_id, ok=False, message=str(error), advice=advice)
        if seen != account.account_id:
            message = f"the role leads into account {seen}"
            return Check(name=name, subject=arn, ok=False, message=message, advice="Register the account's own role")
        return Check(name=name, subject=arn, ok=True, message="it can be assumed")

    def _trust_policy(self, account: Account, access: Access) -> Check:
        """Check that a role lets the hub in with the account's ExternalId alone.

        AWS IAM user guide, "Access to AWS accounts owned by third parties": who provides the service should try without
        an ExternalId and with a wrong one, and not go on where either works.
        """
        arn = account.role_arn(access) or ""
        attempts = {"without an ExternalId": None, "with a wrong ExternalId": f"wrong-{secrets.token_hex(16)}"}
        try:
            works = [how for how, external_id in attempts.items() if self._probe.admits(account, access, external_id)]
        except ServiceError as error:
            return Check(name=TRUST_CHECK, subject=arn, ok=None, message=str(error), advice="Try again later")
        if works:
            message = f"the {access} role can be assumed {' and '.join(works)}"
            advice = f"Deploy infra/customer-roles.yaml in {account.account_id}: its roles demand the ExternalId"
            return Check(name=TRUST_CHECK, subject=arn, ok=False, message=message, advice=advice)
        return Check(name=TRUST_CHECK, subject=arn, ok=True, message="it cannot be assumed without the ExternalId")

    def _drs(self, account: Account, region: str) -> Check:
        try:
            self._probe.probe(account, region)
        except Uninitialized:
            advice = "Initialise DRS there, if servers are to be protected there"
            return self._drs_check(region, ok=None, message="DRS is not initialised", advice=advice)
        except NotOptedIn:
            advice = "Enable the region in the account, if it is to be used"
            return self._drs_check(region, ok=None, message="the account has not enabled the region", advice=advice)
        except AccessDenied as error:
            advice = "Allow drs:DescribeSourceServers to the reader role"
            return self._drs_check(region, ok=False, message=str(error), advice=advice)
        except ServiceError as error:
            return self._drs_check(region, ok=False, message=str(error), advice="Try again later")
        return self._drs_check(region, ok=True, message="DRS is initialised")

    @staticmethod
    def _drs_check(region: str, *, ok: bool | None, message: str, advice: str | None = None) -> Check:
        return Check(name="drsInitialized", subject=region, ok=ok, message=message, advice=advice)

    def _trusted_accounts(self, target: Account, staging: Account) -> Check:
        """Check how many accounts the staging account's DRS has to trust, by the registry."""
        others = set(self._fleet.targets_of(staging.account_id)) - {target.account_id}
        found = f"{len(others) + 1} targets with this one; DRS lets an account trust {MOST_TARGETS}"
        advice = f"Stage further servers in another account than {staging.account_id}"
        fits = len(others) < MOST_TARGETS
        name, subject = "trustedAccounts", staging.account_id
        return Check(name=name, subject=subject, ok=fits, message=found, advice=None if fits else advice)

    def _trust(self, target: Account, scan: ScanRecord) -> Check:
        subject = f"{scan.account_id} in {scan.region}"
        try:
            left = self._probe.extensible(target, scan.region, scan.account_id)
        except Uninitialized as error:
            advice = f"Initialise DRS of {target.account_id} in {scan.region}"
            return Check(name="trust", subject=subject, ok=False, message=str(error), advice=advice)
        except AccessDenied as error:
            advice = f"Let {scan.account_id} trust {target.account_id} (DRS, trusted accounts)"
            return Check(name="trust", subject=subject, ok=False, message=str(error), advice=advice)
        except ServiceError as error:
            return Check(name="trust", subject=subject, ok=None, message=str(error), advice="Try again later")
        return Check(name="trust", subject=subject, ok=True, message=f"{left} servers can be extended")

    def _encryption(self, scan: ScanRecord) -> Check:
        """Check the EBS key by the replication configurations that were captured: the default key cannot be shared."""
        subject = f"{scan.account_id} in {scan.region}"
        learnt = [
            row.topology.original_replication_configuration
            for row in self._inventory.of_scope(scan.scope)
            if row.topology
        ]
        known = [one.value.get("ebsEncryption") for one in learnt if isinstance(one.value, dict)]
        default = known.count(DEFAULT_EBS_KEY)
        if default:
            message = f"{default} of {scan.server_count} servers use the default EBS key, which cannot be shared"
            advice = "Use a customer managed key, shared with the target account, if DRS refuses their extension"
            return Check(name="ebsKey", subject=subject, ok=None, message=message, advice=advice)
        if not known:
            return Check(name="ebsKey", subject=subject, ok=None, message="no replication configuration is known yet")
        return Check(name="ebsKey", subject=subject, ok=True, message="no server uses the default EBS key")

    def _counts(self, target: Account, scan: ScanRecord) -> StagingCounts:
        held = self._fleet.scan(Scope(target.account_id, scan.region))
        known = held is not None and held.last_success is not None
        target_servers = held.server_count if held and known else None
        resulting = None if held is None or not known else held.server_count + self._waiting(scan.scope, held.scope)
        return StagingCounts(
            region=scan.region,
            staging_servers=scan.server_count,
            target_servers=target_servers,
            resulting_servers=resulting,
            within_quota=None if resulting is None else resulting <= self._servers_per_scope,
        )

    def _waiting(self, staging: Scope, target: Scope) -> int:
        """Return how many servers of a staging scope can be extended and are not yet, by the inventory."""
        extended = {row.staging_source_server_arn for row in self._inventory.of_scope(target) if row.extended}
        own = (row for row in self._inventory.of_scope(staging) if not row.extended)
        return sum(row.replication_direction != FAILBACK and row.arn not in extended for row in own)

    def _listed(self, target: Account, region: str) -> tuple[str, list[str] | ServiceError]:
        try:
            return region, self._probe.staging_accounts(target, region)
        except ServiceError as error:
            return region, error

    def _everywhere(self, check: Callable[[str], Check], account: Account) -> list[Check]:
        with executor(REGIONS_AT_ONCE) as pool:
            return list(pool.map(check, self._drs_regions(account.partition)))

    @staticmethod
    def _each(check: Callable[[ScanRecord], Check], scans: Iterable[ScanRecord]) -> list[Check]:
        with executor(REGIONS_AT_ONCE) as pool:
            return list(pool.map(check, scans))

    def _with_drs(self, account_id: str) -> Account:
        account = self._fleet.account_or_raise(account_id)
        if not account.has_drs:
            raise InvalidRequest(f"accountId: {account_id} is a source account: its DRS is not used")
        return account
