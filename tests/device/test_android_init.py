"""Android's init: classes, triggers, properties, imports, overrides; adbd only where the shipped properties start it."""

from __future__ import annotations

import pytest
from msgspec import structs
from support.trees import firmware_of

from fwcheck.device.boot import boots
from fwcheck.device.build import platform
from fwcheck.device.firmware import Firmware
from fwcheck.device.shell.world import Run

_ELF = b"\x7fELF" + bytes(60)
_RC = """import /init.usb.rc
import /init.${ro.hardware}.rc
on early-init
    start ueventd
on late-init
    trigger fs
    trigger boot
on fs
    mount_all /fstab.board
on boot
    class_start core
on nonencrypted
    class_start main
    class_start late_start
service ueventd /sbin/ueventd
    class core
    critical
service console /system/bin/sh
    class core
    console
    disabled
    user shell
service adbd /sbin/adbd --root_seclabel=u:r:su:s0
    class core
    socket adbd stream 660 system system
    disabled
on property:ro.debuggable=1
    start console
"""
_USB = """on boot
    setprop sys.usb.config ${persist.sys.usb.config}
on property:sys.usb.config=adb
    start adbd
on property:sys.usb.config=mtp
    stop adbd
"""


def android(*, props: str = "ro.debuggable=0\npersist.sys.usb.config=mtp\n", **more: bytes | str) -> list[Run]:
    tree: dict[str, bytes | str] = {"/init": _ELF, "/init.rc": _RC, "/init.usb.rc": _USB, "/default.prop": props}
    tree |= {f"/system/bin/{name}": _ELF for name in ("sh", "telnetd", "logd", "vendord")} | {"/sbin/adbd": _ELF, "/dev/x": ""}
    tree |= {name.replace("__", "/").replace("_rc", ".rc"): content for name, content in more.items()}
    (boot,) = boots(firmware_of(tree))
    assert boot.kind == "android"
    return boot.runs


def started(runs: list[Run], name: str) -> list[tuple[str, ...]]:
    return [run.conditions for run in runs if run.name == name]


@pytest.mark.parametrize(
    ("options", "conditions"),
    [
        ("class main", [()]),
        ("class core", [()]),
        ("class late_start", [()]),
        ("class main hal", [()]),
        ("class main\n disabled", []),
        ("class charger", []),
        ("disabled\n class core", []),
        ("user root", []),  # class default is never started here
    ],
)
def test_services_start_with_their_class_unless_disabled(options: str, conditions: list[tuple[str, ...]]) -> None:
    runs = android(__system__etc__init__t_rc=f"service t /system/bin/telnetd -F\n {options}\n")
    assert started(runs, "telnetd") == conditions


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        ("on boot\n start t", [()]),
        ("on property:ro.debuggable=1\n start t", []),
        ("on property:ro.debuggable=0\n start t", [()]),
        ("on property:sys.boot_completed=1\n start t", [()]),
        ("on property:sys.boot_completed=1 && property:ro.debuggable=1\n start t", []),
        ("on boot && property:ro.debuggable=0\n start t", [()]),
        ("on property:persist.vendor.telnet=1\n start t", [("property persist.vendor.telnet=1",)]),
        ("on property:ro.telnet=*\n start t", []),
        ("on charger\n start t", []),
        ("on boot\n setprop vendor.x 1\non property:vendor.x=1\n start t", [()]),
        ("on boot\n trigger mine\non mine\n exec_start t", [()]),
        ("on boot\n enable t", [()]),
    ],
)
def test_triggers_and_properties_decide(trigger: str, expected: list[tuple[str, ...]]) -> None:
    rc = f"service t /system/bin/telnetd -F\n class main\n disabled\n{trigger}\n"
    assert started(android(__vendor__etc__init__t_rc=rc), "telnetd") == expected


@pytest.mark.parametrize(
    ("props", "expected"),
    [
        ("ro.debuggable=0\npersist.sys.usb.config=mtp\n", []),
        ("ro.debuggable=1\npersist.sys.usb.config=adb\n", [()]),
        ("ro.debuggable=0\n", [("property sys.usb.config=adb",)]),
    ],
)
def test_adbd_starts_where_the_properties_say_so(props: str, expected: list[tuple[str, ...]]) -> None:
    assert started(android(props=props), "adbd") == expected


def test_adb_over_the_network_is_told() -> None:
    runs = android(props="ro.debuggable=1\npersist.sys.usb.config=adb\nservice.adb.tcp.port=5555\nro.adb.secure=0\n")
    (adbd,) = [run for run in runs if run.name == "adbd"]
    assert adbd.detail["service.adb.tcp.port"] == "5555"
    assert adbd.detail["ro.adb.secure"] == "0"
    assert adbd.detail["socket"] == "adbd stream 660 system system"


def test_a_debuggable_build_has_a_shell_on_the_console() -> None:
    tree = {
        "/init": _ELF,
        "/init.rc": _RC,
        "/default.prop": "ro.debuggable=1\n",
        "/system/bin/sh": _ELF,
        "/sbin/x": _ELF,
        "/dev/x": "",
    }
    (boot,) = boots(firmware_of(tree))
    assert [(entry.id, entry.command) for entry in boot.entries] == [("console", "/system/bin/sh")]


def test_user_group_and_capabilities_are_kept() -> None:
    rc = "service v /system/bin/vendord\n class main\n user system\n group inet net_raw\n capabilities NET_ADMIN\n oneshot\n"
    (run,) = [run for run in android(__vendor__etc__init__v_rc=rc) if run.name == "vendord"]
    assert (run.user, run.manner, run.detail["group"], run.detail["capabilities"]) == (
        "system",
        "oneshot",
        "inet net_raw",
        "NET_ADMIN",
    )


def test_the_board_file_is_read_when_one_fits_and_a_later_override_counts() -> None:
    board = "service t /system/bin/telnetd\n class main\n disabled\nservice t /system/bin/telnetd -p 24\n class main\n override\n"
    runs = android(**{"/init.board_rc": board})
    assert [run.words for run in runs if run.name == "telnetd"] == [("/system/bin/telnetd", "-p", "24")]


def test_scripts_of_services_are_followed() -> None:
    rc = "service s /system/bin/sh /system/etc/start.sh\n class main\n user root\n"
    runs = android(__system__etc__init__s_rc=rc, **{"/system/etc/start.sh": "#!/system/bin/sh\ntelnetd -l /system/bin/sh &\n"})
    assert started(runs, "telnetd") == [()]
    assert next(run.place.path for run in runs if run.name == "telnetd") == "/system/etc/start.sh"


# --------------------------------------------------------------------------- a system partition without the root around it

SYSTEM: dict[str, bytes | str] = {
    "/build.prop": "ro.build.type=userdebug\nro.debuggable=1\nro.product.model=Cam\n",
    "/framework/framework.jar": b"PK",
    "/bin/app_process": _ELF,
    "/bin/netd": _ELF,
    "/bin/adbd": _ELF,
    "/etc/init/netd.rc": "service netd /system/bin/netd\n class main\nservice off /system/bin/adbd\n class main\n disabled\n",
    "/etc/init/adbd.rc": "on boot\n    start adbd\nservice adbd /system/bin/adbd\n    class core\n    disabled\n",
}
VENDOR: dict[str, bytes | str] = {
    "/build.prop": "a=b\n",
    "/bin/sh": _ELF,
    "/lib/x.so": _ELF,
    "/etc/init/camd.rc": "service camd /vendor/bin/sh\n",
}


def test_a_system_partition_alone_is_a_root_whose_classes_start_under_a_condition() -> None:
    firmware = firmware_of(SYSTEM)
    (boot,) = boots(firmware)
    assert (boot.kind, boot.root.is_root) == ("android", True)
    runs = {run.name: [*run.conditions] for run in boot.runs}
    assert runs == {"netd": ["init.rc of the boot image starts the class main"], "adbd": []}
    assert any("init.rc" in hole.reason for hole in boot.holes)
    assert platform(firmware).startswith("Android")


def test_a_vendor_partition_is_no_root() -> None:
    assert not firmware_of(VENDOR).filesystems[0].is_root


def test_a_system_partition_belongs_to_the_root_that_the_image_holds() -> None:
    top = firmware_of(
        {
            "/init": _ELF,
            "/init.rc": "on boot\n    class_start main\n",
            "/sbin/x": _ELF,
            "/dev/x": "",
            "/proc/x": "",
            "/system/y": "",
        }
    )
    system = firmware_of(SYSTEM)
    nodes = [*top.nodes, *(structs.replace(node, chain=("test.bin", "system", "ext4@0x0")) for node in system.nodes)]
    facts = {found.sha256: found for each in (top, system) for _, found in each.contents()}
    both = Firmware(top.image, nodes, facts, top.coverage)
    assert [fs.chain[-1] for fs in both.roots()] == ["squashfs@0x0"]
