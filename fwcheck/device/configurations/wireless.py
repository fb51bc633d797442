"""Access points: hostapd. Source: the commented hostapd.conf that hostapd ships. The configuration is its last argument.

WPS is on where ``wps_state`` is 1 or 2; ``ap_pin`` lets registrars in by PIN. A network without ``wpa`` and
``wep_key0`` is open.
"""

from __future__ import annotations

from fwcheck.device.configuration import Setting
from fwcheck.device.configurations.reading import Note, Reading, Start, last

NAMES = ("hostapd",)


def read(start: Start) -> Reading:
    """Settings of the wireless network worth knowing; hostapd opens no port."""
    notes = []
    for path in [word for word in start.words if not word.startswith("-") and "/" in word][:8]:
        settings = start.assignments(path)
        if settings:
            notes += _network(settings)
    return Reading(closed=True, notes=tuple(notes))


def _network(settings: list[Setting]) -> list[Note]:
    notes = []
    state, pin, kind = last(settings, "wps_state"), last(settings, "ap_pin"), last(settings, "wpa")
    if state is not None and state.value in ("1", "2"):
        notes.append(Note("wps", state))
        if pin is not None and pin.value:
            notes.append(Note("wps-pin", pin._replace(text="ap_pin=******")))
    open_ = kind is None or kind.value == "0"
    if open_ and last(settings, "ssid") is not None and last(settings, "wep_key0", "ieee8021x") is None:
        notes.append(Note("open-network", last(settings, "ssid")))
    if kind is not None and kind.value in ("1", "3"):
        notes.append(Note("old-protocol", kind, "WPA 1" if kind.value == "1" else "WPA 1 beside WPA 2"))
    elif kind is not None and kind.value == "2":
        cipher = last(settings, "rsn_pairwise") or last(settings, "wpa_pairwise")  # the one stands in for the other
        if cipher is not None and "TKIP" in cipher.value.upper().split():
            notes.append(Note("old-protocol", cipher, "TKIP"))
    if (wep := last(settings, "wep_key0")) is not None:
        notes.append(Note("old-protocol", wep._replace(text="wep_key0=******"), "WEP"))
    return notes
