"""Secrets in plain text in files: keys and tokens of cloud services, logins in addresses, on command lines and in settings.

It proves that the bytes stand in a shipped file. Whether the account behind them still exists cannot be seen, so a violation
needs a form that only its issuer gives out, and a file that the device reads. Logins of the device itself, its wireless network
and its own servers are the matter of other analysers.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from fwcheck.analysers.rule import rules_of
from fwcheck.device._wireless_scripts import written_passphrases
from fwcheck.device.firmware import Firmware
from fwcheck.device.microcontroller import stored_secrets
from fwcheck.device.stored_logins import stored_logins
from fwcheck.model import Device, Evidence, Facts, Finding, Location, Node, NodeKind, PatternHit, Severity

RULES = rules_of(__name__)
_PLAIN = RULES["FS-003"]

# Texts for people, samples, and data of languages and libraries.
_NOBODYS = re.compile(
    r"(?i)/(?:man\d?|info|licen[cs]es?|i18n|locales?|lang(?:uages?)?|l10n|translations?|help|include|schemas?|mibs?|terminfo|zoneinfo"
    r"|bash[-_]completion(?:\.d)?|completions|python[\d.]*|perl\d*|ruby|gems|node_modules|site-packages|dist-packages|vendor_perl|tests?"
    r"|testdata|lint(?:ian)?|fuzz)/|/usr/(?:share|lib)/(?:perl|python|vim|gdb|gcc)|\.(?:po|mo|pot|lng|lang|md|rst|dtd|xsd|mib|svg|css"
    r"|h|hpp|pod|3pm|pyi)(?:\.gz)?$|(?:jquery|bootstrap|angular|react|vue|lodash|moment|chart)[\w.-]*\.js$|\.min\.js$|/ca-certificates"
)
_SAMPLE = re.compile(
    r"(?i)/(?:docs?|examples?|samples?|demos?|templates?|contrib|readme[^/]*)/|[._-](?:sample|example|template|tmpl|dist|orig|bak|old|tpl|in|j2)$"
    r"|/(?:sample|example|readme|changelog|copyright|news|faq)[^/]*$"
)
_PAGES = frozenset({"html", "css", "javascript", "svg"})
_BY_NAME = frozenset({"config-password", "config-password-spaced", "uci-secret"})
_OF_OTHERS = frozenset({"snmp-community", "nvram-password", "chpasswd-literal", "passwd-literal"})
# What a name or its file has to say for a setting to be a login at somebody else's: logins into the device are found elsewhere.
_ELSEWHERE = re.compile(
    r"(?i)ppp|pptp|l2tp|ddns|dyn_?dns|smtp|mail|radius|proxy|cloud|sip(?:_|\b)|voip|\bacs|_acs|cwmp|tr_?0?69|connreq|mqtt|broker|ipsec|vpn"
    r"|ldap|database|\bdb_|_db\b|mysql|postgres|redis|influx|xmpp|api_?key|access_?key|auth_?(?:token|key)|token|secret|remote_|upload"
    r"|\bftp_|_ftp_|cifs|samba|\bnas_|stun|turn|push|aws|azure|aliyun|tuya|oss_|backup|platform|register|server_?pass|network\.wan"
)
_NO_SECRET = re.compile(
    r"(?i)(?:_(?:len(?:gth)?|min|max|file|path|type|enable[d]?|age|expire\w*|policy|tries|retries|required|prompt|hint|label|title|text"
    r"|msg|message|error|warn|mode|id|length|timeout|hash_algo|field|input|strength|encoding|format|server|url|interval|command|cmd)"
    r"|\b(?:pam_)?password-(?:auth|update)|passwordauthentication|permit\w*|no_?password\w*|use_?\w*|show_?\w*|has_?\w*|is_?\w*)$"
)
_NO_HOST = re.compile(
    r"(?i)^(?:(?:[\w-]+\.)*(?:example|test|invalid|local)(?:\.\w{2,3})?|host(?:name)?|server|domain|proxy|your\S*|my\S*|foo\S*|bar\S*|address|ip)$"
)
_INSIDE = re.compile(r"^(?:127\.|10\.|192\.168\.|169\.254\.|172\.(?:1[6-9]|2\d|3[01])\.|0\.0\.0\.0|localhost$)")
_NO_USER = re.compile(r"(?i)^(?:user(?:name)?|login|name|your\S*|foo|u|usr|x+)$")
_PUBLIC_LOGIN = re.compile(r"(?i)^(?:anonymous|ftp|guest|public)$")
_STATION = re.compile(r"(?i)wpa_?supplicant[^/]*\.conf|/iwd/[^/]+\.psk$|/NetworkManager/system-connections/|\.nmconnection$")
_MOST_WITNESSES = 16
_MOST_FINDINGS = 200
_FIRST = ("certain", "firm", "tentative")


class _Held(NamedTuple):
    """A hit that counts, where it stands, and how it is to be told."""

    hit: PatternHit
    where: Evidence
    verdict: Literal["violation", "concern"]
    confidence: Literal["certain", "firm", "tentative"]
    severity: Severity


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """One finding for each secret, wherever it stands."""
    groups: dict[tuple[str, str], list[_Held]] = defaultdict(list)
    for held in _all(firmware, device):
        groups[held.hit.rule, held.hit.meta.get("same", "")].append(held)
    causes: Counter[tuple[str, str]] = Counter()
    for (rule, _), places in list(groups.items())[:_MOST_FINDINGS]:
        places.sort(key=lambda each: (each.verdict != "violation", _FIRST.index(each.confidence)))
        first = places[0]
        who = next((first.hit.meta[name] for name in ("name", "option", "user") if name in first.hit.meta), "")
        cause = f"{rule}: {who}" if who else rule
        causes[first.where.location.path, cause] += 1
        number = causes[first.where.location.path, cause]
        yield _PLAIN.finding(
            first.where,
            cause if number == 1 else f"{cause} {number}",
            title=_title(first.hit, len({each.where.location.path for each in places})),
            verdict=first.verdict,
            confidence=first.confidence,
            severity=first.severity,
            witnesses=tuple(each.where for each in places[1 : _MOST_WITNESSES + 1]),
            secret=first.hit.secret,
        )


def _title(hit: PatternHit, files: int) -> str:
    what, host = hit.meta["description"], hit.meta.get("host")
    name = hit.meta.get("name") or hit.meta.get("option")
    shown = f"Secret {name[:64]}" if name and hit.rule in _BY_NAME else f"{what[0].upper()}{what[1:]}"
    return f"{shown} in plain text{f' (for {host})' if host else ''}{f', in {files} files' if files > 1 else ''}"


def _all(firmware: Firmware, device: Device) -> Iterator[_Held]:
    used = _used(device)
    logins: set[tuple[tuple[str, ...], str, int | None]] | None = None
    for node, facts in firmware.contents():
        if node.kind is NodeKind.CONTAINER or not any("credential" in hit.meta for hit in facts.patterns):
            continue
        if _NOBODYS.search(node.place):
            continue
        if logins is None:
            logins = _told_elsewhere(firmware)
        lines = _Lines(facts)
        for hit in facts.patterns:
            line = lines.of(hit.offset)
            if not _counts(node, facts, hit) or (node.chain, node.path, line) in logins or lines.is_comment(line):
                continue
            where = Location(chain=node.chain, path=node.path, line=line, offset=None if line else hit.offset)
            yield _weighed(node, facts, hit, Evidence(location=where, text=hit.text), used)


def _told_elsewhere(firmware: Firmware) -> set[tuple[tuple[str, ...], str, int | None]]:
    """Chain, path and line of logins into the device, passphrases of wireless networks, and settings of microcontrollers."""
    logins = {(each.chain, each.path, each.line) for each in (login.where.location for login in stored_logins(firmware))}
    logins |= {(each.place.chain, each.node.path, each.line) for each in stored_secrets(firmware) if each.line}
    return logins | {(fs.chain, each.path, each.line) for fs in firmware.filesystems for each in written_passphrases(fs)}


class _Lines:
    """Line numbers of byte offsets, for contents whose text is at hand."""

    def __init__(self, facts: Facts) -> None:
        self._raw = facts.text.encode("utf-8", "replace") if facts.text is not None and facts.text.isascii() else b""

    def of(self, offset: int) -> int | None:
        """The line, None where the text is not at hand or not plain ASCII."""
        return self._raw.count(b"\n", 0, offset) + 1 if self._raw and offset < len(self._raw) else None

    def is_comment(self, line: int | None) -> bool:
        """Whether the line is commented out in a script or a configuration file."""
        if line is None:
            return False
        return self._raw.split(b"\n")[line - 1].lstrip().startswith((b"#", b";", b"//", b"<!--", b"* "))


def _used(device: Device) -> frozenset[str]:
    """The files that started services run, read, or are started from."""
    found: set[str] = set()
    for service in device.services:
        if service.enabled != "no" and service.present:
            found |= {service.program, service.started_by.rsplit(":", 1)[0], *(word for word in service.arguments.split())}
            found |= {each.rsplit(":", 1)[0] for each in service.configuration}
            found |= {each.location.path for each in service.evidence}
    found |= {each.location.path for path in device.update_paths for each in path.evidence}
    return frozenset(path for path in found if path.startswith("/"))


def _counts(node: Node, facts: Facts, hit: PatternHit) -> bool:
    """Whether a hit is somebody's secret, and nobody else's matter."""
    meta = hit.meta
    if not meta.get("credential") or "filler" in meta or hit.rule in _OF_OTHERS:
        return False
    if hit.rule == "uci-secret" and meta.get("option") == "key":
        return False  # of a wireless network
    if hit.rule in _BY_NAME:
        name = meta.get("name") or meta.get("option") or ""
        context = f"{posixpath.basename(node.path)} {name}"
        return not (_SAMPLE.search(node.place) or _NO_SECRET.search(name)) and bool(_ELSEWHERE.search(context))
    if hit.rule == "wifi-passphrase":
        return bool(_STATION.search(node.path)) and not _SAMPLE.search(node.place)
    if (facts.kind in _PAGES or _SAMPLE.search(node.place)) and meta["credential"] != "certain":
        return False
    if _NO_HOST.match(meta.get("host", "")) or _NO_USER.match(meta.get("user", "")):
        return False
    return not _PUBLIC_LOGIN.match(meta.get("user", ""))


def _weighed(node: Node, facts: Facts, hit: PatternHit, where: Evidence, used: frozenset[str]) -> _Held:
    """How bad and how sure: by the form, by the file's place, and by whether the device is seen to use the file."""
    sure = hit.meta["credential"]
    severity = Severity(hit.meta.get("severity", "high"))
    if _SAMPLE.search(node.place):
        return _Held(hit, where, "concern", "tentative", Severity.LOW)
    if _INSIDE.match(hit.meta.get("host", "")):
        return _Held(hit, where, "concern", "tentative", Severity.LOW)
    if sure == "tentative":
        return _Held(hit, where, "concern", "firm" if node.path in used else "tentative", Severity.MEDIUM)
    live = node.path in used or (node.path.startswith("/etc/") and facts.kind != "elf")
    if sure == "certain" and live:
        return _Held(hit, where, "violation", "certain" if node.path in used else "firm", severity)
    return _Held(hit, where, "concern", "firm", severity)
