"""Update paths through scripts: a command that writes software, and what the script checks before it.

Shell scripts, Lua, PHP, Python and Perl are followed along all their ways (:mod:`fwcheck.device.updating`). Of what no grammar
reads only those commands are told that stand in it, and nothing is said of checks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from fwcheck.device.firmware import FileSystem
from fwcheck.device.shell.grammar import parse
from fwcheck.device.shell.tree import Script as Parsed
from fwcheck.device.updating import verdict
from fwcheck.device.updating.commands import DEVICE, runs_foreign
from fwcheck.device.updating.form import Program
from fwcheck.device.updating.functions import Followed
from fwcheck.device.updating.languages.modules import Modules
from fwcheck.device.updating.languages.registry import language_of, read
from fwcheck.device.updating.readers import THE_FEED
from fwcheck.device.updating.script import OF_SYSUPGRADE, Script, for_a_shell
from fwcheck.device.updating.table import may_lead, may_lead_program, may_write, sinks_of
from fwcheck.device.updating.verdict import Write, writes
from fwcheck.model import Facts, Node, UpdatePath

Verified = verdict.Verified
STRENGTH: dict[Verified, int] = {"unknown": 0, "none": 1, "checksum": 2, "hash": 3, "signature": 4}

_ABOUT_SOFTWARE = re.compile(r"(?i)upgrad|firmware|\bfw\b|_fw|fw_|update|\bota\b|rootfs|kernel|uimage|\.bin\b|\.img\b|recovery")
_SPOKEN = re.compile(r"^\s*(?:#|//|--\s|echo\b|printf\b|logger\b|print\b|v\s+\"|log\w*\s+\"|usage\b|\*\s)")
_SUFFIXES = (".sh", ".lua", ".py", ".php", ".cgi", ".pl", ".pm", ".asp", ".rc", ".script", ".js")
_NO_PROGRAM = re.compile(
    r"(?i)/(?:opkg|dpkg)/(?:info|status)|\.(?:html?|md|txt|conf|list|control|xml|json|css)$|/doc/|/i18n/|(?:^|/)sysupgrade\.conf$"
)
# Writes that are of software only where the script speaks of it: flash holds other things, too.
_RAW = frozenset({"mtd write", "flashcp", "nandwrite", "ubi volume", "raw write to flash"})
# Programs that check by themselves: a script without a check says nothing about them.
_CHECKING_SINKS = frozenset(
    {"sysupgrade", "swupdate", "rauc", "mender", "vendor updater", "ostree", "fwupd", "update_engine", "snap", "casync"}
    | {"opkg", "ipkg", "apk", "apt", "dnf", "yum", "zypper", "tdnf"}
)
_MOST_LINES = 200
_MOST_TEXT = 2 << 20  # characters of scripts of one file system that are followed; some 15 s of the worst that was made up
_CRONTAB_LIMIT = 100_000
_WHEN = r"[ \t]*(?:@\w+|(?:[\d*,/A-Za-z-]+[ \t]+){4}[\d*,/A-Za-z-]+)[ \t]+"
_CRON_LINE = (re.compile(_WHEN + r"(?P<command>\S.*)"), re.compile(_WHEN + r"[\w.-]+[ \t]+(?P<command>\S.*)"))
# Scripts that an update tool runs with what it has checked: alone they say nothing.
_OF_A_TOOL = re.compile(r"^/usr/(?:share|lib)/mender/modules/|^/(?:etc|var/lib)/mender/scripts/|^/usr/lib/(?:swupdate|rauc)/")
_LONGEST = 1024  # characters of a line that is looked at: longer ones are data
_SOURCES = (
    ("web upload", re.compile(r"(?i)CONTENT_(?:LENGTH|TYPE)|multipart|\$_FILES|setfilehandler|/cgi-bin/|http\.formvalue")),
    ("http download", re.compile(r"(?:^|[\s;&|`(/])(?:wget|uclient-fetch)\s[^\n]*(?!https)|(?:^|[\s;&|`(/])curl\s")),
    ("tftp or ftp", re.compile(r"(?:^|[\s;&|`(])(?:tftp|ftpget|ftp)\s")),
    ("cloud", re.compile(r"\bmosquitto_sub\s|\bmqtt_?sub\w*\s")),
    ("adb sideload", re.compile(r"\bsideload\b")),
    ("serial line", re.compile(r"(?:^|[\s;&|(/])(?:rz|rx|rb|lrz|lrb)\s+-|(?i:\b[xyz]modem|\bkermit\b)")),
    ("removable media", re.compile(r"/mnt/|/media/|/sdcard|/tmp/sd\b|mmcblk|/dev/sd[a-z]|(?i:usb_?(?:update|upgrade|disk))")),
)  # fmt: skip
# What can be a write in a language with functions of its own for it.
_WRITES = re.compile(
    r"InstallBundle|chmod|/tmp/\S+\.(?:sh|py|pl|lua|run)\b|extractall|extractTo|unpack_archive"
    r"|\b(?:exec|eval|execfile|loadstring|dofile)\s*\("
)
_FETCHES = re.compile(r"https?://|curl|urlopen|urlretrieve|requests|httpx|LWP|socket\.http|ssl\.https|httpclient|paho")
_CHECK_WORDS = re.compile(r"(?i)verif|sign|md5|sha\d|digest|hash|crc|check")
_GIVEN_TO_A_SHELL = re.compile(
    r"(?i)(?:system|execute|popen|exec\w*|call|spawn\w*|run|passthru|doSystem\w*)\s*\([^\n\"'`]{0,60}([\"'`])((?:(?!\1)[^\n\\]){3,400})"
)


def script_paths(fs: FileSystem) -> Iterator[UpdatePath]:
    """The writes of each script of a file system, and of the command lines of its crontabs."""
    modules = Modules(fs)
    left = _MOST_TEXT
    for path, text in _crontabs(fs):
        yield from _followed(fs, path, text, parse(text))
    for node, facts in fs.files():
        if facts.text is None or not _is_program(node, facts) or OF_SYSUPGRADE.search(node.path):
            continue
        text = facts.text
        if left <= 0:
            yield from _past_the_limit(fs, node.path, text)
            continue
        left -= len(text) if may_write(text) else 0
        if "haserl" in (facts.interpreter or "") and "lua" not in (facts.interpreter or ""):
            text = _haserl(text)
            if may_write(text):
                yield from _followed(fs, node.path, text, parse(text), "web upload")
        elif is_shell(node, facts):
            if may_write(text) and ((parsed := parse(text)).error or may_lead(parsed)):
                yield from _followed(fs, node.path, text, parsed)
        elif language := language_of(node.path, facts.interpreter, facts.kind):
            if may_write(text) or ("/dev/" in text and DEVICE.search(text)) or (_WRITES.search(text) and _FETCHES.search(text)):
                yield from _program(fs, node.path, text, language, modules)
        elif may_write(text):
            yield from _unread(fs, node.path, text, "a script that is not followed")


def _crontabs(fs: FileSystem) -> Iterator[tuple[str, str]]:
    """Crontabs as scripts: the commands of their lines, each where it stands (crontab(5))."""
    for folder, user in (("/etc/crontabs", 0), ("/var/spool/cron/crontabs", 0), ("/etc/cron.d", 1), ("/etc", 1)):
        for node in fs.children(folder):
            text = fs.text(node.path) if folder != "/etc" or node.path == "/etc/crontab" else None
            if text is None or len(text) > _CRONTAB_LIMIT or not may_write(text):
                continue
            lines = (_CRON_LINE[user].match(line) for line in text.split("\n"))
            yield node.path, "\n".join(hit["command"].replace("\\%", "%") if hit else "" for hit in lines)


# --------------------------------------------------------------------------- shell scripts


_HASERL = re.compile(r"<%(?!in\b|=)(.*?)%>", re.DOTALL)


def _between(block: str) -> str:
    """What ends the last command of a block."""
    return " " if re.search(r"(?:\b(?:then|do|else|in)|[;{(&|\n]|^)[ \t]*$", block[-40:]) else ";"


def _haserl(text: str) -> str:
    """The shell of a page of haserl(1), what stands around it made blank, so that lines stay where they are."""
    out: list[str] = []
    at = 0
    for hit in _HASERL.finditer(text):
        out += ["\n" * text.count("\n", at, hit.start(1)), hit[1], _between(hit[1])]
        at = hit.end(1)
    return "".join(out)


def _followed(fs: FileSystem, path: str, text: str, parsed: Parsed, source: str = "") -> Iterator[UpdatePath]:
    """One path for each verdict over the writes of a shell script; unknown where no way to a write was found."""
    script = Script(fs)
    script.follow(path, text)
    by_verdict: dict[Verified, Write] = {}
    for write in _about_software(writes(script, fs), path, text):
        verified = _own(write)
        by_verdict.setdefault("unknown" if verified == "none" and _OF_A_TOOL.search(path) else verified, write)
    for verified, write in by_verdict.items():
        feed = getattr(write.event.command, "what", "") == THE_FEED
        yield _told(fs, path, write, verified, "package feed" if feed else source or _source(path, text))
    if by_verdict and not (parsed.error and not by_verdict.keys() & {"none", "unknown"}):
        return
    standing = [each for each in _standing(parsed, text) if _ABOUT_SOFTWARE.search(text + path) or each[0] not in _RAW]
    if standing:
        broken = f"the script could not be read to its end ({parsed.error})" if parsed.error else ""
        yield _open(fs, path, text, *standing[-1 if by_verdict else 0], broken or "nothing seen in the script leads there")


def _about_software(found: Iterable[Write], path: str, text: str) -> Iterator[Write]:
    """The writes that are this script's, and of software."""
    about_software = _ABOUT_SOFTWARE.search(text + path) is not None
    for write in found:
        what = str(getattr(write.event.command, "what", ""))
        other = runs_foreign(what) and not _ABOUT_SOFTWARE.search(what)  # whatever a stick holds is run: no update (DBG-011)
        if (about_software or _name(write) not in _RAW) and not other and _belongs(write, path):
            yield write


def _belongs(write: Write, path: str) -> bool:
    """Whether a write is this script's: its own, or one of a script that it calls after a step of its own."""
    return any(step.evidence is not None and step.evidence.location.path == path for step in write.steps)


def _standing(parsed: Parsed, text: str) -> list[tuple[str, int]]:
    """The writing commands that stand in a script; where it could not be read, each line is looked at for itself."""
    if not parsed.error:
        return [(sink.name, line) for sink, line in sinks_of(parsed)]
    lines = ((number, line) for number, line in enumerate(text.split("\n"), 1) if len(line) <= _LONGEST and may_write(line))
    return [(sink.name, number) for number, line in islice(lines, _MOST_LINES) for sink, _ in sinks_of(parse(line))]


def _own(write: Write) -> Verified:
    """A script without a check says nothing about a program that checks by itself."""
    return "unknown" if write.verified == "none" and _name(write) in _CHECKING_SINKS else write.verified


def _name(write: Write) -> str:
    return str(getattr(write.event.command, "name", ""))


def _told(fs: FileSystem, path: str, write: Write, verified: Verified, source: str, why: str = "") -> UpdatePath:
    name = _name(write)
    proof = write.proof
    reason = why or write.reason
    checked = f"{verified} checked in {proof.path}:{proof.line}" if proof is not None and verified != "unknown" else ""
    untold = checked or ("" if reason else "no check in the script")
    detail = "; ".join(part for part in (f"writes by {name}", untold, reason) if part)
    steps = write.steps
    where = next((step.evidence for step in steps if step.action == "write" and step.evidence is not None), None)
    checks = [step.evidence for step in steps if step.check and step.evidence is not None]
    return UpdatePath(
        source=source,
        sink=name,
        verified=verified,
        mechanism=path,
        detail=detail,
        root=fs.label,
        steps=steps,
        transport=write.transport,
        evidence=tuple(each for each in (where, *checks[:4]) if each is not None),
    )


def _open(fs: FileSystem, path: str, text: str, sink: str, number: int, why: str) -> UpdatePath:
    """A write of which nothing is known but that it stands there."""
    return UpdatePath(
        source=_source(path, text),
        sink=sink,
        verified="unknown",
        mechanism=path,
        detail=f"writes by {sink}; {why}",
        root=fs.label,
        evidence=(fs.evidence(path, text.split("\n", number)[number - 1][:_LONGEST].strip(), line=number),),
    )


# --------------------------------------------------------------------------- other languages


def _program(fs: FileSystem, path: str, text: str, language: str, modules: Modules) -> Iterator[UpdatePath]:
    """One path for each verdict over the writes of a script in another language."""
    program = read(language, text)
    if not may_lead_program(program):
        if program.broken:
            yield from _unread(fs, path, program.unread, "the script could not be read to its end")
        return
    followed = Followed(fs, modules.load)
    followed.run(path, program)
    by_verdict: dict[Verified, tuple[Write, str]] = {}
    for write in _about_software(writes(followed, fs), path, text):
        verified, why = _left_open(followed, write)
        by_verdict.setdefault(verified, (write, why))
    for verified, (write, why) in by_verdict.items():
        yield _told(fs, path, write, verified, _source_of(write, path, text), why)
    if (program.broken or followed.unfinished) and not by_verdict:
        why = "the script could not be followed to its end" if followed.unfinished else "the script could not be read to its end"
        yield from _unread(fs, path, text if followed.unfinished else program.unread, why)
    elif not by_verdict and (command := _written_down(program)):
        sink, _ = next(sinks_of(parse(f"{command} $_")))
        number = text.count("\n", 0, max(0, text.find(command.rstrip("\0")))) + 1
        yield _open(fs, path, text, sink.name, number, "what runs the command was not followed")


def _written_down(program: Program) -> str:
    """A command that writes by its full path, as a text of a script in which nothing was seen to run it."""
    told = (text for text in sorted(program.texts) if text.startswith("/") and may_write(text))
    return next((text for text in told if any(sinks_of(parse(f"{text} $_")))), "")


def _left_open(followed: Followed, write: Write) -> tuple[Verified, str]:
    """The verdict as far as the script itself can tell it, and why it is left open."""
    program = followed.program
    verified = _own(write)
    if program.deep or (program.broken and (verified != "none" or _CHECK_WORDS.search(program.unread))):
        return "unknown", "the script could not be read to its end"
    if followed.events.index(write.event) in followed.cut:
        return "unknown", "the script is too long to follow to its end"
    brought = any(step.action in ("fetch", "receive") for step in write.steps)
    if verified == "none" and not brought and followed.events.index(write.event) in followed.elsewhere:
        return "unknown", "what calls the function is not in the script"
    return verified, ""


def _source_of(write: Write, path: str, text: str) -> str:
    """Where the software comes from, by the steps in front of the write."""
    for step in write.steps:
        if step.action == "receive":
            return "cloud" if "broker" in step.what else "web upload"
        if step.action == "fetch":
            return "tftp or ftp" if step.what.startswith(("tftp:", "ftp:")) else "http download"
    return _source(path, text)


def _unread(fs: FileSystem, path: str, text: str, why: str) -> Iterator[UpdatePath]:
    """The first command that writes, of a script that is not followed."""
    whole = fs.text(path) or ""
    if not _ABOUT_SOFTWARE.search(whole + path):
        return
    for hit in islice(_GIVEN_TO_A_SHELL.finditer(text), _MOST_LINES):
        sink = next((sink for sink, _ in sinks_of(parse(hit[2]))), None) if may_write(hit[2]) else None
        if sink is not None:
            number = whole.count("\n", 0, max(0, whole.find(hit[2]))) + 1
            yield _open(fs, path, whole, sink.name, number, why)
            return


def _past_the_limit(fs: FileSystem, path: str, text: str) -> Iterator[UpdatePath]:
    """The first line that writes, of a script that is one too many."""
    if not may_write(text) or not _ABOUT_SOFTWARE.search(text + path):
        return
    for number, line in enumerate(islice(text.split("\n"), 20 * _MOST_LINES), 1):
        sink = next((sink for sink, _ in sinks_of(parse(line))), None) if len(line) <= _LONGEST and may_write(line) else None
        if sink is not None:
            yield _open(fs, path, text, sink.name, number, "more scripts than are followed")
            return


def is_shell(node: Node, facts: Facts) -> bool:
    """Whether the text is for a shell: its first line says so, or it has none and is named like one."""
    if facts.interpreter:
        return for_a_shell(facts.interpreter)
    return not node.path.endswith((".lua", ".py", ".php", ".pl", ".pm", ".asp", ".js")) and facts.kind != "php"


def _is_program(node: Node, facts: Facts) -> bool:
    if _NO_PROGRAM.search(node.path) or facts.text is None or len(facts.text) > 400_000:
        return False
    return (
        facts.kind in ("script", "php")
        or bool(facts.interpreter)
        or node.path.endswith(_SUFFIXES)
        or "/init.d/" in node.path
        or "/cgi" in node.path
    )


def _source(path: str, text: str) -> str:
    if re.search(r"/(?:www\d?|web|htdocs|cgi-?bin|luci)/", path):
        return "web upload"
    if re.search(r"(?i)lwm2m|wakaama|leshan", path):
        return "LwM2M"
    if re.search(r"(?i)cwmp|tr-?069", path):
        return "TR-069"
    spoken = "\n".join(line for line in text.splitlines() if not _SPOKEN.match(line))
    return next((name for name, shape in _SOURCES if shape.search(spoken)), "local file")
