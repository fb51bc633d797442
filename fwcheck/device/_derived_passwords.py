"""Passwords that a script computes from the MAC address or the serial number: where the value comes from, where it goes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from fwcheck.device._made_accounts import scripts
from fwcheck.device.firmware import FileSystem
from fwcheck.model import Evidence

Source = Literal["MAC address", "serial number"]

_MOST_LINES = 4000
_MOST_OF_A_FILE = 4
_ADDRESS = re.compile(
    r"(?i)/sys/class/net/[^\s\"']*/address|\bHWaddr\b|\bmtd_get_mac|\bget_mac\w*\b|macaddr_|\bgetmac\b|link/ether|\bethaddr\b"
    r"|nvram[_ ]get\s+[\"']?(?:\w*mac(?:addr)?|\w*hwaddr)\b|fw_printenv\s+(?:-n\s+)?[\"']?\w*(?:mac|ethaddr)"
    r"|\buci\s+(?:-q\s+)?get\s+\S*macaddr|\bifconfig\b[^|]*\|.*(?:HWaddr|ether)"
)
_SERIAL = re.compile(
    r"(?i)nvram[_ ]get\s+[\"']?\w*serial|fw_printenv\s+(?:-n\s+)?[\"']?\w*serial|/proc/device-tree/serial-number"
    r"|\bSerial\b.*/proc/cpuinfo|/proc/cpuinfo.*\bSerial\b|get_serial\w*|serial_?(?:no|num(?:ber)?)\b.*(?:cat|nvram|getenv)"
)
_RANDOM = re.compile(r"/dev/u?random|openssl\s+rand|\buuidgen\b|/proc/sys/kernel/random|\$RANDOM|pwgen|mkpasswd\s+-l")
_ASSIGNED = re.compile(r"^\s*(?:local\s+|export\s+|readonly\s+)?([A-Za-z_]\w{0,63})=(.*)")
_SINK = re.compile(
    r"\|\s*(?:/\S*/)?(?:busybox\s+)?(?:ch)?passwd\b|\bchpasswd\s*<<|\bwpa_passphrase\s|\bhtpasswd\s|\b(?:usermod|useradd)\s.*-p\s"
    r"|\buci\s+(?:-q\s+)?set\s+\S*\.(?:key|password|passwd|wpa_psk|wpa_passphrase)=|\b(?:wpa_passphrase|wpa_psk)="
    r"|nvram[_ ]set\s+[\"']?\w*(?:passwd|password|_psk|wpakey|_pwd)\w*[\"']?[=\s]|\bfw_setenv\s+\w*pass\w*\s"
)
_USED = re.compile(r"\$\{?([A-Za-z_]\w{0,63})")


class DerivedPassword(NamedTuple):
    """A line that sets a password, and the lines from which its value comes."""

    where: Evidence
    source: Source
    steps: tuple[Evidence, ...]


def derived_passwords(fs: FileSystem) -> Iterator[DerivedPassword]:
    """Every password of a script that depends on nothing but an address or a number of the device."""
    for path, text in scripts(fs):
        if not (_SINK.search(text) and (_ADDRESS.search(text) or _SERIAL.search(text))):
            continue
        yield from list(_of_script(fs, path, text))[:_MOST_OF_A_FILE]


def _of_script(fs: FileSystem, path: str, text: str) -> Iterator[DerivedPassword]:
    tainted: dict[str, tuple[Source, tuple[Evidence, ...]]] = {}
    for number, whole in enumerate(text.splitlines()[:_MOST_LINES], 1):
        line = whole[:1024]
        if line.lstrip().startswith("#"):
            continue
        used = [tainted[name] for name in _USED.findall(line) if name in tainted]
        source: Source | None = "MAC address" if _ADDRESS.search(line) else "serial number" if _SERIAL.search(line) else None
        if source is None and used:
            source = used[0][0]
        steps = used[0][1] if used else ()
        assigned = _ASSIGNED.match(line)
        if _SINK.search(line) and source is not None and not _RANDOM.search(line):
            yield DerivedPassword(fs.evidence(path, line, line=number), source, steps[:4])
        elif assigned and source is not None and not _RANDOM.search(line):
            tainted[assigned[1]] = (source, (*steps, fs.evidence(path, line, line=number)))
        elif assigned:
            tainted.pop(assigned[1], None)
