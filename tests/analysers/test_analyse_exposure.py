"""What the shipped default lets strangers do: open to the WAN, without a password, open shares, withdrawn protocols."""

from __future__ import annotations

import pytest
from support.trees import Link, firmware_of

from fwcheck.analysers import exposure, network, network_configuration
from fwcheck.device.listeners import listeners, with_reach
from fwcheck.device.services import services
from fwcheck.model import Device, Finding

ELF = b"\x7fELF" + bytes(60)
_PROGRAMS = ("dropbear", "telnetd", "dnsmasq", "redis-server", "smbd", "rpc.nfsd", "ttyd", "hostapd", "pptpd", "mediamtx",
             "cwmpd", "snmpd", "mosquitto", "iptables", "dockerd")  # fmt: skip


def found(script: str, files: dict[str, bytes | str], rule: str) -> list[Finding]:
    tree: dict[str, bytes | str] = {
        "/sbin/init": ELF, "/etc/inittab": "::sysinit:/etc/rcS\n", "/etc/rcS": f"#!/bin/sh\n{script}\n", "/lib/x": "",
        "/bin/login": ELF,
    }  # fmt: skip
    firmware = firmware_of(tree | {f"/usr/sbin/{name}": ELF for name in _PROGRAMS} | files)
    started = services(firmware)
    open_ports = listeners(firmware, started)
    device = Device(services=with_reach(started, open_ports), listeners=open_ports)
    both = (exposure.analyse, network.analyse, network_configuration.analyse)
    return [each for analyse in both for each in analyse(firmware, device) if each.rule == rule]


def openwrt(policy: str) -> dict[str, bytes | str]:
    zone = "config zone\n option name {}\n option input {}\n"
    tree: dict[str, bytes | str] = {"/etc/config/firewall": zone.format("lan", "ACCEPT") + zone.format("wan", policy)}
    return tree | {"/etc/init.d/firewall": "#!/bin/sh\n", "/etc/rc.d/S19firewall": Link("../init.d/firewall")}


@pytest.mark.parametrize(
    ("script", "policy", "expected"),
    [
        ("dropbear", "ACCEPT", [("violation", "high")]),
        ("telnetd -l /bin/sh", "ACCEPT", [("violation", "critical")]),
        ('[ "$(nvram get ssh)" = 1 ] && dropbear', "ACCEPT", [("concern", "medium")]),
        ("dropbear", "REJECT", []),
        ("dropbear -p 127.0.0.1:22", "ACCEPT", []),
        ("dropbear -p 192.168.1.1:22", "ACCEPT", []),
        ("dnsmasq", "ACCEPT", []),
        (":", "ACCEPT", []),
    ],
)
def test_services_open_to_the_wan(script: str, policy: str, expected: list[tuple[str, str]]) -> None:
    hits = found(script, openwrt(policy), "NET-011")
    assert [(each.verdict, each.severity.value) for each in hits] == expected
    assert all("/etc/config/firewall" in {one.location.path for one in each.witnesses} for each in hits)


def test_a_telnet_server_that_the_wan_reaches_is_critical() -> None:
    assert [each.severity.value for each in found("telnetd", openwrt("ACCEPT"), "NET-001")] == ["critical"]
    assert [each.severity.value for each in found("telnetd", openwrt("DROP"), "NET-001")] == ["high"]


@pytest.mark.parametrize(
    ("script", "files", "rule", "expected"),
    [
        ("redis-server /r.conf", {"/r.conf": "bind 0.0.0.0\nprotected-mode no\n"}, "NET-012", [("violation", 2)]),
        ("redis-server /r.conf", {"/r.conf": "bind 127.0.0.1\nprotected-mode no\n"}, "NET-012", []),
        ("redis-server /r.conf", {"/r.conf": "bind 0.0.0.0\nrequirepass q\n"}, "NET-012", []),
        ("[ -e /data/x ] && redis-server --protected-mode no", {"/data/y": ""}, "NET-012", []),
        ("dockerd -H tcp://0.0.0.0:2375", {}, "NET-012", [("violation", 2)]),
        ("mediamtx /m.yml", {"/m.yml": "rtspAddress: :8554\nauthInternalUsers:\n- user: any\n"}, "NET-012", [("violation", 3)]),
        ("mediamtx /m.yml", {"/m.yml": "rtspAddress: :8554\n"}, "NET-012", [("concern", 1)]),
        (
            "smbd",
            {"/etc/samba/smb.conf": "[global]\nmap to guest = bad user\n[usb]\nguest ok = yes\nwritable = yes\n"},
            "NET-013",
            [("violation", 4)],
        ),
        ("smbd", {"/etc/samba/smb.conf": "[global]\n[usb]\nguest ok = no\nwritable = yes\n"}, "NET-013", []),
        (":", {"/etc/samba/smb.conf": "[global]\nmap to guest = bad user\n[usb]\nguest ok = yes\n"}, "NET-013", []),
        ("rpc.nfsd 8", {"/etc/exports": "/data *(rw)\n"}, "NET-013", [("violation", 1)]),
        ("smbd", {"/etc/samba/smb.conf": "[global]\nmin protocol = NT1\n"}, "NET-014", [("concern", 2)]),
        ("pptpd", {}, "NET-014", [("concern", 2)]),
        ("hostapd /etc/h.conf", {"/etc/h.conf": "ssid=Setup\n"}, "NET-015", [("concern", 1)]),
        ("hostapd /etc/h.conf", {"/etc/h.conf": "ssid=Setup\nwpa=2\n"}, "NET-015", []),
        ("hostapd /etc/h.conf", {"/etc/h.conf": "ssid=Setup\nwpa=2\nwps_state=2\n"}, "NET-007", [("concern", 3)]),
        ("cwmpd", {"/etc/config/cwmp": "config acs\n option url http://a.b/\n"}, "NET-006", [("concern", 2), ("concern", 2)]),
        ("snmpd 127.0.0.1:161", {"/etc/snmp/snmpd.conf": "rocommunity public\n"}, "NET-004", []),
        ("snmpd", {"/etc/snmp/snmpd.conf": "agentAddress 127.0.0.1,[::1]\nrocommunity public\n"}, "NET-004", []),
        ("mosquitto -c /m", {"/m": "listener 1883 127.0.0.1\nallow_anonymous true\n"}, "NET-009", []),
        ("mosquitto -c /m", {"/m": "listener 1883\nallow_anonymous true\n"}, "NET-009", [("violation", 2)]),
    ],
)
def test_what_configurations_open(script: str, files: dict[str, bytes | str], rule: str, expected: list[tuple[str, int]]) -> None:
    assert [(each.verdict, each.location.line) for each in found(script, files, rule)] == expected
