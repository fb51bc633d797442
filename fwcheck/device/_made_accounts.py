"""Accounts that scripts make, and passwords that they set: read from the text of the scripts, line by line.

Sources: chpasswd(8), passwd(1), useradd(8), usermod(8), the applets ``adduser``, ``chpasswd``, ``passwd`` and ``cryptpw`` of
busybox, openssl-passwd(1). Values that a script computes are left out: they may differ from unit to unit.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from fwcheck.device._password_files import FILE, Entry, account_of, numbered, read_line
from fwcheck.device._shells import shell_lets_in
from fwcheck.device.firmware import FileSystem
from fwcheck.device.hashes import classify, is_hash, masked
from fwcheck.model import Account, Evidence

_SIGNS = ("passwd", "shadow", "useradd", "usermod", "adduser")
_MOST_LINES = 20_000
_MOST_LINE = 4096
_MOST_BODY = 256  # lines of a here-document
_MOST_OF_A_SCRIPT = 64

_USER = r"[A-Za-z_][\w.-]{0,31}"
_PLAIN = r"""[^\s"'|$%\\:`<>()]{1,64}"""
# A whole line of passwd or shadow that a script writes; the field may be a hash with its dollars escaped.
_FIELD = r"(?:(?:\\?\$[\w,=./-]{1,100}){2,4}|[^:\s'\"`$\\]{0,128})"
_PASSWD_LINE = re.compile(
    rf"(?<![\w.:/${{}}-])({_USER}):({_FIELD}):(\d{{1,6}}):(\d{{1,6}}):([^:\n'\"`]{{0,64}}):(/[^:\s'\"`]{{0,64}}):"
    r"(/[\w./-]{1,64})"
)
_SHADOW_LINE = re.compile(rf"(?<![\w.:/${{}}-])({_USER}):({_FIELD}):\d{{0,6}}:\d{{0,6}}:\d{{0,6}}:\d{{0,6}}:\d{{0,6}}:\d{{0,6}}:")
_REWRITTEN = re.compile(rf"(?<![\w.$-])({_USER}):((?:\\?\$[\w,=./-]{{1,100}}){{2,4}}|[./0-9A-Za-z]{{13}}):")
_EMPTIED = re.compile(rf"s([|/,#!@])\^?({_USER}):[^|/,#!@\s]{{1,24}}?:?\1({_USER}):(?::|\1)")
_CHPASSWD = re.compile(r"\|\s*(?:/\S*/)?(?:busybox\s+)?chpasswd\b([^|;&\n]*)")
_PAIR = re.compile(rf"(?<![\w.$/-])({_USER}):({_PLAIN})")
_HASHED_PAIR = re.compile(rf"(?<![\w.$/-])({_USER}):((?:\\?\$[\w,=./-]{{1,100}}){{2,4}}|[./0-9A-Za-z]{{13}})(?![\w$])")
_PASSWD = re.compile(rf"\|\s*(?:/\S*/)?(?:busybox\s+)?passwd\b((?:\s+(?:-\S+|{_USER}))*)\s*(?:[>;&|)}}]|2>|$)")
_ECHOED = re.compile(rf"""\b(?:echo|printf)\s+(?:-[neE]+\s+)*(["']?)((?!-){_PLAIN})(?:\\n|\1)""")
_DELETED = re.compile(rf"(?:^|[;&|(]|\bthen\b|\bdo\b)\s*(?:/\S*/)?(?:busybox\s+)?passwd\s+(?:-d|--delete)\s+({_USER})\b")
_ADDED = re.compile(r"(?:^|[;&|(]|\bthen\b|\bdo\b)\s*(?:/\S*/)?(useradd|usermod|adduser)\s+([^;&|\n]+)")
_OPTION = re.compile(
    r"""(?:-p|--password)[ =]?\s*("\$\(([^)]{1,200})\)"|\$\(([^)]{1,200})\)|`([^`]{1,200})`"""
    r"""|"[^"]{0,200}"|'[^']{0,200}'|\S{1,200})"""
)
_MADE = re.compile(
    r"(?:openssl\s+passwd|mkpasswd|cryptpw)\s+(?:-(?:\d|apr1|crypt|noverify|s|m\s+\S+|salt\s+\S+|S\s+\S+)\s+)*"
    rf"""["']?({_PLAIN})["']?\s*$"""
)
_HERE = re.compile(r"""<<-?\s*(["']?)(\w{1,32})\1""")
_HERE_STRING = re.compile(rf"""chpasswd\b[^<|;&]*<<<\s*["']?({_USER}):({_PLAIN})["']?""")
_PLACEHOLDERS = re.compile(
    r"(?i)(?:user(?:name)?|name|login|newuser|myuser|someone):(?:.*)|\w+:(?:pass(?:word|wd)?|newpass(?:word)?|pw|x|\*+|xxx+)"
)
_TALK = re.compile(r"(?i)\b(?:usage|example|e\.g\.|syntax)\b")


class _Line(NamedTuple):
    fs: FileSystem
    path: str
    number: int
    text: str

    def where(self, shown: str) -> Evidence:
        return self.fs.evidence(self.path, shown, line=self.number)


def scripts(fs: FileSystem) -> Iterator[tuple[str, str]]:
    """Path and text of every script."""
    for node, facts in fs.files():
        if facts.text is not None and (
            facts.kind == "script"
            or facts.interpreter
            or "/init.d/" in node.path
            or "/rc" in node.path
            or "/uci-defaults/" in node.path
            or node.path.endswith(".sh")  # one that is only sourced needs no first line
        ):
            yield node.path, facts.text


def accounts_of_scripts(fs: FileSystem) -> Iterator[Account]:
    """Accounts that a script writes into password files, and passwords that it sets."""
    for path, text in scripts(fs):
        if any(sign in text for sign in _SIGNS):
            made = {(each.name, each.uid, each.password, each.secret): each for each in _of_script(fs, path, text)}
            yield from list(made.values())[:_MOST_OF_A_SCRIPT]


def _of_script(fs: FileSystem, path: str, text: str) -> Iterator[Account]:
    rows = text.splitlines()[:_MOST_LINES]
    number = 0
    while number < len(rows):
        line = _Line(fs, path, number + 1, rows[number])
        number += 1
        if len(line.text) > _MOST_LINE or line.text.lstrip().startswith("#") or _TALK.search(line.text):
            continue
        here = _HERE.search(line.text)
        if here and "<<<" not in line.text:
            end = next((at for at in range(number, min(len(rows), number + _MOST_BODY)) if rows[at].strip() == here[2]), None)
            if end is not None:
                yield from _here_document(line, rows[number:end])
                number = end + 1
                continue
        if any(sign in line.text for sign in _SIGNS) or ":/" in line.text or "::" in line.text:
            yield from _of_line(line)


def _of_line(line: _Line) -> Iterator[Account]:
    yield from _written(line)
    yield from _rewritten(line)
    yield from _piped(line)
    yield from _options(line)
    for hit in _DELETED.finditer(line.text):
        yield _account(line, hit[1], "", f"passwd -d {hit[1]}")


# --------------------------------------------------------------------------- lines of password files


def _written(line: _Line) -> Iterator[Account]:
    if not re.search(r">|\btee\b|sed\b", line.text):
        return
    for hit in _PASSWD_LINE.finditer(line.text):
        secret = hit[2].replace("\\", "")
        where = line.where(f"{hit[1]}:{masked(secret)}:{hit[3]}:{hit[4]}:{hit[5]}:{hit[6]}:{hit[7]}")
        yield account_of(line.fs, Entry(hit[1], secret, where, int(hit[3]), int(hit[4]), hit[6], hit[7]), None)
    if "shadow" in line.text:
        for hit in _SHADOW_LINE.finditer(line.text):
            yield _account(line, hit[1], hit[2].replace("\\", ""), "{} in shadow")


def _rewritten(line: _Line) -> Iterator[Account]:
    """``sed`` on a password file: a hash put in, or the field made empty."""
    if not re.search(r"\bsed\b", line.text) or not re.search(r"passwd|shadow", line.text):
        return
    for hit in _REWRITTEN.finditer(line.text):
        secret = hit[2].replace("\\", "")
        if is_hash(secret) and not _PASSWD_LINE.search(line.text):
            yield _account(line, hit[1], secret, "{} put in by sed")
    for hit in _EMPTIED.finditer(line.text):
        if hit[2] == hit[3]:
            yield _account(line, hit[2], "", f"the password of {hit[2]} is removed by sed")


def _here_document(line: _Line, body: list[str]) -> Iterator[Account]:
    """``chpasswd <<EOF``, ``passwd name <<EOF`` and password files written with ``cat``."""
    target = re.search(r"(?:>>?|\btee(?:\s+-a)?)\s*[\"']?(/[^\s\"'|;&<>]+)", line.text)
    file = FILE.fullmatch(posixpath.basename(target[1])) if target else None
    if file is not None:
        for offset, row in enumerate(body, 1):
            entry = read_line(
                line.fs, line.path, line.number + offset, row.replace("\\$", "$"), shadow=file[1].lower() == "shadow"
            )
            if entry is not None and (not re.search(r"[$`]", entry.field) or is_hash(entry.field)):
                yield account_of(line.fs, entry, None)
    elif hit := re.search(r"\bchpasswd\b([^<|;&]*)", line.text):
        for offset, row in enumerate(body, 1):
            yield from _pairs(line._replace(number=line.number + offset), row.strip(), hit[1])
    elif hit := re.search(rf"\b(?:passwd|adduser)\b((?:\s+(?:-\S+|{_USER}))*)\s*<<", line.text):
        words = [row.strip() for row in body if row.strip()]
        if len(words) >= 2 and words[0] == words[1] and re.fullmatch(_PLAIN, words[0]):
            yield _plain(line, _named(hit[1]), words[0], "given to passwd")


# --------------------------------------------------------------------------- commands


def _piped(line: _Line) -> Iterator[Account]:
    if hit := _HERE_STRING.search(line.text):
        yield from _pairs(line, f"{hit[1]}:{hit[2]}", line.text)
    for hit in _CHPASSWD.finditer(line.text):
        before = line.text[: hit.start()]
        if not re.search(r"\b(?:echo|printf)\b", before):
            continue
        for piece in re.split(r"\\n", before.rsplit("echo", 1)[-1] if "echo" in before else before.rsplit("printf", 1)[-1]):
            yield from _pairs(line, piece, hit[1])
    for hit in _PASSWD.finditer(line.text):
        said = _ECHOED.findall(line.text[: hit.start()])
        if said and not re.search(r"\s(?:-[dlueS]|--delete|--lock|--expire)\b", hit[1]):
            yield _plain(line, _named(hit[1]), said[-1][1], "given to passwd")


def _pairs(line: _Line, text: str, options: str) -> Iterator[Account]:
    """``name:password`` for chpasswd; with ``-e`` the second half is a hash."""
    hashed = bool(re.search(r"(?:^|\s)(?:-e\b|--encrypted)", options))
    for hit in (_HASHED_PAIR if hashed else _PAIR).finditer(text):
        if _PLACEHOLDERS.fullmatch(f"{hit[1]}:{hit[2]}"):
            continue
        if hashed:
            yield _account(line, hit[1], hit[2].replace("\\", ""), "{} set by chpasswd")
        else:
            yield _plain(line, hit[1], hit[2], "set by chpasswd")


def _named(arguments: str) -> str:
    """The account that passwd is called for: root when nobody is named."""
    return next((word for word in arguments.split() if not word.startswith("-")), "root")


def _options(line: _Line) -> Iterator[Account]:
    """``useradd -p HASH name``, where the hash may be made on the spot from a fixed word."""
    for hit in _ADDED.finditer(line.text):
        given = _OPTION.search(hit[2])
        words = re.sub(r"\$\([^)]*\)|`[^`]*`", "", hit[2]).replace('"', " ").replace("'", " ").split()
        name = words[-1] if words else ""
        if given is None or hit[1] == "adduser" or not re.fullmatch(_USER, name):
            continue
        uid = re.search(r"(?:^|\s)(?:-u|--uid)[ =]?(\d{1,6})\b", hit[2])
        command = given[2] or given[3] or given[4]
        if command:
            if made := _MADE.search(command):
                yield _plain(line, name, made[1], f"set by {hit[1]}", int(uid[1]) if uid else None)
            continue
        secret = given[1].strip("\"'").replace("\\", "")
        if is_hash(secret) or not secret:
            yield _account(line, name, secret, f"{{}} set by {hit[1]}", int(uid[1]) if uid else None)


def _account(line: _Line, name: str, secret: str, shown: str, uid: int | None = None) -> Account:
    password, scheme = classify(secret)
    return _placed(
        line.fs,
        Account(
            name=name,
            uid=0 if name == "root" else uid,
            password=password,
            scheme=scheme,
            file=line.path,
            root=line.fs.label,
            secret=secret if password == "hash" else "",
            evidence=(line.where(shown.format(f"{name}:{masked(secret)}")),),
        ),
    )


def _plain(line: _Line, name: str, secret: str, shown: str, uid: int | None = None) -> Account:
    """An account whose password a script sets: given in plain text, it is known without guessing."""
    return _placed(
        line.fs,
        Account(
            name=name,
            uid=0 if name == "root" else uid,
            password="hash",
            scheme="other",
            cracked=True,
            file=line.path,
            root=line.fs.label,
            secret=secret,
            plain=secret,
            evidence=(line.where(f"{name}:{'*' * 6} {shown}"),),
        ),
    )


def _placed(fs: FileSystem, account: Account) -> Account:
    """The account with what its passwd line says, where the image has one."""
    for number, row in numbered(fs.text("/etc/passwd") or ""):
        if row.startswith(f"{account.name}:") and (entry := read_line(fs, "/etc/passwd", number, row, shadow=False)):
            login = shell_lets_in(fs, entry.shell)
            return msgspec.structs.replace(account, uid=entry.uid, gid=entry.gid, shell=entry.shell, home=entry.home, login=login)
    return account
