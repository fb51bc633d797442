"""Storage that survives a restart, and what protects it."""

from __future__ import annotations

import pytest
from support.trees import Link, firmware_of

from fwcheck.device.boot import boots
from fwcheck.device.firmware import Firmware
from fwcheck.device.storage import mounts, storage
from fwcheck.model import Coverage, Image, Node, NodeKind

_ELF = b"\x7fELF\1\2\1" + bytes(60)
BASE: dict[str, bytes | str] = {
    "/bin/busybox": _ELF, "/sbin/init": Link("../bin/busybox"), "/bin/sh": Link("busybox"), "/lib/x": "",
    "/etc/inittab": "::sysinit:/etc/init.d/rcS\n", "/usr/bin/app": _ELF + b"1",
}  # fmt: skip


def rows(files: dict[str, bytes | str]) -> list[tuple[str, str, str]]:
    return [(each.name, each.state, each.detail) for each in storage(firmware_of(BASE | files))]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("mount -t jffs2 /dev/mtdblock4 /overlay", "/overlay (jffs2 on /dev/mtdblock4)"),
        ("mount -t ubifs -o sync ubi0:data /data", "/data (ubifs on ubi0:data)"),
        ("mount -o rw,noatime -t ext4 /dev/mmcblk0p3 /data/", "/data (ext4 on /dev/mmcblk0p3)"),
        ("# mount -t jffs2 /dev/mtdblock4 /overlay", ""),
        ("mount -t tmpfs tmpfs /tmp", ""),
        ("mount -t vfat /dev/sda1 /mnt/usb", ""),  # a stick
        ("mount -t vfat /dev/mmcblk1p1 /mnt/card", ""),
        ("mount -t squashfs /dev/mtdblock5 /app", ""),
    ],
)
def test_what_scripts_mount(line: str, told: str) -> None:
    held = rows({"/etc/init.d/rcS": f"#!/bin/sh\n{line}\n/usr/bin/app &\n"})
    assert held == ([("kept over a restart", "yes", told)] if told else [])


def test_fstab_and_the_overlay_of_openwrt() -> None:
    fstab = "# x\n/dev/mmcblk0p3 /data ext4 defaults 0 2\n/dev/mtdblock7 /spare jffs2 noauto 0 0\ntmpfs /tmp tmpfs defaults 0 0\n"
    assert rows({"/etc/fstab": fstab}) == [
        ("kept over a restart", "yes", "/data (ext4 on /dev/mmcblk0p3)"),
        ("kept over a restart", "unknown", "/spare (jffs2 on /dev/mtdblock7)"),
    ]
    procd: dict[str, bytes | str] = {"/sbin/procd": _ELF, "/sbin/init": _ELF, "/sbin/mount_root": _ELF}
    assert rows(procd) == [("kept over a restart", "yes", "/ (overlay on rootfs_data, by mount_root)")]


@pytest.mark.parametrize(
    ("path", "text", "state"),
    [
        ("/etc/crypttab", "data /dev/mmcblk0p4 /etc/key luks\n", "yes"),
        ("/etc/crypttab", "# data /dev/mmcblk0p4 none\nswap /dev/sda2 /dev/urandom swap\n", ""),
        ("/vendor/etc/fstab.board", "/dev/block/data /data f2fs noatime wait,fileencryption=aes-256-xts\n", "yes"),
        ("/etc/init.d/rcS", "#!/bin/sh\ncryptsetup luksOpen /dev/mmcblk0p4 data < /dev/tpm\n/usr/bin/app &\n", "yes"),
        ("/usr/bin/never", "#!/bin/sh\ncryptsetup open /dev/mmcblk0p4 data\n", "unknown"),
        ("/etc/init.d/rcS", "#!/bin/sh\n# cryptsetup luksOpen /dev/mmcblk0p4 data\n/usr/bin/app &\n", ""),
    ],
)
def test_encryption(path: str, text: str, state: str) -> None:
    held = [each for each in rows({path: text}) if each[0] == "encrypted storage"]
    assert [each[1] for each in held] == ([state] if state else [])


def test_a_trusted_execution_environment_that_is_started() -> None:
    script = "#!/bin/sh\n/usr/sbin/tee-supplicant -d &\n"
    assert rows({"/etc/init.d/rcS": script, "/usr/sbin/tee-supplicant": _ELF}) == [("keys kept apart", "yes", "tee-supplicant")]


def test_partition_tables_and_stores_of_the_esp32() -> None:
    def told(format: str, **detail: str | int) -> list[str]:
        node = Node(chain=("x", f"{format}@0x0"), path="", kind=NodeKind.CONTAINER, format=format, detail=detail)
        image = Image(name="x", size=1, sha256="0" * 64, format="x")
        return [each.detail for each in storage(Firmware(image, [node], {}, Coverage()))]

    assert told("esp-partition-table", encrypted_partitions="nvs app0") == ["partitions with the flag encrypted: nvs app0"]
    assert told("esp-partition-table", table="nvs data/nvs 0x9000+0x5000") == []
    assert told("esp-nvs", encrypted="yes") == ["NVS entries are encrypted"]
    assert told("esp-nvs", encrypted="no") == []


def test_hostile_scripts_end() -> None:
    text = "#!/bin/sh\n" + "mount -t jffs2 " * 15_000 + "\n" + "mount -o " + "a" * 90_000 + " -t jffs2\n"
    (boot,) = boots(firmware_of(BASE | {"/etc/init.d/rcS": text}))
    assert len(mounts(boot)) <= 64
