"""Images that lie: the samples truncated and mutated never make the extraction raise, hang or lose its account."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from fwcheck.extraction.coverage import account
from fwcheck.extraction.explore import Explorer, Findings
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Mapped
from fwcheck.reading import Reader

pytestmark = pytest.mark.fuzz
SAMPLE = Path(__file__).parents[2] / "samples" / "router-insecure.bin"
LIMITS = Limits(bytes_total=64 << 20, bytes_stream=16 << 20, ratio_floor=4 << 20, nodes=20_000)


def explore_and_read(path: Path) -> Findings:
    image = Mapped.open(path)
    explorer = Explorer(LIMITS)
    found = explorer.explore(image, (path.name,), 1)
    reader = Reader(explorer, None)
    paints = list(found.paints)
    for item in found.items:
        paints += reader.read(item).paints
    assert sum(account(image.size, paints).values()) == image.size
    return found


def test_the_sample_itself_is_read_without_gaps_in_its_containers() -> None:
    found = explore_and_read(SAMPLE)
    formats = {item.node.format for item in found.items if item.node.kind.value == "container"}
    assert {"uimage", "squashfs"} <= formats


@pytest.mark.parametrize("seed", range(4))
def test_truncated_images_keep_their_account(tmp_path: Path, seed: int) -> None:
    data = SAMPLE.read_bytes()
    rng = random.Random(seed)
    interesting = data.rindex(b"hsqs") + 4000
    for number in range(12):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(data[: rng.randrange(1, interesting)])
        explore_and_read(path)


@pytest.mark.parametrize("seed", range(6))
def test_mutated_headers_keep_their_account(tmp_path: Path, seed: int) -> None:
    data = SAMPLE.read_bytes()
    rng = random.Random(100 + seed)
    places = [0x4000, 0x8000, data.rindex(b"hsqs")]
    for number in range(10):
        copy = bytearray(data)
        for _ in range(rng.randrange(1, 6)):
            at = rng.choice(places) + rng.randrange(0, 2600)
            copy[at] = rng.choice([0, 0xFF, 0x7F, 0x80, rng.randrange(256)])
        path = tmp_path / f"{number}.bin"
        path.write_bytes(copy)
        explore_and_read(path)
