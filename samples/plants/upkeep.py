"""Planted weaknesses: logs and the way back to the factory state."""

from __future__ import annotations

from contents import text

from plants.plant import BOOT, Plant, started

UPKEEP = (
    Plant(
        "log-none",
        (("LOG-001", "/etc/inittab"),),
        {"/etc/inittab": text(0o644, "::sysinit:/etc/init.d/rcS", "::ctrlaltdel:/bin/reboot")},
    ),
    Plant(
        "log-in-clear-to-a-server",
        (("LOG-003", "/etc/inittab"),),
        {
            "/etc/inittab": text(
                0o644,
                "::sysinit:/etc/init.d/rcS",
                "::respawn:/bin/syslogd -n -L -R logs.example.com:514",
                "::ctrlaltdel:/bin/reboot",
            )
        },
    ),
    Plant(
        "log-holds-a-password",
        (("LOG-004", "/usr/sbin/join-network.sh"),),
        {
            "/usr/sbin/join-network.sh": text(0o755, "#!/bin/sh", 'logger -t wifi "joining $1 with $password"'),
            "/bin/logger": (0o777, "busybox"),
        },
    ),
    Plant("reset-none", (("RST-001", ""),), {"/usr/sbin/factory-reset.sh": None}, boot=BOOT),
    Plant(
        "reset-leaves-data",
        (("RST-002", "/etc/init.d/rcS"),),
        {
            "/usr/sbin/factory-reset.sh": text(0o755, "#!/bin/sh", "rm -rf /overlay/etc/*", "reboot"),
            **started("mount -t jffs2 /dev/mtdblock5 /data"),
        },
    ),
)
