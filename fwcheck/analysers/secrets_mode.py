"""Secrets that other users of the device may read or write: file modes of password files and private keys.

Modes are believed only where the file system stores them and somebody set them with care: an image in which no file at all is
kept from others was repacked or built without modes, and then the finding is a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fwcheck.analysers._known import library_test_keys
from fwcheck.analysers._once import once
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
_HASH = re.compile(
    r"(?m)^[\w.-]+:(?:\$\w+\$|[./0-9A-Za-z]{13}(?::|$)|\d+:[0-9A-Fa-fX]{32}:)|^[ \t]*psk="
    r"|^[ \t]*[^#\s:][^\s:]*[ \t]+\S+[ \t]+\S+|^[ \t]*[^#\s].*:[ \t]*(?:PSK|RSA|EAP|XAUTH)\b"
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
        if not node.mode & 0o006 or not (what := _secret(node, facts)):
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
    if facts.text is not None and _PASSWORDS.search(node.path) and _HASH.search(facts.text):
        return "password file" if "passwd" in node.path or "shadow" in node.path else "file with passphrases"
    return ""
