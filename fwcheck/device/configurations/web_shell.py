"""Terminals in the browser: ttyd and shellinabox. Sources: ttyd(1), shellinaboxd(1).

ttyd starts what its last words say for whoever connects; ``-c user:password`` asks for a password first. shellinabox
starts /bin/login unless a service line names something else.
"""

from __future__ import annotations

import posixpath
import re

from fwcheck.device._login import login_asks
from fwcheck.device.configurations.reading import ANY, Authentication, Bound, Note, Reading, Start, number

NAMES = ("ttyd", "shellinaboxd", "shellinabox")
_VALUES = (
    *("-p", "--port", "-i", "--interface", "-c", "--credential", "-u", "--uid", "-g", "--gid", "-s", "--signal", "-w", "--cwd"),
    *("-t", "--client-option", "-T", "--terminal-type", "-m", "--max-clients", "-I", "--index", "-b", "--base-path"),
    *("-C", "--ssl-cert", "-K", "--ssl-key", "-A", "--ssl-ca", "-d", "--debug", "-H", "--auth-header", "-P", "--ping-interval"),
    *("-U", "--socket-owner", "-f", "--srv-buf-size"),
)


def read(start: Start) -> Reading:
    """Port, TLS, and what stands in front of the shell."""
    return _ttyd(start) if start.name == "ttyd" else _shellinabox(start)


def _ttyd(start: Start) -> Reading:
    port = next((found for text in start.option("-p", "--port") if (found := number(text))), 7681)
    card = next(iter(start.option("-i", "--interface")), "")
    if card.startswith("/"):
        return Reading(closed=True)
    tls = start.flag("S") or start.has("--ssl")
    asks: Authentication = "none"
    if start.option("-A", "--ssl-ca"):
        asks = "certificate"
    elif start.option("-c", "--credential") or start.option("-H", "--auth-header"):
        asks = "password"
    else:
        command = _command(start.words)
        asks = login_asks(start.disk, command) if command else "unknown"
    local = card in ("lo", "127.0.0.1")
    bound = Bound(port, "tcp", "127.0.0.1" if local else ANY, tls=tls, interface="" if local or card[:1].isdigit() else card)
    return Reading(
        (bound,),
        authentication=asks,
        encryption="tls" if tls else "none",
        notes=(Note("shell"),) if asks == "none" else (),
    )


def _command(words: tuple[str, ...]) -> str:
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in _VALUES else 1
    rest = words[at:]
    return " ".join(posixpath.basename(word) if word is rest[0] and word.endswith(("sh", "login")) else word for word in rest)


def _shellinabox(start: Start) -> Reading:
    port = next((found for text in start.option("-p", "--port") if (found := number(text))), 4200)
    plain = start.flag("t") or start.has("--disable-ssl")
    lines = start.option("-s", "--service")
    root = any(re.search(r":(?:root|0):(?:root|0):[^:]*:\S*sh\b", text) for text in lines)
    return Reading(
        (Bound(port, "tcp", "127.0.0.1" if start.has("--localhost-only") else ANY, tls=not plain),),
        authentication="none" if root else "password",
        encryption="none" if plain else "tls",
        notes=(Note("shell"),) if root else (),
    )
