"""By which ways an account of the system can be logged in to, as far as the shipped state shows.

Sources: sshd_config(5) (AllowUsers, DenyUsers, AllowGroups, DenyGroups, PermitRootLogin, PasswordAuthentication, Match),
dropbear(8), securetty(5), nologin(5), ftpusers(5), group(5).
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fwcheck.device._uci import read_uci, truth
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Account, Device, Service

LOGINS = frozenset({"telnet", "ssh", "ftp", "rlogin", "rsh"})
SSHD_FILES = ("/etc/ssh/sshd_config", "/etc/sshd_config", "/etc/openssh/sshd_config", "/usr/local/etc/sshd_config")
_MOST_LINES = 2048


class Ways(NamedTuple):
    """Where an account can log in."""

    network: tuple[str, ...] = ()  # protocols that are open for sure
    perhaps: tuple[str, ...] = ()  # protocols whose service may run
    console: bool = False
    refused: tuple[str, ...] = ()  # what runs and turns this account away, with the reason
    closed: bool = False  # the boot was followed, and nothing it starts asks anybody for a password

    def sentence(self) -> str:
        """The ways in words, to follow the explanation of a finding."""
        refused = f" {'; '.join(self.refused)}." if self.refused else ""
        if self.network:
            return f" The shipped state opens {', '.join(self.network)} logins.{refused}"
        if self.perhaps:
            return f" Whether {', '.join(self.perhaps)} logins are open by default could not be decided.{refused}"
        if self.console:
            return f" No network login was seen to start by default; the console asks for this password.{refused}"
        return f" No login that takes it was seen to start by default.{refused}"


class SshdSettings(NamedTuple):
    """The first value of each keyword in force, with its line; what stands in Match blocks is kept apart."""

    path: str
    held: dict[str, tuple[str, int, str]]
    matches: list[tuple[str, dict[str, tuple[str, int, str]]]]  # criteria of each block, and its keywords

    def get(self, keyword: str, default: str = "") -> str:
        """A value in lower case."""
        return self.held.get(keyword, (default, 0, ""))[0]


def ways_in(firmware: Firmware, device: Device, account: Account) -> Ways:
    """The ways into one account."""
    fs = next((fs for fs in firmware.filesystems if fs.label == account.root), None)
    network: set[str] = set()
    perhaps: set[str] = set()
    refused: dict[str, None] = {}
    for service in _logins(device, account):
        reason = _refusal(fs, account, service) if fs is not None else ""
        if reason:
            refused[reason] = None
        elif service.enabled == "yes":
            network.add(service.protocol)
        else:
            perhaps.add(service.protocol)
    if fs is not None and _is_web_login(fs, account):
        web = {each.enabled for each in device.services if each.protocol in ("http", "https") and each.present}
        (network if "yes" in web else perhaps).update({"web"} if web - {"no"} else ())
    console = any(each.authenticated is not False and each.root in ("", account.root) for each in device.consoles)
    closed = not (network or perhaps or console) and _asks_nobody(device, account)
    return Ways(tuple(sorted(network)), tuple(sorted(perhaps - network)), console, tuple(refused)[:4], closed)


def _asks_nobody(device: Device, account: Account) -> bool:
    """Web servers of vendors often check the system's passwords, so one that may run leaves a way open."""
    own = [each for each in device.services if each.root == account.root]
    return bool(own) and all(each.enabled == "no" or each.protocol not in ("http", "https") for each in own)


def _is_web_login(fs: FileSystem, account: Account) -> bool:
    """Whether the web pages ask for this account's password: ``$p$name`` in the settings of rpcd, uhttpd or httpd."""
    sign = re.compile(rf"\$p\${re.escape(account.name)}(?![\w-])")
    return any(sign.search(fs.text(path) or "") for path in ("/etc/config/rpcd", "/etc/config/uhttpd", "/etc/httpd.conf"))


def _logins(device: Device, account: Account) -> list[Service]:
    every = [
        each
        for each in device.services
        if each.protocol in LOGINS and each.enabled != "no" and each.present and each.reachable not in ("no", "loopback")
    ]
    own = [each for each in every if each.root in ("", account.root)]
    return own if any(each.root == account.root for each in device.services) else every


def _refusal(fs: FileSystem, account: Account, service: Service) -> str:
    """Why a running service turns the account away; empty when it does not, as far as can be seen."""
    program = posixpath.basename(service.program)
    if service.protocol == "ssh" and "dropbear" in program:
        return _dropbear(fs, account, service)
    if service.protocol == "ssh":
        settings = read_sshd(fs)
        return _sshd(fs, account, settings) if settings is not None else ""
    if service.protocol in ("telnet", "rlogin") and account.uid == 0 and not _on_pseudo_terminals(fs):
        return "/etc/securetty keeps root from network terminals"
    if service.protocol in ("telnet", "rlogin") and account.uid != 0 and fs.exists("/etc/nologin"):
        return "/etc/nologin keeps everybody but root out"
    if service.protocol == "ftp" and account.name in _words(fs, "/etc/ftpusers"):
        return "/etc/ftpusers keeps this account from FTP"
    return ""


def _words(fs: FileSystem, path: str) -> set[str]:
    lines = (fs.text(path) or "").splitlines()[:_MOST_LINES]
    return {line.split("#")[0].strip() for line in lines} - {""}


def _on_pseudo_terminals(fs: FileSystem) -> bool:
    """Whether root may log in on the terminals of telnet; without the file, or with an empty list of busybox's kind, it may."""
    if fs.text("/etc/securetty") is None:
        return True
    held = _words(fs, "/etc/securetty")
    return not held or any(re.match(r"(?:/dev/)?(?:pts/|ttyp|pts$|\*)", word) for word in held)


# --------------------------------------------------------------------------- SSH


def _dropbear(fs: FileSystem, account: Account, service: Service) -> str:
    flags = "".join(re.findall(r"(?:^|\s)-([A-Za-z]+)", service.arguments))
    if "s" in flags or (account.uid == 0 and "g" in flags):
        return "dropbear takes no passwords" + ("" if "s" in flags else " of root")
    if account.uid == 0 and "w" in flags:
        return "dropbear keeps root out"
    sections = [each for each in read_uci(fs.text("/etc/config/dropbear") or "") if each.type == "dropbear"]
    active = [each for each in sections if truth(each.get("enable", "1")) is not False]
    options = ["PasswordAuth", *(("RootPasswordAuth", "RootLogin") if account.uid == 0 else ())]
    if active and all(any(truth(each.get(option, "on")) is False for option in options) for each in active):
        return "/etc/config/dropbear lets nobody in with this password"
    return ""


def read_sshd(fs: FileSystem) -> SshdSettings | None:
    """The server's configuration in the image, with the files it includes; None without one."""
    for path in SSHD_FILES:
        node = fs.resolve(path)
        if node is not None and (text := fs.text(node.path)) is not None:
            settings = SshdSettings(node.path, {}, [])
            _read_sshd(fs, text, settings, posixpath.dirname(node.path), 0)
            return settings
    return None


def _read_sshd(fs: FileSystem, text: str, settings: SshdSettings, directory: str, depth: int) -> None:
    into = settings.held
    for number, line in enumerate(text.splitlines()[:_MOST_LINES], 1):
        words = re.split(r"[\s=]+", line.strip(), maxsplit=1)
        keyword = words[0].lower()
        if not keyword or keyword.startswith("#") or len(words) != 2:
            continue
        value = words[1].split(" #")[0].strip().strip('"')
        if keyword == "match":
            into = {} if value.lower() != "all" else settings.held
            if into is not settings.held:
                settings.matches.append((value.lower(), into))
        elif keyword == "include" and depth < 2:
            for pattern in value.split()[:8]:
                for node in fs.glob(posixpath.join(directory, pattern))[:32]:
                    _read_sshd(fs, fs.text(node.path) or "", settings, directory, depth + 1)
        elif keyword in ("allowusers", "denyusers", "allowgroups", "denygroups") and keyword in into:
            before = into[keyword]
            into[keyword] = (f"{before[0]} {value}", before[1], before[2])
        else:
            into.setdefault(
                keyword, (value.lower() if "users" not in keyword and "groups" not in keyword else value, number, line)
            )


def _sshd(fs: FileSystem, account: Account, settings: SshdSettings) -> str:
    # A Match block may open what the main part closes: then nothing is said to be refused.
    reopened = {keyword for _, held in settings.matches for keyword in held}
    if settings.get("passwordauthentication", "yes") == "no" and "passwordauthentication" not in reopened:
        keyboard = settings.get("kbdinteractiveauthentication") or settings.get("challengeresponseauthentication") or "yes"
        if keyboard == "no" or settings.get("usepam", "no") != "yes":
            return f"{settings.path} takes no passwords"
    if account.uid == 0 and "permitrootlogin" not in reopened:
        said = settings.get("permitrootlogin")
        if said in ("no", "prohibit-password", "without-password", "forced-commands-only"):
            return f"{settings.path} keeps root from logging in with a password"
    groups = _groups(fs, account)
    if _listed([account.name], settings.get("denyusers")) or _listed(groups, settings.get("denygroups")):
        return f"{settings.path} denies this account"
    for keyword, names in (("allowusers", [account.name]), ("allowgroups", groups)):
        if settings.get(keyword) and keyword not in reopened and not _listed(names, settings.get(keyword)):
            return f"{settings.path} allows other accounts only"
    return ""


def _listed(names: Sequence[str], patterns: str) -> bool:
    hosts_cut = [pattern.split("@")[0] for pattern in patterns.split()[:256]]
    return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in hosts_cut if len(pattern) < 64)


def _groups(fs: FileSystem, account: Account) -> list[str]:
    """The groups of an account by group(5): the one of its passwd line, and those that list it."""
    return [name for name, gid, members in _group_lines(fs) if gid == account.gid or account.name in members]


def _group_lines(fs: FileSystem) -> Iterable[tuple[str, int, list[str]]]:
    for line in (fs.text("/etc/group") or "").splitlines()[:_MOST_LINES]:
        parts = line.strip().split(":")
        if len(parts) >= 3 and parts[2].isdecimal() and len(parts[2]) < 11:
            yield parts[0], int(parts[2]), parts[3].split(",") if len(parts) > 3 else []


def members_of(fs: FileSystem, group: str) -> list[str]:
    """The accounts that group(5) lists for a group."""
    return [member for name, _, members in _group_lines(fs) if name == group for member in members if member]
