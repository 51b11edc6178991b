"""Settings: each that is missing or malformed is named, by the variable's name."""

import pytest

from chalicelib.container import container, forget
from chalicelib.errors import SettingError
from chalicelib.settings import Settings, read_settings

from ..factories import HUB
from . import stack

REQUIRED = sorted(name.upper() for name, field in Settings.model_fields.items() if field.is_required())
COMPLETE = {name: HUB if name == "HUB_ACCOUNT_ID" else "some-name" for name in REQUIRED}
MALFORMED = {
    "HUB_ACCOUNT_ID": "12",
    "ENABLE_REGION_FILTERING": "perhaps",
    "INVENTORY_INTERVAL_MINUTES": "soon",
    "TAGS_INTERVAL_MINUTES": "0",
    "STAGING_INTERVAL_MINUTES": "-5",
    "PROBE_INTERVAL_MINUTES": "1.5",
    "QUEUE_VISIBILITY_SECONDS": "x",
    "MAX_EXTENSIONS_PER_RUN": "0",
    "SERVICE_MAX_ATTEMPTS": "99",
}


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("empty", [True, False])
def test_a_missing_setting_is_named(name, empty):
    environment = {**COMPLETE, name: ""} if empty else {key: COMPLETE[key] for key in COMPLETE if key != name}
    with pytest.raises(SettingError, match=rf"\b{name}\b"):
        read_settings(environment)


@pytest.mark.parametrize(("name", "value"), MALFORMED.items())
def test_a_malformed_setting_is_named(name, value):
    with pytest.raises(SettingError, match=rf"\b{name}\b"):
        read_settings({**COMPLETE, name: value})


def test_every_fault_is_named_at_once():
    with pytest.raises(SettingError) as raised:
        read_settings({})
    assert all(name in str(raised.value) for name in REQUIRED)


def test_what_is_not_said_has_the_documented_default():
    settings = read_settings(COMPLETE)
    assert settings.enable_region_filtering
    assert settings.cadence == (900, 3600, 300, 21_600)
    assert settings.region_cache_ttl_seconds == 60


@pytest.mark.parametrize(("text", "on"), [("false", False), ("FALSE", False), ("0", False), ("true", True)])
def test_the_kill_switch_is_read(text, on):
    assert read_settings({**COMPLETE, "ENABLE_REGION_FILTERING": text}).enable_region_filtering is on


def test_other_variables_do_not_matter():
    assert read_settings({**COMPLETE, "PATH": "/bin"}) == read_settings(COMPLETE)


def test_the_stack_sets_what_is_required():
    variables = stack.template()["Globals"]["Function"]["Environment"]["Variables"]
    assert set(REQUIRED) <= set(variables)
    known = {name.upper() for name in Settings.model_fields}
    assert {name for name in variables if not name.startswith("AWS_")} <= known


def test_the_stack_asks_sts_in_its_own_region():
    variables = stack.template()["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["AWS_STS_REGIONAL_ENDPOINTS"] == "regional"


def test_the_environment_is_read_once(monkeypatch):
    forget()
    for name, value in COMPLETE.items():
        monkeypatch.setenv(name, value)
    first = container()
    monkeypatch.setenv("INVENTORY_TABLE", "another")
    assert container() is first
    forget()
