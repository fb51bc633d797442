"""SNMP agents. Sources: snmpd.conf(5) and snmpd(8) of Net-SNMP, mini_snmpd(8).

Communities of versions 1 and 2c are passwords in clear: ``rocommunity NAME [SOURCE [OID]]``, ``com2sec [-Cn CTX] NAME SOURCE
COMMUNITY`` with ``group`` and ``access``. mini_snmpd answers every community unless ``--auth`` is given.
"""

from __future__ import annotations

import re

from fwcheck.device.configuration import Setting
from fwcheck.device.configurations.reading import ANY, LOCAL, Bound, Note, Reading, Start, number

NAMES = ("snmpd", "mini_snmpd", "snmpd_main")
WELL_KNOWN = ("public", "private", "admin", "snmp", "default", "manager", "community", "password", "read", "write", "cisco")
_PATHS = (
    "/etc/snmp/snmpd.conf",
    "/etc/snmpd.conf",
    "/usr/local/etc/snmp/snmpd.conf",
    "/etc_ro/snmpd.conf",
    "/usr/share/snmp/snmpd.conf",
    "/etc/snmp/snmpd.local.conf",
)
_READS = ("rocommunity", "rocommunity6")
_WRITES = ("rwcommunity", "rwcommunity6")
_USERS = ("rouser", "rwuser")


def read(start: Start) -> Reading:
    """Addresses, communities with what they allow and to whom, version 3 users."""
    if start.name == "mini_snmpd":
        return _mini(start)
    named = [path for text in start.option("-c") for path in text.split(",")]
    only = start.flag("C") and bool(named)
    settings = [each for path in dict.fromkeys((*named, *(() if only else _PATHS))) for each in start.keywords(path)]
    communities = [note for each in settings if (note := community_of(each, settings))] + _uci(start)
    users = [each for each in settings if each.key in _USERS]
    communities += _weak_users(settings)
    bounds = _targets(" ".join(start.words), None)
    if not bounds:
        bounds = [
            bound for each in settings if each.key == "agentaddress" for bound in _targets(each.value.replace(",", " "), each)
        ]
    return Reading(
        tuple(bounds),
        authentication="password" if communities or users else "unknown",
        encryption="none" if any(each.topic.startswith("community") for each in communities) else "unknown",
        notes=tuple(communities[:16]),
        decided_by=tuple(users[:2]),
    )


def _weak_users(settings: list[Setting]) -> list[Note]:
    """``createUser NAME MD5|SHA PASSPHRASE DES|AES ...``: of version 3, with the passphrases left out of what is shown."""
    notes = []
    for each in settings:
        words = each.value.split()
        weak = [word for word in words[1:] if word in ("MD5", "DES")]
        if each.key == "createuser" and weak and words:
            notes.append(Note("weak-crypto", each._replace(text=f"createUser {words[0]} {' '.join(weak)}"), ", ".join(weak)))
    return notes


def community_of(each: Setting, settings: list[Setting]) -> Note | None:
    """A community line as a note: its topic says what it allows, ``detail`` is the community. None for other lines."""
    words = each.value.split()
    if each.key in _READS + _WRITES and words:
        source = words[1] if len(words) > 1 else ""
        topic = "community-write" if each.key in _WRITES else "community-read"
        return None if LOCAL.match(source.split("/")[0]) else Note(topic, each, words[0])
    if each.key in ("com2sec", "com2sec6"):
        if words[:1] == ["-Cn"]:
            words = words[2:]
        if len(words) < 3 or LOCAL.match(words[1].split("/")[0]):
            return None
        return Note("community-write" if _writes(words[0], settings) else "community-read", each, words[2])
    return None


def _writes(security: str, settings: list[Setting]) -> bool:
    """Whether the groups of a security name have a write view: ``access GROUP CONTEXT MODEL LEVEL PREFIX READ WRITE NOTIFY``."""
    rows = [each.value.split() for each in settings if each.key == "group"]
    groups = {row[0] for row in rows if len(row) >= 3 and row[2] == security}
    access = [each.value.split() for each in settings if each.key == "access"]
    return any(len(row) >= 7 and row[0] in groups and row[6].lower() != "none" for row in access)


def _uci(start: Start) -> list[Note]:
    """OpenWrt's ``/etc/config/snmpd``: sections com2sec (secname, source, community) and access (group, write)."""
    settings = start.uci("snmpd")
    rows: dict[str, dict[str, Setting]] = {}
    for each in settings:
        rows.setdefault(each.section, {})[each.key] = each
    groups = [row for name, row in rows.items() if name.startswith("group ")]
    access = [row for name, row in rows.items() if name.startswith("access ")]
    notes = []
    for name, row in rows.items():
        if not name.startswith("com2sec") or "community" not in row:
            continue
        source = row["source"].value if "source" in row else "default"
        security = row["secname"].value if "secname" in row else ""
        held = {
            group["group"].value
            for group in groups
            if "group" in group and "secname" in group and group["secname"].value == security
        }
        writes = any(
            one["group"].value in held and one["write"].value.lower() != "none"
            for one in access
            if "group" in one and "write" in one
        )
        if not LOCAL.match(source.split("/")[0]):
            notes.append(Note("community-write" if writes else "community-read", row["community"], row["community"].value))
    return notes


def _targets(text: str, setting: Setting | None) -> list[Bound]:
    """Listening addresses: ``udp:161``, ``udp:127.0.0.1:161``, ``127.0.0.1``, ``udp6:[::1]:161``, ``161``."""
    bounds = []
    for word in text.split()[:32]:
        found = re.fullmatch(r"(?:(udp|tcp|dtlsudp|tlstcp)6?:)?(?:(\[[0-9a-fA-F:]+\]|[\d.]+|localhost):)?(\d{2,5})", word)
        if found and (port := number(found.group(3))):
            bounds.append(Bound(port, (found.group(1) or "udp")[-3:], (found.group(2) or ANY).strip("[]"), setting))
        elif alone := re.fullmatch(r"(?:(udp|tcp)6?:)?(\[[0-9a-fA-F:]+\]|\d+\.\d+\.\d+\.\d+|localhost)", word):
            bounds.append(Bound(161, alone.group(1) or "udp", alone.group(2).strip("[]"), setting))
    return [each._replace(address=ANY) if each.address in ("::", "0.0.0.0") else each for each in bounds]  # noqa: S104 -- as read


def _mini(start: Start) -> Reading:
    ports = [Bound(port, "udp") for text in start.option("-p", "--udp-port") if (port := number(text))]
    asks = start.has("-a", "--auth")
    name = next(iter(start.option("-c", "--community")), "public")
    return Reading(
        tuple(ports),
        authentication="password" if asks else "none",
        encryption="none",
        notes=(Note("community-read", None, name),),
    )
