"""Passphrases of wireless networks that scripts write: read from the text of the scripts, line by line.

Sources: wpa_passphrase(8), hostapd.conf, wpa_supplicant.conf(5), OpenWrt's uci and /etc/config/wireless, nmcli(1), the settings
tools of Broadcom (``nvram``), Ralink and MediaTek (``nvram_set``, ``iwpriv``), Realtek (``flash``, ``mib``) and TrendChip
(``tcapi``). A value from a variable counts where the script gives the variable one constant; what is computed is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from fwcheck.device._made_accounts import scripts
from fwcheck.device.firmware import FileSystem

_SIGNS = ("psk", "passphrase", "wireless.", "sae_password", "option key", "nmcli")
_MOST_LINES = 20_000
_MOST_LINE = 4096
_MOST_WORDS = 64
_MOST_OF_A_SCRIPT = 16
_NEAR = 12  # lines around a passphrase that tell what kind of network it opens

_ASSIGNED = re.compile(
    r"^[ \t]*(?:local[ \t]+|export[ \t]+|readonly[ \t]+)?([A-Za-z_]\w{0,63})="
    r"(\"[^\"$`\n]{0,128}\"|'[^'\n]{0,128}'|[^\s$`;|&\"'()]{0,128})[ \t]*(?:[;#&|].*)?$",
    re.MULTILINE,
)
_VARIABLE = re.compile(r"\$(?:(\w{1,64})|\{(\w{1,64})(?::?[-=]([^}$`]{0,128}))?\})")
_WORD = re.compile(r"(?:\\?\"[^\"\n]{0,256}\"|'[^'\n]{0,256}'|[^\s\"';|&()`]){1,256}")
_TALK = re.compile(r"(?i)\b(?:usage|example|e\.g\.|syntax)\b")
_TOOLS = re.compile(
    r"(?:nvram|uenv|flash|tcapi|syscfg|mib|ccfg_cli|cfg|config|iwpriv|hostapd_cli|wificonf|setconf|factory)(?:_\w+)?|dbset|sysconf"
)
_UCI = re.compile(r"wireless\.([^.\s=]{1,64})\.(key|sae_password|encryption|mode|ssid)=(.{1,300})")
_WRITTEN = re.compile(r"(?<![\w.$-])(wpa_passphrase|wpa_psk|sae_password|WPAPSK\d?)=\\?[\"']?([^\s\"'\\/|;$`<>]{8,64})")
_STATION = re.compile(r"(?<![\w.$#-])psk=(?:\\?\"([^\"\\$`\n]{8,63})\\?\"|([0-9a-fA-F]{64})(?!\w))")
_OPTION = re.compile(r"^[ \t]*option[ \t]+[\"']?(?:key|sae_password)[\"']?[ \t]+[\"']?([^\s\"'$`]{8,64})")
_PROTECTED = re.compile(r"option[ \t]+[\"']?encryption[\"']?[ \t]+[\"']?(?:psk|sae|wpa|mixed)")
_SSID = re.compile(r"(?<![\w-])ssid2?(?:=|[ \t]+)\\?[\"']?([^\s\"'\\$`|/;<>={]{1,32})(?=[\s\"'\\;|]|$)")
_OPEN = re.compile(r"(?i)none|open|owe|wep.*|0")
_JOINS = re.compile(r"option[ \t]+[\"']?mode[\"']?[ \t]+[\"']?sta\b")
_ACCESS_POINT = re.compile(r"(?<!\w)mode=2(?!\d)|hostapd")
_NMCLI = frozenset({"password", "wifi-sec.psk", "802-11-wireless-security.psk"})
KEY = re.compile(
    r"(?i)wl\d?(?:\.\d)?_?\d?_(?:wpa_psk|wpa_passphrase|psk)|(?:wlan|wifi|ap|ssid)\d?_?(?:wpa_?psk|psk|passphrase|wpa_key)\d?|WPAPSK\d?"
)
"""Names of settings that hold a passphrase, as the tools of several vendors have them."""
_MORE_KEYS = re.compile(r"(?i)wpa_?psk\d?|wpa_?passphrase|sae_password|wlan\d?_wpa_psk")
_PLACEHOLDER = re.compile(
    r"(?i)[$%<{`@].*|x{4,}|\*+|(?:your|my|very)?[ _-]?secret.*|changeme_.*|0+|(?:wpa)?_?(?:psk|passphrase|key)"
    r"|your.*|<.*|\[.*|\.\*.*|(?:my_?)?(?:wifi|wlan|ap|network)?_?-?(?:passphrase|password)"
)


def is_psk(value: str) -> bool:
    """Whether a value can open a WPA network (IEEE 802.11, annex J.4: 8 to 63 characters, or 64 digits) and is no placeholder."""
    return (8 <= len(value) <= 63 or bool(re.fullmatch(r"[0-9a-fA-F]{64}", value))) and not _PLACEHOLDER.fullmatch(value)


class WrittenPassphrase(NamedTuple):
    """A passphrase that a script writes. ``joins``: the device is a station of that network, not its access point."""

    path: str
    line: int
    name: str  # of the setting
    value: str
    network: str
    joins: bool
    always: bool  # the line stands in no branch, in a script that the first boot runs


class _Found(NamedTuple):
    line: int
    name: str
    value: str
    joins: bool


def written_passphrases(fs: FileSystem) -> Iterator[WrittenPassphrase]:
    """The passphrases of all scripts of a file system."""
    for path, text in scripts(fs):
        lowered = text.lower()
        if any(sign in lowered for sign in _SIGNS):
            yield from _of_script(path, text)


def _of_script(path: str, text: str) -> Iterator[WrittenPassphrase]:
    script = _Script(text)
    seen: set[tuple[str, str]] = set()
    for found in (*script.settings(), *script.uci()):
        if not is_psk(found.value) or (found.name, found.value) in seen or len(seen) >= _MOST_OF_A_SCRIPT:
            continue
        seen.add((found.name, found.value))
        always = "/uci-defaults/" in path and not script.rows[found.line - 1][:1].isspace()
        yield WrittenPassphrase(path, found.line, found.name, found.value, script.network, found.joins, always)


class _Script:
    """The lines of a script with its constants."""

    def __init__(self, text: str) -> None:
        self.rows = text.splitlines()[:_MOST_LINES]
        self._constants: dict[str, str] = {}
        changing: set[str] = set()
        for name, raw in _ASSIGNED.findall(text):
            value = raw.strip("\"'")
            if self._constants.setdefault(name, value) != value:
                changing.add(name)
        for name in changing:
            del self._constants[name]
        names = {each for each in (self.filled(hit) for hit in _SSID.findall(text)[:64]) if each}
        self.network = names.pop() if len(names) == 1 else ""

    def filled(self, word: str) -> str | None:
        """A word without its quotes, its variables replaced by their constants; None where one is not known."""
        if len(word) >= 2 and word[0] == "'" == word[-1]:
            return word[1:-1]
        plain = word.replace("\\", "").strip("\"'")
        if "$" not in plain:
            return None if "`" in plain else plain
        known = _VARIABLE.sub(lambda hit: self._constants.get(hit[1] or hit[2], hit[3] or "\0"), plain)
        return None if "\0" in known or "$" in known or "`" in known else known

    def _live(self) -> Iterator[tuple[int, str]]:
        for number, row in enumerate(self.rows, 1):
            if len(row) <= _MOST_LINE and not row.lstrip().startswith("#") and not _TALK.search(row):
                yield number, row

    def settings(self) -> Iterator[_Found]:
        """Commands and lines of configuration."""
        for number, row in self._live():
            low = row.lower()
            if "psk" in low or "passphrase" in low or "password" in low:
                yield from self._commands(number, row)
                yield from self._lines(number, row)
            elif "option" in row and (hit := _OPTION.match(row)) and self._near(_PROTECTED, number):
                yield _Found(number, "key", hit[1], self._near(_JOINS, number))

    def _near(self, shape: re.Pattern[str], number: int) -> bool:
        return any(shape.search(row) for row in self.rows[max(0, number - 1 - _NEAR) : number + _NEAR] if len(row) <= _MOST_LINE)

    def _lines(self, number: int, row: str) -> Iterator[_Found]:
        for name, value in _WRITTEN.findall(row):
            yield _Found(number, name, value, joins=False)
        for quoted, digits in _STATION.findall(row):
            yield _Found(number, "psk", quoted or digits, not self._near(_ACCESS_POINT, number))

    def _commands(self, number: int, row: str) -> Iterator[_Found]:
        words = _WORD.findall(row)[:_MOST_WORDS]
        bases = [word.rsplit("/", 1)[-1] for word in words]
        for place, base in enumerate(bases):
            if base == "wpa_passphrase":
                value = self._value(words, place + 2)
                if value is not None and not value.startswith(("-", ">", "<")):
                    yield _Found(number, "wpa_passphrase", value, joins=not self._near(_ACCESS_POINT, number))
            elif base == "nmcli":
                for at in range(place + 1, len(words) - 1):
                    if words[at] in _NMCLI and (value := self._value(words, at + 1)) is not None:
                        yield _Found(number, words[at], value, joins="hotspot" not in words)
            elif _TOOLS.fullmatch(base):
                yield from self._tool(number, words[place + 1 :])

    def _tool(self, number: int, words: list[str]) -> Iterator[_Found]:
        """``nvram set NAME=VALUE``, ``nvram_set 2860 NAME VALUE``, ``iwpriv ra0 set NAME=VALUE``."""
        for place, word in enumerate(words):
            name, sign, given = word.lstrip("\\\"'").partition("=")
            bare = name.strip("\"'")
            if KEY.fullmatch(bare) or _MORE_KEYS.fullmatch(bare):
                value = self.filled(given.rstrip("\\\"'") if not given.startswith(("'", '"', "\\")) else given) if sign else None
                value = value if sign else self._value(words, place + 1)
                if value is not None:
                    yield _Found(number, bare, value, joins=False)

    def _value(self, words: list[str], place: int) -> str | None:
        return self.filled(words[place]) if place < len(words) else None

    def uci(self) -> Iterator[_Found]:
        """``uci set wireless.SECTION.key=VALUE``, where the section's other lines do not say that the network is open."""
        held: dict[str, dict[str, tuple[str, int]]] = {}
        for number, row in self._live():
            if "wireless." in row:
                for section, option, rest in _UCI.findall(row):
                    word = _WORD.match(rest)
                    value = self.filled(word[0].rstrip("\"'") if rest[0] not in "\"'" else word[0]) if word else None
                    held.setdefault(section, {})[option] = (value or "", number)
        for options in held.values():
            if _OPEN.fullmatch(options.get("encryption", ("", 0))[0]):
                continue
            for option in ("key", "sae_password"):
                value, number = options.get(option, ("", 0))
                if value:
                    yield _Found(number, option, value, options.get("mode", ("", 0))[0] == "sta")
