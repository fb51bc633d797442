"""What the commands of boot scripts answer, as far as the image decides it.

A handler gets the shell, the words (the name first) and the words as they shall be shown; it writes standard output through
the shell and returns the exit status: True, False, or None when only the running device knows.
"""

from __future__ import annotations

import getopt
import posixpath
import re
from collections.abc import Callable

from fwcheck.device import _shell_words as words
from fwcheck.device._shell import Shell, Status
from fwcheck.device._shell_syntax import UNKNOWN, parse
from fwcheck.device._shell_text import awk, regular, sed

Handler = Callable[[Shell, list[str], list[str]], Status]


def _true(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    return True


def _false(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    return False


def _undecided(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    shell.write(UNKNOWN)
    return None


# Control flow and variables


def _exit(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    shell.status = _status(fields, shell)
    shell.leave(("exit",))
    return None


def _return(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    shell.status = _status(fields, shell)
    shell.leave(("return",))
    return None


def _status(fields: list[str], shell: Shell) -> Status:
    if len(fields) < 2:
        return shell.status
    return fields[1].strip() == "0" if words.known(fields[1]) else None


def _break(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    shell.leave(("break",), _count(fields))
    return True


def _continue(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    shell.leave(("continue",), _count(fields))
    return True


def _count(fields: list[str]) -> int:
    return int(fields[1]) if len(fields) > 1 and fields[1].isdigit() and len(fields[1]) < 3 else 1


def _local(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    frame = next((frame for frame in reversed(shell.frames) if frame.kind == "return"), None)
    for text in fields[1:]:
        name, equals, value = text.partition("=")
        if frame is not None:
            frame.saved.setdefault(name, shell.variables.get(name))
        shell.variables[name] = value if equals else ""
    return True


def _export(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    for text in fields[1:]:
        name, equals, value = text.partition("=")
        if not text.startswith("-"):
            shell.exported.add(name)
            if equals:
                shell.variables[name] = value
    return True


def _unset(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    for name in fields[1:]:
        if "-f" in fields:
            shell.functions.pop(name, None)
        else:
            shell.variables[name] = None
    return True


def _set(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    rest = fields[1:]
    while rest and rest[0][:1] in "-+" and rest[0] != "--" and len(rest[0]) > 1:
        rest = rest[2:] if rest[0] in ("-o", "+o") else rest[1:]
    if rest or "--" in fields:
        shell.args = rest[1:] if rest[:1] == ["--"] else rest
    return True


def _shift(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    count = _count(fields)
    if count > len(shell.args):
        return False
    shell.args = shell.args[count:]
    return True


def _read(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    names = [name for name in fields[1:] if not name.startswith("-")] or ["REPLY"]
    first, newline, rest = (shell.stdin or "").partition("\n")
    if shell.stdin is None or not words.known(first):
        for name in names:
            shell.variables[name] = UNKNOWN
        return None
    values = first.split(None, len(names) - 1)
    for index, name in enumerate(names):
        shell.variables[name] = values[index].strip() if index < len(values) else ""
    shell.stdin = rest
    return bool(newline)


def _cd(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    target = fields[1] if len(fields) > 1 else "/"
    path = shell.absolute(target)
    exists = shell.disk.exists(path)
    if exists is not False:
        shell.cwd = path
        shell.variables["PWD"] = path
    return exists if exists is not None else True


def _eval(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    text = " ".join(fields[1:])
    if not words.known(text):
        return None
    return _inline(shell, text)


def _inline(shell: Shell, text: str) -> Status:
    script = parse(text)
    shell.sequence(script.body)
    if script.error:
        shell.world.hole(shell.place, f"runs text that is no shell command: {text[:60]}")
        return None
    return shell.status if script.body.items else True


def _source(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    return shell.source(fields[1], fields[2:]) if len(fields) > 1 else True


def _exec(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    if len(fields) < 2:
        return True
    shell.dispatch(fields[1:], shown[1:])
    shell.leave(("exit",))
    return None


def _command(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    if len(fields) > 1 and fields[1] in ("-v", "-V", "-p"):
        return _which(shell, [fields[0], *fields[2:]], shown)
    shell.dispatch(fields[1:] or ["true"], shown[1:])
    return shell.status


def _which(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    names = [name for name in fields[1:] if not name.startswith("-")]
    answer: Status = bool(names)
    for name in names:
        if not words.known(name):
            return None
        if name in shell.functions or (fields[0] != "which" and name in _BUILT_IN):
            shell.write(name + "\n")
            continue
        path, found, present = shell.locate(name)
        if found is not None:
            shell.write(path + "\n")
        elif present is None:
            shell.write(UNKNOWN)
            answer = None
        else:
            answer = False
    return answer


# Programs that run other programs


def _wrapper(skip: str) -> Handler:
    """A program that runs the command after its own options; ``skip`` names the options that take an argument."""

    def handler(shell: Shell, fields: list[str], shown: list[str]) -> Status:
        at = 1
        while at < len(fields) and (fields[at].startswith(("-", "+")) or re.match(r"[A-Za-z_]\w*=", fields[at])):
            at += 2 if len(fields[at]) == 2 and fields[at][1] in skip else 1
        return _rest(shell, fields, shown, at)

    return handler


def _rest(shell: Shell, fields: list[str], shown: list[str], at: int) -> Status:
    if at >= len(fields):
        return True
    shell.dispatch(fields[at:], shown[at:] if len(shown) == len(fields) else fields[at:])
    return shell.status


def _counted(count: int) -> Handler:
    """A wrapper with ``count`` arguments of its own before the command (``timeout 5 command``)."""

    def handler(shell: Shell, fields: list[str], shown: list[str]) -> Status:
        at = 1
        while at < len(fields) and fields[at].startswith("-"):
            at += 1
        return _rest(shell, fields, shown, at + count)

    return handler


def _sh(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    at = 1
    while at < len(fields) and fields[at].startswith("-") and fields[at] != "--":
        if "c" in fields[at] and not fields[at].startswith("--") and at + 1 < len(fields):
            if not words.known(fields[at + 1]):
                return None
            child = shell.child()
            child.args = fields[at + 3 :]
            child.process(lambda: _inline(child, fields[at + 1]))
            return child.status
        at += 1
    if at >= len(fields):
        if shell.stdin and words.known(shell.stdin):
            child = shell.child()
            child.process(lambda: _inline(child, shell.stdin or ""))
            return child.status
        return None if shell.stdin is not None else shell.execute(fields, shown)
    path = shell.absolute(fields[at])
    text = shell.disk.text(path)
    if text is None:
        return False
    if UNKNOWN in text:
        if words.known(path):
            shell.world.hole(shell.place, f"runs {path}, which is not in the image")
        return None
    first = text.split("\n", 1)[0]
    common = path if posixpath.basename(path) == "rc.common" else ""
    if common and at + 1 < len(fields):  # "sh /etc/rc.common /etc/init.d/name action"
        return _rest(shell, fields, shown, at + 1)
    shell.follow(path, shell.disk.find(path), text, fields[at + 1 :], "rc.common" if first.endswith("/etc/rc.common") else "")
    return shell.status


def _busybox(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    if len(fields) < 2:
        return True
    if fields[1] in COMMANDS:
        return COMMANDS[fields[1]](shell, fields[1:], shown[1:])
    shell.dispatch(fields[1:], shown[1:])
    return shell.status


def _su(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    if "-c" in fields and fields.index("-c") + 1 < len(fields):
        return _sh(shell, ["sh", "-c", fields[fields.index("-c") + 1]], shown)
    return None


def _start_stop_daemon(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    """Busybox and dpkg: ``-S -x program -- arguments``."""
    names = ["start", "stop", "status", "exec=", "startas=", "name=", "pidfile=", "make-pidfile", "background", "quiet", "test"]
    names += [
        "oknodo",
        "verbose",
        "chuid=",
        "user=",
        "group=",
        "nicelevel=",
        "chdir=",
        "signal=",
        "retry=",
        "umask=",
        "remove-pidfile",
    ]
    names += ["env=", "stdout=", "stderr=", "wait=", "interpreted=", "output=", "no-close", "notify-await", "chroot="]
    try:
        options, arguments = getopt.gnu_getopt(_before(fields[1:]), "SKTHtoqvbmCx:a:n:p:c:u:g:N:d:s:R:k:I:P:e:r:1:2:", names)
    except getopt.GetoptError:
        return None
    given = {name.lstrip("-"): value for name, value in options}
    arguments = arguments + fields[1 + len(_before(fields[1:])) + 1 :]
    if not ("S" in given or "start" in given):
        return None if "K" in given or "stop" in given else True
    program = given.get("a") or given.get("startas") or given.get("x") or given.get("exec") or ""
    if not program and arguments:
        program, arguments = arguments[0], arguments[1:]
    if not program:
        return None
    user = given.get("c") or given.get("chuid") or ""
    tail = list(shown[-len(arguments) :]) if arguments and len(shown) == len(fields) else arguments
    shell.execute([program, *arguments], [program, *tail], manner="start-stop-daemon", user=user if words.known(user) else "")
    return True


def _socket_server(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    """Busybox ``tcpsvd`` and ``udpsvd``: address, port and the program to run for each connection."""
    at = 1
    while at < len(fields) and fields[at].startswith("-"):
        at += 2 if fields[at][-1:] in "cCubtTl" and len(fields[at]) == 2 else 1
    if at + 2 >= len(fields):
        return shell.execute(fields, shown)
    address, port = fields[at], fields[at + 1]
    program = fields[at + 2 :]
    shell.execute(program, program, manner=f"{fields[0]} {address}:{port}")
    return True


def _before(fields: list[str]) -> list[str]:
    return fields[: fields.index("--")] if "--" in fields else fields


def _daemon(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    """``daemon``, ``start_daemon``, ``startproc`` of LSB and Red Hat init functions."""
    at = 1
    user = ""
    while at < len(fields) and fields[at].startswith(("-", "+")):
        if fields[at].startswith("--user="):
            user = fields[at][7:]
        at += 2 if fields[at] in ("-p", "-n", "-u", "-g", "--user", "--pidfile") else 1
    if at >= len(fields):
        return True
    command = fields[at].split() + fields[at + 1 :]
    shell.execute(command, command, manner="daemon", user=user)
    return True


def _run_parts(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    arguments = [text for option, text in zip(fields, fields[1:], strict=False) if option == "-a"]
    directories = [text for text in fields[1:] if not text.startswith("-") and text not in arguments]
    for directory in directories[-1:]:
        for path in sorted(shell.disk.children(shell.absolute(directory)) or []):
            if re.fullmatch(r"[\w-]+(\.sh)?", posixpath.basename(path), re.ASCII):
                shell.dispatch([path, *arguments], [path, *arguments])
    return True


def _service(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    """``service name action`` where an init script of that name exists."""
    if len(fields) >= 3 and all(map(words.known, fields)):
        path = f"/etc/init.d/{fields[1]}"
        if shell.disk.find(path) is not None:
            return shell.execute([path, *fields[2:]], [path, *fields[2:]])
    return shell.execute(fields, shown)


# Tests


def _test(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    arguments = fields[1:]
    if fields[0] in ("[", "[["):
        if not arguments or arguments[-1] not in ("]", "]]"):
            arguments = [*arguments, "]"] if fields[0] == "[" else [*arguments, "]]"]
        arguments = arguments[:-1]
    if len(arguments) > 64:
        return None
    tokens = list(arguments)
    try:
        answer = _test_or(shell, tokens, extended=fields[0] == "[[")
    except IndexError:
        return None
    return answer if not tokens else None


def _double_bracket(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    return _test(shell, [*fields, "]]"], shown)


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
    return bool(text) if words.known(text) else True if text.strip(UNKNOWN) else None


def _unary(shell: Shell, op: str, operand: str) -> Status:
    if op == "-n":
        return _nonempty(operand)
    if op == "-z":
        answer = _nonempty(operand)
        return None if answer is None else not answer
    if op == "-t":
        return False
    if not words.known(operand):
        return None
    if not operand:
        return False
    path = shell.absolute(operand)
    if op in ("-h", "-L"):
        node = shell.disk.root.resolve(path, follow=False)
        return node.target is not None if node is not None else None if shell.disk.undecided(path) else False
    exists = shell.disk.exists(path)
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


def _compare(left: str, op: str, right: str, *, extended: bool) -> Status:
    if op in ("=", "==", "!="):
        if extended and words.known(left):
            same = words.matches(left, right)
        else:
            same = (left == right) if words.known(left + right) else (None if words.could_equal(left, right) else False)
        return same if same is None or op != "!=" else not same
    if not words.known(left + right) or op in ("-nt", "-ot", "-ef", "<", ">", "=~"):
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


def _expression(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    """``((expression))``."""
    result = words.arithmetic(words.value(parse_text(fields[-1]), shell), shell)
    return result != "0" if words.known(result) else None


def parse_text(text: str):  # type: ignore[no-untyped-def]  # Word; named here to keep the import local
    """The text as a word between double quotes."""
    from fwcheck.device._shell_syntax import Literal, Word, parse_word  # noqa: PLC0415 -- used by one command

    return parse_word(text) or Word([Literal(UNKNOWN, quoted=True)])


# Text


def _echo(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    arguments, newline, escapes = fields[1:], "\n", False
    while arguments and re.fullmatch(r"-[neE]+", arguments[0]):
        newline = "" if "n" in arguments[0] else newline
        escapes = escapes or "e" in arguments[0]
        arguments = arguments[1:]
    text = " ".join(arguments)
    shell.write((text.replace("\\n", "\n").replace("\\t", "\t") if escapes else text) + newline)
    return True


def _printf(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    arguments = fields[1:]
    if not arguments:
        return False
    values = iter(arguments[1:])
    text = re.sub(r"%[sd]", lambda _: next(values, ""), arguments[0]).replace("\\n", "\n").replace("\\t", "\t")
    shell.write(UNKNOWN if "%" in arguments[0] and re.search(r"%(?![sd])", arguments[0]) else text)
    return True


def _input(shell: Shell, paths: list[str]) -> str | None:
    """The text of files, or standard input; None when a file does not exist."""
    if not paths:
        return shell.stdin if shell.stdin is not None else UNKNOWN
    texts = [shell.stdin or UNKNOWN if path == "-" else shell.disk.text(shell.absolute(path)) for path in paths]
    return None if None in texts else words.bounded("".join(text or "" for text in texts))


def _cat(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    text = _input(shell, [path for path in fields[1:] if path == "-" or not path.startswith("-")])
    shell.write(text or "")
    return text is not None


def _grep(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    flags = "".join(text[1:] for text in fields[1:] if text.startswith("-") and not text.startswith("--") and len(text) > 1)
    rest = [text for text in fields[1:] if not text.startswith("-") or text == "-"]
    if not rest or any(flag in flags for flag in "fABCmrRl"):
        shell.write(UNKNOWN)
        return None
    text = _input(shell, rest[1:])
    if text is None:
        return False
    if "F" in flags or fields[0] == "fgrep":
        expression: str | None = re.escape(rest[0]) if words.known(rest[0]) else None
    else:
        expression = regular(rest[0], extended="E" in flags or fields[0] == "egrep")
    if expression is None:
        shell.write(UNKNOWN)
        return None
    search = re.compile(f"\\b(?:{expression})\\b" if "w" in flags else expression, re.IGNORECASE if "i" in flags else 0).search
    if not words.known(text):
        sure = "v" not in flags and any(search(line[:1024]) for line in text.splitlines() if words.known(line))
        shell.write(UNKNOWN)
        return True if sure else None
    lines = [line for line in text.splitlines() if (search(line[:1024]) is None) == ("v" in flags)]
    if "c" in flags:
        shell.write(f"{len(lines)}\n")
    elif "o" in flags:
        shell.write(UNKNOWN)
    elif "q" not in flags:
        shell.write("".join(line + "\n" for line in lines))
    return bool(lines)


def _cut(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    joined = " ".join(fields[1:])
    found = re.search(r"-d ?(\S| )", joined)
    column = re.search(r"-f ?(\d{1,3})(?:\s|$)", joined)
    text = shell.stdin
    if text is None or not words.known(text) or column is None:
        return _undecided(shell, fields, shown) or True
    mark, index = found.group(1) if found else "\t", int(column.group(1)) - 1
    for line in text.splitlines():
        parts = line.split(mark)
        shell.write((parts[index] if 0 <= index < len(parts) else line if len(parts) == 1 else "") + "\n")
    return True


def _head(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    found = re.search(r"-n? ?(\d{1,4})", " ".join(fields[1:]))
    count = int(found.group(1)) if found else 10
    text = _input(shell, [path for path in fields[1:] if not path.startswith("-") and not path.isdigit()])
    if text is None:
        return False
    lines = text.splitlines(keepends=True)
    shell.write("".join(lines[:count] if fields[0] == "head" else lines[-count:]) if words.known(text) else UNKNOWN)
    return True


def _basename(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    name = fields[1].rstrip("/").rsplit("/", 1)[-1] if len(fields) > 1 else ""
    shell.write((name.removesuffix(fields[2]) if len(fields) > 2 else name) + "\n")
    return True


def _dirname(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    shell.write((posixpath.dirname(fields[1].rstrip("/")) or "." if len(fields) > 1 else ".") + "\n")
    return True


def _ls(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    paths = [path for path in fields[1:] if not path.startswith("-")] or ["."]
    for path in paths:
        absolute = shell.absolute(path)
        exists = shell.disk.exists(absolute)
        if exists is not True:
            if exists is None:
                shell.write(UNKNOWN)
            return exists
        found = shell.disk.find(absolute)
        if found is not None and found.node.kind.value == "file":
            shell.write(path + "\n")
            continue
        names = shell.disk.children(absolute)
        if names is None:
            shell.write(UNKNOWN)
        else:
            shell.write("".join(sorted(posixpath.basename(name) + "\n" for name in names if "/." not in name)))
    return True


def _readlink(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    path = shell.absolute(fields[-1])
    if not words.known(path):
        return _undecided(shell, fields, shown)
    node = shell.disk.root.resolve(path, follow=False)
    if "-f" in fields:
        shell.write(shell.disk.real(path) + "\n")
    elif node is not None and node.target:
        shell.write(node.target + "\n")
    return True


def _expr(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    text = words.arithmetic(" ".join(fields[1:]), shell) if "=" not in fields and ":" not in fields else UNKNOWN
    shell.write(text + "\n")
    return (text != "0") if words.known(text) else None


def _seq(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    bounds = [int(text) for text in fields[1:] if text.isdigit() and len(text) < 5]
    if len(bounds) == len(fields) - 1 and len(bounds) in (1, 2):
        first, last = (1, bounds[0]) if len(bounds) == 1 else (bounds[0], bounds[1])
        shell.write("".join(f"{number}\n" for number in range(first, min(last, first + 255) + 1)))
        return True
    shell.write(UNKNOWN)
    return True


def _pwd(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    shell.write(shell.cwd + "\n")
    return True


def _id(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    shell.write("0\n" if "-u" in fields else "root\n" if fields[0] == "whoami" else UNKNOWN)
    return True


# Files


def _plain(fields: list[str]) -> list[str]:
    return [text for text in fields[1:] if not text.startswith("-")]


def _copy(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    names = _plain(fields)
    if len(names) < 2:
        return None
    target = shell.absolute(names[-1])
    into = (
        len(names) > 2
        or names[-1].endswith("/")
        or ((found := shell.disk.find(target)) is not None and found.node.kind.value == "directory")
    )
    present: Status = True
    for name in names[:-1]:
        source = shell.absolute(name)
        text = shell.disk.text(source)
        if text is None:
            present = False
            continue
        if words.known(source):
            end = posixpath.join(target, posixpath.basename(source)) if into else target
            shell.disk.write(end, text, certain=shell.world.certain)
            if fields[0] == "mv" and shell.world.certain:
                shell.disk.remove(source)
    return present


def _make(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    for name in _plain(fields):
        path = shell.absolute(name)
        if shell.disk.exists(path) is not True:
            shell.disk.write(path, UNKNOWN if posixpath.basename(fields[0]) == "mkdir" else "", certain=shell.world.certain)
    return True


def _remove(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    for name in _plain(fields):
        if words.known(name):
            shell.disk.remove(shell.absolute(name))
    return True


def _mount(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    names = _plain(fields)
    if names and names[-1].startswith("/"):
        shell.disk.mounted.add(shell.absolute(names[-1]))
    return True


def _keygen(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    """``dropbearkey``, ``ssh-keygen``, ``openssl``, ``px5g``: the file behind the output option exists afterwards."""
    for option, path in zip(fields, fields[1:], strict=False):
        if option in ("-f", "-out", "-keyout") and words.known(path):
            shell.disk.write(shell.absolute(path), f"generated {UNKNOWN}", certain=shell.world.certain)
    return True


def _tee(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    for name in _plain(fields):
        shell.disk.write(shell.absolute(name), shell.stdin or UNKNOWN, append="-a" in fields, certain=shell.world.certain)
    shell.write(shell.stdin or UNKNOWN)
    return True


def _sed(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    try:
        options, rest = getopt.gnu_getopt(
            fields[1:], "nEre:i::f:s", ["quiet", "silent", "expression=", "in-place", "regexp-extended"]
        )
    except getopt.GetoptError:
        options, rest = [("-f", "")], []
    names = [name.lstrip("-") for name, _ in options]
    expressions = [value for name, value in options if name in ("-e", "--expression")] or rest[:1]
    files = rest if "e" in names or "expression" in names else rest[1:]
    in_place = "i" in names or "in-place" in names
    for path in files if in_place else [""]:
        text = _input(shell, [path] if in_place else files)
        if text is None:
            return False
        quiet = bool({"n", "quiet", "silent"} & set(names))
        extended = bool({"E", "r", "regexp-extended"} & set(names))
        result = sed(expressions, text, quiet=quiet, extended=extended) if words.known(text) and "f" not in names else None
        if in_place:
            shell.disk.write(
                shell.absolute(path), UNKNOWN if result is None else result, certain=shell.world.certain and result is not None
            )
        else:
            shell.write(UNKNOWN if result is None else result)
    return True


def _awk(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    rest, separator = fields[1:], " "
    while rest and rest[0].startswith("-") and len(rest[0]) > 1:
        if rest[0].startswith("-F"):
            separator = rest[0][2:] or (rest[1] if len(rest) > 1 else " ")
            rest = rest[1:] if rest[0] != "-F" else rest[2:]
        elif rest[0] == "-v":
            rest = rest[2:]
        else:
            rest = rest[1:]
    text = _input(shell, rest[1:])
    if text is None:
        return False
    result = awk(rest[0], separator, text) if rest and words.known(text) else None
    shell.write(UNKNOWN if result is None else result)
    return True


# Presumed to work on a device that works: their failing is not a configuration.
_PRESUMED = [
    ".",
    ":",
    "alias",
    "arping",
    "arp",
    "brctl",
    "chgrp",
    "chmod",
    "chown",
    "chroot",
    "clear",
    "cp",
    "dd",
    "depmod",
    "dmesg",
    "ebtables",
    "ethtool",
    "flash_eraseall",
    "fsck",
    "halt",
    "hostname",
    "hwclock",
    "ifconfig",
    "ifup",
    "insmod",
    "install",
    "ip",
    "ip6tables",
    "iptables",
    "iptables-restore",
    "iptables-save",
    "iw",
    "iwconfig",
    "iwpriv",
    "kill",
    "killall",
    "klogd",
    "kmodloader",
    "ln",
    "load_modules",
    "logger",
    "lock",
    "losetup",
    "mdev",
    "mkfifo",
    "mke2fs",
    "mknod",
    "mkswap",
    "modprobe",
    "mtd",
    "nvram_set",
    "passwd",
    "pivot_root",
    "poweroff",
    "reboot",
    "renice",
    "rmmod",
    "route",
    "rm",
    "stty",
    "sleep",
    "swapoff",
    "swapon",
    "swconfig",
    "switch_root",
    "sync",
    "sysctl",
    "trap",
    "tc",
    "tput",
    "tune2fs",
    "udevadm",
    "ulimit",
    "umask",
    "umount",
    "mkdir_p",
    "usleep",
    "vconfig",
    "wait",
    "wifi",
    "date",
    "times",
    "hash",
    "chmod",
    "chpasswd",
    "devmem",
    "reg",
    "io",
    "uptime",
    "ubiattach",
    "ubimkvol",
    "ubidetach",
    "nanddump",
    "flashcp",
    "setterm",
    "setfont",
    "loadkmap",
    "ldconfig",
    "ntpclient",
    "himm",
]

_UNDECIDED = (
    "nvram nvram_get getcfg pidof pgrep ps ping ubus jsonfilter fw_printenv find wc tr sort uniq md5sum sha256sum hexdump strings"
)

COMMANDS: dict[str, Handler] = {
    **dict.fromkeys(_PRESUMED, _true),
    **dict.fromkeys(("true", ":"), _true),
    "false": _false,
    "exit": _exit,
    "return": _return,
    "break": _break,
    "continue": _continue,
    **dict.fromkeys(("local", "typeset", "declare"), _local),
    **dict.fromkeys(("export", "readonly"), _export),
    "unset": _unset,
    "set": _set,
    "shift": _shift,
    "read": _read,
    "cd": _cd,
    "eval": _eval,
    **dict.fromkeys((".", "source"), _source),
    "exec": _exec,
    **dict.fromkeys(("command", "builtin"), _command),
    **dict.fromkeys(("which", "type"), _which),
    **dict.fromkeys(("[", "test"), _test),
    "[[": _double_bracket,
    "((": _expression,
    **dict.fromkeys(("sh", "ash", "bash", "dash"), _sh),
    "busybox": _busybox,
    "su": _su,
    **dict.fromkeys(
        ("nohup", "setsid", "time", "nice", "ionice", "sudo", "env", "chpst", "start-stop", "cttyhack"), _wrapper("ncnpuUCP")
    ),
    **dict.fromkeys(("timeout", "taskset", "chrt", "setuidgid", "softlimit"), _counted(1)),
    "start-stop-daemon": _start_stop_daemon,
    **dict.fromkeys(("daemon", "start_daemon", "startproc"), _daemon),
    **dict.fromkeys(("tcpsvd", "udpsvd"), _socket_server),
    "run-parts": _run_parts,
    "service": _service,
    "echo": _echo,
    "printf": _printf,
    "cat": _cat,
    **dict.fromkeys(("grep", "egrep", "fgrep"), _grep),
    "cut": _cut,
    **dict.fromkeys(("head", "tail"), _head),
    "basename": _basename,
    "dirname": _dirname,
    "ls": _ls,
    "readlink": _readlink,
    "expr": _expr,
    "seq": _seq,
    "pwd": _pwd,
    **dict.fromkeys(("id", "whoami"), _id),
    **dict.fromkeys(("cp", "mv"), _copy),
    **dict.fromkeys(("touch", "mkdir"), _make),
    "rm": _remove,
    "mount": _mount,
    "tee": _tee,
    **dict.fromkeys(("dropbearkey", "ssh-keygen", "openssl", "px5g"), _keygen),
    **dict.fromkeys(("let", "getopts"), _undecided),
    "sed": _sed,
    "awk": _awk,
    **dict.fromkeys(_UNDECIDED.split(), _undecided),
}
COMMANDS["."] = _source
COMMANDS["ln"] = _copy
_BUILT_IN = frozenset(
    ("echo", "test", "[", "cd", "true", "false", "read", "export", "printf", "eval", "exec", "local", "type", "command")
)

from fwcheck.device._openwrt import HANDLERS as _OPENWRT  # noqa: E402 -- the table is joined once both halves exist

COMMANDS.update(_OPENWRT)
