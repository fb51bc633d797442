"""Network exposure that configuration files state: SNMP communities, firewall defaults, WPS and remote management, MQTT.

It proves what the shipped files say. A file that no started program reads is no exposure, so findings depend on the service
where one belongs to them; settings kept in NVRAM partitions are not seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import mask, rules_of
from fwcheck.device import configuration
from fwcheck.device.configurations.snmp import WELL_KNOWN
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Device, Finding, Remark, Service, Severity

RULES = rules_of(__name__)
_SNMP = RULES["NET-004"]
_MANAGEMENT = RULES["NET-007"]
_FIREWALL = RULES["NET-008"]
_PLAIN_MQTT = RULES["NET-009"]

# Keys of vendor default files: name, values that mean "on", what they switch.
_ON = ("1", "on", "yes", "enabled", "enable")
_SWITCHES = (
    (re.compile(r"(?i)^(wps_mode|wps_enabled?|wps_pbc|wl\d?_wps_mode)$"), _ON, "WPS"),
    (re.compile(r"(?i)^wscmodeoption$"), ("7", "4", "2", "6"), "WPS"),
    (
        re.compile(r"(?i)^(remote_management|remote_mgmt|remotemanagement|remote_web|rm_enable|mgmt_remote)$"),
        _ON,
        "remote management",
    ),
    (re.compile(r"(?i)^(upnp_wan|wan_telnet|telnet_wan|remote_telnet|remote_ssh|ssh_wan)$"), _ON, "remote access"),
)
_DEFAULTS = re.compile(r"(?i)(default|factory|nvram)[\w.-]*\.?(cfg|conf|dat|txt|ini)?$")
_MQTT = re.compile(r"\bmqtt://(?!(?:localhost|127\.|0\.0\.0\.0|\[?::1|[\w.-]*example\.(?:com|org|net)|[<$%{]))[\w.-]+(?::\d+)?")
_SETTINGS = (".conf", ".cfg", ".ini", ".json", ".toml", ".yaml", ".yml", ".config", ".properties")


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on what configuration files open."""
    return once(_findings(firmware, device))


def _findings(firmware: Firmware, device: Device) -> Iterator[Finding]:
    yield from _snmp(device)
    yield from _broker(device)
    yield from _access_points(device)
    for root in firmware.roots():
        yield from _firewall(root)
        yield from _wireless(root)
        yield from _switches(root)
        yield from _endpoints(root)


def _snmp(device: Device) -> Iterator[Finding]:
    """Well-known communities of an agent that is or may be started and answers others than the device itself."""
    for service in device.services:
        if service.protocol != "snmp" or not _is_open(service):
            continue
        for remark in service.remarks:
            if remark.topic.startswith("community") and remark.detail in WELL_KNOWN:
                yield _community(service, remark)


def _is_open(service: Service) -> bool:
    return service.enabled != "no" and service.present and service.reachable != "loopback" and service.reachable_from != "local"


def _community(service: Service, remark: Remark) -> Finding:
    state, community = service.enabled, remark.detail
    writes = remark.topic == "community-write" or community == "private"
    key = remark.evidence.text.split(maxsplit=1)[0] if remark.evidence.text else service.name
    return _SNMP.finding(
        remark.evidence,
        f"{key} {community}",
        title=f"SNMP community {community!r} may {'write' if writes else 'read'}",
        severity=Severity.CRITICAL if writes and state == "yes" else Severity.HIGH if state == "yes" else Severity.MEDIUM,
        verdict="violation" if state == "yes" else "concern",
        confidence="certain" if state == "yes" and remark.certain else "tentative",
    )


def _firewall(root: FileSystem) -> Iterator[Finding]:
    sections = configuration.uci_sections(root, "firewall")
    if not sections:
        return
    path = "/etc/config/firewall"
    wide = [each for each in sections if each.type == "zone" and (each.get("name") or each.name).startswith("wan")]
    default = next((each.get("input") for each in sections if each.type == "defaults"), "")
    for zone in wide:
        policy = (zone.get("input") or default).upper()
        if policy == "ACCEPT":
            where = root.evidence(path, f"zone {zone.get('name')}: input {policy}", line=zone.lines.get("input", zone.line))
            yield _FIREWALL.finding(where, f"zone {zone.get('name')} input")
    for rule in sections:
        if rule.type != "rule" or rule.get("src") != "wan" or rule.get("target").upper() != "ACCEPT" or rule.get("dest"):
            continue
        if rule.get("enabled", "1") in ("0", "off", "false", "no"):
            continue
        ports = set(rule.get("dest_port").replace(",", " ").split())
        risky = sorted(ports & {"21", "22", "23", "80", "443", "8080", "8443", "161", "7547", "5555"})
        everything = not ports and rule.get("proto", "tcpudp").lower() in ("all", "any", "tcp", "udp", "tcpudp", "tcp udp", "")
        if any(
            rule.get(narrowed) for narrowed in ("extra", "src_ip", "src_mac", "mark", "icmp_type", "ipset", "limit", "src_port")
        ):
            continue
        if not risky and not everything:
            continue
        what = f"port {', '.join(risky)}" if risky else "every port"
        where = root.evidence(path, f"rule {rule.get('name') or rule.name}: src wan, {what}, ACCEPT", line=rule.line)
        yield _FIREWALL.finding(
            where, f"rule accepts wan {what}", title=f"Firewall accepts connections from the WAN to {what} by default"
        )


def _wireless(root: FileSystem) -> Iterator[Finding]:
    for section in configuration.uci_sections(root, "wireless"):
        if section.get("disabled") == "1":
            continue
        for option in ("wps_pushbutton", "wps_label", "wps_pin"):
            if value := section.get(option):
                if value in ("0", "off"):
                    continue
                shown = mask(value) if option == "wps_pin" else value
                where = root.evidence(
                    "/etc/config/wireless", f"option {option} '{shown}'", line=section.lines.get(option, section.line)
                )
                pin = value if option == "wps_pin" else ""
                yield _MANAGEMENT.finding(where, f"wireless {option}", title="WPS is on by default", secret=pin)


def _switches(root: FileSystem) -> Iterator[Finding]:
    for node, facts in root.files():
        name = node.path.rsplit("/", 1)[-1]
        if (
            facts.text is None
            or facts.size > 1 << 20
            or not _DEFAULTS.search(name)
            or name.endswith((".sh", ".js", ".html", ".lua"))
        ):
            continue
        for number, line in enumerate(facts.text.splitlines()[:20_000], 1):
            key, equals, value = line.partition("=")
            if not equals:
                continue
            for pattern, on, what in _SWITCHES:
                if pattern.match(key.strip()) and value.strip().strip("'\"").lower() in on:
                    where = root.evidence(node.path, line.strip(), line=number)
                    yield _MANAGEMENT.finding(
                        where, f"{key.strip()} on", title=f"{what} is on in the default settings", confidence="tentative"
                    )


def _broker(device: Device) -> Iterator[Finding]:
    """A broker that lets anybody publish and read on an address that others reach."""
    for service in device.services:
        remark = next((each for each in service.remarks if each.topic == "anonymous-write"), None)
        if service.protocol != "mqtt" or remark is None or not _is_open(service):
            continue
        sure = service.enabled == "yes" and remark.certain
        yield _PLAIN_MQTT.finding(
            remark.evidence,
            "mosquitto allow_anonymous",
            title="MQTT broker lets anybody in",
            verdict="violation" if sure else "concern",
            confidence="firm" if sure else "tentative",
            criteria=("S1.1-01", "S1.1-13"),
            witnesses=service.evidence[:2],
        )


def _access_points(device: Device) -> Iterator[Finding]:
    """Hostapd with WPS on, as its configuration says."""
    for service in device.services:
        for remark in service.remarks:
            if remark.topic == "wps" and service.enabled != "no":
                yield _MANAGEMENT.finding(
                    remark.evidence,
                    "hostapd wps_state",
                    title="WPS is on by default",
                    confidence="firm" if service.enabled == "yes" else "tentative",
                    witnesses=service.evidence[:2],
                )


def _endpoints(root: FileSystem) -> Iterator[Finding]:
    for node, facts in root.files():
        if (
            facts.text is None
            or facts.size > 1 << 20
            or not (node.path.endswith(_SETTINGS) or node.path.startswith("/etc/config/"))
        ):
            continue
        if "mqtt://" not in facts.text:
            continue
        for number, line in enumerate(facts.text.splitlines(), 1):
            if (found := _MQTT.search(line)) and not line.lstrip().startswith(("#", ";", "//")):
                where = root.evidence(node.path, found.group(), line=number)
                yield _PLAIN_MQTT.finding(
                    where,
                    f"endpoint {found.group()}",
                    title="Messages go to an MQTT server without encryption",
                    verdict="concern",
                    criteria=("S1.1-12",),
                )
                break
