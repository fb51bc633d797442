"""Debug access: boot loader, consoles, build properties, kernel switches."""

from __future__ import annotations

import msgspec
from support.trees import firmware_of

from fwcheck.analysers import debug
from fwcheck.device.consoles import consoles
from fwcheck.device.firmware import Firmware
from fwcheck.model import Coverage, Device, Finding, Image, Node, NodeKind

_ELF = b"\x7fELF" + bytes(60)


def found(files: dict[str, bytes | str], detail: dict[str, str | int] | None = None) -> list[Finding]:
    firmware = firmware_of(files)
    if detail is not None:
        node = Node(chain=("test.bin", "uboot-env@0x30000"), path="", kind=NodeKind.CONTAINER, format="uboot-env", detail=detail)
        facts = {each.sha256: held for each in firmware.nodes if each.sha256 and (held := firmware.facts_of(each))}
        image = Image(name="test.bin", size=1, sha256="0" * 64, format="x")
        firmware = Firmware(image, (*firmware.nodes, node), facts, Coverage())
    return list(debug.analyse(firmware, Device(consoles=consoles(firmware))))


def tree(**files: bytes | str) -> dict[str, bytes | str]:
    return {"/sbin/init": _ELF, "/bin/sh": _ELF, "/lib/x": ""} | files


def test_boot_delay_of_the_environment() -> None:
    base = tree() | {"/etc/inittab": "::sysinit:/etc/rcS\n"}
    assert [(each.rule, each.verdict, each.severity.value) for each in found(base, {"bootdelay": "3"})] == [
        ("DBG-001", "concern", "medium")
    ]
    assert [each.severity.value for each in found(base, {"bootdelay": 0})] == ["low"]
    assert found(base, {"bootdelay": "-2"}) == []
    assert found(base, {"bootargs": "console=ttyS0"}) == []
    (one,) = found(base, {"bootargs": "console=ttyS0 init=/bin/sh"})
    assert (one.rule, one.severity.value) == ("DBG-002", "high")


def test_console_without_login() -> None:
    (one,) = found(tree() | {"/etc/inittab": "ttyS0::askfirst:-/bin/sh\n"})
    assert (one.rule, one.verdict, one.location.path, one.location.line) == ("DBG-002", "concern", "/etc/inittab", 1)
    assert found(tree() | {"/etc/inittab": "ttyS0::respawn:/sbin/getty ttyS0\n"}) == []


def test_android_properties() -> None:
    base = tree() | {"/etc/inittab": "::sysinit:/x\n"}
    bad = found(base | {"/default.prop": "ro.debuggable=1\nro.secure=1\nro.build.type=user\n"})
    assert [(each.rule, each.evidence) for each in bad] == [("DBG-003", "ro.debuggable=1")]
    assert found(base | {"/default.prop": "ro.debuggable=0\n"}) == []


def test_kernel_configuration() -> None:
    base = tree() | {"/etc/inittab": "::sysinit:/x\n"}
    config = "CONFIG_MMU=y\nCONFIG_DEVMEM=y\n# CONFIG_KEXEC is not set\nCONFIG_MODULES=y\n"
    assert [each.rule for each in found(base | {"/boot/config-5.10": config})] == ["DBG-004", "DBG-004"]
    assert found(base | {"/boot/config-5.10": "CONFIG_MMU=y\nCONFIG_MODULES=y\nCONFIG_MODULE_SIG=y\n"}) == []
    assert [each.rule for each in found(base | {"/etc/sysctl.conf": "kernel.sysrq = 1\n"})] == ["DBG-004"]


def test_findings_are_serialisable() -> None:
    assert msgspec.json.encode(found(tree() | {"/etc/inittab": "ttyS0::askfirst:-/bin/sh\n"}))
