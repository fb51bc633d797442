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
    return [each for analyse in both for each in analyse(firmware, device) if rule in ("", each.rule)]


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
        ("rpc.mountd\nrpc.nfsd 8", {"/etc/exports": "/data *(rw)\n"}, "NET-013", [("violation", 1)]),
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


# --------------------------------------------------------------------------- wireless networks


def uci(encryption: str, disabled: str = "0", mode: str = "ap") -> str:
    radio = f"config wifi-device r\n\toption disabled {disabled}\n"
    return f"{radio}config wifi-iface\n\toption device r\n\toption mode {mode}\n\toption encryption {encryption}\n"


def ralink(mode: str, cipher: str, count: int = 1, radio: int = 1) -> str:
    return f"Default\nBssidNum={count}\nSSID1=a\nAuthMode={mode}\nEncrypType={cipher}\nRadioOn={radio}\n"


def supplicant(*lines: str) -> str:
    return "ctrl_interface=/run/w\nnetwork={\n" + "".join(f"\t{line}\n" for line in lines) + "}\n"


def tr098(beacon: str, *more: str) -> str:
    return f"<W><I>\n<BeaconType>{beacon}</BeaconType>\n{''.join(more)}</I></W>\n"


UCI, NVRAM, PROFILE, STATION, XML = (
    "/etc/config/wireless",
    "/etc/nvram_default.txt",
    "/etc/Wireless/RT2860/RT2860.dat",
    "/etc/wpa_supplicant.conf",
    "/etc/default_config.xml",
)
FACTORY = "/etc_ro/Wireless/RT2860AP/RT2860_default_vlan"  # fmt: skip


@pytest.mark.parametrize(
    ("path", "text", "rule", "word", "confidence"),
    [
        (UCI, uci("none"), "NET-015", "open", "firm"),
        (UCI, uci("wep-open"), "NET-014", "WEP", "firm"),
        (UCI, uci("psk"), "NET-014", "WPA 1", "firm"),
        (UCI, uci("psk+tkip+ccmp"), "NET-014", "WPA 1", "firm"),
        (UCI, uci("psk-mixed"), "NET-014", "WPA 1 beside WPA 2", "firm"),
        (UCI, uci("psk2+tkip"), "NET-014", "TKIP", "firm"),
        (NVRAM, "wl0_akm=\nwl0_wep=disabled\nwl0_ssid=x\n", "NET-015", "open", "tentative"),
        (NVRAM, "wl0_akm=\nwl0_wep=enabled\n", "NET-014", "WEP", "tentative"),
        (NVRAM, "wl_akm=psk\nwl_crypto=tkip\n", "NET-014", "WPA 1", "tentative"),
        (NVRAM, "wl_akm=psk psk2\nwl_crypto=tkip+aes\n", "NET-014", "WPA 1 beside WPA 2", "tentative"),
        (NVRAM, "wl0_akm=psk2\nwl0_crypto=tkip+aes\n", "NET-014", "TKIP", "tentative"),
        (NVRAM, "wl_security_mode=disabled\n", "NET-015", "open", "tentative"),
        (NVRAM, "wl0_auth_mode_x=open\nwl0_wep_x=0\n", "NET-015", "open", "tentative"),
        (NVRAM, "WLAN0_ENCRYPT=1\n", "NET-014", "WEP", "tentative"),
        (FACTORY, ralink("OPEN", "NONE"), "NET-015", "open", "tentative"),
        (FACTORY, ralink("WPA2PSK;OPEN", "AES;NONE", 2), "NET-015", "open", "tentative"),
        (PROFILE, ralink("WPAPSKWPA2PSK", "TKIPAES"), "NET-014", "WPA 1 beside WPA 2", "tentative"),
        (PROFILE, ralink("WPA2PSK", "TKIPAES"), "NET-014", "TKIP", "tentative"),
        (PROFILE, ralink("OPEN", "WEP"), "NET-014", "WEP", "tentative"),
        (STATION, supplicant('ssid="Setup"', "mode=2", "key_mgmt=NONE"), "NET-015", "open", "tentative"),
        (STATION, supplicant('ssid="Setup"', "mode=2", "proto=WPA RSN", 'psk="x"'), "NET-014", "WPA 1 beside WPA 2", "tentative"),
        (XML, tr098("None"), "NET-015", "open", "tentative"),
        (XML, tr098("Basic", "<BasicEncryptionModes>WEPEncryption</BasicEncryptionModes>\n"), "NET-014", "WEP", "tentative"),
        (XML, tr098("WPAand11i"), "NET-014", "WPA 1 beside WPA 2", "tentative"),
        (XML, '<DB><Tbl><Row>\n<DM name="BeaconType" val="WPA"/>\n</Row></Tbl></DB>\n', "NET-014", "WPA 1", "tentative"),
    ],
)  # fmt: skip
def test_settings_that_leave_a_wireless_network_open_or_weak(path: str, text: str, rule: str, word: str, confidence: str) -> None:
    (finding,) = [each for each in found(":", {path: text}, "") if each.rule in ("NET-014", "NET-015")]
    assert (finding.rule, finding.verdict, finding.confidence) == (rule, "concern", confidence)
    assert finding.title.endswith(word)
    assert finding.location.path == path


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (UCI, uci("none", disabled="1")),
        (UCI, uci("none", mode="sta")),
        (UCI, uci("psk2")),
        (UCI, uci("psk2+ccmp")),
        (UCI, uci("sae-mixed")),
        (NVRAM, "wl0_akm=psk2\nwl0_crypto=aes\nwl0_wep=disabled\n"),
        (NVRAM, "wl0_akm=\nwl0_wep=disabled\nwl0_radio=0\n"),
        (NVRAM, "wl0_akm=\n"),
        (NVRAM, "WLAN0_ENCRYPT=4\n"),
        (FACTORY, ralink("WPA2PSK;OPEN", "AES;NONE", 1)),
        (FACTORY, ralink("OPEN", "NONE", radio=0)),
        (PROFILE, ralink("OPEN", "NONE")),  # as the driver comes
        (STATION, supplicant('ssid="Home"', "key_mgmt=NONE")),
        (STATION, supplicant('ssid="Setup"', "mode=2", 'psk="x"')),
        (XML, tr098("11i")),
        (XML, tr098("None", "<Enable>0</Enable>\n")),
        ("/usr/share/doc/wireless/config", "wl0_akm=\nwl0_wep=enabled\n"),
    ],
)
def test_settings_that_say_nothing_of_an_open_network(path: str, text: str) -> None:
    assert [each.evidence for each in found(":", {path: text}, "") if each.rule in ("NET-014", "NET-015")] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ssid=S\nwpa=3\n", ["hostapd allows WPA 1 beside WPA 2"]),
        ("ssid=S\nwpa=2\nwpa_pairwise=TKIP CCMP\n", ["hostapd allows TKIP"]),
        ("ssid=S\nwpa=2\nwpa_pairwise=TKIP CCMP\nrsn_pairwise=CCMP\n", []),
    ],
)
def test_what_an_access_point_allows(text: str, expected: list[str]) -> None:
    assert [each.title for each in found("hostapd /etc/h.conf", {"/etc/h.conf": text}, "NET-014")] == expected


def test_settings_of_one_kind_in_one_file_are_one_finding() -> None:
    text = "config acs\n option url http://a.b/\nconfig acs\n option url http://c.d/\n"
    (finding,) = found("cwmpd", {"/etc/config/cwmp": text}, "NET-006")[1:]
    assert [each.location.line for each in finding.witnesses[:1]] == [4]
