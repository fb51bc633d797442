"""The boot of real images: which daemons their scripts start, and where that can be read."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from fwcheck.model import Device
from fwcheck.pipeline import Options, scan

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real images is not beside the project"),
]


@cache
def device(image: str) -> Device:
    rows = {row["id"]: row["path"] for row in json.loads((CORPUS / "manifest.json").read_text())}
    return scan(CORPUS / rows[image], Options(jobs=1)).device


@pytest.mark.parametrize(
    ("image", "name", "enabled", "started_by"),
    [
        ("cam-sannce", "telnetd", {"no"}, ""),
        ("cam-sannce", "wifidaemon", {"yes"}, "/init/ipcam.sh:7"),
        ("hlk-wr02-rootfs", "goahead", {"yes"}, "/etc_ro/rcS:6"),
        ("hlk-wr02-rootfs", "telnetd", {"unknown"}, "/bin/goahead"),
        ("tplink-wr841nv11-160325", "httpd", {"yes"}, "/etc/rc.d/rcS:37"),
        ("wyze-pan-4.10.0.222", "telnetd", {"yes"}, "/etc/init.d/rcS:22"),
        ("dlink-dir600l-b1", "telnetd", {"unknown"}, "/etc/init0.d/S80telnetd.sh:7"),
        ("openwrt-15.05.1-mr3020", "telnetd", {"yes"}, "/etc/rc.d/S50telnet:35"),
        ("openwrt-15.05.1-mr3020", "dropbear", {"yes"}, "/etc/rc.d/S50dropbear:72"),
        ("luxul-xbr4400", "telnetd", {"no"}, ""),
        ("luxul-xbr4400", "sshd", {"yes"}, "/etc/rc.d/S50sshd:24"),
        ("zisa-op151s", "telnetd", {"yes", "unknown"}, "/etc/rc.d/S50telnet:36"),
    ],
)
def test_started_and_idle_daemons(image: str, name: str, enabled: set[str], started_by: str) -> None:
    found = [each for each in device(image).services if each.name == name]
    assert {each.enabled for each in found} == enabled
    assert started_by in {each.started_by for each in found}


def test_a_loopback_listener_is_told_apart() -> None:
    ports = {(each.port, each.address) for each in device("zisa-op151s").listeners if each.service == "telnetd"}
    assert ports == {(12345, "0.0.0.0"), (12345, "127.0.0.1"), (1234, "0.0.0.0")}


def test_consoles_with_and_without_login() -> None:
    assert [(each.tty, each.authenticated) for each in device("tplink-wr841nv11-160325").consoles] == [("ttyS0", True)]
    assert [(each.tty, each.authenticated) for each in device("zisa-op151s").consoles] == [("ttyLTQ0", False), ("ttyLTQ1", False)]
