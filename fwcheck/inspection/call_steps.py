"""What one instruction does to small numbers in registers and on the stack, from its text as capstone gives it.

Enough to follow the result of a call to the branch that it decides: moves, sums, comparisons, conditions. What is not known here
makes its registers unknown, never wrong. Meanings as in the manuals of the instruction sets (Arm DDI 0406 and DDI 0487, MIPS32
volume II, RISC-V unprivileged ISA, Intel SDM volume 2).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

State = dict[str, int]
"""Known values of registers and stack slots; ``"<"`` and ``">"`` hold the two sides of the last comparison."""
Operand = tuple[str, str | int]
"""Kind (register, number, slot, memory or other) and what it is."""

LEFT, RIGHT = "<", ">"
_REGISTER = re.compile(r"\$?[a-z][a-z0-9]*")
_NUMBER = re.compile(r"#?(-?(?:0x[0-9a-f]+|\d+))")
_SLOT = re.compile(r"\[(sp|fp|x29|r7|r11|rsp|rbp|esp|ebp)(?:(?:, #| )?([+-]?)(?: ?#?)(-?(?:0x[0-9a-f]+|\d+)))?\]")
_SLOT_PAREN = re.compile(r"(-?(?:0x[0-9a-f]+|\d+))?\(\$?(sp|fp|s0|s8)\)")
_ZERO = frozenset({"zero", "wzr", "xzr"})
_X86 = {
    name: family
    for family, names in {
        "ax": "al ax eax rax", "bx": "bl bx ebx rbx", "cx": "cl cx ecx rcx", "dx": "dl dx edx rdx", "si": "sil si esi rsi",
        "di": "dil di edi rdi", "bp": "bpl bp ebp rbp", "sp": "spl sp esp rsp",
    }.items()
    for name in names.split()
}  # fmt: skip
_CONDITIONS: dict[str, Callable[[int, int], bool]] = {
    "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "lt": lambda a, b: a < b, "ge": lambda a, b: a >= b,
    "gt": lambda a, b: a > b, "le": lambda a, b: a <= b, "mi": lambda a, b: a - b < 0, "pl": lambda a, b: a - b >= 0,
    "hi": lambda a, b: _unsigned(a) > _unsigned(b), "ls": lambda a, b: _unsigned(a) <= _unsigned(b),
    "hs": lambda a, b: _unsigned(a) >= _unsigned(b), "lo": lambda a, b: _unsigned(a) < _unsigned(b),
}  # fmt: skip
_NAMES = {
    "e": "eq", "z": "eq", "nz": "ne", "l": "lt", "nge": "lt", "nl": "ge", "g": "gt", "nle": "gt", "ng": "le", "s": "mi",
    "ns": "pl", "a": "hi", "nbe": "hi", "be": "ls", "na": "ls", "ae": "hs", "nb": "hs", "nc": "hs", "b": "lo", "nae": "lo",
    "c": "lo", "cs": "hs", "cc": "lo", "ltu": "lo", "geu": "hs", "gtu": "hi", "leu": "ls", **{name: name for name in _CONDITIONS},
}  # fmt: skip
_SAVED = {
    "arm": re.compile(r"r(?:[4-9]|1[01])|sb|sl|fp"),
    "aarch64": re.compile(r"x(?:19|2\d)"),
    "mips": re.compile(r"s[0-8]|fp|gp"),
    "riscv": re.compile(r"s\d+"),
    "x86": re.compile(r"bx|bp|r1[2-5]"),
}
RESULT = {"arm": "r0", "aarch64": "x0", "mips": "v0", "riscv": "a0", "x86": "ax"}
_IMPLICIT = re.compile(r"i?div|mul|imul|cdq|cqo|cwde?|rep\w*.*|lods\w|stos\w|movs[bwdq]|scas\w|cpuid|rdtsc")


class Instruction(NamedTuple):
    """One instruction, parsed."""

    name: str  # without width, condition and the letter for flags
    operands: tuple[Operand, ...]
    condition: str  # under which it runs: "" for always
    flags: bool  # it sets the flags
    size: int
    returns: bool
    registers: frozenset[str]


def signed(value: int) -> int:
    """A number as 32 bits with a sign."""
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def _unsigned(value: int) -> int:
    return value & 0xFFFFFFFF


def parse(kind: str, mnemonic: str, text: str, size: int) -> Instruction:
    """An instruction of one of the kinds of machines out of capstone's text."""
    name, condition, flags = mnemonic.removesuffix(".w").removesuffix(".n"), "", kind == "x86"
    if kind == "arm":
        name, condition, flags = _arm_name(name)
    elif kind == "aarch64":
        flags = name in ("subs", "adds", "ands", "negs", "cmp", "cmn", "tst", "ccmp", "ccmn", "fcmp", "bics")
        name = name.removesuffix("s") if name in ("subs", "adds", "ands", "negs") else name
    elif kind == "riscv":
        name = name.removeprefix("c.")
    operands = tuple(_operand(kind, part) for part in _split(text))
    names = frozenset(_canonical(kind, each) for each in _REGISTER.findall(text))
    return Instruction(name, operands, condition, flags, size, _leaves(kind, name, text), names)


_ARM_FLAGS = frozenset(
    {"mov", "mvn", "add", "sub", "rsb", "and", "orr", "eor", "lsl", "lsr", "asr", "bic", "mul", "adc", "sbc", "ror", "neg"}
)


def _arm_name(name: str) -> tuple[str, str, bool]:
    """Name, condition, and whether it sets flags: ``movsne`` or ``popne`` into their parts."""
    if name in ("cmp", "cmn", "tst", "teq"):
        return name, "", True
    if name.startswith("b") and name[1:] in _NAMES and name not in ("bl", "bls"):
        return "b", _NAMES[name[1:]], False
    if name == "bls":
        return "b", "ls", False
    for base in _ARM_FLAGS:
        if name == base + "s":
            return base, "", True
    ending = name[-2:]
    if len(name) > 4 - (name[:2] == "bl" or name[:2] == "bx") and ending in _NAMES and name not in ("teq", "lsls", "muls", "mls"):
        base = name[:-2]
        if base in ("cmp", "cmn", "tst", "teq"):
            return base, _NAMES[ending], True
        if base.removesuffix("s") in _ARM_FLAGS and base not in _ARM_FLAGS:
            return base.removesuffix("s"), _NAMES[ending], True
        return base, _NAMES[ending], False
    return name, "", False


def _split(text: str) -> list[str]:
    parts, depth, begin = [], 0, 0
    for at, letter in enumerate(text):
        depth += (letter in "[{(") - (letter in "]})")
        if letter == "," and depth == 0:
            parts.append(text[begin:at].strip())
            begin = at + 1
    return [*parts, text[begin:].strip()] if text else []


def _canonical(kind: str, name: str) -> str:
    name = name.removeprefix("$")
    if kind == "aarch64" and name[0] == "w" and name[1:].isdigit():
        return "x" + name[1:]
    if kind == "x86":
        return _X86.get(name, name.rstrip("dwb") if name[0] == "r" and name[1:2].isdigit() else name)
    return "s0" if kind == "riscv" and name == "fp" else name


def _operand(kind: str, text: str) -> Operand:
    found = _NUMBER.fullmatch(text)
    if found:
        return "number", signed(int(found[1], 0))
    slot = _SLOT.search(text) if "[" in text else None
    if slot is not None and text.endswith("]"):
        number = int(slot[3], 0) if slot[3] else 0
        return "slot", f"{_canonical(kind, slot[1])}{-number if slot[2] == '-' else number:+d}"
    paren = _SLOT_PAREN.fullmatch(text)
    if paren:
        return "slot", f"{_canonical(kind, paren[2])}{int(paren[1] or '0', 0):+d}"
    if "[" in text or "(" in text or "{" in text:
        return "memory", text
    if _REGISTER.fullmatch(text):
        return "register", _canonical(kind, text)
    return "other", text


def _leaves(kind: str, name: str, text: str) -> bool:
    if kind == "arm":
        return (
            (name == "bx" and text == "lr")
            or (name in ("pop", "ldm", "ldmia", "ldmib") and "pc" in text)
            or (name in ("mov", "ldr") and text.startswith("pc"))
        )
    if kind == "mips":
        return name in ("jr", "jrc", "jr.hb") and text == "$ra"
    if kind == "riscv":
        return name == "ret" or (name == "jr" and text == "ra")
    return name in ("ret", "retq", "retab", "retaa", "repz ret", "rep ret")


# --------------------------------------------------------------------------- meaning


def holds(name: str, state: State) -> bool | None:
    """Whether a condition holds; None when the last comparison is not known."""
    left, right = state.get(LEFT), state.get(RIGHT)
    return None if left is None or right is None else _CONDITIONS[_NAMES[name]](left, right)


def value_of(operand: Operand, state: State) -> int | None:
    """The value of an operand."""
    kind, what = operand
    if kind == "number":
        return int(what)
    if kind == "register" and what in _ZERO:
        return 0
    return state.get(str(what)) if kind in ("register", "slot") else None


def branch_taken(kind: str, instruction: Instruction, state: State) -> bool | None:
    """Whether a conditional branch is taken; None when that is not known."""
    name, operands = instruction.name, instruction.operands
    if kind == "arm" and name == "b":
        return holds(instruction.condition, state) if instruction.condition else True
    if kind == "aarch64" and name.startswith("b."):
        return holds(name[2:], state) if name[2:] in _NAMES else None
    if kind == "x86":
        return holds(name[1:], state) if name[1:] in _NAMES else None
    values = [value_of(each, state) for each in operands]
    if name in ("cbz", "cbnz"):
        return None if values[0] is None else (values[0] == 0) == (name == "cbz")
    if name in ("tbz", "tbnz"):
        if values[0] is None or len(values) < 2 or values[1] is None:
            return None
        return (values[0] >> min(values[1], 31) & 1 == 0) == (name == "tbz")
    if kind == "mips":
        name = name.removesuffix("l") if name in ("beql", "bnel", "beqzl", "bnezl", "bltzl", "bgezl", "blezl", "bgtzl") else name
    if name[:1] != "b" or not operands:
        return None
    compared = name[1:].removesuffix("z") if name.endswith("z") else name[1:]
    second = 0 if name.endswith("z") else values[1] if len(values) > 1 else None
    if compared not in _NAMES or values[0] is None or second is None:
        return None
    return _CONDITIONS[_NAMES[compared]](values[0], second)


def call(kind: str, state: State) -> None:
    """What a call leaves known: saved registers, and the stack."""
    saved = _SAVED[kind]
    for name in [each for each in state if not saved.fullmatch(each) and not _is_slot(each)]:
        del state[name]


def _is_slot(name: str) -> bool:
    return "+" in name or "-" in name


_SUMS: dict[str, Callable[[int, int], int]] = {
    **dict.fromkeys(("add", "addi", "addiu", "addu", "addw", "addiw", "daddiu", "daddu", "addi4spn"), lambda a, b: a + b),
    **dict.fromkeys(("sub", "subu", "subw", "dsubu"), lambda a, b: a - b),
    "rsb": lambda a, b: b - a,
    **dict.fromkeys(("and", "andi"), lambda a, b: a & b),
    **dict.fromkeys(("or", "ori", "orr"), lambda a, b: a | b),
    **dict.fromkeys(("xor", "xori", "eor"), lambda a, b: a ^ b),
    **dict.fromkeys(("slt", "slti"), lambda a, b: int(a < b)),
    **dict.fromkeys(("sltu", "sltiu"), lambda a, b: int(_unsigned(a) < _unsigned(b))),
    **dict.fromkeys(("lsr", "srl", "srli", "shr", "srliw"), lambda a, b: _unsigned(a) >> (b & 31)),
    **dict.fromkeys(("asr", "sra", "srai", "sar", "sraiw"), lambda a, b: a >> (b & 31)),
    **dict.fromkeys(("lsl", "sll", "slli", "shl"), lambda a, b: a << (b & 31)),
    "nor": lambda a, b: ~(a | b),
}
_SINGLES: dict[str, Callable[[int], int]] = {
    **dict.fromkeys(("mov", "move", "mv", "li", "movw", "movabs", "sxtw", "sext.w", "movsxd", "cdqe"), lambda a: a),
    **dict.fromkeys(("mvn", "not"), lambda a: ~a),
    **dict.fromkeys(("neg", "negu", "negw"), lambda a: -a),
    **dict.fromkeys(("uxtb", "movzx", "zext.b"), lambda a: a & 0xFF),
    **dict.fromkeys(("sxtb", "movsx", "seb"), lambda a: (a & 0xFF) - ((a & 0x80) << 1)),
    "seqz": lambda a: int(a == 0), "snez": lambda a: int(a != 0), "sltz": lambda a: int(a < 0), "sgtz": lambda a: int(a > 0),
    "clz": lambda a: 32 - _unsigned(a).bit_length(),
}  # fmt: skip
_LOADS = re.compile(r"ldr|ldur|lw|ld|lwsp|ldsp|mov|lwu")
_STORES = re.compile(r"str\w*|stur\w*|stp|stm\w*|s[bhwd]|s[wd]sp|s[wd][lr]|s[wd]c1|fs[wd]\w*|vst\w+")
_KILLS_FIRST = re.compile(
    r"l[bh]u?|lwu?|ld|l[wd]sp|lw[lr]|ldr(?!d)\w*|ldur\w*|mov\w*|lea|lui|auipc|adr\w*|mul|ubfx|sbfx|mfhi|mflo|cls|rbit|rev\w*"
    r"|set\w+|cmov\w+|cs\w+|cin[cv]|cneg|inc|dec|imul"
)
_NO_FLAGS = re.compile(r"mov\w*|lea|push|pop|nop\w*|set\w+|cmov\w+|not|leave|endbr\w*|call\w*|j\w+|cdq\w*|cwde")
_NOTHING = re.compile(r"nop\w*|it\w*|endbr\w*|paciasp|autiasp|bti|sync|dmb|isb|ehb|push|prfm|ssnop")


def step(kind: str, instruction: Instruction, state: State, taken: frozenset[str]) -> None:
    """Changes ``state`` as the instruction does. ``taken``: stack slots that something points to."""
    if instruction.condition:
        held = holds(instruction.condition, state)
        if held is False:
            return
        if held is None:
            _forget(instruction, state)
            return
    name, operands = instruction.name, instruction.operands
    if name in ("cmp", "cmn", "tst", "test", "teq") and len(operands) > 1:
        _compare(name, value_of(operands[0], state), value_of(operands[1], state), state)
        return
    if _NOTHING.fullmatch(name):
        if name == "push" and kind == "x86":
            _drop_slots(state)
        return
    if not operands:
        _forget(instruction, state)
        return
    if kind == "x86" and _IMPLICIT.fullmatch(name):
        for each in ("ax", "dx", "cx", "si", "di"):
            state.pop(each, None)
    where, what = operands[0]
    if _STORES.fullmatch(name) or where == "slot" or (kind == "x86" and where == "memory"):
        _store(kind, instruction, state, taken)
        return
    if where != "register":
        _forget(instruction, state)
        if "sp" in instruction.registers or name.startswith("pop"):
            _drop_slots(state)
        return
    value = _value(kind, instruction, state)
    _flags(kind, instruction, value, state)
    register = str(what)
    if register == "sp" or (kind == "x86" and name == "pop"):
        _drop_slots(state)
    many = value is None and not (name in _SUMS or name in _SINGLES or _KILLS_FIRST.fullmatch(name))
    for each in instruction.registers if many else (register,):
        state.pop(each, None)
    if value is not None and register not in _ZERO:
        state[register] = signed(value)


def _drop_slots(state: State) -> None:
    for each in [name for name in state if name.startswith("sp") and _is_slot(name)]:
        del state[each]


def _forget(instruction: Instruction, state: State) -> None:
    for each in instruction.registers:
        state.pop(each, None)
    if instruction.flags:
        state.pop(LEFT, None)


def _compare(name: str, left: int | None, right: int | None, state: State) -> None:
    state.pop(LEFT, None)
    if left is None or right is None:
        return
    if name in ("tst", "test"):
        left, right = left & right, 0
    elif name == "teq":
        left, right = left ^ right, 0
    elif name == "cmn":
        right = -right
    state[LEFT], state[RIGHT] = left, right


def _store(kind: str, instruction: Instruction, state: State, taken: frozenset[str]) -> None:
    """A store: of a register to a stack slot that nothing points to it is kept."""
    operands = instruction.operands
    source, target = (operands[1], operands[0]) if kind == "x86" and len(operands) > 1 else (operands[0], operands[-1])
    if kind == "x86" and not _NO_FLAGS.fullmatch(instruction.name):
        state.pop(LEFT, None)
    if target[0] != "slot":
        return
    slot, whole = str(target[1]), len(operands) == 2 and instruction.name in _WHOLE
    if not whole:
        _drop_slots(state)  # two registers, or a part of one
        state.pop(slot, None)
        return
    value = value_of(source, state) if slot not in taken else None
    state.pop(slot, None)
    if value is not None:
        state[slot] = value


_WHOLE = frozenset({"str", "stur", "sw", "sd", "swsp", "sdsp", "mov"})


def _value(kind: str, instruction: Instruction, state: State) -> int | None:
    """What the instruction puts into its first operand."""
    name, operands = instruction.name, instruction.operands
    values = [value_of(each, state) for each in operands]
    if len(operands) > 1 and operands[1][0] == "slot":
        return values[1] if _LOADS.fullmatch(name) else None
    if name in _SINGLES and len(operands) == 2:
        return None if values[1] is None else _SINGLES[name](values[1])
    if name in ("xor", "sub", "eor") and len(operands) == 2 and operands[0] == operands[1]:
        return 0
    if name == "or" and len(operands) == 2 and values[1] == -1:
        return -1
    if name in _SUMS and len(operands) in (2, 3):
        first, second = values[-2], values[-1]
        return None if first is None or second is None else _SUMS[name](first, second)
    if name in ("inc", "dec") and values[0] is not None:
        return values[0] + (1 if name == "inc" else -1)
    if name == "neg" and len(operands) == 1:
        return None if values[0] is None else -values[0]
    if name == "not" and len(operands) == 1:
        return None if values[0] is None else ~values[0]
    if name in ("movz", "movn") and kind == "mips" and len(operands) == 3:
        if values[2] is None:
            return None
        return values[1] if (values[2] == 0) == (name == "movz") else values[0]
    return _chosen(kind, name, operands, values, state)


def _chosen(kind: str, name: str, operands: tuple[Operand, ...], values: list[int | None], state: State) -> int | None:
    """Instructions that choose by the flags."""
    if kind == "x86":
        if name == "sbb" and len(operands) == 2 and operands[0] == operands[1]:
            held = holds("lo", state)
            return None if held is None else -int(held)
        if name.startswith("set") and name[3:] in _NAMES:
            held = holds(name[3:], state)
            return None if held is None else int(held)
        if name.startswith("cmov") and name[4:] in _NAMES:
            held = holds(name[4:], state)
            return None if held is None else values[1] if held else values[0]
        return None
    if kind != "aarch64" or operands[-1][0] not in ("register", "other") or operands[-1][1] not in _NAMES:
        return None
    held = holds(str(operands[-1][1]), state)
    if held is None:
        return None
    if name in ("cset", "csetm"):
        return int(held) if name == "cset" else -int(held)
    if name in ("cinc", "cinv", "cneg"):
        first = values[1]
        return None if first is None else _changed(name, first) if held else first
    if name in ("csel", "csinc", "csinv", "csneg") and len(values) == 4:
        if held:
            return values[1]
        return None if values[2] is None else _changed(name, values[2])
    return None


def _changed(name: str, value: int) -> int:
    if name.endswith("inc"):
        return value + 1
    return ~value if name.endswith("inv") else -value if name.endswith("neg") else value


def _flags(kind: str, instruction: Instruction, value: int | None, state: State) -> None:
    if not instruction.flags or (kind == "x86" and _NO_FLAGS.fullmatch(instruction.name)):
        return
    name, operands = instruction.name, instruction.operands
    values = [value_of(each, state) for each in operands]
    state.pop(LEFT, None)
    if name in ("sub", "rsb") and len(values) > 1 and values[-1] is not None and values[-2] is not None:
        state[LEFT], state[RIGHT] = (values[-2], values[-1]) if name == "sub" else (values[-1], values[-2])
    elif name == "neg" and kind == "x86" and values[0] is not None:
        state[LEFT], state[RIGHT] = 0, values[0]
    elif value is not None:
        state[LEFT], state[RIGHT] = signed(value), 0
