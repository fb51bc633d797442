"""Updates that do not come by themselves: which settings say so, and which only look like it."""

import pytest
from support.trees import firmware_of

from fwcheck.analysers.automatic_updates import analyse
from fwcheck.model import Device


def found(path, text):
    return list(analyse(firmware_of({"/bin/busybox": b"\x7fELF", path: text}), Device()))


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        ("/etc/config/autoupdater", "config autoupdater settings\n\toption enabled '0'\n\toption branch 'stable'\n", 2),
        ("/etc/config/system", "config system\n\toption auto_upgrade '0'\n", 2),
        ("/etc/nvram_default.txt", "lan_ip=192.168.1.1\nauto_fw_update=0\n", 2),
        ("/usr/share/defaults.json", '{\n "ntp": true,\n "autoUpdate": false\n}\n', 3),
        ("/etc/default.xml", "<Config>\n<AutoUpgrade>0</AutoUpgrade>\n</Config>\n", 2),
        ("/etc/vendor.ini", "[ota]\nauto_update_enable = off\n", 2),
        ("/etc/apt/apt.conf.d/20auto-upgrades", 'APT::Periodic::Unattended-Upgrade "0";\n', 1),
    ],
)
def test_settings_that_switch_updates_off_are_found(path, text, line):
    (finding,) = found(path, text)
    assert (finding.rule, finding.location.path, finding.location.line) == ("UPD-010", path, line)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/config/autoupdater", "config autoupdater settings\n\toption enabled '1'\n"),
        ("/etc/config/system", "config system\n\toption auto_upgrade '1'\n"),
        ("/etc/vendor.ini", "# auto_update=0\n"),
        ("/etc/vendor.ini", "auto_update_time=03:00\n"),
        ("/etc/vendor.ini", "auto_update_interval = 0\n"),
        ("/etc/vendor.ini", "autologin=0\nupdate=0\n"),
        ("/www/js/update.js", "var auto_update = 0;\n"),
        ("/usr/sbin/up.sh", "#!/bin/sh\nauto_update=0\n"),
        ("/etc/apt/apt.conf.d/20auto-upgrades", 'APT::Periodic::Unattended-Upgrade "1";\n'),
        ("/usr/share/unattended-upgrades/20auto-upgrades-disabled", 'APT::Periodic::Unattended-Upgrade "0";\n'),
    ],
)
def test_what_is_on_or_about_something_else_is_not(path, text):
    assert found(path, text) == []


def test_hostile_settings_stay_cheap():
    for text in ("auto" * 60_000 + "update", "auto_update " + " " * 200_000, "autoupdate\n" * 20_000):
        assert found("/etc/vendor.ini", text) == []
