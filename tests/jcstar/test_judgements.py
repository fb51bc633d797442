"""The reviewed judgements stand: each verdict on the samples and on three images of the corpus is the one reviewed by eye."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from fwcheck.jcstar.catalogue import shipped
from fwcheck.model import Verdict
from fwcheck.pipeline import Options, scan

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared" / "corpus"
IMAGES = tomllib.loads((ROOT / "docs" / "judgements.toml").read_text("utf-8"))["image"]


def path_of(image) -> Path | None:
    if "path" in image:
        return ROOT / image["path"]
    manifest = CORPUS / "manifest.json"
    if not manifest.exists():
        return None
    found = [CORPUS / row["path"] for row in json.loads(manifest.read_text("utf-8")) if row["id"] == image["corpus"]]
    return next((each for each in found if each.exists()), None)


@pytest.mark.parametrize("image", IMAGES, ids=lambda each: each["id"])
def test_the_verdicts_are_those_that_were_reviewed(image) -> None:
    path = path_of(image)
    if path is None:
        pytest.skip("needs the shared corpus of real images")
    tier = scan(path, Options(jobs=1)).tiers[0]
    expected = {name: row[0] for name, row in image["rows"].items()}
    got = {row.id: row.verdict.value for row in tier.criteria}
    assert got.pop("S1.1-09") in {"concern", "not-observed"}  # as the knowledge of vulnerabilities has it today
    del expected["S1.1-09"]
    assert got == expected


@pytest.mark.parametrize("image", IMAGES, ids=lambda each: each["id"])
def test_every_row_is_reviewed_in_words_of_the_page(image) -> None:
    assert list(image["rows"]) == [each.id for each in shipped()[0].criterion]
    for judge, assessor, *why in image["rows"].values():
        assert judge in set(Verdict)
        assert assessor in {"N", "doubt", "open", "likely"}
        assert len(why) <= 1
