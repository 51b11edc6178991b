"""Each permission is needed: with it a scenario passes, without it the same scenario is denied exactly that."""

import pytest

from sandbox.cloud.client import InvocationError

from .proofs import PROOFS, proofs
from .scenarios import SCENARIOS
from .world import Failed

CASES = [(function, one, name) for function in PROOFS for one, name in proofs(function).items()]


@pytest.mark.parametrize(("function", "name"), [(function, name) for function in PROOFS for name in PROOFS[function]])
def test_it_can_do_what_it_has_to(world, function, name):
    world.forget_decisions()
    SCENARIOS[name](world, function)
    assert world.decisions(function, allowed=False) == set()


@pytest.mark.parametrize(
    ("function", "permission", "name"), CASES, ids=[f"{function}-{' '.join(one)}" for function, one, _ in CASES]
)
def test_without_a_permission_it_cannot(world, function, permission, name):
    with world.without(function, permission):
        world.forget_decisions()
        with pytest.raises((AssertionError, Failed, InvocationError)):
            SCENARIOS[name](world, function)
        assert world.decisions(function, allowed=False) == {permission}
