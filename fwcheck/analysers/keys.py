"""Private keys in the image: who copies them from one unit has them for all; and SSH keys let in from outside.

A key counts when a whole one was read. Constants that TLS libraries carry for their own tests are none of the device's keys.
Whether a key is used, or replaced at the first boot, cannot be seen; keys in dedicated files are taken to be used.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import msgspec

from fwcheck.analysers._known import library_test_keys, published_by
from fwcheck.analysers._once import once
from fwcheck.analysers._places import EXAMPLE, LIBRARY, TESTS
from fwcheck.analysers.rule import rules_of
from fwcheck.device.firmware import Firmware
from fwcheck.model import Device, Evidence, Facts, Finding, KeyFact, Location, Node, NodeKind, Severity

RULES = rules_of(__name__)
_SHIPPED = RULES["TLS-004"]
_SIGNING = RULES["UPD-007"]
_ADMITTED = RULES["ACC-006"]

_LIBRARY_SUBJECT = re.compile(r"(?i)polarssl|mbed ?tls|wolfssl|yassl|matrixssl|axtls|gnutls test|openssl test")
_SIGNER = re.compile(
    r"(?i)(?:^|[._-])(?:sign(?:ing)?|ota|fota|update|upgrade|fw|firmware|release|image|swupdate|rauc|mender|key-build|verify)"
    r"(?:[._-].*)?\.?(?:key|pem|priv|sec|der|jks|keystore)?$"
)
_USES = {"static": "Shared VPN key", "HMAC": "Shared secret"}
_AUTHORIZED = re.compile(r"(?:^|/)authorized_keys2?$")
_KEY_LINE = re.compile(r"^(?![ \t]*#).*\b(ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-\S+|sk-\S+@openssh\.com)\s+AAAA", re.MULTILINE)
_MOST_PER_CONTENT = 16
_HEAD = 64  # bytes before the first key of a key store


class _Use(NamedTuple):
    """A service that uses a key file, and what says so."""

    service: str
    enabled: str  # "yes", "no", "unknown"
    evidence: Evidence


class _Held(NamedTuple):
    node: Node
    facts: Facts
    key: KeyFact
    uses: tuple[_Use, ...] = ()

    @property
    def started(self) -> tuple[_Use, ...]:
        """The uses by services that the shipped state starts, else by those that it may start."""
        sure = tuple(each for each in self.uses if each.enabled == "yes")
        return sure or tuple(each for each in self.uses if each.enabled == "unknown")


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on private keys and on baked-in SSH keys."""
    return once((*_private(firmware, device), *_authorized(firmware, device)))


# --------------------------------------------------------------------------- private keys


def _private(firmware: Firmware, device: Device) -> Iterator[Finding]:
    trusted = _trusted(firmware)
    uses = _uses(device)
    kernels = {node.chain for node, facts in firmware.loose if any(hit.component == "linux_kernel" for hit in facts.banners)}
    for node, facts in firmware.contents():
        if node.kind is NodeKind.CONTAINER:
            continue
        private = [key for key in facts.keys if key.private][:_MOST_PER_CONTENT]
        for key in private:
            if _is_library_test(node, facts, key) or _is_nobodys(node, key):
                continue
            used = tuple(uses.get((" › ".join(node.chain), node.path), ()))
            finding = _judged(_Held(node, facts, key, used), trusted)
            yield _in_kernel(finding) if node.chain in kernels and not node.path.startswith("/") else finding


def _uses(device: Device) -> dict[tuple[str, str], list[_Use]]:
    """The services that use each key file, by file system and path."""
    found: dict[tuple[str, str], list[_Use]] = {}
    for service in device.services:
        for each in service.keys if service.present else ():
            found.setdefault((each.root, each.path), []).append(_Use(service.name, service.enabled, each.evidence))
    return found


def _in_kernel(finding: Finding) -> Finding:
    """A key inside a kernel's code: kernels carry vectors of their crypto self-tests, so it may be nobody's key."""
    return msgspec.structs.replace(
        finding,
        severity=Severity.LOW,
        verdict="concern",
        confidence="tentative",
        refuted_by="The key is a vector of the kernel's own self-tests.",
    )


def _is_library_test(node: Node, facts: Facts, key: KeyFact) -> bool:
    """Whether a key inside a program is a test constant of a TLS library, by its fingerprint or by the company it keeps."""
    if key.published or key.fingerprint in library_test_keys():
        return facts.kind not in ("pem", "text")
    if facts.kind != "elf":
        return False
    if LIBRARY.match(posixpath.basename(node.path)):
        return True
    test_constants = any(each.fingerprint in library_test_keys() for each in facts.keys)
    return ((key.encrypted or not key.fingerprint) and test_constants) or any(
        certificate.key_fingerprint == key.fingerprint and _LIBRARY_SUBJECT.search(certificate.subject)
        for certificate in facts.certificates
    )


def _is_nobodys(node: Node, key: KeyFact) -> bool:
    """Whether a key is test data: in a library's own tests, or an example that its publisher ships everywhere."""
    return bool(TESTS.search(node.place) or (EXAMPLE.search(node.place) and published_by(key.fingerprint)))


def _trusted(firmware: Firmware) -> dict[str, str]:
    """Public keys that updates are verified with, by fingerprint: the path of the file that holds them."""
    found: dict[str, str] = {}
    for node, facts in firmware.contents():
        if re.search(
            r"(?i)/(?:opkg/keys|rauc|swupdate|mender|apk/keys|ota|usign)(?:/|$)|(?:sign|update|ota|fw|firmware)\S*pub", node.path
        ):
            for public in (
                *(key.fingerprint for key in facts.keys if not key.private),
                *(c.key_fingerprint for c in facts.certificates),
            ):
                if public:
                    found.setdefault(public, node.path)
    return found


def _judged(held: _Held, trusted: dict[str, str]) -> Finding:
    node, facts, key, _ = held
    where = _evidence(node, key)
    name = posixpath.basename(node.path)
    cause = f"private key: {key.fingerprint or f'{key.container} {key.algorithm}'}"
    dedicated = facts.kind not in ("elf", "binary") or key.offset < _HEAD
    verifier = trusted.get(key.fingerprint or "")
    if verifier or key.container in ("usign", "minisign") or (_SIGNER.search(name) and dedicated):
        return _SIGNING.finding(
            where,
            cause,
            title=f"Private signing key shipped ({_kind(key)})",
            verdict="concern" if key.encrypted else "violation",
            confidence="certain" if verifier and key.valid else "firm" if key.container in ("usign", "minisign") else "tentative",
            explanation=_SIGNING.explanation + (f" Its public half stands in {verifier}." if verifier else ""),
        )
    use, severity, verdict, confidence = _weighed(held, dedicated=dedicated)
    by = ", ".join(dict.fromkeys(each.service for each in held.started))
    owner = published_by(key.fingerprint)
    return _SHIPPED.finding(
        where,
        cause,
        title=f"{use} shipped ({_kind(key)})"
        + (f", published by {owner}" if owner else "")
        + (f", {'used' if held.started[0].enabled == 'yes' else 'it may be used'} by {by}"[:80] if by else ""),
        severity=severity,
        verdict=verdict,
        confidence=confidence,
        explanation=_SHIPPED.explanation
        + _told_use(held)
        + (f" Nobody needs the image to have it: {owner} is where it is published." if owner else "")
        + (
            " Its passphrase is no protection: it was opened with one of the first that are tried."
            if key.encrypted and key.valid
            else " It is encrypted; its passphrase, if the device needs none from outside, has to be in the image too."
            if key.encrypted
            else ""
        ),
        witnesses=(*(each.evidence for each in held.started[:4]), *_certificates(held)),
    )


def _told_use(held: _Held) -> str:
    """What is known of who uses the key, in a sentence."""
    if started := held.started:
        state = "starts" if started[0].enabled == "yes" else "may start"
        return f" The shipped state {state} {', '.join(dict.fromkeys(each.service for each in started))[:120]}, which uses it."
    if held.uses:
        return f" {held.uses[0].service}, which uses it, is not started by the shipped state."
    return ""


def _weighed(
    held: _Held, *, dedicated: bool
) -> tuple[str, Severity, Literal["violation", "concern"], Literal["certain", "firm", "tentative"]]:
    node, _, key, _ = held
    path = node.path if node.path.startswith("/") else ""
    host_key = key.container == "dropbear" or "ssh_host_" in path or "host_key" in path
    use = "SSH host key" if host_key else _USES.get(key.algorithm, "Private key")
    if EXAMPLE.search(path):
        return f"{use} of an example", Severity.LOW, "concern", "tentative"
    if key.encrypted and key.valid:
        return f"{use} under a passphrase that everybody tries first,", Severity.CRITICAL, "violation", "certain"
    if key.encrypted:
        return f"Encrypted {use[0].lower()}{use[1:]}", Severity.MEDIUM, "concern", "firm"
    if not key.valid:
        return use, Severity.HIGH, "concern" if not dedicated else "violation", "firm"
    if not dedicated:
        return f"{use} inside a program", Severity.HIGH, "violation", "firm"
    # A key that no service is seen to use is as readable, but what it opens is not known.
    return use, Severity.CRITICAL if held.started else Severity.HIGH, "violation", "certain"


def _kind(key: KeyFact) -> str:
    size = f"-{key.bits}" if key.bits and key.algorithm in ("RSA", "DSA", "EC") else ""
    return f"{key.algorithm}{size}, {key.container}"


def _evidence(node: Node, key: KeyFact) -> Evidence:
    """Where the key stands; its bytes are never shown, its public half is named by fingerprint."""
    shown = f"{_kind(key)} private key" + (f", public half SHA-256 {key.fingerprint[:16]}" if key.fingerprint else "")
    if key.comment:
        shown += f", comment {key.comment[:60]!r}"
    return Evidence(location=_location(node, key.offset), text=shown)


def _location(node: Node, offset: int) -> Location:
    return Location(chain=node.chain, path=node.path, offset=offset)


def _certificates(held: _Held) -> tuple[Evidence, ...]:
    """The certificates of this key in the same content."""
    node, facts, key, _ = held
    return tuple(
        Evidence(
            location=_location(node, each.offset),
            text=f"certificate of this key: {each.subject[:120]}, until {each.not_after[:10]}",
        )
        for each in facts.certificates
        if key.fingerprint and each.key_fingerprint == key.fingerprint
    )[:4]


# --------------------------------------------------------------------------- authorized_keys


def _authorized(firmware: Firmware, device: Device) -> Iterator[Finding]:
    """ACC-006. Files without a key line (comments, placeholders) are nothing."""
    states = {each.enabled for each in device.services if each.protocol == "ssh" and each.present}
    for fs in firmware.filesystems:
        for node, facts in fs.files():
            if not _AUTHORIZED.search(node.path) or facts.text is None:
                continue
            lines = [(facts.text.count("\n", 0, hit.start()) + 1, hit) for hit in _KEY_LINE.finditer(facts.text)]
            if not lines:
                continue
            example = bool(EXAMPLE.search(node.place))
            prints = [key.fingerprint or "" for key in facts.keys if key.container == "SSH public"]
            yield _ADMITTED.finding(
                fs.evidence(node.path, _key_line(facts.text, lines[0][0]), line=lines[0][0]),
                "authorized key" + (f": {prints[0]}" if prints else ""),
                title=f"{len(lines)} SSH key{'s are' if len(lines) > 1 else ' is'} let in on every unit",
                severity=Severity.LOW if example else Severity.CRITICAL if states != {"no"} else Severity.HIGH,
                verdict="concern" if example or states == {"no"} else "violation",
                confidence="tentative" if example else "certain" if "yes" in states else "firm",
                witnesses=tuple(fs.evidence(node.path, _key_line(facts.text, number), line=number) for number, _ in lines[1:17]),
            )


def _key_line(text: str, number: int) -> str:
    """An authorized_keys line with the key itself cut: public, but long."""
    line = text.splitlines()[number - 1]
    return re.sub(r"(AAAA[A-Za-z0-9+/]{20})[A-Za-z0-9+/=]+", r"\1...", line)
