"""``[``, ``[[`` and ``((``: conditions, answered True, False or not decidable."""

from __future__ import annotations

import re

from fwcheck.device.shell import words
from fwcheck.device.shell.arithmetic import arithmetic
from fwcheck.device.shell.grammar import parse_word
from fwcheck.device.shell.patterns import could_equal, known, matches
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.world import Call, Handler, Status


def _test(shell: Shell, call: Call) -> Status:
    arguments = call.fields[1:]
    if call.fields[0] in ("[", "[["):
        if not arguments or arguments[-1] not in ("]", "]]"):
            arguments = [*arguments, "]"] if call.fields[0] == "[" else [*arguments, "]]"]
        arguments = arguments[:-1]
    if len(arguments) > 64:
        return None
    tokens = list(arguments)
    try:
        answer = _test_or(shell, tokens, extended=call.fields[0] == "[[")
    except IndexError:
        return None
    return answer if not tokens else None


def _double_bracket(shell: Shell, call: Call) -> Status:
    return _test(shell, Call.of(*call.fields, "]]"))


def _test_or(shell: Shell, tokens: list[str], *, extended: bool) -> Status:
    left = _test_and(shell, tokens, extended=extended)
    while tokens and tokens[0] in ("-o", "||"):
        tokens.pop(0)
        right = _test_and(shell, tokens, extended=extended)
        left = True if left or right else False if left is False and right is False else None
    return left


def _test_and(shell: Shell, tokens: list[str], *, extended: bool) -> Status:
    left = _test_one(shell, tokens, extended=extended)
    while tokens and tokens[0] in ("-a", "&&"):
        tokens.pop(0)
        right = _test_one(shell, tokens, extended=extended)
        left = False if left is False or right is False else True if left and right else None
    return left


_BINARY = ("=", "==", "!=", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef", "<", ">", "=~")


def _test_one(shell: Shell, tokens: list[str], *, extended: bool) -> Status:
    if not tokens:
        return False
    negated = False
    while tokens and tokens[0] == "!" and not (len(tokens) >= 3 and tokens[1] in _BINARY) and len(tokens) > 1:
        negated = not negated
        tokens.pop(0)
    answer = _test_primary(shell, tokens, extended=extended)
    return answer if answer is None or not negated else not answer


def _test_primary(shell: Shell, tokens: list[str], *, extended: bool) -> Status:
    if len(tokens) >= 3 and tokens[1] in _BINARY:
        left, op, right = tokens[:3]
        del tokens[:3]
        return _compare(left, op, right, extended=extended)
    if tokens[0] == "(" and len(tokens) > 1:
        tokens.pop(0)
        answer = _test_or(shell, tokens, extended=extended)
        if tokens and tokens[0] == ")":
            tokens.pop(0)
        return answer
    if len(tokens) >= 2 and re.fullmatch(r"-[a-zA-Z]", tokens[0]) and tokens[1] not in ("-a", "-o"):
        op, operand = tokens[0], tokens[1]
        del tokens[:2]
        return _unary(shell, op, operand)
    return _nonempty(tokens.pop(0))


def _nonempty(text: str) -> Status:
    return bool(text) if known(text) else True if text.strip(UNKNOWN) else None


def _unary(shell: Shell, op: str, operand: str) -> Status:
    if op == "-n":
        return _nonempty(operand)
    if op == "-z":
        answer = _nonempty(operand)
        return None if answer is None else not answer
    if op == "-t":
        return False
    if not known(operand):
        return None
    if not operand:
        return False
    path = shell.absolute(operand)
    if op in ("-h", "-L"):
        node = shell.disk.root.resolve(path, follow=False)
        return node.target is not None if node is not None else None if shell.disk.undecided(path) else False
    exists = shell.disk.exists(path)
    if exists is None and _no_pid_yet(shell, path):
        return False
    if not exists or op == "-e":
        return exists
    if op == "-s":
        text = shell.disk.text(path)
        return None if text is None else _nonempty(text)
    found = shell.disk.find(path)
    if found is None or op not in ("-d", "-f", "-x"):
        return None if op in ("-p", "-S", "-u", "-g") else op != "-d" or path not in shell.disk.written or None
    kind = found.node.kind.value
    if op == "-x":
        return kind == "directory" or bool(found.node.mode & 0o111) or found.node.mode == 0
    return kind == {"-d": "directory", "-f": "file"}[op]


_PID_FILE = re.compile(r"/(?:var/)?(?:run|tmp|lock)/(?:[^/]+/){0,3}([^/]+)\.pid")


def _no_pid_yet(shell: Shell, path: str) -> bool:
    """A process id file stands there only after its daemon was started."""
    found = _PID_FILE.fullmatch(path)
    if found is None:
        return False
    return not any(run.name.startswith(found.group(1)) or path in run.words for run in shell.world.runs)


def _compare(left: str, op: str, right: str, *, extended: bool) -> Status:
    if op in ("=", "==", "!="):
        if extended and known(left):
            same = matches(left, right)
        else:
            same = (left == right) if known(left + right) else (None if could_equal(left, right) else False)
        return same if same is None or op != "!=" else not same
    if not known(left + right) or op in ("-nt", "-ot", "-ef", "<", ">", "=~"):
        return None
    try:
        first, second = int(left[:20] or "x"), int(right[:20] or "x")
    except ValueError:
        return False
    return {
        "-eq": first == second,
        "-ne": first != second,
        "-lt": first < second,
        "-le": first <= second,
        "-gt": first > second,
        "-ge": first >= second,
    }[op]


def _expression(shell: Shell, call: Call) -> Status:
    """``((expression))``."""
    result = _value(shell, call.fields[-1])
    return result != "0" if known(result) else None


def _value(shell: Shell, expression: str) -> str:
    word = parse_word(expression)
    return UNKNOWN if word is None else arithmetic(words.value(word, shell), shell.value)


HANDLERS: dict[str, Handler] = {**dict.fromkeys(("[", "test"), _test), "[[": _double_bracket, "((": _expression}
