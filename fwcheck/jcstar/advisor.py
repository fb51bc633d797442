"""The level advisor: from use, data, consequences and buyer to the level to apply for and the one to aim at, with reasons.

It advises; IPA and whoever buys decide. The facts and their date stand in ``advice.toml``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files

import msgspec

from fwcheck.declaration import Declaration
from fwcheck.jcstar.catalogue import Lang, shipped

_PUBLISHED_STAR3 = frozenset({"router", "network-camera", "gateway"})


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sentence in both languages."""

    en: str
    ja: str

    def text(self, lang: Lang) -> str:
        """The sentence in one language."""
        return self.ja if lang == "ja" else self.en


class _Advice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    date: str
    statements: dict[str, Statement]


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """What to apply for now (None: out of scope), what to aim at, and why; sentences in the language asked for."""

    apply_for: str | None
    aim_at: str | None
    as_of: str  # ISO date of the facts
    reasons: tuple[str, ...]
    assessment: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()  # from common summaries of the scheme


def suggest(declared: Declaration, lang: Lang = "en") -> Suggestion:
    """The suggestion for a product; only ``product.type`` and ``use`` count."""
    said = _advice()

    def words(*names: str) -> tuple[str, ...]:
        return tuple(said.statements[name].text(lang) for name in names)

    use = declared.use
    if use.general_purpose or not use.ip:
        out = words(*(["out_general"] if use.general_purpose else []), *([] if use.ip else ["out_no_ip"]))
        return Suggestion(apply_for=None, aim_at=None, as_of=said.date, reasons=out, differs=words("differs_scope"))
    aim = _aim(declared)
    costs = ("fee_body",) if aim in ("STAR-3", "STAR-4") else ()
    modes = ("mode_body",) if aim in ("STAR-3", "STAR-4") else ()
    return Suggestion(
        apply_for="STAR-1",
        aim_at=aim,
        as_of=said.date,
        reasons=words(*_reasons(declared, aim)),
        assessment=words("mode_self", *modes),
        evidence=(*(_evidence(level, declared, said, lang) for level in dict.fromkeys(("STAR-1", aim))), *words("fee", *costs)),
        next=(said.statements["next"].text(lang).format(level=aim),),
        differs=words("differs_level", "differs_voluntary", "differs_score", "differs_scope"),
    )


def _aim(declared: Declaration) -> str:
    """The level that the buyer and the stakes call for, whether or not its criteria are out."""
    use = declared.use
    if use.buyer == "public":
        return "STAR-4" if use.consequence == "safety" else "STAR-3"
    return "STAR-2" if _grave(declared) else "STAR-1"


def _grave(declared: Declaration) -> bool:
    """Whether what it handles, or what its failing would mean, asks for more than the minimum."""
    return declared.use.data != "none" or declared.use.consequence != "nuisance"


def _reasons(declared: Declaration, aim: str) -> Iterator[str]:
    use = declared.use
    yield "star1_base"
    yield "buyer_public" if use.buyer == "public" else "buyer_private"
    if aim == "STAR-1":
        yield "nothing_more"
    elif _grave(declared):
        yield "data_grave"
    if aim == "STAR-2":
        yield "star2_none"
    if aim in ("STAR-3", "STAR-4"):
        yield "star3_published" if declared.product.type in _PUBLISHED_STAR3 else "star3_type"
    if aim == "STAR-4":
        yield "star4_none"
    if use.funding or declared.product.type == "energy":
        yield "funding"


def _evidence(level: str, declared: Declaration, said: _Advice, lang: Lang) -> str:
    """How much a level asks of this type of product, by the catalogue; levels are cumulative."""
    profiles = [profile.of_type(declared.product.type) for profile in shipped()]
    last = next(number for number, profile in enumerate(profiles, 1) if profile.id == level)
    held = [criterion for profile in profiles[:last] for criterion in profile.criterion]
    needs = [need.kind for criterion in held for need in criterion.needs]
    figures = {"criteria": len(held), "documents": needs.count("document"), "tests": needs.count("device-test")}
    return said.statements["cost"].text(lang).format(level=level, **figures)


@cache
def _advice() -> _Advice:
    return msgspec.toml.decode((files(__package__) / "advice.toml").read_bytes(), type=_Advice)
