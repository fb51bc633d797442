"""What many images have in common: where each stands, and which secrets and outdated components several of them share.

An entry is what is kept of one report. Secrets appear in it as opaque marks (a keyed hash), so that two images can be seen to
hold the same one without anybody being able to read it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from fwcheck.model import Component, Evidence, Finding, Location, Report, Severity

SCHEMA_VERSION = "1.0"
_WORST = 5  # findings kept of an image, one of each rule
_HELD = 500  # secrets kept of an image
_PIECES = 500  # outdated components kept of an image
_CONFIDENCE = ("certain", "firm", "tentative")


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the values here."""


class Level(Value, frozen=True, kw_only=True):
    """Where an image stands on one level."""

    id: str
    refuted: bool
    score: int
    decidable: int
    total: int


class Worst(Value, frozen=True, kw_only=True):
    """A finding that speaks against an image."""

    rule: str
    title: str
    severity: Severity
    verdict: str
    confidence: str
    place: str


class Held(Value, frozen=True, kw_only=True):
    """A secret that an image holds. ``mark`` is the same for the same secret within one audit, and tells nothing else."""

    kind: Literal["private key", "password hash", "password", "secret"]
    mark: str
    what: str  # "RSA 1024", "root (md5)", "WIFI-001"
    place: str


class Piece(Value, frozen=True, kw_only=True):
    """A component that is past its support or has known vulnerabilities."""

    name: str
    version: str
    end_of_life: str | None = None
    vulnerabilities: int = 0
    exploited: int = 0
    score: float | None = None  # the highest


class Entry(Value, frozen=True, kw_only=True):
    """One image of the audit. Of one that ``failed`` only its name and the reason are known."""

    label: str  # path below the folder that was given
    state: Literal["read", "failed"]
    reason: str = ""
    sha256: str = ""
    size: int = 0
    format: str = ""
    platform: str = ""
    target: str = ""
    highest: str | None = None  # highest level that is not refuted
    levels: tuple[Level, ...] = ()
    counts: dict[str, int] = {}  # findings that speak against it, by severity
    worst: tuple[Worst, ...] = ()
    held: tuple[Held, ...] = ()
    outdated: tuple[Piece, ...] = ()
    components: int = 0
    files: int = 0
    unread: float = 0.0  # share of its bytes that stayed unknown or looks encrypted
    gate_asked: tuple[str, ...] = ()
    gate_passed: bool = True
    gate_undecided: bool = False
    gate_reasons: tuple[str, ...] = ()
    reports: dict[str, str] = {}  # format to file, relative to the audit's directory

    @property
    def product(self) -> str:
        """The first folder of its path, or its own name: versions of one product usually lie in one folder."""
        return self.label.split("/")[0]

    @property
    def score(self) -> int:
        """At the target."""
        return next((each.score for each in self.levels if each.id == self.target), 0)

    @property
    def refuted(self) -> bool:
        """At the target."""
        return any(each.refuted for each in self.levels if each.id == self.target)

    @property
    def nothing(self) -> bool:
        """Whether nothing in it could be analysed: it is no firmware image, or one of a kind that is not known."""
        decidable = sum(each.decidable for each in self.levels if each.id == self.target)
        return self.state == "read" and not (self.files or self.components or self.counts or decidable)


class Holder(Value, frozen=True, kw_only=True):
    """One image that holds a shared secret, and where."""

    label: str
    what: str
    places: tuple[str, ...]


class Shared(Value, frozen=True, kw_only=True):
    """A secret that several different images hold."""

    kind: str
    what: str
    holders: tuple[Holder, ...]
    products: int  # how many folders or loose images these are


class Outdated(Value, frozen=True, kw_only=True):
    """A version of a component that is past its support or has known vulnerabilities, and the images that hold it."""

    name: str
    version: str
    end_of_life: str | None
    vulnerabilities: int
    exploited: int
    score: float | None
    labels: tuple[str, ...]


class Fleet(Value, frozen=True, kw_only=True):
    """The whole audit."""

    schema_version: str = SCHEMA_VERSION
    tool: str
    rules_digest: str
    database_date: str | None = None
    target: str
    entries: tuple[Entry, ...]  # worst first
    pending: tuple[str, ...] = ()  # not looked at yet: the audit was interrupted
    left_out: tuple[str, ...] = ()  # files whose names say that they are no images
    shared: tuple[Shared, ...] = ()
    outdated: tuple[Outdated, ...] = ()


def entry(report: Report, label: str, salt: bytes, reports: dict[str, str]) -> Entry:
    """What is kept of a report."""
    adverse = [each for each in report.findings if each.verdict in {"violation", "concern"} and not each.waived]
    cover = report.coverage
    return Entry(
        label=label,
        state="read",
        sha256=report.image.sha256,
        size=report.image.size,
        format=report.image.format,
        platform=report.device.platform,
        target=report.tier.target,
        highest=report.tier.highest_not_refuted,
        levels=tuple(
            Level(id=each.id, refuted=each.refuted, score=each.score, decidable=each.decidable, total=each.total)
            for each in report.tiers
        ),
        counts={
            each.value: sum(finding.severity is each for finding in adverse)
            for each in Severity
            if any(finding.severity is each for finding in adverse)
        },
        worst=tuple(_worst(adverse)),
        held=tuple(_held(report, salt))[:_HELD],
        outdated=tuple(_piece(each) for each in report.components if _is_outdated(each))[:_PIECES],
        components=len(report.components),
        files=cover.files,
        unread=round((cover.bytes_unknown + cover.bytes_encrypted) / cover.bytes_total, 4) if cover.bytes_total else 0.0,
        gate_asked=report.gate.asked,
        gate_passed=report.gate.passed,
        gate_undecided=report.gate.undecided,
        gate_reasons=report.gate.reasons,
        reports=reports,
    )


def gather(
    entries: Iterable[Entry],
    *,
    tool: str,
    rules_digest: str,
    database_date: str | None,
    target: str,
    pending: Sequence[str] = (),
    left_out: Sequence[str] = (),
) -> Fleet:
    """The audit as a whole, the same whatever order the entries come in."""
    held = sorted(entries, key=_weight)
    return Fleet(
        tool=tool,
        rules_digest=rules_digest,
        database_date=database_date,
        target=target,
        entries=tuple(held),
        pending=tuple(pending),
        left_out=tuple(left_out),
        shared=tuple(
            sorted(
                _shared(held), key=lambda each: (-each.products, -len(each.holders), each.kind, each.what, each.holders[0].label)
            )
        ),
        outdated=tuple(
            sorted(
                _outdated(held),
                key=lambda each: (-each.exploited, -len(each.labels), -each.vulnerabilities, each.name, each.version),
            )
        ),
    )


def _weight(each: Entry) -> tuple[bool, bool, int, int, str]:
    """Worst first: what refutes the target, then the lowest score, then the most critical findings; failed ones at the end."""
    return each.state == "failed", not each.refuted, each.score, -each.counts.get("critical", 0), each.label


# --------------------------------------------------------------------------- one image


def _worst(adverse: list[Finding]) -> Iterator[Worst]:
    """The worst finding of each rule, the worst rules first; violations before concerns."""
    order = sorted(
        adverse,
        key=lambda each: (
            list(Severity).index(each.severity),
            each.verdict != "violation",
            _CONFIDENCE.index(each.confidence),
            each.rule,
            each.location.path,
            each.fingerprint,
        ),
    )
    first: dict[str, Finding] = {}
    for finding in order:
        first.setdefault(finding.rule, finding)
    for finding in list(first.values())[:_WORST]:
        yield Worst(
            rule=finding.rule,
            title=finding.title,
            severity=finding.severity,
            verdict=finding.verdict,
            confidence=finding.confidence,
            place=_place(finding.location),
        )


def _held(report: Report, salt: bytes) -> Iterator[Held]:
    """Private keys by the public half they belong to, password hashes as they are stored, passwords and secrets as found."""
    for key in report.device.crypto:
        if key.kind == "private-key" and key.fingerprint:
            what = " ".join(filter(None, (key.algorithm, str(key.bits or ""))))
            yield Held(kind="private key", mark=_mark(salt, "key", key.fingerprint), what=what, place=_first(key.evidence))
    told: set[str] = set()
    for account in report.device.accounts:
        told |= {account.secret, account.plain}
        if account.password == "hash" and account.secret:
            what = f"{account.name} ({account.scheme or 'other'})"
            yield Held(kind="password hash", mark=_mark(salt, "hash", account.secret), what=what, place=account.file)
        if account.plain:
            yield Held(kind="password", mark=_mark(salt, "password", account.plain), what=account.name, place=account.file)
    for finding in report.findings:
        if finding.secret and not finding.waived and finding.secret not in told:
            what = f"{finding.rule} {finding.title}"
            yield Held(kind="secret", mark=_mark(salt, finding.rule, finding.secret), what=what, place=_place(finding.location))


def _mark(salt: bytes, kind: str, secret: str) -> str:
    return hmac.new(salt, f"{kind}\0{secret}".encode(errors="surrogatepass"), hashlib.sha256).hexdigest()[:32]


def _first(evidence: Sequence[Evidence]) -> str:
    return _place(evidence[0].location) if evidence else ""


def _place(location: Location) -> str:
    where = location.path or (location.chain[-1] if location.chain else "")
    if location.line is not None:
        return f"{where}:{location.line}"
    return where


def _is_outdated(component: Component) -> bool:
    return component.version is not None and bool(component.end_of_life or component.vulnerabilities)


def _piece(component: Component) -> Piece:
    scores = [each.score for each in component.vulnerabilities if each.score is not None]
    return Piece(
        name=component.name,
        version=component.version or "",
        end_of_life=component.end_of_life,
        vulnerabilities=len(component.vulnerabilities),
        exploited=sum(each.known_exploited for each in component.vulnerabilities),
        score=max(scores, default=None),
    )


# --------------------------------------------------------------------------- all images


def _shared(entries: Sequence[Entry]) -> Iterator[Shared]:
    """Secrets that images with different bytes hold. A file that lies there twice shares nothing with itself."""
    by_mark: dict[str, dict[str, list[Held]]] = {}
    kinds: dict[str, Held] = {}
    content = {each.label: each.sha256 for each in entries}
    for each in entries:
        for held in each.held:
            kinds.setdefault(held.mark, held)
            by_mark.setdefault(held.mark, {}).setdefault(each.label, []).append(held)
    products = {each.label: each.product for each in entries}
    for mark, holders in by_mark.items():
        if len({content[label] for label in holders}) < 2:
            continue
        yield Shared(
            kind=kinds[mark].kind,
            what=kinds[mark].what,
            products=len({products[label] for label in holders}),
            holders=tuple(
                Holder(label=label, what=held[0].what, places=tuple(dict.fromkeys(one.place for one in held)))
                for label, held in sorted(holders.items())
            ),
        )


def _outdated(entries: Sequence[Entry]) -> Iterator[Outdated]:
    by_version: dict[tuple[str, str], list[tuple[str, Piece]]] = {}
    for each in entries:
        for piece in each.outdated:
            by_version.setdefault((piece.name, piece.version), []).append((each.label, piece))
    for (name, version), held in by_version.items():
        pieces = [piece for _, piece in held]
        yield Outdated(
            name=name,
            version=version,
            end_of_life=next((each.end_of_life for each in pieces if each.end_of_life), None),
            vulnerabilities=max(each.vulnerabilities for each in pieces),
            exploited=max(each.exploited for each in pieces),
            score=max((each.score for each in pieces if each.score is not None), default=None),
            labels=tuple(sorted({label for label, _ in held})),
        )
