"""``fwcheck level``: which level suits a product, by questions on the terminal or by its product.toml."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fwcheck.cli.wrapping import wrapped

if TYPE_CHECKING:
    from fwcheck.declaration import Declaration
    from fwcheck.jcstar.advisor import Suggestion


class _Question(NamedTuple):
    """One question: the key it answers, its words, and the answers to choose from with their words (the first is the default)."""

    table: str
    key: str
    en: str
    ja: str
    answers: dict[str, tuple[str, str]]


_YES = {"yes": ("yes", "はい")}
_NO = {"no": ("no", "いいえ")}
_QUESTIONS = (
    _Question("product", "type", "What is it?", "製品の種類は？", {}),  # the answers: the types of products there are
    _Question("use", "ip", "Does it send or receive data over IP, be it through another device?",
              "IP通信を行うか（他の機器を介する場合を含む）？", _YES | _NO),
    _Question("use", "general_purpose", "Is it a computer, tablet or telephone whose user can install software?",
              "利用者がソフトウェアを追加できる汎用IT製品（PC・タブレット等）か？", _NO | _YES),
    _Question("use", "buyer", "Who buys it?", "主な調達者は？", {
        "consumer": ("consumers", "一般消費者"),
        "business": ("companies", "民間企業"),
        "public": ("government, local government, critical infrastructure", "政府機関・地方公共団体・重要インフラ"),
    }),
    _Question("use", "data", "What does it handle?", "扱う情報は？", {
        "none": ("nothing that needs to be kept from others", "秘匿を要する情報は扱わない"),
        "personal": ("personal data (pictures, habits, accounts)", "個人情報（映像、生活の様子、アカウント等）"),
        "confidential": ("confidential data of an organisation", "組織の機密情報"),
    }),
    _Question("use", "consequence", "What is the worst that its failing or misuse would mean?", "障害・悪用時の最大の影響は？", {
        "nuisance": ("a nuisance", "不便にとどまる"),
        "privacy": ("somebody's privacy is broken", "プライバシーの侵害"),
        "outage": ("a service or business stands still", "サービスや業務の停止"),
        "safety": ("people or a plant come to harm", "人や設備への危害"),
    }),
    _Question("use", "funding", "Does a subsidy, an auction or a grid connection ask for the label?",
              "補助金・オークション・系統連系でラベルを求められるか？", _NO | _YES),
)  # fmt: skip
_ENDS = {("ip", "no"), ("general_purpose", "yes")}  # answers after which the product is out of scope: nothing else matters
_WORDS = {
    "begin": (
        "A few questions; each takes a number or the word behind it, Enter takes the first.",
        "いくつかの質問に番号または語で答える。Enter は最初の選択肢。",
    ),
    "again": ("Please give a number or a word of the list.", "一覧の番号または語で答える。"),
}
_HEADINGS = {
    "apply_for": ("Apply for", "申請するレベル"),
    "aim_at": ("Aim at", "目標とするレベル"),
    "none": ("none: out of the scheme's scope", "なし（制度の対象外）"),
    "reasons": ("Why", "理由"),
    "assessment": ("How it is assessed", "評価の方法"),
    "evidence": ("What it takes", "必要な証拠"),
    "next": ("Next", "次の手順"),
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
    """The answers to the questions, each asked until it is one of those to choose from; standard output is for the result."""
    import msgspec  # noqa: PLC0415

    from fwcheck.analysers._product_types import kinds  # noqa: PLC0415
    from fwcheck.declaration import Declaration  # noqa: PLC0415

    japanese = lang == "ja"
    ordered = sorted(kinds().items(), key=lambda each: each[0] != "generic")  # the one for all others first
    types: dict[str, tuple[str, str]] = {name: (kind.en, kind.ja) for name, kind in ordered}
    told: dict[str, dict[str, str | bool]] = {"product": {}, "use": {}}
    print(_WORDS["begin"][japanese], file=sys.stderr)
    for question in _QUESTIONS:
        answer = _answer(question, question.answers or types, japanese=japanese)
        told[question.table][question.key] = answer == "yes" if set(question.answers) == {"yes", "no"} else answer
        if (question.key, answer) in _ENDS:
            break
    print(file=sys.stderr)
    return msgspec.convert(told, Declaration)


def _answer(question: _Question, answers: Mapping[str, tuple[str, str]], *, japanese: bool) -> str:
    """One answer, by its number, its word, or the beginning of its word."""
    from fwcheck.pipeline import InputError  # noqa: PLC0415

    names = list(answers)
    print(f"\n{question.ja if japanese else question.en}", file=sys.stderr)
    for number, name in enumerate(names, 1):
        words = answers[name][japanese]
        print(f"  {number} {words}" if words == name else f"  {number} {name}: {words}", file=sys.stderr)
    while True:
        print("> ", end="", file=sys.stderr, flush=True)
        given = sys.stdin.readline()
        if not given:
            raise InputError("level: no more answers")
        given = given.strip().lower()
        if not given:
            return names[0]
        if given.isascii() and given.isdigit() and 1 <= int(given[:4]) <= len(names):
            return names[int(given[:4]) - 1]
        meant = [name for name in names if name == given] or [name for name in names if name.startswith(given)]
        if len(meant) == 1:
            return meant[0]
        print(_WORDS["again"][japanese], file=sys.stderr)


def _show(found: Suggestion, *, japanese: bool) -> None:
    def heading(name: str) -> str:
        return _HEADINGS[name][japanese]

    print(f"{heading('apply_for')}: {found.apply_for or heading('none')}")
    if found.aim_at not in (None, found.apply_for):
        print(f"{heading('aim_at')}: {found.aim_at}")
    for name in ("reasons", "assessment", "evidence", "next", "differs"):
        sentences: tuple[str, ...] = getattr(found, name)
        if sentences:
            print(f"\n{heading(name)}")
            for sentence in sentences:
                print(wrapped(sentence, "ja" if japanese else "en", bullet="- "))
    print(f"\n{heading('as_of')}: {found.as_of}")
