"""Inits that read /etc/inittab: busybox, System V init, procd; the scripts of runlevels in their usual shapes."""

from __future__ import annotations

import pytest
from support.trees import Link, firmware_of

from fwcheck.device.boot import Boot, boots

_ELF = b"\x7fELF" + bytes(60)


def boot_of(files: dict[str, bytes | str], *, busybox: bool = False) -> Boot:
    tree: dict[str, bytes | str] = {
        "/bin/busybox": _ELF,
        "/sbin/init": Link("../bin/busybox") if busybox else _ELF,
        "/bin/sh": Link("busybox"),
        "/lib/x": "",
        "/dev/x": "",
    }
    tree |= {f"/usr/sbin/{name}": _ELF for name in ("telnetd", "dropbear", "httpd")}
    (boot,) = boots(firmware_of(tree | files))
    return boot


def started(boot: Boot) -> list[str]:
    return [run.name for run in boot.runs if not run.conditions]


@pytest.mark.parametrize(
    ("inittab", "names"),
    [
        ("id:3:initdefault:\nt:5:respawn:/usr/sbin/telnetd -F\n", []),
        ("id:3:initdefault:\nt:35:respawn:/usr/sbin/telnetd -F\n", ["telnetd"]),
        ("t:5:respawn:/usr/sbin/telnetd -F\nid:5:initdefault:\n", ["telnetd"]),
        ("id:3:initdefault:\nt:5:sysinit:/usr/sbin/telnetd\n", ["telnetd"]),
        ("id:3:initdefault:\nt::respawn:/usr/sbin/telnetd -F\n", ["telnetd"]),
        ("id:3:initdefault:\na:3:wait:/usr/sbin/httpd\nb:3:once:/usr/sbin/telnetd\n", ["httpd", "telnetd"]),
        ("id:3:initdefault:\nt:3:ondemand:/usr/sbin/telnetd\np:3:powerfail:/usr/sbin/httpd\n", []),
    ],
)
def test_system_v_runlevels(inittab: str, names: list[str]) -> None:
    boot = boot_of({"/etc/inittab": inittab})
    assert (boot.kind, started(boot)) == ("sysv", names)


def test_busybox_ignores_runlevels() -> None:
    boot = boot_of({"/etc/inittab": "id:3:initdefault:\nt:5:respawn:/usr/sbin/telnetd -F\n"}, busybox=True)
    assert (boot.kind, started(boot)) == ("busybox", ["telnetd"])
