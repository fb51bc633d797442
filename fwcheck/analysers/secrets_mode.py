"""Secrets that other users of the device may read or write: file modes of password files and private keys.

Modes are believed only where the file system stores them and somebody set them with care: an image in which no file at all is
kept from others was repacked or built without modes, and then the finding is a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fwcheck.analysers._known import library_test_keys
from fwcheck.analysers._once import once
from fwcheck.analysers._places import EXAMPLE
from fwcheck.analysers.rule import rules_of
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Device, Facts, Finding, Node, Severity

RULES = rules_of(__name__)
_MODES = RULES["FS-002"]

_WITHOUT_MODES = frozenset({
    *("fat", "vfat", "exfat", "romfs", "iso9660", "zip", "ntfs", "udf", "littlefs", "spiffs", "esp-nvs", "minifs", "pfs"),
    *("owowfs", "7z", "cab", "lha", "arj", "arc", "rar", "cbfs", "uefi-fv", "uefi-vss", "ambarella-romfs", "nordic-dfu"),
})  # fmt: skip
_PASSWORDS = re.compile(
    r"(?:^|/)(?:shadow-?|gshadow-?|smbpasswd|\.htpasswd|wpa_supplicant[^/]*\.conf|chap-secrets|pap-secrets|ipsec\.secrets)$"
)
# What a secret looks like in them, by the name of the file; samples and "any" are none.
_HELD = (
    (re.compile(r"passw(?:or)?d|shadow"), re.compile(r"(?m)^[\w.-]+:(?:\$\w+\$|[./0-9A-Za-z]{13}(?::|$)|\d+:[0-9A-Fa-fX]{32}:)")),
    (
        re.compile(r"wpa_supplicant"),
        re.compile(
            r"(?m)^[ \t]*(?:psk|sae_password|password|wep_key\d)="
            r"(?![\"']?(?i:psk|your|my|test|example|secret|very secret|pass|x{3})[\w -]*[\"']?[ \t]*$)"
        ),
    ),
    (re.compile(r"[cp]h?ap-secrets"), re.compile(r"(?m)^[ \t]*[^#\s]\S*[ \t]+\S+[ \t]+(?![*\"']{1,3}(?:\s|$)|<|\$|%)[^\s]+")),
    (re.compile(r"ipsec"), re.compile(r"(?m)^[ \t]*[^#\s].*:[ \t]*(?:PSK|RSA|EAP|XAUTH)\b|^[ \t]*:[ \t]*(?:PSK|EAP|XAUTH)\b")),
)


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:  # noqa: ARG001  # the signature of every analyser
    """Findings on the modes of files that hold secrets."""
    return once(finding for fs in firmware.filesystems for finding in _of(fs))


def _of(fs: FileSystem) -> Iterator[Finding]:
    if fs.format in _WITHOUT_MODES:
        return
    files = list(fs.files())
    careful = any(not node.mode & 0o004 and node.mode for node, _ in files)
    for node, facts in files:
        if not node.mode & 0o006 or not (what := _secret(node, facts)) or EXAMPLE.search(node.place):
            continue
        writable = bool(node.mode & 0o002)
        yield _MODES.finding(
            fs.evidence(node.path, f"mode {node.mode:04o}: {what}"),
            f"mode of {what}",
            title=f"{what[0].upper()}{what[1:]} may be {'changed' if writable else 'read'} by every user of the device",
            severity=Severity.HIGH if writable and careful else Severity.MEDIUM if careful or writable else Severity.LOW,
            verdict="violation" if careful else "concern",
            confidence="firm" if careful else "tentative",
        )


def _secret(node: Node, facts: Facts) -> str:
    """What secret a file holds; empty when none."""
    if facts.kind != "elf" and any(
        key.private and not key.encrypted and key.valid and key.fingerprint not in library_test_keys() for key in facts.keys
    ):
        return "private key"
    if facts.text is None or not (name := _PASSWORDS.search(node.path)):
        return ""
    if any(file.search(name[0]) and shape.search(facts.text) for file, shape in _HELD):
        return "password file" if "passwd" in name[0] or "shadow" in name[0] else "file with passphrases"
    return ""
