"""The way back to the factory state: what scripts erase, and what only speaks of it."""

from __future__ import annotations

import time

import pytest
from support.trees import firmware_of

from fwcheck.device.reset import reset

_ELF = b"\x7fELF\1\2\1" + bytes(60)
BASE: dict[str, bytes | str] = {"/sbin/init": _ELF, "/bin/sh": _ELF, "/lib/x": "", "/etc/inittab": "::sysinit:/x\n"}


def rows(files: dict[str, bytes | str]) -> list[tuple[str, str, str]]:
    return [(each.name, each.state, each.detail) for each in reset(firmware_of(BASE | files))]


@pytest.mark.parametrize(
    ("path", "line", "erased"),
    [
        ("/etc/rc.button/reset", "jffs2reset -y && reboot &", "jffs2reset"),
        ("/etc/rc.button/reset", 'echo "y" | firstboot && reboot', "firstboot"),
        ("/usr/sbin/factory-reset.sh", "rm -rf /overlay/*", "/overlay/*"),
        ("/usr/sbin/restore_default.sh", "rm -rf /mnt/data/config", "/mnt/data/config"),
        ("/usr/sbin/restore_default.sh", "cp -a /etc/default_config.xml /config/config.xml", "/config/config.xml"),
        ("/sbin/reset.sh", "mtd -r erase rootfs_data", "rootfs_data"),
        ("/sbin/reset.sh", "flash_eraseall -j /dev/mtd5", "/dev/mtd5"),
        ("/sbin/reset.sh", "nvram erase", "erase"),
        ("/sbin/reset.sh", "ralink_init clear 2860", "ralink_init clear 2860"),
        (
            "/usr/lib/lua/luci/controller/system.lua",
            'fork_exec("sleep 1; mtd -r erase rootfs_data")',
            "",
        ),  # says nothing of a reset
    ],
)
def test_scripts_that_erase(path: str, line: str, erased: str) -> None:
    held = [each for each in rows({path: f"#!/bin/sh\n{line}\n"}) if each[0] == "reset handler"]
    assert held == ([("reset handler", "yes", erased)] if erased else [])


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/etc/init.d/rcS", "rm -rf /tmp/*"),
        ("/etc/init.d/rcS", "rm -rf /overlay/tmp  # leftovers"),
        ("/usr/sbin/factory-reset.sh", "# rm -rf /overlay/*"),
        ("/usr/sbin/factory-reset.sh", "rm -rf /tmp/work"),
        ("/sbin/reset.sh", "mtd erase firmware"),  # an update
        ("/etc/rc.button/reset", 'echo "run firstboot to reset"'),
        ("/etc/init.d/done", "firstboot switch2jffs  # not a reset"),
        ("/lib/functions/reset.sh", "nvram_default() {"),
        ("/default/rcS", "cp -r /default/etc/* /etc"),  # every boot does so
    ],
)
def test_scripts_that_do_not(path: str, line: str) -> None:
    assert [each for each in rows({path: f"#!/bin/sh\n{line}\n"}) if each[0] == "reset handler"] == []


def test_lists_and_notes_are_no_handlers() -> None:
    assert rows({"/usr/lib/opkg/info/base-files.list": "/sbin/firstboot\n", "/rom/note": "run firstboot to reset\n"}) == []


def test_pages_and_programs_that_speak_of_it() -> None:
    page = "<form action=/cgi-bin/x><input type=submit value='Restore Default'></form>"
    held = rows({"/www/RestoreDefaultCfgRpm.htm": page, "/usr/bin/httpd": _ELF + b"\0RestoreDefault\0"})
    assert held == [("reset page", "unknown", "1 places"), ("reset in a program", "unknown", "1 places")]
    assert rows({"/lib/modules/wifi.ko": _ELF + b"\0reset to default\0", "/usr/sbin/pppd": _ELF + b"\0restore defaults\0"}) == []


def test_the_first_boot_of_systemd_is_no_reset() -> None:
    assert rows({"/usr/bin/systemd-firstboot": _ELF + b"\0firstboot\0"}) == []
    assert [each[0] for each in rows({"/sbin/firstboot": _ELF})] == ["reset in a program"]


def test_hostile_scripts_do_not_take_long() -> None:
    text = "#!/bin/sh\n# factory reset\n" + "rm -rf " * 30_000 + "\ncp " + "a" * 30_000 + "\nmkfs " + "x " * 20_000 + "\n"
    firmware = firmware_of(BASE | {"/usr/sbin/factory-reset.sh": text[:250_000]})
    begin = time.process_time()
    reset(firmware)
    assert time.process_time() - begin < 0.5
