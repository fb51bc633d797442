"""``Condition...=`` and ``Assert...=`` of units, as far as the image decides them. Source: systemd.unit(5)."""

from __future__ import annotations

import re

from fwcheck.device._command_line import CommandLine
from fwcheck.device._disk import Disk
from fwcheck.device._systemd_units import Unit
from fwcheck.device.shell.tree import UNKNOWN

_PATHS = ("PathExists", "PathIsDirectory", "FileNotEmpty", "FileIsExecutable")


def conditions(disk: Disk, unit: Unit, line: CommandLine | None) -> list[str] | None:
    """The undecided conditions of a unit; None when one fails for sure. Of those with a ``|`` one has to hold."""
    undecided: list[str] = []
    choices: list[tuple[bool | None, str]] = []
    for section, key in unit.entries:
        if section != "Unit" or not key.startswith(("Condition", "Assert")):
            continue
        for value, _, _ in unit.values("Unit", key):
            answer = _one(disk, key.removeprefix("Condition").removeprefix("Assert"), value.lstrip("|").strip(), line)
            if value.startswith("|"):
                choices.append((answer, f"{key}={value}"))
            elif answer is None:
                undecided.append(f"{key}={value}")
            elif not answer:
                return None
    if choices and not any(answer for answer, _ in choices):
        if all(answer is False for answer, _ in choices):
            return None
        undecided.append(" or ".join(text for answer, text in choices if answer is None))
    return undecided


def _one(disk: Disk, key: str, value: str, line: CommandLine | None) -> bool | None:
    negated, operand = value.startswith("!"), value.lstrip("!").strip()
    answer = _holds(disk, key, operand, line)
    return answer if answer is None else answer is not negated


def _holds(disk: Disk, key: str, operand: str, line: CommandLine | None) -> bool | None:
    if key in _PATHS:
        exists = disk.exists(operand)
        if key == "FileNotEmpty" and exists:
            text = disk.text(operand)
            return None if text is None or UNKNOWN in text else bool(text)
        return exists
    match key:
        case "PathExistsGlob":
            found = disk.glob(operand) if operand.startswith("/") else []
            return None if found is None else bool(found) or (None if disk.undecided(operand) else False)
        case "PathIsReadWrite":
            return True if re.match(r"/(sys|proc|dev|run|tmp)(/|$)", operand) else None
        case "DirectoryNotEmpty":
            held = disk.children(operand) if disk.exists(operand) else []
            return None if held is None or (not held and disk.undecided(operand)) else bool(held)
        case "PathIsSymbolicLink":
            node = disk.root.resolve(operand, follow=False)
            return node.target is not None if node is not None else None if disk.undecided(operand) else False
        case "FirstBoot":
            first = first_boot(disk)
            return False if first is False and operand in ("yes", "true", "1") else None
        case "Virtualization":  # a device that is sold is no virtual machine
            return operand in ("no", "false", "0")
        case "KernelCommandLine":
            given = line is not None and any(word == operand or word.startswith(operand + "=") for word in line.words)
            return True if given else None
        case "User":
            return operand in ("root", "0", "@system")
        case "Group":
            return operand in ("root", "0")
        case "Capability":
            return True if re.fullmatch(r"(?i)cap_\w+", operand) else None
    return None


def first_boot(disk: Disk) -> bool:
    """Whether the image has not booted yet: no machine id (an empty file is none of that; machine-id(5))."""
    machine = disk.text("/etc/machine-id")
    return machine is None or machine.strip() == "uninitialized"
