"""How the wireless networks of the shipped default are protected, where the settings say so: open, WEP, the first WPA, TKIP.

Sources: OpenWrt's /etc/config/wireless (``encryption``), the NVRAM variables of Broadcom's wireless driver (``akm``, ``wep``,
``crypto``, ``auth_mode``) and of DD-WRT (``security_mode``), the profiles of Ralink and MediaTek (``AuthMode``, ``EncrypType``),
Realtek's ``WLAN_ENCRYPT``, Broadband Forum TR-098 (``BeaconType``), wpa_supplicant.conf(5) (``mode=2``). What hostapd is started
with is read with its service (``configurations/wireless.py``). Networks that are switched off are left out.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Literal, NamedTuple

from fwcheck.device._settings_records import Value, values
from fwcheck.device._uci import read_uci, truth
from fwcheck.device.firmware import FileSystem
from fwcheck.model import Evidence, Facts, Node

RALINK = re.compile(
    r"(?i)(?:RT\d{4}|MT76|mt7\d{3}|iNIC|wireless/|WLAN_default|Wireless).*(?:\.dat|_vlan|_novlan|_default\w*|\.conf)$|RT2860\w*$"
)
"""Paths of profiles of Ralink and MediaTek drivers."""
NVRAM = re.compile(
    r"(?i)(?:nvram|default|factory|romfile|config|settings?)[^/]*(?:\.(?:txt|cfg|conf|dat|nvm|ini|xml|default|rc|env))?$"
)
"""Names of files with default settings."""

Protection = Literal["none", "WEP", "WPA 1", "WPA 1 beside WPA 2", "TKIP"]
_SUPPLICANT = re.compile(r"(?i)wpa_?supplicant[^/]*\.conf$")
_BROADCOM = re.compile(
    r"(wl\d?(?:\.\d)?)_(akm|wep|wep_x|crypto|auth_mode|auth_mode_x|security_mode|radio|radio_x|bss_enabled|closed|mode|ssid)"
)
_REALTEK = re.compile(r"(?i)(?:HW_)?(WLAN\d?)_ENCRYPT")
_BY_NUMBER: dict[str, Protection] = {"0": "none", "1": "WEP", "2": "WPA 1", "6": "WPA 1 beside WPA 2"}
_BY_BEACON: dict[str, Protection] = {"none": "none", "wpa": "WPA 1", "wpaand11i": "WPA 1 beside WPA 2"}
_OFF = ("0", "false", "off", "disabled", "no")


class Network(NamedTuple):
    """A network whose protection is weak. ``used``: the file is the one that the system reads; None where that is not known."""

    protection: Protection
    where: Evidence
    used: bool | None


def weak_networks(fs: FileSystem) -> Iterator[Network]:
    """The open and weakly protected access points that settings of a file system describe."""
    yield from _openwrt(fs)
    for node, facts in fs.files():
        if facts.text is None or facts.kind not in ("text", "xml", "json") or "/doc/" in node.path or "/examples/" in node.path:
            continue
        base = node.path.rsplit("/", 1)[-1]
        if "BeaconType" in facts.text and facts.kind == "xml":
            yield from _tr098(fs, node, facts)
        elif RALINK.search(node.path) and "AuthMode" in facts.text:
            yield from _ralink(fs, node, facts)
        elif _SUPPLICANT.search(base) and "mode=2" in facts.text:
            yield from _supplicant(fs, node, facts.text)
        elif NVRAM.search(base) and ("wl" in facts.text or "WLAN" in facts.text):
            yield from _nvram(fs, node, facts)


def _network(
    fs: FileSystem, path: str, protection: Protection | None, value: Value, used: bool | None = None
) -> Iterator[Network]:
    if protection is not None:
        yield Network(protection, fs.evidence(path, f"{value.name}={value.text}", line=value.line), used)


def _openwrt(fs: FileSystem) -> Iterator[Network]:
    path = "/etc/config/wireless"
    sections = read_uci(fs.text(path) or "")
    off = {each.name for each in sections if each.type == "wifi-device" and truth(each.get("disabled", "0"))}
    for each in sections:
        if each.type != "wifi-iface" or each.get("mode", "ap") != "ap" or each.get("device") in off:
            continue
        if truth(each.get("disabled", "0")):
            continue
        kind = each.get("encryption", "none").lower()
        protection = _of_uci(kind)
        if protection is not None:
            line = each.lines.get("encryption", each.line)
            yield Network(protection, fs.evidence(path, f"option encryption '{kind}'", line=line), True)


def _of_uci(kind: str) -> Protection | None:
    """``psk2+tkip``, ``psk-mixed``, ``wep-open`` and the like."""
    if kind in ("none", "open", ""):
        return "none"
    if kind.startswith("wep"):
        return "WEP"
    if re.match(r"(?:psk|wpa)(?:\+|$)", kind):
        return "WPA 1"
    if "mixed" in kind and not kind.startswith("sae"):
        return "WPA 1 beside WPA 2"
    return "TKIP" if "tkip" in kind else None


def _nvram(fs: FileSystem, node: Node, facts: Facts) -> Iterator[Network]:
    """Broadcom's variables by interface; and Realtek's."""
    radios: dict[str, dict[str, Value]] = defaultdict(dict)
    for value in values(node, facts):
        if hit := _BROADCOM.fullmatch(value.name):
            radios[hit[1]][hit[2].removesuffix("_x")] = value
        elif _REALTEK.fullmatch(value.name):
            yield from _network(fs, node.path, _BY_NUMBER.get(value.text.strip()), value)
    for held in radios.values():
        if any(each in held and held[each].text.strip() in _OFF for each in ("radio", "bss_enabled")):
            continue
        if "mode" in held and held["mode"].text.strip() not in ("ap", "0", ""):
            continue
        yield from _broadcom(fs, node.path, held)


def _broadcom(fs: FileSystem, path: str, held: dict[str, Value]) -> Iterator[Network]:
    told = next((held[each] for each in ("akm", "security_mode", "auth_mode") if each in held), None)
    if told is None:
        return
    modes = set(re.split(r"[\s+,]+", told.text.lower().strip()))
    wep = held.get("wep")
    if wep is not None and wep.text.strip().lower() in ("enabled", "1", "2", "on") and not modes & {"psk", "psk2", "sae"}:
        yield from _network(fs, path, "WEP", wep)
    elif modes <= {"", "none", "disabled", "open"} and (wep is not None or told.name.endswith(("security_mode", "mode_x"))):
        yield from _network(fs, path, "none", told)
    elif modes & {"psk", "wpa"}:
        yield from _network(fs, path, "WPA 1 beside WPA 2" if modes & {"psk2", "wpa2", "sae", "pskpsk2"} else "WPA 1", told)
    elif "wep" in modes or "shared" in modes:
        yield from _network(fs, path, "WEP", told)
    elif modes & {"psk2", "wpa2"} and "crypto" in held and "tkip" in held["crypto"].text.lower():
        yield from _network(fs, path, "TKIP", held["crypto"])


def _ralink(fs: FileSystem, node: Node, facts: Facts) -> Iterator[Network]:
    """The n-th of ``AuthMode=OPEN;WPA2PSK`` and ``EncrypType=NONE;AES`` belong together, for ``BssidNum`` networks.

    The driver comes with a ``.dat`` that is open and that programs write anew: one that says nothing else tells nothing.
    """
    held = {each.name: each for each in values(node, facts)}
    modes, ciphers = held.get("AuthMode"), held.get("EncrypType")
    if modes is None or ciphers is None or ("RadioOn" in held and held["RadioOn"].text == "0") or "STA" in node.path:
        return
    count = int(held["BssidNum"].text) if "BssidNum" in held and re.fullmatch(r"[1-8]", held["BssidNum"].text) else 1
    for mode, cipher in list(zip(modes.text.upper().split(";"), ciphers.text.upper().split(";"), strict=False))[:count]:
        protection: Protection | None = None
        if mode == "OPEN" and cipher == "NONE":
            protection = "none" if not node.path.endswith(".dat") else None
        elif cipher == "WEP":
            protection = "WEP"
        elif mode in ("WPAPSK", "WPA"):
            protection = "WPA 1"
        elif mode in ("WPAPSKWPA2PSK", "WPA1WPA2"):
            protection = "WPA 1 beside WPA 2"
        elif mode in ("WPA2PSK", "WPA2") and "TKIP" in cipher:
            protection = "TKIP"
        yield from _network(fs, node.path, protection, modes if protection not in ("WEP", "TKIP") else ciphers)


def _tr098(fs: FileSystem, node: Node, facts: Facts) -> Iterator[Network]:
    """``BeaconType`` of a WLANConfiguration: None, Basic (WEP, or open where no encryption is named), WPA, 11i, WPAand11i."""
    records: dict[str, dict[str, Value]] = defaultdict(dict)
    for value in values(node, facts):
        records[value.record][value.name.lower()] = value
    for held in records.values():
        told = held.get("beacontype")
        if told is None or any(each in held and held[each].text.lower() in _OFF for each in ("enable", "radioenabled")):
            continue
        kind = told.text.strip().lower()
        if kind == "basic" and "basicencryptionmodes" in held:
            open_ = held["basicencryptionmodes"].text.strip().lower() in ("none", "")
            yield from _network(fs, node.path, "none" if open_ else "WEP", told)
        else:
            yield from _network(fs, node.path, _BY_BEACON.get(kind), told)


def _supplicant(fs: FileSystem, node: Node, text: str) -> Iterator[Network]:
    """Access points of wpa_supplicant: blocks with ``mode=2``."""
    at = 0
    for block in re.finditer(r"network=\{([^}]{0,2048})\}", text):
        held = dict(re.findall(r"(?m)^[ \t]*(\w+)=([^\n#]*)", block[1]))
        if held.get("mode", "").strip() != "2":
            continue
        at = text.count("\n", 0, block.start()) + 1
        key = held.get("key_mgmt", "WPA-PSK").split()
        proto = set(held.get("proto", "RSN").upper().split())
        protection: Protection | None = None
        if key == ["NONE"]:
            protection = "WEP" if "wep_key0" in held else "none"
        elif proto == {"WPA"}:
            protection = "WPA 1"
        elif "WPA" in proto:
            protection = "WPA 1 beside WPA 2"
        elif "TKIP" in held.get("pairwise", "").upper():
            protection = "TKIP"
        if protection is not None:
            yield Network(protection, fs.evidence(node.path, f"network mode=2 key_mgmt={' '.join(key)}", line=at), None)
