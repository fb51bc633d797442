"""Where a program can get to from a place in one of its functions: to which calls, and with which results out of the function.

Every way is gone that the known values do not rule out; a branch whose condition is not known is gone both ways. What cannot be
followed (a jump through a table, code that is not understood, too many steps) makes the answer incomplete.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from fwcheck.inspection import call_steps
from fwcheck.inspection.call_results import engine
from fwcheck.inspection.call_steps import RESULT, Instruction, State
from fwcheck.inspection.machines import machine as ops
from fwcheck.inspection.machines.machine import Machine, Op

KINDS = {"CS_ARCH_ARM": "arm", "CS_ARCH_ARM64": "aarch64", "CS_ARCH_MIPS": "mips", "CS_ARCH_RISCV": "riscv", "CS_ARCH_X86": "x86"}
_STEPS = 12_000  # instructions of one walk
_STATES = 12  # states in which one place is looked at
_LARGEST = 0x7FFF  # numbers above this are addresses mostly, and are not followed
NO_RETURN = re.compile(
    r"_?_?exit(?:_group)?|_Exit|abort|quick_exit|pthread_exit|__stack_chk_fail(?:_local)?|__fortify_fail|__chk_fail|errx?|verrx?|longjmp"
    r"|siglongjmp|__longjmp_chk|__assert(?:_fail)?|__assert_perror_fail|_Unwind_Resume|__cxa_throw|__builtin_trap|g_assert_\w+"
)


class Reached(NamedTuple):
    """What a walk came to."""

    sites: frozenset[int]  # of those asked for: the walk ends there
    results: frozenset[int | None]  # what the function gives back; None: not known
    complete: bool
    held: dict[int, State]  # what is known whenever one of the sites is come to


def common(one: State, other: State) -> State:
    """What two states agree on."""
    return {name: value for name, value in one.items() if other.get(name) == value}


class Function:
    """One function: its code, and the names of what it calls."""

    def __init__(self, machine: Machine, site: int, start: int, calls: dict[int, str]) -> None:
        self.start = start
        self.kind = KINDS[machine.capstone[0]]
        self._machine = machine
        architecture, mode = machine.capstone
        thumb: set[int] = getattr(machine, "thumb_sites", set())
        code = machine.code_of(site)
        self.known = code.known
        self.ops: dict[int, Op] = dict(code.ops)
        # Thumb code that is looked at as A32, too, shows calls where none are.
        self.calls = {address: name for address, name in calls.items() if _goes_away(self.ops.get(address, ops.NOTHING))}
        low, high = (code.ops[0][0], code.ops[-1][0] + 4) if code.ops else (0, 0)
        self.range = (low, high)
        if self.kind == "arm" and any(low <= each < high for each in thumb):
            mode = "CS_MODE_THUMB"
        self._engine: Any = engine(architecture, mode)
        found = machine.segment_of(site)
        self._base, self._data = (found[0].address, found[1]) if found is not None else (0, b"")
        self._read: dict[int, Instruction | None] = {}
        self._taken: frozenset[str] | None = None

    def instruction(self, address: int) -> Instruction | None:
        """The instruction at an address; None when there is none."""
        if address not in self._read:
            at = address - self._base
            found = list(self._engine.disasm_lite(self._data[at : at + 64], address))
            # A block under one condition (Thumb's it) is read from its beginning.
            cut = next(
                (index for index in range(len(found) - 1, max(len(found) - 6, 0), -1) if found[index][2][:2] == "it"), None
            )
            for where, size, name, text in found[:cut]:
                if where in self._read:
                    break
                self._read[where] = call_steps.parse(self.kind, name, text, size)
            self._read.setdefault(address, None)
        return self._read[address]

    @property
    def taken(self) -> frozenset[str]:
        """Stack slots whose address the function makes: others may change them."""
        if self._taken is None:
            found = set()
            for address in self.ops:
                instruction = self.instruction(address)
                if instruction is not None:
                    found |= _made_addresses(self.kind, instruction)
            self._taken = frozenset(found)
        return self._taken

    def walk(self, begin: int, state: State, stops: frozenset[int], *, after: bool = False) -> Reached:
        """From ``begin``, or from behind the call there, until the function is left or one of ``stops`` is come to."""
        return _Walk(self, stops).go(begin, state, after=after)


def _made_addresses(kind: str, instruction: Instruction) -> set[str]:
    operands = instruction.operands
    if instruction.name == "lea" and kind == "x86" and len(operands) == 2 and operands[1][0] == "slot":
        return {str(operands[1][1])}
    if instruction.name in ("add", "addi", "addiu", "daddiu", "sub") and len(operands) == 3 and operands[2][0] == "number":
        base, number = str(operands[1][1]), int(operands[2][1])
        if base in ("sp", "fp", "r7", "x29", "s0", "s8") and operands[0][1] not in ("sp", base):
            return {f"{base}{-number if instruction.name == 'sub' else number:+d}"}
    return set()


def _branches(op: Op) -> bool:
    """Whether an instruction leads to an address that it names."""
    return op[3] == 1 and op[0] in (ops.NONE, ops.JUMP)


def _goes_away(op: Op) -> bool:
    return op[0] in (ops.CALL, ops.JUMP) or _branches(op)


class _Walk:
    """One walk through a function."""

    def __init__(self, function: Function, stops: frozenset[int]) -> None:
        self._function = function
        self._stops = stops
        self._steps = 0
        self._seen: dict[int, set[frozenset[tuple[str, int]]]] = {}
        self._todo: list[tuple[int, State]] = []
        self._sites: dict[int, State] = {}
        self._results: set[int | None] = set()
        self._complete = True

    def go(self, begin: int, state: State, *, after: bool) -> Reached:
        if after:
            self._behind(begin, state)
        else:
            self._push(begin, state)
        while self._todo and self._steps < _STEPS:
            self._run(*self._todo.pop())
        return Reached(frozenset(self._sites), frozenset(self._results), self._complete and not self._todo, self._sites)

    def _push(self, address: int, state: State) -> None:
        state = {name: value for name, value in state.items() if -_LARGEST <= value <= _LARGEST}
        seen = self._seen.setdefault(address, set())
        if len(seen) >= _STATES:
            state = {}
        key = frozenset(state.items())
        if key not in seen:
            seen.add(key)
            self._todo.append((address, state))

    def _leave(self, state: State) -> None:
        self._results.add(state.get(RESULT[self._function.kind]))

    def _behind(self, site: int, state: State) -> None:
        """Goes on behind a call: at the next instruction, or out of the function where it is left for the call."""
        op = self._function.ops.get(site)
        instruction = self._function.instruction(site)
        if op is None or instruction is None:
            self._complete = False
        elif op[0] == ops.JUMP or _branches(op):
            self._leave(state)
        else:
            self._push(site + instruction.size + (4 if self._function.kind == "mips" else 0), state)

    def _run(self, address: int, state: State) -> None:
        """Straight on from an address until the ways part."""
        function, kind = self._function, self._function.kind
        while self._steps < _STEPS:
            self._steps += 1
            op, instruction = function.ops.get(address), function.instruction(address)
            if op is None or instruction is None:
                self._complete = False
                return
            if address in function.calls or _goes_away(op) or instruction.returns:
                following = self._turn(address, op, instruction, state)
                if following is None:
                    return
                address = following
                continue
            call_steps.step(kind, instruction, state, function.taken)
            address += instruction.size

    def _turn(self, address: int, op: Op, instruction: Instruction, state: State) -> int | None:
        """A call, a branch, or the end: where it goes on, None when it does not or the ways are put aside."""
        function = self._function
        following = address + instruction.size
        if instruction.condition and function.kind == "arm" and not (op[0] == ops.NONE and _branches(op)):
            held = call_steps.holds(instruction.condition, state)
            if held is False:
                return following
            if held is None:
                self._push(following, dict(state))
        if address in function.calls or op[0] == ops.CALL:
            return self._called(address, op, instruction, state, following)
        if function.kind == "mips":
            return self._delayed(address, op, instruction, state)
        if instruction.returns:
            self._leave(state)
            return None
        if op[0] == ops.JUMP:
            if op[3] != 1:
                self._complete = False
                return None
            return self._target(address + op[2], state)
        taken = call_steps.branch_taken(function.kind, instruction, state)
        if taken is not True:
            self._push(following, dict(state))
        if taken is not False and self._target(address + op[2], state) is not None:
            self._push(address + op[2], state)
        return None

    def _target(self, target: int, state: State) -> int | None:
        """A jump inside the function, or out of it into another that gives the result."""
        if target in self._function.ops:
            return target
        call_steps.call(self._function.kind, state)
        self._leave(state)
        return None

    def _called(self, address: int, op: Op, instruction: Instruction, state: State, following: int) -> int | None:
        function = self._function
        name = function.calls.get(address, "")
        if function.kind == "mips":
            slot = function.instruction(following)
            if slot is not None:
                call_steps.step("mips", slot, state, function.taken)
            following += 4
        if op[0] == ops.NONE and _branches(op):  # left for another function under a condition
            taken = call_steps.branch_taken(function.kind, instruction, state)
            if taken is not True:
                self._push(following, dict(state))
            if taken is False:
                return None
        if address in self._stops:
            call_steps.call(function.kind, state)
            self._sites[address] = common(self._sites[address], state) if address in self._sites else state
            return None
        if name and (NO_RETURN.fullmatch(name) or name == GONE):
            return None
        call_steps.call(function.kind, state)
        if op[0] == ops.JUMP or _branches(op):
            self._leave(state)
            return None
        return following

    def _delayed(self, address: int, op: Op, instruction: Instruction, state: State) -> int | None:
        """MIPS: the next instruction runs before the branch is taken."""
        function = self._function
        slot = function.instruction(address + instruction.size)
        likely = instruction.name.endswith("l") and instruction.name[:1] == "b"
        taken = True if op[0] == ops.JUMP else call_steps.branch_taken("mips", instruction, state)
        behind = dict(state)
        if slot is not None:
            call_steps.step("mips", slot, state, function.taken)
            if not likely:
                call_steps.step("mips", slot, behind, function.taken)
        if taken is not True:
            self._push(address + 8, behind)
        if taken is False:
            return None
        if instruction.returns:
            self._leave(state)
        elif op[3] != 1:
            self._complete = False
        elif self._target(address + op[2], state) is not None:
            self._push(address + op[2], state)
        return None


GONE = "(gone)"
"""The name of functions of the program that never come back."""
