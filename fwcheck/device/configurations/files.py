"""rsync daemons and NFS. Sources: rsyncd.conf(5), exports(5)."""

from __future__ import annotations

import re

from fwcheck.device.configuration import Setting
from fwcheck.device.configurations.reading import ANY, Bound, Note, Reading, Start, host_of, last, number, off

NAMES = ("rsync", "rsyncd", "nfsd", "rpc.nfsd", "rpc.mountd", "unfsd")


def read(start: Start) -> Reading:
    """Modules and exports that anybody may use."""
    return _rsync(start) if start.name.startswith("rsync") else _nfs(start)


def _rsync(start: Start) -> Reading:
    settings = start.assignments(next(iter(start.option("--config")), "/etc/rsyncd.conf"))
    general = [each for each in settings if not each.section]
    port, host = last(general, "port"), last(general, "address")
    given = next((found for text in start.option("--port") if (found := number(text))), None)
    opened = given or (number(port.value) if port is not None else None) or 873
    notes = []
    for name in dict.fromkeys(each.section for each in settings if each.section):
        held = [*general, *(each for each in settings if each.section == name)]
        if last(held, "auth users") is not None or last(held, "hosts allow") is not None:
            continue
        read_only = last(held, "read only")
        where = next(each for each in settings if each.section == name)
        writes = read_only is not None and off(read_only.value)
        notes.append(Note("anonymous-write" if writes else "anonymous-read", read_only if writes else where, name))
    user = last(general, "uid")
    return Reading(
        (Bound(opened, "tcp", host_of(host.value) if host is not None else ANY, host or port),),
        authentication="none" if notes else "password" if settings else "unknown",
        encryption="none",
        user=user.value if user is not None else "",
        notes=tuple(notes[:8]),
    )


def _nfs(start: Start) -> Reading:
    """``/path host(options) ...``: no host or ``*`` is everybody; an export is read-only unless ``rw`` is given."""
    notes = []
    paths = [*start.option("-e"), "/etc/exports", *start.files("/etc/exports.d/*.exports")]
    for path in dict.fromkeys(paths):
        for each in start.keywords(path)[:256]:
            clients = [word for word in each.value.split() if not word.startswith("-")] or ["*"]
            anybody = next((word for word in clients if re.match(r"\*?(\(|$)|0\.0\.0\.0/0", word)), None)
            if anybody is not None and each.text.startswith("/"):
                notes.append(_export(each, anybody))
    return Reading(
        authentication="none" if notes else "unknown",
        encryption="none",
        notes=tuple(notes[:8]),
    )


def _export(each: Setting, client: str) -> Note:
    options = set(client.partition("(")[2].rstrip(")").split(","))
    return Note(
        "anonymous-write" if "rw" in options else "anonymous-read", each, "no_root_squash" if "no_root_squash" in options else ""
    )
