"""The page on reviewed judgements, written from ``judgements.toml``."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

import msgspec

from fwcheck.jcstar.catalogue import shipped

HERE = Path(__file__).resolve().parent
ASSESSORS = ("N", "doubt", "open", "likely")
# Which verdicts of the judge say the same as a word of the assessor.
AGREE = {
    "N": {"violation"},
    "doubt": {"concern"},
    "open": {"not-decidable", "not-observed", "not-applicable"},
    "likely": {"support", "not-observed"},
}


class Image(TypedDict):
    """One image of the page; a row has the judge's verdict, the assessor's word and, where it is no common one, the reason."""

    id: str
    kind: str
    rows: dict[str, list[str]]


def page() -> str:
    """The whole page."""
    held = tomllib.loads((HERE / "judgements.toml").read_text(encoding="utf-8"))
    lines = [(HERE / "heads" / "judgements.md").read_text(encoding="utf-8").rstrip(), "", "## In figures", ""]
    images = msgspec.convert(held["image"], list[Image])
    lines += _figures(images)
    for image in images:
        lines += _image(image, held["common"])
    return "\n".join(lines).rstrip() + "\n"


def _figures(images: list[Image]) -> Iterator[str]:
    pairs = [(row[0], row[1]) for image in images for row in image["rows"].values()]
    same = sum(judge in AGREE[assessor] for judge, assessor in pairs)
    yield f"{len(pairs)} rows; judge and assessor say the same in {same}."
    yield ""
    verdicts = sorted({judge for judge, _ in pairs})
    yield f"| judge | {' | '.join(ASSESSORS)} |"
    yield f"|---|{'---|' * len(ASSESSORS)}"
    counts = Counter(pairs)
    for verdict in verdicts:
        yield f"| {verdict} | {' | '.join(str(counts[verdict, each] or '') for each in ASSESSORS)} |"


def _image(image: Image, common: dict[str, str]) -> Iterator[str]:
    titles = {each.id: each.title_en for each in shipped()[0].criterion}
    yield from ("", f"## {image['id']}", "", f"{image['kind']}.", "")
    yield "| criterion | judge | assessor | why |"
    yield "|---|---|---|---|"
    rows = image["rows"]
    for name, title in titles.items():
        judge, assessor, *why = rows[name]
        mark = "" if judge in AGREE[assessor] else " ≠"
        yield f"| {name} {title} | {judge}{mark} | {assessor} | {why[0] if why else common[name]} |"
