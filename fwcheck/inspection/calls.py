"""Calls of a compiled program whose constant arguments tell what it does: commands, comparisons, switches of TLS libraries.

What a fact says is that a call with these arguments is in the code, not that it is ever reached. What depends on the way to the
call, comes from memory that can change, or is made by other functions stays unknown (``None``). Programs without dynamic imports
are read where their symbol table names the functions.
"""

from __future__ import annotations

import re
import struct
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from typing import NamedTuple

from fwcheck.inspection.call_commands import FORMATS, GIVEN, OWN, Commands
from fwcheck.inspection.call_roles import check_words, role_of, writes_by_name
from fwcheck.inspection.call_values import Tracer
from fwcheck.inspection.elf_image import ElfImage
from fwcheck.inspection.machines.machine import Machine, Site
from fwcheck.model import CallFact, ElfFacts, GuardFact

CALL_LIMIT = 2000  # facts of one program
_SITES = 20_000  # calls of one program that are looked at
_LARGEST_CODE = 24 << 20  # bytes of code of one program
_MOST_TESTED = 200  # calls whose result is followed
# Libraries of others: what they call says nothing of the device.
_FOREIGN = re.compile(
    r"lib(?:c|m|dl|rt|pthread|util|uClibc|nsl|resolv|crypt|stdc\+\+|gcc_s|crypto|ssl|z|ncurses\w*|readline|curl|glib-2\.0|gio-2\.0"
    r"|gobject-2\.0|python\d\S*|perl|lua\S*|ruby\S*|mbed\w+|polarssl|gnutls|wolfssl|nettle|gcrypt|sqlite3|xml2|json-c|pcap|dbus-1"
    r"|systemd|udev|mount|blkid|krb5|ldap\S*|bfd\S*|musl\S*|Qt5?\w+|Q\w+|avcodec|avformat|nss_\w+|pam\w*|smbclient|samba\S*)"
    r"(?:[-.\d]*)\.so(?:[.\d]*)|ld[-.]\S*|libc-[\d.]+\.so"
)


class Function(NamedTuple):
    """What a function's arguments are, and what is wanted of its calls."""

    group: str
    arguments: str
    presence: bool = False
    tested: bool = False
    only_roles: bool = False


class Table(NamedTuple):
    """The functions of ``calls.toml``."""

    functions: dict[str, Function]
    anchors: frozenset[str]
    wrappers: re.Pattern[str]
    wrapper: Function

    def of(self, name: str) -> Function | None:
        """What is known of the function of this name; None when its calls are not wanted."""
        found = self.functions.get(name)
        if found is None and len(name) < 64:
            if name.startswith(OWN):
                return self.wrapper
            return self.wrapper if self.wrappers.fullmatch(name) else _WRITER if writes_by_name(name) else None
        return found

    def tells(self, name: str) -> bool:
        """Whether a program is worth reading when it imports a function of this name."""
        return name in self.anchors or (name not in self.functions and self.of(name) is not None)


_WRITER = Function("write", "aaaa", presence=True)


_SWITCHES = ("presence", "tested", "only_roles")


def table_bytes() -> bytes:
    """The table as it is stored: part of the facts' version."""
    return resources.files("fwcheck.inspection").joinpath("calls.toml").read_bytes()


@cache
def table() -> Table:
    """The table of functions."""
    data = tomllib.loads(table_bytes().decode())
    functions: dict[str, Function] = {}
    anchors: set[str] = set()
    for group in data["group"]:
        for name, arguments in group["functions"].items():
            functions[name] = Function(group["name"], arguments, *(group.get(each, False) for each in _SWITCHES))
            if group.get("anchor"):
                anchors.add(name)
    wrappers = data["wrappers"]
    return Table(
        functions, frozenset(anchors), re.compile(wrappers["names"], re.ASCII), Function(wrappers["group"], wrappers["arguments"])
    )


class Read(NamedTuple):
    """What was read of a program's code."""

    calls: tuple[CallFact, ...] = ()
    guards: tuple[GuardFact, ...] = ()
    check_words: tuple[str, ...] = ()


def read_calls(content: bytes, elf: ElfFacts) -> Read:
    """The calls of an executable or shared object, in order of their places; none where nothing can be told."""
    known = table()
    if elf.type not in ("executable", "shared") or _FOREIGN.fullmatch(elf.soname or ""):
        return Read()
    if elf.imports:
        if not any(map(known.tells, elf.imports)):
            return Read()
    elif elf.stripped is not False:
        return Read()
    try:
        image = ElfImage(content)
        names = {*image.slots.values(), *(name for name, _ in image.functions.values())}
        wanted = frozenset(name for name in names if known.of(name) is not None)
        machine = _machine(image, wanted | names & _FILLING) if wanted else None
        if machine is None or sum(len(data) for _, data in machine.code) > _LARGEST_CODE:
            return Read()
        return _read(image, machine, known)
    except (struct.error, ValueError, IndexError, OverflowError):
        return Read()  # damaged in a way that leaves nothing to say


def _read(image: ElfImage, machine: Machine, known: Table) -> Read:
    places: dict[CallFact, list[int]] = {}
    calls = _facts(machine, known, places)
    roles = {call.role for call in calls}
    words = check_words(image.content) if "write" in roles and roles & {"fetch", "receive"} else ()
    if not {"verify", "write"} <= roles:
        return Read(calls, check_words=words)
    from fwcheck.inspection.call_guards import guards  # noqa: PLC0415  # few programs verify and write

    names = frozenset((*image.slots.values(), *(name for name, _ in image.functions.values())))
    again = _machine(image, names)
    return Read(calls, guards(again, calls, places, shared=image.shared) if again is not None else (), words)


def _machine(image: ElfImage, wanted: frozenset[str]) -> Machine | None:
    make = _MACHINES.get(image.machine)
    return make(image, wanted) if make is not None else None


def _arm(image: ElfImage, wanted: frozenset[str]) -> Machine | None:
    from fwcheck.inspection.machines.arm import Arm  # noqa: PLC0415  # an image has programs of one or two kinds

    return Arm(image, wanted) if image.order == "<" else None


def _aarch64(image: ElfImage, wanted: frozenset[str]) -> Machine | None:
    from fwcheck.inspection.machines.aarch64 import AArch64  # noqa: PLC0415

    return AArch64(image, wanted) if image.order == "<" else None


def _mips(image: ElfImage, wanted: frozenset[str]) -> Machine:
    from fwcheck.inspection.machines.mips import Mips  # noqa: PLC0415

    return Mips(image, wanted)


def _x86(image: ElfImage, wanted: frozenset[str]) -> Machine:
    from fwcheck.inspection.machines.x86 import X86  # noqa: PLC0415

    return X86(image, wanted)


def _riscv(image: ElfImage, wanted: frozenset[str]) -> Machine | None:
    from fwcheck.inspection.machines.riscv import RiscV  # noqa: PLC0415

    return RiscV(image, wanted) if image.order == "<" else None


def _powerpc(image: ElfImage, wanted: frozenset[str]) -> Machine | None:
    from fwcheck.inspection.machines.powerpc import PowerPc  # noqa: PLC0415

    return PowerPc(image, wanted) if image.order == ">" else None


_FILLING = GIVEN | FORMATS.keys()
_MACHINES: dict[int, Callable[[ElfImage, frozenset[str]], Machine | None]] = {
    3: _x86, 8: _mips, 20: _powerpc, 40: _arm, 62: _x86, 183: _aarch64, 243: _riscv,
}  # fmt: skip


class _Call(NamedTuple):
    """One call, read."""

    site: Site
    arguments: tuple[str | int | None, ...]
    start: int | None  # of the function around it
    tested: bool | None
    role: str


def _facts(machine: Machine, known: Table, places: dict[CallFact, list[int]]) -> tuple[CallFact, ...]:
    """Calls of one function with the same arguments from the same place become one fact; the rarest kinds are kept first.

    ``places`` gets the addresses of the calls of each fact that has a role.
    """
    grouped: dict[tuple[str, tuple[str | int | None, ...], int | None], list[_Call]] = {}
    for call in _calls(machine, known):
        grouped.setdefault((call.site.name, call.arguments, call.start), []).append(call)
    facts: list[CallFact] = []
    for (name, arguments, start), calls in grouped.items():
        offset = machine.image.offset(calls[0].site.address)
        tested = {call.tested for call in calls}
        fact = CallFact(
            function=name,
            arguments=arguments,
            offset=offset if offset is not None else 0,
            caller=machine.image.functions.get(start, ("", 0))[0] if start is not None else "",
            within=machine.image.offset(start) if start is not None else None,
            count=len(calls),
            result_used=False if False in tested else None if None in tested else True,
            role=calls[0].role,
        )
        facts.append(fact)
        if fact.role:
            places[fact] = [call.site.address for call in calls]
    facts.sort(key=lambda each: (not each.role, _RANK.get(_group(known, each.function), 9), each.offset))  # no write is lost
    return tuple(sorted(facts[:CALL_LIMIT], key=lambda each: (each.offset, each.function)))


_RANK = {"transport": 0, "verify": 0, "login": 0, "write": 0, "download": 0, "request": 0, "options": 1, "command": 1,
         "device": 2, "digest": 2, "environment": 3, "network": 3, "compare": 4, "files": 5, "settings": 6}  # fmt: skip


def _group(known: Table, name: str) -> str:
    found = known.of(name)
    return found.group if found is not None else ""


def _calls(machine: Machine, known: Table) -> Iterator[_Call]:
    tracer = Tracer(machine)
    sites = _sites(machine)
    if _with_own_commands(machine, Commands(machine, tracer, sites)):
        tracer, sites = Tracer(machine), _sites(machine)
    commands = Commands(machine, tracer, sites)
    tests = 0
    for index, site in enumerate(sites):
        function = known.of(site.name)
        if function is None:
            continue
        values = tracer.arguments(site, len(function.arguments)) if function.arguments.strip("-") else []
        arguments = tuple(_shown(tracer, role, value) for role, value in zip(function.arguments, values, strict=False))
        if arguments[:1] == (None,) and site.name in ("system", "popen") and (made := commands.put_together(index, 0)):
            arguments = (made, *arguments[1:])
        role = role_of(site.name, function.group, arguments)
        if not role and (function.only_roles or (not function.presence and all(each is None for each in arguments))):
            continue
        tested = None
        if function.tested and tests < _MOST_TESTED:
            from fwcheck.inspection.call_results import result_tested  # noqa: PLC0415  # capstone: few programs verify

            tests += 1
            tested = result_tested(machine, site)
        yield _Call(site, arguments, machine.start_of(site.address), tested, role)


def _sites(machine: Machine) -> list[Site]:
    return sorted(site for _, site in zip(range(_SITES), machine.sites(), strict=False))


def _with_own_commands(machine: Machine, commands: Commands) -> bool:
    """Has the machine look for calls of the program's own functions that run commands, where there are such."""
    found = {start: f"{OWN}{machine.image.offset(start) or 0:x}" for start in commands.own() if start not in machine.local}
    if found:
        machine.local = {**machine.local, **found}
        machine.own_calls = True
    return bool(found)


def _shown(tracer: Tracer, role: str, value: int | None) -> str | int | None:
    """An argument as its role wants it: a text, a number, or nothing."""
    if value is None or role == "-":
        return None
    if role in "sa" and value > 0xFF and (text := tracer.text(value)) is not None and (text or role == "s"):
        return text
    if role == "s":
        return 0 if value == 0 else None  # NULL
    number = value & 0xFFFFFFFF
    return number - (1 << 32) if number >= 0xFFFF0000 else number
