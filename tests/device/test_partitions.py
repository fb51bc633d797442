"""Partitions of the image that the boot mounts: joined where one file system alone can be meant, left alone otherwise."""

from __future__ import annotations

import pytest
from msgspec import structs
from support.trees import Link, firmware_of

from fwcheck.device._partitions import flash_parts
from fwcheck.device.boot import boots
from fwcheck.device.firmware import Firmware
from fwcheck.model import Facts, NodeKind

ELF = b"\x7fELF" + bytes(60)
ROOT = {
    "/sbin/init": ELF, "/bin/busybox": ELF, "/lib/x": "", "/usr/sbin/telnetd": ELF, "/etc/inittab": "::sysinit:/etc/rcS\n",
}  # fmt: skip
APP = {"/start.sh": "#!/bin/sh\ntelnetd -l /bin/sh\n", "/app.conf": "port=1\n"}
MTDPARTS = "mtdparts=spi0.0:256k(boot),1m(kernel),0x100000(rootfs),512k(app),-(data)"


def image(
    rcs: str, *parts: tuple[tuple[str, ...], str], bootargs: str = "", more: dict[str, bytes | str] | None = None
) -> Firmware:
    """A root at 0x140000 of a chip and further file systems: chain behind the image's name, and format."""
    places = [(("squashfs@0x140000",), "squashfs", ROOT | {"/etc/rcS": f"#!/bin/sh\n{rcs}\n"} | (more or {}))]
    places += [
        (chain, format, {path: text.replace("\n", f"\n# {n}\n", 1) for path, text in APP.items()})
        for n, (chain, format) in enumerate(parts)
    ]
    nodes, facts = [], dict[str, Facts]()
    for chain, format, files in places:
        each = firmware_of(files, format=format)
        nodes += [structs.replace(node, chain=("chip.bin", *chain)) for node in each.nodes]
        facts |= {found.sha256: found for _, found in each.contents()}
    if bootargs:
        nodes.append(
            structs.replace(
                nodes[0], chain=("chip.bin", "android-boot@0x0"), kind=NodeKind.CONTAINER, detail={"cmdline": bootargs}
            )
        )
    return Firmware(each.image, nodes, facts, each.coverage)


def mounted(firmware: Firmware) -> dict[str, str]:
    """What the boot of the root joined: directory, and the chain behind the image's name."""
    (boot,) = boots(firmware)
    return {path: " ".join(fs.chain[1:]) for path, fs in boot.disk.mounts.items()}


AT_APP, AT_DATA = (("jffs2@0x240000",), "jffs2"), (("jffs2@0x2c0000",), "jffs2")
NAMED, OTHER = (("gpt@0x0", "app", "squashfs@0x0"), "squashfs"), (("gpt@0x0", "data", "jffs2@0x0"), "jffs2")
UBI = (("ubi@0x300000", "appfs", "ubifs@0x0"), "ubifs")


@pytest.mark.parametrize(
    ("rcs", "parts", "bootargs", "expected"),
    [
        ("mount -t jffs2 /dev/mtdblock3 /opt", (AT_APP, AT_DATA), MTDPARTS, {"/opt": "jffs2@0x240000"}),
        ("mount -t jffs2 mtd4 /opt", (AT_APP, AT_DATA), MTDPARTS, {"/opt": "jffs2@0x2c0000"}),
        ("n=3\nmount /dev/mtdblock$n /opt -t jffs2", (AT_APP, AT_DATA), MTDPARTS, {"/opt": "jffs2@0x240000"}),
        ("mount -o loop /dev/mtdblock3 /app", (NAMED, OTHER), "", {"/app": "gpt@0x0 app squashfs@0x0"}),
        ("mount -t squashfs mtd:app /mnt/x", (NAMED, OTHER), "", {"/mnt/x": "gpt@0x0 app squashfs@0x0"}),
        ("mount PARTLABEL=data /mnt/x", (NAMED, OTHER), "", {"/mnt/x": "gpt@0x0 data jffs2@0x0"}),
        ("mount -t ubifs ubi0:appfs /opt", (UBI, OTHER), "", {"/opt": "ubi@0x300000 appfs ubifs@0x0"}),
        ("mount -t jffs2 /dev/mtdblock6 /config", (AT_APP,), "", {"/config": "jffs2@0x240000"}),
        ("mount -a", (AT_APP,), "", {"/config": "jffs2@0x240000"}),
        ("mount /config", (AT_APP,), "", {"/config": "jffs2@0x240000"}),
        # not known which one is meant
        ("mount -t jffs2 /dev/mtdblock6 /opt", (AT_APP, AT_DATA), "", {}),
        ("mount -t jffs2 /dev/mtdblock6 /opt\nmount -t jffs2 /dev/mtdblock7 /b", (AT_APP,), "", {}),
        ("mount -t jffs2 /dev/mtdblock$(cat /proc/x) /opt", (AT_APP,), "", {}),
        # the table says that it is another one, or none
        ("mount -t jffs2 /dev/mtdblock1 /opt", (AT_APP,), MTDPARTS, {}),
        ("mount -t jffs2 /dev/mtdblock9 /opt", (AT_APP,), MTDPARTS, {}),
        ("mount -t ubifs /dev/mtdblock3 /opt", (AT_APP,), MTDPARTS, {}),
        ("mount -t tmpfs tmpfs /app", (NAMED,), "", {}),
        ("mount -t jffs2 /dev/mtdblock6 /overlay", (AT_APP,), "", {}),
    ],
)
def test_which_file_system_a_mount_means(rcs, parts, bootargs, expected) -> None:
    fstab = {"/etc/fstab": "proc /proc proc defaults 0 0\n/dev/mtdblock6 /config jffs2 defaults 0 0\n"}
    more = fstab if rcs in ("mount -a", "mount /config") else {}
    assert mounted(image(rcs, *parts, bootargs=bootargs, more=more)) == expected


def test_a_script_in_a_mounted_partition_is_followed() -> None:
    firmware = image(
        "mount -t jffs2 /dev/mtdblock3 /opt\n[ -x /opt/start.sh ] && . /opt/start.sh", AT_APP, AT_DATA, bootargs=MTDPARTS
    )
    (run,) = [run for run in boots(firmware)[0].runs if run.name == "telnetd"]
    assert run.place.fs.chain[1:] == ("jffs2@0x240000",)
    assert not run.conditions


def test_a_unit_of_systemd_starts_what_fstab_mounts() -> None:
    units: dict[str, bytes | str] = {
        "/sbin/init": Link("/lib/systemd/systemd"),
        "/lib/systemd/systemd": ELF,
        "/etc/fstab": "PARTLABEL=app /opt squashfs ro 0 0\nPARTLABEL=data /data jffs2 noauto 0 0\n",
        "/lib/systemd/system/default.target": "[Unit]\nRequires=app.service\n",
        "/lib/systemd/system/app.service": "[Service]\nExecStart=/opt/start.sh\n",
    }
    firmware = image(":", NAMED, OTHER, more=units)
    assert mounted(firmware) == {"/opt": "gpt@0x0 app squashfs@0x0"}
    assert [run.place.fs.chain[-1] for run in boots(firmware)[0].runs if run.name == "telnetd"] == ["squashfs@0x0"]


REST = [("rootfs", 0x140000, 1 << 20), ("app", 0x240000, 512 << 10), ("data", 0x2C0000, None)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MTDPARTS, [("boot", 0, 262144), ("kernel", 262144, 1048576), *REST]),
        ("mtdparts=nand:1m@0x200000(x)ro,-(y);spi:64k(z)", [("x", 0x200000, 1 << 20), ("y", 0x300000, None)]),
        ("mtdparts=jz_sfc:256k(boot),nonsense,1m(c)", [("boot", 0, 262144)]),
        ("mtdparts=", []),
        ("mtdparts=a:" + "1k," * 100_000, None),
    ],
)  # fmt: skip
def test_the_partition_table_of_a_command_line(text, expected) -> None:
    parts = flash_parts(image(":", bootargs=text))
    assert [tuple(part) for part in parts] == expected if expected is not None else len(parts) <= 64
