"""Planted weaknesses: debug access."""

from __future__ import annotations

from contents import text
from elf import build

from plants.plant import BOOT, Plant, also, started

DEBUG = (
    Plant("debug-boot-prompt", (("DBG-001", ""),), boot=BOOT.replace("bootdelay=-2", "bootdelay=3")),
    Plant("debug-console", (("DBG-002", "/etc/inittab"),), {"/etc/inittab": also("/etc/inittab", "ttyS0::respawn:-/bin/sh")}),
    Plant(
        "debug-build",
        (("DBG-003", "/default.prop"),),
        {"/default.prop": text(0o644, "ro.debuggable=1")},
    ),
    Plant("debug-sysrq", (("DBG-004", "/etc/sysctl.conf"),), {"/etc/sysctl.conf": text(0o644, "kernel.sysrq = 1")}),
    Plant(
        "debug-hidden-page",
        (("DBG-005", "/www/cgi-bin/debug.sh"),),
        {"/www/cgi-bin/debug.sh": text(0o755, "#!/bin/sh", "echo Content-type: text/plain; echo", 'sh -c "$QUERY_STRING"')},
    ),
    Plant(
        "debug-backdoor",
        (("DBG-006", "/usr/sbin/lighttpd"),),
        {
            "/usr/sbin/lighttpd": (
                0o755,
                build(
                    imports=("bind", "accept"),
                    needed=("libssl.so.3", "libc.so.0"),
                    strings=("lighttpd/1.4.82", "xmlset_roodkcableoj28840ybtide"),
                    hardened=True,
                ),
            )
        },
    ),
    Plant(
        "debug-telnet-switch",
        (("DBG-007", "/www/cgi-bin/service.sh"),),
        {"/www/cgi-bin/service.sh": text(0o755, "#!/bin/sh", "echo; /usr/sbin/telnetd -l /bin/login -p 2323 &")},
    ),
    Plant(
        "debug-core-dumps",
        (("DBG-008", "/etc/init.d/rcS"),),
        started("ulimit -c unlimited", "echo /www/core.%p > /proc/sys/kernel/core_pattern"),
    ),
    Plant(
        "debug-runs-from-card",
        (("DBG-011", "/etc/init.d/rcS"),),
        started("[ -f /mnt/sdcard/run.sh ] && sh /mnt/sdcard/run.sh"),
    ),
)
