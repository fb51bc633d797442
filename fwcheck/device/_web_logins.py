"""Logins that web servers, brokers and vendor programs keep in files of their own: real accounts.

Sources: rpcd and uhttpd of OpenWrt, busybox httpd, mod_authn_file of lighttpd and of Apache, ngx_http_auth_basic_module of nginx,
mosquitto_passwd(1), GoAhead's auth.txt; the accounts file of recorders built on Sofia or Dahua programs.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from fwcheck.device._password_files import FILE, numbered
from fwcheck.device._settings_records import values
from fwcheck.device._uci import read_uci
from fwcheck.device.firmware import FileSystem
from fwcheck.device.hashes import classify, is_hash, masked
from fwcheck.model import Account, Facts, Node

_NAMED = re.compile(
    r"(?m)^[ \t]*(?:auth\.backend\.(?:plain|htpasswd|htdigest)\.userfile\s*\+?=|auth_basic_user_file\s|password_file\s"
    r"""|Auth(?:UserFile|DigestFile)\s)[ \t]*["']?(/[^\s"';]{1,200})"""
)
_SERVERS = re.compile(r"(?i)(?:lighttpd|nginx|mosquitto|apache|httpd|thttpd)[^/]*$|/(?:nginx|lighttpd|apache2?)/.*|/\.htaccess$")
_PAIR = re.compile(r"([A-Za-z_][\w.@-]{0,63}):([^\s:]{1,256})(?::([0-9a-fA-F]{32}))?")
_HTTPD = re.compile(r"(/[^:\s]*):([A-Za-z_][\w.-]{0,31}):(?![*:]|\$p\$)(\S{1,128})")
_GOAHEAD = re.compile(r"user\s+name=([\w.@-]{1,64})\s+password=([0-9a-fA-F]{32}|[0-9a-fA-F]{64})\b.*")


def web_logins(fs: FileSystem) -> Iterator[Account]:
    """Every login of the servers' own files, and those that their configuration names."""
    yield from _openwrt(fs)
    named: dict[str, None] = {}
    for node, facts in fs.files():
        if facts.text is None:
            continue
        base = posixpath.basename(node.path)
        if base == "httpd.conf":
            yield from _httpd(fs, node.path, facts.text)
        elif base == "auth.txt":
            yield from _goahead(fs, node.path, facts.text)
        elif re.fullmatch(r"(?i)account\d?(?:\.json)?", base):
            yield from _recorder(fs, node, facts)
        if _SERVERS.search(node.path):
            named |= dict.fromkeys(_NAMED.findall(facts.text)[:8])
    for path in list(named)[:16]:
        found = fs.resolve(path)
        if found is not None and not FILE.fullmatch(posixpath.basename(found.path)):
            yield from _pairs(fs, found.path)


def _openwrt(fs: FileSystem) -> Iterator[Account]:
    """Rpcd and uhttpd (``$p$name`` there means the system password)."""
    for path, kind in (("/etc/config/rpcd", "login"), ("/etc/config/uhttpd", "httpauth")):
        for section in read_uci(fs.text(path) or ""):
            name, secret = section.get("username"), section.get("password")
            if section.type == kind and name and secret and not secret.startswith(("$p$", "plaintext_or_md5")):
                line = section.lines.get("password", section.line)
                yield login(fs, path, line, f"option password '{masked(secret)}'", name, secret)


def _httpd(fs: FileSystem, path: str, text: str) -> Iterator[Account]:
    for number, row in numbered(text):
        if entry := _HTTPD.fullmatch(row.strip()):
            yield login(fs, path, number, f"{entry[1]}:{entry[2]}:{masked(entry[3])}", entry[2], entry[3])


def _goahead(fs: FileSystem, path: str, text: str) -> Iterator[Account]:
    """The digest covers the realm, which is compiled in; ``example.com`` is what the source has."""
    for number, row in numbered(text):
        if entry := _GOAHEAD.fullmatch(row.strip()):
            secret = f"{{digest}}{entry[1]}:example.com:{entry[2]}" if len(entry[2]) == 32 else entry[2]
            yield login(fs, path, number, f"user name={entry[1]} password={masked(entry[2])}", entry[1], secret)


def _recorder(fs: FileSystem, node: Node, facts: Facts) -> Iterator[Account]:
    """``{"Users": [{"Name": "admin", "Password": "..."}]}`` with eight characters of Sofia's hash."""
    held = values(node, facts)
    names = {each.record: each for each in held if each.name == "Name"}
    for each in held:
        if each.name == "Password" and re.fullmatch(r"[0-9A-Za-z]{8}|[0-9A-Fa-f]{32}", each.text) and each.record in names:
            secret = f"{{sofia}}{each.text}" if len(each.text) == 8 else each.text
            yield login(fs, node.path, each.line, f"{names[each.record].text}: {masked(secret)}", names[each.record].text, secret)


def _pairs(fs: FileSystem, path: str) -> Iterator[Account]:
    """A file that a server's configuration names: ``name:password``, ``name:hash`` or ``name:realm:MD5``."""
    for number, row in numbered(fs.text(path) or ""):
        entry = _PAIR.fullmatch(row.strip())
        if entry is None or classify(entry[2])[0] != "hash":
            continue
        secret = f"{{digest}}{entry[1]}:{entry[2]}:{entry[3]}" if entry[3] else entry[2]
        yield login(fs, path, number, f"{entry[1]}:{masked(secret)}", entry[1], secret)


def login(fs: FileSystem, path: str, line: int, shown: str, name: str, secret: str) -> Account:
    """A login from a setting: a hash if it looks like one, else the password itself."""
    hashed = is_hash(secret)
    scheme = classify(secret)[1] if hashed else None
    if not hashed:
        shown = shown.replace(masked(secret), "*" * 6)
    return Account(
        name=name,
        password="hash",
        scheme=scheme or "other",
        cracked=not hashed,
        file=path,
        root=fs.label,
        secret=secret,
        plain="" if hashed else secret,
        evidence=(fs.evidence(path, shown, line=line),),
    )
