"""Withdrawn cryptography that a started service is told to use: SSH ciphers, MACs and key exchange, IPsec proposals, SNMPv3.

It proves that the configuration in force names the algorithm. Whether the other end ever agrees to it, it cannot say; nor is
anything said of algorithms that are merely linked into a program, for a hash in a library is no use of it. TLS has rules of its
own (``transport.py``), and so have wireless networks (``exposure.py``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import rules_of
from fwcheck.device.firmware import Firmware
from fwcheck.model import Device, Finding, Remark, Severity

RULES = rules_of(__name__)
_WEAK = RULES["CRY-001"]


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:  # noqa: ARG001 -- the device model holds it all
    """One finding for each service and file."""
    return once(_findings(device))


def _findings(device: Device) -> Iterator[Finding]:
    for service in device.services:
        if service.enabled == "no" or not service.present or service.reachable == "loopback":
            continue
        together: dict[str, list[Remark]] = defaultdict(list)
        for remark in service.remarks:
            if remark.topic == "weak-crypto":
                together[remark.evidence.location.path].append(remark)
        for remarks in together.values():
            names = ", ".join(dict.fromkeys(name for each in remarks for name in each.detail.split(", ")))
            sure = service.enabled == "yes" and remarks[0].certain
            yield _WEAK.finding(
                remarks[0].evidence,
                f"{service.name} weak cryptography",
                title=f"{service.name} allows {names}"[:160],
                severity=_WEAK.severity if sure else Severity.LOW,
                confidence=_WEAK.confidence if sure else "tentative",
                witnesses=(*(each.evidence for each in remarks[1:]), *service.evidence[:1]),
            )
