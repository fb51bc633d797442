"""Update paths through scripts: a command that writes software, and what the script checks before it.

A check counts only when its result can stop the script: it stands in a condition, before ``||`` or ``&&``, or its exit status is
asked for in the next lines. ``|| true`` takes that back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from fwcheck.device.firmware import FileSystem
from fwcheck.device.shell.grammar import parse
from fwcheck.device.shell.tree import Script as Parsed
from fwcheck.device.updating import verdict
from fwcheck.device.updating.script import OF_SYSUPGRADE, Script, for_a_shell
from fwcheck.device.updating.table import may_lead, may_write, sinks_of
from fwcheck.device.updating.verdict import Write, writes
from fwcheck.model import Evidence, Facts, Node, StepAction, UpdatePath, UpdateStep

Verified = verdict.Verified
Sink = tuple[str, int, str]  # its name, line number and line
STRENGTH: dict[Verified, int] = {"unknown": 0, "none": 1, "checksum": 2, "hash": 3, "signature": 4}

# Programs that bring software to flash, by the words they stand in.
_START = r"(?:^|[;&|(`!'\"{]|\bthen|\bdo|\belse|\bexec|\bnohup|\bsudo|\bif|\bsystem\(|\bcall\()\s*(?:[\w./-]*/)?"
_DEVICE = r"/dev/(?:mtd|nand|mmcblk|by-name|block/|disk/)"
_VENDOR = r"(?:fwupdater?|fw_?upgrade|fwupgrade|fw_update|sysupdate|upgrade_?fw|flash_?write|mtdwrite|updater|rtk_?upgrade)"
# Sink, words of which every command of it holds one (looked for before the expression), and the command's shape.
_SINKS: tuple[tuple[str, tuple[str, ...], re.Pattern[str]], ...] = (
    ("sysupgrade", ("sysupgrade",),
     re.compile(_START + r"sysupgrade\s+(?!(?:-[bhlrT]|--test|--create\S*|--list\S*|--help|--restore\S*)(?:\s|$))\S")),
    ("mtd write", ("mtd",), re.compile(_START + r"mtd\s+(?:-\w\s+(?:[\w$\"'.{}/]+\s+)?)*write\s")),
    ("mtd write", ("mtd", "flashw"), re.compile(_START + r"(?:mtd_write|flashw|mtd_debug\s+write)\s+\S")),
    ("flashcp", ("flashcp",), re.compile(_START + r"flashcp\s+(?:-\S+\s+)*\S+\s+\S*/dev/")),
    ("nandwrite", ("nandwrite",), re.compile(_START + r"nandwrite\s+\S")),
    ("ubi volume", ("ubiupdatevol",), re.compile(_START + r"ubiupdatevol\s+(?!.*-t\b)\S")),
    ("raw write to flash", ("of=",), re.compile(_START + r"dd\s(?!.*if=/dev/(?:zero|u?random))[^\n]*of=[\"']?" + _DEVICE)),
    ("raw write to flash", ("/dev/",), re.compile(r"\bcat\s[^\n|]*>\s*[\"']?" + _DEVICE)),
    ("swupdate", ("swupdate",), re.compile(_START + r"swupdate(?:-client)?\s+(?:.*\s)?(?:-i|-d|-w|-u|-v|/)")),
    ("rauc", ("rauc",), re.compile(_START + r"rauc\s+install\b")),
    ("mender", ("mender",), re.compile(_START + r"mender(?:-update)?\s+-?-?(?:install|rootfs)\b")),
    ("vendor updater", ("fw", "updat", "flash", "mtdwrite", "pgrade"), re.compile(_START + r"" + _VENDOR + r"\s+[-/$\"'\w]")),
    ("file copy", ("/update", "/upgrade", "/ota", "/firmware"),
     re.compile(_START + r"cp\s+(?P<words>[^;|&\n]*)")),
)  # fmt: skip
_SIGNATURE = re.compile(
    r"openssl\s+(?:dgst\s[^\n]*-verify|(?:cms|smime)\s[^\n]*-verify|rsautl\s[^\n]*-(?:verify|pubin)|pkeyutl\s[^\n]*-verify)"
    r"|\bgpgv?\b[^\n]*(?:--verify|--keyring\s+\S+\s+\S+\.(?:sig|asc))|\b(?:usign|signify|minisign|ucert)\s+(?:[^\n]*\s)?-V"
    r"|\becdsaverify\s|\b(?:fw|img|image|rsa|sig|signature)_?verify\w*\s+\S|\bverify_?(?:sig|signature|image_sig|rsa)\w*\s+\S"
)
_HASH = re.compile(r"\b(?:md5sum|sha(?:1|224|256|384|512)sum)\b|openssl\s+(?:dgst\s+-)?(?:md5|sha\d+)\b")
_CHECKSUM = re.compile(r"\b(?:cksum|crc32|crc16|sum)\s+[\"'$/\w]|mkimage\s+-l")
_ABOUT_SOFTWARE = re.compile(r"(?i)upgrad|firmware|\bfw\b|_fw|fw_|update|\bota\b|rootfs|kernel|uimage|\.bin\b|\.img\b|recovery")
_IGNORED = re.compile(r"\|\|\s*(?:true|:)(?:\s|;|$)")
_STOPS = re.compile(r"^\s*(?:if|elif|while|until|!)\b|\|\||&&|^\s*!\s")
_STATUS = re.compile(r"\$\?|\bRET(?:VAL)?=|!=|-ne\b|-eq\b|==|\breturn\b|\bgrep\b|\[\s")
_COMPARES = re.compile(r"!=|==|\s=\s|-c\b|\bcmp\b|\bdiff\b|\bgrep\b|--check|-ne\b|-eq\b")
_SPOKEN = re.compile(r"^\s*(?:#|//|--\s|echo\b|printf\b|logger\b|print\b|v\s+\"|log\w*\s+\"|usage\b|\*\s)")
_CALLED = re.compile(r"(/[\w./-]{2,100}\.(?:sh|lua|py|php|pl))\b|(?:^|\s)\.\s+(/[\w./-]{2,100})")
_SUFFIXES = (".sh", ".lua", ".py", ".php", ".cgi", ".pl", ".asp", ".rc", ".script", ".js")
_NO_PROGRAM = re.compile(
    r"(?i)/(?:opkg|dpkg)/(?:info|status)|\.(?:html?|md|txt|conf|list|control|xml|json|css)$|/doc/|/i18n/|(?:^|/)sysupgrade\.conf$"
)
_OF_AN_UPDATE = re.compile(r"/(?:update|upgrade|ota|firmware)[^/]*/")
# Writes that are of software only where the script speaks of it: flash holds other things, too.
_RAW = frozenset({"mtd write", "flashcp", "nandwrite", "ubi volume", "raw write to flash"})
_MOST_CALLED = 24
_MOST_LINES = 200
_MOST_STEPS = 12
_LONGEST = 1024  # characters of a line that is looked at: longer ones are data
_SOURCES = (
    ("web upload", re.compile(r"(?i)CONTENT_(?:LENGTH|TYPE)|multipart|\$_FILES|setfilehandler|/cgi-bin/|http\.formvalue")),
    ("http download", re.compile(r"(?:^|[\s;&|`(/])(?:wget|uclient-fetch)\s[^\n]*(?!https)|(?:^|[\s;&|`(/])curl\s")),
    ("tftp or ftp", re.compile(r"(?:^|[\s;&|`(])(?:tftp|ftpget|ftp)\s")),
    ("removable media", re.compile(r"/mnt/|/media/|/sdcard|/tmp/sd\b|mmcblk|/dev/sd[a-z]|(?i:usb_?(?:update|upgrade|disk))")),
)  # fmt: skip


class Check(NamedTuple):
    """A check found on the way, and where."""

    kind: Verified
    where: Evidence


def script_paths(fs: FileSystem) -> Iterator[UpdatePath]:
    """The writes of each script of a file system: shell scripts are followed, others are read line by line."""
    known: dict[str, list[Check]] = {}  # the checks of each script, looked for once
    for node, facts in fs.files():
        if facts.text is None or not _is_program(node, facts) or OF_SYSUPGRADE.search(node.path):
            continue
        if is_shell(node, facts):
            if may_write(facts.text) and ((parsed := parse(facts.text)).error or may_lead(parsed)):
                yield from _followed(fs, node.path, facts.text, parsed)
            continue
        found = _sinks(facts.text)
        if found and _ABOUT_SOFTWARE.search(facts.text + node.path):
            yield _read(fs, node.path, facts.text, found, known)


def _followed(fs: FileSystem, path: str, text: str, parsed: Parsed) -> Iterator[UpdatePath]:
    """One path for each verdict over the writes of a shell script; unknown where no way to a write was found."""
    about_software = _ABOUT_SOFTWARE.search(text + path) is not None
    script = Script(fs)
    script.follow(path, text)
    by_verdict: dict[Verified, Write] = {}
    for write in writes(script, fs):
        if (about_software or _name(write) not in _RAW) and _belongs(write, path):
            by_verdict.setdefault(_own(write), write)
    for verified, write in by_verdict.items():
        yield _told(fs, path, text, write, verified)
    if by_verdict and not (parsed.error and not by_verdict.keys() & {"none", "unknown"}):
        return
    standing = [each for each in _standing(parsed, text) if about_software or each[0] not in _RAW]
    if standing:
        sink, number = standing[-1 if by_verdict else 0]
        why = (
            f"the script could not be read to its end ({parsed.error})"
            if parsed.error
            else "nothing seen in the script leads there"
        )
        yield UpdatePath(
            source=_source(path, text),
            sink=sink,
            verified="unknown",
            mechanism=path,
            detail=f"writes by {sink}; {why}",
            root=fs.label,
            evidence=(fs.evidence(path, text.split("\n", number)[number - 1][:_LONGEST].strip(), line=number),),
        )


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


def _told(fs: FileSystem, path: str, text: str, write: Write, verified: Verified) -> UpdatePath:
    name = _name(write)
    proof = write.proof
    checked = f"{verified} checked in {proof.path}:{proof.line}" if proof is not None and verified != "unknown" else ""
    untold = checked or ("" if write.reason else "no check in the script")
    detail = "; ".join(part for part in (f"writes by {name}", untold, write.reason) if part)
    steps = write.steps
    where = next((step.evidence for step in steps if step.action == "write" and step.evidence is not None), None)
    checks = [step.evidence for step in steps if step.check and step.evidence is not None]
    return UpdatePath(
        source=_source(path, text),
        sink=name,
        verified=verified,
        mechanism=path,
        detail=detail,
        root=fs.label,
        steps=steps,
        transport=write.transport,
        evidence=tuple(each for each in (where, *checks[:4]) if each is not None),
    )


def is_shell(node: Node, facts: Facts) -> bool:
    """Whether the text is for a shell: its first line says so, or it has none and is named like one."""
    if facts.interpreter:
        return for_a_shell(facts.interpreter)
    return not node.path.endswith((".lua", ".py", ".php", ".pl", ".asp", ".js")) and facts.kind != "php"


def _read(fs: FileSystem, path: str, text: str, found: list[Sink], known: dict[str, list[Check]]) -> UpdatePath:
    """A script in another language, line by line: the strongest check in front of a write whose result can stop it.

    Without its grammar nobody can tell that a function behind the write is not called before it: a check there leaves it open.
    """
    sink, number, line = found[0]
    last = max(each for _, each, _ in found)
    checks = [*_checks(fs, path, text), *_checks_of_called(fs, text, known)]
    best = max(checks, key=lambda each: STRENGTH[each.kind], default=None)
    verified: Verified = "unknown" if sink in _CHECKING_SINKS else "none"
    if best is not None:
        at = best.where.location
        verified = "unknown" if at.path == path and (at.line or 0) > last else best.kind
    where = fs.evidence(path, line, line=number)
    return UpdatePath(
        source=_source(path, text),
        sink=sink,
        verified=verified,
        mechanism=path,
        detail=_detail(best, found),
        root=fs.label,
        steps=tuple(_steps(fs, path, text, found, checks)),
        evidence=(where, *((best.where,) if best is not None else ())),
    )


def _steps(fs: FileSystem, path: str, text: str, found: list[Sink], checks: list[Check]) -> Iterator[UpdateStep]:
    """What was seen, by line: downloads and uploads, checks, writes."""
    steps: list[tuple[int, UpdateStep]] = []
    for name, shape in _SOURCES[:3]:
        for number, line in enumerate(text.splitlines(), 1):
            if len(line) <= _LONGEST and shape.search(line) and not _SPOKEN.match(line):
                action: StepAction = "receive" if name == "web upload" else "fetch"
                steps.append((number, UpdateStep(action=action, what=name, evidence=fs.evidence(path, line, line=number))))
                break
    for check in checks[:_MOST_STEPS]:
        own = check.where.location.path == path
        steps.append((check.where.location.line or 0 if own else 0, verdict.checked(check.kind, check.where)))
    for sink, number, line in found[:_MOST_STEPS]:
        steps.append((number, UpdateStep(action="write", what=sink, evidence=fs.evidence(path, line, line=number))))
    return (step for _, step in sorted(steps, key=lambda each: each[0]))


# Programs that check by themselves: a script without a check says nothing about them.
_CHECKING_SINKS = frozenset(
    {"sysupgrade", "swupdate", "rauc", "mender", "vendor updater", "ostree", "fwupd", "update_engine", "snap", "casync"}
    | {"opkg", "ipkg", "apk", "apt", "dnf", "yum", "zypper", "tdnf"}
)


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


def _sinks(text: str) -> list[tuple[str, int, str]]:
    """Writing commands as (sink, line number, line), in the order of the text; comments and messages left out."""
    found: list[tuple[str, int, str]] = []
    possible = [each for each in _SINKS if any(word in text for word in each[1])]
    if not possible:
        return found
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > _LONGEST:
            continue
        for sink, words, shape in possible:
            if any(word in line for word in words) and _fits(shape, line) and not _SPOKEN.match(line):
                found.append((sink, number, line.strip()))
                break
    return found


def _fits(shape: re.Pattern[str], line: str) -> bool:
    """Whether a line holds the command; of a copy, the words: out of a directory of updates, into the root."""
    hit = shape.search(line)
    if hit is None or "words" not in shape.groupindex:
        return hit is not None
    words = [word.strip("\"'") for word in hit["words"].split() if not word.startswith("-")]
    return len(words) > 1 and words[-1].startswith("/") and any(_OF_AN_UPDATE.search(word) for word in words[:-1])


def _checks(fs: FileSystem, path: str, text: str) -> Iterator[Check]:
    """The checks of one script whose result can stop it."""
    lines = text.splitlines()
    for index, line in enumerate(lines):
        if len(line) > _LONGEST or _SPOKEN.match(line):
            continue
        kind: Verified | None = None
        if _SIGNATURE.search(line) and _honoured(lines, index):
            kind = "signature"
        elif _HASH.search(line) and line.count("/bin/") < 3 and _compared(path, lines[index : index + 8]):
            kind = "hash"
        elif _CHECKSUM.search(line) and _compared(path, lines[index : index + 6]):
            kind = "checksum"
        if kind is not None:
            yield Check(kind, fs.evidence(path, line, line=index + 1))


def _compared(path: str, lines: list[str]) -> bool:
    """Whether what the first of these lines computes is compared; outside the shell only plain comparisons nearby count."""
    if path.endswith((".lua", ".php", ".py", ".js", ".asp")):
        return any(re.search(r"[!=~]==?", each) for each in lines[:4])
    return any(_COMPARES.search(each) for each in lines)


def _honoured(lines: list[str], index: int) -> bool:
    """Whether the command on this line decides what happens next."""
    line = lines[index]
    if _IGNORED.search(line):
        return False
    if _STOPS.search(line):
        return True
    following = [each for each in lines[index + 1 : index + 5] if each.strip() and not each.lstrip().startswith("#")]
    return any(_STATUS.search(each) for each in following[:2])


def _checks_of_called(fs: FileSystem, text: str, known: dict[str, list[Check]]) -> Iterator[Check]:
    """Checks in scripts that this one runs or reads, one step deep."""
    called = list(dict.fromkeys(hit[1] or hit[2] for hit in _CALLED.finditer(text)))[:_MOST_CALLED]
    for path in called:
        facts = fs.facts(path) if not OF_SYSUPGRADE.search(path) else None
        if facts is not None and facts.text is not None and (node := fs.resolve(path)) is not None:
            if node.path not in known:
                known[node.path] = list(_checks(fs, node.path, facts.text))
            yield from known[node.path]


def _source(path: str, text: str) -> str:
    if re.search(r"/(?:www\d?|web|htdocs|cgi-?bin|luci)/", path):
        return "web upload"
    spoken = "\n".join(line for line in text.splitlines() if not _SPOKEN.match(line))
    return next((name for name, shape in _SOURCES if shape.search(spoken)), "local file")


def _detail(best: Check | None, sinks: list[tuple[str, int, str]]) -> str:
    writes = ", ".join(sorted({sink for sink, _, _ in sinks}))
    if best is None:
        return f"writes by {writes}; no check in the script"
    return f"writes by {writes}; {best.kind} checked in {best.where.location.path}:{best.where.location.line}"
