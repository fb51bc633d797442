"""Boot files with any content at all: an answer comes, soon, and nothing is raised."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.trees import Link, firmware_of

from fwcheck.analysers import debug, network, network_configuration, transport
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
