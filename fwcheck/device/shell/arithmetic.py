"""Arithmetic expressions of the shell, without assignments. Source: POSIX.1-2017, XCU 2.6.4."""

from __future__ import annotations

import re
from collections.abc import Callable

from fwcheck.device.shell.patterns import known
from fwcheck.device.shell.tree import UNKNOWN

_TOKEN = re.compile(r"\s*(0[xX][0-9a-fA-F]+|\d+|[A-Za-z_]\w*|\*\*|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%<>&|^~!()?:,=])", re.ASCII)
_LEVELS = (
    ("||",),
    ("&&",),
    ("|",),
    ("^",),
    ("&",),
    ("==", "!="),
    ("<", ">", "<=", ">="),
    ("<<", ">>"),
    ("+", "-"),
    ("*", "/", "%"),
)


def arithmetic(expression: str, value: Callable[[str], str | None]) -> str:
    """The value of an arithmetic expression without assignments, unknown when it cannot be told."""
    if not known(expression) or len(expression) > 256 or expression.count("(") > 8:
        return UNKNOWN
    tokens, at = [], 0
    while found := _TOKEN.match(expression, at):
        tokens.append(found.group(1))
        at = found.end()
    if expression[at:].strip():
        return UNKNOWN
    try:
        result = _binary(tokens, 0, value) if tokens else 0
    except (ValueError, ZeroDivisionError, OverflowError):
        return UNKNOWN
    return UNKNOWN if tokens or abs(result) >= 1 << 63 else str(result)


def _binary(tokens: list[str], level: int, value: Callable[[str], str | None]) -> int:
    if level == len(_LEVELS):
        return _unary(tokens, value)
    left = _binary(tokens, level + 1, value)
    while tokens and tokens[0] in _LEVELS[level]:
        left = _apply(tokens.pop(0), left, _binary(tokens, level + 1, value))
    return left


def _apply(op: str, left: int, right: int) -> int:
    match op:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return int(left / right)
        case "%":
            return left - right * int(left / right)
        case "<<":
            return left << min(max(right, 0), 63)
        case ">>":
            return left >> min(max(right, 0), 63)
        case "&":
            return left & right
        case "|":
            return left | right
        case "^":
            return left ^ right
        case "&&":
            return int(bool(left and right))
        case "||":
            return int(bool(left or right))
    return int(
        {"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right, "==": left == right}.get(
            op, left != right
        )
    )


def _unary(tokens: list[str], value: Callable[[str], str | None]) -> int:
    signs = []
    while tokens and tokens[0] in ("-", "+", "!", "~"):
        signs.append(tokens.pop(0))
    if not tokens:
        raise ValueError
    token = tokens.pop(0)
    if token == "(":
        result = _binary(tokens, 0, value)
        if not tokens or tokens.pop(0) != ")":
            raise ValueError
    elif token[0].isalpha() or token[0] == "_":
        result = _number(value(token) or "0")
    else:
        result = _number(token)
    for sign in reversed(signs):
        result = {"-": -result, "+": result, "!": int(not result), "~": ~result}[sign]
    return result


def _number(text: str) -> int:
    if not known(text) or len(text) > 24:
        raise ValueError
    if text[:2].lower() == "0x":
        return int(text, 16)
    return int(text, 8) if len(text) > 1 and text[0] == "0" and text.isdigit() else int(text)
