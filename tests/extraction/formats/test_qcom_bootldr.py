"""Packed boot loaders, laid out here as releasetools.py writes them."""

from __future__ import annotations

import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container
from fwcheck.extraction.formats.qcom_bootldr import FORMATS
from fwcheck.extraction.source import Memory

(BOOTLDR,) = FORMATS
IMAGES = {b"sbl1": b"first" * 100, b"aboot": b"second" * 50, b"empty": b"", b"tz": b"third" * 20}


def image(total: int | None = None) -> bytes:
    bodies = b"".join(IMAGES.values())
    table = b"".join(struct.pack("<64sI", name, len(body)) for name, body in IMAGES.items())
    head = struct.pack("<8sIII", b"BOOTLDR!", len(IMAGES), 512, len(bodies) if total is None else total)
    return (head + table).ljust(512, b"\0") + bodies


def seeds() -> list[bytes]:
    return [image()]


def opened(data: bytes, offset: int = 0) -> tuple[Container, dict[bytes, bytes]]:
    container = BOOTLDR.open(Memory(data), offset)
    return container, {each.path.encode(): each.open().read(0, each.size) for each in container.entries if each.open is not None}


def test_every_image_is_a_part() -> None:
    container, members = opened(b"R" * 9 + image() + b"T" * 9, 9)
    assert container.size == len(image())
    assert members == {name: body for name, body in IMAGES.items() if body}
    assert container.detail["images"] == "sbl1, aboot, empty, tz"
    assert container.problems == []


def test_sizes_that_contradict_each_other_are_told() -> None:
    container, members = opened(image(total=5))
    assert len(members) == 3
    assert any("in the table" in problem for problem in container.problems)


def test_what_is_cut_off() -> None:
    container, members = opened(image()[:-150])
    assert members[b"sbl1"] == IMAGES[b"sbl1"]
    assert container.size == len(image()) - 150
    assert container.problems
    for data in (image()[:100], image()[:512], b"BOOTLDR!\1\0\0\0" + b"\xff" * 100):
        with pytest.raises(FormatError):
            BOOTLDR.open(Memory(data), 0)
