"""``waivers.toml``: findings that somebody answers for, until a date. TOML 1.0; an unknown key is an error.

A waived finding stays in every report, marked as waived; it fails no gate and takes no points. Of an expired waiver the findings
count again, and the gate says so. A waiver that matches nothing is told, so that the file does not outlive its causes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import msgspec

from fwcheck.gate.files import Unfit, load, nearest, parse
from fwcheck.gate.policy import rules
from fwcheck.model import Finding, Waiver

_SOON = 30  # days before its end from which a waiver is told
_STARS = 16  # wildcards of a path pattern
Required = Annotated[str, msgspec.Meta(min_length=1, max_length=2000, pattern=r"\S")]


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One waiver: what it is for, why, who answers for it, and its last day."""

    reason: Required
    owner: Required
    expires: dt.date
    rule: Annotated[str, msgspec.Meta(max_length=200)] = ""
    fingerprint: Annotated[str, msgspec.Meta(pattern="^(|[0-9a-f]{32})$")] = ""
    path: Annotated[str, msgspec.Meta(max_length=1000)] = ""  # inside its file system; * within a name, ** over directories

    def covers(self, finding: Finding) -> bool:
        """Whether it is for this finding: everything it names has to fit."""
        if self.rule and finding.rule != self.rule:
            return False
        if self.fingerprint and finding.fingerprint != self.fingerprint:
            return False
        return not self.path or fits(finding.location.path, self.path)

    def granted(self) -> Waiver:
        """What the report says of a finding that it covers."""
        return Waiver(reason=self.reason, owner=self.owner, expires=self.expires.isoformat())


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    waiver: tuple[Entry, ...] = ()


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """The findings with those marked that are waived, and what is to be said of the waivers."""

    findings: tuple[Finding, ...]
    expired: tuple[str, ...] = ()  # reasons for a gate to fail
    notes: tuple[str, ...] = ()


class Waivers(msgspec.Struct, frozen=True, kw_only=True):
    """The waivers of a file, in its order."""

    name: str
    entries: tuple[Entry, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Waivers:
        """The waivers of a file. Raises BrokenFile with one line when it cannot be read or is none."""
        content = load(path)
        held = parse(content, str(path), _File, (*_File.__struct_fields__, *Entry.__struct_fields__))
        for number, entry in enumerate(held.waiver, 1):
            try:
                _check(entry)
            except ValueError as error:
                raise Unfit(f"waiver {number}: {error}", "waiver", number - 1).of(str(path), content) from error
        return cls(name=path.name, entries=held.waiver)

    def settle(self, findings: Sequence[Finding], today: dt.date) -> Settled:
        """The findings with its waivers applied; what an earlier run waived is forgotten."""
        hits: list[int] = [0] * len(self.entries)
        late: dict[int, list[Finding]] = {}
        kept: list[Finding] = []
        for finding in findings:
            covering = [at for at, entry in enumerate(self.entries) if _adverse(finding) and entry.covers(finding)]
            valid = [at for at in covering if self.entries[at].expires >= today]
            for at in covering:
                hits[at] += 1
            for at in covering if not valid else ():
                late.setdefault(at, []).append(finding)
            kept.append(_marked(finding, self.entries[valid[0]].granted() if valid else None))
        expired = tuple(_late(self._label(at), self.entries[at].expires.isoformat(), held) for at, held in sorted(late.items()))
        return Settled(findings=tuple(kept), expired=expired, notes=tuple(self._notes(hits, late, today)))

    def _notes(self, hits: Sequence[int], late: dict[int, list[Finding]], today: dt.date) -> Iterator[str]:
        for at, entry in enumerate(self.entries):
            left = (entry.expires - today).days
            if not hits[at]:
                yield f"{self._label(at)} matches no finding: remove it, or mend what it names"
            elif left < 0 and at not in late:
                yield f"{self._label(at)} expired on {entry.expires}, and others cover its findings: remove it"
            elif 0 <= left <= _SOON:
                yield f"{self._label(at)} expires on {entry.expires}: mend its {_count(hits[at])}, or have it extended"

    def _label(self, at: int) -> str:
        entry = self.entries[at]
        what = " ".join(each for each in (entry.rule, entry.fingerprint, entry.path) if each)
        return f"{self.name}: waiver {at + 1} ({what}, owner {entry.owner})"


def resettled(findings: Sequence[Finding], today: dt.date) -> Settled:
    """Findings of an earlier report without its waiver file: what has expired since counts again."""
    kept: list[Finding] = []
    late: dict[Waiver, list[Finding]] = {}
    for finding in findings:
        waiver = finding.waiver
        if finding.waived and waiver is not None and waiver.expires < today.isoformat():
            late.setdefault(waiver, []).append(finding)
            kept.append(_marked(finding, None))
        else:
            kept.append(finding)
    expired = tuple(_late(f"the waiver of {waiver.owner}", waiver.expires, held) for waiver, held in late.items())
    return Settled(findings=tuple(kept), expired=expired)


def fits(path: str, pattern: str) -> bool:
    """Whether the whole path is of this pattern; ``*`` and ``?`` stay within a name, ``**`` stands for any directories.

    Names are compared by fnmatch, which does not backtrack over what a star has passed; ``**`` goes back to the last one alone.
    """
    names, wanted = path.split("/"), pattern.split("/")
    at = want = 0
    star = restart = -1
    while at < len(names):
        if want < len(wanted) and wanted[want] == "**":
            star, restart = want, at
            want += 1
        elif want < len(wanted) and fnmatchcase(names[at], wanted[want]):
            at += 1
            want += 1
        elif star >= 0:
            restart += 1
            at, want = restart, star + 1
        else:
            return False
    return all(each == "**" for each in wanted[want:])


def _check(entry: Entry) -> None:
    """Raises ValueError with what is wrong."""
    if not entry.rule and not entry.fingerprint:
        raise ValueError("names neither a rule nor a fingerprint")
    if entry.rule and entry.rule not in (known := rules()):
        raise ValueError(f"there is no rule {entry.rule}{nearest(entry.rule, known)}")
    if entry.path and not entry.path.startswith(("/", "**", "0x")):
        raise ValueError("path has to begin with / or ** (it is compared with the whole path)")
    if entry.path.count("*") > _STARS:
        raise ValueError(f"path has more than {_STARS} stars")


def _late(label: str, day: str, findings: Sequence[Finding]) -> str:
    first = findings[0]
    where = f" in {first.location.path}" if first.location.path else ""
    more = f" and {len(findings) - 1} more" if len(findings) > 1 else ""
    return f"{label} expired on {day}: {first.rule} {first.title}{where}{more} counts again; mend it, or have it extended"


def _marked(finding: Finding, waiver: Waiver | None) -> Finding:
    if finding.waived == (waiver is not None) and finding.waiver == waiver:
        return finding
    return msgspec.structs.replace(finding, waived=waiver is not None, waiver=waiver)


def _adverse(finding: Finding) -> bool:
    return finding.verdict in {"violation", "concern"}


def _count(number: int) -> str:
    return "finding" if number == 1 else f"{number} findings"
