"""Android sparse images: of img2simg where it is installed, and written here chunk by chunk."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError, QuotaExceeded
from fwcheck.extraction.format import Container
from fwcheck.extraction.formats.android_sparse import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

(SPARSE,) = FORMATS
NOISE = random.Random(3).randbytes(4096 * 3)


def chunk(kind: int, blocks: int, body: bytes = b"") -> bytes:
    return struct.pack("<HHII", kind, 0, blocks, 12 + len(body)) + body


def header(blocks: int, chunks: int, crc: int = 0) -> bytes:
    return struct.pack("<I4H4I", 0xED26FF3A, 1, 0, 28, 12, 4096, blocks, chunks, crc)


PLAIN = NOISE + b"\xde\xad\xbe\xef" * 2048 + bytes(4096 * 5) + NOISE[:4096]


def image(crc: int | None = None, stored: int = 0) -> bytes:
    raw = chunk(0xCAC1, 3, NOISE) + chunk(0xCAC2, 2, b"\xde\xad\xbe\xef") + chunk(0xCAC2, 1, bytes(4)) + chunk(0xCAC3, 4)
    raw += chunk(0xCAC1, 1, NOISE[:4096])
    if crc is not None:
        raw += chunk(0xCAC4, 0, struct.pack("<I", crc))
    return header(11, 6 if crc is not None else 5, stored) + raw


def seeds() -> list[bytes]:
    return [image(), image(zlib.crc32(PLAIN), zlib.crc32(PLAIN))]


def opened(data: bytes, offset: int = 0) -> tuple[Container, bytes]:
    container = SPARSE.open(Memory(data), offset)
    (entry,) = container.entries
    assert entry.open is not None
    source = entry.open()
    assert source.size == entry.size
    return container, b"".join(bytes(each) for each in source.chunks(5000))


def test_chunks_are_laid_out_as_they_are_written() -> None:
    data = image()
    container, content = opened(b"R" * 77 + data + b"T" * 50, 77)
    assert container.size == len(data)
    assert content == PLAIN
    assert container.problems == []
    assert container.detail["integrity"] == "none"


def test_what_is_left_out_is_a_hole() -> None:
    (entry,) = SPARSE.open(Memory(image()), 0).entries
    assert entry.open is not None
    content = entry.open()
    assert content.hole(4096 * 5, 4096 * 5)
    assert not content.hole(4096 * 4, 4096)


@pytest.mark.parametrize("with_header", [False, True])
def test_checksums_are_recomputed(*, with_header: bool) -> None:
    crc = zlib.crc32(PLAIN)
    container, _ = opened(image(None if with_header else crc, crc if with_header else 0))
    assert container.detail["integrity_detail"] == "CRC32 right"
    container, _ = opened(image(None if with_header else crc ^ 1, crc ^ 1 if with_header else 0))
    assert container.detail["integrity_detail"] == "CRC32 wrong"
    assert container.problems


def test_a_cut_image_gives_what_is_there() -> None:
    container, content = opened(image()[:-1000])
    assert content[:-4096] == PLAIN[:-4096]
    assert content[-4096:] == NOISE[:3096] + bytes(1000)
    assert any("there" in problem for problem in container.problems)
    assert container.size == len(image()) - 1000


def test_a_chunk_that_lies_ends_the_image() -> None:
    data = header(10, 2) + chunk(0xCAC1, 3, NOISE) + struct.pack("<HHII", 0xCAC1, 0, 7, 12 + 4096)
    container, content = opened(data)
    assert content == NOISE
    assert any("chunk 1" in problem for problem in container.problems)


def test_bombs_are_refused_when_opened() -> None:
    data = header(0xFFFFFFF, 1) + chunk(0xCAC2, 0xFFFFFFF, b"abcd")
    (entry,) = SPARSE.open(Memory(data), 0, Limits()).entries
    assert entry.open is not None
    with pytest.raises(QuotaExceeded):
        entry.open()


def test_other_bytes_are_refused() -> None:
    for data in (b"", image()[:27], header(1, 0) + bytes(100), header(1, 1) + bytes(100)):
        with pytest.raises(FormatError):
            SPARSE.open(Memory(data), 0)


def test_images_of_img2simg(tmp_path: Path) -> None:
    if not shutil.which("img2simg"):
        pytest.skip("img2simg is not installed (Debian package android-sdk-libsparse-utils)")
    plain, sparse = tmp_path / "plain", tmp_path / "sparse"
    plain.write_bytes(PLAIN)
    subprocess.run(["img2simg", str(plain), str(sparse)], check=True, capture_output=True)
    container, content = opened(sparse.read_bytes())
    assert content == PLAIN
    assert container.size == sparse.stat().st_size
    assert container.problems == []
