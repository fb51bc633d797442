"""Isolation of services: users, systemd sandboxes, procd jails, SELinux, AppArmor."""

from __future__ import annotations

import pytest
from support.trees import Link, firmware_of

from fwcheck.device.firmware import Firmware
from fwcheck.device.isolation import isolation
from fwcheck.device.services import services
from fwcheck.model import Coverage, Image, Node, NodeKind, Trait

_ELF = b"\x7fELF\1\2\1" + bytes(60)
UNIT = "[Service]\nExecStart=/usr/sbin/webd\n{}\n[Install]\nWantedBy=multi-user.target\n"
SYSTEMD: dict[str, bytes | str] = {
    "/lib/systemd/systemd": _ELF, "/sbin/init": Link("/lib/systemd/systemd"), "/usr/sbin/webd": _ELF, "/bin/x": "", "/etc/x": "",
    "/lib/systemd/system/default.target": Link("multi-user.target"),
    "/lib/systemd/system/multi-user.target": "[Unit]\nDescription=x\n",
    "/etc/systemd/system/multi-user.target.wants/webd.service": Link("/lib/systemd/system/webd.service"),
}  # fmt: skip
PROCD: dict[str, bytes | str] = {
    "/sbin/procd": _ELF, "/sbin/init": _ELF, "/bin/busybox": _ELF, "/bin/sh": Link("busybox"), "/lib/x": "",
    "/usr/sbin/webd": _ELF, "/etc/inittab": "::sysinit:/etc/init.d/rcS S boot\n", "/etc/rc.d/S50webd": Link("../init.d/webd"),
    "/etc/rc.common": "#!/bin/sh\n",
    "/etc/init.d/webd": "#!/bin/sh /etc/rc.common\nSTART=50\nUSE_PROCD=1\nstart_service() {\n\tprocd_open_instance\n"
    "\tprocd_set_param command /usr/sbin/webd\n\tprocd_add_jail webd ubus log\n\tprocd_set_param seccomp /etc/seccomp/webd.json\n"
    "\tprocd_close_instance\n}\n",
}  # fmt: skip


def found(files: dict[str, bytes | str], detail: dict[str, str | int] | None = None) -> dict[str, Trait]:
    firmware = firmware_of(files)
    if detail:
        node = Node(chain=("test.bin", "fdt@0x0"), path="", kind=NodeKind.CONTAINER, format="fdt", detail=detail)
        facts = {each.sha256: held for each in firmware.nodes if each.sha256 and (held := firmware.facts_of(each))}
        image = Image(name="test.bin", size=1, sha256="0" * 64, format="x")
        firmware = Firmware(image, (*firmware.nodes, node), facts, Coverage())
    return {each.name: each for each in isolation(firmware, services(firmware))}


def test_the_sandbox_of_a_unit_that_is_started() -> None:
    lines = "User=web\nProtectSystem=strict\nNoNewPrivileges=yes\nPrivateTmp=no"
    held = found(SYSTEMD | {"/lib/systemd/system/webd.service": UNIT.format(lines)})
    assert held["systemd sandbox"].detail == "webd.service (2)"
    assert held["systemd sandbox"].evidence[0].location.line == 5
    assert held["users of their own"].detail == "webd as web"


def test_a_unit_without_a_sandbox_or_that_nobody_starts_says_nothing() -> None:
    assert found(SYSTEMD | {"/lib/systemd/system/webd.service": UNIT.format("PrivateTmp=false")}) == {}
    idle = {path: held for path, held in SYSTEMD.items() if "wants" not in path}
    assert found(idle | {"/lib/systemd/system/webd.service": UNIT.format("ProtectSystem=full")}) == {}


@pytest.mark.parametrize(("files", "state"), [({"/sbin/ujail": _ELF}, "yes"), ({}, "no")])
def test_procd_jails_need_their_program(files: dict[str, bytes | str], state: str) -> None:
    held = found(PROCD | files)
    assert held["procd jail"].state == state
    assert held["procd jail"].evidence[0].location.line == 7
    assert held["procd limits"].state == "yes"


@pytest.mark.parametrize(
    ("files", "detail", "state"),
    [
        (
            {"/etc/selinux/config": "SELINUX=enforcing\n", "/etc/selinux/targeted/policy/policy.33": b"\x8c\xff\x7c\xf9"},
            None,
            "yes",
        ),
        ({"/etc/selinux/config": "# SELINUX=enforcing\nSELINUX=permissive\n"}, None, "no"),
        ({"/etc/selinux/config": "SELINUX=enforcing\n"}, None, "unknown"),  # no policy
        ({"/sepolicy": b"\x8c\xff\x7c\xf9"}, {"cmdline": "console=ttyS0 androidboot.selinux=permissive"}, "no"),
        ({"/sepolicy": b"\x8c\xff\x7c\xf9"}, {"cmdline": "console=ttyS0"}, "unknown"),
    ],
)
def test_selinux(files: dict[str, bytes | str], detail: dict[str, str | int] | None, state: str) -> None:
    assert found(PROCD | files, detail)["SELinux"].state == state


def test_apparmor_profiles_that_nothing_loads_are_undecided() -> None:
    profile = "#include <tunables/global>\n/usr/sbin/webd {\n  /etc/webd.conf r,\n}\n"
    assert found(PROCD | {"/etc/apparmor.d/usr.sbin.webd": profile})["AppArmor"].state == "unknown"
    unit = "[Service]\nType=oneshot\nExecStart=/lib/apparmor/apparmor.systemd reload\n"
    loaded = SYSTEMD | {
        "/lib/systemd/system/webd.service": UNIT.format(""), "/lib/systemd/system/apparmor.service": unit,
        "/lib/apparmor/apparmor.systemd": _ELF, "/etc/apparmor.d/usr.sbin.webd": profile,
        "/etc/systemd/system/multi-user.target.wants/apparmor.service": Link("/lib/systemd/system/apparmor.service"),
    }  # fmt: skip
    assert found(loaded)["AppArmor"].state == "yes"
