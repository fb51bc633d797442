"""Words that an image says of itself, as guesses at its passwords: names of host, vendor and model, plain passwords."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Facts, Node

_MOST_CLUES = 24
_MOST_CANDIDATES = 400
_MOST_TEXT = 4 << 20  # characters of all texts that are searched for candidates
_MOST_OF_A_TEXT = 64 << 10
_WHOLE_FILES = tuple(f"/etc/{name}" for name in (
    *("hostname", "HOSTNAME", "model", "board", "product", "hwmodel", "vendor", "brand", "device_name", "model_name"),
    *("product_name", "board.name", "machine", "devname"),
))  # fmt: skip
_KEYED_FILES = (
    *("/etc/os-release", "/usr/lib/os-release", "/etc/device_info", "/etc/openwrt_release", "/etc/config/system"),
    *("/etc/board.json", "/etc/board_info", "/etc/board.info", "/etc/default.cfg", "/etc/product.conf", "/etc/sysinfo.conf"),
    *("/system/build.prop", "/etc/config/wireless", "/etc/config/hostname", "/etc/defaults/config"),
    "/etc_ro/Wireless/RT2860AP/RT2860_default_vlan",
)  # fmt: skip
_KEYS = re.compile(
    r"""(?im)^[ \t]*(?:option[ \t]+)?["']?(?:DISTRIB_ID|DEVICE_MANUFACTURER|DEVICE_PRODUCT|NAME|ID|host_?name|ssid\d?"""
    r"""|model(?:_?(?:id|name|num(?:ber)?))?|product(?:_?(?:id|name|model))?|vendor(?:_?name)?|manufacturer|brand(?:_?name)?"""
    r"""|company|oem(?:_?name)?|device_?(?:name|model)|ro\.product\.(?:model|brand|name|device|manufacturer|board))"""
    r"""["']?[ \t]{0,8}[:= \t][ \t]{0,8}["']?([A-Za-z0-9][\w .-]{1,30})"""
)
_CONFIGURATION = frozenset({"text", "script", "json", "xml", "php"})
_SIGNS = ("pass", "pwd", "secret", "psk")
_CANDIDATE = re.compile(
    r"""(?i)(?:passw(?:or)?d|passphrase|pass|pwd|secret|psk)[\w.-]{0,16}(?:["']?[ \t]{0,4}(?:=>|[=:,>])[ \t]{0,4}["']?"""
    r"""|[ \t]{1,4}["'])([!-~]{4,32}?)(?=["'<,;\s&)\\]|$)"""
)
_SETTINGS = re.compile(r"(?i)default|factory|nvram|\.(?:conf|cfg|ini|xml|json)$|shadow")
_NO_PASSWORD = re.compile(
    r"(?i)[$%{}<>()\[\]|`\"']|^[./]|^(?:true|false|null|none|yes|no|text|input|string|required|optional|enabled?|disabled?)$|://"
)


def clues(firmware: Firmware) -> list[str]:
    """Host name, vendor, model: what vendors make passwords of."""
    out: list[str] = []
    for fs in firmware.roots()[:4]:
        for path in _WHOLE_FILES:
            if text := fs.text(path):
                out.append(text.strip()[:32])
        for path in _KEYED_FILES:
            out += [hit.strip() for hit in _KEYS.findall((fs.text(path) or "")[:_MOST_OF_A_TEXT])[:32]]
        out += _comments(fs)
    every = (word for word in out if 2 < len(word) <= 32 and word.isprintable() and "\n" not in word)
    return list(dict.fromkeys(every))[:_MOST_CLUES]


def _comments(fs: FileSystem) -> Iterator[str]:
    """The comment field of accounts that people log in with: often the name of the vendor or of a developer."""
    for line in (fs.text("/etc/passwd") or "").splitlines()[:64]:
        parts = line.split(":")
        if len(parts) != 7 or parts[4].lower() in ("", "root", parts[0].lower(), "linux user,,,", "unknown"):
            continue
        if parts[2] == "0" or (len(parts[2]) < 6 and parts[2].isdecimal() and 500 <= int(parts[2]) < 60_000):
            yield parts[4].split(",")[0][:32]


def candidates(firmware: Firmware) -> list[str]:
    """Values that stand beside the word password, or one like it, in scripts and settings, the most frequent names first."""
    found: dict[str, int] = {}
    left = _MOST_TEXT
    for node, facts in _texts(firmware):
        text = (facts.text or "")[:_MOST_OF_A_TEXT]
        lowered = text.lower()
        if not any(sign in lowered for sign in _SIGNS):
            continue
        left -= len(text)
        if left < 0:
            break
        weight = 8 if _SETTINGS.search(node.path) else 1
        for hit in _CANDIDATE.finditer(text):
            if not _NO_PASSWORD.search(hit[1]):
                found[hit[1]] = found.get(hit[1], 0) + weight + 4 * bool(re.search(r"\d", hit[1]))
    ordered = sorted(found, key=lambda word: (-found[word], word))
    return ordered[:_MOST_CANDIDATES]


def _texts(firmware: Firmware) -> Iterator[tuple[Node, Facts]]:
    seen: set[str] = set()
    for fs in firmware.filesystems:
        for node, facts in fs.files():
            if facts.text is not None and facts.kind in _CONFIGURATION and facts.sha256 not in seen:
                seen.add(facts.sha256)
                yield node, facts
