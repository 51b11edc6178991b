"""The table of proofs and the policies say the same."""

from collections import Counter

import pytest

from .customers import SESSIONS
from .matrix import functions, grants, permissions
from .proofs import EXEMPT, PROOFS, exemption, forbidden, proofs
from .scenarios import SCENARIOS


def test_every_function_is_in_the_table():
    assert set(PROOFS) == set(functions())


@pytest.mark.parametrize("function", functions())
def test_each_permission_has_a_proof_or_is_exempt(function):
    provable = {one for one in permissions(function) if exemption(one) is None}
    assert set(proofs(function)) == provable


@pytest.mark.parametrize("function", functions())
def test_no_permission_is_granted_or_proven_twice(function):
    granted = Counter(grant.permission for grant in grants(function))
    proven = Counter(text for texts in PROOFS[function].values() for text in texts)
    assert [one for one, times in (granted + proven).items() if times > 1] == []


def test_every_scenario_exists_and_proves_something():
    proving = {name for told in PROOFS.values() for name, texts in told.items() if texts}
    assert proving | {name for allowed in SESSIONS.values() for name in allowed.values() if name} == set(SCENARIOS)


def test_no_exemption_is_left_over():
    held = {text for function in functions() for one in permissions(function) for text in (one.action, " ".join(one))}
    assert set(EXEMPT) <= held


@pytest.mark.parametrize("function", functions())
def test_nobody_holds_what_nobody_may(function):
    assert not forbidden() & permissions(function)
