"""The signature pass finds what comparing every signature at every offset would find."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.seeds import seeds

from fwcheck.extraction import identify
from fwcheck.extraction.anchors import anchors, split
from fwcheck.extraction.format import Signature
from fwcheck.extraction.identify import signatures
from fwcheck.extraction.registry import registered
from fwcheck.extraction.source import Memory

SIGNED = [(each, sign) for each in registered() for sign in each.signatures if sign.anywhere]


def slowly(data: bytes) -> set[tuple[int, str]]:
    """Every place by looking everywhere for everything."""
    found = set()
    for each, sign in SIGNED:
        for match in re.finditer(b"(?=%b)" % sign.pattern, data, re.DOTALL):
            if match.start() - sign.offset >= 0:
                found.add((match.start() - sign.offset, each.name))
    return found


def quickly(data: bytes) -> set[tuple[int, str]]:
    hits, reach = signatures().everywhere(Memory(data))
    assert reach == len(data)
    return {(at, each.name) for at, _, each in hits}


def jumble(seed: int) -> bytes:
    """Seeds of all formats between random bytes and runs of zeros and 0xFF."""
    chance = random.Random(seed)
    every = [data[: 1 << 12] for each in seeds().values() for data in each]
    out = bytearray()
    for data in chance.sample(every, min(12, len(every))):
        out += data
        out += chance.choice((bytes(3000), b"\xff" * 3000, chance.randbytes(700), b""))
    return bytes(out)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("chunk", "run"), [(8 << 20, 64 << 10), (1 << 14, 256), (5000, 64)])
def test_nothing_is_missed_and_nothing_added(seed: int, chunk: int, run: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identify, "SCAN_CHUNK", chunk)
    monkeypatch.setattr(identify, "_RUN", run)
    monkeypatch.setattr(identify, "_FILLERS", {0: bytes(run), 0xFF: b"\xff" * run})
    data = jumble(seed)
    assert quickly(data) == slowly(data)


@pytest.mark.parametrize(("each", "sign"), SIGNED, ids=lambda value: getattr(value, "name", ""))
def test_every_match_holds_an_anchor(each: object, sign: Signature) -> None:
    found = anchors(sign.pattern, sign.width)
    if found is None:
        whole = re.compile(sign.pattern, re.DOTALL)
        pieces = [re.compile(piece, re.DOTALL) for piece in split(sign.pattern)]
        chance = random.Random(1)
        for _ in range(3000):
            data = chance.randbytes(sign.width)
            assert (whole.match(data) is not None) == any(piece.match(data) is not None for piece in pieces)
        return
    for seed in (data for group in seeds().values() for data in group):
        for match in re.finditer(b"(?=(%b))" % sign.pattern, seed, re.DOTALL):
            text = match.group(1)
            assert len(text) == sign.width
            assert any(text[: anchor.end].endswith(anchor.literal) for anchor in found), each


def test_runs_of_one_byte_are_not_looked_at_and_still_hold_no_secret() -> None:
    image = b"\xff" * 300_000 + b"hsqs" + bytes(24) + b"\4\0" + bytes(2) + b"\xff" * 300_000
    assert quickly(image) == slowly(image)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(range(len(SIGNED))))
def test_any_bytes_around_a_signature(data: bytes, number: int) -> None:
    literal = anchors(SIGNED[number][1].pattern, SIGNED[number][1].width)
    text = data + (literal[0].literal if literal else b"") + data
    assert quickly(text) == slowly(text)


@pytest.mark.parametrize("pattern", [rb"[\x5d\x6d]\x00", rb"[\]a]b", rb"[^a]b", rb"abc", rb"[a-z]\x00", rb"(?:a|b)c"])
def test_splitting_keeps_the_meaning(pattern: bytes) -> None:
    pieces = split(pattern)
    for first in range(256):
        for second in (0, 0x62, 0x63):
            data = bytes([first, second, 0x63])
            assert (re.match(pattern, data) is not None) == any(re.match(piece, data) is not None for piece in pieces)


def test_a_signature_without_anything_rare_is_searched_for_as_it_is() -> None:
    assert anchors(rb"\x00{8}", 8) is None
    assert anchors(rb"\xff{20}\x00\x00", 22) is None
    assert anchors(rb"a+b", 2) is None
    assert anchors(rb"EXFAT   \x00{53}", 61) == anchors(rb"EXFAT   .{53}", 61)
    assert signatures().count == len(SIGNED)
