"""ProFTPD and Pure-FTPd. Sources: proftpd.org, "Configuration Directives"; pure-ftpd(8) and its ``pure-ftpd.conf``.

Pure-FTPd lets anonymous users in unless ``-E`` or NoAnonymous says no, provided that a user ``ftp`` exists.
"""

from __future__ import annotations

import posixpath
import re

from fwcheck.device.configuration import Setting
from fwcheck.device.configurations.reading import (
    ANY,
    Bound,
    Encryption,
    Includes,
    Note,
    Reading,
    Start,
    host_of,
    include,
    last,
    number,
    on,
)

NAMES = ("proftpd", "pure-ftpd")
_SETTING_LIMIT = 20_000
_BLOCK = re.compile(r"<(/?)(\w+)")


def read(start: Start) -> Reading:
    """Port, anonymous access, encryption."""
    return _pure(start) if "pure" in start.name else _proftpd(start)


def _proftpd(start: Start) -> Reading:
    path = next(iter(start.option("-c", "--config")), start.first("/etc/proftpd/proftpd.conf", "/etc/proftpd.conf"))
    settings: list[Setting] = []
    _collect(start, path, "", settings, Includes())
    general = [each for each in settings if not each.section]
    anonymous = [each for each in settings if each.section == "anonymous"]
    port, host, user = last(general, "port"), last(general, "defaultaddress"), last(general, "user")
    number_ = number(port.value) if port is not None else None
    closed = port is not None and port.value == "0"
    bound = Bound(number_ or 21, "tcp", host_of(host.value.split()[0]) if host and host.value else ANY, port)
    notes = []
    if anonymous:
        allows = any(each.key == "allowall" for each in anonymous) and any(each.key == "<limit" for each in anonymous)
        notes.append(Note("anonymous-write" if allows else "anonymous-read", anonymous[0]))
    engine, forced = last(general, "tlsengine"), last(general, "tlsrequired")
    secure: Encryption = "none"
    if engine is not None and on(engine.value):
        secure = "tls" if forced is not None and on(forced.value) else "optional"
    return Reading(
        (bound,) if settings and not closed else (),
        authentication="none" if anonymous else "password" if settings else "unknown",
        encryption=secure if settings else "unknown",
        user=user.value if user else "",
        notes=tuple(notes),
        decided_by=tuple(each for each in (engine, forced) if each is not None),
    )


def _collect(start: Start, path: str, section: str, into: list[Setting], includes: Includes) -> None:
    """Directives with the block that they stand in (``anonymous`` wins over the blocks inside it)."""
    blocks: list[str] = [section] if section else []
    for each in start.keywords(path):
        if len(into) > _SETTING_LIMIT:
            return
        block = "anonymous" if "anonymous" in blocks else next((name for name in blocks if name not in _TRANSPARENT), "")
        if found := _BLOCK.match(each.text):
            if found.group(1):
                blocks = blocks[:-1]
                continue
            blocks.append(found.group(2).lower())
            block = "anonymous" if "anonymous" in blocks else block
        if each.key == "include":
            for name in includes.follow(start.files(include(posixpath.dirname(path), each.value))):
                _collect(start, name, block, into, includes)
        else:
            into.append(each._replace(section=block))


_TRANSPARENT = ("ifmodule", "global", "ifdefine")


def _pure(start: Start) -> Reading:
    """Options as arguments, as ``Key value`` lines, and as one file per option in Debian's ``conf`` directory."""
    paths = [word for word in start.words if word.startswith("/") and word.endswith(".conf")]
    settings = start.keywords(paths[0] if paths else "/etc/pure-ftpd.conf")
    for path in sorted(start.disk.children("/etc/pure-ftpd/conf") or [])[:64]:
        value = (start.disk.text(path) or "").strip().splitlines()
        if value:
            settings.append(Setting(posixpath.basename(path).lower(), value[0].strip(), path, 1, value[0]))
    where = next(iter(start.option("-S", "--bind")), "") or next((each.value for each in settings if each.key == "bind"), "")
    host, _, port = where.rpartition(",")
    refuses, only = last(settings, "noanonymous"), last(settings, "anonymousonly")
    closed = start.flag("E") or start.has("--noanonymous") or (refuses is not None and on(refuses.value))
    is_open = start.flag("e") or start.has("--anonymousonly") or (only is not None and on(only.value))
    blocked = start.flag("i") or any(each.key == "anonymouscantupload" and on(each.value) for each in settings)
    level = next(iter(start.option("-Y", "--tls")), "") or next((each.value for each in settings if each.key == "tls"), "0")
    possible = not closed and any(row.startswith("ftp:") for row in (start.disk.text("/etc/passwd") or "").splitlines())
    notes = []
    if is_open or possible:
        notes.append(
            Note("anonymous-read" if blocked or not is_open else "anonymous-write", only if is_open else None, sure=is_open)
        )
    return Reading(
        (Bound(number(port), "tcp", host_of(host)),) if number(port) else (),
        authentication="none" if notes else "password",
        encryption={"1": "optional", "2": "tls", "3": "tls"}.get(level, "none"),  # type: ignore[arg-type]
        notes=tuple(notes),
        decided_by=(refuses,) if refuses is not None else (),
    )
