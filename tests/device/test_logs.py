"""Logging: who keeps the log, whether it lasts, and who gets it."""

from __future__ import annotations

import pytest
from support.trees import Link, firmware_of

from fwcheck.device.logs import logs

_ELF = b"\x7fELF\1\2\1" + bytes(60)
BASE: dict[str, bytes | str] = {
    "/bin/busybox": _ELF, "/sbin/init": Link("../bin/busybox"), "/bin/sh": Link("busybox"), "/lib/x": "",
    "/sbin/syslogd": Link("../bin/busybox"), "/etc/inittab": "::sysinit:/etc/init.d/rcS\n", "/etc/init.d/rcS": "#!/bin/sh\n",
}  # fmt: skip
SYSTEMD: dict[str, bytes | str] = {
    "/lib/systemd/systemd": _ELF, "/sbin/init": Link("/lib/systemd/systemd"), "/bin/x": "", "/lib/systemd/systemd-journald": _ELF,
    "/lib/systemd/system/default.target": "[Unit]\nDescription=x\n", "/etc/x": "",
}  # fmt: skip


def rows(files: dict[str, bytes | str], base: dict[str, bytes | str] | None = None) -> dict[str, tuple[str, str]]:
    return {each.name: (each.state, each.detail) for each in logs(firmware_of((base or BASE) | files))}


def script(line: str) -> dict[str, bytes | str]:
    return {"/etc/init.d/rcS": f"#!/bin/sh\n{line}\n"}


def test_nothing_that_is_started_gives_no_row() -> None:
    assert rows({}) == {}
    assert rows(script("# syslogd -n")) == {}


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("syslogd -C64", ("no", "circular buffer in memory")),
        ("syslogd -O /tmp/messages", ("no", "/tmp/messages lies in memory")),
        ("syslogd -O /mnt/data/messages -s 200 -b 4", ("yes", "/mnt/data/messages")),
        ("syslogd -n", None),  # what /var/log is there, the image does not tell
    ],
)
def test_where_the_log_of_busybox_lies(line: str, kept: tuple[str, str] | None) -> None:
    held = rows(script(line))
    assert held["system log"] == ("yes", line)
    assert held.get("log kept over a restart") == kept


def test_a_link_into_memory_is_followed() -> None:
    held = rows(script("syslogd -n") | {"/var/log": Link("/tmp/log"), "/tmp": Link("/dev/shm")})
    assert held["log kept over a restart"][0] == "no"


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (script("syslogd -R 192.0.2.1:514"), "udp to 192.0.2.1:514"),
        ({"/etc/config/system": "config system\n\toption log_ip '192.0.2.9'\n"}, "to 192.0.2.9"),
        ({"/etc/config/system": "config system\n\toption log_ip '0.0.0.0'\n"}, ""),
        (script("rsyslogd") | {"/etc/rsyslog.conf": "*.* @192.0.2.7:514\n"}, "udp to 192.0.2.7:514"),
        (
            script("rsyslogd") | {"/etc/rsyslog.d/r.conf": "# *.* @@192.0.2.7\nauth,authpriv.* @@192.0.2.7:6514\n"},
            "tcp to 192.0.2.7:6514",
        ),
        (
            script("rsyslogd")
            | {"/etc/rsyslog.conf": "$DefaultNetstreamDriver gtls\n$ActionSendStreamDriverMode 1\n*.* @@log.example.org:6514\n"},
            "TLS to log.example.org:6514",
        ),
        (script("rsyslogd") | {"/etc/rsyslog.conf": "*.* -/var/log/messages\nmail.* /var/log/mail\n"}, ""),
        ({"/etc/rsyslog.conf": "*.* @192.0.2.7\n"}, ""),  # nobody reads it
    ],
)
def test_who_else_gets_it(files: dict[str, bytes | str], told: str) -> None:
    held = rows(files | {"/usr/sbin/rsyslogd": _ELF})
    assert held.get("remote log", ("", ""))[1] == told


@pytest.mark.parametrize(
    ("files", "kept"),
    [
        ({"/etc/systemd/journald.conf": "[Journal]\nStorage=volatile\n"}, "no"),
        ({"/etc/systemd/journald.conf": "[Journal]\n#Storage=volatile\nStorage=persistent\n"}, "yes"),
        ({"/var/log/journal/x": ""}, "yes"),
        ({"/etc/systemd/journald.conf": "[Journal]\n#Storage=auto\n"}, ""),
    ],
)
def test_the_journal(files: dict[str, bytes | str], kept: str) -> None:
    held = rows(files, SYSTEMD)
    assert held["system log"] == ("yes", "systemd-journald")
    assert held.get("log kept over a restart", ("", ""))[0] == kept


def test_pages_that_show_a_log_and_the_clock() -> None:
    held = rows(script("ntpd -n -p pool.ntp.org &") | {"/web/userRpm/SystemLogRpm.htm": "<p>", "/usr/sbin/ntpd": _ELF})
    assert held["log page"] == ("unknown", "/web/userRpm/SystemLogRpm.htm")
    assert held["time"] == ("yes", "ntpd")
    assert "log page" not in rows({"/web/login.htm": "<p>", "/web/dialog.htm": "<p>"})
