"""What holds for every parser, whatever the bytes: FormatError or QuotaExceeded and nothing else, an end, and its bounds."""

from __future__ import annotations

import random
from itertools import islice

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.hostile import exercise, mutations, truncations
from support.seeds import places, seeds

from fwcheck.extraction.errors import ExtractionError
from fwcheck.extraction.format import Format
from fwcheck.extraction.registry import registered
from fwcheck.extraction.source import Memory

MODULES = sorted(seeds())
PLACES = 12  # formats and offsets of one module that are looked at: archives hold many streams
SECONDS = 4.0
MUTATIONS = 240


def chosen(name: str) -> list[tuple[bytes, Format, int]]:
    """At most PLACES of a module's seeds, each of its formats among them."""
    every = places(name)
    first = {each.name: (data, each, offset) for data, each, offset in reversed(every)}
    return [*first.values(), *(one for one in every if first[one[1].name] is not one)][:PLACES]


def test_every_format_has_a_seed() -> None:
    covered = {each.name for name in MODULES for _, each, _ in places(name)}
    assert {each.name for each in registered()} - covered == set()


@pytest.mark.parametrize("name", MODULES)
def test_a_seed_is_read_to_its_end(name: str) -> None:
    """Seeds are valid: most of their members are given. A fuzz test over images that nobody opens would prove nothing."""
    assert places(name), "no registered format opens any seed of this module"
    for data, each, offset in chosen(name):
        container = exercise(each, data, offset)
        assert container is not None, (each.name, offset)


@pytest.mark.fuzz
@pytest.mark.parametrize("name", MODULES)
def test_truncated_seeds(name: str) -> None:
    for data, each, offset in chosen(name):
        for cut in islice(truncations(data, 8), 24):
            if offset < len(cut):
                exercise(each, cut, offset, members=200)


@pytest.mark.fuzz
@pytest.mark.parametrize("name", MODULES)
def test_mutated_seeds(name: str) -> None:
    every = chosen(name)
    for data, each, offset in every:
        head = (offset, min(offset + 512, len(data)))
        # By count, so that a run does not depend on how fast the machine is; the time is only a brake.
        for broken in islice(mutations(data, SECONDS / len(every), hot=(head, (0, len(data)))), MUTATIONS // len(every)):
            exercise(each, broken, offset, members=200)


@pytest.mark.fuzz
@pytest.mark.parametrize("name", MODULES)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(
    chance=st.randoms(use_true_random=False),
    filler=st.binary(max_size=64),
    at=st.integers(0, 1 << 16),
    cut=st.integers(0, 1 << 16),
)
def test_spliced_seeds(name: str, chance: random.Random, filler: bytes, at: int, cut: int) -> None:
    data, each, offset = chance.choice(chosen(name))
    place = at % len(data)
    copy = bytearray(data)
    copy[place : place + len(filler)] = filler
    if cut % 3 == 0:
        del copy[max(offset + 1, cut % len(data)) :]
    exercise(each, bytes(copy), offset, members=200)


@pytest.mark.fuzz
@pytest.mark.parametrize("each", registered(), ids=lambda each: each.name)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(data=st.binary(max_size=600), offset=st.integers(-8, 700))
def test_any_bytes_at_all(each: Format, data: bytes, offset: int) -> None:
    """Without a signature, and at offsets outside the source too."""
    try:
        container = each.open(Memory(data), offset)
    except ExtractionError:
        return
    assert offset >= 0
    assert 0 < container.size <= len(data) - offset
