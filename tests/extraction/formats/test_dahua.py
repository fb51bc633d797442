"""Dahua updates are ZIP archives with other first letters: members come out with their places in the source."""

from __future__ import annotations

import io
import zipfile

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats.dahua import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

DAHUA = FORMATS[0]
FILES = {"Install": b"{}" * 40, "kernel.img": b"kernel" * 900, "sign.img": b"\x30\x82" * 60}


def update(method: int = zipfile.ZIP_DEFLATED) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", method) as archive:
        for name, content in FILES.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), content, method)
    return b"DH" + raw.getvalue()[2:]


def seeds() -> list[bytes]:
    return [update(), update(zipfile.ZIP_STORED)]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_members_come_out(method):
    data = update(method)
    container = DAHUA.open(Memory(data + b"\xff" * 50), 0)
    assert {entry.path: entry.open().read(0, entry.size) for entry in container.entries} == {f"/{k}": v for k, v in FILES.items()}
    assert (container.format, container.size) == ("dahua", len(data))


def test_stored_members_know_where_they_lie():
    data = update(zipfile.ZIP_STORED)
    for entry in DAHUA.open(Memory(data), 0).entries:
        if entry.offset is not None:
            assert data[entry.offset : entry.offset + entry.size] == FILES[entry.path[1:]]


def test_an_image_is_explained_to_its_last_byte():
    source = Memory(update())
    source.origin = 0
    found = Explorer(Limits()).explore(source, ("image",), 0)
    assert sum(length for _, length, which in found.paints if which == 1) >= source.size


def test_letters_without_an_archive_are_refused():
    with pytest.raises(FormatError):
        DAHUA.open(Memory(b"DH\3\4\x14\0\0\0\x08\0" + bytes(100)), 0)
