"""What a command means for an update, and which texts can hold one that writes: both out of one table of programs."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from functools import cache

from fwcheck.device.shell import tree
from fwcheck.device.shell.grammar import parse
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.updating.commands import (
    DEVICE,
    REMOVABLE,
    SHELLS,
    Check,
    Command,
    Fetch,
    Sink,
    Unpack,
    last,
    operands,
    runs_foreign,
    words_of,
    written_device,
)
from fwcheck.device.updating.form import Program
from fwcheck.device.updating.readers import TOOLS

_REMOVABLE_WORDS = ("/mnt", "/media", "/sd", "/udisk", "/usb")  # what REMOVABLE finds holds one of these
_VENDOR_WORDS = (  # what _VENDOR finds holds one of these
    *("fwupdate", "fwupgrade", "fw_upgrade", "fw_update", "sysupdate", "upgradefw", "upgrade_fw"),
    *("flashwrite", "flash_write", "mtdwrite", "updater", "rtkupgrade", "rtk_upgrade"),
)
_VENDOR = re.compile(r"fwupdater?|fw_?upgrade|fw_update|sysupdate|upgrade_?fw|flash_?write|mtdwrite|updater|rtk_?upgrade")
_VENDOR_ALONE = re.compile(rf"(?<![\w.-])(?:{_VENDOR.pattern})(?![\w-])")
_SUBJECT = r"(?:fw|img|image|firmware|sig|signature|rsa|pkg|package)"
_VENDOR_CHECK = re.compile(rf"(?:\w+_)?{_SUBJECT}_?(?:verify|check)\w*|(?:verify|check)_?{_SUBJECT}\w*")
# Functions of other languages that write, and those that take code as it comes.
WRITING = frozenset({"extractall", "extractTo", "unpack_archive", "InstallBundle"})
TAKING = frozenset({"eval", "execfile", "loadstring", "dofile", "loadfile"})
BRINGING = frozenset(
    {"get", "urlopen", "urlretrieve", "request", "getstore", "mirror", "httpget", "request_to_file", "perform", "retrbinary"}
    | {"request_to_buffer", "stream", "download"}
)
BRINGING_PHP = frozenset({"curl_exec", "ftp_get", "file_get_contents", "fopen"})
_FOREIGN = re.compile(rf"{REMOVABLE.pattern}[^\s]*\.(?:sh|lua|py|pl|php)$")
_RUNS = re.compile(r"(?:/bin/)?(?:ba|a|da)?sh /|chmod |/tmp/\S+\.(?:sh|py|pl|lua)$|/tmp/\S+ ")
# Words of what checks, in a command line or the name of a program.
MATTERS = re.compile(
    r"openssl|gpg|sign|minisign|ucert|verif|sum\b|crc|sha\d|md5|check|valid|reboot|fw_setenv|/tmp/\S+\.(?:sh|py|pl|lua)"
)
_TELLING = {name: tool for name, tool in TOOLS.items() if tool.brings or tool.writes is not None}
_NODE_LIMIT = 20_000
_RUN = frozenset({*SHELLS, ".", "source"})


def understand(words: Sequence[str]) -> Command | None:
    """What a command means for an update, None where nothing is known; ``words`` as :func:`words_of` gives them."""
    if not words:
        return None
    name, rest = words[0], words[1:]
    tool = TOOLS.get(name)
    if tool is not None:
        return tool.read(name, rest)
    if _VENDOR.fullmatch(name) and rest:
        return Sink("vendor updater", last(rest))
    if checks_by_name(name) and rest:
        return Check("vendor", last(rest))
    return None


def checks_by_name(name: str) -> bool:
    """Whether a program or function is named like one that checks software."""
    return _VENDOR_CHECK.fullmatch(posixpath.splitext(name)[0]) is not None


# --------------------------------------------------------------------------- texts worth following


def may_write(text: str, *, brought: bool = True) -> bool:
    """Whether a text names anything that is a write by its words or, ``brought`` in, by what a script does with it."""
    for name, tool in _TELLING.items():
        if name in text and ((brought and tool.brings) or _writes(tool.writes, text)) and _alone(name).search(text):
            return True
    if any(word in text for word in _VENDOR_WORDS) and _VENDOR_ALONE.search(text):
        return True
    if ">" in text and "/dev/" in text and DEVICE.search(text):
        return True
    return brought and any(each in text for each in _REMOVABLE_WORDS) and REMOVABLE.search(text) is not None


def _writes(words: tuple[str, ...] | None, text: str) -> bool:
    return words is not None and (not words or any(word in text for word in words))


@cache
def _alone(name: str) -> re.Pattern[str]:
    """A name that is a word of its own, with any path before it; begins with the name, which is what makes it quick to find."""
    told = re.escape(name)
    return re.compile(rf"{told}(?<![\w.-]{told})(?![\w-])")


def may_lead(script: tree.Script) -> bool:
    """Whether a parsed script holds a write, or what can become one on its ways: then it has to be followed."""
    fetched: set[str] = set()
    run: set[str] = set()
    over_root = removable = False
    for node in _commands(script.body):
        texts = [_text(word) for word in node.words]
        words = words_of(texts)
        told = [_text(word) for _, word in node.assignments]
        removable = removable or any(map(runs_foreign, told))
        if words and (words[0] == "eval" or "-c" in words[1:3]):
            told += words[1:]
        if any(_to_flash(each) for each in node.redirects) or any(may_write(each, brought=False) for each in told if " " in each):
            return True
        if not words:
            continue
        if any(map(runs_foreign, (texts[0], *_scripts(words)))):
            return True
        for command in (understand(words), None if words[0] in TOOLS else understand(words_of(words[1:]))):
            if isinstance(command, Sink):
                return True
            if isinstance(command, Fetch):
                fetched |= {command.target, *(_text(each.target) for each in node.redirects)}
            if isinstance(command, Unpack):
                run.add("")
                over_root = over_root or command.where == "/"
        run |= {*_scripts(words), *([texts[0]] if "/" in texts[0] or UNKNOWN in texts[0] else [])}
    return (over_root and removable) or any(_may_be(target, name) for target in fetched for name in run)


def may_lead_program(program: Program) -> bool:
    """Whether a script in the small form names anything that can become a write."""
    fetched: set[str] = set()
    for text in program.texts:
        if len(text) < 3:
            continue
        if DEVICE.search(text) or _FOREIGN.match(text):
            return True
        if REMOVABLE.match(text) or not may_write(text):
            continue
        for script in (parse(text.replace(UNKNOWN, "$_")), parse(f"{text.replace(UNKNOWN, '$_')} $_")):
            if may_lead(script):
                return True
            fetched |= _targets(script)
    if program.called & WRITING or any(
        target in text for target in fetched for text in program.texts if f" {target}" not in text
    ):
        return True
    brings = program.called & (BRINGING if program.language != "php" else BRINGING_PHP)
    return bool(brings) and (
        bool(program.called & TAKING)
        or (program.language == "python" and "exec" in program.called)
        or any(_RUNS.match(text) for text in program.texts)
    )


def _targets(script: tree.Script) -> set[str]:
    """The files that a command line brings in."""
    found = (understand(words_of([_text(word) for word in node.words])) for node in _commands(script.body))
    return {each.target for each in found if isinstance(each, Fetch) and len(each.target) > 4}


def _scripts(words: Sequence[str]) -> list[str]:
    """The scripts that a command gives to a shell; "" is what stands at its input."""
    return (operands(words[1:]) or [""]) if words[0] in _RUN else []


def _may_be(target: str, name: str) -> bool:
    """Whether what is run can be the file that was written, as far as both names stand in the script."""
    if not name or (UNKNOWN in target and UNKNOWN in name):
        return True
    end, other = posixpath.basename(target), posixpath.basename(name)
    if end == UNKNOWN:
        return name.startswith(("/tmp/", "/var/", "./"))  # noqa: S108 (places of the image's own scripts)
    return other in (end, UNKNOWN)


def sinks_of(script: tree.Script) -> Iterator[tuple[Sink, int]]:
    """Every command of a parsed script that writes, whether anything leads there or not, with its line."""
    for node in _commands(script.body):
        words = words_of([_text(word) for word in node.words])
        command = understand(words)
        if isinstance(command, Sink):
            yield command, node.line
        elif words and words[0] not in ("echo", "printf") and any(_to_flash(each) for each in node.redirects):
            yield Sink("raw write to flash"), node.line


def _to_flash(redirect: tree.Redirect) -> bool:
    return redirect.op in (">", ">>", ">|", "&>") and written_device(_text(redirect.target))


def _text(word: tree.Word) -> str:
    return "".join(part.text if isinstance(part, tree.Literal) else UNKNOWN for part in word.parts)


def _commands(body: tree.Sequence) -> Iterator[tree.Simple]:
    """The simple commands of a script in their order, each before those of its substitutions."""
    todo: list[object] = [body]
    for _ in range(_NODE_LIMIT):
        if not todo:
            return
        node = todo.pop()
        if isinstance(node, tree.Simple):
            yield node
        todo += reversed(list(_inside(node)))


def _inside(node: object) -> Iterator[object]:
    match node:
        case tree.Sequence():
            yield from node.items
        case tree.AndOr():
            yield from (pipeline for _, pipeline in node.parts)
        case tree.Pipeline():
            yield from node.commands
        case tree.If():
            for asked, body, _ in node.branches:
                yield from (asked, body)
            if node.otherwise is not None:
                yield node.otherwise
        case tree.Loop():
            yield from (node.condition, node.body)
        case tree.Case():
            yield from (body for _, body in node.arms)
        case tree.For() | tree.Group() | tree.Function():
            yield node.body
        case tree.Simple():
            for word in (*(value for _, value in node.assignments), *node.words):
                yield from (part.body for part in word.parts if isinstance(part, tree.CommandSubstitution))
