"""Which constant a register holds at a call: found backwards, only as far as one answer is possible.

A value is believed when it is set on every way to the call that the instructions before it show: where a branch may come in
between, registers that calls may change are unknown before it, and of the others only addresses count (compilers load those
early).
"""

from __future__ import annotations

from fwcheck.inspection.machines import machine as ops
from fwcheck.inspection.machines.machine import Machine, Op, Site, Window

_DEPTH = 10  # registers that one value may be made from, one after the other
_WAYS = 4  # branches to one place that are looked at
_STEPS = 96  # registers that are followed for one call
_MADE = 6  # instructions between two steps that make one address
_UPDATES = (ops.ADDI, ops.ADD, ops.ORI, ops.PCADD, ops.LOAD, ops.LOADX)
_ESP = 4
_LONGEST = 240  # characters of a text that are kept
_PRINTABLE = frozenset(range(0x20, 0x7F)) | {9, 10, 13, 27}


class Tracer:
    """Constant arguments of the calls of one program."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._image = machine.image
        self._mask = (1 << machine.pointer_bits) - 1
        self._code = ops.Code([], {}, {}, known=False)
        self._single: dict[tuple[int, int], int] = {}
        self._steps = 0

    def arguments(self, site: Site, number: int) -> list[int | None]:
        """The first ``number`` arguments, as far as they are known."""
        self._code = self._machine.code_of(site.address)
        end = self._code.places.get(site.address)
        if end is None:
            return [None] * number
        self._steps = _STEPS
        window = self._code.ops
        if self._machine.stack_arguments:
            return self._on_stack(window, end, site, number)
        registers = self._machine.arguments[:number]
        values = [self._value(window, end, register, site, _DEPTH) for register in registers]
        return values + [None] * (number - len(values))

    def _on_stack(self, window: Window, end: int, site: Site, number: int) -> list[int | None]:
        found: list[int | None] = [None] * number
        seen = set()
        depth = 0
        for index in range(end - 1, max(end - ops.WINDOW, 0) - 1, -1):
            address, (kind, register, a, b) = window[index]
            if kind in (ops.JUMP, ops.CALL):
                break
            at = depth if kind == ops.PUSH else depth + register
            if kind in (ops.PUSH, ops.STORE) and not at % 4 and 0 <= at < 4 * number and at not in seen:
                seen.add(at)
                found[at // 4] = b & self._mask if a == -1 else self._value(window, index, a, site, _DEPTH)
            if kind == ops.PUSH:
                depth += 4
            elif kind == ops.ADDI and register == a == _ESP:
                depth -= b
            elif register == _ESP and kind not in (ops.PUSH, ops.STORE, ops.NONE):
                break
            if address in self._code.labels or len(seen) == number:
                break
        return found

    def _value(self, window: Window, end: int, register: int, site: Site, depth: int) -> int | None:
        """What ``register`` holds before instruction number ``end``."""
        known = self._machine.known(register, site.address)
        if known is not None:
            return known
        saved = register in self._machine.saved
        self._steps -= 1
        if self._steps < 0:
            return None
        crossed = window[end][0] in self._code.labels
        if crossed and not saved:
            return self._merged(window, end, register, site, depth - 1) if depth else None
        return self._before(window, end, register, site, depth, crossed=crossed)

    def _merged(self, window: Window, end: int, register: int, site: Site, depth: int) -> int | None:
        """The value of a register where branches come in: known when every way brings the same."""
        here = window[end][0]
        sources = self._code.labels[here]
        if len(sources) > _WAYS or any(source >= here for source in sources):
            return None
        ways = [self._code.places[source] + (2 if self._machine.delayed else 0) for source in sources]
        if end and window[end - 1][1][0] != ops.JUMP:
            found = self._before(window, end, register, site, depth, crossed=False)
        else:
            found = self._value(window, ways.pop(), register, site, depth) if ways[-1] < end else None
        for way in ways:
            if found is None or way > end or self._value(window, way, register, site, depth) != found:
                return None
        return found

    def _before(self, window: Window, end: int, register: int, site: Site, depth: int, *, crossed: bool) -> int | None:
        """What the instructions before number ``end`` put into ``register``."""
        saved = register in self._machine.saved
        for index in range(end - 1, max(end - ops.WINDOW, 0) - 1, -1):
            address, op = window[index]
            kind = op[0]
            if op[1] == register and kind < ops.PUSH:
                value = self._made(window, index, address, op, site, depth - 1) if depth else None
                return value if not crossed or self._is_address(value) else None
            if kind == ops.JUMP or (kind == ops.CALL and not saved) or (kind == ops.SPOIL and op[2] >> register & 1):
                break
            if address in self._code.labels:
                if not saved:
                    return self._merged(window, index, register, site, depth - 1) if depth else None
                crossed = True
        return self._once(window, register, site, depth - 1) if saved and depth else None

    def _once(self, window: Window, register: int, site: Site, depth: int) -> int | None:
        """An address that a saved register gets at one place of the function and nowhere else: it holds it at every call."""
        if not self._code.known:
            return None
        key = (window[0][0], register)
        place = self._single.get(key, -1)
        if place < 0:
            place = self._single[key] = self._place(window, register)
        if place == len(window):
            return None
        value = self._made(window, place, window[place][0], window[place][1], site, depth)
        return value if self._is_address(value) else None

    def _place(self, window: Window, register: int) -> int:
        """The only instruction that writes a register, but for those that give it back at the end; else the window's length."""
        found = [
            index
            for index, (_, op) in enumerate(window)
            if (op[1] == register and op[0] < ops.CALL) or (op[0] == ops.SPOIL and op[2] >> register & 1)
        ]
        found = [index for index in found if not self._given_back(window, index)]
        while len(found) > 1 and found[-1] - found[-2] < _MADE and window[found[-1]][1][0] in _UPDATES:
            if register not in window[found[-1]][1][2:]:
                break
            found.pop(-2)  # an address that is made in steps
        return found[0] if len(found) == 1 else len(window)

    def _given_back(self, window: Window, index: int) -> bool:
        """A load from the stack shortly before the function is left."""
        kind, _, base, _ = window[index][1]
        if kind != ops.LOAD or base not in self._machine.stack:
            return False
        for _, op in window[index + 1 : index + 16]:
            if op[0] == ops.JUMP:
                return True
            if op[0] == ops.CALL:
                return False
        return False

    def _made(self, window: Window, index: int, address: int, op: Op, site: Site, depth: int) -> int | None:
        kind, _, a, b = op
        if kind == ops.CONST:
            return a & self._mask
        if kind == ops.PC:
            return (address & ~b) + a & self._mask
        if kind == ops.LOADPC:
            return self._loaded((address & ~b) + a & self._mask)
        if kind in (ops.NONE, ops.SPOIL, ops.CALL, ops.JUMP):
            return None
        first = self._value(window, index, a if kind != ops.INSERT else op[1], site, depth)
        if first is None:
            return None
        if kind == ops.MOVE:
            return first
        if kind == ops.ADDI:
            return first + b & self._mask
        if kind == ops.ORI:
            return first | b
        if kind == ops.PCADD:
            return first + address + b & self._mask
        if kind == ops.INSERT:
            return first & ~(0xFFFF << b) | a << b
        if kind == ops.LOAD:
            return self._loaded(first + b & self._mask)
        second = self._value(window, index, b, site, depth)
        if second is None:
            return None
        total = first + second & self._mask
        return self._loaded(total) if kind == ops.LOADX else total

    def _loaded(self, address: int) -> int | None:
        return self._image.pointer(address) if self._image.fixed(address) else None

    def _is_address(self, value: int | None) -> bool:
        return value is not None and value > 0xFFF and self._image.segment(value) is not None

    def text(self, address: int) -> str | None:
        """The text at an address that no code can write to; None when there is none."""
        segment = self._image.segment(address)
        if segment is None or (segment.flags & 2 and not segment.flags & 1):
            return None
        at = address - segment.address + segment.offset
        end = self._image.content.find(b"\0", at, min(at + 4096, segment.offset + segment.size))
        if end < 0:
            return None
        raw = self._image.content[at:end]
        if _PRINTABLE.issuperset(raw):
            return raw[:_LONGEST].decode("ascii")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            return None
        return text[:_LONGEST] if all(each.isprintable() or each in "\t\r\n\x1b" for each in text) and len(raw) > 3 else None
