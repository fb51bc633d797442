"""The planted weaknesses: each committed image gives its planted findings and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fwcheck.analysers.registry import rules
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


# Rules that this router cannot show: what tests show them instead.
ELSEWHERE = {
    "ACC-030": "needs machine code: tests/analysers/test_analyse_compiled.py",
    "ACC-031": "needs machine code: tests/analysers/test_analyse_compiled.py",
    "ACC-032": "needs machine code: tests/analysers/test_analyse_compiled.py",
    "BOOT-001": "needs the kernel's configuration in the image: tests/analysers/test_analyse_boot_chain.py",
    "DEC-001": "needs statements of a maker: tests/analysers/test_analyse_declared.py",
    "DEC-002": "needs statements of a maker: tests/analysers/test_analyse_declared.py",
    "DEC-003": "needs statements of a maker: tests/analysers/test_analyse_declared.py",
    "DEC-004": "needs statements of a maker: tests/analysers/test_analyse_declared.py",
    "DEC-005": "needs statements of a maker: tests/analysers/test_analyse_declared.py",
    "DEC-006": "needs statements of a maker: tests/analysers/test_analyse_declared.py",
    "DEC-007": "needs statements of a maker: tests/analysers/test_analyse_declared.py",
    "DEC-008": "needs statements of a maker: tests/analysers/test_analyse_declared.py",
    "DEC-009": "needs statements of a maker: tests/analysers/test_analyse_declared.py",
    "DEC-010": "needs statements of a maker: tests/analysers/test_analyse_declared.py",
    "DEC-011": "needs statements of a maker: tests/analysers/test_analyse_declared.py",
    "DEC-012": "needs statements of a maker: tests/analysers/test_analyse_declared_scope.py",
    "DEC-013": "needs statements of a maker: tests/analysers/test_analyse_declared_information.py",
    "DEC-014": "needs statements of a maker: tests/analysers/test_analyse_declared_information.py",
    "DEC-015": "needs statements of a maker: tests/analysers/test_analyse_declared_information.py",
    "DEC-016": "needs statements of a maker: tests/analysers/test_analyse_declared_information.py",
    "DEC-017": "needs statements of a maker: tests/analysers/test_analyse_declared_scope.py",
    "DEC-018": "needs statements of a maker: tests/analysers/test_analyse_declared_scope.py",
    "DEC-019": "needs statements of a maker: tests/analysers/test_analyse_declared_scope.py",
    "DEC-020": "needs statements of a maker: tests/analysers/test_analyse_declared_scope.py",
    "DEC-021": "needs statements of a maker: tests/analysers/test_analyse_declared_scope.py",
    "DBG-020": "needs machine code: tests/analysers/test_analyse_compiled.py",
    "DBG-021": "needs machine code: tests/analysers/test_analyse_compiled.py",
    "TLS-020": "needs machine code: tests/analysers/test_analyse_compiled.py",
    "TLS-021": "needs machine code: tests/analysers/test_analyse_compiled.py",
    "TLS-022": "needs machine code: tests/analysers/test_analyse_compiled.py",
    "TLS-023": "needs machine code: tests/analysers/test_analyse_compiled.py",
    "FS-006": "file capabilities can be written by root alone: tests/analysers/test_analyse_isolation.py",
    "FS-020": "settings of microcontrollers: tests/device/test_microcontroller.py",
    "DBG-022": "microcontrollers: tests/device/test_microcontroller.py",
    "DBG-023": "microcontrollers: tests/device/test_microcontroller.py",
    "TLS-024": "microcontrollers: tests/device/test_microcontroller.py",
    "NET-020": "microcontrollers: tests/device/test_microcontroller.py",
    "UPD-013": "microcontrollers: tests/device/test_microcontroller.py",
    "UPD-011": "signed bundles: tests/device/test_signatures.py",
    "UPD-012": "signed bundles: tests/device/test_signatures.py",
    "LOG-002": "syslog daemons with a configuration of their own: tests/analysers/test_analyse_logs.py",
}


def test_every_rule_that_speaks_against_an_image_is_planted() -> None:
    planted = {rule for plant in PLANTED for rule, _ in plant.finds}
    adverse = {id for id, rule in rules().items() if rule.verdict in {"violation", "concern"}}
    assert adverse - planted == set(ELSEWHERE)
    for reason in ELSEWHERE.values():
        assert (SAMPLES.parent / reason.rpartition(" ")[2]).is_file()
