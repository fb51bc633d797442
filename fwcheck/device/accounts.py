"""Accounts of the shipped image: passwd, shadow and their seeds, web-server password files, and accounts that scripts create.

Sources: passwd(5), shadow(5), smbpasswd(5), Apache htpasswd. A file counts when its name says so and its lines parse.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from fwcheck.device._uci import read_uci
from fwcheck.device.crack import crack
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.device.hashes import allows_login, classify, masked
from fwcheck.model import Account, Evidence, NodeKind

Origin = Literal["live", "seed", "copy"]

_FILE = re.compile(r"(?i)(?:.*[._-])?(passwd|shadow|htpasswd|smbpasswd)(?:[-._~].*)?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]{0,63}\$?")
_NUMBER = re.compile(r"\d{1,10}")
_MOST_LINES = 4096
_MOST_OF_A_NAME = 16
_MOST_ACCOUNTS = 4096
_TOOLS = re.compile(
    r"/(?:bash[-_]completion|pam\.d|zsh|man|doc|licen[cs]es?|i18n|locale|perl\d*|python[\d.]*|uci-defaults|init\.d)(?:/|$)"
)
# A whole passwd line written by a script, and a password piped to chpasswd or passwd.
_WRITTEN = re.compile(
    r"""(?<![\w.:/${}-])([A-Za-z_][\w-]{0,31}):((?:\\?\$[\w,=./-]{1,100}){2,4}|[^:\s'"`$\\]{0,128}):"""
    r"""(\d{1,6}):(\d{1,6}):([^:\n'"`]{0,64}):(/[^:\s'"`]{0,64}):(/[\w./-]{1,64})"""
)
_CHPASSWD = re.compile(
    r"""echo\s+(?:-[neE]+\s+)?["']?([A-Za-z_][\w-]{0,31}):([^\s"'|$%\\:`]{1,64})["']?\s*\|\s*(?:/\S*/)?(?:busybox\s+)?chpasswd(\s+-e\b)?"""
)
_SCRIPT_DIRECTORIES = (
    "/etc",
    "/sbin",
    "/bin",
    "/usr/sbin",
    "/usr/bin",
    "/lib",
    "/usr/lib",
    "/usr/share",
    "/root",
    "/home",
    "/opt",
    "/app",
)


@dataclass
class _Entry:
    """One line of a password file."""

    name: str
    field: str
    where: Evidence
    uid: int | None = None
    gid: int | None = None
    home: str = ""
    shell: str = ""


@dataclass
class _Database:
    """A passwd file with the shadow file that belongs to it: same directory, same suffix."""

    fs: FileSystem
    key: str
    passwd: dict[str, list[_Entry]] = field(default_factory=lambda: defaultdict(list))
    shadow: dict[str, _Entry] = field(default_factory=dict)
    path: str = ""
    shadow_path: str = ""


def accounts(firmware: Firmware) -> tuple[Account, ...]:
    """Every account found, file system by file system, live password files first; weak hashes tried against a word list."""
    found: list[Account] = []
    for fs in firmware.filesystems:
        found += _of_filesystem(fs)
    return _cracked(found[:_MOST_ACCOUNTS], _clues(firmware))


def origin(firmware: Firmware, account: Account) -> Origin:
    """What its file is to the running device: in use as it stands, copied into place at boot, or only a copy that lies about."""
    fs = next((fs for fs in firmware.filesystems if fs.label == account.root), None)
    if fs is None or account.file in ("/etc/passwd", "/etc/shadow") or not _FILE.fullmatch(posixpath.basename(account.file)):
        return "live"
    if re.search(r"(?i)htpasswd|boa\.passwd|smbpasswd", account.file):
        return "live"
    held = [fs.nodes.get(path) for path in ("/etc/passwd", "/etc/shadow")]
    if not any(node is not None and node.kind is NodeKind.FILE and node.size for node in held):
        return "seed"
    named = re.compile(rf"(?<![\w.]){re.escape(account.file)}(?![\w.-])|{re.escape(posixpath.dirname(account.file))}/\*")
    return "seed" if any(named.search(text) for _, text in _scripts(fs)) else "copy"


# --------------------------------------------------------------------------- one file system


def _of_filesystem(fs: FileSystem) -> list[Account]:
    databases: dict[str, _Database] = {}
    others: list[Account] = []
    for node, facts in fs.files():
        kind = _FILE.fullmatch(posixpath.basename(node.path))
        if kind is None or facts.text is None or facts.kind == "script" or _TOOLS.search(posixpath.dirname(node.path) + "/"):
            continue
        if kind[1].lower() == "smbpasswd":
            others += _samba(fs, node.path, facts.text)
        elif not _read(fs, node.path, facts.text, kind[1], databases):
            others += _web(fs, node.path, facts.text)
    live = databases.get("/etc/*")
    ordered = sorted(databases.values(), key=lambda each: (each.key != "/etc/*", each.key))
    merged = [account for database in ordered for account in _merge(database, live)]
    return _folded([*merged, *_created(fs), *others, *_configured(fs)])


def _read(fs: FileSystem, path: str, text: str, word: str, databases: dict[str, _Database]) -> bool:
    """Reads one passwd or shadow file into its database; False when none of its lines is an entry."""
    base = posixpath.basename(path)
    at = base.lower().rfind(word.lower())
    key = posixpath.join(posixpath.dirname(path), base[:at] + "*" + base[at + len(word) :])
    database = databases.get(key) or _Database(fs, key)
    any_read = False
    for number, line in enumerate(text.splitlines()[:_MOST_LINES], 1):
        parts = line.strip("\r\n \t").split(":")
        if len(parts) < 3 or not _NAME.fullmatch(parts[0]) or len(parts[1]) > 512 or re.search(r"\s", parts[1]):
            continue
        where = fs.evidence(path, _shown(parts), line=number)
        if 6 <= len(parts) <= 7 and _NUMBER.fullmatch(parts[2]) and _NUMBER.fullmatch(parts[3]) and re.match(r"/|$", parts[-1]):
            home, shell = (parts[5], parts[6]) if len(parts) == 7 else (parts[4], parts[5])
            entry = _Entry(parts[0], parts[1], where, int(parts[2]), int(parts[3]), home, shell)
            same = database.passwd[entry.name]
            if len(same) < _MOST_OF_A_NAME and not any(other.uid == entry.uid and other.field == entry.field for other in same):
                same.append(entry)
            database.path, any_read = path, True
        elif all(re.fullmatch(r"-?\d{0,10}", part) for part in parts[2:]) and (len(parts) >= 8 or word.lower() == "shadow"):
            database.shadow.setdefault(parts[0], _Entry(parts[0], parts[1], where))
            database.shadow_path, any_read = path, True
    if any_read:
        databases[key] = database
    return any_read


def _shown(parts: list[str]) -> str:
    return ":".join((parts[0], masked(parts[1]), *parts[2:]))


def _merge(database: _Database, live: _Database | None) -> Iterator[Account]:
    """Joins passwd and shadow: shadow decides where passwd says ``x`` (or ``*``, as busybox and dropbear read it)."""
    borrowed = {} if live is None or live is database else live.shadow
    for name, entries in database.passwd.items():
        for entry in entries:
            hidden = None
            if entry.field in ("x", "*"):
                hidden = database.shadow.get(name) or (borrowed.get(name) if entry.field == "x" else None)
            yield _account(database.fs, entry, hidden)
    for name, entry in database.shadow.items():
        if name not in database.passwd:
            yield _account(database.fs, entry, None)


def _account(fs: FileSystem, entry: _Entry, hidden: _Entry | None) -> Account:
    decides = hidden or entry
    password, scheme = classify(decides.field)
    known = entry.uid is not None
    return Account(
        name=entry.name,
        uid=entry.uid,
        gid=entry.gid,
        shell=entry.shell,
        home=entry.home,
        password=password,
        scheme=scheme,
        login=allows_login(entry.shell) if known else None,
        file=decides.where.location.path,
        root=fs.label,
        secret=decides.field if password == "hash" else "",
        evidence=(decides.where,) if hidden is None else (decides.where, entry.where),
    )


def _folded(found: Iterable[Account]) -> list[Account]:
    """The same account with the same password in several files, once: the first file keeps it, the others become evidence."""
    once: dict[tuple[str, int | None, str, str], Account] = {}
    for account in found:
        key = (account.name, account.uid, account.password, account.secret)
        if (first := once.get(key)) is None:
            once[key] = account
        else:
            extra = tuple(each for each in account.evidence if each not in first.evidence)
            once[key] = msgspec.structs.replace(first, evidence=(*first.evidence, *extra)[:16])
    return list(once.values())


# --------------------------------------------------------------------------- web, Samba, scripts


def _web(fs: FileSystem, path: str, text: str) -> Iterator[Account]:
    """``name:hash`` lines of a web server's password file (Apache, boa, mini_httpd, lighttpd)."""
    for number, line in enumerate(text.splitlines()[:_MOST_LINES], 1):
        parts = line.strip().split(":")
        if not 2 <= len(parts) <= 3 or not _NAME.fullmatch(parts[0]) or not parts[-1] or re.search(r"\s", parts[-1]):
            continue
        secret = parts[-1]  # "name:hash", or "name:realm:MD5" of htdigest
        password, scheme = classify(secret)
        if password != "hash" or (scheme == "other" and not re.fullmatch(r"\{SHA\}\S{28}|[0-9a-fA-F]{32,64}", secret)):
            continue
        where = fs.evidence(path, ":".join((*parts[:-1], masked(secret))), line=number)
        yield Account(name=parts[0], password=password, scheme=scheme, file=path, root=fs.label, secret=secret, evidence=(where,))


def _samba(fs: FileSystem, path: str, text: str) -> Iterator[Account]:
    """smbpasswd(5): ``name:uid:LM hash:NT hash:[flags]:LCT-time:``."""
    for number, line in enumerate(text.splitlines()[:_MOST_LINES], 1):
        parts = line.strip().split(":")
        if len(parts) < 5 or not _NAME.fullmatch(parts[0]) or not _NUMBER.fullmatch(parts[1]) or len(parts[3]) != 32:
            continue
        where = fs.evidence(path, f"{parts[0]}:{parts[1]}:******:{parts[4]}", line=number)
        open_, hashed = parts[3].upper().startswith("NO PASSWORD"), re.fullmatch(r"[0-9A-Fa-f]{32}", parts[3])
        yield Account(
            name=parts[0],
            uid=int(parts[1]),
            password="empty" if open_ else "hash" if hashed else "locked",
            scheme="other" if hashed else None,
            login=False,  # no shell: a file-sharing account
            file=path,
            root=fs.label,
            secret=f"{{nt}}{parts[3]}" if hashed else "",
            evidence=(where,),
        )


def _configured(fs: FileSystem) -> Iterator[Account]:
    """Logins kept in settings: rpcd of OpenWrt (``$p$name`` there means the system password), httpd.conf of busybox."""
    for section in read_uci(fs.text("/etc/config/rpcd") or ""):
        name, secret = section.get("username"), section.get("password")
        if section.type == "login" and name and secret and not secret.startswith("$p$"):
            line = section.lines.get("password", section.line)
            yield _login(fs, "/etc/config/rpcd", line, f"option password '{masked(secret)}'", name, secret)
    for path in ("/etc/httpd.conf", "/etc/httpd/httpd.conf", "/var/www/httpd.conf"):
        for number, text in enumerate((fs.text(path) or "").splitlines()[:_MOST_LINES], 1):
            if entry := re.fullmatch(r"(/[^:\s]*):([A-Za-z_][\w.-]{0,31}):(?![*:]|\$p\$)(\S{1,128})", text.strip()):
                yield _login(fs, path, number, f"{entry[1]}:{entry[2]}:{masked(entry[3])}", entry[2], entry[3])


def _login(fs: FileSystem, path: str, line: int, shown: str, name: str, secret: str) -> Account:
    """A web login from a setting: a hash if it looks like one, else the password itself."""
    scheme = classify(secret)[1] or "other"
    plain = "" if scheme != "other" or re.fullmatch(r"[0-9a-fA-F]{32,64}", secret) else secret
    if plain:
        shown = shown.replace(masked(secret), "*" * 6)
    where = fs.evidence(path, shown, line=line)
    return Account(
        name=name,
        password="hash",
        scheme=scheme,
        cracked=bool(plain),
        file=path,
        root=fs.label,
        secret=secret,
        plain=plain,
        evidence=(where,),
    )


def _scripts(fs: FileSystem) -> Iterator[tuple[str, str]]:
    for node, facts in fs.files():
        if facts.text is not None and (
            facts.kind == "script" or facts.interpreter or "/init.d/" in node.path or "/rc" in node.path
        ):
            yield node.path, facts.text


def _created(fs: FileSystem) -> Iterator[Account]:
    """Accounts that a script writes into passwd, and passwords that it sets."""
    for path, text in _scripts(fs):
        if "passwd" not in text and "shadow" not in text:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if line.lstrip().startswith("#") or len(line) > 4096:
                continue
            for hit in _WRITTEN.finditer(line):
                secret = hit[2].replace("\\", "")
                where = fs.evidence(path, f"{hit[1]}:{masked(secret)}:{hit[3]}:{hit[4]}:{hit[5]}:{hit[6]}:{hit[7]}", line=number)
                if re.search(r">|\btee\b|sed\b", line):
                    yield _account(fs, _Entry(hit[1], secret, where, int(hit[3]), int(hit[4]), hit[6], hit[7]), None)
            for hit in _CHPASSWD.finditer(line):
                yield _set(fs, path, number, hit[1], hit[2], hashed=bool(hit[3]))


def _set(fs: FileSystem, path: str, number: int, name: str, secret: str, *, hashed: bool) -> Account:
    """An account whose password a script sets: given in plain text, it is known without guessing."""
    scheme = classify(secret)[1] if hashed else "other"
    where = fs.evidence(path, f"{name}:{'*' * 6} set by chpasswd", line=number)
    return Account(
        name=name,
        uid=0 if name == "root" else None,
        password="hash",
        scheme=scheme,
        cracked=not hashed,
        file=path,
        root=fs.label,
        secret=secret,
        plain="" if hashed else secret,
        evidence=(where,),
    )


# --------------------------------------------------------------------------- guessing


def _cracked(found: list[Account], clues: list[str]) -> tuple[Account, ...]:
    names: dict[str, list[str]] = defaultdict(list)
    for account in found:
        if account.password == "hash" and not account.cracked:
            names[account.secret].append(account.name)
    plain = crack(names, clues)
    return tuple(
        msgspec.structs.replace(each, cracked=True, plain=plain[each.secret])
        if not each.cracked and each.secret in plain
        else each
        for each in found
    )


_CLUE_FILES = (
    "/etc/hostname",
    "/etc/HOSTNAME",
    "/etc/model",
    "/etc/board",
    "/etc/product",
    "/etc/hwmodel",
    "/etc/vendor",
    "/etc/brand",
)
_CLUE_KEYS = re.compile(
    r"""(?im)^[ \t]*(?:option[ \t]+)?["']?(?:DISTRIB_ID|DEVICE_MANUFACTURER|DEVICE_PRODUCT|NAME|ID|hostname|model|product"""
    r"""(?:_?name)?|vendor|manufacturer|brand)["']?[ \t]*[= \t][ \t]*["']?([A-Za-z0-9][\w .-]{1,30})"""
)


def _clues(firmware: Firmware) -> list[str]:
    """Words the image says of itself: host name, vendor, model."""
    out: list[str] = []
    for fs in firmware.roots()[:4]:
        for path in _CLUE_FILES:
            if text := fs.text(path):
                out.append(text.strip()[:32])
        for path in (
            "/etc/os-release",
            "/etc/device_info",
            "/etc/openwrt_release",
            "/etc/config/system",
            "/etc/board_info",
            "/etc/board.info",
        ):
            out += [hit.strip() for hit in _CLUE_KEYS.findall(fs.text(path) or "")]
    return list(dict.fromkeys(word for word in out if 2 < len(word) <= 32))[:12]
