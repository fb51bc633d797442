"""nginx. Source: nginx.org, "Module ngx_http_core_module" (``listen``, ``include``), ``auth_basic``, ``ssl_verify_client``.

Blocks are read as such: a ``listen`` counts in a ``server`` block, and a block's settings are its own and the outer ones.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field

from fwcheck.device.configuration import Setting
from fwcheck.device.configurations.reading import (
    ANY,
    Bound,
    Includes,
    Note,
    Reading,
    Start,
    host_of,
    include,
    number,
    split_address,
)
from fwcheck.device.configurations.tls import server_notes
from fwcheck.device.shell.tree import UNKNOWN

NAMES = ("nginx",)
_TOKEN = re.compile(r"""(?:#[^\n]*|([{};])|"((?:[^"\\]|\\.){0,4096})"|'((?:[^'\\]|\\.){0,4096})'|((?:[^\s{};"'#]|#)+))""")
_TEXT_LIMIT = 1 << 19
_DEPTH_LIMIT = 32


@dataclass(slots=True)
class _Block:
    name: str
    settings: list[Setting] = field(default_factory=list)
    blocks: list[_Block] = field(default_factory=list)

    def all(self) -> list[Setting]:
        """The settings of this block and of all inside it."""
        return self.settings + [each for block in self.blocks for each in block.all()]

    def servers(self) -> list[_Block]:
        """The server blocks inside."""
        return [self] if self.name == "server" else [each for block in self.blocks for each in block.servers()]


def read(start: Start) -> Reading:
    """Sockets with and without TLS, authentication, client certificates, TLS settings."""
    top = _Block("")
    path = next(iter(start.option("-c")), start.first("/etc/nginx/nginx.conf", "/usr/local/nginx/conf/nginx.conf", "/nginx.conf"))
    _file(start, path, top, Includes())
    bounds: list[Bound] = []
    asks: Setting | None = None
    client: Setting | None = None
    for server in top.servers():
        engine = any(each.key == "ssl" and each.value == "on" for each in server.settings)
        listens = [each for each in server.settings if each.key == "listen"]
        bounds += [_bound(each, engine=engine) for each in listens] or [Bound(80, "tcp", ANY, tls=engine)]
        inner = server.all()
        asks = asks or next((each for each in inner if each.key == "auth_basic" and each.value != "off"), None)
        client = client or next((each for each in inner if each.key == "ssl_verify_client" and each.value == "on"), None)
    settings = top.all()
    if not top.servers():  # fragments: listen lines without blocks around them
        bounds = [_bound(each, engine=False) for each in settings if each.key == "listen"]
    used = any(each.tls for each in bounds)
    redirects = any(each.key in ("return", "rewrite") and "https://" in each.value for each in settings)
    plain = any(not each.tls for each in bounds) and not redirects
    user = next((each.value.split()[0] for each in settings if each.key == "user" and each.value), "")
    return Reading(
        tuple(dict.fromkeys(each for each in bounds if each.port is not None))[:64],
        authentication="certificate" if client else "password" if asks else "unknown",
        encryption="optional" if used and plain else "tls" if used else "none" if bounds else "unknown",
        user=user,
        notes=(*(server_notes(settings) if used else []), *_status(settings)),
        decided_by=tuple(each for each in (client, asks) if each is not None),
    )


def _status(settings: list[Setting]) -> list[Note]:
    return [Note("directory-listing", each) for each in settings if each.key == "autoindex" and each.value == "on"][:2]


def _bound(each: Setting, *, engine: bool) -> Bound:
    words = each.value.split()
    target = words[0] if words else ""
    if target.startswith("unix:"):
        return Bound(None)
    tls = engine or "ssl" in words[1:]
    transport = "udp" if "udp" in words[1:] or "quic" in words[1:] else "tcp"
    if port := number(target):
        return Bound(port, transport, ANY, each, tls=tls)
    host, port = split_address(target)
    if port is None:
        return Bound(80, transport, host_of(target), each, tls=tls)
    return Bound(port, transport, host, each, tls=tls)


def _file(start: Start, path: str, into: _Block, includes: Includes) -> None:
    text = start.disk.text(path)
    if text is None or UNKNOWN in text or len(text) > _TEXT_LIMIT:
        return
    stack: list[_Block] = [into]
    words: list[str] = []
    first = 0
    rows = text.splitlines()
    line = at = 0
    for found in _TOKEN.finditer(text):
        mark = found.group(1)
        word = next((each for each in found.groups()[1:] if each is not None), None)
        if word is not None:
            if not words:
                line += text.count("\n", at, found.end() - len(word))
                at = found.end() - len(word)
                first = line
            words.append(word)
            continue
        if mark == ";" and words:
            shown = rows[first].strip() if first < len(rows) else ""
            setting = Setting(words[0].lower(), " ".join(words[1:]), path, first + 1, shown)
            stack[-1].settings.append(setting)
            if words[0] == "include" and len(words) > 1:
                for name in includes.follow(start.files(include(posixpath.dirname(path), words[1]))):
                    _file(start, name, stack[-1], includes)
        elif mark == "{" and len(stack) <= _DEPTH_LIMIT:
            block = _Block(words[0] if words else "")
            stack[-1].blocks.append(block)
            stack.append(block)
        elif mark == "}" and len(stack) > 1:
            stack.pop()
        if mark:
            words = []
