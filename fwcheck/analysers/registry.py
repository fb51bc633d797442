"""All analysers there are, and the rules they bring."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Protocol, cast

from fwcheck import analysers
from fwcheck.analysers.rule import Rule
from fwcheck.device.firmware import Firmware
from fwcheck.model import Device, Finding

_ORDER = {"critical": 0, "high": 1, "medium": 2, "low": 3, "info": 4}
_VERDICTS = {"violation": 0, "concern": 1, "support": 2, "info": 3}


class Analyser(Protocol):
    """A module with rules and a pure function from firmware and device to findings."""

    RULES: Mapping[str, Rule]

    @staticmethod
    def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
        """The findings of this analyser, in any order."""


@cache
def registered() -> tuple[Analyser, ...]:
    """Every module of this package that defines ``analyse``, and every one registered as an entry point."""
    found: list[Analyser] = []
    for info in sorted(pkgutil.iter_modules(analysers.__path__), key=lambda each: each.name):
        module = importlib.import_module(f"{analysers.__name__}.{info.name}")
        if hasattr(module, "analyse") and hasattr(module, "RULES"):
            found.append(cast("Analyser", module))
    found.extend(point.load() for point in entry_points(group="fwcheck.analysers"))
    return tuple(found)


@cache
def rules() -> Mapping[str, Rule]:
    """All rules by id."""
    return {id: rule for analyser in registered() for id, rule in analyser.RULES.items()}


def analyse(firmware: Firmware, device: Device) -> tuple[Finding, ...]:
    """All findings, worst first, each cause once; the order does not depend on the order of the analysers."""
    every: dict[tuple[str, tuple[str, ...]], Finding] = {}
    for analyser in registered():
        for finding in analyser.analyse(firmware, device):
            every.setdefault((finding.fingerprint, finding.location.chain), finding)
    return tuple(sorted(every.values(), key=_key))


def _key(finding: Finding) -> tuple[int, int, str, str, tuple[str, ...], str]:
    where = finding.location
    return _ORDER[finding.severity], _VERDICTS[finding.verdict], finding.rule, where.path, where.chain, finding.fingerprint
