"""Landlock: which files a process may open from now on, whether it may use TCP and whom it may send signals.

Source: landlock(7), Documentation/userspace-api/landlock.rst and the header linux/landlock.h. The calls have the same numbers on
every architecture that Linux gave numbers to since 5.1.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
_PATH_BENEATH = 1  # LANDLOCK_RULE_PATH_BENEATH

# LANDLOCK_ACCESS_FS_...
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_FIRST = (1 << 13) - 1  # the rights of the first version
_ADDED = {2: _REFER, 3: _TRUNCATE, 5: _IOCTL_DEV}
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV  # rights that a rule on a file may give
_READING = _READ_FILE | _READ_DIR
_WRITING = _READING | _WRITE_FILE | _TRUNCATE | _MAKE_REG | _MAKE_DIR | _REMOVE_FILE | _REMOVE_DIR
_TCP = 1 << 0 | 1 << 1  # LANDLOCK_ACCESS_NET_BIND_TCP and CONNECT_TCP, since version 4
_SCOPES = 1 << 0 | 1 << 1  # LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET and SIGNAL, since version 6


def version() -> int:
    """The version of Landlock that this kernel has; 0: none."""
    with contextlib.suppress(AttributeError, OSError):
        return max(0, _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION)))
    return 0


def missing(held: int) -> tuple[str, ...]:
    """What this version cannot hold a process to."""
    if not held:
        return ("files: the kernel has no Landlock",)
    said = {
        3: "files that may be read can be cut short",
        5: "devices that are open can be spoken to",
        6: "signals to other processes of the same user",
    }
    return tuple(f"{what}: Landlock {held} instead of {since}" for since, what in said.items() if held < since)


def restrict(reading: Iterable[Path], writing: Iterable[Path], held: int) -> None:
    """From now on this thread opens nothing but what lies under these paths, executes nothing, and has no network.

    Paths that are not there are passed over. ``held``: what :func:`version` said. Raises OSError.
    """
    files = _FIRST
    for since, right in _ADDED.items():
        files |= right if held >= since else 0
    fields = [files, _TCP, _SCOPES][: 1 if held < 4 else 2 if held < 6 else 3]
    attributes = ctypes.create_string_buffer(struct.pack(f"={len(fields)}Q", *fields))
    ruleset = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(8 * len(fields)), ctypes.c_uint(0))
    try:
        for paths, rights in ((reading, _READING), (writing, _WRITING)):
            for path in dict.fromkeys(paths):
                _allow(ruleset, path, rights & files)
        _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _OF_FILES
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, descriptor))
        _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint(0))
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    result = int(libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
