"""Certificates that the device presents itself: expired, signed with a broken hash, or with a key that is too short.

Only certificates whose private key is in the image, or that stand where a server keeps its own, are looked at: bundles of public
roots may hold old and SHA-1 signed roots by right. "Expired" is measured at the day this rule was last revised and at the
newest file of the image, never at today, so that the same image keeps its report.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from fwcheck.analysers._known import library_test_keys
from fwcheck.analysers._once import once
from fwcheck.analysers.rule import rules_of
from fwcheck.device.firmware import Firmware
from fwcheck.model import CertificateFact, Device, Evidence, Facts, Finding, Location, Node, NodeKind

RULES = rules_of(__name__)
_CERTIFICATE = RULES["TLS-005"]

_REVISED = "2026-11-01"  # no certificate that ended before this day is valid for anybody
_BROKEN_HASHES = frozenset({"md2", "md4", "md5", "sha1"})
_PUBLIC_ROOTS = re.compile(
    r"(?i)/(?:ssl/certs|ca-certificates|mozilla|cacerts|trust|share/ca)/|(?:ca[-_]?bundle|ca[-_]?certs?|cacert|root[-_]?ca|roots?)[^/]*$"
)
_OWN = re.compile(
    r"(?i)^(?:server|device|https?d?|lighttpd|nginx|uhttpd|web|local|self|host|default|ssl|stunnel|cwmp|tr069|client|my)?[-_.]?"
    r"(?:cert(?:ificate)?|crt|server|ssl|https?|uhttpd|client|device)?[-_.]?(?:rsa|ec|2048|1024)?\.(?:pem|crt|cer|der)$"
)
_MOST_IN_A_FILE = 3
_NEWEST_SANE = 4_102_444_800  # 2100-01-01: later times are broken clocks


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:  # noqa: ARG001  # the signature of every analyser
    """Findings on the device's own certificates."""
    return once(_findings(firmware))


def _findings(firmware: Firmware) -> Iterator[Finding]:
    private = {key.fingerprint for _, facts in firmware.contents() for key in facts.keys if key.private and key.fingerprint}
    private -= library_test_keys().keys()
    reference = max(_REVISED, _newest(firmware))
    for node, facts in firmware.contents():
        if node.kind is NodeKind.CONTAINER or facts.kind == "elf":
            continue
        for certificate in facts.certificates:
            if certificate.key_fingerprint in private or _stands_for_the_device(node, facts, certificate):
                faults = _faults(certificate, reference)
                if faults:
                    yield _found(node, certificate, faults)


def _newest(firmware: Firmware) -> str:
    """The day of the newest file of the image: when it was built, unless its clock was wrong."""
    newest = max((node.mtime for node in firmware.nodes if 0 < node.mtime < _NEWEST_SANE), default=0)
    return datetime.fromtimestamp(newest, UTC).date().isoformat()


def _stands_for_the_device(node: Node, facts: Facts, certificate: CertificateFact) -> bool:
    if certificate.is_ca or len(facts.certificates) > _MOST_IN_A_FILE or _PUBLIC_ROOTS.search(node.path):
        return False
    return bool(node.path.startswith("/") and _OWN.match(posixpath.basename(node.path)))


def _faults(certificate: CertificateFact, reference: str) -> list[str]:
    faults = []
    if certificate.not_after[:10] < reference:
        faults.append(f"expired on {certificate.not_after[:10]}")
    if (certificate.signature_hash or "").lower() in _BROKEN_HASHES:
        faults.append(f"signed with {(certificate.signature_hash or '').upper()}")
    bits = certificate.key_bits or 0
    if certificate.key_algorithm in ("RSA", "DSA") and 0 < bits < 2048:
        faults.append(f"{certificate.key_algorithm} key of {bits} bits")
    if certificate.key_algorithm == "EC" and 0 < bits < 224:
        faults.append(f"EC key of {bits} bits")
    return faults


def _found(node: Node, certificate: CertificateFact, faults: list[str]) -> Finding:
    where = Evidence(
        location=Location(chain=node.chain, path=node.path, offset=certificate.offset),
        text=f"{certificate.subject[:140]}: {', '.join(faults)}",
    )
    kinds = sorted({fault.split(" ")[0] for fault in faults})
    return _CERTIFICATE.finding(
        where,
        f"certificate {certificate.key_fingerprint}: {' '.join(kinds)}",
        title=f"Certificate of the device is unfit: {', '.join(faults)}",
    )
