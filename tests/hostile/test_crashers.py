"""Images that once broke something: read as a scan reads them, they give their account and nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from fuzz.mutate import SECONDS, look

CRASHERS = sorted((Path(__file__).parents[1] / "fuzz" / "crashers").glob("*.bin"))


@pytest.mark.parametrize("path", CRASHERS, ids=lambda path: path.stem)
def test_it_is_read_to_its_end(path: Path) -> None:
    begun = time.monotonic()
    faults, _, _ = look(path)
    assert faults == []
    assert time.monotonic() - begun < SECONDS
