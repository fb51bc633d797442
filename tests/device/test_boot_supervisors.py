"""OpenRC, runit, s6, Finit: what their directories and stanzas start, and as whom."""

from __future__ import annotations

import pytest
from support.trees import Link, firmware_of

from fwcheck.device.boot import Boot, boots

_ELF = b"\x7fELF" + bytes(60)
_BASE: dict[str, bytes | str] = {
    "/bin/busybox": _ELF,
    "/bin/sh": Link("busybox"),
    "/lib/x": "",
    "/dev/x": "",
    **{f"/usr/sbin/{name}": _ELF for name in ("telnetd", "dropbear", "ntpd")},
}
_INITTAB = "::sysinit:/sbin/openrc sysinit\n::sysinit:/sbin/openrc boot\n::wait:/sbin/openrc default\n"
_OPENRC: dict[str, bytes | str] = _BASE | {
    "/sbin/init": Link("../bin/busybox"),
    "/etc/inittab": _INITTAB,
    "/sbin/openrc": _ELF,
}


def boot_of(files: dict[str, bytes | str]) -> Boot:
    (boot,) = boots(firmware_of(files))
    return boot


def rows(boot: Boot, name: str = "telnetd") -> list[tuple[tuple[str, ...], str]]:
    return [(run.words[1:], run.user) for run in boot.runs if run.name == name and not run.conditions]


def script(body: str) -> str:
    return "#!/sbin/openrc-run\n" + body


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('command=/usr/sbin/telnetd\ncommand_args="-p $PORT"\n', [(("-p", "24"), "")]),
        ("command=/usr/sbin/telnetd\ncommand_user=tel:tel\n", [((), "tel")]),
        ('command=/usr/sbin/telnetd\nstart_stop_daemon_args="--user tel"\ncommand_args_background=-b\n', [(("-b",), "tel")]),
        ("command=/usr/sbin/telnetd\nsupervisor=supervise-daemon\ncommand_args_foreground=-F\n", [(("-F",), "")]),
        (
            "start() {\n ebegin x\n start-stop-daemon --start --exec /usr/sbin/telnetd -- -l /bin/sh\n eend $?\n}\n",
            [(("-l", "/bin/sh"), "")],
        ),
        ("command=/usr/sbin/telnetd\nstart() {\n yesno $ENABLED || return 1\n default_start\n}\n", []),
        ("command=/usr/sbin/telnetd\nstart_pre() {\n checkpath -d /run/x\n}\n", [((), "")]),
        ("start() {\n supervise-daemon tel --start -u tel:tel /usr/sbin/telnetd -- -F\n}\n", [(("-F",), "tel")]),
    ],
)
def test_openrc_services(body: str, expected: list[tuple[tuple[str, ...], str]]) -> None:
    files = _OPENRC | {"/etc/init.d/tel": script(body), "/etc/conf.d/tel": "PORT=24\nENABLED=no\n"}
    assert rows(boot_of(files)) == []
    assert rows(boot_of(files | {"/etc/runlevels/default/tel": Link("/etc/init.d/tel")})) == expected


def test_openrc_starts_what_a_service_needs_and_follows_stacked_runlevels() -> None:
    files = _OPENRC | {
        "/etc/init.d/tel": script("command=/usr/sbin/telnetd\n"),
        "/etc/init.d/app": script("depend() {\n\tneed tel net\n\tafter ntp\n}\n"),
        "/etc/init.d/ntp": script("command=/usr/sbin/ntpd\n"),
        "/etc/runlevels/more/app": Link("/etc/init.d/app"),
        "/etc/runlevels/default/more": Link("/etc/runlevels/more"),
    }
    boot = boot_of(files)
    assert (rows(boot), rows(boot, "ntpd")) == ([((), "")], [])


def test_openrc_init_is_followed_by_itself() -> None:
    files = _BASE | {"/sbin/init": Link("openrc-init"), "/sbin/openrc-init": _ELF, "/etc/init.d/tel": script("command=telnetd\n")}
    boot = boot_of(files | {"/etc/runlevels/boot/tel": Link("/etc/init.d/tel")})
    assert (boot.kind, rows(boot)) == ("openrc", [((), "")])


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("#!/bin/sh\nexec 2>&1\nexec chpst -u tel telnetd -F\n", [(("-F",), "tel")]),
        ("#!/bin/sh\nexec setuidgid tel telnetd -F\n", [(("-F",), "tel")]),
        ("#!/bin/sh\nexec chpst -m 100 -e ./env telnetd\n", [((), "")]),
        ("#!/bin/sh\nexec su-exec tel:tel telnetd\n", [((), "tel")]),
        ("#!/bin/sh\nexec su - tel -c 'telnetd -F'\n", [(("-F",), "tel")]),
        ("#!/bin/sh\nexec sudo -u tel -E telnetd\n", [((), "tel")]),
        ("#!/bin/sh\nsv start net || exit 1\nexec telnetd\n", None),
    ],
)
def test_runit_services_and_their_users(run: str, expected: list[tuple[tuple[str, ...], str]] | None) -> None:
    files = _BASE | {
        "/sbin/init": Link("runit-init"),
        "/sbin/runit-init": _ELF,
        "/usr/bin/runsvdir": _ELF,
        "/usr/bin/sv": _ELF,
        "/etc/runit/2": "#!/bin/sh\nexec env - PATH=$PATH runsvdir -P /etc/service 'log: ...'\n",
        "/etc/sv/tel/run": run,
        "/etc/service/tel": Link("/etc/sv/tel"),
        "/etc/sv/ntp/run": "#!/bin/sh\nexec ntpd\n",
    }
    boot = boot_of(files)
    assert boot.kind == "runit"
    assert rows(boot, "ntpd") == []
    if expected is None:
        assert [run.name for run in boot.runs if run.name == "telnetd"] == ["telnetd"]
    else:
        assert rows(boot) == expected
    assert rows(boot_of(files | {"/etc/sv/tel/down": ""})) == []


def s6(**more: bytes | str) -> dict[str, bytes | str]:
    return _BASE | {"/init": "#!/command/execlineb -S0\nfoo\n", "/etc/s6-overlay/x": ""} | more


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("#!/command/execlineb -P\nfdmove -c 2 1\ns6-setuidgid tel\ntelnetd -F\n", [(("-F",), "tel")]),
        ("#!/command/with-contenv sh\nexec telnetd -F\n", [(("-F",), "")]),
        ("#!/command/execlineb -P\nforeground { echo starting }\ntelnetd\n", [((), "")]),
        ("#!/bin/sh\nexec s6-setuidgid tel telnetd\n", [((), "tel")]),
    ],
)
def test_s6_overlay_bundles(run: str, expected: list[tuple[tuple[str, ...], str]]) -> None:
    top = "/etc/s6-overlay/s6-rc.d"
    files = s6(**{f"{top}/user/type": "bundle\n", f"{top}/tel/type": "longrun\n", f"{top}/tel/run": run})
    assert rows(boot_of(files)) == []
    boot = boot_of(files | {f"{top}/user/contents.d/tel": ""})
    assert (boot.kind, rows(boot)) == ("s6", expected)


def test_s6_dependencies_up_scripts_and_old_services() -> None:
    top = "/etc/s6-overlay/s6-rc.d"
    files = s6(
        **{
            f"{top}/user/contents.d/app": "",
            f"{top}/app/type": "oneshot\n",
            f"{top}/app/up": "/etc/up.sh\n",
            f"{top}/app/dependencies.d/tel": "",
            f"{top}/tel/run": "#!/bin/sh\nexec telnetd\n",
            "/etc/up.sh": "#!/bin/sh\nntpd &\n",
            "/etc/services.d/ssh/run": "#!/usr/bin/with-contenv sh\nexec dropbear -F\n",
        }
    )
    boot = boot_of(files)
    assert (rows(boot), rows(boot, "ntpd"), rows(boot, "dropbear")) == ([((), "")], [((), "")], [(("-F",), "")])


@pytest.mark.parametrize(
    ("stanza", "expected"),
    [
        ("service [2345] <net/iface/lo> telnetd -F -- Telnet daemon", [(("-F",), "")]),
        ("service [345] telnetd -F", []),
        ("service [S12345] @tel:tel name:t pid:!/run/t.pid telnetd", [((), "tel")]),
        ("runlevel 3\nservice [3] telnetd", [((), "")]),
        ("service manual:yes telnetd", []),
        ("inetd tcp/telnet nowait [2345] /usr/sbin/telnetd -i", [(("-i",), "")]),
        ("# service telnetd", []),
        ("task [2] /etc/t.sh -- script", [((), "")]),
        ("sysv [2] /etc/init.d/tel", [((), "")]),
    ],
)
def test_finit_stanzas(stanza: str, expected: list[tuple[tuple[str, ...], str]]) -> None:
    files = _BASE | {
        "/sbin/init": Link("finit"),
        "/sbin/finit": _ELF,
        "/etc/finit.conf": stanza + "\ntty [12345] /dev/ttyS0 115200 vt100\n",
        "/etc/t.sh": "#!/bin/sh\ntelnetd\n",
        "/etc/init.d/tel": "#!/bin/sh\n[ $1 = start ] && telnetd\n",
    }
    boot = boot_of(files)
    assert (boot.kind, rows(boot)) == ("finit", expected)
    assert [entry.id for entry in boot.entries] == ["ttyS0"]
