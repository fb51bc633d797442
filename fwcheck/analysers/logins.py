"""Logins that take empty passwords, root over SSH with a password, and signs that a password is asked for at first use.

It proves what configuration files and start lines say. Whether a firewall or a closed program stands before a login is left open.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import rules_of
from fwcheck.device import _pam
from fwcheck.device._uci import read_uci, truth
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.device.ways_in import read_sshd
from fwcheck.model import Device, Evidence, Finding, Service, Severity

RULES = rules_of(__name__)
_NULLOK = RULES["ACC-007"]
_ROOT_SSH = RULES["ACC-008"]
_FORCED = RULES["ACC-012"]
_OPEN_PAM = RULES["ACC-013"]

_DROPBEAR_FILES = ("/etc/default/dropbear", "/etc/sysconfig/dropbear", "/etc/conf.d/dropbear")
_PAM_LOGINS = ("login", "sshd", "dropbear", "remote", "telnet", "common-auth", "system-auth", "other", "vsftpd", "su")
# What asks PAM under which name; an empty tuple: login, which consoles and telnet servers call.
_PAM_SERVICES: dict[str, tuple[str, ...]] = {
    "login": (),
    "remote": ("telnetd", "in.telnetd", "utelnetd"),
    "sshd": ("sshd", "ssh"),
    "dropbear": ("dropbear",),
    "vsftpd": ("vsftpd",),
    "ftp": ("ftpd", "in.ftpd"),
    "proftpd": ("proftpd",),
    "cockpit": ("cockpit", "cockpit-ws"),
    "samba": ("smbd",),
}
_PAGES = (".html", ".htm", ".js", ".asp", ".php", ".lua", ".cgi", ".jst", ".sh", ".json")
_FORCED_SIGNS = re.compile(
    r"(?i)force[_-]?(?:to[_-]?)?(?:change|set|modify|reset)[_-]?(?:default[_-]?|admin[_-]?|login[_-]?)?(?:passw(?:or)?d|pwd)"
    r"|must[ _-]change[ _-](?:the[ _-]|default[ _-]|your[ _-])*passw(?:or)?d|first[_-]?(?:time[_-]?)?login"
    r"|is[_-]?default[_-]?(?:passw(?:or)?d|pwd)|chage[ \t]+-d[ \t]+0[ \t]|\bpasswd[ \t]+(?:-e|--expire)[ \t]"
)
_FORCED_HINTS = ("force", "must", "first", "default", "chage", "expire", "passwd -e")
_MOST_FILES = 32_768


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on how the shipped logins treat passwords."""
    return once(_findings(firmware, device))


def _findings(firmware: Firmware, device: Device) -> Iterator[Finding]:
    for fs in firmware.roots():
        yield from _sshd(fs, device)
        yield from _dropbear(fs, device)
        yield from _nullok(fs, device)
        yield from _open_stacks(fs, device)
        yield from _forced(fs)


def _state(services: Iterable[Service]) -> Literal["yes", "no", "unknown"]:
    states = {each.enabled for each in services if each.present}
    return "yes" if "yes" in states else "no" if states == {"no"} else "unknown"


def _named(fs: FileSystem, device: Device, *names: str) -> list[Service]:
    def is_meant(each: Service) -> bool:
        return bool({each.name, each.program.rsplit("/", 1)[-1]} & set(names)) and each.root in ("", fs.label)

    return [each for each in device.services if is_meant(each)]


def _empty_passwords(where: Evidence, cause: str, state: str, *, title: str) -> Finding:
    """ACC-007 as certain as the service is to run."""
    return _NULLOK.finding(
        where,
        cause,
        title=title,
        verdict="violation" if state == "yes" else "concern",
        severity=_NULLOK.severity if state != "no" else Severity.LOW,
        confidence="certain" if state == "yes" else "firm" if state == "unknown" else "tentative",
    )


# --------------------------------------------------------------------------- OpenSSH


def _sshd(fs: FileSystem, device: Device) -> Iterator[Finding]:
    """sshd_config(5): the first value of a keyword counts, unless it stands in a Match block."""
    settings = read_sshd(fs)
    if settings is None:
        return
    state = _state(_named(fs, device, "sshd", "ssh"))
    value, line, raw = settings.held.get("permitemptypasswords", ("no", 0, ""))
    if value == "yes":
        yield _empty_passwords(
            fs.evidence(settings.path, raw, line=line), "sshd", state, title="SSH server lets empty passwords in"
        )
    value, line, raw = settings.held.get("permitrootlogin", ("", 0, ""))
    before = value == "" and _lets_root_in_by_default(device)
    passwords = settings.get("passwordauthentication", "yes") != "no"
    if (value == "yes" or before) and passwords and state != "no" and _root_has_password(fs, device):
        where = fs.evidence(settings.path, raw or "no line sets PermitRootLogin", line=line or None)
        yield _root_login(where, "sshd", state)


def _lets_root_in_by_default(device: Device) -> bool:
    """OpenSSH before 7.0 takes root's password when nothing is said."""
    versions = [each.version or "" for each in device.components if each.name == "openssh"]
    return bool(versions) and all(re.match(r"[3-6]\.", version) for version in versions)


def _root_has_password(fs: FileSystem, device: Device) -> bool:
    """Whether some account of user 0 may log in with a password here; true too when no account is known."""
    held = [each for each in device.accounts if each.root == fs.label and (each.uid == 0 or each.name == "root")]
    return not held or any(each.password in ("hash", "empty") and each.login is not False for each in held)


def _root_login(where: Evidence, cause: str, state: str) -> Finding:
    return _ROOT_SSH.finding(where, f"root login by password: {cause}", confidence="firm" if state == "yes" else "tentative")


# --------------------------------------------------------------------------- dropbear


def _dropbear(fs: FileSystem, device: Device) -> Iterator[Finding]:
    """dropbear(8): -B lets empty passwords in, -s and -g refuse passwords (of all, of root), -w refuses root."""
    services = _named(fs, device, "dropbear", "dropbearmulti")
    for service in services:
        if re.search(r"(?:^|\s)-[A-Za-z]*B", service.arguments) and service.evidence:
            yield _empty_passwords(
                service.evidence[0], "dropbear", service.enabled, title="SSH server (dropbear -B) lets empty passwords in"
            )
    for path in _DROPBEAR_FILES:
        for number, line in enumerate((fs.text(path) or "").splitlines(), 1):
            if re.match(r"""\s*\w*ARGS=["']?(?:[^#"']*\s)?-[A-Za-z]*B""", line):
                yield _empty_passwords(
                    fs.evidence(path, line, line=number),
                    "dropbear",
                    _state(services),
                    title="dropbear is told to let empty passwords in",
                )
    running = [each for each in services if each.enabled == "yes" and each.reachable not in ("no", "loopback")]
    refuses = any(re.search(r"(?:^|\s)-[A-Za-z]*[sgw]", each.arguments) for each in running)
    if running and not refuses and _root_has_password(fs, device):
        where = _dropbear_setting(fs)
        if where is not False:
            yield _root_login(where or running[0].evidence[0] if running[0].evidence else fs.evidence(""), "dropbear", "yes")


def _dropbear_setting(fs: FileSystem) -> Evidence | Literal[False] | None:
    """The option of /etc/config/dropbear that lets root in by password; False when one forbids it, None without such a file."""
    text = fs.text("/etc/config/dropbear")
    if text is None:
        return None
    allowed: Evidence | None = None
    for section in read_uci(text):
        if section.type != "dropbear" or truth(section.get("enable", "1")) is False:
            continue
        if any(truth(section.get(option, "on")) is False for option in ("PasswordAuth", "RootPasswordAuth", "RootLogin")):
            continue
        line = section.lines.get("RootPasswordAuth", section.lines.get("PasswordAuth", section.line))
        allowed = allowed or fs.evidence("/etc/config/dropbear", text.splitlines()[line - 1], line=line)
    return allowed or False


# --------------------------------------------------------------------------- PAM, first login


def _nullok(fs: FileSystem, device: Device) -> Iterator[Finding]:
    """``nullok`` of pam_unix(8); it matters where an account has an empty password, else it is only worth knowing."""
    open_accounts = [each for each in device.accounts if each.root == fs.label and each.password == "empty" and each.login]
    for node in fs.children("/etc/pam.d"):
        name = node.path.rsplit("/", 1)[-1]
        if name not in _PAM_LOGINS:
            continue
        for number, line in enumerate((fs.text(node.path) or "").splitlines(), 1):
            if re.match(r"\s*-?auth\s.*pam_unix\S*\.so\b.*\bnullok(?:_secure)?\b", line):
                yield _NULLOK.finding(
                    fs.evidence(node.path, line, line=number),
                    f"pam nullok: {name}",
                    title=f"PAM lets empty passwords in ({name})",
                    verdict="violation" if open_accounts else "info",
                    severity=Severity.HIGH if open_accounts else Severity.LOW,
                    confidence="firm" if open_accounts else "tentative",
                    witnesses=tuple(each.evidence[0] for each in open_accounts if each.evidence)[:4],
                )


def _open_stacks(fs: FileSystem, device: Device) -> Iterator[Finding]:
    """ACC-013: a stack that ends in success for somebody who names an account and knows no password."""
    for name in sorted(_pam.services(fs)):
        if name not in _PAM_SERVICES or (rule := _pam.opens_without_password(fs, name)) is None:
            continue
        state = _state(_named(fs, device, *_PAM_SERVICES[name])) if _PAM_SERVICES[name] else "unknown"
        yield _OPEN_PAM.finding(
            fs.evidence(rule.path, rule.text, line=rule.line),
            f"pam opens: {name}",
            title=f"PAM lets people in as {name} without a password",
            verdict="violation" if state == "yes" else "concern",
            severity=_OPEN_PAM.severity if state != "no" else Severity.LOW,
            confidence="firm" if state != "no" else "tentative",
        )


def _forced(fs: FileSystem) -> Iterator[Finding]:
    """ACC-012: shadow's last-change day 0 where PAM honours it, and set-up pages or scripts that speak of a forced change."""
    if fs.exists("/etc/pam.d/login") or fs.exists("/etc/pam.d/sshd"):
        for number, line in enumerate((fs.text("/etc/shadow") or "").splitlines(), 1):
            parts = line.split(":")
            if len(parts) >= 8 and parts[2] == "0" and parts[1] not in ("", "*", "x") and not parts[1].startswith("!"):
                shown = f"{parts[0]}:******:0:{':'.join(parts[3:])}"
                yield _FORCED.finding(
                    fs.evidence("/etc/shadow", shown, line=number), f"expired password: {parts[0]}", confidence="firm"
                )
                return
    for count, (node, facts) in enumerate(fs.files()):
        if count > _MOST_FILES:
            return
        if facts.text is None or (not node.path.lower().endswith(_PAGES) and facts.kind != "script"):
            continue
        lowered = facts.text.lower()
        if any(sign in lowered for sign in _FORCED_HINTS) and (hit := _FORCED_SIGNS.search(facts.text)):
            number = facts.text.count("\n", 0, hit.start()) + 1
            where = fs.evidence(node.path, facts.text[max(0, hit.start() - 40) : hit.end() + 80], line=number)
            yield _FORCED.finding(where, "first login page")
            return
