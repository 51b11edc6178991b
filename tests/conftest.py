"""What holds for every test: properties are not timed, since a machine that is busy with something else is slow."""

from hypothesis import HealthCheck, settings

settings.register_profile("properties", max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("properties")  # before the tests are defined: @given keeps what holds then
