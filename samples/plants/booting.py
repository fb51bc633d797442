"""Planted weaknesses: the boot chain."""

from __future__ import annotations

from plants.plant import BOOT, Plant

BOOTING = (
    Plant("boot-verify-off", (("BOOT-002", "environment"),), boot=BOOT + "verify=n\n"),
    Plant(
        "boot-from-network",
        (("BOOT-003", "environment"),),
        boot=BOOT.replace("bootcmd=bootm 0x8000", "bootcmd=tftpboot 0x80800000 fw.img && bootm 0x80800000; bootm 0x8000"),
    ),
    Plant("boot-key-optional", (("BOOT-005", ""),), boot=BOOT, key="optional"),
    Plant(
        "boot-around-the-key",
        (("BOOT-006", "environment"),),
        boot=BOOT.replace("bootcmd=bootm 0x8000", "bootcmd=bootm 0x8000 || go 0x80000000"),
        key="required",
    ),
)
