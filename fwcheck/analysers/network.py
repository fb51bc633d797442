"""Network services of the shipped default: remote shells, file transfer, debug listeners, management, discovery.

It proves which daemons the boot starts and with which arguments and configuration. Whether the firewall of the running device
drops a port, and what a vendor's own program opens by itself, it cannot say. A service that is only possibly started gives a
concern, one that is not started gives nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import Rule, rules_of
from fwcheck.device.daemons import Daemon, daemon_of
from fwcheck.device.firmware import Firmware
from fwcheck.model import Device, Evidence, Finding, Location, Service, Severity

RULES = rules_of(__name__)
_REMOTE_SHELL = RULES["NET-001"]
_TRANSFER = RULES["NET-002"]
_DEBUG = RULES["NET-003"]
_UPNP = RULES["NET-005"]
_TR069 = RULES["NET-006"]
_INVENTORY = RULES["NET-010"]
_LOCKOUT = RULES["ACC-009"]

_PLAIN_SHELLS = ("telnet", "rsh", "rlogin", "rexec", "raw shell")
_WEB_SHELLS = ("shellinaboxd", "ttyd")
_HARMLESS_DEBUG = ("iperf",)
_LIMITS = (
    "pam_faillock",
    "pam_tally",
    "fail2ban",
    "sshguard",
    "hashlimit",
    "--update --seconds",
    "-m recent",
    "banip",
    "LoginGraceTime 0",
)


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on the services of the device."""
    return once(_findings(firmware, device))


def _findings(firmware: Firmware, device: Device) -> Iterator[Finding]:
    for service in device.services:
        if service.enabled == "no" or not service.started_by or not service.evidence:
            continue
        yield from _service(firmware, service, daemon_of(service.name))
    yield from _inventory(device)
    yield from _lockout(firmware, device)


def _service(firmware: Firmware, service: Service, daemon: Daemon | None) -> Iterator[Finding]:
    protocol = daemon.protocol if daemon else service.protocol
    if protocol in _PLAIN_SHELLS or (daemon is not None and daemon.name in _WEB_SHELLS):
        severity = Severity.CRITICAL if service.authentication == "none" else _worse(Severity.HIGH, service)
        yield _exposed(_REMOTE_SHELL, service, severity, f"{service.name}{_how(service)}")
    elif protocol in ("ftp", "tftp"):
        proof = tuple(each.evidence for each in service.remarks if each.topic.startswith("anonymous"))
        severity = Severity.HIGH if service.authentication == "none" else Severity.MEDIUM
        yield _exposed(_TRANSFER, service, _worse(severity, service), f"{service.name}{_how(service)}", proof)
    elif daemon is not None and daemon.kind == "debug" and daemon.name not in _HARMLESS_DEBUG:
        yield _debug(firmware, service)
    elif protocol == "upnp":
        yield _upnp(service)
    elif protocol == "cwmp":
        yield from _tr069(service)


def _how(service: Service) -> str:
    return " without a password" if service.authentication == "none" else ""


def _exposed(rule: Rule, service: Service, severity: Severity, what: str, proof: tuple[Evidence, ...] = ()) -> Finding:
    """The finding, as strong as what is known of the service's start and address allows."""
    where = service.evidence[0]
    witnesses = (*proof, *service.evidence[1:])
    cause = f"{service.name} {'loopback' if service.reachable == 'loopback' else service.arguments}".strip()
    if service.reachable == "loopback":
        return rule.finding(
            where,
            cause,
            title=f"{what} listens on the loopback interface",
            severity=Severity.LOW,
            verdict="concern",
            criteria=("S1.1-13",),
            witnesses=witnesses,
            explanation="Only programs on the device reach it; a web page or a tunnel of the device may lead there.",
        )
    if service.enabled == "unknown":
        return rule.finding(
            where,
            cause,
            title=f"{what} is started under a condition",
            severity=Severity.MEDIUM if severity in (Severity.CRITICAL, Severity.HIGH) else Severity.LOW,
            verdict="concern",
            confidence="tentative",
            witnesses=witnesses,
            explanation=f"It is started when: {service.condition}. The image alone does not decide that. {rule.explanation}",
        )
    return rule.finding(where, cause, title=f"{what} is started by default", severity=severity, witnesses=witnesses)


def _worse(severity: Severity, service: Service) -> Severity:
    """One step worse where the shipped filter lets the foreign network in."""
    if service.reachable_from != "wan":
        return severity
    return Severity.CRITICAL if severity is Severity.HIGH else Severity.HIGH


def _tr069(service: Service) -> Iterator[Finding]:
    """The client itself, and what its configuration makes worse: a server in clear, a password that all units share."""
    yield _exposed(_TR069, service, Severity.MEDIUM, service.name)
    together: dict[tuple[str, str], list[Evidence]] = defaultdict(list)
    for remark in service.remarks:
        if remark.topic in ("plain-server", "constant-credential"):
            together[remark.topic, remark.evidence.location.path].append(remark.evidence)
    for (topic, _), places in together.items():
        plain = topic == "plain-server"
        what = "talks to its server in clear" if plain else "ships with a password that all units share"
        yield _TR069.finding(
            places[0],
            f"{service.name} {topic}",
            title=f"{service.name} {what}",
            severity=Severity.HIGH if service.enabled == "yes" else Severity.MEDIUM,
            criteria=("S1.1-12", "S1.1-13") if plain else ("S1.1-02", "S1.1-13"),
            confidence="firm" if service.enabled == "yes" else "tentative",
            witnesses=(*places[1:], *service.evidence[:2]),
        )


def _debug(firmware: Firmware, service: Service) -> Finding:
    if service.name != "adbd":
        return _exposed(_DEBUG, service, Severity.CRITICAL, service.name)
    secure = next((evidence for evidence in _properties(firmware, "ro.adb.secure", "1")), None)
    if secure is None or service.enabled != "yes":
        return _exposed(_DEBUG, service, Severity.CRITICAL, service.name)
    return _DEBUG.finding(
        service.evidence[0],
        "adbd",
        title="adbd is started by default",
        severity=Severity.MEDIUM,
        verdict="concern",
        witnesses=(secure,),
        explanation="It asks for a known key (ro.adb.secure=1), yet a production device has no use for it.",
    )


def _properties(firmware: Firmware, key: str, value: str) -> Iterator[Evidence]:
    for root in firmware.roots():
        for path in ("/default.prop", "/system/build.prop", "/build.prop", "/system/etc/prop.default", "/vendor/build.prop"):
            for number, line in enumerate((root.text(path) or "").splitlines(), 1):
                if line.strip().replace(" ", "") == f"{key}={value}":
                    yield root.evidence(path, line, line=number)


def _upnp(service: Service) -> Finding:
    remark = next((each for each in service.remarks if each.topic == "insecure-mode"), None)
    if remark is None or service.enabled != "yes":
        return _exposed(_UPNP, service, Severity.MEDIUM, service.name)
    return _UPNP.finding(
        remark.evidence,
        f"{service.name} secure_mode off",
        title=f"{service.name} maps ports for any host: secure mode is off",
        verdict="violation",
        witnesses=service.evidence,
    )


def _inventory(device: Device) -> Iterator[Finding]:
    open_ports = [each for each in device.listeners if each.evidence]
    if not open_ports:
        return
    names = sorted(
        {f"{each.service} {each.protocol}/{each.port if each.port is not None else '?'} on {each.address}" for each in open_ports}
    )
    first = min(open_ports, key=lambda each: (each.port or 0, each.service))
    where = Evidence(location=Location(chain=first.evidence[0].location.chain), text="; ".join(names)[:400])
    witnesses = tuple(each.evidence[0] for each in open_ports[:16])
    yield _INVENTORY.finding(
        where, "listeners", title=f"{len(names)} network listeners of the shipped default", witnesses=witnesses
    )


def _lockout(firmware: Firmware, device: Device) -> Iterator[Finding]:
    asking = [
        each
        for each in device.services
        if each.enabled == "yes"
        and each.authentication == "password"
        and each.protocol != "snmp"
        and each.reachable != "loopback"
        and each.evidence
    ]
    if not asking:
        return
    for _, facts in firmware.contents():
        if facts.text is not None and any(sign in facts.text for sign in _LIMITS):
            return
    names = ", ".join(sorted({each.name for each in asking}))
    witnesses = tuple(each.evidence[0] for each in asking[1:8])
    yield _LOCKOUT.finding(
        asking[0].evidence[0],
        f"no limit for {names}",
        title=f"No limit on login attempts was found for {names}",
        witnesses=witnesses,
    )
