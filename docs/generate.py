"""Writes the pages of the documentation that are made from code and data. ``--check`` only says whether they are fresh."""

from __future__ import annotations

import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import criteria
import judgements

from fwcheck.extraction.format import Format
from fwcheck.extraction.registry import registered

HERE = Path(__file__).resolve().parent
PEERS = {"unblob": "unblob", "binwalk": "binwalk v3", "fact": "FACT extractor"}
_MARKS = {"read": "●", "named": "○", "": "–"}
_INTRODUCTION = """# Formats

Made from the code by `python docs/generate.py`; a test fails when this page is stale.

Every format is read in-process, with `pip install` alone: no external program, nothing written to disk. Its parser validates the
header before it claims bytes, and the claim is exact: what follows is searched on its own. What a format does *not* read stands
beside what it does; what is met and not read becomes a gap in the report.

The last columns say what other extractors have of the same format, by their own lists (unblob's `docs/handlers.md`, binwalk's
`src/magic.rs`, the plugins of FACT's extractor; see `peers.toml`): ● contents are given, ○ recognised or cut out only, – not in
its list. Those three call external programs for most of their reading; fwcheck calls none.

"""


def formats() -> str:
    """The table of formats by category, and what others have beside them."""
    peers = tomllib.loads((HERE / "peers.toml").read_text(encoding="utf-8"))
    every = registered()
    unknown = set(peers["formats"]) - {each.name for each in every}
    if unknown:
        raise SystemExit(f"docs/peers.toml names formats that are not there: {', '.join(sorted(unknown))}")
    lines = [
        _INTRODUCTION.format(note="unblob `docs/handlers.md`, binwalk `src/magic.rs`, FACT's plugins; sources in `peers.toml`")
    ]
    lines += _tally(every, peers["formats"], peers["missing"])
    for category in sorted({each.category for each in every}):
        lines += ["", f"## {category.capitalize()}", ""]
        lines += [
            f"| name | what is read | not read | layout after | {' | '.join(PEERS.values())} |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += _rows([each for each in every if each.category == category], peers["formats"])
    lines += ["", "## What others have and fwcheck has not", ""]
    lines += ["Where they are installed, `--second-opinion unblob,binwalk` asks them about what stays unknown.", ""]
    lines += [f"| format | {' | '.join(PEERS.values())} |", "|---|---|---|---|"]
    lines += [f"| {name} | {_marks(have)} |" for name, have in sorted(peers["missing"].items())]
    return "\n".join(lines) + "\n"


def _rows(every: list[Format], peers: dict[str, dict[str, str]]) -> Iterator[str]:
    titles: dict[tuple[str, str], Format] = {(each.name, each.title): each for each in every}
    for name, title in sorted(titles):
        each = titles[name, title]
        cells = (f"`{name}`", f"**{title}**: {each.reads}", each.not_read or "nothing known", each.specification)
        yield f"| {' | '.join(_cell(cell) for cell in cells)} | {_marks(peers.get(name, {}))} |"


def _marks(have: dict[str, str]) -> str:
    return " | ".join(_MARKS[have.get(peer, "")] for peer in PEERS)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _tally(every: tuple[Format, ...], peers: dict[str, dict[str, str]], missing: dict[str, dict[str, str]]) -> Iterator[str]:
    names = {each.name for each in every}
    yield f"{len(names)} formats. Of these"
    yield ""
    for peer, title in PEERS.items():
        counts = Counter(peers.get(name, {}).get(peer, "") for name in names)
        lacking = sum(peer in have for have in missing.values())
        yield f"- {title} reads {counts['read']} and recognises {counts['named']}; it has {lacking} that are not among them" + (
            "." if peer == "fact" else ";"
        )


TABLES: dict[str, Callable[[], str]] = {
    "formats.md": formats,
    "jc-star.md": partial(criteria.page, "en"),
    "jc-star.ja.md": partial(criteria.page, "ja"),
    "judgements.md": judgements.page,
}


def main() -> int:
    stale = 0
    for name, make in TABLES.items():
        path = HERE / name
        wanted = make()
        if not path.exists() or path.read_text(encoding="utf-8") != wanted:
            stale += 1
            if "--check" not in sys.argv:
                path.write_text(wanted, encoding="utf-8")
                print(f"wrote {path.name}")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
