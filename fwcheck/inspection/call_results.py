"""Whether a program tests what a function returned: the instructions after the call, decoded by capstone."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from fwcheck.inspection.machines.machine import Machine, Site

_FOLLOWED = 16  # instructions after a call
_BYTES = 96
_RESULTS = {"CS_ARCH_ARM": ("r0",), "CS_ARCH_ARM64": ("x0", "w0"), "CS_ARCH_MIPS": ("v0",), "CS_ARCH_RISCV": ("a0",),
            "CS_ARCH_X86": ("eax", "rax", "al", "ax"), "CS_ARCH_PPC": ("r3",)}  # fmt: skip
# Comparisons, and branches that look at registers themselves, by the beginning of their names.
_TESTS = (
    "cmp", "cmn", "test", "tst", "cbz", "cbnz", "tbz", "tbnz", "beq", "bne", "blez", "bgtz", "bltz", "bgez", "bnez", "blt", "bge",
    "bgt", "ble", "slt", "subs", "ands", "seqz", "snez", "ccmp", "movn", "movz", "c.beqz", "c.bnez", "dec",
)  # fmt: skip
# Branches, stores and comparisons, which write no register, in the languages where capstone's lists of registers are wanting.
_ONLY_READ = re.compile(
    r"(?:c\.)?s[bhwd](?:sp|l|r|c1)?|st\w+|b(?!ic|f)(?:\.?\w+)?|j\w*|c\.[bj]\w*|cmp\w*|cmn|ccmp|tst|cbn?z|tbn?z"
)
_LISTED = ("CS_ARCH_ARM", "CS_ARCH_X86")
_REGISTER = re.compile(r"[a-z]+\d*\b")


@cache
def engine(architecture: str, mode: str) -> Any:
    """A decoder of capstone."""
    import capstone  # noqa: PLC0415  # 60 ms: only programs that verify something need it

    made = capstone.Cs(getattr(capstone, architecture), sum(getattr(capstone, each) for each in mode.split("+")))
    made.detail = True
    return made


def result_tested(machine: Machine, site: Site) -> bool | None:
    """True when the result is compared or branched on, False when it is overwritten unread, None when neither is seen."""
    architecture, mode = machine.capstone
    thumb = architecture == "CS_ARCH_ARM" and site.address in getattr(machine, "thumb_sites", ())
    if thumb:
        mode = "CS_MODE_THUMB"
    code = machine.segment_of(site.address)
    if not architecture or code is None:
        return None
    segment, data = code
    at = site.address - segment.address
    decoder = engine(architecture, mode)
    instructions = list(decoder.disasm(data[at : at + _BYTES], site.address, _FOLLOWED))
    if architecture == "CS_ARCH_MIPS":  # delay slots run before their jumps
        for index in range(len(instructions) - 2, 1, -1):
            if instructions[index].mnemonic.startswith(("j", "bal")):
                instructions[index], instructions[index + 1] = instructions[index + 1], instructions[index]
    skipped = 2 if architecture == "CS_ARCH_MIPS" else 1  # the call, and its delay slot
    names = set(_RESULTS[architecture])
    for index, instruction in enumerate(instructions):
        if index < skipped:
            continue
        answer = _look(instruction, names, architecture)
        if answer != "on":
            return {"yes": True, "no": False}.get(answer)
    return None


def _look(instruction: Any, names: set[str], architecture: str) -> str:
    """What one instruction says of the registers that hold the result: yes, no, unknown or on (to the next one)."""
    import capstone  # noqa: PLC0415

    reads, writes = _accessed(instruction, architecture)
    call = instruction.group(capstone.CS_GRP_CALL) or instruction.op_str == "$t9"
    leaves = call or instruction.group(capstone.CS_GRP_RET) or instruction.group(capstone.CS_GRP_JUMP)
    if reads & names and not call:
        if instruction.mnemonic.startswith(_TESTS):
            return "yes"
        if leaves or not writes:
            return "unknown"  # handed on, or stored
        names |= writes - {"sp", "pc"}
        return "on"
    if call and (kept := names - set(_RESULTS[architecture])):
        names &= kept  # put aside before the next call
        return "on"
    if leaves:
        # Where results have a register of their own, a call gets nothing there, and puts its own result there.
        return "no" if call and names & {"eax", "v0"} else "unknown"
    if writes & names:
        names -= writes | (set(_RESULTS[architecture]) if writes & set(_RESULTS[architecture]) else set())
        if not names:
            return "no"
    return "on"


def _accessed(instruction: Any, architecture: str) -> tuple[set[str], set[str]]:
    """Registers read and written: as capstone lists them, else by the order of the operands."""
    if architecture in _LISTED:
        read, written = instruction.regs_access()
        return {instruction.reg_name(each) for each in read}, {instruction.reg_name(each) for each in written}
    operands = _REGISTER.findall(instruction.op_str)
    if _ONLY_READ.fullmatch(instruction.mnemonic):
        return set(operands), set()
    return set(operands[1:]), set(operands[:1])
