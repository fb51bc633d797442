"""What ``test`` and ``itest`` of U-Boot's shell answer, as far as their words are constant (cmd/test.c, cmd/itest.c)."""

from __future__ import annotations

import re
from typing import Final, Literal

Outcome = Literal["yes", "no", "medium", "open"]  # medium: a load may fail; open: only the running device knows
OPEN: Final = "\x01"  # stands for a value that only the running device knows


def tested(words: list[str]) -> Outcome:
    """``test``: known where its words are; ``-o`` and ``-a`` from left to right as in cmd/test.c."""
    if words[0] in ("true", "false"):
        return "yes" if words[0] == "true" else "no"
    rest = [word for word in words[1:] if word != "]"]
    if rest[:1] == ["-e"] or rest[:2] == ["!", "-e"]:
        return "medium"  # whether a file is there: who holds the medium decides
    if any(OPEN in word for word in rest) or words[0] == "itest" or {"-o", "-a"} & set(rest):
        return "open"
    turned = rest[:1] == ["!"]
    rest = rest[1:] if turned else rest
    found = _compared(rest)
    if found is None:
        return "open"
    return "yes" if found is not turned else "no"


def _compared(rest: list[str]) -> bool | None:
    if len(rest) == 1:  # ``-n`` with an empty variable behind it, or a lone word
        return rest[0] == "-z"
    if len(rest) == 2:
        return {"-n": bool(rest[1]), "-z": not rest[1]}.get(rest[0])
    if len(rest) != 3:
        return None
    left, operator, right = rest
    if operator in ("=", "==", "!="):
        return (left == right) is (operator != "!=")
    if not re.fullmatch(r"-?\d{1,9}", left) or not re.fullmatch(r"-?\d{1,9}", right):
        return None
    one, two = int(left), int(right)
    table = {"-eq": one == two, "-ne": one != two, "-lt": one < two, "-le": one <= two, "-gt": one > two, "-ge": one >= two}
    return table.get(operator)
