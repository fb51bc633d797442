"""Password files as they stand in the image: passwd and shadow with their copies and seeds, smbpasswd, web servers' files.

Sources: passwd(5), shadow(5), master.passwd(5) of BSD, smbpasswd(5), Apache htpasswd and htdigest. A file counts when its name
says so and its lines parse.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from fwcheck.device._shells import shell_lets_in
from fwcheck.device.firmware import FileSystem
from fwcheck.device.hashes import classify, is_hash, masked
from fwcheck.model import Account, Evidence

FILE = re.compile(r"(?i)(?:.*[._-])?(passwd|shadow|htpasswd|htdigest|smbpasswd)(?:[-._~].*)?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]{0,63}\$?")
_NUMBER = re.compile(r"\d{1,10}")
_DAYS = re.compile(r"-?\d{0,10}")
_MOST_LINES = 4096
_MOST_OF_A_NAME = 16
_LONG_AGO = 10_957  # days from 1970 to 2000: an account that expired before no device was made
_TOOLS = re.compile(
    r"/(?:bash[-_]completion|pam\.d|zsh|man|doc|licen[cs]es?|i18n|locale|perl\d*|python[\d.]*|uci-defaults|init\.d)(?:/|$)"
)


@dataclass
class Entry:
    """One line of a password file."""

    name: str
    field: str
    where: Evidence
    uid: int | None = None
    gid: int | None = None
    home: str = ""
    shell: str = ""
    expires: str = ""  # shadow: the day since 1970 on which the account ends


@dataclass
class _Database:
    """A passwd file with the shadow file that belongs to it: same directory, same suffix."""

    fs: FileSystem
    key: str
    passwd: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    shadow: dict[str, Entry] = field(default_factory=dict)


def accounts_in_files(fs: FileSystem) -> tuple[list[Account], list[Account]]:
    """The accounts of the system's files, live ones first, and those of web and file servers."""
    databases: dict[str, _Database] = {}
    others: list[Account] = []
    for node, facts in fs.files():
        kind = FILE.fullmatch(posixpath.basename(node.path))
        if kind is None or facts.text is None or facts.kind == "script" or _TOOLS.search(posixpath.dirname(node.path) + "/"):
            continue
        if kind[1].lower() == "smbpasswd":
            others += _samba(fs, node.path, facts.text)
        elif not _read(fs, node.path, facts.text, kind[1], databases):
            others += _web(fs, node.path, facts.text)
    live = databases.get("/etc/*")
    ordered = sorted(databases.values(), key=lambda each: (each.key != "/etc/*", each.key))
    return [account for database in ordered for account in _merge(database, live)], others


def numbered(text: str) -> Iterable[tuple[int, str]]:
    """The lines of a text with their numbers, as many as a password file has at most."""
    return islice(enumerate(text.splitlines(), 1), _MOST_LINES)


def _read(fs: FileSystem, path: str, text: str, word: str, databases: dict[str, _Database]) -> bool:
    """Reads one passwd or shadow file into its database; False when none of its lines is an entry."""
    base = posixpath.basename(path)
    at = base.lower().rfind(word.lower())
    key = posixpath.join(posixpath.dirname(path), base[:at] + "*" + base[at + len(word) :])
    database = databases.get(key) or _Database(fs, key)
    any_read = False
    for number, line in numbered(text):
        entry = read_line(fs, path, number, line, shadow=word.lower() == "shadow")
        if entry is None:
            continue
        any_read = True
        if entry.uid is None:
            database.shadow.setdefault(entry.name, entry)
            continue
        same = database.passwd[entry.name]
        if len(same) < _MOST_OF_A_NAME and not any(other.uid == entry.uid and other.field == entry.field for other in same):
            same.append(entry)
    if any_read:
        databases[key] = database
    return any_read


def read_line(fs: FileSystem, path: str, number: int, line: str, *, shadow: bool) -> Entry | None:
    """A line of passwd (7 fields, or 6 where a vendor left one out), master.passwd (10) or shadow (9; or fewer)."""
    parts = line.strip("\r\n \t").split(":", 11)
    if len(parts) < 3 or not _NAME.fullmatch(parts[0]) or len(parts[1]) > 512 or re.search(r"\s", parts[1]):
        return None
    if len(parts) == 10 and re.match(r"/|$", parts[9]) and not _DAYS.fullmatch(parts[9]):
        parts = [*parts[:4], *parts[7:]]  # without class, change and expire
    where = fs.evidence(path, ":".join((parts[0], masked(parts[1]), *parts[2:])), line=number)
    if 6 <= len(parts) <= 7 and _NUMBER.fullmatch(parts[2]) and _NUMBER.fullmatch(parts[3]) and re.match(r"/|$", parts[-1]):
        home, shell = (parts[5], parts[6]) if len(parts) == 7 else (parts[4], parts[5])
        return Entry(parts[0], parts[1], where, int(parts[2]), int(parts[3]), home, shell)
    if all(_DAYS.fullmatch(part) for part in parts[2:]) and (len(parts) >= 8 or shadow):
        return Entry(parts[0], parts[1], where, expires=parts[7] if len(parts) > 7 else "")
    return None


def _merge(database: _Database, live: _Database | None) -> Iterator[Account]:
    """Joins passwd and shadow: shadow decides where passwd says ``x`` (or ``*``, as busybox and dropbear read it)."""
    borrowed = {} if live is None or live is database else live.shadow
    for name, entries in database.passwd.items():
        for entry in entries:
            hidden = None
            if entry.field in ("x", "*"):
                hidden = database.shadow.get(name) or (borrowed.get(name) if entry.field == "x" else None)
            yield account_of(database.fs, entry, hidden)
    for name, entry in database.shadow.items():
        if name not in database.passwd:
            yield account_of(database.fs, entry, None)


def account_of(fs: FileSystem, entry: Entry, hidden: Entry | None) -> Account:
    """The account of a passwd line and the shadow line that decides its password, where there is one."""
    decides = hidden or entry
    password, scheme = classify(decides.field)
    login = shell_lets_in(fs, entry.shell) if entry.uid is not None else None
    if login and decides.expires.isdecimal() and 0 < int(decides.expires) < _LONG_AGO and fs.exists("/etc/pam.d"):
        login = False  # PAM refuses an account whose day has come; busybox does not look
    return Account(
        name=entry.name,
        uid=entry.uid,
        gid=entry.gid,
        shell=entry.shell,
        home=entry.home,
        password=password,
        scheme=scheme,
        login=login,
        file=decides.where.location.path,
        root=fs.label,
        secret=decides.field if password == "hash" else "",
        evidence=(decides.where,) if hidden is None else (decides.where, entry.where),
    )


# --------------------------------------------------------------------------- web servers, Samba


def _web(fs: FileSystem, path: str, text: str) -> Iterator[Account]:
    """``name:hash`` of a web server's password file (Apache, boa, mini_httpd, lighttpd), or ``name:realm:MD5`` of htdigest."""
    for number, line in numbered(text):
        parts = line.strip().split(":", 3)
        if not 2 <= len(parts) <= 3 or not _NAME.fullmatch(parts[0]) or not parts[-1] or re.search(r"\s", parts[-1]):
            continue
        secret = parts[-1]
        password, scheme = classify(secret)
        if password != "hash" or (scheme == "other" and not is_hash(secret)):
            continue
        if len(parts) == 3 and re.fullmatch(r"[0-9a-fA-F]{32}", secret):
            secret = f"{{digest}}{parts[0]}:{parts[1]}:{secret}"
        where = fs.evidence(path, ":".join((*parts[:-1], masked(parts[-1]))), line=number)
        yield Account(name=parts[0], password=password, scheme=scheme, file=path, root=fs.label, secret=secret, evidence=(where,))


def _samba(fs: FileSystem, path: str, text: str) -> Iterator[Account]:
    """smbpasswd(5): ``name:uid:LM hash:NT hash:[flags]:LCT-time:``; the flag D disables, N needs no password."""
    for number, line in numbered(text):
        parts = line.strip().split(":", 7)
        if len(parts) < 5 or not _NAME.fullmatch(parts[0]) or not _NUMBER.fullmatch(parts[1]) or len(parts[3]) != 32:
            continue
        where = fs.evidence(path, f"{parts[0]}:{parts[1]}:******:{parts[4]}", line=number)
        flags = parts[4] if parts[4].startswith("[") else ""
        open_ = parts[3].upper().startswith("NO PASSWORD") or "N" in flags
        hashed = bool(re.fullmatch(r"[0-9A-Fa-f]{32}", parts[3])) and not open_
        locked = "D" in flags or not (open_ or hashed)
        yield Account(
            name=parts[0],
            uid=int(parts[1]),
            password="locked" if locked else "empty" if open_ else "hash",
            scheme="other" if hashed and not locked else None,
            login=False,  # no shell: a file-sharing account
            file=path,
            root=fs.label,
            secret=f"{{nt}}{parts[3]}" if hashed and not locked else "",
            evidence=(where,),
        )
