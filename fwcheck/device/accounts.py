"""Accounts of the shipped image: password files and their seeds, logins of servers, what scripts make."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

import msgspec

from fwcheck.device._clues import candidates, clues
from fwcheck.device._made_accounts import accounts_of_scripts, scripts
from fwcheck.device._password_files import FILE, accounts_in_files
from fwcheck.device._web_logins import web_logins
from fwcheck.device.boot import boots
from fwcheck.device.crack import crack
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Account, NodeKind

Origin = Literal["live", "seed", "copy"]

_MOST_ACCOUNTS = 4096
_LIVE = ("/etc/passwd", "/etc/shadow")


def accounts(firmware: Firmware) -> tuple[Account, ...]:
    """Every account found, file system by file system, live password files first; weak hashes tried against a word list."""
    found: list[Account] = []
    for fs in firmware.filesystems:
        system, servers = accounts_in_files(fs)
        found += _folded([*system, *accounts_of_scripts(fs), *servers, *web_logins(fs)])
    return _cracked(found[:_MOST_ACCOUNTS], firmware)


def origin(firmware: Firmware, account: Account) -> Origin:
    """What its file is to the running device: in use as it stands, copied into place at boot, or only a copy that lies about."""
    fs = next((fs for fs in firmware.filesystems if fs.label == account.root), None)
    if fs is None or account.file in _LIVE or not FILE.fullmatch(posixpath.basename(account.file)):
        return "live"
    if re.search(r"(?i)htpasswd|htdigest|boa\.passwd|smbpasswd", account.file):
        return "live"
    held = [fs.nodes.get(path) for path in _LIVE]
    if not any(node is not None and node.kind is NodeKind.FILE and node.size for node in held):
        return "seed"
    if account.secret and any(account.secret in text for text in _written_at_boot(firmware, fs)):
        return "seed"
    named = re.compile(rf"(?<![\w.]){re.escape(account.file)}(?![\w.-])|{re.escape(posixpath.dirname(account.file))}/\*")
    return "seed" if any(named.search(text) for _, text in scripts(fs)) else "copy"


def _written_at_boot(firmware: Firmware, fs: FileSystem) -> list[str]:
    """Password files that the boot of this root file system writes, as far as it could be followed."""
    written = [boot.disk.written for boot in boots(firmware) if boot.root is fs]
    return [text for each in written for path, text in each.items() if posixpath.basename(path) in ("passwd", "shadow")]


def _folded(found: Iterable[Account]) -> list[Account]:
    """The same account with the same password in several files, once: the first file keeps it, the others become evidence."""
    once: dict[tuple[str, int | None, str, str], Account] = {}
    for account in found:
        key = (account.name, account.uid, account.password, account.secret)
        if (first := once.get(key)) is None:
            once[key] = account
        elif len(first.evidence) < 16:
            extra = tuple(each for each in account.evidence if each not in first.evidence)
            once[key] = msgspec.structs.replace(first, evidence=(*first.evidence, *extra)[:16])
    return list(once.values())


def _cracked(found: list[Account], firmware: Firmware) -> tuple[Account, ...]:
    names: dict[str, list[str]] = defaultdict(list)
    for account in sorted(found, key=_weight):
        if account.password == "hash" and not account.cracked:
            names[account.secret].append(account.name)
    if not names:
        return tuple(found)
    known = [each.plain for each in found if each.cracked and each.plain]
    plain = crack(names, clues(firmware), [*known, *candidates(firmware)])
    return tuple(
        msgspec.structs.replace(each, cracked=True, plain=plain[each.secret])
        if not each.cracked and each.secret in plain
        else each
        for each in found
    )


def _weight(account: Account) -> tuple[bool, bool, bool]:
    """Accounts that matter most first: the budget for guessing is shared in this order."""
    return account.login is False, account.uid != 0, account.file not in _LIVE
