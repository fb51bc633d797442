"""The planted weaknesses: each committed image gives its planted findings and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fwcheck.pipeline import Options, scan

SAMPLES = Path(__file__).parents[1] / "samples"
sys.path.insert(0, str(SAMPLES))

from planted import PLANTED, Plant  # noqa: E402


def against(image: Path) -> set[tuple[str, str]]:
    """Rule and path of everything a scan says against an image."""
    found = scan(image, Options(jobs=1)).findings
    return {(each.rule, each.location.path) for each in found if each.verdict in {"violation", "concern"}}


@pytest.fixture(scope="module")
def repaired() -> set[tuple[str, str]]:
    return against(SAMPLES / "router-repaired.bin")


def test_nothing_is_said_against_the_repaired_router(repaired: set[tuple[str, str]]) -> None:
    assert repaired == set()


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.name)
def test_a_planted_weakness_is_found_and_nothing_else(plant: Plant, repaired: set[tuple[str, str]]) -> None:
    assert against(SAMPLES / "planted" / f"{plant.name}.bin") - repaired == set(plant.finds)


def test_every_image_has_its_plant() -> None:
    assert {path.stem for path in (SAMPLES / "planted").iterdir()} == {plant.name for plant in PLANTED}
