"""Fixed wireless secrets: only where an access point uses them."""

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
