"""The requirement catalogue: one profile per level, read from data files.

A profile lists criteria; each criterion says what is asked, who decides it, and which rules may speak against or for it.
The files of this package hold STAR-1 with its official identifiers and proxy profiles for the levels above it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import msgspec

from fwcheck.declaration import ProductType

Lang = Literal["en", "ja"]
Role = Literal["refutes", "weakens", "supports", "informs"]
Subject = Literal["network_service", "login", "network_login", "update_path", "component", "hardening"]
# What the keys of anchors are called.
STANDARDS = {
    "en303645": "ETSI EN 303 645",
    "ts103701": "ETSI TS 103 701",
    "nistir8425": "NISTIR 8425",
    "psti": "UK PSTI",
    "cls": "CLS(IoT)",
    "en18031": "EN 18031",
    "cra": "CRA",
    "iec62443-4-2": "IEC 62443-4-2",
}
ON_STATEMENTS = "DEC-"  # rules that hold a maker's statement against the image


class CatalogueError(ValueError):
    """A profile contradicts itself or does not have the shape of a profile; the message lists every problem."""


class _Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the catalogue's records: a misspelt key is an error, not a silent default."""


class Need(_Record, frozen=True, kw_only=True):
    """Something outside the image that decides a criterion."""

    kind: Literal["document", "device-test"]
    en: str
    ja: str

    def text(self, lang: Lang = "en") -> str:
        """The need in one sentence."""
        return self.ja if lang == "ja" else self.en


class RuleTable(_Record, frozen=True, kw_only=True):
    """What findings of a rule may do to a criterion. Any rule listed may also support it."""

    refutes: tuple[str, ...] = ()
    weakens: tuple[str, ...] = ()
    supports: tuple[str, ...] = ()
    informs: tuple[str, ...] = ()  # lists what the criterion is about; speaks neither for nor against it

    def role(self, rule: str) -> Role | None:
        """The role of a rule here; None when the profile does not know it."""
        if rule in self.refutes:
            return "refutes"
        if rule in self.weakens:
            return "weakens"
        if rule in self.supports:
            return "supports"
        return "informs" if rule in self.informs else None

    @property
    def against(self) -> tuple[str, ...]:
        """The adverse rules that look at the image alone: one that needs a statement makes no silence mean more."""
        return tuple(rule for rule in self.refutes + self.weakens if not rule.startswith(ON_STATEMENTS))

    def all(self) -> tuple[str, ...]:
        """Every rule that is listed, in the order of the file."""
        return self.refutes + self.weakens + self.supports + self.informs


class Sight(_Record, frozen=True, kw_only=True):
    """What an image shows of a criterion, and what it never can: why the verdicts on it are what they are."""

    against_en: str  # what contradicts or weakens it
    against_ja: str
    in_favour_en: str  # what speaks for it without proving it
    in_favour_ja: str
    open_en: str  # what no image decides, and what does
    open_ja: str

    def parts(self, lang: Lang = "en") -> tuple[str, str, str]:
        """Against, in favour, open: in one language."""
        if lang == "ja":
            return self.against_ja, self.in_favour_ja, self.open_ja
        return self.against_en, self.in_favour_en, self.open_en


class Criterion(_Record, frozen=True, kw_only=True):
    """One criterion of a level. ``confidence``: how sure we are that our text meets the official one (0 to 1)."""

    id: str
    title_en: str
    title_ja: str
    asks: str
    asks_ja: str
    evaluation: tuple[Literal["document", "device"], ...]
    pillar: Literal[
        "identity_access",
        "secure_update",
        "interfaces",
        "data_protection",
        "resilience",
        "logging",
        "integrity",
        "vendor_process",
    ]
    decidable_by_image: Literal["refute", "weaken", "support", "none"]  # the most that an image can do
    needs_root: bool  # silence means something only when the start-up of a root file system could be followed
    subject: Subject | None = None  # what has to be seen on the device before silence means something
    weight: int
    confidence: float
    precondition: Literal["network_password"] | None = None
    types: tuple[ProductType, ...] = ()  # asked of products of these types alone; empty: of all
    anchors: dict[str, tuple[str, ...]] = {}  # identifiers of other standards' provisions
    needs: tuple[Need, ...] = ()
    rules: RuleTable = RuleTable()
    image: Sight | None = None  # every criterion of an official profile has one

    def title(self, lang: Lang = "en") -> str:
        """The title in one language."""
        return self.title_ja if lang == "ja" else self.title_en

    def question(self, lang: Lang = "en") -> str:
        """What is asked, in one language."""
        return self.asks_ja if lang == "ja" else self.asks


class Profile(_Record, frozen=True, kw_only=True):
    """One level. ``mapping``: whether the analyser's criteria decide what a finding bears on, or the rule tables alone."""

    id: str
    level: int
    official: bool
    mapping: Literal["finding", "rule"]
    catalogue_date: str  # ISO date of the newest source
    title_en: str
    title_ja: str
    banner_en: str
    banner_ja: str
    ceiling: Literal["not-decidable"] | None = None  # no verdict better than this
    criterion: tuple[Criterion, ...]

    def title(self, lang: Lang = "en") -> str:
        """The title in one language."""
        return self.title_ja if lang == "ja" else self.title_en

    def of_type(self, kind: ProductType) -> Profile:
        """The level as it is asked of one type of product: rows for other types left out."""
        held = tuple(each for each in self.criterion if not each.types or kind in each.types)
        return self if held == self.criterion else msgspec.structs.replace(self, criterion=held)

    def banner(self, lang: Lang = "en") -> str:
        """What a reader has to know before believing this level's table."""
        return self.banner_ja if lang == "ja" else self.banner_en


def parse(content: bytes, name: str) -> Profile:
    """A profile from the bytes of its TOML file; raises CatalogueError naming ``name`` and every problem."""
    try:
        profile = msgspec.toml.decode(content, type=Profile)
    except (msgspec.DecodeError, ValueError) as error:
        raise CatalogueError(f"{name}: {error}") from error
    problems = list(_problems(profile))
    if problems:
        raise CatalogueError(f"{name}: " + "; ".join(problems))
    return profile


def load(path: Path) -> Profile:
    """A profile from a file; raises CatalogueError, or OSError when it cannot be read."""
    return parse(path.read_bytes(), path.name)


@cache
def shipped() -> tuple[Profile, ...]:
    """The profiles of this package, lowest level first."""
    return in_order(parse(content, name) for name, content in _contents())


def in_order(profiles: Iterable[Profile]) -> tuple[Profile, ...]:
    """Profiles sorted by level; raises CatalogueError when a profile or criterion id comes twice."""
    ordered = tuple(sorted(profiles, key=lambda profile: profile.level))
    twice = _twice([profile.id for profile in ordered]) + _twice([each.id for profile in ordered for each in profile.criterion])
    if twice:
        raise CatalogueError(f"named twice: {', '.join(twice)}")
    return ordered


def criteria() -> dict[str, Criterion]:
    """Every criterion of the shipped profiles by id."""
    return {criterion.id: criterion for profile in shipped() for criterion in profile.criterion}


def unknown(ids: Iterable[str]) -> list[str]:
    """Those of the ids that no criterion of the shipped profiles has."""
    known = criteria()
    return [each for each in ids if each not in known]


def digest() -> str:
    """SHA-256 over the shipped profiles: it changes when a verdict may."""
    total = hashlib.sha256()
    for name, content in _contents():
        total.update(name.encode() + b"\0" + content)
    return total.hexdigest()


def _contents() -> list[tuple[str, bytes]]:
    folder = files(__package__) / "profiles"
    return [
        (each.name, each.read_bytes()) for each in sorted(folder.iterdir(), key=lambda e: e.name) if each.name.endswith(".toml")
    ]


def _problems(profile: Profile) -> Iterable[str]:
    if not profile.criterion:
        yield "has no criterion"
    for name in _twice([criterion.id for criterion in profile.criterion]):
        yield f"criterion {name} comes twice"
    for criterion in profile.criterion:
        for rule in _twice(criterion.rules.all()):
            yield f"{criterion.id} lists rule {rule} twice"
        if criterion.weight <= 0:
            yield f"{criterion.id} has no weight"
        if not 0 <= criterion.confidence <= 1:
            yield f"{criterion.id}: confidence {criterion.confidence} is not between 0 and 1"
        if not criterion.needs:
            yield f"{criterion.id} does not say what decides it outside the image"
        table = criterion.rules
        most = "refute" if set(table.refutes) & set(table.against) else "weaken" if table.against else None
        if most and most != criterion.decidable_by_image:
            yield f"{criterion.id}: its rules can {most}, but decidable_by_image says {criterion.decidable_by_image}"
        if profile.official and criterion.types:
            yield f"{criterion.id} is official, and not asked of every type of product"
        if profile.official and criterion.image is None:
            yield f"{criterion.id} does not say what an image shows of it"
        if most is None and criterion.decidable_by_image in {"refute", "weaken"}:
            yield f"{criterion.id}: no rule can {criterion.decidable_by_image} it"


def _twice(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    again: list[str] = []
    for name in names:
        if name in seen and name not in again:
            again.append(name)
        seen.add(name)
    return again
