"""Ports that somebody else opens for a program: inetd, xinetd, tcpsvd and the socket units of systemd.

Sources: inetd(8), inetd.conf(5), xinetd.conf(5), tcpsvd(8), services(5), systemd.socket(5) (``ListenStream=``: a port is one on
every address, a path or a name behind ``@`` is a local socket).
"""

from __future__ import annotations

import re

from fwcheck.device._disk import Disk
from fwcheck.device.configurations.reading import ANY, Bound, host_of, number, split_address
from fwcheck.device.shell.world import Run

_SUPER = re.compile(r"x?inetd ([\w.+-]+)/(tcp|udp)6?")
_CONNECTIONS = re.compile(r"(tcp|udp)svd (\S+):(\w+)")
_SOCKET = re.compile(r"(?:\[[0-9A-Fa-f:.%\w]+\]|[\w.*-]+):\d{1,5}|\d{1,5}")
_SERVICES_LIMIT = 1 << 18
# Shells that ask nobody for a name: whoever reaches the port is in.
_SHELLS = frozenset(("sh", "ash", "bash", "dash", "hush", "ksh", "mksh", "zsh", "msh"))
_KNOWN = {
    "ftp": 21, "ssh": 22, "telnet": 23, "time": 37, "tftp": 69, "finger": 79, "http": 80, "www": 80, "www-http": 80, "pop3": 110,
    "ident": 113, "auth": 113, "netbios-ssn": 139, "imap": 143, "imap2": 143, "https": 443, "microsoft-ds": 445, "exec": 512,
    "login": 513, "shell": 514, "printer": 515, "rsync": 873, "swat": 901, "nrpe": 5666, "sane-port": 6566, "git": 9418,
}  # fmt: skip


def opened(disk: Disk, run: Run) -> tuple[Bound, ...]:
    """What is listened on for this program; empty where it opens its ports by itself, or where only local sockets lead to it."""
    if run.manner.startswith("socket "):
        return tuple(bound for text in run.manner.split()[1:33] if (bound := _socket(text)) is not None)
    if (found := _CONNECTIONS.fullmatch(run.manner)) is not None:
        port = number(found.group(3)) or _port(disk, found.group(3), found.group(1))
        return (Bound(port, found.group(1), ANY if found.group(2) == "0" else host_of(found.group(2))),) if port else ()
    if (found := _SUPER.fullmatch(run.manner)) is None:
        return ()
    port = number(found.group(1)) or _port(disk, found.group(1), found.group(2))
    return (Bound(port, found.group(2), host_of(run.detail.get("address", ""))),) if port else ()


def hands_out_a_shell(run: Run, ports: tuple[Bound, ...]) -> bool:
    """Whether a bare shell answers at a port: neither a name nor a password is asked for."""
    return bool(ports) and run.name in _SHELLS and not any(re.match(r"-\w*c|[^-]", word) for word in run.words[1:2])


def _socket(text: str) -> Bound | None:
    transport, _, address = text.rpartition("/") if text.startswith(("udp/", "tcp/")) else ("tcp", "", text)
    if _SOCKET.fullmatch(address) is None:
        return None
    host, port = split_address(address)
    return Bound(port, transport, host or ANY) if port is not None else None


def _port(disk: Disk, name: str, transport: str) -> int | None:
    """The port of a service by its name: what the image's own table says, else the usual one."""
    text = (disk.text("/etc/services") or "")[:_SERVICES_LIMIT]
    row = re.search(rf"^{re.escape(name)}\s+(\d{{1,5}})/{transport}\b", text, re.MULTILINE) if name in text else None
    return number(row.group(1)) if row is not None else _KNOWN.get(name)
