"""Certificates that the device presents itself: unfit, at odds with their use, or samples.

Only certificates whose private key is in the image, or that stand where a server keeps its own, are looked at: bundles of public
roots may hold old, self-signed and SHA-1 signed roots by right, and examples are nobody's. "Expired" is measured at the day this
rule was last revised and at the newest file of the image, never at today, so that the same image keeps its report.

Sources: RFC 5280, sections 4.2.1.3 (key usage), 4.2.1.9 (basic constraints), 4.2.1.12 (purposes); RFC 8446, section 4.4.2.4.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import NamedTuple

from fwcheck.analysers._known import library_test_keys
from fwcheck.analysers._once import once
from fwcheck.analysers._places import EXAMPLE
from fwcheck.analysers.rule import rules_of
from fwcheck.device.firmware import Firmware
from fwcheck.model import CertificateFact, Device, Evidence, Facts, Finding, Location, Node, NodeKind, Severity

RULES = rules_of(__name__)
_UNFIT = RULES["TLS-005"]
_MISUSED = RULES["TLS-030"]
_SAMPLE = RULES["TLS-031"]

_REVISED = "2026-11-01"  # no certificate that ended before this day is valid for anybody
_BROKEN_HASHES = frozenset({"md2", "md4", "md5", "sha1"})
_PUBLIC_ROOTS = re.compile(
    r"(?i)/(?:ssl/certs|ca-certificates|mozilla|cacerts|trust|share/ca)/|(?:ca[-_]?bundle|ca[-_]?certs?|cacert|root[-_]?ca|roots?)[^/]*$"
)
_OWN = re.compile(
    r"(?i)^(?:server|device|https?d?|lighttpd|nginx|uhttpd|web|local|self|host|default|ssl|stunnel|cwmp|tr069|client|my)?[-_.]?"
    r"(?:cert(?:ificate)?|crt|server|ssl|https?|uhttpd|client|device)?[-_.]?(?:rsa|ec|2048|1024)?\.(?:pem|crt|cer|der)$"
)
# Names that those who make samples give, and that openssl-req(1) proposes.
_SAMPLE_NAME = re.compile(
    r"(?i)snake ?oil|Internet Widgits|\btest[ _-]?(?:ca|cert(?:ificate)?|server|client|root|key|only)\b|\bdummy\b"
    r"|for testing purposes|do not (?:use|trust|ship)|\bexample\.(?:com|org|net)\b|\bsome-?(?:organi[sz]ation|company)\b"
    r"|ACME Co\b|yourdomain"
)
_SERVER, _ANY_PURPOSE = "1.3.6.1.5.5.7.3.1", "2.5.29.37.0"
_HANDSHAKE = {"digitalSignature", "keyEncipherment", "keyAgreement"}
_WEB = frozenset({"http", "https"})
_MOST_YEARS = 20
_MOST_IN_A_FILE = 3
_NEWEST_SANE = 4_102_444_800  # 2100-01-01: later times are broken clocks


class _Context(NamedTuple):
    """What decides whose certificate it is: the private keys of the image, those that web servers use, and its age."""

    private: frozenset[str]
    web: dict[str, str]  # fingerprint of a key that a web server uses: the server
    reference: str


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on the device's own certificates."""
    return once(_findings(firmware, device))


def _findings(firmware: Firmware, device: Device) -> Iterator[Finding]:
    context = _context(firmware, device)
    for node, facts in firmware.contents():
        if not facts.certificates or node.kind is NodeKind.CONTAINER or facts.kind == "elf" or EXAMPLE.search(node.place):
            continue
        for certificate in facts.certificates:
            held = certificate.key_fingerprint in context.private
            if held or _stands_for_the_device(node, facts, certificate):
                if faults := _faults(certificate, context.reference):
                    yield _unfit(node, certificate, faults)
                yield from _misused(node, certificate, context, held=held)
                yield from _sample(node, certificate)


def _context(firmware: Firmware, device: Device) -> _Context:
    web = {
        (each.root, each.path): service.name
        for service in device.services
        if service.present and service.enabled != "no" and service.protocol in _WEB
        for each in service.keys
    }
    private: set[str] = set()
    used: dict[str, str] = {}
    for node, facts in firmware.contents():
        for key in facts.keys if facts.keys and not EXAMPLE.search(node.place) else ():
            if key.private and key.fingerprint:
                private.add(key.fingerprint)
                if server := web.get((" › ".join(node.chain), node.path)):
                    used[key.fingerprint] = server
    return _Context(frozenset(private - library_test_keys().keys()), used, max(_REVISED, _newest(firmware)))


def _newest(firmware: Firmware) -> str:
    """The day of the newest file of the image: when it was built, unless its clock was wrong."""
    newest = max((node.mtime for node in firmware.nodes if 0 < node.mtime < _NEWEST_SANE), default=0)
    return datetime.fromtimestamp(newest, UTC).date().isoformat()


def _stands_for_the_device(node: Node, facts: Facts, certificate: CertificateFact) -> bool:
    if certificate.is_ca or len(facts.certificates) > _MOST_IN_A_FILE or _PUBLIC_ROOTS.search(node.path):
        return False
    return bool(node.path.startswith("/") and _OWN.match(posixpath.basename(node.path)))


def _evidence(node: Node, certificate: CertificateFact, words: str) -> Evidence:
    where = Location(chain=node.chain, path=node.path, offset=certificate.offset)
    return Evidence(location=where, text=f"{certificate.subject[:140]}: {words}")


# --------------------------------------------------------------------------- unfit


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


def _unfit(node: Node, certificate: CertificateFact, faults: list[str]) -> Finding:
    kinds = sorted({fault.split(" ")[0] for fault in faults})
    return _UNFIT.finding(
        _evidence(node, certificate, ", ".join(faults)),
        f"certificate {certificate.key_fingerprint}: {' '.join(kinds)}",
        title=f"Certificate of the device is unfit: {', '.join(faults)}",
    )


# --------------------------------------------------------------------------- misused


def _misused(node: Node, certificate: CertificateFact, context: _Context, *, held: bool) -> Iterator[Finding]:
    """What the certificate says that it is for, against what it is used for."""
    server = context.web.get(certificate.key_fingerprint, "")
    cause = f"certificate {certificate.key_fingerprint}"
    if certificate.is_ca and held and _may_sign(certificate):
        words = f"authority whose private key is in the image{f', presented by {server}' if server else ''}"
        yield _MISUSED.finding(
            _evidence(node, certificate, words),
            f"{cause}: authority",
            title="The private key of a certificate authority is in the image"
            + (f", and {server} presents its certificate" if server else ""),
        )
    if server and (reason := _not_for_servers(certificate)):
        yield _MISUSED.finding(
            _evidence(node, certificate, reason),
            f"{cause}: purpose",
            title=f"Certificate of {server} is not for servers: {reason}"[:200],
            severity=Severity.LOW,
            explanation="Clients that check what a certificate is for refuse it, so they are told not to check.",
        )
    years = _years(certificate)
    if held and years > _MOST_YEARS and certificate.not_after[:4] != "9999":
        yield _MISUSED.finding(
            _evidence(node, certificate, f"valid for {years} years, until {certificate.not_after[:10]}"),
            f"{cause}: years",
            title=f"Certificate is valid for {years} years",
            severity=Severity.INFO,
            verdict="info",
            explanation="A key that is lost stays of use to whoever has it until its certificate ends.",
        )


def _may_sign(certificate: CertificateFact) -> bool:
    return certificate.usage is None or "keyCertSign" in certificate.usage


def _not_for_servers(certificate: CertificateFact) -> str:
    purposes, usage = certificate.purposes, certificate.usage
    if purposes is not None and not {_SERVER, _ANY_PURPOSE} & set(purposes):
        return "its purposes leave out the authentication of servers"
    if usage is not None and not _HANDSHAKE & set(usage):
        return f"its key usage is {', '.join(usage) or 'empty'} alone"
    return ""


def _years(certificate: CertificateFact) -> int:
    try:
        begin, end = (date.fromisoformat(text[:10]) for text in (certificate.not_before, certificate.not_after))
    except ValueError:
        return 0
    return (end - begin).days // 365


# --------------------------------------------------------------------------- samples


def _sample(node: Node, certificate: CertificateFact) -> Iterator[Finding]:
    """A certificate whose names say that it was not made for a product."""
    found = _SAMPLE_NAME.search(certificate.subject) or _SAMPLE_NAME.search(certificate.issuer)
    if found is not None:
        issuer = "" if found.string == certificate.subject else f", issued by {certificate.issuer[:80]}"
        yield _SAMPLE.finding(
            _evidence(node, certificate, f"sample or test by its name{issuer}"),
            f"sample certificate {certificate.key_fingerprint}",
            title=f"Certificate of the device is a sample or a test by its name: {found[0]}",
        )
