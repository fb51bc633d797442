"""Secrets in settings that a microcontroller's flash is shipped with: files of LittleFS, SPIFFS and FAT, NVS, Tuya's KV storage.

JSON (Mongoose OS ``conf*.json``, ESP8266 ``config.json``), lines ``name = value`` (CircuitPython ``settings.toml``, Python's
``secrets.py``), and ``connect('network', 'passphrase')`` of MicroPython's ``network.WLAN``. What a name calls a secret counts
as one; texts of pages and translations, fillers and settings about secrets do not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from fwcheck.device._microcontroller_code import is_microcontroller
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Facts, Node

_FLASH = frozenset({"littlefs", "spiffs", "fat", "fat12", "fat16", "fat32", "vfat", "esp-nvs", "tuya-kv"})
_KINDS = frozenset({"json", "text", "script", "xml"})
_NAME = re.compile(
    r"(?i)^(?:(?:sta|ap)\.(?:pswd|passwd)|.*(?:passw(?:or)?d|passphrase|pass_?key|pswd|psk|wifi_?(?:pass|key|pw)|secret|token|api_?key"
    r"|priv(?:ate)?_?key|auth?_?key|auz_?key|local_?key|lckey|sec_?key|access_?key).*|(?:.*[._-])?(?:pass|pwd|pw))$"
)
_ABOUT = re.compile(
    r"(?i)(?:_?(?:len(?:gth)?|min|max|file|path|type|enabled?|age|expir\w*|policy|tries|retries|required|prompt|hint|label|title|text|msg"
    r"|error|mode|id|name|field|url|count|interval|timeout|placeholder|strength|changed|set)|\?)$"
)
_FILLER = re.compile(
    r"(?i)^(?:(?:your|my|some|enter|insert|change|replace|example|sample|test|dummy|todo|placeholder)[\s_-]?\S*(?:\s.*)?|none|null|nil"
    r"|undefined|true|false|yes|no|on|off|default|str(?:ing)?|text|int(?:eger)?|bool(?:ean)?|bytes?|object|array|hidden|(.)\1*|<.*>|\[.*\]"
    r"|\{.*\}|\$.*|%.*|@.*|/.*|https?://.*|os\.\w.*|\w+\(.*\)|[A-Z][A-Z0-9]*_[A-Z0-9_]+)$"
)
_WORDS = re.compile(
    r"(?i)passw|kennwort|contrase|mot de passe|clave|senha|wachtwoord|hasło|heslo|parol|пароль|密码|密碼|パスワード|비밀번호"
    r"|secret|token|\bkey\b"
)
_NO_SETTINGS = re.compile(
    r"(?i)/(?:lang(?:uages?)?|i18n|l10n|locales?|translations?|lib|docs?|examples?|tests?)/|(?:^|/)(?:lang|strings|translation|locale)[\w-]*\.json$"
    r"|\.(?:html?|js|css|svg|md|rst|txt\.gz|map|h|c|cpp)$|schema|manifest|readme|licen[cs]e"
)
_LINE = re.compile(
    r"""^[ \t]*(?:export[ \t]+|set[ \t]+)?["']?([A-Za-z][\w.-]{1,63})["']?[ \t]*(?:=|:[ \t])[ \t]*"""
    r"""(?:b?"([^"\n]{1,128})"|b?'([^'\n]{1,128})'|([^\s"'#;,]{1,128}))[ \t]*[,;]?[ \t]*(?:#.*)?$"""
)
_CONNECT = re.compile(r"""\.connect\([ \t]*["']([^"'\n]{1,32})["'][ \t]*,[ \t]*["']([^"'\n]{8,63})["']""")
_LEAST = 4  # characters of a secret
_DIGITS = 8  # of a secret that has nothing else: fewer may be a number
_TEXT = 64 << 10
_DEPTH = 12
_VALUES = 2000
_MOST = 100


class StoredSecret(NamedTuple):
    """A secret in the settings a flash image ships: its name, its value, whether it is in use or erased, and where."""

    name: str
    value: str
    erased: bool
    place: FileSystem
    node: Node
    line: int | None = None


def stored_secrets(firmware: Firmware) -> tuple[StoredSecret, ...]:
    """Secrets by the names of settings in the file systems of a microcontroller's flash; other images have none here."""
    if not is_microcontroller(firmware):
        return ()
    found: list[StoredSecret] = []
    for fs in firmware.filesystems:
        if fs.format in _FLASH:
            for node, facts in fs.files():
                if facts.text is not None:
                    found += _of_nvs(fs, node, facts.text) if fs.format == "esp-nvs" else _of_file(fs, node, facts)
                if len(found) >= _MOST:
                    return tuple(found[:_MOST])
    return tuple(found)


def _of_nvs(fs: FileSystem, node: Node, text: str) -> list[StoredSecret]:
    key, value = node.path.rsplit("/", 1)[-1], text.strip("\0 \r\n")
    if not _is_secret(key, value):
        return []
    return [StoredSecret(key, value, node.path.startswith("/.erased"), fs, node)]


def _of_file(fs: FileSystem, node: Node, facts: Facts) -> list[StoredSecret]:
    text = (facts.text or "")[:_TEXT]
    if facts.kind not in _KINDS or _NO_SETTINGS.search(node.path):
        return []
    found: list[StoredSecret] = []
    for name, value, line in _from_json(text) if text.lstrip()[:1] in ("{", "[") else _from_lines(text):
        if _is_secret(name, value):
            found.append(StoredSecret(name, value, node.path.startswith("/.deleted"), fs, node, line))
    return found


def _is_secret(name: str, value: str) -> bool:
    if not _NAME.fullmatch(name) or _ABOUT.search(name) or not _LEAST <= len(value) <= 128 or not value.isprintable():
        return False
    if value.isdigit() and (len(value) < _DIGITS or re.search(r"(?i)token|secret", name)):
        return False
    return not (_FILLER.match(value) or (_WORDS.search(value) and not any(each.isdigit() for each in value)))


def _from_json(text: str) -> Iterator[tuple[str, str, int | None]]:
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        yield from _from_lines(text)
        return
    todo: list[tuple[str, object, int]] = [("", tree, 0)]
    seen = 0
    while todo and seen < _VALUES:
        name, value, depth = todo.pop()
        seen += 1
        if isinstance(value, dict) and depth < _DEPTH:
            todo += [(str(key), held, depth + 1) for key, held in reversed(value.items())]
        elif isinstance(value, list) and depth < _DEPTH:
            todo += [(name, held, depth + 1) for held in reversed(value[:_VALUES])]
        elif isinstance(value, str):
            yield name, value, _line_of(text, name, value)


def _line_of(text: str, name: str, value: str) -> int | None:
    at = text.find(json.dumps(value, ensure_ascii=False), max(text.find(f'"{name}"'), 0))
    return text.count("\n", 0, at) + 1 if at >= 0 else None


def _from_lines(text: str) -> Iterator[tuple[str, str, int | None]]:
    for number, line in enumerate(text.splitlines()[:_VALUES], 1):
        if len(line) > 400 or line.lstrip().startswith(("#", "//", ";", "*")):
            continue
        if found := _LINE.match(line):
            yield found[1], found[2] or found[3] or found[4] or "", number
        elif called := _CONNECT.search(line):
            yield "password", called[2], number
