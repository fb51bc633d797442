"""Commands that print and filter text."""

from __future__ import annotations

import getopt
import posixpath
import re

from fwcheck.device.shell.arithmetic import arithmetic
from fwcheck.device.shell.commands._control import undecided
from fwcheck.device.shell.filters import awk, regular, sed
from fwcheck.device.shell.patterns import bounded, known
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.world import Call, Handler, Status


def _echo(shell: Shell, call: Call) -> Status:
    arguments, newline, escapes = call.fields[1:], "\n", False
    while arguments and re.fullmatch(r"-[neE]+", arguments[0]):
        newline = "" if "n" in arguments[0] else newline
        escapes = escapes or "e" in arguments[0]
        arguments = arguments[1:]
    text = " ".join(arguments)
    shell.write((text.replace("\\n", "\n").replace("\\t", "\t") if escapes else text) + newline)
    return True


def _printf(shell: Shell, call: Call) -> Status:
    arguments = call.fields[1:]
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
    shell.world.charge(len(shell.stdin or "") // 256)
    texts = [shell.stdin or UNKNOWN if path == "-" else shell.disk.text(shell.absolute(path)) for path in paths]
    if None in texts:
        return None
    joined = bounded("".join(text or "" for text in texts))
    shell.world.charge(len(joined) // 32)
    return joined


def _cat(shell: Shell, call: Call) -> Status:
    text = _input(shell, [path for path in call.fields[1:] if path == "-" or not path.startswith("-")])
    shell.write(text or "")
    return text is not None


def _grep(shell: Shell, call: Call) -> Status:
    flags = "".join(text[1:] for text in call.fields[1:] if text.startswith("-") and not text.startswith("--") and len(text) > 1)
    rest = [text for text in call.fields[1:] if not text.startswith("-") or text == "-"]
    if not rest or any(flag in flags for flag in "fABCmrRl"):
        shell.write(UNKNOWN)
        return None
    text = _input(shell, rest[1:])
    if text is None:
        return False
    if "F" in flags or call.fields[0] == "fgrep":
        expression: str | None = re.escape(rest[0]) if known(rest[0]) else None
    else:
        expression = regular(rest[0], extended="E" in flags or call.fields[0] == "egrep")
    if expression is None:
        shell.write(UNKNOWN)
        return None
    search = re.compile(f"\\b(?:{expression})\\b" if "w" in flags else expression, re.IGNORECASE if "i" in flags else 0).search
    if not known(text):
        heads = (line.partition(UNKNOWN)[0] if "$" not in rest[0] else line for line in text.splitlines())
        sure = "v" not in flags and any(search(line[:2048]) for line in heads if known(line))
        shell.write(UNKNOWN)
        return True if sure else None
    lines = [line for line in text.splitlines() if (search(line[:512]) is None) == ("v" in flags)]
    if "c" in flags:
        shell.write(f"{len(lines)}\n")
    elif "o" in flags:
        shell.write(UNKNOWN)
    elif "q" not in flags:
        shell.write("".join(line + "\n" for line in lines))
    return bool(lines)


def _cut(shell: Shell, call: Call) -> Status:
    joined = " ".join(call.fields[1:])
    found = re.search(r"-d ?(\S| )", joined)
    column = re.search(r"-f ?(\d{1,3})(?:\s|$)", joined)
    text = shell.stdin
    if text is None or not known(text) or column is None:
        return undecided(shell, call) or True
    mark, index = found.group(1) if found else "\t", int(column.group(1)) - 1
    for line in text.splitlines():
        parts = line.split(mark)
        shell.write((parts[index] if 0 <= index < len(parts) else line if len(parts) == 1 else "") + "\n")
    return True


def _head(shell: Shell, call: Call) -> Status:
    found = re.search(r"-n? ?(\d{1,4})", " ".join(call.fields[1:]))
    count = int(found.group(1)) if found else 10
    text = _input(shell, [path for path in call.fields[1:] if not path.startswith("-") and not path.isdigit()])
    if text is None:
        return False
    lines = text.splitlines(keepends=True)
    shell.write("".join(lines[:count] if call.fields[0] == "head" else lines[-count:]) if known(text) else UNKNOWN)
    return True


def _basename(shell: Shell, call: Call) -> Status:
    name = call.fields[1].rstrip("/").rsplit("/", 1)[-1] if len(call.fields) > 1 else ""
    shell.write((name.removesuffix(call.fields[2]) if len(call.fields) > 2 else name) + "\n")
    return True


def _dirname(shell: Shell, call: Call) -> Status:
    shell.write((posixpath.dirname(call.fields[1].rstrip("/")) or "." if len(call.fields) > 1 else ".") + "\n")
    return True


def _ls(shell: Shell, call: Call) -> Status:
    paths = [path for path in call.fields[1:] if not path.startswith("-")] or ["."]
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


def _readlink(shell: Shell, call: Call) -> Status:
    path = shell.absolute(call.fields[-1])
    if not known(path):
        return undecided(shell, call)
    node = shell.disk.root.resolve(path, follow=False)
    if "-f" in call.fields:
        shell.write(shell.disk.real(path) + "\n")
    elif node is not None and node.target:
        shell.write(node.target + "\n")
    return True


def _expr(shell: Shell, call: Call) -> Status:
    text = arithmetic(" ".join(call.fields[1:]), shell.value) if "=" not in call.fields and ":" not in call.fields else UNKNOWN
    shell.write(text + "\n")
    return (text != "0") if known(text) else None


def _seq(shell: Shell, call: Call) -> Status:
    bounds = [int(text) for text in call.fields[1:] if text.isdigit() and len(text) < 5]
    if len(bounds) == len(call.fields) - 1 and len(bounds) in (1, 2):
        first, last = (1, bounds[0]) if len(bounds) == 1 else (bounds[0], bounds[1])
        shell.write("".join(f"{number}\n" for number in range(first, min(last, first + 255) + 1)))
        return True
    shell.write(UNKNOWN)
    return True


def _pwd(shell: Shell, _call: Call) -> Status:
    shell.write(shell.cwd + "\n")
    return True


def _id(shell: Shell, call: Call) -> Status:
    shell.write("0\n" if "-u" in call.fields else "root\n" if call.fields[0] == "whoami" else UNKNOWN)
    return True


def _sed(shell: Shell, call: Call) -> Status:
    try:
        options, rest = getopt.gnu_getopt(
            call.fields[1:], "nEre:i::f:s", ["quiet", "silent", "expression=", "in-place", "regexp-extended"]
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
        result = sed(expressions, text, quiet=quiet, extended=extended) if known(text) and "f" not in names else None
        if in_place:
            shell.disk.write(
                shell.absolute(path), UNKNOWN if result is None else result, certain=shell.world.certain and result is not None
            )
        else:
            shell.write(UNKNOWN if result is None else result)
    return True


def _awk(shell: Shell, call: Call) -> Status:
    rest, separator = call.fields[1:], " "
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
    result = awk(rest[0], separator, text) if rest and known(text) else None
    shell.write(UNKNOWN if result is None else result)
    return True


def _wc(shell: Shell, call: Call) -> Status:
    """``wc -l``, ``-w`` or ``-c`` of standard input: the number alone; of files, with their names behind."""
    options = "".join(text[1:] for text in call.fields[1:] if text.startswith("-") and len(text) > 1)
    paths = [text for text in call.fields[1:] if not text.startswith("-")]
    text = _input(shell, paths[:1])
    if text is None or not known(text) or len(paths) > 1 or options not in ("l", "w", "c"):
        return undecided(shell, call)
    count = {"l": text.count("\n"), "w": len(text.split()), "c": len(text.encode("utf-8", "surrogateescape"))}[options]
    shell.write(" ".join([str(count), *paths]) + "\n")
    return True


def _fw_printenv(shell: Shell, call: Call) -> Status:
    """``fw_printenv [-n] name``: from the environment that the image ships."""
    names = [text for text in call.fields[1:] if not text.startswith("-")]
    values = shell.disk.environment
    if values is None or not names or not all(map(known, names)):
        return undecided(shell, call)
    for name in names:
        if name in values:
            shell.write((values[name] if "-n" in call.fields else f"{name}={values[name]}") + "\n")
    return all(name in values for name in names)


HANDLERS: dict[str, Handler] = {
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
    "fw_printenv": _fw_printenv,
    "wc": _wc,
    "expr": _expr,
    "seq": _seq,
    "pwd": _pwd,
    **dict.fromkeys(("id", "whoami"), _id),
    "sed": _sed,
    "awk": _awk,
}
