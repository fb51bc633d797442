"""Conditions of a script decided as far as they are decidable: ``[ ]``, ``[[ ]]``, ``grep`` and ``cmp`` over what checks said.

Source: POSIX.1-2017 test(1), grep(1), cmp(1). An answer is True, False, or None where both may be; ``gained`` are the checks that
have succeeded when the answer is yes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.updating.state import State, Value

_GOOD_WORDS = re.compile(r"(?i)\bok\b|success|\bgood|valid|match|verified|passed|\btrue\b")
_BAD_WORDS = re.compile(r"(?i)fail|error|\bbad|invalid|mismatch|wrong|not |unable|\bfalse\b|denied")
_SIGNATURE_FILE = re.compile(r"(?i)sig|\.asc|\.p7|cms|manifest|md5|sha\d|hash|crc|cert|\.pem|sum")
_NUMBERS = {
    "-eq": lambda a, b: a == b,
    "-ne": lambda a, b: a != b,
    "-gt": lambda a, b: a > b,
    "-ge": lambda a, b: a >= b,
    "-lt": lambda a, b: a < b,
    "-le": lambda a, b: a <= b,
}


class Answer(NamedTuple):
    """Whether a condition holds on one way, what its holding and its failing prove, and which results it asks for unclearly."""

    holds: bool | None = None
    gained: frozenset[int] = frozenset()  # when it holds
    lost: frozenset[int] = frozenset()  # when it does not hold
    doubted: frozenset[int] = frozenset()
    absent: bool = False  # when it does not hold, a file that a check needs is absent
    present: bool = False  # when it holds, such a file is absent

    def turned(self) -> Answer:
        """The opposite."""
        holds = None if self.holds is None else not self.holds
        return Answer(holds, self.lost, self.gained, self.doubted, self.present, self.absent)


def test(words: Sequence[Value], state: State) -> Answer:
    """``test`` and ``[``; the brackets are taken off."""
    texts = [each.text for each in words]
    if texts[:1] == ["!"] and len(words) > 1:
        return test(words[1:], state).turned()
    for joint in ("-o", "||", "-a", "&&"):
        if joint in texts[1:-1]:
            at = texts.index(joint, 1)
            left, right = test(words[:at], state), test(words[at + 1 :], state)
            return _or(left, right) if joint in ("-o", "||") else _or(left.turned(), right.turned()).turned()
    if len(words) == 3:
        return _binary(words[0], texts[1], words[2], state)
    if len(words) == 2:
        return _unary(texts[0], words[1])
    if len(words) == 1:
        return _unary("-n", words[0])
    return Answer(doubted=frozenset[int]().union(*(each.checks for each in words)))


def _or(left: Answer, right: Answer) -> Answer:
    holds = True if left.holds or right.holds else None if None in (left.holds, right.holds) else False
    if left.holds is False:
        gained = right.gained
    elif right.holds is False:
        gained = left.gained
    else:
        gained = left.gained & right.gained
    return Answer(
        holds,
        gained,
        left.lost | right.lost,
        left.doubted | right.doubted,
        left.absent or right.absent,
        left.present and right.present,
    )


def _binary(left: Value, operator: str, right: Value, state: State) -> Answer:
    if operator in _NUMBERS:
        if left.text.strip().isdecimal() and right.text.strip().isdecimal():
            return Answer(_NUMBERS[operator](int(left.text[:18]), int(right.text[:18])))
        same = {"-eq": True, "-ne": False}.get(operator)
        return _compared(left, right, state, same=same) if same is not None else Answer(doubted=left.checks | right.checks)
    if operator in ("=", "==", "=~"):
        return _compared(left, right, state, same=True)
    if operator == "!=":
        return _compared(left, right, state, same=False)
    return Answer(doubted=left.checks | right.checks)


def _compared(left: Value, right: Value, state: State, *, same: bool) -> Answer:
    """Two values compared for being the same: constants decide it, digests prove something, outputs are read."""
    if left.known and right.known and not left.how and not right.how:
        answer = Answer(left.text.strip() == right.text.strip())
    elif "output" in (left.how, right.how):
        said, text = (left, right.text) if left.how == "output" else (right, left.text)
        answer = _says(said, text, state)
    elif left.how or right.how:
        answer = Answer(gained=left.checks | right.checks)
    else:
        answer = Answer()
    return answer if same else answer.turned()


def _says(said: Value, text: str, state: State) -> Answer:
    """Whether what a check printed is, or holds, a text: "OK" where it succeeded, "error" where it did not."""
    passed = said.checks <= state.passed
    if _BAD_WORDS.search(text):
        return Answer(not passed)
    if _GOOD_WORDS.search(text):
        return Answer(passed)
    return Answer(doubted=said.checks)


def _unary(operator: str, value: Value) -> Answer:
    if operator in ("-n", "-z"):
        if value.how == "output":
            answer = Answer(holds=True, doubted=value.checks)  # what it printed; where grep found nothing, the text is empty
        elif value.text.replace(UNKNOWN, "").strip():
            answer = Answer(holds=True)
        else:
            answer = Answer(False if value.known else None)
        return answer if operator == "-n" else answer.turned()
    if operator in ("-f", "-e", "-s", "-r") and _SIGNATURE_FILE.search(value.text):
        return Answer(absent=True)
    return Answer(doubted=value.checks)


def grep(words: Sequence[Value], state: State, text: Value) -> Answer:
    """``grep`` over what a check printed or a digest: its status, and that its output is empty when it finds nothing."""
    options = [each.text for each in words if each.text.startswith("-")]
    plain = [each for each in words if not each.text.startswith("-")]
    pattern = plain[0] if plain else Value()
    inverted = any(re.fullmatch(r"-[A-Za-z]*v[A-Za-z]*|--invert-match", each) for each in options)
    if text.how == "output":
        answer = _says(text, pattern.text, state)
    elif text.how or pattern.how:
        answer = Answer(gained=text.checks | pattern.checks)
    else:
        return Answer()
    return answer.turned() if inverted else answer
