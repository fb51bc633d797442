"""inetd and xinetd: services on connection, switched off in every way their files know, with user and address."""

from __future__ import annotations

import pytest
from support.trees import Link, firmware_of

from fwcheck.device.boot import boots

_ELF = b"\x7fELF" + bytes(60)
_ON = (
    "service telnet\n{\n disable = no\n socket_type = stream\n user = tel\n"
    " server = /usr/sbin/telnetd\n server_args = -l /bin/sh\n}\n"
)


def offered(daemon: str, files: dict[str, bytes | str]) -> list[tuple[tuple[str, ...], str, str, dict[str, str]]]:
    tree: dict[str, bytes | str] = {
        "/bin/busybox": _ELF,
        "/sbin/init": Link("../bin/busybox"),
        "/bin/sh": Link("busybox"),
        "/lib/x": "",
        "/etc/inittab": f"::respawn:/usr/sbin/{daemon}\n",
        "/usr/sbin/telnetd": _ELF,
        f"/usr/sbin/{daemon.split(maxsplit=1)[0]}": _ELF,
    }
    (boot,) = boots(firmware_of(tree | files))
    return [(run.words[1:], run.user, run.manner, dict(run.detail)) for run in boot.runs if run.name == "telnetd"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("telnet stream tcp nowait root /usr/sbin/telnetd telnetd -i\n", [(("-i",), "root", "inetd telnet/tcp", {})]),
        ("telnet stream tcp6 nowait tel.grp /usr/sbin/tcpd /usr/sbin/telnetd\n", [((), "tel", "inetd telnet/tcp6", {})]),
        ("23 stream tcp nowait root:wheel /bin/busybox telnetd -i\n", [(("-i",), "root", "inetd 23/tcp", {})]),
        ("127.0.0.1:23 stream tcp nowait root telnetd telnetd\n", [((), "root", "inetd 23/tcp", {"address": "127.0.0.1"})]),
        ("127.0.0.1:\n23 stream tcp nowait root telnetd telnetd\n", [((), "root", "inetd 23/tcp", {"address": "127.0.0.1"})]),
        ("#<off># telnet stream tcp nowait root /usr/sbin/telnetd telnetd\n", []),
        ("echo stream tcp nowait root internal\n", []),
        ("telnet stream tcp\n", []),
    ],
)
def test_inetd(text: str, expected: list[tuple[tuple[str, ...], str, str, dict[str, str]]]) -> None:
    assert offered("inetd", {"/etc/inetd.conf": text}) == expected
    assert offered("inetd /etc/my.conf", {"/etc/my.conf": text, "/etc/inetd.conf": ""}) == expected


@pytest.mark.parametrize(
    ("defaults", "service", "count"),
    [
        ("", _ON, 1),
        ("", _ON.replace("disable = no", "disable = yes"), 0),
        ("", _ON.replace("disable = no", "# disable = yes"), 1),
        ("defaults\n{\n disabled = telnet ftp\n}\n", _ON, 0),
        ("defaults\n{\n enabled = ftp\n}\n", _ON, 0),
        ("defaults\n{\n enabled = ftp\n enabled += telnet\n}\n", _ON, 1),
        ("", _ON.replace(" server =", " xserver ="), 0),
    ],
)
def test_xinetd(defaults: str, service: str, count: int) -> None:
    files = {"/etc/xinetd.conf": defaults + "includedir /etc/xinetd.d\n", "/etc/xinetd.d/telnet": service}
    assert offered("xinetd", files) == [(("-l", "/bin/sh"), "tel", "xinetd telnet/tcp", {})] * count
    moved = {"/etc/xinetd.conf": defaults + "include /opt/x\n", "/opt/x": service, "/etc/xinetd.d/t.rpmsave": _ON}
    assert len(offered("xinetd", moved)) == count


def test_xinetd_address_access_and_names_in_arguments() -> None:
    text = _ON.replace("}", " bind = 127.0.0.1\n only_from = 10.0.0.0/8\n flags = REUSE NAMEINARGS\n}").replace(
        "-l", "telnetd -l"
    )
    ((words, _, _, detail),) = offered("xinetd", {"/etc/xinetd.conf": text})
    assert (words, detail) == (("-l", "/bin/sh"), {"address": "127.0.0.1", "only_from": "10.0.0.0/8"})


def test_files_that_include_each_other_end() -> None:
    files = {"/etc/xinetd.conf": "include /a\n", "/a": "include /etc/xinetd.conf\ninclude /a\n" + _ON}
    assert len(offered("xinetd", files)) == 1
