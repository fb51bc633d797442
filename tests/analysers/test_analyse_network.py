"""Network analysers: what is said of started, possible, loopback and idle services, and of configuration files."""

from __future__ import annotations

import pytest
from support.trees import firmware_of

from fwcheck.analysers import network, network_configuration
from fwcheck.device.consoles import consoles
from fwcheck.device.listeners import listeners
from fwcheck.device.services import services
from fwcheck.model import Device, Finding

_ELF = b"\x7fELF" + bytes(60)


def found(files: dict[str, bytes | str], rule: str = "") -> list[Finding]:
    firmware = firmware_of(files)
    started = services(firmware)
    device = Device(services=started, listeners=listeners(firmware, started), consoles=consoles(firmware))
    both = (*network.analyse(firmware, device), *network_configuration.analyse(firmware, device))
    return [each for each in both if each.rule == rule or not rule]


def tree(script: str, files: dict[str, bytes | str] | None = None) -> dict[str, bytes | str]:
    base: dict[str, bytes | str] = {
        "/sbin/init": _ELF,
        "/etc/inittab": "::sysinit:/etc/rcS\n",
        "/etc/rcS": f"#!/bin/sh\n{script}\n",
        "/lib/x": "",
    }
    names = (
        "telnetd",
        "ftpd",
        "vsftpd",
        "tftpd",
        "adbd",
        "gdbserver",
        "snmpd",
        "miniupnpd",
        "cwmpd",
        "mosquitto",
        "dropbear",
        "nc",
        "ttyd",
    )
    return base | {f"/usr/sbin/{name}": _ELF for name in names} | {"/bin/sh": _ELF, "/bin/login": _ELF} | (files or {})


@pytest.mark.parametrize(
    ("script", "verdict", "severity", "confidence"),
    [
        ("telnetd &", "violation", "high", "certain"),
        ("telnetd -l /bin/sh", "violation", "critical", "certain"),
        ("telnetd -b 127.0.0.1", "concern", "low", "certain"),
        ("[ -f /tmp/debug ] && telnetd", "concern", "medium", "tentative"),
        ("ttyd sh &", "violation", "critical", "certain"),
    ],
)
def test_remote_shells(script: str, verdict: str, severity: str, confidence: str) -> None:
    (one,) = found(tree(script), "NET-001")
    assert (one.verdict, one.severity.value, one.confidence) == (verdict, severity, confidence)
    assert (one.location.path, one.location.line) == ("/etc/rcS", 2)
    assert one.remediation
    assert one.refuted_by


@pytest.mark.parametrize("script", ["#telnetd", "echo telnetd", "f() { telnetd; }", "exit 0; telnetd"])
def test_an_idle_daemon_gives_no_finding(script: str) -> None:
    assert found(tree(script)) == []


def test_a_daemon_that_only_a_missing_script_may_start_gives_no_finding() -> None:
    assert found(tree("mount /dev/mtdblock4 /data\n/data/app.sh"), "NET-001") == []


def test_the_condition_is_told() -> None:
    (one,) = found(tree('[ "$(nvram get telnet)" = 1 ] && telnetd'), "NET-001")
    assert "nvram get telnet" in one.explanation


@pytest.mark.parametrize(
    ("script", "files", "verdict", "severity"),
    [
        ("vsftpd &", {"/etc/vsftpd.conf": "anonymous_enable=YES\n"}, "violation", "high"),
        ("vsftpd &", {"/etc/vsftpd.conf": "#anonymous_enable=YES\n"}, "violation", "medium"),
        ("tftpd &", {}, "violation", "high"),
        ("tcpsvd 0.0.0.0 21 ftpd /", {}, "violation", "high"),
    ],
)
def test_file_transfer(script: str, files: dict[str, bytes | str], verdict: str, severity: str) -> None:
    (one,) = found(tree(script, files), "NET-002")
    assert (one.verdict, one.severity.value) == (verdict, severity)


@pytest.mark.parametrize(
    ("script", "count"), [("gdbserver :1234 app &", 1), ("adbd &", 1), ("nc -l -p 99 -e /bin/sh &", 1), ("nc 1.2.3.4 99 &", 0)]
)
def test_debug_services(script: str, count: int) -> None:
    assert [each.severity.value for each in found(tree(script), "NET-003")] == ["critical"] * count


def test_adbd_that_asks_for_a_key_is_a_concern() -> None:
    (one,) = found(tree("adbd &", {"/default.prop": "ro.adb.secure=1\n"}), "NET-003")
    assert one.verdict == "concern"


def test_snmp_communities_count_where_the_agent_runs() -> None:
    files: dict[str, bytes | str] = {
        "/etc/snmp/snmpd.conf": "rocommunity public\nrwcommunity private 10.0.0.0/8\nrocommunity public 127.0.0.1\n#rwcommunity x"
    }
    running = found(tree("snmpd &", files), "NET-004")
    assert [(each.verdict, each.severity.value, each.location.line) for each in running] == [
        ("violation", "high", 1),
        ("violation", "critical", 2),
    ]
    assert found(tree(":", files), "NET-004") == []
    assert found(tree("snmpd &", {"/etc/snmp/snmpd.conf": "rocommunity x7Kq0z\n"}), "NET-004") == []


def test_upnp_without_secure_mode_is_a_violation() -> None:
    assert [each.verdict for each in found(tree("miniupnpd &"), "NET-005")] == ["concern"]
    assert [each.verdict for each in found(tree("miniupnpd &", {"/etc/miniupnpd.conf": "secure_mode=no\n"}), "NET-005")] == [
        "violation"
    ]


def test_tr069_client() -> None:
    assert [each.verdict for each in found(tree("cwmpd &"), "NET-006")] == ["concern"]


_LAN = "config defaults\n option input ACCEPT\nconfig zone\n option name 'lan'\n option input ACCEPT\n"
_ZONE = _LAN + "config zone\n option name 'wan'\n option input {}\n"


def test_firewall_defaults() -> None:
    assert found(tree(":", {"/etc/config/firewall": _ZONE.format("REJECT")}), "NET-008") == []
    (one,) = found(tree(":", {"/etc/config/firewall": _ZONE.format("ACCEPT")}), "NET-008")
    assert (one.verdict, one.location.line) == ("violation", 8)


@pytest.mark.parametrize(
    ("rule", "count"),
    [
        ("option src wan\n option dest_port 22\n option proto tcp\n option target ACCEPT\n", 1),
        ("option src wan\n option dest_port 68\n option proto udp\n option target ACCEPT\n", 0),
        ("option src wan\n option proto icmp\n option target ACCEPT\n", 0),
        ("option src wan\n option proto all\n option target ACCEPT\n", 1),
        ("option src wan\n option proto all\n option extra '-m policy'\n option target ACCEPT\n", 0),
        ("option src wan\n option dest lan\n option proto esp\n option target ACCEPT\n", 0),
        ("option src lan\n option dest_port 22\n option target ACCEPT\n", 0),
        ("option src wan\n option dest_port 80\n option target ACCEPT\n option enabled 0\n", 0),
    ],
)
def test_firewall_rules(rule: str, count: int) -> None:
    assert len(found(tree(":", {"/etc/config/firewall": _ZONE.format("DROP") + "config rule\n " + rule}), "NET-008")) == count


def test_wps_and_remote_management() -> None:
    assert [
        each.rule for each in found(tree(":", {"/etc/config/wireless": "config wifi-iface\n option wps_pushbutton 1\n"}))
    ] == ["NET-007"]
    assert found(tree(":", {"/etc/config/wireless": "config wifi-iface\n option wps_pushbutton 0\n"})) == []
    assert [each.rule for each in found(tree(":", {"/etc/default.cfg": "remote_management=1\n"}))] == ["NET-007"]
    assert found(tree(":", {"/etc/default.cfg": "remote_management=0\n"})) == []


def test_mqtt() -> None:
    conf = {"/etc/mosquitto/mosquitto.conf": "listener 1883\nallow_anonymous true\n"}
    assert [each.verdict for each in found(tree("mosquitto &", conf), "NET-009")] == ["violation"]
    assert found(tree(":", conf), "NET-009") == []
    assert [
        each.verdict for each in found(tree(":", {"/etc/cloud.json": '{"url": "mqtt://iot.vendor.net:1883"}\n'}), "NET-009")
    ] == ["concern"]
    assert found(tree(":", {"/etc/cloud.json": '{"a": "mqtt://localhost", "b": "mqtts://x.net"}\n'}), "NET-009") == []


def test_inventory_lists_every_listener() -> None:
    (one,) = found(tree("telnetd &\ndropbear -p 2222"), "NET-010")
    assert one.verdict == "info"
    assert "telnetd tcp/23" in one.evidence
    assert "dropbear tcp/2222" in one.evidence


def test_limits_on_attempts() -> None:
    assert [each.verdict for each in found(tree("dropbear"), "ACC-009")] == ["concern"]
    assert (
        found(tree("dropbear", {"/etc/fw.sh": "#!/bin/sh\niptables -A INPUT -m recent --update --seconds 60\n"}), "ACC-009") == []
    )


def test_fingerprints_stand_while_the_cause_stands() -> None:
    first, second = found(tree("telnetd &"), "NET-001"), found(tree("# a new line\ntelnetd &"), "NET-001")
    assert first[0].fingerprint == second[0].fingerprint
