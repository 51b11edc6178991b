"""The table of planted defects fits the source: each can be planted, and the whole program is covered.

Whether the tests notice takes minutes: `make defects`.
"""

import ast
from pathlib import Path

import pytest

from .table import DEFECTS, ROOT, SOURCES

LEAST = 40


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_can_be_planted(defect, tmp_path):
    place = tmp_path / SOURCES / defect.file(ROOT).relative_to(ROOT / SOURCES)
    place.parent.mkdir(parents=True)
    source = defect.file(ROOT).read_text()
    place.write_text(source)
    assert defect.apply(tmp_path) == source
    assert ast.dump(ast.parse(place.read_text())) != ast.dump(ast.parse(source))


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_the_tests_that_should_notice_exist(defect):
    missing = [name for name in defect.seen_by if not (ROOT / "tests" / name).exists()]
    assert not missing


def test_a_source_that_has_changed_is_told(tmp_path):
    defect = DEFECTS[0]
    (tmp_path / SOURCES / defect.place).mkdir(parents=True)
    with pytest.raises(ValueError, match="holds 0 times"):
        defect.apply(tmp_path)


def test_there_are_enough_and_each_has_a_name_of_its_own():
    assert len(DEFECTS) >= LEAST
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS)


def test_every_layer_has_its_share():
    layers = {Path(defect.place).parts[0] for defect in DEFECTS}
    assert layers == {"services", "domain", "adapters", "events"}
