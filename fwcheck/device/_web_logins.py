"""Logins that web servers and vendor programs keep in files of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fwcheck.device._password_files import numbered
from fwcheck.device._uci import read_uci
from fwcheck.device.firmware import FileSystem
from fwcheck.device.hashes import classify, is_hash, masked
from fwcheck.model import Account


def web_logins(fs: FileSystem) -> Iterator[Account]:
    """Logins kept in settings: rpcd of OpenWrt (``$p$name`` there means the system password), httpd.conf of busybox."""
    for section in read_uci(fs.text("/etc/config/rpcd") or ""):
        name, secret = section.get("username"), section.get("password")
        if section.type == "login" and name and secret and not secret.startswith("$p$"):
            line = section.lines.get("password", section.line)
            yield login(fs, "/etc/config/rpcd", line, f"option password '{masked(secret)}'", name, secret)
    for path in ("/etc/httpd.conf", "/etc/httpd/httpd.conf", "/var/www/httpd.conf"):
        for number, text in numbered(fs.text(path) or ""):
            if entry := re.fullmatch(r"(/[^:\s]*):([A-Za-z_][\w.-]{0,31}):(?![*:]|\$p\$)(\S{1,128})", text.strip()):
                yield login(fs, path, number, f"{entry[1]}:{entry[2]}:{masked(entry[3])}", entry[2], entry[3])


def login(fs: FileSystem, path: str, line: int, shown: str, name: str, secret: str) -> Account:
    """A web login from a setting: a hash if it looks like one, else the password itself."""
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
