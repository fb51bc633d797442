"""Debug access: boot loader, consoles, build properties, kernel switches."""

from __future__ import annotations

import msgspec
import pytest
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


def test_the_delay_built_into_the_boot_loader_counts_where_no_environment_is_stored() -> None:
    (one,) = found(tree() | {"/etc/inittab": "::sysinit:/x\n"}, {"default_bootdelay": "2", "version": "U-Boot 2023.01"})
    assert (one.rule, one.verdict, one.title) == ("DBG-001", "concern", "Boot loader waits 2 s for a key (built-in default)")
    assert "environment" in one.refuted_by
    assert found(tree() | {"/etc/inittab": "::sysinit:/x\n"}, {"default_bootdelay": "2", "bootdelay": "-2"}) == []


def test_a_keyed_prompt_is_told_with_less_weight() -> None:
    (one,) = found(tree() | {"/etc/inittab": "::sysinit:/x\n"}, {"bootdelay": "3", "bootstopkeysha256": "5e88"})
    assert (one.severity.value, one.confidence) == ("low", "tentative")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("console=ttyS0 kgdboc=ttyS0,115200 kgdbwait", "kgdboc=ttyS0,115200"),
        ("console=ttyS0 sysrq_always_enabled", "sysrq_always_enabled"),
        ("console=ttyS0 kgdbocx root=/dev/mtdblock2", ""),
    ],
)
def test_debugging_on_the_kernel_command_line(line: str, said: str) -> None:
    seen = found(tree() | {"/etc/inittab": "::sysinit:/x\n"}, {"cmdline": line})
    assert [(each.rule, each.title.rpartition(": ")[2]) for each in seen] == ([("DBG-004", said)] if said else [])


def test_options_that_are_tamed_by_another_one() -> None:
    base = tree() | {"/etc/inittab": "::sysinit:/x\n"}
    config = (
        "CONFIG_MMU=y\nCONFIG_DEVMEM=y\nCONFIG_STRICT_DEVMEM=y\nCONFIG_MAGIC_SYSRQ=y\nCONFIG_MAGIC_SYSRQ_DEFAULT_ENABLE=0x0\n"
    )
    assert found(base | {"/boot/config-6.6": config}) == []
    (one,) = found(base | {"/boot/config-6.6": config.replace("CONFIG_STRICT_DEVMEM=y\n", "")})
    assert one.evidence == "CONFIG_DEVMEM=y"


@pytest.mark.parametrize(
    ("path", "text", "verdict"),
    [
        ("/etc/os-release", 'NAME="Poky"\nVARIANT_ID=dev\n', "concern"),
        ("/etc/os-release", 'VARIANT="Development Image"\n', "concern"),
        ("/etc/os-release", 'VARIANT_ID=production\nPRETTY_NAME="Devices 1.0"\n', ""),
        ("/etc/build", "IMAGE_FEATURES = debug-tweaks ssh-server-dropbear\n", "concern"),
        ("/default.prop", "persist.sys.usb.config=mtp,adb\n", "violation"),
        ("/default.prop", "persist.sys.usb.config=mtp\nservice.adb.tcp.port=-1\n", ""),
        ("/system/build.prop", "service.adb.tcp.port=5555\n", "violation"),
    ],
)
def test_development_images(path: str, text: str, verdict: str) -> None:
    seen = found(tree() | {"/etc/inittab": "::sysinit:/x\n", path: text})
    assert [(each.rule, each.verdict) for each in seen] == ([("DBG-003", verdict)] if verdict else [])


def test_sysrq_written_by_a_script() -> None:
    script = "#!/bin/sh\n# echo 1 > /proc/sys/kernel/sysrq\necho {} > /proc/sys/kernel/sysrq\n"
    base = tree() | {"/etc/inittab": "::sysinit:/x\n"}
    (one,) = found(base | {"/etc/init.d/S01": script.format(1)})
    assert (one.rule, one.location.line) == ("DBG-004", 3)
    assert found(base | {"/etc/init.d/S01": script.format(0)}) == []


@pytest.mark.parametrize(("value", "told"), [("yes", True), ("no", False)])
def test_an_update_package_that_calls_itself_a_debug_build(value: str, told: bool) -> None:
    node = Node(
        chain=("x", "nordic-dfu@0x0"), path="", kind=NodeKind.CONTAINER, format="nordic-dfu", detail={"application_debug": value}
    )
    image = Image(name="x", size=1, sha256="0" * 64, format="x")
    seen = list(debug.analyse(Firmware(image, [node], {}, Coverage()), Device()))
    assert [(each.rule, each.verdict) for each in seen] == ([("DBG-003", "concern")] if told else [])
