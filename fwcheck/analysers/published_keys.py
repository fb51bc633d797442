"""Public keys and certificates whose private halves anybody can read: samples of libraries and servers, keys of other products.

It proves that the image holds the public half and that its private half is published (``published_keys.toml`` of the inspection
says by whom). Private keys in the image are told by the analyser of keys, keys that images are signed with by that of updates.
What a public key is used for is known of authorized_keys alone; elsewhere the finding is a concern.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fwcheck.analysers._known import sample_keys
from fwcheck.analysers._once import once
from fwcheck.analysers._places import EXAMPLE, LIBRARY
from fwcheck.analysers.rule import rules_of
from fwcheck.device.firmware import Firmware
from fwcheck.model import Device, Evidence, Facts, Finding, Location, Node, NodeKind, Severity

RULES = rules_of(__name__)
_PUBLISHED = RULES["CRY-004"]

_AUTHORIZED = re.compile(r"(?:^|/)authorized_keys2?$")


class _Half(NamedTuple):
    fingerprint: str
    offset: int
    words: str


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:  # noqa: ARG001  # the signature of every analyser
    """Findings on public halves of published keys."""
    return once(_findings(firmware))


def _findings(firmware: Firmware) -> Iterator[Finding]:
    known = sample_keys()
    held = [(node, facts) for node, facts in firmware.contents() if node.kind is not NodeKind.CONTAINER]
    private = {key.fingerprint for _, facts in held for key in facts.keys if key.private}
    for node, facts in held:
        if not (facts.keys or facts.certificates):
            continue
        if EXAMPLE.search(node.place) or (facts.kind == "elf" and LIBRARY.match(posixpath.basename(node.path))):
            continue
        told: set[str] = set()
        for half in _halves(facts):
            if half.fingerprint in known and half.fingerprint not in private and half.fingerprint not in told:
                told.add(half.fingerprint)
                yield _judged(node, facts, half, known[half.fingerprint])


def _halves(facts: Facts) -> Iterator[_Half]:
    for key in facts.keys:
        if not key.private and key.fingerprint:
            yield _Half(key.fingerprint, key.offset, f"{key.container} key" + (f" {key.comment[:60]!r}" if key.comment else ""))
    for each in facts.certificates:
        yield _Half(each.key_fingerprint, each.offset, f"certificate of {each.subject[:100]}")


def _judged(node: Node, facts: Facts, half: _Half, owner: str) -> Finding:
    where = Evidence(
        location=Location(chain=node.chain, path=node.path, offset=half.offset),
        text=f"{half.words}, SHA-256 {half.fingerprint[:16]}: private half published by {owner}",
    )
    cause = f"published key: {half.fingerprint}"
    if _AUTHORIZED.search(node.path):
        title = f"Everybody can log in over SSH: the private half of an authorised key is published ({owner})"
        return _PUBLISHED.finding(
            where, cause, title=title, severity=Severity.CRITICAL, verdict="violation", confidence="firm", criteria=_LOGIN
        )
    inside = facts.kind in ("elf", "binary")
    return _PUBLISHED.finding(
        where,
        cause,
        title=f"Key whose private half is published ({owner})",
        severity=Severity.MEDIUM if inside else None,
        confidence="tentative" if inside else None,
    )


_LOGIN = ("S1.1-02", "S1.1-03", "S1.1-13")
