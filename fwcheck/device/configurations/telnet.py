"""Telnet and the r-services. Sources: busybox ``telnetd --help``, utelnetd's usage, telnetd(8) of inetutils and netkit."""

from __future__ import annotations

import re

from fwcheck.device._login import login_asks
from fwcheck.device.configurations.reading import ANY, Bound, Note, Reading, Start, number, split_address

NAMES = ("telnetd", "rshd", "rlogind", "rexecd")


def read(start: Start) -> Reading:
    """Port, address, and what its login program asks for."""
    if start.name.removeprefix("in.") in ("rshd", "rlogind", "rexecd"):
        return Reading(authentication="password" if "rexecd" in start.name else "none", encryption="none")
    ports = [port for text in start.option("-p", "--port") if (port := number(text))]
    host, port = ANY, None
    for text in start.option("-b"):
        host, port = split_address(text) if re.search(r"\]:\d+$|^[^:]+:\d+$", text) else (text.strip("[]"), None)
    utelnetd = start.name == "utelnetd"
    interface = next(iter(start.option("-i")), "") if utelnetd else ""
    bounds = [Bound(port or each, "tcp", host, interface=interface) for each in ports]  # a port in the address wins
    if not bounds and (host != ANY or interface):
        bounds = [Bound(port or 23, "tcp", host, interface=interface)]
    asks = login_asks(start.disk, _login(start))
    return Reading(
        tuple(bounds),
        authentication=asks,
        encryption="none",
        notes=(Note("shell"),) if asks == "none" else (),
    )


def _login(start: Start) -> str:
    words = start.words
    bundled = next((words[at + 1] for at in range(len(words) - 1) if re.fullmatch(r"-[a-zA-Z]*[lE]", words[at])), "")
    return bundled or next((word[2:] for word in words if word.startswith("-l") and len(word) > 2), "") or "/bin/login"
