"""Words of a shell script expanded as far as the image decides them.

A value is a string in which :data:`UNKNOWN` stands for every piece that only the running device knows, so that half-known
values (``/etc/init.d/<unknown> start``) still say what they say. Source: POSIX.1-2017, XCU 2.6 (word expansions).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

from fwcheck.device._shell_syntax import UNKNOWN, Arithmetic, CommandSubstitution, Literal, Parameter, Sequence, Word

VALUE_LIMIT = 1 << 16
_FIELDS_LIMIT = 4096
_MAGIC = re.compile(r"[*?]|\[[^\]]+\]")
_QUOTABLE = re.compile(r"[*?\[]")
_QUOTED = {"*": "\ue000", "?": "\ue001", "[": "\ue002"}  # quoted pattern characters, while a word is put together
_UNQUOTE = {ord(mark): char for char, mark in _QUOTED.items()}


class Context(Protocol):
    """What an expansion asks of the shell it runs in."""

    def value(self, name: str) -> str | None:
        """The value of a parameter, None when it is unset."""

    def positional(self) -> list[str]:
        """The positional parameters from $1 on."""

    def assign(self, name: str, value: str) -> None:
        """Sets a variable."""

    def output(self, body: Sequence) -> str:
        """What the commands write, without trailing newlines."""

    def paths(self, pattern: str) -> list[str] | None:
        """The paths a pattern matches, None when nobody can tell."""


def bounded(text: str) -> str:
    """The text, or unknown when it is longer than a value may become."""
    return text if len(text) <= VALUE_LIMIT else UNKNOWN


def known(text: str) -> bool:
    """Whether every piece of the value is known."""
    return UNKNOWN not in text


def expand(word: Word, shell: Context) -> list[str]:
    """The fields of a word: expanded, split and with paths put in for patterns."""
    if len(word.parts) == 1 and isinstance(only := word.parts[0], Literal) and (only.quoted or not _MAGIC.search(only.text)):
        return [_tilde(only)]
    fields: list[str] = []
    open_field = False  # whether the last field still grows
    for part in word.parts:
        if isinstance(part, Parameter) and part.name == "@" and part.quoted and not part.op:
            open_field = _join(fields, [_hide(text) for text in shell.positional()], grows=open_field)
            continue
        text = part_value(part, shell)
        if isinstance(part, Literal) or part.quoted:
            open_field = _join(fields, [_hide(text) if part.quoted else text], grows=open_field)
            continue
        pieces = text.split()
        if text[:1].isspace():
            open_field = False
        if pieces:
            _join(fields, pieces, grows=open_field)
            open_field = not text[-1].isspace()
    return [path for text in fields[:_FIELDS_LIMIT] for path in _paths(text, shell)]


def _join(fields: list[str], pieces: list[str], *, grows: bool) -> bool:
    if pieces and grows:
        fields[-1] = bounded(fields[-1] + pieces[0])
        pieces = pieces[1:]
    fields.extend(pieces)
    return bool(fields) if pieces or grows else False


def _hide(text: str) -> str:
    return text.translate({ord(char): mark for char, mark in _QUOTED.items()}) if _QUOTABLE.search(text) else text


def _show(text: str) -> str:
    return text.translate(_UNQUOTE)


def _paths(text: str, shell: Context) -> Iterable[str]:
    if not _MAGIC.search(text) or not known(text):
        return [_show(text)]
    found = shell.paths(text.translate({ord(mark): f"[{char}]" for char, mark in _QUOTED.items()}))
    if found is None:
        return [UNKNOWN]
    return found or [_show(text)]


def _tilde(part: Literal) -> str:
    return "/root" + part.text[1:] if not part.quoted and (part.text == "~" or part.text.startswith("~/")) else part.text


def value(word: Word, shell: Context) -> str:
    """The value of a word that is not split: an assignment, the subject of ``case``, a redirection target."""
    return bounded("".join(part_value(part, shell) for part in word.parts))


def pattern(word: Word, shell: Context) -> str:
    """The word as a pattern; a backslash stands before what quotes make plain text."""
    return "".join(_escape(text) if part.quoted else text for part in word.parts for text in [part_value(part, shell)])


def _escape(text: str) -> str:
    return re.sub(r"([*?\[\]!^\\-])", r"\\\1", text)


def _plain(glob: str) -> str:
    return re.sub(r"\\(.)", r"\1", glob, flags=re.DOTALL)


def part_value(part: Literal | Parameter | CommandSubstitution | Arithmetic, shell: Context) -> str:
    """What one part of a word becomes."""
    match part:
        case Literal():
            return part.text
        case Parameter():
            return bounded(_parameter(part, shell))
        case CommandSubstitution():
            text = shell.output(part.body)
            return UNKNOWN if part.opaque else text
        case Arithmetic():
            return arithmetic(value(part.expression, shell), shell)


def _parameter(part: Parameter, shell: Context) -> str:
    held = shell.value(part.name)
    if not part.op:
        return held or ""
    if part.op in ("-", "=", "?", "+"):
        return _default(part, held, shell)
    text = held or ""
    if part.op == "length":
        return str(len(text)) if known(text) else UNKNOWN
    if part.argument is not None and part.op in ("#", "##", "%", "%%"):
        return trim(text, pattern(part.argument, shell), part.op)
    if not known(text) or part.argument is None:
        return UNKNOWN if text or part.op == "other" else ""
    if part.op in ("/", "//"):
        return _replace(text, part, shell)
    if part.op == "substring":
        return _substring(text, value(part.argument, shell))
    return UNKNOWN


def _default(part: Parameter, held: str | None, shell: Context) -> str:
    missing = held is None or (part.colon and held == "")
    undecided = held is not None and part.colon and held.strip(UNKNOWN) == "" and held != ""
    argument = part.argument or Word([])
    if part.op == "+":
        return UNKNOWN if undecided else "" if missing else value(argument, shell)
    if not missing:
        return held or ""
    text = value(argument, shell)
    if part.op == "=":
        shell.assign(part.name, text)
    return text


def trim(text: str, glob: str, op: str) -> str:
    """``${text#glob}`` and its three brothers."""
    if not known(glob):
        return UNKNOWN
    if not known(text):
        return _trim_partial(text, glob, op)
    if glob in ("*", ""):
        return "" if glob and op in ("##", "%%") else text
    backward = op[0] == "%"
    end = _leading(text[::-1] if backward else text, glob, longest=len(op) == 2, backward=backward)
    if end is None:
        return text
    return text[: len(text) - end] if backward else text[end:]


def _trim_partial(text: str, glob: str, op: str) -> str:
    """A half-known value: decided where the part before the first unknown piece decides."""
    head = text[: text.index(UNKNOWN)]
    if op == "#" and (end := _leading(head, glob, longest=False, backward=False)) is not None:
        return text[end:]
    if op == "#" and "*" not in glob and len(head) >= len(_stretches(glob, False)[0]):
        return text
    if op == "%%" and glob.endswith("*") and not _MAGIC.search(glob[:-1]) and (stop := _plain(glob[:-1])) in head:
        return head[: head.index(stop)]
    return UNKNOWN


def fits(text: str, glob: str) -> bool:
    """Whether a shell pattern matches the whole text, in linear time."""
    return _leading(text, glob, longest=True, backward=False) == len(text)


def _leading(text: str, glob: str, *, longest: bool, backward: bool) -> int | None:
    """The length of the shortest or longest beginning of ``text`` that matches, found without backtracking.

    Between stars a pattern has a fixed length, so each stretch is taken as early as possible, the last one as late.
    """
    stretches = _stretches(glob, backward)
    first = re.compile(stretches[0], re.DOTALL).match(text)
    if first is None:
        return None
    at = first.end()
    for stretch in stretches[1:-1]:
        found = re.compile(stretch, re.DOTALL).search(text, at)
        if found is None:
            return None
        at = found.end()
    if len(stretches) == 1:
        return at
    if not longest:
        last = re.compile(stretches[-1], re.DOTALL).search(text, at)
        return None if last is None else last.end()
    if not stretches[-1]:
        return len(text)
    ends = [found.end(1) for found in re.compile(f"(?=({stretches[-1]}))", re.DOTALL).finditer(text, at)]
    return ends[-1] if ends else None


def _set(atom: str) -> str:
    """A bracket expression as a regular expression: ``[!x]`` negates, ``[\\!x]`` does not."""
    inner = atom[1:-1]
    negated = inner[0] in "!^"
    members = re.sub(r"\\(.)", r"\1", inner[negated:])
    escaped = re.sub(r"([\\\[\]^&~|])", r"\\\1", members)
    expression = f"[{'^' if negated else ''}{escaped}]"
    try:
        re.compile(expression)
    except re.error:
        return re.escape(atom)
    return expression


_ATOM = re.compile(r"\\.|\[[!^]?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)


@lru_cache(maxsize=512)
def _stretches(glob: str, backward: bool) -> tuple[str, ...]:
    """The pattern cut at its stars, each piece a regular expression of fixed length; in reverse order if ``backward``."""
    atoms = _ATOM.findall(re.sub(r"\[\[:(\w+):\]\]", lambda m: _CLASSES.get(m.group(1), "?"), glob))
    stretches = [""]
    for atom in reversed(atoms) if backward else atoms:
        if atom == "*":
            stretches.append("")
        elif atom[0] == "\\" and len(atom) == 2:
            stretches[-1] += re.escape(atom[1])
        elif len(atom) > 2:
            stretches[-1] += _set(atom)
        else:
            stretches[-1] += "." if atom == "?" else re.escape(atom)
    return tuple(stretches)


_CLASSES = {"digit": "[0-9]", "alpha": "[A-Za-z]", "alnum": "[0-9A-Za-z]", "space": "[ \t\n]", "upper": "[A-Z]", "lower": "[a-z]"}


def matches(text: str, glob: str) -> bool | None:
    """Whether the text matches the pattern; None when unknown pieces decide."""
    if known(text) and known(glob):
        return fits(text, glob)
    if not known(glob):
        return None
    if glob == "*":
        return True
    if _MAGIC.search(glob):
        return None
    return None if could_equal(text, _plain(glob)) else False


def could_equal(left: str, right: str) -> bool:
    """Whether two values can be the same, whatever stands for their unknown pieces."""
    if known(left) and known(right):
        return left == right
    if not known(left) and not known(right):
        return True
    partial, whole = (left, right) if known(right) else (right, left)
    first, *middle, last = partial.split(UNKNOWN)
    return whole.startswith(first) and whole.endswith(last) and len(first) + len(last) + sum(map(len, middle)) <= len(whole)


def _replace(text: str, part: Parameter, shell: Context) -> str:
    argument = part.argument or Word([])
    if any(not isinstance(piece, Literal) for piece in argument.parts):
        return UNKNOWN
    old, _, new = value(argument, shell).partition("/")
    if not old or _MAGIC.search(old):
        return UNKNOWN
    return text.replace(old, new, -1 if part.op == "//" else 1)


def _substring(text: str, argument: str) -> str:
    found = re.fullmatch(r"\s*(\d{1,6})(?::(\d{1,6}))?\s*", argument)
    if found is None:
        return UNKNOWN
    start = int(found.group(1))
    return text[start : start + int(found.group(2))] if found.group(2) else text[start:]


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


def arithmetic(expression: str, shell: Context) -> str:
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
        result = _binary(tokens, 0, shell) if tokens else 0
    except (ValueError, ZeroDivisionError, OverflowError):
        return UNKNOWN
    return UNKNOWN if tokens or abs(result) >= 1 << 63 else str(result)


def _binary(tokens: list[str], level: int, shell: Context) -> int:
    if level == len(_LEVELS):
        return _unary(tokens, shell)
    left = _binary(tokens, level + 1, shell)
    while tokens and tokens[0] in _LEVELS[level]:
        left = _apply(tokens.pop(0), left, _binary(tokens, level + 1, shell))
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


def _unary(tokens: list[str], shell: Context) -> int:
    signs = []
    while tokens and tokens[0] in ("-", "+", "!", "~"):
        signs.append(tokens.pop(0))
    if not tokens:
        raise ValueError
    token = tokens.pop(0)
    if token == "(":
        result = _binary(tokens, 0, shell)
        if not tokens or tokens.pop(0) != ")":
            raise ValueError
    elif token[0].isalpha() or token[0] == "_":
        result = _number(shell.value(token) or "0")
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
