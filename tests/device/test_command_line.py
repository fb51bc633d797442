"""Kernel command lines of an image: every place they stand in, and what they decide."""

from __future__ import annotations

import pytest
from support.trees import Link, facts_of, firmware_of

from fwcheck.device._command_line import command_line, command_lines, environment_lines, menu_lines
from fwcheck.device.boot import boots
from fwcheck.device.firmware import Firmware
from fwcheck.model import Coverage, Image, Node, NodeKind

_ELF = b"\x7fELF" + bytes(60)
_TREE: dict[str, bytes | str] = {
    "/bin/busybox": _ELF,
    "/sbin/init": Link("../bin/busybox"),
    "/lib/x": "",
    "/dev/x": "",
    "/usr/sbin/telnetd": _ELF,
    "/etc/vendor.sh": "#!/bin/sh\ntelnetd\n",
}


def with_nodes(*nodes: tuple[Node, str], files: dict[str, bytes | str] | None = None) -> Firmware:
    base = firmware_of(_TREE | (files or {}))
    facts = dict(base._facts)
    more = []
    for node, text in nodes:
        found = facts_of(text.encode()) if text else None
        if found is not None:
            facts[found.sha256] = found
        more.append(Node(chain=node.chain, path=node.path, kind=node.kind, format=node.format, detail=node.detail,
                         sha256=found.sha256 if found else None))  # fmt: skip
    return Firmware(base.image, (*base.nodes, *more), facts, base.coverage)


def container(format: str, **detail: str) -> Node:
    return Node(chain=("test.bin", f"{format}@0x10"), path="", kind=NodeKind.CONTAINER, format=format, detail=dict(detail))


def environment(text: str) -> tuple[Node, str]:
    return Node(chain=("test.bin", "uboot-env@0x40"), path="environment", kind=NodeKind.REGION), text


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        ({"bootargs": "console=ttyS0 init=/sbin/init"}, ["console=ttyS0 init=/sbin/init"]),
        (
            {"args": "setenv bootargs console=${con} root=$dev init=/linuxrc; bootm", "con": "ttyAMA0", "dev": "/dev/mtdblock2"},
            ["console=ttyAMA0 root=/dev/mtdblock2 init=/linuxrc"],
        ),
        ({"bootargs": "root=/dev/ram ${more}", "more": "${more} x"}, None),
        ({"bootargs": "quiet"}, []),
        ({"boot_normal": 'env set bootargs "ubi.mtd=2 ${x}"', "x": "rw"}, ["ubi.mtd=2 rw"]),
    ],
)
def test_environments_are_resolved(values: dict[str, str], lines: list[str] | None) -> None:
    got = environment_lines(values)
    assert got == lines if lines is not None else got[0].startswith("root=/dev/ram")


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("cmdline.txt", "console=serial0,115200 root=PARTUUID=1 rootwait\n", "console=serial0,115200 root=PARTUUID=1 rootwait"),
        ("extlinux.conf", "DEFAULT b\nLABEL a\n APPEND root=/dev/a\nLABEL b\n APPEND root=/dev/b rw\n", "root=/dev/b rw"),
        ("grub.cfg", "menuentry 'x' {\n\tlinux /vmlinuz root=/dev/sda1 ro quiet\n}\n", "root=/dev/sda1 ro quiet"),
        (
            "loader.conf",
            "title x\noptions root=/dev/sda2 systemd.unit=rescue.target\n",
            "root=/dev/sda2 systemd.unit=rescue.target",
        ),
        ("uEnv.txt", "bootargs=console=ttyS2 init=/init.sh\n", "console=ttyS2 init=/init.sh"),
        ("cmdline.txt", "nothing of the kind", None),
    ],
)
def test_boot_menus(name: str, text: str, line: str | None) -> None:
    assert [each for _, each in menu_lines(name, text)][:1] == ([line] if line else [])


@pytest.mark.parametrize(
    "node",
    [
        environment("bootcmd=run x\nbootargs=console=ttyS1 init=/etc/vendor.sh\n"),
        (container("fdt", bootargs="console=ttyS0 init=/etc/vendor.sh"), ""),
        (container("android-boot", cmdline="console=ttyS0 init=/etc/vendor.sh"), ""),
        (container("uboot", default_bootargs="root=/dev/mtdblock4 init=/etc/vendor.sh"), ""),
        (
            Node(chain=("test.bin", "ikconfig@0x9"), path="config", kind=NodeKind.REGION),
            '# Linux/arm 4.9\nCONFIG_ARM=y\nCONFIG_CMDLINE="console=ttyS0 init=/etc/vendor.sh"\n',
        ),
    ],
    ids=["environment", "device tree", "boot image", "default environment", "kernel configuration"],
)
def test_the_named_init_is_followed_wherever_the_line_stands(node: tuple[Node, str]) -> None:
    (boot,) = boots(with_nodes(node))
    assert boot.init == "/etc/vendor.sh"
    assert [run.name for run in boot.runs] == ["telnetd"]


def test_an_init_that_is_not_in_the_root_is_passed_over() -> None:
    (boot,) = boots(with_nodes(environment("bootargs=console=ttyS1 init=/other\n")))
    assert (boot.init, boot.kind) == ("/sbin/init", "busybox")


def test_what_the_kernel_insists_on_comes_first() -> None:
    config = 'CONFIG_CMDLINE="root=/dev/ram init=/a"\nCONFIG_CMDLINE_FORCE=y\n'
    node = Node(chain=("test.bin", "ikconfig@0x9"), path="config", kind=NodeKind.REGION), config
    firmware = with_nodes(node, environment("bootargs=root=/dev/b init=/b\n"))
    assert [each.value("init") for each in command_lines(firmware)] == ["/a", "/b"]
    line = command_line(firmware)
    assert line is not None
    assert line.fixed


def test_hostile_lines_are_bounded() -> None:
    text = "".join(f"v{number}=${{v{number + 1}}}${{v{number + 1}}}\n" for number in range(200)) + 'bootargs=console= ${v0} "\n'
    firmware = with_nodes(environment(text), (container("fdt", bootargs='root="' + "x " * 100_000), ""))
    assert all(len(each.words) <= 256 for each in command_lines(firmware))


def test_the_boot_configuration_of_a_vendor_boot_image_counts_as_words() -> None:
    detail: dict[str, str | int] = {"bootconfig": '# x; androidboot.veritymode = "disabled"; androidboot.a=b; no sign'}
    chain, name = ("i", "android-vendor-boot@0x0"), "android-vendor-boot"
    node = Node(chain=chain, path="", kind=NodeKind.CONTAINER, format=name, detail=detail)
    firmware = Firmware(Image(name="i", size=1, sha256="0" * 64, format="x"), [node], {}, Coverage())
    assert [line.text for line in command_lines(firmware)] == ["androidboot.veritymode=disabled androidboot.a=b"]
