"""``fwcheck explain``: what a rule or a criterion means, why it matters, what to do about it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from fwcheck.cli.wrapping import wrapped

if TYPE_CHECKING:
    from fwcheck.analysers.rule import Rule
    from fwcheck.jcstar.catalogue import Criterion, Lang

_SIGHTS = (
    ("Against it", "In its favour", "What no image decides"),
    ("反する証拠", "肯定的証拠", "イメージでは決められないこと"),
)


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser("explain", help="what a rule (UPD-003) or a criterion (S1.1-08) means")
    command.add_argument("id", metavar="ID", help="a rule or a criterion; 'all' lists every one")
    command.add_argument("--lang", choices=("en", "ja"), default="en")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the explanation; an unknown id is an input error."""
    from fwcheck.analysers.registry import rules  # noqa: PLC0415
    from fwcheck.jcstar.catalogue import criteria  # noqa: PLC0415
    from fwcheck.pipeline import InputError  # noqa: PLC0415

    known, asked = rules(), criteria()
    wanted = options.id.upper()
    lang: Lang = options.lang
    if wanted == "ALL":
        for name in sorted(asked):
            print(f"{name:10} {asked[name].title(lang)}")
        for name in sorted(known):
            print(f"{name:10} {known[name].texts(lang).title}")
    elif wanted in known:
        _rule(known[wanted], lang)
    elif wanted in asked:
        _criterion(asked[wanted], lang)
    else:
        near = get_close_matches(wanted, [*known, *asked], 3, 0.7)
        raise InputError(
            f"{options.id}: no such rule or criterion; "
            + (f"did you mean {' or '.join(near)}?" if near else "'fwcheck explain all' lists them")
        )
    return 0


def _rule(rule: Rule, lang: Lang) -> None:
    from fwcheck.reports.labels import label  # noqa: PLC0415

    word = _words(lang)
    texts = rule.texts(lang)
    print(f"{rule.id}  {texts.title}")
    bears = ", ".join(rule.criteria) or word("no_criterion")
    told = f"{word('severity')} {label(rule.severity.value, lang)}{word('comma')}{label(rule.verdict, lang)}"
    print(f"{told}{word('semicolon')}{word('bears')} {bears}\n")
    for heading, text in (("why", texts.explanation), ("fix", texts.remediation), ("refuted_by", texts.refuted_by)):
        print(wrapped(f"{word(heading)}: {text}", lang), end="\n\n")
    print(wrapped(f"{word('see')}: {'; '.join(rule.references)}", lang))


def _criterion(criterion: Criterion, lang: Lang) -> None:
    from fwcheck.reports.labels import label  # noqa: PLC0415

    word = _words(lang)
    print(f"{criterion.id}  {criterion.title(lang)}")
    decided = word("and").join(word(each) for each in criterion.evaluation)
    print(f"{word('decided')} {decided}{word('semicolon')}{word('most')}: {word(criterion.decidable_by_image)}\n")
    print(wrapped(criterion.question(lang), lang), end="\n\n")
    if criterion.image is not None:
        for heading, text in zip(_SIGHTS[lang == "ja"], criterion.image.parts(lang), strict=True):
            print(wrapped(f"{heading}: {text}", lang), end="\n\n")
    table = criterion.rules
    for heading, names in (("refutes", table.refutes), ("weakens", table.weakens), ("supports", table.supports)):
        if names:
            print(f"{word(heading)}: {', '.join(names)}")
    for need in criterion.needs:
        print(wrapped(f"{word('needs')} ({label(need.kind, lang) if lang == 'ja' else need.kind}): {need.text(lang)}", lang))


def _words(lang: Lang) -> Callable[[str], str]:
    return lambda name: _WORDS[name][lang == "ja"]


_WORDS = {
    "comma": (", ", "、"),
    "semicolon": ("; ", "。"),
    "severity": ("severity", "深刻度"),
    "bears": ("bears on", "対象要件"),
    "no_criterion": ("no criterion", "なし"),
    "why": ("Why", "理由"),
    "fix": ("What to do", "対策"),
    "refuted_by": ("What would refute it", "反証となるもの"),
    "see": ("See also", "参照"),
    "decided": ("decided by", "評価手法"),
    "and": (" and ", "・"),
    "document": ("document", "資料"),
    "device": ("device", "実機"),
    "most": ("the most an image can do", "イメージから言える最大限"),
    "refute": ("refute", "矛盾の指摘"),
    "weaken": ("weaken", "懸念の指摘"),
    "support": ("support", "肯定的証拠"),
    "none": ("none", "なし"),
    "refutes": ("Refuted by", "矛盾を示すルール"),
    "weakens": ("Weakened by", "懸念を示すルール"),
    "supports": ("Supported by", "肯定的証拠を示すルール"),
    "needs": ("Needs", "必要なもの"),
}
