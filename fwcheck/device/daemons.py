"""The table of known daemons (``daemons.toml``): what a program name means on the network."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

from fwcheck.model import Value


class Daemon(Value, frozen=True, kw_only=True):
    """A known daemon: ``ports`` as "tcp/23", what it opens without further arguments; ``plain``: no encryption of its own."""

    name: str
    protocol: str
    kind: str  # "shell", "transfer", "web", "management", "debug", ...
    ports: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    plain: bool = False


@cache
def daemons() -> dict[str, Daemon]:
    """Every known daemon by each of its names."""
    rows = tomllib.loads(resources.files("fwcheck.device").joinpath("daemons.toml").read_text("utf-8"))["daemon"]
    table: dict[str, Daemon] = {}
    for row in rows:
        daemon = Daemon(
            name=row["name"],
            protocol=row["protocol"],
            kind=row["class"],
            ports=tuple(row["ports"]),
            aliases=tuple(row.get("aliases", ())),
            plain=row.get("plain", False),
        )
        for name in (daemon.name, *daemon.aliases):
            table[name] = daemon
    return table


def daemon_of(name: str) -> Daemon | None:
    """The daemon a program name stands for, None when it is not a known one."""
    return daemons().get(name)
