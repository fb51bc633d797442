"""Consoles: which terminals offer a shell, and whether it asks for a password."""

from __future__ import annotations

import pytest
from support.trees import Link, firmware_of

from fwcheck.device.consoles import consoles

_ELF = b"\x7fELF" + bytes(60)


def tree(inittab: str | None, files: dict[str, bytes | str] | None = None) -> dict[str, bytes | str]:
    base: dict[str, bytes | str] = {"/bin/busybox": _ELF, "/sbin/init": Link("../bin/busybox"), "/lib/x": "", "/etc/x": ""}
    base |= {"/bin/ash": Link("busybox"), "/bin/login": Link("busybox")}
    return base | ({"/etc/inittab": inittab} if inittab is not None else {}) | (files or {})


@pytest.mark.parametrize(
    ("line", "terminal", "asks"),
    [
        ("ttyS0::askfirst:-/bin/sh", "ttyS0", False),
        ("::askfirst:/bin/ash --login", "console", False),
        ("::respawn:/sbin/getty -L ttyS1 115200 vt100", "ttyS1", True),
        ("console::respawn:/sbin/getty -L console 115200 vt100 # GENERIC", "console", True),
        ("ttyS1::askfirst:/bin/login", "ttyS1", True),
        ("/dev/console::respawn:-/bin/sh", "console", False),
        ("ttyS0::respawn:/sbin/getty -n -l /bin/sh ttyS0 115200", "ttyS0", False),
        ("1:2345:respawn:/sbin/agetty --autologin root ttyAMA0", "ttyAMA0", False),
        ("::askconsole:/bin/c.sh", "console", None),
        ("::askconsole:/bin/shell.sh", "console", False),
        ("::askconsole:/bin/login.sh", "console", True),
    ],
)
def test_inittab(line: str, terminal: str, asks: bool | None) -> None:
    scripts = {
        "/bin/c.sh": '#!/bin/sh\n[ "$(uci get system.x.ttylogin)" = 1 ] || exec /bin/ash --login\nexec /bin/login\n',
        "/bin/shell.sh": "#!/bin/sh\n# login\nexec /bin/ash --login\n",
        "/bin/login.sh": "#!/bin/sh\necho sh\nexec /bin/login\n",
    }
    (found,) = consoles(firmware_of(tree(line + "\n", scripts)))
    assert (found.tty, found.authenticated, found.evidence[0].location.line) == (terminal, asks, 1)


def test_comments_and_daemons_are_no_consoles() -> None:
    assert consoles(firmware_of(tree("#ttyS0::askfirst:-/bin/sh\n::respawn:/usr/bin/app\n::sysinit:/etc/rcS\n"))) == ()


def test_busybox_without_an_inittab_offers_a_shell() -> None:
    (found,) = consoles(firmware_of(tree(None)))
    assert (found.command, found.authenticated) == ("/bin/sh", False)


def test_systemd_serial_getty_asks_and_autologin_does_not() -> None:
    base: dict[str, bytes | str] = {
        "/lib/systemd/systemd": _ELF,
        "/sbin/init": Link("/lib/systemd/systemd"),
        "/etc/x": "",
        "/bin/x": "",
    }
    unit = "[Service]\nExecStart=-/sbin/agetty {}--keep-baud 115200 %I $TERM\n"
    link = {
        "/etc/systemd/system/getty.target.wants/serial-getty@ttyS0.service": Link("/lib/systemd/system/serial-getty@.service")
    }
    base |= link | {"/lib/systemd/system/getty.target": "[Unit]\n"}
    (found,) = consoles(firmware_of(base | {"/lib/systemd/system/serial-getty@.service": unit.format("")}))
    assert (found.tty, found.authenticated) == ("ttyS0", True)
    (found,) = consoles(firmware_of(base | {"/lib/systemd/system/serial-getty@.service": unit.format("--autologin root ")}))
    assert found.authenticated is False


@pytest.mark.parametrize(
    ("properties", "options", "found"),
    [
        ("ro.debuggable=0\n", "    console\n    user shell\n", 1),
        ("ro.debuggable=0\n", "    class core\n    console\n    disabled\n", 0),
        ("ro.debuggable=1\n", "    class core\n    console\n    disabled\n", 1),
        ("ro.debuggable=1\n", "    class core\n    disabled\n", 0),  # no console: a shell for something else
    ],
)
def test_android_console_service(properties: str, options: str, found: int) -> None:
    init = f"on boot\n    start x\nservice console /system/bin/sh\n{options}\nservice adbd /sbin/adbd\n    console\n"
    files = {"/init": _ELF, "/init.rc": init, "/default.prop": properties, "/system/bin/sh": _ELF}
    seen = consoles(firmware_of({"/etc/x": "", "/bin/y": "", "/dev/z": "", "/sbin/init": _ELF} | files))
    assert [(each.tty, each.authenticated) for each in seen] == [("console", False)] * found


def test_a_getty_that_a_script_starts() -> None:
    script = "#!/bin/sh\n/sbin/getty -L ttyAMA0 115200 vt100 &\n"
    seen = consoles(firmware_of(tree("::sysinit:/etc/init.d/rcS\n", {"/etc/init.d/rcS": script, "/sbin/getty": _ELF})))
    assert [(each.tty, each.authenticated, each.evidence[0].location.line) for each in seen] == [("ttyAMA0", True, 2)]


@pytest.mark.parametrize(("line", "asks"), [("getty -8 38400 ttyS0", True), ("agetty -a root 115200 ttyS0", False)])
def test_upstart_jobs(line: str, asks: bool) -> None:
    job = f"# serial\nstart on stopped rc RUNLEVEL=[2345]\nrespawn\nexec /sbin/{line}\n"
    files = {"/sbin/init": _ELF, "/sbin/initctl": _ELF, "/bin/sh": _ELF, "/lib/x": "", "/etc/init/ttyS0.conf": job}
    seen = consoles(firmware_of(files))
    assert [(each.tty, each.authenticated) for each in seen] == [("ttyS0", asks)]
    assert consoles(firmware_of(files | {"/etc/init/ttyS0.override": "manual\n"})) == ()


def test_a_unit_that_starts_gettys_is_none_itself() -> None:
    units: dict[str, bytes | str] = {
        "/lib/systemd/systemd": _ELF,
        "/sbin/init": Link("/lib/systemd/systemd"),
        "/bin/x": "",
        "/etc/x": "",
        "/lib/systemd/system/default.target": "[Unit]\nWants=getty-static.service serial-getty@ttyS0.service\n",
        "/lib/systemd/system/getty-static.service": "[Service]\nExecStart=systemctl --no-block start getty@tty2.service\n",
        "/lib/systemd/system/serial-getty@.service": "[Service]\nExecStart=-/sbin/agetty -o '-p -- \\\\u' --keep-baud %I $TERM\n",
    }
    assert [(each.tty, each.authenticated) for each in consoles(firmware_of(units))] == [("ttyS0", True)]
