"""What is attested: an in-toto Statement (v1) on one image, with what the report said of it.

Sources: in-toto Attestation Framework, Statement v1 (``_type``, ``subject`` with digests, ``predicateType``, ``predicate``).
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter
from typing import Annotated, Any

import msgspec

from fwcheck.model import GateResult, Report

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:fwcheck:attestation:1"
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What it is about."""

    name: str
    digest: dict[str, str]


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """One level as the report judged it. Nowhere does it say that a product complies."""

    id: str
    official: bool
    refuted: bool
    score: int
    decidable: int
    total: int


class Maker(msgspec.Struct, frozen=True, kw_only=True):
    """The tool: its version, and a digest of everything that decides findings."""

    name: str
    version: str
    rules_digest: str


class Database(msgspec.Struct, frozen=True, kw_only=True):
    """The vulnerability database that was used."""

    date: str | None
    sha256: str


class Predicate(msgspec.Struct, frozen=True, kw_only=True):
    """What the report said."""

    image: dict[str, str | int]
    report: dict[str, str]
    tool: Maker
    database: Database
    coverage: dict[str, int]
    target: str
    highest_not_refuted: str | None
    tiers: tuple[Level, ...]
    gate: GateResult
    findings: dict[str, int]
    attested_at: str


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """The whole statement."""

    type: str = msgspec.field(name="_type")
    subject: tuple[Subject, ...]
    predicate_type: str = msgspec.field(name="predicateType")
    predicate: Predicate

    def encoded(self) -> bytes:
        """Its JSON form; the same statement gives the same bytes."""
        return msgspec.json.encode(self)


def state(report: Report, content: bytes, now: dt.datetime) -> Statement:
    """The statement on a report. ``content`` is the report's JSON as it is kept, for its digest."""
    adverse = [each for each in report.findings if each.verdict in {"violation", "concern"}]
    counts = Counter("waived" if each.waived else each.severity.value for each in adverse)
    coverage: dict[str, Any] = {
        name: getattr(report.coverage, name)
        for name in ("bytes_total", "bytes_explained", "bytes_padding", "bytes_unknown", "bytes_encrypted", "files")
    }
    predicate = Predicate(
        image={
            "name": report.image.name,
            "size": report.image.size,
            "format": report.image.format,
            "sha256": report.image.sha256,
        },
        report={"sha256": hashlib.sha256(content).hexdigest(), "schema_version": report.schema_version},
        tool=Maker(name=report.tool.name, version=report.tool.version, rules_digest=report.tool.rules_digest),
        database=Database(date=report.tool.database_date, sha256=report.tool.database_digest),
        coverage=coverage,
        target=report.tier.target,
        highest_not_refuted=report.tier.highest_not_refuted,
        tiers=tuple(
            Level(
                id=each.id,
                official=each.official,
                refuted=each.refuted,
                score=each.score,
                decidable=each.decidable,
                total=each.total,
            )
            for each in report.tiers
        ),
        gate=report.gate,
        findings={name: counts[name] for name in ("critical", "high", "medium", "low", "info", "waived")},
        attested_at=now.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    subject = Subject(name=report.image.name, digest={"sha256": report.image.sha256})
    return Statement(type=STATEMENT, subject=(subject,), predicate_type=PREDICATE, predicate=predicate)
