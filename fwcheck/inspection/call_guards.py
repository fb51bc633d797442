"""Whether a check of a signature keeps a program from writing software: its code is gone through from the one to the other.

A check guards a write when every way to the write passes it, and no way leads there once it failed. The check may stand in a
function whose result is asked for, the write in one that is called: both are followed through direct calls of the program's own
functions, a few deep. Functions that others may call (exported by a library, or whose address is taken) are trusted with nothing
that their callers do.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

from fwcheck.inspection.call_paths import GONE, KINDS, NO_RETURN, Function, Reached, common
from fwcheck.inspection.call_steps import RESULT, State
from fwcheck.inspection.call_values import Tracer
from fwcheck.inspection.machines import machine as ops
from fwcheck.inspection.machines.machine import Machine, Op, Site
from fwcheck.model import CallFact, GuardFact

_MOST_CALLS = 60_000  # calls of a program that are looked at
_MOST_WALKS = 400  # in one program
_TURNS = 4  # times that a loop around a check is gone through
_DEEP = 4  # functions between a check and a write
_SMALL = 512  # bytes of a function that is looked at for whether it comes back
_MOST_GUARDS = 100
_MOST_SITES = 24  # checks, and writes, of one program that are followed
_STARTS = re.compile(r"__libc_start_main|__uClibc_main|__libc_init")
# What a call gives back when the signature is wrong, and when it is right.
_ONE, _ZERO, _NEGATIVE = ((0,), (1,)), ((-1, 1), (0,)), ((-1,), (0,))
_RESULTS: tuple[tuple[re.Pattern[str], tuple[tuple[int, ...], tuple[int, ...]]], ...] = (
    (re.compile(r"EVP_(?:Digest)?Verify(?:Final(?:_ex)?)?|EVP_PKEY_verify|(?:RSA|DSA|ECDSA)_(?:do_)?verify"), _ONE),
    (re.compile(r"CMS_verify|PKCS7_verify|uECC_verify|edsign_verify|br_ecdsa_vrfy_asn1|rsa_sha\d+_verify\w*"), _ONE),
    (re.compile(r"mbedtls_\w+|pk_verify|rsa_pkcs1_verify|crypto_sign_\w+|wc_SignatureVerify|system"), _ZERO),
    (re.compile(r"gnutls_pubkey_verify\w+"), _NEGATIVE),
)  # fmt: skip
Standing = Literal["guards", "behind", "passable"]
Places = Mapping[CallFact, Sequence[int]]
Placed = Iterable[tuple[CallFact, Sequence[int]]]


class _Check(NamedTuple):
    """A call whose result tells whether the signature is right."""

    site: int
    origin: int  # the verifying call it comes down to
    bad: frozenset[int]
    good: frozenset[int]
    through: tuple[int, ...] = ()


def guards(machine: Machine, facts: Iterable[CallFact], places: Places, *, shared: bool) -> tuple[GuardFact, ...]:
    """The guards between the verifying and the writing calls of a program.

    ``machine`` looks for everything that is imported; ``places`` has the addresses of the calls that make up each fact.
    """
    facts = list(facts)
    checks = [each for each in facts if each.role == "verify" and results_of(each.function) is not None]
    writes = [each for each in facts if each.role == "write"]
    if not checks or not writes:
        return ()
    if machine.capstone[0] not in KINDS:
        return ()
    program = _Program(machine, shared=shared)
    found = program.guards(((each, places.get(each, ())) for each in checks[:_MOST_SITES]),
                           ((each, places.get(each, ())) for each in writes[:_MOST_SITES]))  # fmt: skip
    return tuple(found)[:_MOST_GUARDS]


def results_of(function: str) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """What a verifying function gives back for a wrong and for a right signature; None where its result alone does not tell."""
    return next((found for names, found in _RESULTS if names.fullmatch(function)), None)


class _Program:
    """All calls of a program, by the functions they stand in."""

    def __init__(self, machine: Machine, *, shared: bool) -> None:
        self._machine = machine
        self._shared = shared
        self._walks = _MOST_WALKS
        self._functions: dict[int, Function] = {}
        self._returning: dict[int, bool] = {}
        self.names = self._all_calls()

    def _all_calls(self) -> dict[int, str]:
        """Names of what is called, by the place of the call; the program's own functions are named by address (``@address``)."""
        machine = self._machine
        imported = {site.address: site.name for _, site in zip(range(_MOST_CALLS), machine.sites(), strict=False)}
        tracer = Tracer(machine)
        for address, name in imported.items():
            if _STARTS.fullmatch(name) and (main := tracer.arguments(Site(address, name), 1)[0]) is not None:
                machine.entries.add(main & ~1)
        machine.__dict__.pop("starts", None)
        machine.__dict__["local"] = {start: f"@{start:x}" for start in machine.starts}
        machine.own_calls = True
        named = {site.address: site.name for _, site in zip(range(_MOST_CALLS), machine.sites(), strict=False)}
        machine.__dict__.pop("starts", None)
        own = {name: start for start, (name, _) in machine.image.functions.items()}
        found = {**imported, **named}
        return {address: f"@{own[name]:x}" if name in own else name for address, name in found.items()}

    # ----------------------------------------------------------------------- structure

    @cached_property
    def _by_start(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for address in sorted(self.names):
            start = self._start(address)
            if start is not None:
                found.setdefault(start, []).append(address)
        return found

    @cached_property
    def _callers(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for address, name in self.names.items():
            if name[0] == "@":
                found.setdefault(int(name[1:], 16), []).append(address)
        return found

    def _start(self, address: int) -> int | None:
        starts = self._machine.starts
        index = bisect_right(starts, address) - 1
        return starts[index] if index >= 0 else None

    def _function(self, site: int) -> Function | None:
        start = self._start(site)
        if start is None:
            return None
        if start not in self._functions:
            calls = {address: self.names[address] for address in self._by_start.get(start, ())}
            self._functions[start] = Function(self._machine, site, start, calls)
            for address, name in list(self._functions[start].calls.items()):
                if name[0] == "@" and not self._comes_back(int(name[1:], 16)):
                    self._functions[start].calls[address] = GONE
        found = self._functions[start]
        return found if found.known else None

    def _comes_back(self, start: int) -> bool:
        """Whether a function ever returns: small ones that end in a call of exit do not."""
        if start not in self._returning:
            self._returning[start] = True
            sites = self._by_start.get(start, [])
            starts = self._machine.starts
            index = bisect_right(starts, start)
            end = starts[index] if index < len(starts) else start + _SMALL
            if end - start <= _SMALL and any(NO_RETURN.fullmatch(self.names[site]) for site in sites):
                calls = {address: self.names[address] for address in sites}
                reached = Function(self._machine, sites[0], start, calls).walk(start, {}, frozenset())
                self._returning[start] = not reached.complete or bool(reached.results)
        return self._returning[start]

    def _walk(
        self, function: Function, begin: int, state: dict[str, int], stops: Iterable[int], *, after: bool = False
    ) -> Reached:
        self._walks -= 1
        if self._walks < 0:
            return Reached(frozenset(), frozenset(), complete=False, held={})
        return function.walk(begin, state, frozenset(stops), after=after)

    # ----------------------------------------------------------------------- checks and writes

    def guards(self, checks: Placed, writes: Placed) -> Iterator[GuardFact]:
        """What is known of each check and write."""
        known = []
        for fact, addresses in checks:
            bad, good = results_of(fact.function) or ((), ())
            known += [_Check(each, fact.offset, frozenset(bad), frozenset(good)) for each in addresses if each in self.names]
        known += list(self._helpers(known))
        by_function: dict[int | None, list[_Check]] = {}
        for check in known:
            by_function.setdefault(self._start(check.site), []).append(check)
        for fact, addresses in writes:
            yield from self._about(addresses, fact.offset, by_function)

    def _helpers(self, checks: list[_Check]) -> Iterator[_Check]:
        """Calls of functions whose result tells what a check in them gave."""
        todo, seen = [(check, 0) for check in checks], set()
        while todo:
            check, depth = todo.pop(0)
            start = self._start(check.site)
            if start is None or depth >= _DEEP or (start, check.origin) in seen:
                continue
            seen.add((start, check.origin))
            summary = self._summary(check)
            if summary is None:
                continue
            for site in self._callers.get(start, ())[:_MOST_SITES]:
                made = _Check(site, check.origin, *summary, (site, *check.through))
                todo.append((made, depth + 1))
                yield made

    def _summary(self, check: _Check) -> tuple[frozenset[int], frozenset[int]] | None:
        """What the function around a check gives back when it failed or was passed by, and when it held."""
        function = self._function(check.site)
        if function is None:
            return None
        past = self._walk(function, function.start, {}, (check.site,))
        if not past.complete or not past.sites:
            return None
        bad, good = set(past.results), set[int | None]()
        for into, values in ((bad, check.bad), (good, check.good)):
            for value in values:
                reached = self._walk(function, check.site, {RESULT[function.kind]: value}, (), after=True)
                if not reached.complete:
                    return None
                into.update(reached.results)
        told_bad = frozenset(each for each in bad if each is not None)
        told_good = frozenset(each for each in good if each is not None)
        if None in bad or not told_bad or not told_good - told_bad:
            return None
        return told_bad, told_good - told_bad

    def _about(self, writes: Sequence[int], offset: int, checks: dict[int | None, list[_Check]]) -> Iterator[GuardFact]:
        """What is known of the calls that make up one writing fact: guarded only when all of them are, by whatever checks."""
        every = [self._states(write, checks, (), 0) for write in writes]
        guarded = bool(every) and all(any(state == "guards" for _, state, _ in states) for states in every)
        told: dict[int, GuardFact] = {}
        for origin, state, through in (each for states in every for each in states):
            if state == "guards" and not guarded:
                continue
            if origin not in told or state == "guards":
                told[origin] = GuardFact(check=origin, write=offset, state=state, through=tuple(self._offsets(through)))
        yield from told.values()

    def _offsets(self, sites: Iterable[int]) -> Iterator[int]:
        for site in sites:
            found = self._machine.image.offset(site)
            if found is not None:
                yield found

    def _states(
        self, site: int, checks: dict[int | None, list[_Check]], through: tuple[int, ...], depth: int
    ) -> list[tuple[int, Standing, tuple[int, ...]]]:
        """Checks around a call that leads to a write, here and, where none guards it here, in all that call this function."""
        found: list[tuple[int, Standing, tuple[int, ...]]] = []
        for check in checks.get(self._start(site), ()):
            state = self._state(check, site)
            if state is not None:
                found.append((check.origin, state, (*check.through, *through)))
        if depth >= _DEEP or any(state == "guards" for _, state, _ in found):
            return found
        start = self._start(site)
        callers = self._callers.get(start, []) if start is not None else []
        if start is None or not callers or len(callers) > _MOST_SITES or self._called_otherwise(start):
            return found
        above = [self._states(caller, checks, (caller, *through), depth + 1) for caller in callers]
        guarding = [{origin: way for origin, state, way in states if state == "guards"} for states in above]
        if all(guarding):
            origin = min(guarding[0])
            return [*found, (origin, "guards", guarding[0][origin])]
        return [*found, *((origin, state, way) for states in above for origin, state, way in states if state != "guards")]

    def _state(self, check: _Check, write: int) -> Standing | None:
        """How a check and a call that leads to a write, both in one function, stand to each other; None: not decided."""
        function = self._function(write)
        if function is None or check.site == write:
            return None
        past = self._walk(function, function.start, {}, (check.site, write))
        if write in past.sites:
            if write in self._walk(function, check.site, {}, (write,), after=True).sites:
                return "passable"
            begun = self._walk(function, write, {}, (check.site,), after=True)
            return "behind" if check.site in begun.sites else "passable" if begun.complete else None
        if not past.complete or check.site not in past.sites:
            return None
        return "guards" if self._decides(function, check, write, past.held[check.site]) else None

    def _decides(self, function: Function, check: _Check, write: int, held: State) -> bool:
        """Whether the write is only come to once the check held. ``held``: what is known when the check is first come to."""
        for _ in range(_TURNS):
            known = held
            for value in check.bad:
                begin = {**known, RESULT[function.kind]: value}
                failed = self._walk(function, check.site, begin, (check.site, write), after=True)
                if write in failed.sites or not failed.complete:
                    return False
                if check.site in failed.sites:  # a loop: it is come to again, with what holds then
                    held = common(held, failed.held[check.site])
            if held == known:
                break
        else:
            return False
        begins = [{**held, RESULT[function.kind]: value} for value in check.good]
        return any(write in self._walk(function, check.site, begin, (write,), after=True).sites for begin in begins)

    def _called_otherwise(self, start: int) -> bool:
        """Whether a function may be called from elsewhere: it is exported by a library, or its address is kept or made."""
        image = self._machine.image
        if self._shared and any(symbol.section and symbol.value & ~1 == start for symbol in image.symbols):
            return True
        if start in image.relocated.values() or start | 1 in image.relocated.values():
            return True
        word = struct.Struct(image.order + ("Q" if image.wide else "I"))
        for segment in image.segments:
            low, high = segment.offset, segment.offset + segment.size
            for value in (start, start | 1):
                at = image.content.find(word.pack(value), low, high)
                while at >= 0:
                    address = at - segment.offset + segment.address
                    if not at % 4 and address not in image.slots and not self._is_own_slot(address):
                        return True
                    at = image.content.find(word.pack(value), at + 1, high)
        return self._made_in_code(start)

    def _is_own_slot(self, address: int) -> bool:
        low, high = self._machine.image.got_range
        return low <= address < high

    def _made_in_code(self, start: int) -> bool:
        """Whether an instruction makes the function's address other than to call it: a handler that is handed on."""
        return start in self._addresses or start | 1 in self._addresses

    @cached_property
    def _addresses(self) -> frozenset[int]:
        """Addresses that the code makes in registers, straight on; what is made to be called at once does not count."""
        machine, found = self._machine, Counter[int]()
        for sites in self._by_start.values():
            values: dict[int, int] = {}
            for address, op in machine.code_of(sites[0]).ops:
                value = self._made(values, address, op)
                if op[0] == ops.CALL:
                    values = {register: kept for register, kept in values.items() if register in machine.saved}
                elif op[1] >= 0:
                    values.pop(op[1], None)
                    if value is None:
                        continue
                    values[op[1]] = value
                    if op[1] != machine.called_by:
                        found[value] += 1
                    elif op[0] == ops.MOVE:
                        found[value] -= 1
        return frozenset(value for value, count in found.items() if count > 0)

    def _made(self, values: dict[int, int], address: int, op: Op) -> int | None:
        machine, (kind, register, a, b) = self._machine, op
        mask = (1 << machine.pointer_bits) - 1

        def of(number: int) -> int | None:
            known = machine.known(number, address)
            return values.get(number) if known is None else known

        first, second = of(a), of(b)
        if kind == ops.CONST:
            return a & mask
        if kind == ops.PC:
            return (address & ~b) + a & mask
        if kind == ops.LOADPC:
            return self._loaded((address & ~b) + a & mask)
        if kind == ops.INSERT:
            held = values.get(register)
            return held & ~(0xFFFF << b) | a << b if held is not None else None
        if first is None:
            return None
        if kind in (ops.MOVE, ops.ADDI, ops.ORI, ops.PCADD):
            return (first | b if kind == ops.ORI else first + {ops.MOVE: 0, ops.ADDI: b, ops.PCADD: address + b}[kind]) & mask
        if kind == ops.LOAD:
            return self._loaded(first + b & mask)
        if kind in (ops.ADD, ops.LOADX) and second is not None:
            total = first + second & mask
            return self._loaded(total) if kind == ops.LOADX else total
        return None

    def _loaded(self, address: int) -> int | None:
        image = self._machine.image
        return image.pointer(address) if image.fixed(address) else None
