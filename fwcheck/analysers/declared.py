"""The maker's statements held against the image: a contradiction is a finding of its own, silence is none.

It proves that image and declaration do not agree; which of the two is wrong, a person has to say. Without a declaration, nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import rules_of
from fwcheck.declaration import Declaration, DeclaredService
from fwcheck.device.firmware import Firmware
from fwcheck.model import Device, Evidence, Finding, Listener, Location, Service, Trait

RULES = rules_of(__name__)
_ABSENT = RULES["DEC-001"]
_UNLISTED = RULES["DEC-002"]
_MISSING = RULES["DEC-003"]
_PASSWORD = RULES["DEC-004"]
_UNSIGNED = RULES["DEC-005"]
_NO_UPDATE = RULES["DEC-006"]
_SUPPORT = RULES["DEC-007"]
_PLAIN_STORAGE = RULES["DEC-008"]
_NO_RESET = RULES["DEC-009"]
_PLAIN_UPDATE = RULES["DEC-010"]
_NO_LOG = RULES["DEC-011"]

# How a service shows that it is one of the interfaces of a declaration: its protocol, or words of its program.
_PROTOCOLS: Mapping[str, frozenset[str]] = {
    "tr-069": frozenset({"tr-069", "cwmp", "tr069"}),
    "upnp": frozenset({"upnp", "ssdp", "igd"}),
    "smb": frozenset({"smb", "cifs"}),
    "http": frozenset({"http", "https"}),
    "debug-shell": frozenset({"adb", "gdb", "debug"}),
}
_PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "telnet": ("telnetd",),
    "ftp": ("ftpd",),
    "tftp": ("tftpd",),
    "ssh": ("sshd", "dropbear"),
    "snmp": ("snmpd",),
    "upnp": ("miniupnpd", "upnpd", "igd", "wscd"),
    "tr-069": ("cwmp", "tr069"),
    "mqtt": ("mosquitto", "mqttd"),
    "rtsp": ("rtsp",),
    "smb": ("smbd", "nmbd"),
    "http": ("httpd", "lighttpd", "nginx", "boa", "goahead", "uhttpd"),
    "debug-shell": ("adbd", "gdbserver"),
}
_REACHED = ("web upload", "http download", "tftp or ftp", "local file or web upload", "TR-069", "update bundle")


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings where declaration and image do not agree."""
    declared = device.declared
    if declared is None:
        return ()
    whole = not firmware.coverage.gaps and any(fs.is_root for fs in firmware.filesystems)
    top = Evidence(location=Location(chain=(firmware.image.name,)), text="not seen in the image")
    found: list[Finding] = []
    for check in _CHECKS:
        found += check(declared, device)
    if whole:
        found += _silent(declared, device, top)
    return once(found)


# --------------------------------------------------------------------------- services


def _offers(service: Service, interface: str) -> bool:
    names = (service.name, service.program.rsplit("/", 1)[-1], service.applet)
    by_protocol = service.protocol in _PROTOCOLS.get(interface, frozenset({interface}))
    return by_protocol or any(word in name for name in names for word in _PROGRAMS.get(interface, ()))


def _where(evidence: tuple[Evidence, ...], device: Device) -> Evidence:
    return evidence[0] if evidence else Evidence(location=Location(chain=()), text=device.platform)


def _interfaces(declared: Declaration, device: Device) -> Iterator[Finding]:
    """DEC-001: services by the boot graph, and consoles without a login."""
    for interface in declared.absent:
        for service in device.services:
            if service.enabled == "yes" and service.present and _offers(service, interface):
                title = f"Declared: no {interface}. The image starts {service.program or service.name}"
                yield _ABSENT.finding(
                    _where(service.evidence, device), f"declared absent: {interface} {service.name}", title=title[:200]
                )
        if interface in ("debug-shell", "serial-login"):
            for console in device.consoles:
                if console.authenticated is False or interface == "serial-login":
                    title = f"Declared: no {interface}. The image opens {console.command or 'a shell'} on {console.tty}"
                    yield _ABSENT.finding(
                        _where(console.evidence, device), f"declared absent: {interface} {console.tty}", title=title[:200]
                    )


def _listed(listener: Listener, services: tuple[DeclaredService, ...]) -> bool:
    return any(
        (each.port is not None and each.port == listener.port and each.protocol == listener.protocol)
        or (each.name and each.name.lower() in listener.service.lower())
        for each in services
    )


def _unlisted(declared: Declaration, device: Device) -> Iterator[Finding]:
    """DEC-002: ports of started services that a network reaches."""
    if declared.services is None:
        return
    started = {each.name: each for each in device.services if each.enabled == "yes" and each.present}
    for listener in device.listeners:
        service = started.get(listener.service)
        if service is None or service.reachable in ("loopback", "no") or listener.reachable_from == "local":
            continue
        if not _listed(listener, declared.services):
            port = "?" if listener.port is None else listener.port
            title = f"{listener.service} listens on {listener.protocol}/{port} and is not declared"
            yield _UNLISTED.finding(
                _where(service.evidence, device), f"undeclared: {listener.service} {listener.protocol}/{port}", title=title
            )


# --------------------------------------------------------------------------- passwords, updates, support, data


def _passwords(declared: Declaration, device: Device) -> Iterator[Finding]:
    """DEC-004: an account with a usable password in the image. A hash that nobody has read may be a place holder."""
    if declared.credentials.first_password not in ("per-device", "set-by-user"):
        return
    for account in device.accounts:
        if account.password in ("hash", "empty") and account.login is not False:
            how = "an empty password" if account.password == "empty" else "a password in the image"
            title = f"Declared: passwords {declared.credentials.first_password}. {account.name} has {how}"
            open_ = account.password == "empty" or account.cracked
            yield _PASSWORD.finding(
                _where(account.evidence, device),
                f"declared password: {account.name} {account.file}",
                title=title[:200],
                verdict="violation" if open_ else "concern",
                confidence="tentative" if declared.credentials.factory_process and not open_ else "firm",
            )


def _updates(declared: Declaration, device: Device) -> Iterator[Finding]:
    """DEC-005 and DEC-010, on ways that were followed."""
    for path in device.update_paths:
        if declared.updates.signed and path.source in _REACHED and path.verified in ("none", "checksum", "hash"):
            checks = "nothing" if path.verified == "none" else f"a {path.verified} only"
            title = f"Declared: updates are signed. {path.mechanism or path.sink} checks {checks}"
            yield _UNSIGNED.finding(
                _where(path.evidence, device), f"declared signed: {path.mechanism} {path.sink}", title=title[:200]
            )
        if declared.updates.encrypted_transport and path.transport in ("plain", "unchecked"):
            title = f"Declared: updates come encrypted. {path.mechanism} fetches over a connection that is {path.transport}"
            yield _PLAIN_UPDATE.finding(_where(path.evidence, device), f"declared encrypted: {path.mechanism}", title=title[:200])


def _support(declared: Declaration, device: Device) -> Iterator[Finding]:
    """DEC-007: components whose own support has ended, or will end, before the declared one."""
    until = declared.support.until
    if until is None:
        return
    for component in device.components:
        ends = _date(component.end_of_life) or _date(component.supported_until)
        if ends is not None and ends < until:
            title = f"Declared: support until {until}. {component.name} {component.version} gets fixes until {ends}"
            yield _SUPPORT.finding(
                _where(component.evidence, device), f"declared support: {component.name} {component.version}", title=title
            )


def _date(text: str | None) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        return None


def _data(declared: Declaration, device: Device) -> Iterator[Finding]:
    """DEC-008: only where the image says that it is not so."""
    if declared.data.encrypted_storage:
        for trait in _named(device.storage, "encrypted storage", "no"):
            title = f"Declared: storage is encrypted. {trait.detail}"[:200]
            yield _PLAIN_STORAGE.finding(_where(trait.evidence, device), "declared encrypted storage", title=title)


def _named(traits: tuple[Trait, ...], name: str, state: str) -> list[Trait]:
    return [each for each in traits if each.name == name and each.state == state]


def _silent(declared: Declaration, device: Device, top: Evidence) -> Iterator[Finding]:
    """DEC-003, DEC-006, DEC-009, DEC-011: statements of which a wholly read image shows nothing."""
    names = {
        word
        for each in device.services
        if each.enabled != "no"
        for word in (each.name.lower(), each.protocol, each.program.rsplit("/", 1)[-1])
    }
    ports = {(each.port, each.protocol) for each in device.listeners}
    for service in declared.services or ():
        if (service.port, service.protocol) not in ports and not any(service.name.lower() in name for name in names if name):
            yield _MISSING.finding(
                top, f"declared service: {service.name}", title=f"Declared: {service.name}. Nothing in the image starts it"
            )
    if declared.updates.method in ("automatic", "user") and not any(each.source != "container" for each in device.update_paths):
        yield _NO_UPDATE.finding(
            top, "declared updates", title=f"Declared: updates ({declared.updates.method}). Nothing in the image writes software"
        )
    if declared.data.factory_reset and not any(each.state == "yes" for each in device.reset):
        yield _NO_RESET.finding(top, "declared reset")
    if declared.data.logging and not any(each.state == "yes" for each in device.logging):
        yield _NO_LOG.finding(top, "declared log")


_CHECKS: tuple[Callable[[Declaration, Device], Iterable[Finding]], ...] = (
    _interfaces,
    _unlisted,
    _passwords,
    _updates,
    _support,
    _data,
)
