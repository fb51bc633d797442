"""Whether updates come by themselves: settings as shipped that switch them off.

It reads settings that name automatic updates unmistakably: UCI (Gluon's ``autoupdater``, vendors' own), NVRAM defaults, JSON, XML
and INI files, ``APT::Periodic``. Whether the cloud or a setup assistant switches them on cannot be seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import rules_of
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Device, Evidence, Finding

RULES = rules_of(__name__)
_OFF = RULES["UPD-010"]

_WHAT = r"(?:fw_?|firmware_?|soft(?:ware)?_?|system_?)?"
_SWITCH = re.compile(
    rf"(?i)\bauto(?:matic)?[-_]?{_WHAT}(?:update|upgrade|ota)r?(?:[-_]?(?:enabled?|switch|flag|en|on))?[\"']?\s*[\s=:>]\s*[\"']?"
    r"(?:0|false|off|no|disabled?)\b"
)
_APT = re.compile(r'^[ \t]*APT::Periodic::Unattended-Upgrade\s+"0"\s*;', re.MULTILINE)
_ENABLED = re.compile(r"^\s*option\s+enabled?\s+[\"']?(0|false|off|no|1|true|on|yes)\b")
_UCI_UPDATERS = ("/etc/config/autoupdater", "/etc/config/auto_update", "/etc/config/autoupdate", "/etc/config/auto_upgrade")
_SETTINGS = re.compile(
    r"(?i)^/(?:etc|config|app|usr/local|usr/share|usr/etc|home|mnt|data|romfs|rom)/|nvram|default|factory|\.(?:ini|cfg|conf|json|xml)$"
)
_NO_SETTINGS = re.compile(
    r"(?i)/(?:doc|man|i18n|lang|www|web|htdocs|luci|locale|apt/apt\.conf\.d/examples)/|\.(?:js|html?|css|po|lua|sh|py|md)$"
)
_LONGEST = 2048  # characters of a line that is looked at


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:  # noqa: ARG001  # the signature of every analyser
    """Findings on updates that do not come by themselves."""
    return once(each for fs in firmware.filesystems for each in _in(fs))


def _in(fs: FileSystem) -> Iterator[Finding]:
    for node, facts in fs.files():
        text = facts.text
        if (
            text is None
            or facts.kind == "elf"
            or facts.interpreter
            or not _SETTINGS.search(node.path)
            or _NO_SETTINGS.search(node.path)
        ):
            continue
        where = _switched_off(fs, node.path, text)
        if where is not None:
            yield _OFF.finding(where, f"automatic updates off: {node.path}")


def _switched_off(fs: FileSystem, path: str, text: str) -> Evidence | None:
    """The line that switches updates off."""
    lower = text.lower()
    if path in _UCI_UPDATERS and (found := _uci(fs, path, text)) is not None:
        return found
    if "auto" in lower and ("update" in lower or "upgrade" in lower or "ota" in lower):
        for number, line in enumerate(text.splitlines(), 1):
            if len(line) <= _LONGEST and not line.lstrip().startswith(("#", ";", "//")) and _SWITCH.search(line):
                return fs.evidence(path, line, line=number)
    if path.startswith("/etc/apt/") and "APT::Periodic" in text and (hit := _APT.search(text)) is not None:
        return fs.evidence(path, hit[0], line=text.count("\n", 0, hit.end()) + 1)
    return None


def _uci(fs: FileSystem, path: str, text: str) -> Evidence | None:
    """A package that is about nothing but updates: its first switch."""
    for number, line in enumerate(text.splitlines(), 1):
        hit = _ENABLED.match(line)
        if hit is not None:
            return fs.evidence(path, line, line=number) if hit[1] in ("0", "false", "off", "no") else None
    return None
