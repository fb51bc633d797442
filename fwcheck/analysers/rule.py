"""What an analyser is made of: rules as data, and findings made from them with a stable fingerprint.

An analyser lives in one file of ``fwcheck/analysers/``; its rules stand in a TOML file of the same name beside it. It defines
``RULES`` (:class:`Rule` by id, read by :func:`rules_of`) and ``analyse(firmware, device)`` (an iterable of findings). Third
parties add theirs through the entry point group ``fwcheck.analysers`` (an entry point that loads to such a module).
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Literal

import msgspec

from fwcheck.model import Evidence, Finding, Location, Severity


class Texts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The texts of a rule in another language. ``phrases``: those that the analyser makes at run time, by the English ones.

    An English phrase has blanks where the analyser fills something in; see ``fwcheck/language/phrasebook.py``.
    """

    title: str
    explanation: str
    refuted_by: str
    remediation: str
    phrases: dict[str, str] = {}


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule: what a finding of it says, why it matters, what would refute it, how to mend it."""

    id: str  # "ACC-001"
    title: str
    severity: Severity
    criteria: tuple[str, ...]
    explanation: str
    remediation: str
    refuted_by: str
    verdict: Literal["violation", "concern", "support", "info"] = "violation"
    confidence: Literal["certain", "firm", "tentative"] = "firm"
    references: tuple[str, ...] = ()  # provisions, weaknesses (CWE), manual pages, RFCs
    ja: Texts | None = None  # None: reports in Japanese show the English texts

    def texts(self, lang: Literal["en", "ja"]) -> Texts:
        """The texts in one language, in English where the other is missing."""
        if lang == "ja" and self.ja is not None:
            return self.ja
        return Texts(title=self.title, explanation=self.explanation, refuted_by=self.refuted_by, remediation=self.remediation)

    def finding(
        self,
        where: Evidence,
        cause: str,
        *,
        title: str = "",
        severity: Severity | None = None,
        verdict: Literal["violation", "concern", "support", "info"] | None = None,
        confidence: Literal["certain", "firm", "tentative"] | None = None,
        criteria: tuple[str, ...] | None = None,
        witnesses: tuple[Evidence, ...] = (),
        explanation: str = "",
        refuted_by: str = "",
        remediation: str = "",
        secret: str = "",
        everywhere: bool = False,
    ) -> Finding:
        """A finding of this rule at ``where``; what is not given comes from the rule.

        ``cause`` names what is wrong in words that survive a rebuild (account name, service, key fingerprint: never an
        offset, a date or a build id). ``secret`` is what the evidence masks: shown only to whom asks for it. ``everywhere``: the
        cause is one thing of the whole image, and ``where`` one of its places, which one being up to the order of the image.
        """
        return Finding(
            rule=self.id,
            title=title or self.title,
            severity=severity or self.severity,
            confidence=confidence or self.confidence,
            verdict=verdict or self.verdict,
            criteria=self.criteria if criteria is None else criteria,
            location=where.location,
            evidence=where.text,
            secret=secret,
            witnesses=witnesses,
            explanation=explanation or self.explanation,
            refuted_by=refuted_by or self.refuted_by,
            remediation=remediation or self.remediation,
            references=self.references,
            cause=cause,
            fingerprint=fingerprint(self.id, Location() if everywhere else where.location, cause),
        )


class _Catalogue(msgspec.Struct, forbid_unknown_fields=True):
    rule: tuple[Rule, ...]


def rules_of(module: str) -> Mapping[str, Rule]:
    """The rules of an analyser (``module``: its dotted name) by id, from the TOML file beside it.

    Raises ``msgspec.ValidationError`` for a file that is not a catalogue, and ValueError for an id given twice.
    """
    package, _, name = module.rpartition(".")
    text = resources.files(package).joinpath(f"{name}.toml").read_text("utf-8")
    rows = msgspec.convert(tomllib.loads(text), _Catalogue).rule
    found = {rule.id: rule for rule in rows}
    if len(found) != len(rows):
        raise ValueError(f"{name}.toml gives a rule twice")
    return found


def fingerprint(rule: str, location: Location, cause: str) -> str:
    """128 bits that stand while rule, path inside the file system and cause stand; chains and offsets do not count."""
    path = location.path if location.path.startswith("/") else ""
    return hashlib.sha256(f"{rule}\0{path}\0{cause}".encode(errors="backslashreplace")).hexdigest()[:32]


def mask(secret: str, keep: int = 2) -> str:
    """A secret made unreadable: its first characters and its length."""
    return f"{secret[:keep]}{'*' * 6} ({len(secret)} characters)" if secret else "(empty)"
