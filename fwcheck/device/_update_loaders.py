"""Update paths through a boot loader: variables of U-Boot that fetch software from outside and write it to flash.

They run when somebody types ``run NAME`` at the console, or by ``bootcmd``; what is told is that the commands stand there.
Sources: doc/usage/cmd of U-Boot (tftpboot, loady, nand, sf, mmc, cp, ubi, iminfo).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from fwcheck.device.booting.context import Context, Environment
from fwcheck.device.booting.vocabulary import NETWORK
from fwcheck.device.firmware import Firmware
from fwcheck.device.shell.grammar import parse
from fwcheck.device.shell.tree import Command, For, Function, Group, If, Loop, Sequence, Simple
from fwcheck.model import UpdatePath, UpdateStep

_MOST_VARIABLES = 400
_MOST_PATHS = 12
_MOST_COMMANDS = 400
_DEPTH = 8
_SCRIPT = 16 << 10  # characters of one variable that are read
_OLD = re.compile(r"\$\((\w{1,64})\)")
_SERIAL = frozenset({"loadb", "loady", "loadx", "loads"})
_MEDIA = frozenset({"load", "fatload", "ext2load", "ext4load", "usbboot"})
_WRITERS = frozenset({"nand", "sf", "mmc", "ubi", "onenand", "spi_nand", "snand", "spinand", "mtd", "emmc"})
_WRITES = ("write", "update", "writeskip", "trimffs")
_FLASH = re.compile(r"(?i)0x(?:9f|bf|bc|b0|be|1f|ff|fe|fc)[0-9a-f]{6}$")  # where memory-mapped flash of routers lies
_CHECKS: Mapping[str, Literal["checksum"]] = {"iminfo": "checksum", "imi": "checksum"}
_AUTHENTICATES = frozenset({"hab_auth_img", "auth_cntr", "esbc_validate", "aml_verify", "secure_load", "rsa_verify"})


class _Line(NamedTuple):
    """A command with the variable it stands in, and whether something hangs on its outcome."""

    words: tuple[str, ...]
    variable: str
    asked: bool


def loader_paths(firmware: Firmware) -> Iterator[UpdatePath]:
    """One path for each variable that fetches and writes, of the environment in force."""
    environment = Context(firmware).environment
    if environment is None:
        return
    made: dict[str, UpdatePath] = {}
    inner: set[str] = set()
    for name in list(environment.values)[:_MOST_VARIABLES]:
        lines = list(_lines(environment, name))
        path = _path(environment, name, lines)
        if path is not None:
            made[name] = path
            inner |= {each.variable for each in lines if each.variable != name}
    outer = [path for name, path in made.items() if name not in inner]
    yield from outer[:_MOST_PATHS]


def _path(environment: Environment, name: str, lines: list[_Line]) -> UpdatePath | None:
    """The path of one variable; None when nothing comes in, or nothing is written after it."""
    steps: list[UpdateStep] = []
    source = ""
    verified: Literal["checksum", "none", "unknown"] = "none"
    written = False
    for line in lines:
        where = environment.evidence(line.variable)
        command, words = line.words[0], " ".join(line.words)[:120]
        came = _comes(line.words)
        if came:
            source = source or came
            steps.append(UpdateStep(action="fetch" if came == "network" else "receive", what=words, evidence=where))
        elif command in _CHECKS and source and not written:
            verified = _CHECKS[command] if line.asked and verified == "none" else verified
            honoured: Literal["yes", "no"] = "yes" if line.asked else "no"
            reason = "" if line.asked else "its result is never asked for"
            steps.append(
                UpdateStep(action="compare", what=words, check="checksum", honoured=honoured, reason=reason, evidence=where)
            )
        elif command in _AUTHENTICATES and source and not written:
            verified = "unknown"
            steps.append(UpdateStep(action="verify", what=words, honoured="unknown", evidence=where))
        elif source and _is_write(line.words):
            written = True
            steps.append(UpdateStep(action="write", what=words, evidence=where))
        elif written and command == "reset":
            steps.append(UpdateStep(action="restart", what=words, evidence=where))
    if not written:
        return None
    return UpdatePath(
        source=f"boot loader ({source})",
        sink="flash",
        verified=verified,
        mechanism=f"run {name}",
        detail=f"variable of the {environment.words}",
        steps=tuple(steps),
        transport="plain" if source == "network" else "none",
        evidence=(environment.evidence(name),),
    )


def _comes(words: tuple[str, ...]) -> str:
    """Where a command brings something from: "network", "serial line", "removable medium"; empty for another command."""
    if words[0] in NETWORK:
        return "network"
    if words[0] in _SERIAL:
        return "serial line"
    return "removable medium" if words[0] in _MEDIA and "usb" in words[1:2] else ""


def _is_write(words: tuple[str, ...]) -> bool:
    if words[0] in _WRITERS:
        return any(word.startswith(_WRITES) for word in words[1:3])
    return words[0].startswith("cp") and len(words) > 2 and bool(_FLASH.match(words[2]))


# --------------------------------------------------------------------------- commands in order


def _lines(environment: Environment, name: str) -> Iterator[_Line]:
    budget = [_MOST_COMMANDS]
    yield from _variable(environment, name, (), budget)


def _variable(environment: Environment, name: str, stack: tuple[str, ...], budget: list[int]) -> Iterator[_Line]:
    text = environment.values.get(name, "")
    if not text.strip() or name in stack or len(stack) >= _DEPTH:
        return
    script = parse(_OLD.sub(r"${\1}", text[:_SCRIPT]))
    yield from _sequence(environment, script.body, (*stack, name), budget, asked=False)


def _sequence(
    environment: Environment, body: Sequence, stack: tuple[str, ...], budget: list[int], *, asked: bool
) -> Iterator[_Line]:
    for item in body.items:
        last = len(item.parts) - 1
        for at, (_, pipeline) in enumerate(item.parts):
            for command in pipeline.commands:
                yield from _command(environment, command, stack, budget, asked=asked or at < last)


def _command(
    environment: Environment, command: Command, stack: tuple[str, ...], budget: list[int], *, asked: bool
) -> Iterator[_Line]:
    budget[0] -= 1
    if budget[0] < 0:
        return
    match command:
        case Simple():
            words = tuple(word.raw for word in command.words)
            if words[:1] == ("run",):
                for name in words[1:9]:
                    yield from _variable(environment, name, stack, budget)
            elif words:
                yield _Line(words, stack[-1], asked)
        case If():
            for condition, body, _ in command.branches:
                yield from _sequence(environment, condition, stack, budget, asked=True)
                yield from _sequence(environment, body, stack, budget, asked=False)
            if command.otherwise is not None:
                yield from _sequence(environment, command.otherwise, stack, budget, asked=False)
        case Loop() | For() | Group():
            yield from _sequence(environment, command.body, stack, budget, asked=False)
        case Function():
            return
        case _:
            return
