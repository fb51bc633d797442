"""The way back to the factory state: that there is one, that none was seen, and what it leaves behind.

It proves what readable scripts erase. A page or a string in a program shows that the function is meant to be there, not that it
erases everything; and that nothing was seen counts only where the image was read whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import rules_of
from fwcheck.device.firmware import Firmware
from fwcheck.model import Device, Evidence, Finding, Location, NodeKind, Severity, Trait

RULES = rules_of(__name__)
_PATH = RULES["RST-001"]
_LEFT = RULES["RST-002"]

_COMPLETE = 0.05  # share of the image that may stay unread for a statement about absence
_SHOWN = 12
_SETTINGS = re.compile(r"^(/\S+) \(")


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on the way back to the factory state."""
    return once((*_seen(device), *_absent(firmware, device), *_left(device)))


def _seen(device: Device) -> Iterator[Finding]:
    """RST-001 as support: firm where a script shows what is erased, tentative where only words speak of it."""
    shown = [each for each in device.reset if each.evidence]
    sure = [each for each in shown if each.state == "yes"]
    first = (sure or shown)[:1]
    for trait in first:
        others = [each.evidence[0] for each in shown if each is not trait]
        what = f"erases {trait.detail}" if trait.state == "yes" else trait.name
        yield _PATH.finding(
            trait.evidence[0],
            "reset present",
            title=f"A way back to the factory state: {what}"[:200],
            severity=Severity.INFO,
            verdict="support",
            confidence="firm" if sure else "tentative",
            witnesses=(*trait.evidence[1:4], *others)[:_SHOWN],
            explanation="The image holds a function that takes the device back to its factory state.",
            refuted_by="The function cannot be reached by the user, or leaves what the user stored.",
            remediation="Tell users how to do it, and check that nothing of theirs stays behind.",
        )


def _absent(firmware: Firmware, device: Device) -> Iterator[Finding]:
    roots = [fs for fs in firmware.filesystems if fs.is_root]
    coverage = firmware.coverage
    dark = coverage.bytes_unknown + coverage.bytes_encrypted
    if device.reset or not roots or coverage.gaps or dark > _COMPLETE * max(1, coverage.bytes_total):
        return
    if not any(each.enabled == "yes" for each in device.services):
        return  # what would offer it was not seen either
    parts = [node for node in firmware.nodes if node.kind is NodeKind.CONTAINER and len(node.chain) == 2]
    if len(parts) < 2 and any(len(fs.chain) == 2 for fs in roots):
        return  # one partition of a device: the function may stand in another
    yield _PATH.finding(Evidence(location=Location(chain=roots[0].chain), text="no way back seen"), "no reset")


def _left(device: Device) -> Iterator[Finding]:
    """RST-002, only where every handler that was read deletes directories and none erases a whole partition."""
    for root in dict.fromkeys(each.root for each in device.reset):
        handlers = [each for each in device.reset if each.root == root and each.state == "yes"]
        if not handlers or any(
            not part.startswith("/") or part.startswith("/dev/") for each in handlers for part in each.detail.split(", ")
        ):
            continue
        if any(each.root == root and each.name == "reset in a program" for each in device.reset):
            continue  # a program may erase the rest
        erased = [part.rstrip("/*") for each in handlers for part in each.detail.split(", ")]
        for trait in device.storage:
            place = _kept(trait, root)
            if place and not any(_covers(each, place) for each in erased):
                yield _LEFT.finding(
                    trait.evidence[0],
                    f"left {place}",
                    title=f"The way back to the factory state does not touch {place}",
                    witnesses=tuple(each.evidence[0] for each in handlers)[:_SHOWN],
                )


def _kept(trait: Trait, root: str) -> str:
    """The directory that a row of storage speaks of, where it surely holds something over a restart."""
    if trait.root != root or trait.name != "kept over a restart" or trait.state != "yes" or not trait.evidence:
        return ""
    found = _SETTINGS.match(trait.detail)
    return found.group(1) if found and found.group(1) != "/" else ""


def _covers(erased: str, place: str) -> bool:
    return place == erased or place.startswith(erased + "/") or erased.startswith(place + "/")
