"""Small FTP servers: busybox ftpd, bftpd, stupid-ftpd.

Sources: ``ftpd --help`` of busybox, the commented configurations that bftpd and stupid-ftpd ship.

busybox checks passwords only where FEATURE_FTP_AUTHENTICATION is compiled in; its options -a and -A exist only then.
"""

from __future__ import annotations

import re

from fwcheck.device.configurations.reading import Bound, Note, Reading, Start, last, number, on

NAMES = ("ftpd", "in.ftpd", "bftpd", "stupid-ftpd")


def read(start: Start) -> Reading:
    """Port and who may do what."""
    if start.name == "bftpd":
        return _bftpd(start)
    if start.name == "stupid-ftpd":
        return _stupid(start)
    return _busybox(start)


def _busybox(start: Start) -> Reading:
    anybody = start.flag("A") or bool(start.option("-a"))
    behind = "tcpsvd" in start.manner or "inetd" in start.manner
    writes = start.flag("w")
    is_open = anybody or (behind and "tcpsvd" in start.manner)
    note = Note("anonymous-write" if writes else "anonymous-read", sure=anybody)
    return Reading(authentication="none" if is_open else "password", encryption="none", notes=(note,) if is_open else ())


def _bftpd(start: Start) -> Reading:
    path = next(iter(start.option("-c")), "/etc/bftpd.conf")
    settings = start.assignments(path)
    port = last(settings, "port")
    anonymous = last(settings, "anonymous_user")
    bounds = (Bound(number(port.value), setting=port),) if port is not None and number(port.value) else ()
    is_open = anonymous is not None and on(anonymous.value)
    return Reading(
        bounds,
        authentication="none" if is_open else "password",
        encryption="none",
        notes=(Note("anonymous-read", anonymous),) if is_open else (),
        decided_by=(anonymous,) if anonymous is not None else (),
    )


def _stupid(start: Start) -> Reading:
    """``user=NAME PASSWORD ROOT LOGINS RIGHTS``: a password ``*`` lets everybody in."""
    path = next(iter(start.option("-f")), start.first("/etc/stupid-ftpd.conf", "/etc/stupid-ftpd/stupid-ftpd.conf"))
    settings = start.assignments(path)
    port = last(settings, "port")
    bounds = (Bound(number(port.value), setting=port),) if port is not None and number(port.value) else ()
    users = [each for each in settings if each.key == "user"]
    notes = []
    for each in users:
        words = each.value.split()
        if len(words) >= 2 and words[1] == "*":
            writes = len(words) >= 5 and bool(re.search(r"[AUu]", words[4]))
            notes.append(Note("anonymous-write" if writes else "anonymous-read", each))
    return Reading(
        bounds, authentication="none" if notes else "password" if users else "unknown", encryption="none", notes=tuple(notes[:4])
    )
