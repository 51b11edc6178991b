"""Settings from the environment, checked when a function starts."""

from typing import Annotated

from pydantic import AliasGenerator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from .domain.accounts import DEFAULT_TENANT, Tenant
from .domain.work import Cadence
from .errors import SettingError

Name = Annotated[str, StringConstraints(min_length=1)]
Minutes = Annotated[int, Field(ge=1)]
Seconds = Annotated[int, Field(ge=1)]


class Settings(BaseModel):
    """One environment variable per field, in capitals; the template gives each function all of them."""

    model_config = ConfigDict(alias_generator=AliasGenerator(validation_alias=str.upper), frozen=True, extra="ignore")

    hub_account_id: Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")]
    inventory_table: Name
    region_status_table: Name
    scan_table: Name
    telemetry_table: Name
    accounts_table: Name
    work_state_table: Name
    refusals_table: Name
    runs_table: Name
    inventory_queue_url: Name
    tags_queue_url: Name
    staging_queue_url: Name
    work_dead_letter_queue_url: Name
    schedule_failures_queue_url: Name
    stream_failures_queue_url: Name
    reader_role_name: Name = "drs-active-regions-reader"
    writer_role_name: Name = "drs-active-regions-writer"
    role_path: Name = "/drs-active-regions/dev/"
    default_tenant: Tenant = DEFAULT_TENANT
    account_probe_function: Name | None = None
    maintenance_function: Name | None = None
    enable_region_filtering: bool = True
    inventory_interval_minutes: Minutes = 15
    tags_interval_minutes: Minutes = 60
    staging_interval_minutes: Minutes = 5
    probe_interval_minutes: Minutes = 360
    region_cache_ttl_seconds: Seconds = 60
    freshness_grace_seconds: Seconds = 300
    queue_visibility_seconds: Seconds = 1800
    max_extensions_per_run: Annotated[int, Field(ge=1)] = 100
    # Source servers per account and region, extensions included. Unverified quota, therefore a setting.
    max_source_servers_per_scope: Annotated[int, Field(ge=1)] = 4000
    run_retention_days: Annotated[int, Field(ge=1)] = 30
    service_max_attempts: Annotated[int, Field(ge=1, le=20)] = 4
    # Per account, region and service, of one process; a scope's work is done by one at a time. AWS publishes no rates.
    service_requests_per_second: Annotated[float, Field(ge=0.1, le=1000)] = 20

    @property
    def cadence(self) -> Cadence:
        """How often each kind of work comes due."""
        return Cadence(
            inventory=60 * self.inventory_interval_minutes,
            tags=60 * self.tags_interval_minutes,
            staging=60 * self.staging_interval_minutes,
            probe=60 * self.probe_interval_minutes,
        )


def read_settings(environment: dict[str, str]) -> Settings:
    """Return the settings that `environment` holds; an empty variable counts as absent.

    Raises:
        SettingError: naming every setting that is missing or malformed.
    """
    try:
        return Settings.model_validate({name: value for name, value in environment.items() if value})
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise SettingError(f"cannot start, check the function's environment: {faults}") from None
