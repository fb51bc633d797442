"""Wireless secrets that every unit ships with: passphrases and WPS PINs in configuration, default settings and scripts.

It proves that the constant stands in a file that configures an access point. Whether production or the first boot writes another
one into each unit cannot be seen, except where the image itself holds the step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import mask, rules_of
from fwcheck.device._uci import read_uci, truth
from fwcheck.device._wireless_scripts import KEY, WrittenPassphrase, is_psk, written_passphrases
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.device.wireless import NVRAM, RALINK
from fwcheck.model import Device, Evidence, Finding, Severity

RULES = rules_of(__name__)
_WIRELESS = RULES["ACC-010"]

_HOSTAPD = re.compile(r"(?i)(?:^|/)[^/]*(?:hostapd|softap|soft_ap|ap_mode|wlan_?ap)[^/]*\.(?:conf|cfg|ini|default|template|eap)$")
_SETTING = re.compile(r"^[ \t]*([A-Za-z][\w.-]{1,40})[ \t]*=([^\n]*)$", re.MULTILINE)
_NVRAM_PIN = re.compile(r"(?i)wps_device_pin|wps_pin(?:code)?|wsc_pin(?:code)?|WscVendorPinCode|secret_code")


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on fixed wireless secrets."""
    return once(_findings(firmware, device))


def _findings(firmware: Firmware, device: Device) -> Iterator[Finding]:
    starts = any(each.enabled == "yes" and "hostapd" in each.program for each in device.services)
    for fs in firmware.filesystems:
        yield from _openwrt(fs)
        yield from (_script(fs, each) for each in written_passphrases(fs))
        for node, facts in fs.files():
            if facts.text is None or facts.kind not in ("text", "script", "xml") or "/doc/" in node.path:
                continue
            if _HOSTAPD.search(node.path):
                yield from _hostapd(fs, node.path, facts.text, starts=starts)
            elif RALINK.search(node.path):
                yield from _ralink(fs, node.path, facts.text)
            elif NVRAM.search(node.path.rsplit("/", 1)[-1]):
                yield from _defaults(fs, node.path, facts.text)


def _lines(text: str) -> dict[str, tuple[str, int]]:
    """Settings ``name=value`` with their lines; comments do not match, the last one of a name wins as it does in the programs."""
    held: dict[str, tuple[str, int]] = {}
    at, line = 0, 1
    for hit in _SETTING.finditer(text):
        line += text.count("\n", at, hit.start())
        at = hit.start()
        held[hit[1]] = (hit[2].strip().strip("\"'"), line)
    return held


def _is_pin(value: str) -> bool:
    """Eight digits; the last is a check digit (Wi-Fi Simple Configuration 2.0.5, section 7.4.1)."""
    if not re.fullmatch(r"[0-9]{8}", value) or int(value) == 0:
        return False
    return sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(value)) % 10 == 0


def _secret(where: Evidence, name: str, kind: str, value: str, *, used: bool | None, title: str) -> Finding:
    """One ACC-010: a violation where the network is on by default, else a concern."""
    return _WIRELESS.finding(
        where,
        f"{kind}: {name}",
        title=title,
        verdict="violation" if used else "concern",
        confidence="firm" if used is not False else "tentative",
        severity=_WIRELESS.severity if used is not False else Severity.MEDIUM,
        secret=value,
    )


def _shown(fs: FileSystem, path: str, name: str, value: str, line: int) -> Evidence:
    return fs.evidence(path, f"{name}={mask(value)}", line=line)


def _openwrt(fs: FileSystem) -> Iterator[Finding]:
    """/etc/config/wireless: access points whose radio is not switched off."""
    path = "/etc/config/wireless"
    sections = read_uci(fs.text(path) or "")
    off = {each.name for each in sections if each.type == "wifi-device" and truth(each.get("disabled", "0"))}
    for section in sections:
        key = section.get("sae_password") or section.get("key")
        if section.type != "wifi-iface" or section.get("mode", "ap") != "ap" or not is_psk(key):
            continue
        if not re.match(r"(?:psk|sae|wpa)", section.get("encryption")):
            continue
        used = section.get("device") not in off and not truth(section.get("disabled", "0"))
        line = section.lines.get("sae_password", section.lines.get("key", section.line))
        yield _secret(
            _shown(fs, path, "key", key, line),
            section.get("ssid", section.name),
            "passphrase",
            key,
            used=used,
            title=f"Fixed passphrase of the wireless network {section.get('ssid', section.name)}",
        )


def _hostapd(fs: FileSystem, path: str, text: str, *, starts: bool) -> Iterator[Finding]:
    """hostapd.conf: passphrases count where WPA is on; ``ap_pin`` opens WPS with a fixed PIN."""
    held = _lines(text)
    used = True if starts else None
    for name in ("wpa_passphrase", "wpa_psk", "sae_password"):
        value, line = held.get(name, ("", 0))
        if is_psk(value.split("|")[0]) and (name == "sae_password" or held.get("wpa", ("0", 0))[0] not in ("", "0")):
            network = held.get("ssid", ("", 0))[0]
            yield _secret(
                _shown(fs, path, name, value, line),
                name,
                "passphrase",
                value,
                used=used,
                title=f"Fixed passphrase of the wireless network {network}",
            )
    pin, line = held.get("ap_pin", ("", 0))
    if _is_pin(pin):
        yield _secret(
            _shown(fs, path, "ap_pin", pin, line), "ap_pin", "PIN", pin, used=used, title="Fixed WPS PIN of the access point"
        )


def _ralink(fs: FileSystem, path: str, text: str) -> Iterator[Finding]:
    """Ralink and MediaTek profiles: ``WPAPSKn`` counts where the n-th ``AuthMode`` is a WPA mode with a shared key."""
    held = _lines(text)
    modes = held.get("AuthMode", ("", 0))[0].upper().split(";")
    for number in range(1, 9):
        value, line = held.get(f"WPAPSK{number}", held.get("WPAPSK", ("", 0)) if number == 1 else ("", 0))
        mode = modes[min(number, len(modes)) - 1]
        if is_psk(value) and "PSK" in mode:
            name = held.get(f"SSID{number}", ("", 0))[0]
            yield _secret(
                _shown(fs, path, f"WPAPSK{number}", value, line),
                f"WPAPSK{number}",
                "passphrase",
                value,
                used=None,
                title=f"Fixed passphrase of the wireless network {name}",
            )
    pin, line = held.get("WscVendorPinCode", ("", 0))
    if _is_pin(pin):
        yield _secret(
            _shown(fs, path, "WscVendorPinCode", pin, line), "WscVendorPinCode", "PIN", pin, used=None, title="Fixed WPS PIN"
        )


def _defaults(fs: FileSystem, path: str, text: str) -> Iterator[Finding]:
    """Default settings (nvram): keys by their usual names."""
    for name, (value, line) in _lines(text).items():
        if KEY.fullmatch(name) and is_psk(value):
            yield _secret(
                _shown(fs, path, name, value, line),
                name,
                "passphrase",
                value,
                used=None,
                title=f"Fixed wireless passphrase in {name}",
            )
        elif _NVRAM_PIN.fullmatch(name) and _is_pin(value):
            yield _secret(_shown(fs, path, name, value, line), name, "PIN", value, used=None, title=f"Fixed WPS PIN in {name}")


def _script(fs: FileSystem, each: WrittenPassphrase) -> Finding:
    """A passphrase that a script writes: a violation where the first boot runs the line, whatever happens."""
    which = f"the wireless network {each.network}" if each.network else "a wireless network"
    return _secret(
        _shown(fs, each.path, each.name, each.value, each.line),
        each.name,
        "passphrase joined" if each.joins else "passphrase",
        each.value,
        used=True if each.always and not each.joins else False if each.joins else None,
        title=f"A script writes the passphrase of {which}" + (", which the device joins" if each.joins else ""),
    )
