"""What lets the device survive outages, and what protects what it stores: evidence for the vendor's case, never a proof.

That a watchdog is fed or settings lie on a journalling file system does not show that a unit comes back from a power cut: only
pulling the plug does. Nothing is said where nothing was found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import Rule, rules_of
from fwcheck.device.firmware import Firmware
from fwcheck.model import Device, Finding, Trait

RULES = rules_of(__name__)
_RULE_OF = {
    "watchdog": RULES["RES-001"],
    "two slots": RULES["RES-002"],
    "storage that survives a power cut": RULES["RES-003"],
    "redundant settings": RULES["RES-003"],
    "services restarted": RULES["RES-004"],
}
_STORAGE = RULES["FS-008"]


def analyse(_firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings that speak for resilience and for protected storage."""
    return once((*_resilience(device), *_storage(device)))


def _resilience(device: Device) -> Iterator[Finding]:
    for trait in device.resilience:
        rule = _RULE_OF.get(trait.name)
        if rule is not None and trait.evidence and trait.state != "no":
            yield _finding(rule, trait)


def _storage(device: Device) -> Iterator[Finding]:
    for trait in device.storage:
        if trait.name in ("encrypted storage", "keys kept apart") and trait.evidence and trait.state == "yes":
            yield _finding(_STORAGE, trait)


def _finding(rule: Rule, trait: Trait) -> Finding:
    return rule.finding(
        trait.evidence[0],
        trait.name,
        title=f"{trait.name.capitalize()}: {trait.detail}"[:200],
        verdict="support" if trait.state == "yes" else "info",
        confidence="firm" if trait.state == "yes" else "tentative",
        witnesses=trait.evidence[1:],
    )
