"""Shell patterns and values with unknown pieces: matching, trimming, comparing, in linear time.

Source: POSIX.1-2017, XCU 2.13 (pattern matching notation).
"""

from __future__ import annotations

import re
from functools import lru_cache

from fwcheck.device.shell.tree import UNKNOWN

VALUE_LIMIT = 1 << 16
MAGIC = re.compile(r"[*?]|\[[^\]]+\]")


def bounded(text: str) -> str:
    """The text, or unknown when it is longer than a value may become."""
    return text if len(text) <= VALUE_LIMIT else UNKNOWN


def known(text: str) -> bool:
    """Whether every piece of the value is known."""
    return UNKNOWN not in text


def _plain(glob: str) -> str:
    return re.sub(r"\\(.)", r"\1", glob, flags=re.DOTALL)


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
    if op == "%%" and glob.endswith("*") and not MAGIC.search(glob[:-1]) and (stop := _plain(glob[:-1])) in head:
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
    r"""A bracket expression as a regular expression: ``[!x]`` negates, ``[\!x]`` does not."""
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
    if MAGIC.search(glob):
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
