"""Ports that inetd, tcpsvd or a socket unit opens for a program, and bare shells behind them."""

from __future__ import annotations

import pytest
from support.trees import Link, firmware_of

from fwcheck.analysers import network
from fwcheck.device.build import build
from fwcheck.device.listeners import listeners
from fwcheck.device.services import services

_ELF = b"\x7fELF" + bytes(60)
_UNITS = "/lib/systemd/system"


def systemd(socket: str, service: str, name: str = "d@.service") -> dict[str, bytes | str]:
    return {
        "/usr/lib/systemd/systemd": _ELF,
        "/sbin/init": Link("/usr/lib/systemd/systemd"),
        "/bin/bash": _ELF,
        "/usr/sbin/dropbear": _ELF,
        "/usr/lib/cockpit/cockpit-tls": _ELF,
        f"{_UNITS}/default.target": "[Unit]\nRequires=sockets.target\n",
        f"{_UNITS}/sockets.target": "[Unit]\n",
        f"{_UNITS}/d.socket": f"[Socket]\n{socket}\n",
        f"{_UNITS}/{name}": f"[Service]\n{service}\n",
        "/etc/systemd/system/sockets.target.wants/d.socket": Link(f"{_UNITS}/d.socket"),
    }


def inetd(line: str, **more: str) -> dict[str, bytes | str]:
    return {
        "/sbin/init": _ELF,
        "/etc/inittab": "::sysinit:/etc/rcS\n",
        "/etc/rcS": "#!/bin/sh\ninetd\n",
        "/usr/sbin/inetd": _ELF,
        "/usr/sbin/telnetd": _ELF,
        "/bin/sh": _ELF,
        "/usr/sbin/dbd": _ELF,
        "/etc/inetd.conf": line + "\n",
        **{f"/etc/{name}": text for name, text in more.items()},
    }


def opened(files):
    firmware = firmware_of(files)
    return {(each.service, each.port, each.protocol, each.address) for each in listeners(firmware, services(firmware))}


_ACCEPT = "ExecStart=-/usr/sbin/dropbear -i -r /etc/key\nStandardInput=socket"


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        (systemd("ListenStream=22\nAccept=yes", _ACCEPT), {("dropbear", 22, "tcp", "0.0.0.0")}),
        (systemd("ListenStream=127.0.0.1:2222\nAccept=yes", _ACCEPT), {("dropbear", 2222, "tcp", "127.0.0.1")}),
        (
            systemd("ListenStream=9090\nListenStream=/run/x.sock", "ExecStart=/usr/lib/cockpit/cockpit-tls", "d.service"),
            {("cockpit-tls", 9090, "tcp", "0.0.0.0")},
        ),
        (
            systemd("ListenDatagram=[::1]:5000", "ExecStart=/usr/lib/cockpit/cockpit-tls", "d.service"),
            {("cockpit-tls", 5000, "udp", "::1")},
        ),
        (systemd("ListenStream=/run/x.sock", "ExecStart=/usr/lib/cockpit/cockpit-tls", "d.service"), set()),
        (systemd("ListenStream=99999999", "ExecStart=/usr/lib/cockpit/cockpit-tls", "d.service"), set()),
        (inetd("telnet stream tcp nowait root /usr/sbin/telnetd telnetd -i"), {("telnetd", 23, "tcp", "0.0.0.0")}),
        (inetd("127.0.0.1:telnet stream tcp nowait root /usr/sbin/telnetd telnetd"), {("telnetd", 23, "tcp", "127.0.0.1")}),
        (
            inetd("dbg stream tcp nowait root /usr/sbin/dbd dbd", services="dbg\t\t7001/tcp # x\n"),
            {("dbd", 7001, "tcp", "0.0.0.0")},
        ),
        (inetd("dbg stream tcp nowait root /usr/sbin/dbd dbd"), set()),
    ],
)
def test_what_is_listened_on_for_a_program(files, wanted):
    assert {each for each in opened(files) if each[0] != "inetd"} == wanted


@pytest.mark.parametrize(
    ("files", "severity"),
    [
        (systemd("ListenStream=2300\nAccept=yes", "ExecStart=-/bin/bash -i\nStandardInput=socket"), "critical"),
        (systemd("ListenStream=127.0.0.1:2300\nAccept=yes", "ExecStart=-/bin/bash -i\nStandardInput=socket"), "low"),
        (systemd("ListenStream=/run/shell\nAccept=yes", "ExecStart=-/bin/bash -i\nStandardInput=socket"), None),
        (inetd("4444 stream tcp nowait root /bin/sh sh -i"), "critical"),
        (inetd("4444 stream tcp nowait root /usr/sbin/dbd dbd"), None),
    ],
)
def test_a_bare_shell_behind_a_port(files, severity):
    firmware = firmware_of(files)
    found = [each for each in network.analyse(firmware, build(firmware)) if each.rule == "NET-001"]
    assert [each.severity.value for each in found] == ([severity] if severity else [])
