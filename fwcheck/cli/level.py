"""``fwcheck level``: which level suits a product, by questions on the terminal or by its product.toml."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fwcheck.cli.wrapping import wrapped

if TYPE_CHECKING:
    from fwcheck.declaration import Declaration
    from fwcheck.jcstar.advisor import Suggestion


class _Question(NamedTuple):
    """One question: the key it answers, its words, and the answers to choose from (the first is the default)."""

    table: str
    key: str
    en: str
    ja: str
    answers: tuple[str, ...]


_QUESTIONS = (
    _Question("product", "type", "What is it?", "製品の種類は？",
              ("generic", "router", "network-camera", "smart-lock", "smart-home", "sensor", "gateway", "energy")),
    _Question("use", "ip", "Does it send or receive data over IP, be it through another device?",
              "IP通信を行うか（他機器経由を含む）？", ("yes", "no")),
    _Question("use", "general_purpose", "Can its user install software (a computer, tablet, telephone)?",
              "利用者がソフトウェアを追加できる汎用IT製品か？", ("no", "yes")),
    _Question("use", "buyer", "Who buys it (public: government, local government, critical infrastructure)?",
              "主な調達者は（public：政府・自治体・重要インフラ）？", ("consumer", "business", "public")),
    _Question("use", "data", "What does it handle?", "扱う情報は？", ("none", "personal", "confidential")),
    _Question("use", "consequence", "What is the worst that its failing or misuse would mean?", "障害・悪用時の最大の影響は？",
              ("nuisance", "privacy", "outage", "safety")),
    _Question("use", "funding", "Does a subsidy, auction or grid connection ask for the label?",
              "補助金・オークション・系統連系でラベルを求められるか？", ("no", "yes")),
)  # fmt: skip
_HEADINGS = {
    "apply_for": ("Apply for", "申請するレベル"),
    "aim_at": ("Aim at", "目標とするレベル"),
    "none": ("none: out of the scheme's scope", "なし（制度の対象外）"),
    "reasons": ("Why", "理由"),
    "assessment": ("How it is assessed", "評価の方法"),
    "evidence": ("What it takes", "必要な証拠"),
    "differs": ("Where common summaries differ from the scheme", "一般的な要約と制度の相違"),
    "as_of": ("Facts as of", "情報の時点"),
}


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser("level", help="which level suits a product")
    command.add_argument(
        "--product", metavar="FILE", type=Path, help="the product's statements instead of questions (product.toml)"
    )
    command.add_argument("--format", choices=("terminal", "json"), default="terminal")
    command.add_argument("--lang", choices=("en", "ja"), default="en")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the suggestion; the exit status is 0 whatever it is."""
    import msgspec  # noqa: PLC0415

    from fwcheck.declaration import DeclarationError, load  # noqa: PLC0415
    from fwcheck.jcstar.advisor import suggest  # noqa: PLC0415
    from fwcheck.pipeline import InputError  # noqa: PLC0415

    if options.product is None and not sys.stdin.isatty():
        raise InputError("level: asks its questions on a terminal; give --product product.toml where there is none")
    try:
        declared = load(options.product) if options.product is not None else _asked(options.lang)
    except DeclarationError as error:
        raise InputError(str(error)) from error
    found = suggest(declared, options.lang)
    if options.format == "json":
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        _show(found, japanese=options.lang == "ja")
    return 0


def _asked(lang: str) -> Declaration:
    """The answers to the questions, each asked until it is one of those to choose from."""
    import msgspec  # noqa: PLC0415

    from fwcheck.declaration import Declaration  # noqa: PLC0415
    from fwcheck.pipeline import InputError  # noqa: PLC0415

    told: dict[str, dict[str, str | bool]] = {"product": {}, "use": {}}
    for question in _QUESTIONS:
        words = question.ja if lang == "ja" else question.en
        while True:
            try:
                answer = input(f"{words} [{'/'.join(question.answers)}] ").strip().lower() or question.answers[0]
            except EOFError as error:
                raise InputError("level: no more answers") from error
            if answer in question.answers:
                break
        told[question.table][question.key] = answer == "yes" if set(question.answers) == {"yes", "no"} else answer
    return msgspec.convert(told, Declaration)


def _show(found: Suggestion, *, japanese: bool) -> None:
    def heading(name: str) -> str:
        return _HEADINGS[name][japanese]

    print(f"{heading('apply_for')}: {found.apply_for or heading('none')}")
    if found.aim_at not in (None, found.apply_for):
        print(f"{heading('aim_at')}: {found.aim_at}")
    for name in ("reasons", "assessment", "evidence", "differs"):
        sentences: tuple[str, ...] = getattr(found, name)
        if sentences:
            print(f"\n{heading(name)}")
            for sentence in sentences:
                print(wrapped(sentence, "ja" if japanese else "en", bullet="- "))
    print(f"\n{heading('as_of')}: {found.as_of}")
