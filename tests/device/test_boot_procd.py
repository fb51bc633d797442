"""OpenWrt's procd: as whom an instance runs, how it is confined, and where its script is enabled."""

from __future__ import annotations

import pytest
from support.trees import Link, firmware_of

from fwcheck.device.boot import boots
from fwcheck.device.shell.world import Run

_ELF = b"\x7fELF" + bytes(60)


def runs(body: str, *, link: bool = True, **more: bytes | str) -> list[Run]:
    files: dict[str, bytes | str] = {
        "/bin/busybox": _ELF,
        "/sbin/init": _ELF,
        "/sbin/procd": _ELF,
        "/lib/x": "",
        "/usr/sbin/telnetd": _ELF,
        "/etc/inittab": "::sysinit:/etc/init.d/rcS S boot\n::shutdown:/etc/init.d/rcS K shutdown\n",
        "/etc/init.d/tel": f"#!/bin/sh /etc/rc.common\nSTART=50\nUSE_PROCD=1\nstart_service() {{\n{body}\n}}\n",
    }
    files |= {"/etc/rc.d/S50tel": Link("../init.d/tel")} if link else {}
    (boot,) = boots(firmware_of(files | {name.replace("__", "/"): content for name, content in more.items()}))
    assert boot.kind == "procd"
    return [run for run in boot.runs if run.name == "telnetd"]


_INSTANCE = "procd_open_instance\nprocd_set_param command /usr/sbin/telnetd -F\n{}\nprocd_close_instance"


@pytest.mark.parametrize(
    ("lines", "user", "detail"),
    [
        ("", "", {}),
        ("procd_set_param user nobody\nprocd_set_param group nogroup", "nobody", {"group": "nogroup"}),
        (
            "procd_set_param capabilities /etc/cap.json\nprocd_set_param no_new_privs 1",
            "",
            {"capabilities": "/etc/cap.json", "no_new_privs": "1"},
        ),
        ("procd_set_param respawn 3600 5 0", "", {"respawn": "3600 5 0"}),
        ("procd_add_jail tel log ubus\nprocd_add_jail_mount /etc/x", "", {}),
    ],
)
def test_user_and_confinement_of_an_instance(lines: str, user: str, detail: dict[str, str]) -> None:
    (run,) = runs(_INSTANCE.format(lines))
    assert (run.words, run.user, run.detail, run.conditions) == (("/usr/sbin/telnetd", "-F"), user, detail, ())


def test_a_jail_counts_where_its_program_is_there() -> None:
    (run,) = runs(_INSTANCE.format("procd_add_jail tel log ubus"), __sbin__ujail=_ELF)
    assert run.detail == {"jail": "log ubus"}


def test_a_script_without_a_link_is_not_started() -> None:
    assert runs(_INSTANCE.format(""), link=False) == []
