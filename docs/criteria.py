"""The pages on criteria, written from the catalogue: what is asked, what an image can say, which rules bear, what decides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fwcheck.analysers._product_types import kinds
from fwcheck.analysers.registry import rules
from fwcheck.declaration import ProductType
from fwcheck.jcstar import score
from fwcheck.jcstar.catalogue import STANDARDS, Criterion, Lang, Profile, shipped
from fwcheck.model import Severity, Verdict

_WORDS = {
    "asked": ("Asked", "要件の要約"),
    "decided_by": ("Decided by", "評価手法"),
    "document": ("document", "ドキュメント評価"),
    "device": ("device test", "実機評価"),
    "device-test": ("device test", "実機試験"),
    "most": ("The most an image can do", "イメージで言えること"),
    "refute": ("contradict it", "矛盾を示せる"),
    "weaken": ("raise a concern", "懸念を示せる"),
    "support": ("speak for it", "肯定的証拠を示せる"),
    "none": ("nothing", "なし"),
    "anchors": ("Anchors", "関連規格"),
    "weight": ("Weight", "重み"),
    "sure": ("Our text meets the official one", "要約が公式文と合う確度"),
    "against": ("Against it", "反する証拠"),
    "in_favour": ("In its favour", "肯定的証拠"),
    "open": ("What no image decides", "イメージでは決められないこと"),
    "refutes": ("Rules that contradict", "矛盾を示すルール"),
    "weakens": ("Rules that raise a concern", "懸念を示すルール"),
    "supports": ("Rules that speak for it", "肯定的証拠を示すルール"),
    "needs": ("Needed", "必要なもの"),
    "types": ("Types of products", "製品類型"),
    "type": ("Type", "類型"),
    "expected": ("Expected on a network", "想定されるサービス"),
    "own_rows": ("Rows of its own", "固有の行"),
    "criterion": ("Criterion", "要件"),
    "rules": ("Rules (contradict; weaken; support)", "ルール（矛盾；懸念；肯定的証拠）"),
}
_HEADS = Path(__file__).resolve().parent / "heads"


def page(lang: Lang) -> str:
    """The whole page in one language."""
    profiles = shipped()
    date = max(profile.catalogue_date for profile in profiles)
    head = (_HEADS / f"jc-star.{lang}.md").read_text(encoding="utf-8")
    lines = [head.format(date=date, shares=_shares())]
    for profile in profiles:
        lines += [f"## {profile.title(lang)}", "", f"> {profile.banner(lang)}", ""]
        lines += _official(profile, lang) if profile.official else _proxy(profile, lang)
    lines += _types(lang)
    return "\n".join(lines).rstrip() + "\n"


def _shares() -> str:
    concern: dict[float, list[str]] = {share: [] for share in score.CONCERN_SHARES.values()}
    for severity in Severity:
        concern[score.CONCERN_SHARES[severity]].append(severity.value)
    said = [f"{verdict.value} {score.SHARES[verdict]:g}" for verdict in Verdict if verdict in score.SHARES]
    said += [f"concern {share:g} ({' or '.join(severities)}, by the worst)" for share, severities in concern.items()]
    return ",\n  ".join((", ".join(said[:3]), ", ".join(said[3:6]), ", ".join(said[6:])))


def _official(profile: Profile, lang: Lang) -> Iterator[str]:
    whole = sum(each.weight for each in profile.criterion)
    yield _row(_word("criterion", lang), "", _word("most", lang), _word("decided_by", lang))
    yield "|---|---|---|---|"
    for each in profile.criterion:
        link = f"[{each.id}](#{_anchor(each, lang)})"
        yield _row(link, each.title(lang), _word(each.decidable_by_image, lang), _methods(each, lang))
    for each in profile.criterion:
        yield from _section(each, lang, whole)
    yield ""


def _section(each: Criterion, lang: Lang, whole: int) -> Iterator[str]:
    yield from ("", f"### {each.id} {each.title(lang)}", "", each.question(lang), "")
    if each.image is not None:
        for name, text in zip(("against", "in_favour", "open"), each.image.parts(lang), strict=True):
            yield f"- **{_word(name, lang)}.** {text}"
    for name in ("refutes", "weakens", "supports"):
        held: tuple[str, ...] = getattr(each.rules, name)
        if held:
            yield f"- **{_word(name, lang)}:** {'; '.join(_rule(rule, lang) for rule in held)}"
    for need in each.needs:
        yield f"- **{_word('needs', lang)}** ({_word(need.kind, lang)}): {need.text(lang)}"
    yield f"- **{_word('anchors', lang)}:** {_anchors(each)}"
    yield (
        f"- {_word('decided_by', lang)}: {_methods(each, lang)}; {_word('weight', lang)} {each.weight}/{whole}; "
        f"{_word('sure', lang)}: {100 * each.confidence:.0f} %"
    )


def _proxy(profile: Profile, lang: Lang) -> Iterator[str]:
    heads = ("criterion", "asked", "most", "rules", "needs", "anchors")
    yield _row(*(_word(each, lang) for each in heads))
    yield "|---|---|---|---|---|---|"
    for each in profile.criterion:
        table = "; ".join(", ".join(held) or "–" for held in (each.rules.refutes, each.rules.weakens, each.rules.supports))
        needs = " / ".join(f"{_word(need.kind, lang)}: {need.text(lang)}" for need in each.needs)
        title = f"**{each.id}** {each.title(lang)}"
        if each.types:
            title += f" ({', '.join(_kind(kind, lang) for kind in each.types)})"
        yield _row(title, each.question(lang), _word(each.decidable_by_image, lang), table, needs, _anchors(each))
    yield ""


def _rule(name: str, lang: Lang) -> str:
    known = rules().get(name)
    return f"`{name}` {known.title}" if known is not None and lang == "en" else f"`{name}`"


def _kind(name: ProductType, lang: Lang) -> str:
    return kinds()[name].ja if lang == "ja" else name


def _types(lang: Lang) -> Iterator[str]:
    """Types of products: what they are expected to offer on a network, and which rows are asked of them alone."""
    yield f"## {_word('types', lang)}"
    yield ""
    yield (_HEADS / f"types.{lang}.md").read_text(encoding="utf-8").rstrip()
    yield ""
    yield _row(*(_word(each, lang) for each in ("type", "expected", "own_rows")))
    yield "|---|---|---|"
    for name, kind in kinds().items():
        own = [each.id for profile in shipped() for each in profile.criterion if name in each.types]
        title = kind.ja if lang == "ja" else kind.en
        yield _row(f"`{name}` {title}", ", ".join(sorted(kind.expected)) or "–", ", ".join(own) or "–")


def _anchors(each: Criterion) -> str:
    return "; ".join(f"{STANDARDS[name]} {', '.join(ids)}" for name, ids in each.anchors.items())


def _methods(each: Criterion, lang: Lang) -> str:
    return " / ".join(_word(method, lang) for method in each.evaluation)


def _anchor(each: Criterion, lang: Lang) -> str:
    kept = (char for char in f"{each.id} {each.title(lang)}".lower() if char.isalnum() or char in " -")
    return "".join(kept).replace(" ", "-")


def _word(name: str, lang: Lang) -> str:
    return _WORDS[name][lang == "ja"]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
