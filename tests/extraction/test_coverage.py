"""The coverage account adds up whatever is painted, and pieces of unclaimed bytes get the right class."""

from __future__ import annotations

import random
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwcheck.extraction.coverage import Class, account, classify, entropy, looks_random, ranges
from fwcheck.extraction.source import Memory

PAINTS = st.lists(st.tuples(st.integers(-50, 250), st.integers(-10, 250), st.sampled_from(Class)), max_size=30)


@given(st.integers(0, 200), PAINTS)
def test_account_adds_up_and_equals_painting_byte_by_byte(size: int, paints: list[tuple[int, int, Class]]) -> None:
    bytes_ = [Class.UNKNOWN] * size
    for offset, length, which in paints:
        for at in range(max(0, offset), min(size, offset + length)):
            bytes_[at] = which
    totals = account(size, paints)
    assert sum(totals.values()) == size
    assert totals == {which: bytes_.count(which) for which in Class}


@given(st.lists(st.tuples(st.sampled_from(["zero", "ff", "text", "random"]), st.integers(1, 20_000)), max_size=5))
def test_classify_covers_the_range_without_holes_or_overlaps(parts: list[tuple[str, int]]) -> None:
    rng = random.Random(7)
    fill = {
        "zero": bytes,
        "ff": lambda n: b"\xff" * n,
        "text": lambda n: (b"the quick brown fox " * (n // 20 + 1))[:n],
        "random": rng.randbytes,
    }
    data = b"".join(fill[kind](size) for kind, size in parts)
    at = 0
    for begin, size, _ in classify(Memory(data), 0, len(data)):
        assert begin == at
        assert size > 0
        at += size
    assert at == len(data)


def test_random_bytes_look_encrypted_and_text_does_not() -> None:
    rng = random.Random(1)
    assert looks_random(rng.randbytes(16384))
    assert not looks_random(b"configuration = value\n" * 800)
    assert entropy(b"") == 0.0
    assert entropy(bytes(range(256))) == 8.0


def test_padding_is_trimmed_exactly_and_data_between_stays_unknown() -> None:
    text = b"U-Boot 1.1.4 (Mar 25 2016) " * 40
    data = b"\xff" * 5000 + text + b"\0" * 9000
    pieces = list(classify(Memory(data), 0, len(data)))
    assert pieces == [(0, 5000, Class.PADDING), (5000, len(text), Class.UNKNOWN), (5000 + len(text), 9000, Class.PADDING)]


@pytest.mark.parametrize("backwards", [False, True])
def test_a_hundred_thousand_paints_are_laid_without_moving_all_others(backwards):
    count = 100_000
    paints = [(0, count * 64, Class.EXPLAINED), *((number * 64, 32, Class.PADDING) for number in range(count))]
    if backwards:
        paints = [paints[0], *reversed(paints[1:])]
    begun = time.process_time()
    found = ranges(count * 64, paints)
    assert time.process_time() - begun < 4  # seconds; inserting into lists took six
    assert len(found) == 2 * count
    assert found[:2] == [(0, 32, Class.PADDING), (32, 32, Class.EXPLAINED)]


def test_what_is_laid_last_counts_whatever_overlaps():
    chance = random.Random(5)
    for _ in range(200):
        paints = [(chance.randrange(-5, 60), chance.randrange(-2, 30), chance.choice(list(Class))) for _ in range(12)]
        image = [Class.UNKNOWN] * 50
        for offset, length, which in paints:
            for at in range(max(0, offset), min(50, offset + length)):
                image[at] = which
        found = ranges(50, paints)
        assert [which for _, length, which in found for _ in range(length)] == image
        assert all(one[2] is not other[2] for one, other in pairwise(found))
