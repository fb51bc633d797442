"""What brings the device back: watchdogs, slots, file systems, supervision."""

from __future__ import annotations

import pytest
from support.trees import Link, firmware_of

from fwcheck.device.firmware import Firmware
from fwcheck.device.resilience import resilience
from fwcheck.model import Coverage, Image, Node, NodeKind

_ELF = b"\x7fELF\1\2\1" + bytes(60)
BASE: dict[str, bytes | str] = {
    "/bin/busybox": _ELF, "/sbin/init": Link("../bin/busybox"), "/bin/sh": Link("busybox"), "/lib/x": "",
    "/etc/inittab": "::sysinit:/etc/init.d/rcS\n", "/etc/init.d/rcS": "#!/bin/sh\n/usr/bin/app &\n", "/usr/bin/app": _ELF + b"1",
}  # fmt: skip
SYSTEMD: dict[str, bytes | str] = {
    "/lib/systemd/systemd": _ELF, "/sbin/init": Link("/lib/systemd/systemd"), "/bin/x": "", "/etc/x": "", "/usr/sbin/app": _ELF,
    "/lib/systemd/system/default.target": "[Unit]\nWants=app.service\n",
}  # fmt: skip


def rows(files: dict[str, bytes | str], base: dict[str, bytes | str] | None = None) -> list[tuple[str, str, str]]:
    return [(each.name, each.state, each.detail) for each in resilience(firmware_of((base or BASE) | files))]


def of_node(format: str, detail: dict[str, str | int]) -> list[tuple[str, str, str]]:
    node = Node(chain=("x", f"{format}@0x0"), path="", kind=NodeKind.CONTAINER, format=format, detail=detail)
    firmware = Firmware(Image(name="x", size=1, sha256="0" * 64, format="x"), [node], {}, Coverage())
    return [(each.name, each.state, each.detail) for each in resilience(firmware)]


def test_a_watchdog_that_is_fed() -> None:
    script: dict[str, bytes | str] = {
        "/etc/init.d/rcS": "#!/bin/sh\nwatchdog -t 5 /dev/watchdog\n",
        "/sbin/watchdog": Link("../bin/busybox"),
    }
    assert rows(script) == [("watchdog", "yes", "watchdog -t 5 /dev/watchdog")]
    assert rows({}) == []


def test_a_program_that_could_feed_one_is_undecided() -> None:
    assert rows({"/usr/bin/app": _ELF + b"\0/dev/watchdog\0"}) == [("watchdog", "unknown", "/usr/bin/app can feed one")]
    assert rows({"/bin/busybox": _ELF + b"\0/dev/watchdog\0"}) == []  # an applet that nobody starts


@pytest.mark.parametrize(
    ("line", "told"), [("RuntimeWatchdogSec=30", True), ("#RuntimeWatchdogSec=30", False), ("RuntimeWatchdogSec=0", False)]
)
def test_the_watchdog_of_systemd(line: str, told: bool) -> None:
    held = rows({"/etc/systemd/system.conf": f"[Manager]\n{line}\n"}, SYSTEMD)
    assert [each[0] for each in held] == (["watchdog"] if told else [])


@pytest.mark.parametrize(("line", "told"), [("Restart=always", True), ("Restart=no", False), ("# Restart=always", False)])
def test_units_that_are_started_again(line: str, told: bool) -> None:
    held = rows({"/lib/systemd/system/app.service": f"[Service]\nExecStart=/usr/sbin/app\n{line}\n"}, SYSTEMD)
    assert held == ([("services restarted", "yes", "app")] if told else [])


def test_respawn_of_inittab() -> None:
    assert rows({"/etc/inittab": "::respawn:/usr/bin/app\n"}) == [("services restarted", "yes", "app")]


def test_storage_that_survives() -> None:
    held = rows({"/etc/init.d/rcS": "#!/bin/sh\nmount -t ubifs ubi0:data /data\n/usr/bin/app &\n"})
    assert held == [("storage that survives a power cut", "yes", "ubifs on /data")]
    assert rows({"/etc/init.d/rcS": "#!/bin/sh\nmount -t ext2 /dev/mmcblk0p3 /data\n/usr/bin/app &\n"}) == []


def test_slots() -> None:
    conf = (
        "[system]\ncompatible=x\n[slot.rootfs.0]\ndevice=/dev/mmcblk0p2\n[slot.rootfs.1]\ndevice=/dev/mmcblk0p3\n[slot.data.0]\n"
    )
    assert rows({"/etc/rauc/system.conf": conf}) == [("two slots", "yes", "RAUC slots rootfs")]
    table = "nvs data/nvs 0x9000+0x5000, ota_0 app/ota_0 0x10000+0x100000, ota_1 app/ota_1 0x110000+0x100000"
    assert of_node("esp-partition-table", {"table": table}) == [("two slots", "yes", "partitions ota_0, ota_1")]
    assert of_node("esp-partition-table", {"table": "factory app/factory 0x10000+0x100000, ota_0 app/ota_0 0x1+0x1"}) == []
    counted = {"bootcount": "0", "bootlimit": "3", "altbootcmd": "run recover", "redundant": "yes"}
    assert [each[0] for each in of_node("uboot-env", counted)] == ["two slots", "redundant settings"]
    assert of_node("uboot-env", {"bootcmd": "bootm", "redundant": "no"}) == []
