"""Logins that factory settings carry: a name and a password that every unit starts with, for the web pages, telnet or the like.

Where the name of a value, its record or the user beside it does not say that it lets people into this device (but into a
provider, a mail server, a wireless network), it is left out. Forms seen: NVRAM defaults of Broadcom, Ralink and Realtek devices,
UCI of vendors, XML trees of ZTE, Huawei, TP-Link, Broadcom and TrendChip devices, JSON and INI of cameras and recorders, and
tables of SQLite databases.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Literal, NamedTuple

from fwcheck.device import _database_logins
from fwcheck.device._digests import sofia_hash
from fwcheck.device._settings_records import Value, values
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.device.hashes import is_hash
from fwcheck.device.words import default_passwords
from fwcheck.model import Evidence, Facts, Node

_KINDS = frozenset({"text", "json", "xml"})
_MOST_OF_A_FILE = 16
_MOST_ASKED = 256  # passwords of one file that are looked at
_NEAR = 6  # values that may stand between a name and its password
_SIGNS = ("pass", "pwd", "psw")
# Files that hold texts for people, samples, programs' data and other people's settings.
_NO_SETTINGS = re.compile(
    r"(?i)/(?:doc|man|info|licen[cs]es?|i18n|locale|lang(?:uages?)?|translations?|help|examples?|samples?|python[\d.]*|perl\d*|lua|opkg|dpkg"
    r"|apk|terminfo|zoneinfo|ssl|pam\.d|selinux|node_modules|include|schemas?|dtd|mibs?|bash_completion\.d|init\.d|uci-defaults|systemd)/"
    r"|\.(?:lua|sh|py|pl|pm|js|ts|html?|asp|css|h|c|hpp|md|rst|po|pot|lng|lang|dtd|xsd|mib|svg|list|conffiles|control|service|rules|map"
    r"|sample|example|dist|tmpl|template|j2|php|cgi)$|(?i:eap_user|nsswitch|login\.defs|strings|ddns|openssl\.cnf|sshd?_config|php\.ini)"
)
_FACTORY = re.compile(
    r"(?i)default|factory|nvram|romfile|_def_|/etc(?:_ro)?/|/usr/etc/|ctree|initial|preset|/conf(?:ig)?/|/mtd/|\.cfg$"
)
# Where programs keep a database that is more than a cache.
_KEPT_DATA = re.compile(r"/(?:data|db|databases?|var|opt|mnt|home|root|www|web|html|app|usr/local|usr/share|system)/|^/[^/]+$")
_PASSWORD = re.compile(r"(?i)(?:^|.*[^a-z]|.*[a-z](?=[A-Z])|.*?)(?:passw(?:or)?d|passwd|passwrd|pwd|pass|psw|pswd)_?\d{0,2}$")
_USER = re.compile(
    r"(?i)(?:.*[._-])?(?:user_?(?:name|id)?|login(?:_?name|user)?|account(?:_?name)?|name|usr|admin_?(?:name|user)|root_?name|uname|username\d*)_?\d{0,2}$"
    r"|.*(?:username|user_name|loginname|adminname|rootname|_user|_login)\d{0,2}$"
)
# A word of the name or the record that says whom the password lets in: people, into this device ...
_INTO_DEVICE = re.compile(
    r"(?i)admin|login|http|web(?!cam)|sys(?!log)|super|root|telnet|ssh|cli(?!ent)|console|onvif|rtsp|mgmt|manage|user(?!_?agent)|account"
    r"|devauth|operator|support|maint|guest|ui_|ftpd|luci|gui|umtab|usrpwd"
)
# ... or the device, or a member of its network, into something else.
_ELSEWHERE = re.compile(
    r"(?i)ppp|pptp|l2tp|ddns|dyn_?dns|ddn|smtp|mail|wpa|wep|wlan|wi_?fi|wireless|psk|radius|proxy|3g|4g|lte|apn|usb|dial|isp|wan|cert|"
    r"private|snmp|cloud|sip|voip|h323|acs|cwmp|tr_?0?69|connreq|connectionrequest|samba|smb|ssid|mqtt|ipsec|vpn|8021x|eap|bridge|repeater"
    r"|nas|aiccu|6in4|tunnel|upload|backup|remote_?host|sms|stun|turn|xmpp|ntp|upnp|dlna|itunes|printer|kerberos|ldap|mysql|sql|database"
    r"|hotspot|portal|captive|wps|mesh|ploam|slid|loid|gpon|epon|omci|p2p|relay|syslog|encrypt|decrypt|key|salt|ca_|smartcard|rsync"
)
_KNOWN_USERS = frozenset({
    *("admin", "administrator", "root", "user", "guest", "support", "operator", "supervisor", "superuser", "superadmin", "super"),
    *("tech", "service", "ubnt", "telecomadmin", "useradmin", "default", "888888", "666666", "cusadmin", "sysadmin", "manager"),
    *("system", "webadmin", "viewer", "installer", "customer", "engineer", "maintainer", "debug", "factory"),
})  # fmt: skip
_PLACEHOLDER = re.compile(
    r"(?i)[$%{}<>()\[\]`|\\\s]|^[*x.#?-]+$|^/|://"
    r"|^(?:null|none|nil|undefined|n/?a|true|false|yes|no|on|off|enabled?|disabled?|string|text|required|optional|your.*"
    r"|my_?(?:password|pass|pwd)|changethis|replace.*|example.*|insert.*|plaintext.*|hidden|secret|unset|empty|blank|0x[0-9a-f]*"
    r"|(?:[a-z0-9]*_)(?:passw(?:or)?d|pass|pwd))$"
)


class StoredLogin(NamedTuple):
    """One login of the settings. ``state``: the value is the password, its hash, or nothing at all."""

    name: str
    secret: str
    state: Literal["plain", "hash", "empty"]
    what: str  # the name of the value
    where: Evidence
    factory: bool  # the file's place or name says that it holds the state a unit ships in
    listed: bool  # the password is one that anybody tries first


@lru_cache(maxsize=1)
def stored_logins(firmware: Firmware) -> tuple[StoredLogin, ...]:
    """The logins of all settings files; made once per firmware."""
    return tuple(login for fs in firmware.filesystems for node, facts in fs.files() for login in _of_file(fs, node, facts))


def _of_file(fs: FileSystem, node: Node, facts: Facts) -> Iterator[StoredLogin]:
    if facts.tables and not _NO_SETTINGS.search(node.path):
        yield from islice(_of_database(fs, node, facts), _MOST_OF_A_FILE)
        return
    if facts.text is None or facts.kind not in _KINDS or facts.interpreter or _NO_SETTINGS.search(node.path):
        return
    lowered = facts.text.lower()
    if not any(sign in lowered for sign in _SIGNS):
        return
    held = values(node, facts)
    asked = [value for value in held if _PASSWORD.fullmatch(value.name)][:_MOST_ASKED]
    found = (login for value in asked if (login := _login(fs, node, held, value)) is not None)
    yield from islice(found, _MOST_OF_A_FILE)


def _of_database(fs: FileSystem, node: Node, facts: Facts) -> Iterator[StoredLogin]:
    """Users of its tables; and settings by name and value."""
    factory = bool(_FACTORY.search(node.path) or _KEPT_DATA.search(node.path))
    for table in facts.tables:
        if _ELSEWHERE.search(table.name):
            continue
        for row in _database_logins.users(table):
            if not row.name or len(row.name) > 64 or _PLACEHOLDER.search(row.name):
                continue
            state, secret = _stored(row.field) if not row.hashed else ("hash", row.field)
            if state is None or (state == "empty" and row.name.lower() not in _KNOWN_USERS):
                continue
            where = fs.evidence(node.path, _shown_row(row.table, row.number, row.column, row.name, secret))
            listed = state == "plain" and secret in _listed()
            yield StoredLogin(row.name, secret, state, row.column, where, factory, listed)
        held = _database_logins.settings(table)
        for value in [each for each in held if _PASSWORD.fullmatch(each.name)][:_MOST_ASKED]:
            if (found := _login(fs, node, held, value)) is not None:
                where = fs.evidence(node.path, _shown_row(table.name, value.line, value.name, found.name, found.secret))
                yield found._replace(where=where, factory=factory)


def _shown_row(table: str, number: int, column: str, name: str, secret: str) -> str:
    return f"table {table}, row {number}: {column}={'*' * 6 if secret else ''} ({name})"


def _login(fs: FileSystem, node: Node, held: list[Value], value: Value) -> StoredLogin | None:
    if _ELSEWHERE.search(value.name) or _ELSEWHERE.search(value.context):
        return None
    user = _user(held, value)
    into = _INTO_DEVICE.search(f"{value.context} {value.name}") is not None
    if user is None and not into:
        return None
    name = user.text if user is not None else _named(value.name)
    if user is not None and not into and name.lower() not in _KNOWN_USERS:
        return None
    if user is not None and (_PLACEHOLDER.search(name) or not name or len(name) > 32):
        return None
    state, secret = _stored(value.text)
    if state is None or (state == "empty" and (user is None or name.lower() not in _KNOWN_USERS)):
        return None
    shown = f"{value.name}={'*' * 6 if secret else ''} ({name})"
    return StoredLogin(
        name, secret, state, value.name, fs.evidence(node.path, shown, line=value.line), bool(_FACTORY.search(node.path)),
        state == "plain" and secret in _listed(),
    )  # fmt: skip


def _listed() -> frozenset[str]:
    return frozenset(default_passwords())


def _stem(name: str) -> str:
    """What a password's name and its user's name have in common: ``admin_user_pwd`` and ``admin_user_name``, ``Password3``."""
    digits = re.search(r"\d*$", name)
    bare = re.sub(r"(?i)_?(?:passw(?:or)?d|passwd|pwd|pass|psw|user_?name|loginname|name|user|login|id)_?\d*$", "", name)
    return f"{bare.lower().rstrip('_.-')}/{digits[0] if digits else ''}"


def _user(held: list[Value], value: Value) -> Value | None:
    """The name that belongs to a password: of the same stem, else the nearest in the record."""
    near = [
        each
        for each in held[max(0, value.place - 40) : value.place + 40]
        if each.record == value.record and _USER.fullmatch(each.name)
    ]
    same = [each for each in near if _stem(each.name) == _stem(value.name)]
    if not same:
        same = [each for each in near if abs(each.place - value.place) <= _NEAR and not _ELSEWHERE.search(each.name)]
    return min(same, key=lambda each: abs(each.place - value.place), default=None)


def _named(name: str) -> str:
    hit = re.search(r"(?i)super_?admin|admin|root|super|user|guest|support|telnet|ssh|web|http|onvif|rtsp|system|sys", name)
    return hit[0].lower() if hit else name


def _stored(text: str) -> tuple[Literal["plain", "hash", "empty"] | None, str]:
    """What a value is: a password, its hash, a password in base 64, nothing, or no password at all."""
    text = text.strip()
    if not text or text == sofia_hash(""):
        return "empty", ""
    if is_hash(text):
        return "hash", text
    if len(text) > 64 or len(text) < 2 or _PLACEHOLDER.search(text):
        return None, ""
    if re.fullmatch(r"[0-9A-Za-z]{8}", text) and text in _sofia_table():
        return "plain", _sofia_table()[text]
    return "plain", _decoded(text) or text


@lru_cache(maxsize=1)
def _sofia_table() -> dict[str, str]:
    """The hashes of the first words of the list by the scheme of Sofia and Dahua."""
    return {sofia_hash(word): word for word in default_passwords()[:1200]}


def _decoded(text: str) -> str:
    """A password of the list that a value holds in base 64 (with a zero byte behind it, as Broadcom's tree has it)."""
    if len(text) < 6 or len(text) % 4:
        return ""
    try:
        word = base64.b64decode(text, validate=True).rstrip(b"\0").decode("ascii")
    except (binascii.Error, ValueError):
        return ""
    return word if word in _listed() else ""
