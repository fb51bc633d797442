"""Samba and ksmbd. Source: smb.conf(5), ksmbd.conf(5).

Names of parameters are compared without case and blanks; ``;`` and ``#`` begin comments.

A share is open where ``guest ok`` is on and the server maps strangers to the guest.
"""

from __future__ import annotations

from fwcheck.device.configuration import Setting
from fwcheck.device.configurations.reading import ANY, Bound, Note, Reading, Start, host_of, last, number, off, on

NAMES = ("smbd", "nmbd", "ksmbd.mountd", "ksmbd", "samba_multicall")
_GUEST = ("guestok", "public")
_WRITE = ("writeable", "writable", "writeok")
_OLD_PROTOCOLS = ("core", "coreplus", "lanman1", "lanman2", "nt1")


def read(start: Start) -> Reading:
    """Ports, the interfaces they are bound to, open shares and old protocols."""
    named = start.option("-s", "--configfile", "-c", "--config")
    usual = ("/etc/ksmbd/ksmbd.conf",) if "ksmbd" in start.name else ("/etc/samba/smb.conf", "/etc/smb.conf")
    settings = [
        each._replace(key=each.key.replace(" ", "")) for each in start.assignments(next(iter(named), start.first(*usual)))
    ]
    if start.name == "nmbd":
        return Reading(authentication="none", encryption="none")
    general = [each for each in settings if each.section.lower() in ("global", "")]
    shares = [each for each in settings if each.section.lower() not in ("global", "", "homes", "printers")]
    notes = [note for name in dict.fromkeys(each.section for each in shares) for note in _share(shares, name, general)]
    minimum = last(general, "serverminprotocol", "minprotocol")
    if minimum is not None and minimum.value.lower() in _OLD_PROTOCOLS:
        notes.append(Note("old-protocol", minimum, "SMB 1"))
    if (empty := last(general, "nullpasswords")) is not None and on(empty.value):
        notes.append(Note("empty-password", empty))
    if (mode := last(general, "security")) is not None and mode.value.lower() == "share":
        notes.append(Note("old-protocol", mode, "share level security"))
    is_open = any(note.topic.startswith("anonymous") for note in notes)
    return Reading(
        tuple(_bounds(general)),
        authentication="none" if is_open else "password" if settings else "unknown",
        encryption="none",
        notes=tuple(notes),
    )


def _share(settings: list[Setting], name: str, general: list[Setting]) -> list[Note]:
    held = [each for each in settings if each.section == name]
    guest = last(held, *_GUEST) or last(general, *_GUEST)
    if guest is None or not on(guest.value):
        return []
    available = last(held, "available")
    stranger = last(general, "maptoguest")
    level = last(general, "security")
    maps = (stranger is not None and stranger.value.lower() != "never") or (level is not None and level.value.lower() == "share")
    if not maps or (available is not None and off(available.value)) or last(held, "hostsallow", "allowhosts") is not None:
        return []
    write, read_only = last(held, *_WRITE), last(held, "readonly")
    writes = (write is not None and on(write.value)) or (read_only is not None and off(read_only.value))
    return [Note("anonymous-write" if writes else "anonymous-read", guest, name)]


def _bounds(general: list[Setting]) -> list[Bound]:
    ports = last(general, "smbports")
    opened = [port for text in ports.value.replace(",", " ").split() if (port := number(text))] if ports else []
    listed, only = last(general, "interfaces"), last(general, "bindinterfacesonly")
    where: list[tuple[str, str]] = [(ANY, "")]
    if listed is not None and only is not None and on(only.value):
        names = [word.split("/")[0] for word in listed.value.replace(",", " ").split()]
        where = [(host_of(name), "") if name[:1].isdigit() or ":" in name else (ANY, name) for name in names] or where
    if not opened and where == [(ANY, "")]:
        return []
    return [
        Bound(port, "tcp", "127.0.0.1" if name == "lo" else host, listed if name or host != ANY else ports, interface=name)
        for host, name in where[:16]
        for port in opened or [139, 445]
    ]
