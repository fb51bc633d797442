"""Boot files with any content at all: an answer comes, soon, and nothing is raised."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.trees import Link, firmware_of

from fwcheck.analysers import debug, network, network_configuration, transport
from fwcheck.device.boot import Boot, boots
from fwcheck.device.consoles import consoles
from fwcheck.device.listeners import listeners
from fwcheck.device.services import services
from fwcheck.model import Device

_ELF = b"\x7fELF" + bytes(60)
_DAEMONS = (
    "inetd",
    "xinetd",
    "crond",
    "telnetd",
    "sshd",
    "uhttpd",
    "lighttpd",
    "nginx",
    "boa",
    "snmpd",
    "vsftpd",
    "mosquitto",
    "dnsmasq",
)
_FILES = {
    "/etc/inittab": "::sysinit:/etc/rcS\nttyS0::askfirst:-/bin/sh\nid:3:initdefault:\nx:3:respawn:/usr/sbin/telnetd -F\n",
    "/etc/inetd.conf": "telnet stream tcp nowait root /usr/sbin/telnetd telnetd -i\n",
    "/etc/xinetd.conf": "service ftp\n{\n disable = no\n server = /usr/sbin/vsftpd\n user = root\n}\n",
    "/etc/crontabs/root": "*/5 * * * * /usr/sbin/telnetd\n@reboot sh -c 'telnetd &'\n",
    "/etc/config/firewall": "config zone\n option name wan\n option input ACCEPT\nconfig rule\n option src wan\n",
    "/etc/config/uhttpd": "config uhttpd main\n list listen_http 0.0.0.0:80\n",
    "/etc/ssh/sshd_config": "Port 22\nListenAddress [::]:22\n",
    "/etc/lighttpd/lighttpd.conf": 'server.port = 80\n$SERVER["socket"] == ":443" {\nssl.cipher-list = "RC4"\n}\n',
    "/etc/nginx/nginx.conf": "server {\n listen 127.0.0.1:80 ssl;\n ssl_protocols TLSv1;\n}\n",
    "/etc/snmp/snmpd.conf": "rocommunity public\ncom2sec a default public\n",
    "/etc/mosquitto/mosquitto.conf": "listener 1883\nallow_anonymous true\n",
    "/etc/default.cfg": "wps_mode=1\nremote_management=1\n",
    "/lib/systemd/system/x.service": "[Unit]\nConditionPathExists=!x\n[Service]\nExecStart=@/telnetd \\\n $A\nEnvironment=A=1",
}


def everything(files: dict[str, bytes | str]) -> None:
    tree: dict[str, bytes | str] = {
        "/sbin/init": _ELF,
        "/bin/sh": _ELF,
        "/lib/x": "",
        "/etc/rcS": "#!/bin/sh\n" + "\n".join(_DAEMONS),
    }
    tree |= {f"/usr/sbin/{name}": _ELF for name in _DAEMONS}
    units = {"/lib/systemd/systemd": _ELF, "/sbin/init": Link("/lib/systemd/systemd")}
    units |= {
        "/lib/systemd/system/default.target.wants/x.service": Link("../x.service"),
        "/lib/systemd/system/default.target": "[Unit]\n",
    }
    for more in ({}, units):
        firmware = firmware_of(tree | files | more)
        started = services(firmware)
        device = Device(services=started, listeners=listeners(firmware, started), consoles=consoles(firmware))
        for analyser in (network, network_configuration, debug, transport):
            list(analyser.analyse(firmware, device))


@pytest.mark.fuzz
def test_damaged_files_give_an_answer() -> None:
    rng = random.Random(11)
    for _ in range(60):
        files: dict[str, bytes | str] = {}
        for path, text in _FILES.items():
            damaged = list(text)
            for _ in range(rng.randint(0, 5)):
                at = rng.randrange(len(damaged))
                damaged[at : at + rng.randint(0, 4)] = rng.choice(
                    ["", "\n", "\\", "'", '"', "[", "]", "{", ":", "=", " ", "\0", "%", "$", "é"]
                )
            files[path] = "".join(damaged)
        everything(files)


@given(st.sampled_from(sorted(_FILES)), st.text(max_size=120))
@settings(max_examples=60, deadline=None)
def test_any_text_in_any_file_gives_an_answer(path: str, text: str) -> None:
    everything({**_FILES, path: text})


@pytest.mark.parametrize("path", sorted(_FILES))
def test_long_files_take_no_long_time(path: str) -> None:
    begin = time.process_time()
    everything({**_FILES, path: (_FILES[path] + "\\\n") * 2000})
    assert time.process_time() - begin < 6


def boot_seconds(files: dict[str, bytes | str]) -> tuple[float, list[Boot]]:
    firmware = firmware_of({"/bin/sh": _ELF, "/lib/x": "", "/dev/x": "", "/usr/sbin/telnetd": _ELF} | files)
    begin = time.process_time()
    found = list(boots(firmware))
    return time.process_time() - begin, found


_BUSYBOX: dict[str, bytes | str] = {"/sbin/init": Link("/bin/busybox"), "/bin/busybox": _ELF}
_SYSTEMD: dict[str, bytes | str] = {"/sbin/init": Link("/lib/systemd/systemd"), "/lib/systemd/systemd": _ELF}


def chain_of_units(count: int) -> dict[str, bytes | str]:
    top = "/lib/systemd/system"
    units: dict[str, bytes | str] = {
        f"{top}/u{number}.service": f"[Unit]\nRequires=u{(number + 1) % count}.service u{(number * 7) % count}.service\n"
        f"[Service]\nExecStart=/usr/sbin/telnetd -p {number}\n"
        for number in range(count)
    }
    return _SYSTEMD | units | {f"{top}/default.target": "[Unit]\nRequires=u0.service\n"}


HOSTILE: dict[str, tuple[dict[str, bytes | str], bool]] = {  # files, and whether the boot says that it could not follow
    "scripts that read each other": (
        _BUSYBOX | {"/etc/inittab": "::sysinit:/etc/a\n", "/etc/a": "#!/bin/sh\n. /etc/b\n", "/etc/b": "#!/bin/sh\n. /etc/a\n"},
        True,
    ),
    "scripts that run each other": (
        _BUSYBOX
        | {"/etc/inittab": "::sysinit:/etc/a\n", "/etc/a": "#!/bin/sh\n/etc/b\n", "/etc/b": "#!/bin/sh\n/etc/a\n/etc/a\n"},
        True,
    ),
    "a function that calls itself": (
        _BUSYBOX | {"/etc/inittab": "::sysinit:/etc/a\n", "/etc/a": "#!/bin/sh\nf() { f; f; }\nf\ntelnetd\n"},
        True,
    ),
    "a script of 8 MB": (_BUSYBOX | {"/etc/inittab": "::sysinit:/etc/a\n", "/etc/a": "#!/bin/sh\n" + "x=1;\n" * 1_600_000}, True),
    "an inittab of random bytes": (_BUSYBOX | {"/etc/inittab": random.Random(3).randbytes(300_000)}, False),
    "an inittab of many lines": (_BUSYBOX | {"/etc/inittab": "::respawn:/usr/sbin/telnetd -p 1\n" * 40_000}, False),
    "units that require each other": (chain_of_units(6000), True),
    "a unit of 5 MB": (
        _SYSTEMD
        | {"/lib/systemd/system/default.target": "[Unit]\nRequires=a.service\n"}
        | {"/lib/systemd/system/a.service": "[Service]\n" + "ExecStart=/usr/sbin/telnetd \\\n -F\n" * 160_000},
        False,
    ),
    "loops that never end": (
        _BUSYBOX
        | {
            "/etc/inittab": "::sysinit:/etc/a\n",
            "/etc/a": "#!/bin/sh\ni=0\nwhile [ $i -ge 0 ]; do i=$((i+1)); telnetd -p $i; done\n",
        },
        False,
    ),
    "nested loops": (
        _BUSYBOX
        | {
            "/etc/inittab": "::sysinit:/etc/a\n",
            "/etc/a": "#!/bin/sh\n" + "for a in 1 2 3 4 5 6 7 8 9\ndo\n" * 12 + "telnetd\n" + "done\n" * 12,
        },
        True,
    ),
    "Android files that import each other": (
        {
            "/init": _ELF,
            "/init.rc": "import /a.rc\n",
            "/a.rc": "import /init.rc\nimport /a.rc\non boot\n trigger boot\n start x\n",
        },
        False,
    ),
    "Android properties that set each other": (
        {
            "/init": _ELF,
            "/init.rc": "".join(f"on property:a{i}=1\n setprop a{i} 0\n setprop a{(i + 1) % 300} 1\n" for i in range(300))
            + "on boot\n setprop a0 1\n",
        },
        False,
    ),
    "s6 bundles in a circle": (
        {
            "/init": "#!/command/execlineb\n",
            "/etc/s6-overlay/s6-rc.d/user/contents": "a\nuser\n",
            "/etc/s6-overlay/s6-rc.d/a/dependencies": "a\nuser\n",
            "/etc/s6-overlay/s6-rc.d/a/run": "#!/bin/execlineb\n" + "foreground { " * 3000,
        },
        False,
    ),
    "runlevels in a circle": (
        _BUSYBOX
        | {
            "/etc/inittab": "::sysinit:/sbin/openrc default\n",
            "/sbin/openrc": _ELF,
            "/etc/runlevels/default/a": Link("/etc/runlevels/default"),
            "/etc/init.d/b": "#!/sbin/openrc-run\ndepend() {\n need b c\n}\n",
            "/etc/init.d/c": "#!/sbin/openrc-run\ndepend() {\n need b c\n}\n",
            "/etc/runlevels/default/b": Link("/etc/init.d/b"),
        },
        False,
    ),
    "Finit stanzas without end": (
        {
            "/sbin/init": Link("finit"),
            "/sbin/finit": _ELF,
            "/etc/finit.conf": "service [[[2345] <" + "a" * 100_000 + "\n" + "tty \n" * 9000,
        },
        False,
    ),
    "rules of udev by the thousand": (
        _SYSTEMD
        | {"/lib/systemd/system/default.target": "[Unit]\nRequires=u.service\n"}
        | {
            "/lib/systemd/system/u.service": "[Service]\nExecStart=/lib/systemd/systemd-udevd\n",
            "/lib/systemd/systemd-udevd": _ELF,
        }
        | {"/lib/udev/rules.d/1.rules": 'RUN+="/usr/sbin/telnetd $env{X}"\n' * 20_000},
        False,
    ),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_boots_end_soon_and_say_what_they_leave_out(name: str) -> None:
    files, incomplete = HOSTILE[name]
    seconds, (boot,) = boot_seconds(files)
    assert seconds < 5
    assert bool(boot.holes) or not incomplete
