"""Fixed wireless secrets: only where an access point uses them."""

import time

import pytest
from support.trees import firmware_of

from fwcheck.analysers.wireless import analyse
from fwcheck.model import Device, Service

OPENWRT = """config wifi-device radio0
	option type mac80211
	option disabled {disabled}
config wifi-iface
	option device radio0
	option mode {mode}
	option ssid Maker
	option encryption {encryption}
	option key 'sunrise-gate'
"""
HOSTAPD = "interface=wlan0\nssid=cam-setup\nwpa={wpa}\n{sign}wpa_passphrase=SpectraLink\n"


def judged(files, *services):
    return list(analyse(firmware_of(files), Device(services=services)))


def openwrt(disabled="0", mode="ap", encryption="psk2"):
    return {"/etc/config/wireless": OPENWRT.format(disabled=disabled, mode=mode, encryption=encryption)}


def test_an_access_point_with_a_fixed_key_is_a_violation():
    (finding,) = judged(openwrt())
    assert (finding.rule, finding.verdict, finding.location.line) == ("ACC-010", "violation", 9)
    assert "sunrise" not in str(finding)
    assert finding.secret == "sunrise-gate"


def test_a_radio_that_ships_off_is_a_guess():
    (finding,) = judged(openwrt(disabled="1"))
    assert (finding.verdict, finding.confidence) == ("concern", "tentative")


@pytest.mark.parametrize("files", [openwrt(mode="sta"), openwrt(encryption="none")])
def test_clients_and_open_networks_have_no_default_key(files):
    assert judged(files) == []


def test_hostapd_counts_when_wpa_is_on_and_weighs_by_whether_it_starts():
    files = {"/etc/hostapd.conf": HOSTAPD.format(wpa=2, sign="")}
    started = Service(name="hostapd", program="/usr/sbin/hostapd", enabled="yes")
    assert [each.verdict for each in judged(files)] == ["concern"]
    assert [each.verdict for each in judged(files, started)] == ["violation"]
    assert judged({"/etc/hostapd.conf": HOSTAPD.format(wpa=0, sign="")}) == []
    assert judged({"/etc/hostapd.conf": HOSTAPD.format(wpa=2, sign="#")}) == []


def test_ralink_profiles_count_by_their_mode():
    path = "/etc/Wireless/RT2860/RT2860.dat"
    text = "Default\nSSID1=Maker\nAuthMode={mode}\nEncrypType=AES\nWPAPSK1=12345678\nWscVendorPinCode=12345670\n"
    assert [each.cause for each in judged({path: text.format(mode="WPA2PSK")})] == [
        "passphrase: WPAPSK1",
        "PIN: WscVendorPinCode",
    ]
    assert [each.cause for each in judged({path: text.format(mode="OPEN")})] == ["PIN: WscVendorPinCode"]


@pytest.mark.parametrize(
    ("line", "hit"),
    [
        ("wl0_wpa_psk=maker-2020", 1),
        ("wl0_wpa_psk=", 0),
        ("wl0_wpa_psk=$KEY12345", 0),
        ("wps_device_pin=12345670", 1),
        ("wps_device_pin=12345678", 0),  # its check digit is wrong
        ("wps_device_pin=00000000", 0),
    ],
)
def test_default_settings_count_when_the_value_can_be_a_key(line, hit):
    assert len(judged({"/etc/nvram_defaults.txt": f"lan_ip=1\n{line}\n"})) == hit


# --------------------------------------------------------------------------- scripts

HERE = "#!/bin/sh\ncat > $C <<EOF\nssid=cam-setup\nwpa=2\n\nwpa_passphrase=SpectraLink\nEOF\nhostapd $C\n"
DETECT = "#!/bin/sh\ncat <<EOF\nconfig wifi-iface\n\toption mode ap\n\toption encryption psk2\n\toption key 12345670\nEOF\n"
SCRIPTS = {
    "here-document": (HERE, 6, "wpa_passphrase", "SpectraLink"),
    "echo": ('#!/bin/sh\necho "wpa_passphrase=SpectraLink" >> /etc/hostapd.conf\n', 2, "wpa_passphrase", "SpectraLink"),
    "sed": (
        "#!/bin/sh\nsed -i 's/^wpa_passphrase=.*/wpa_passphrase=SpectraLink/' /etc/hostapd.conf\n",
        2,
        "wpa_passphrase",
        "SpectraLink",
    ),
    "uci": (
        "#!/bin/sh\nuci set wireless.@wifi-iface[0].encryption='psk2'\nuci set wireless.@wifi-iface[0].key='SpectraLink'\n",
        3,
        "key",
        "SpectraLink",
    ),
    "uci batch": (
        "#!/bin/sh\nuci -q batch <<EOF\nset wireless.default_radio0.key=SpectraLink\ncommit wireless\nEOF\n",
        3,
        "key",
        "SpectraLink",
    ),
    "uci variable": ('#!/bin/sh\nKEY=SpectraLink # default\nuci -q set wireless.$iface.key="$KEY"\n', 3, "key", "SpectraLink"),
    "uci default value": ('#!/bin/sh\nuci set wireless.ap.key="${1:-SpectraLink}"\n', 2, "key", "SpectraLink"),
    "openwrt detect": (DETECT, 6, "key", "12345670"),
    "nvram": ("#!/bin/sh\nnvram set wl0_wpa_psk=SpectraLink; nvram commit\n", 2, "wl0_wpa_psk", "SpectraLink"),
    "nvram quoted": ('#!/bin/sh\nnvram set wl0_wpa_psk="Spectra Link"\n', 2, "wl0_wpa_psk", "Spectra Link"),
    "nvram all quoted": ('#!/bin/sh\n/usr/sbin/nvram set "wl_wpa_psk=SpectraLink"\n', 2, "wl_wpa_psk", "SpectraLink"),
    "ralink": ("#!/bin/sh\nnvram_set 2860 WPAPSK1 SpectraLink\n", 2, "WPAPSK1", "SpectraLink"),
    "iwpriv": ("#!/bin/sh\niwpriv ra0 set WPAPSK=SpectraLink\n", 2, "WPAPSK", "SpectraLink"),
    "realtek": ('#!/bin/sh\nflash set wlan0 WPA_PSK "SpectraLink"\n', 2, "WPA_PSK", "SpectraLink"),
    "trendchip": ("#!/bin/sh\ntcapi set WLan_Entry0 WPAPSK SpectraLink\n", 2, "WPAPSK", "SpectraLink"),
    "hotspot": ("#!/bin/sh\nnmcli dev wifi hotspot ifname wlan0 ssid Maker password SpectraLink\n", 2, "password", "SpectraLink"),
    "supplicant as access point": (
        '#!/bin/sh\ncat > /tmp/w.conf <<EOF\nnetwork={\nssid="Maker"\nmode=2\npsk="SpectraLink"\n}\nEOF\n',
        6,
        "psk",
        "SpectraLink",
    ),
}
JOINED = {
    "supplicant": (
        '#!/bin/sh\ncat > /tmp/w.conf <<EOF\nnetwork={\n\tssid="Maker"\n\tpsk="SpectraLink"\n}\nEOF\n',
        5,
        "psk",
        "SpectraLink",
    ),
    "supplicant echoed": (
        '#!/bin/sh\necho "network={ssid=\\"Maker\\" psk=\\"SpectraLink\\"}" > /tmp/w.conf\n',
        2,
        "psk",
        "SpectraLink",
    ),
    "wpa_passphrase": (
        '#!/bin/sh\nwpa_passphrase Maker "SpectraLink" > /etc/wpa_supplicant.conf\n',
        2,
        "wpa_passphrase",
        "SpectraLink",
    ),
    "uci station": ("#!/bin/sh\nuci set wireless.sta.mode=sta\nuci set wireless.sta.key=SpectraLink\n", 3, "key", "SpectraLink"),
    "nmcli": ("#!/bin/sh\nnmcli dev wifi connect Maker password SpectraLink\n", 2, "password", "SpectraLink"),
}


@pytest.mark.parametrize(("text", "line", "name", "value"), SCRIPTS.values(), ids=SCRIPTS)
def test_a_script_that_writes_the_passphrase_of_an_access_point_is_a_concern(text, line, name, value):
    (finding,) = judged({"/usr/bin/wifi.sh": text})
    assert (finding.rule, finding.verdict, finding.confidence) == ("ACC-010", "concern", "firm")
    assert (finding.location.line, finding.secret) == (line, value)
    assert finding.evidence.startswith(f"{name}={value[:2]}***")


@pytest.mark.parametrize(("text", "line", "name", "value"), JOINED.values(), ids=JOINED)
def test_the_passphrase_of_a_network_that_the_device_joins_is_a_guess(text, line, name, value):
    (finding,) = judged({"/usr/bin/wifi.sh": text})
    assert finding.evidence.startswith(name)
    assert (finding.verdict, finding.confidence, finding.severity) == ("concern", "tentative", "medium")
    assert (finding.location.line, finding.secret) == (line, value)
    assert "joins" in finding.title


def test_a_script_that_is_only_sourced_is_read():
    assert [each.location.line for each in judged({"/lib/wifi/radio.sh": DETECT.removeprefix("#!/bin/sh\n")})] == [5]


def test_what_the_first_boot_writes_in_any_case_is_a_violation():
    text = "uci set wireless.default_radio0.key=SpectraLink\n"
    assert [each.verdict for each in judged({"/etc/uci-defaults/90-wifi": f"#!/bin/sh\n{text}"})] == ["violation"]
    assert [each.verdict for each in judged({"/etc/uci-defaults/90-wifi": f"#!/bin/sh\n[ $x ] && {{\n\t{text}}}\n"})] == [
        "concern"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "wpa_passphrase $1 $2 > /tmp/w.conf",
        'echo "Usage: wpa_passphrase Maker SpectraLink"',
        "# wpa_passphrase Maker SpectraLink",
        "which wpa_passphrase",
        "uci set wireless.ap.key=$(cat /proc/device-id)",
        'uci set wireless.ap.key="$key"',
        "key=one-of-them\nkey=another-one\nuci set wireless.ap.key=$key",
        "uci set wireless.ap.encryption=none\nuci set wireless.ap.key=SpectraLink",
        "uci set wireless.ap.key=1",
        "uci set wireless.ap.keyfile=SpectraLink",
        "nvram set wl0_wpa_psk=",
        "nvram set wl0_wpa_psk=$(nvram get default_psk)",
        "nvram get wl0_wpa_psk",
        'psk=`nvram get wl0_wpa_psk`; echo "psk=\\"$psk\\"" > /tmp/w.conf',
        'sed -n "s/^wpa_passphrase=//p" /etc/hostapd.conf',
        "grep -q wpa_passphrase= /etc/hostapd.conf",
        'echo "wpa_passphrase=$PASS" >> /etc/hostapd.conf',
        "option key 12345670",  # of no network that is known to be protected
        "passphrase=`echo $mac | md5sum`",
        "nmcli dev wifi connect $ssid password $password",
    ],
)
def test_a_script_that_writes_no_constant_passphrase_says_nothing(text):
    assert [each.evidence for each in judged({"/usr/bin/wifi.sh": f"#!/bin/sh\n{text}\n"})] == []


def test_hostile_scripts_cost_little():
    begin = time.process_time()
    for piece in (
        "psk=", "wpa_passphrase ", 'psk=\\"', "nvram set wl0_wpa_psk=", "wireless.a.key=", "${a:-", "option key 12345670\n",
        "x=y\nuci set wireless.a.key=$x\n", "psk \" ' ", "option encryption psk\noption key 12345670\n",
    ):  # fmt: skip
        judged({"/usr/bin/wifi.sh": "#!/bin/sh\npsk\n" + piece * (250_000 // len(piece))})
    assert time.process_time() - begin < 8
