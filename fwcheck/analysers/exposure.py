"""What the shipped default lets strangers do: services open to the WAN, without a password, open shares, withdrawn protocols.

It proves what configuration files, start lines and filter rules say. What a vendor's own program asks for by itself, and what the
network in front of the device drops, it cannot see. Nothing is said of services that are not started or answer the device alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import Rule, rules_of
from fwcheck.device.daemons import daemon_of
from fwcheck.device.firmware import Firmware
from fwcheck.device.wireless import Network, weak_networks
from fwcheck.model import Device, Evidence, Finding, Listener, Remark, Service, Severity

RULES = rules_of(__name__)
_WAN = RULES["NET-011"]
_NO_PASSWORD = RULES["NET-012"]
_SHARE = RULES["NET-013"]
_WITHDRAWN = RULES["NET-014"]
_OPEN_NETWORK = RULES["NET-015"]

# What a foreign network has no business with; name servers, VPN servers and clocks may be meant for it.
_PRIVATE_KINDS = ("shell", "transfer", "web", "management", "debug", "database", "iot", "media", "print", "discovery")
_SHARES = ("smb", "rsync", "nfs")
_HOLDS_ALL = ("docker",)


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on what strangers can reach and do."""
    return once((*_findings(device), *_networks(firmware)))


def _findings(device: Device) -> Iterator[Finding]:
    told: set[Remark] = set()  # a setting that two programs of one server read (nfsd, mountd) is told once
    for service in sorted(device.services, key=lambda each: each.enabled != "yes"):
        if service.enabled == "no" or not service.evidence or service.reachable == "loopback":
            continue
        yield from _from_wan(service, device)
        if service.reachable_from != "local":
            for remark in service.remarks:
                found = [] if remark in told else list(_remark(service, remark))
                told.update([remark] if found else [])
                yield from found


def _networks(firmware: Firmware) -> Iterator[Finding]:
    """Wireless networks that settings leave open or weak: one finding for each file and weakness."""
    for root in firmware.filesystems:
        together: dict[tuple[str, str], list[Network]] = defaultdict(list)
        for each in weak_networks(root):
            together[each.where.location.path, each.protection].append(each)
        for (_, protection), held in together.items():
            sure = held[0].used is True
            rule = _OPEN_NETWORK if protection == "none" else _WITHDRAWN
            yield rule.finding(
                held[0].where,
                f"wireless {protection}",
                title=rule.title if protection == "none" else f"The wireless network of the shipped default allows {protection}",
                severity=Severity.LOW if not sure or "beside" in protection else Severity.MEDIUM,
                verdict="concern",
                confidence="firm" if sure else "tentative",
                witnesses=tuple(each.where for each in held[1:]),
            )


def _from_wan(service: Service, device: Device) -> Iterator[Finding]:
    daemon = daemon_of(service.name)
    if service.reachable_from != "wan" or daemon is None or daemon.kind not in _PRIVATE_KINDS:
        return
    ports = [each for each in device.listeners if _is_open(each, service)]
    if not ports:
        return
    shown = ", ".join(dict.fromkeys(f"{each.protocol}/{each.port}" for each in ports))
    proof = tuple(dict.fromkeys(evidence for each in ports for evidence in each.decided_by))[:4]
    sure = service.enabled == "yes"
    severity = Severity.CRITICAL if service.authentication == "none" else Severity.HIGH
    yield _WAN.finding(
        service.evidence[0],
        f"{service.name} {shown}",
        title=f"{service.name} ({shown}) is reachable from the WAN by default",
        severity=severity if sure else Severity.MEDIUM,
        verdict="violation" if sure else "concern",
        confidence="firm" if sure else "tentative",
        witnesses=(*proof, *service.evidence[1:4]),
    )


def _is_open(each: Listener, service: Service) -> bool:
    return each.service == service.name and each.root == service.root and each.reachable_from == "wan"


def _remark(service: Service, remark: Remark) -> Iterator[Finding]:
    topic = remark.topic
    if topic in ("no-password", "unauthenticated-write", "open-management"):
        severity = Severity.CRITICAL if remark.detail in _HOLDS_ALL else Severity.HIGH
        yield _found(_NO_PASSWORD, service, remark, severity, f"{service.name} lets anybody in without a password")
    elif topic in ("anonymous-read", "anonymous-write") and service.protocol in _SHARES:
        name = f" ({remark.detail})" if remark.detail else ""
        severity, what = (Severity.HIGH, "write to") if topic == "anonymous-write" else (Severity.MEDIUM, "read")
        yield _found(_SHARE, service, remark, severity, f"Anybody may {what} a share of {service.name}{name}")
    elif topic == "anonymous-read" and service.protocol == "rtsp":
        yield _found(_NO_PASSWORD, service, remark, Severity.HIGH, f"{service.name} shows its video to anybody")
    elif topic == "old-protocol":
        yield _found(_WITHDRAWN, service, remark, Severity.MEDIUM, f"{service.name} allows {remark.detail}")
    elif topic == "open-network":
        yield _found(_OPEN_NETWORK, service, remark, Severity.MEDIUM, "The wireless network of the shipped default is open")


def _found(rule: Rule, service: Service, remark: Remark, severity: Severity, title: str) -> Finding:
    """As strong as the start of the service and the source of the setting allow."""
    sure = service.enabled == "yes" and remark.certain
    weaker = Severity.MEDIUM if severity in (Severity.CRITICAL, Severity.HIGH) else Severity.LOW
    where: Evidence = remark.evidence
    others = tuple(each for each in service.evidence[:2] if each != where)
    return rule.finding(
        where,
        f"{service.name} {remark.topic} {remark.detail}".strip(),
        title=title,
        severity=severity if sure else weaker,
        verdict=rule.verdict if sure else "concern",
        confidence=rule.confidence if sure else "tentative",
        witnesses=others,
    )
