"""``fwcheck explain``: what a rule or a criterion means, why it matters, what to do about it."""

from __future__ import annotations

import argparse
from textwrap import fill
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fwcheck.analysers.rule import Rule
    from fwcheck.jcstar.catalogue import Criterion

_WIDTH = 100
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
    if wanted == "ALL":
        for name in sorted(asked):
            print(f"{name:10} {asked[name].title(options.lang)}")
        for name in sorted(known):
            print(f"{name:10} {known[name].title}")
    elif wanted in known:
        _rule(known[wanted])
    elif wanted in asked:
        _criterion(asked[wanted], options.lang)
    else:
        raise InputError(f"{options.id}: no such rule or criterion; 'fwcheck explain all' lists them")
    return 0


def _rule(rule: Rule) -> None:
    print(f"{rule.id}  {rule.title}")
    print(f"severity {rule.severity.value}, {rule.verdict}; bears on {', '.join(rule.criteria) or 'no criterion'}\n")
    for heading, text in (("Why", rule.explanation), ("What to do", rule.remediation), ("What would refute it", rule.refuted_by)):
        print(fill(f"{heading}: {text}", _WIDTH), end="\n\n")
    print(fill(f"See also: {'; '.join(rule.references)}", _WIDTH))


def _criterion(criterion: Criterion, lang: str) -> None:
    print(f"{criterion.id}  {criterion.title('ja' if lang == 'ja' else 'en')}")
    print(f"decided by {' and '.join(criterion.evaluation)}; the most an image can do: {criterion.decidable_by_image}\n")
    print(_wrapped(criterion.question("ja" if lang == "ja" else "en")), end="\n\n")
    if criterion.image is not None:
        for heading, text in zip(_SIGHTS[lang == "ja"], criterion.image.parts("ja" if lang == "ja" else "en"), strict=True):
            print(_wrapped(f"{heading}: {text}"), end="\n\n")
    table = criterion.rules
    for heading, names in (("Refuted by", table.refutes), ("Weakened by", table.weakens), ("Supported by", table.supports)):
        if names:
            print(f"{heading}: {', '.join(names)}")
    for need in criterion.needs:
        print(fill(f"Needs ({need.kind}): {need.text('ja' if lang == 'ja' else 'en')}", _WIDTH))


def _wrapped(text: str) -> str:
    """Text for a terminal; what has no spaces to break at is left to the terminal."""
    return text if any(char > "\u2fff" for char in text) else fill(text, _WIDTH)
