"""Entering the sandbox: what a process gives up, in the right order, and what the kernel could not take from it."""

from __future__ import annotations

import contextlib
import ctypes
import struct
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

from fwcheck.sandbox import landlock, seccomp

_PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h
_PACKAGE = Path(__file__).resolve().parents[1]
_CAPABILITIES = 0x20080522  # _LINUX_CAPABILITY_VERSION_3
# Shared libraries that are loaded late, time zones, what the kernel tells of processors and of the process itself.
_SYSTEM = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo",
    "/dev/urandom", "/dev/null", "/proc/self", "/sys/devices/system/cpu",
)  # fmt: skip


class Permissions(NamedTuple):
    """The files that a process keeps: everything beneath a directory. Python and its libraries come by themselves."""

    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()


class Sandboxed(NamedTuple):
    """What a kernel can do, or did."""

    landlock: int  # its version; 0: none
    seccomp: bool
    gaps: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return not self.gaps


def probe() -> Sandboxed:
    """What this kernel could do; changes nothing."""
    held, absent = landlock.version(), seccomp.missing()
    return Sandboxed(held, not absent, (*landlock.missing(held), *absent))


def gaps() -> tuple[str, ...]:
    """What this kernel cannot hold a process to."""
    return probe().gaps


def enter(permissions: Permissions) -> Sandboxed:
    """Gives everything else up, for this process and all that it forks. It must have one thread. Never raises."""
    found = probe()
    said = list(found.gaps)
    _drop_privileges()
    held, filtered = found.landlock, found.seccomp
    if held:
        try:
            landlock.restrict((*installation(), *permissions.read), permissions.write, held)
        except OSError as error:  # a container may refuse it
            said.append(f"files: {error.strerror}")
            held = 0
    if filtered:
        try:
            seccomp.restrict()
        except OSError as error:
            said.append(f"system calls: {error.strerror}")
            filtered = False
    return Sandboxed(held, filtered, tuple(said))


def _drop_privileges() -> None:
    """Nothing that is executed gives any, and what root has goes: its capabilities pass by some of Landlock's checks."""
    header, none = struct.pack("=Ii", _CAPABILITIES, 0), struct.pack("=6I", 0, 0, 0, 0, 0, 0)
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.capset(ctypes.c_char_p(header), ctypes.c_char_p(none))


def installation() -> tuple[Path, ...]:
    """Where Python, its libraries and this package lie; no entry of ``sys.path`` as such: it may be a folder of anything."""
    named = sysconfig.get_paths()
    found = [named[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    found += [entry for entry in sys.path if Path(entry).name in {"site-packages", "dist-packages", "lib-dynload"}]
    rules = _PACKAGE.parent / "rules" / "yara"  # of a source checkout
    return (*map(Path, dict.fromkeys(found)), *map(Path, _SYSTEM), _PACKAGE, rules)
