"""Streams: what real tools pack comes out whole, the extent is exact, and a broken stream keeps what could be read."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import re
import shutil
import struct
import subprocess
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.format import Format
from fwcheck.extraction.formats.bzip2 import FORMATS as BZIP2
from fwcheck.extraction.formats.gzip import FORMATS as GZIP
from fwcheck.extraction.formats.lz4 import FORMATS as LZ4
from fwcheck.extraction.formats.lzip import FORMATS as LZIP
from fwcheck.extraction.formats.lzma_alone import FORMATS as LZMA
from fwcheck.extraction.formats.lzop import FORMATS as LZOP
from fwcheck.extraction.formats.xz import FORMATS as XZ
from fwcheck.extraction.formats.zstd import FORMATS as ZSTD
from fwcheck.extraction.identify import signatures
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

TEXT = b"".join(b"line %d: %d of a file that packs well\n" % (i, i * i % 7919) for i in range(20_000))
NOISE = random.Random(1).randbytes(60_000)
CONTENT = TEXT + NOISE
TRAILER = random.Random(2).randbytes(777)

# tool, arguments, format
TOOLS = [
    ("gzip", ["-9"], GZIP[0]),
    ("gzip", ["-1", "-n"], GZIP[0]),
    ("xz", [], XZ[0]),
    ("xz", ["--check=sha256", "--block-size=65536"], XZ[0]),
    ("xz", ["--check=crc32", "--arm", "--lzma2=preset=1"], XZ[0]),
    ("xz", ["--format=lzma"], LZMA[0]),
    ("xz", ["--format=lzma", "--lzma1=lc=1,lp=2,pb=2,dict=8MiB"], LZMA[0]),
    ("bzip2", ["-1"], BZIP2[0]),
    ("zstd", ["-3"], ZSTD[0]),
    ("zstd", ["-1", "--no-check"], ZSTD[0]),
    ("lz4", ["-9"], LZ4[0]),
    ("lz4", ["-B4", "-BX", "--no-frame-crc"], LZ4[0]),
    ("lz4", ["-l"], LZ4[1]),
    ("lzop", [], LZOP[0]),
    ("lzop", ["-9", "--crc32"], LZOP[0]),
    ("lzip", ["-9"], LZIP[0]),
    ("lzip", ["-1", "-s", "1MiB"], LZIP[0]),
]
NAMES = [" ".join([tool, *arguments]) for tool, arguments, _ in TOOLS]

SMALL = TEXT[:6000] + NOISE[:300]


def seeds() -> list[bytes]:
    """One small image per format: gzip, xz, bzip2, lzma, zstd, lz4, lz4-legacy, lzop, lzip, lz4-block."""
    import lz4.block
    import lz4.frame
    import zstandard

    block = lz4.block.compress(SMALL, store_size=False)
    return [
        gzip.compress(SMALL, mtime=0) + gzip.compress(b"more", mtime=0),
        lzma.compress(SMALL),
        bz2.compress(SMALL),
        lzma.compress(SMALL, lzma.FORMAT_ALONE),
        zstandard.ZstdCompressor(write_checksum=True).compress(SMALL),
        lz4.frame.compress(SMALL, content_checksum=True),
        b"\x02\x21\x4c\x18" + struct.pack("<I", len(block)) + block,
        lzop(SMALL),
        lzip(SMALL),
        b"mozLz40\0" + struct.pack("<I", len(SMALL)) + block,
    ]


def lzop(content: bytes, flags: int = 0x303) -> bytes:
    """An lzop file with all four checksums per block, after the layout of lzop 1.04."""
    from lzallright import LZOCompressor

    header = struct.pack(">HHHBBIIIIB", 0x1040, 0x20A0, 0x0940, 1, 5, flags, 0o644, 0, 0, 4) + b"name"
    out = b"\x89LZO\0\r\n\x1a\n" + header + struct.pack(">I", zlib.adler32(header))
    for at in range(0, len(content), 4096):
        block = content[at : at + 4096]
        squeezed = bytes(LZOCompressor().compress(block))
        stored = squeezed if len(squeezed) < len(block) else block
        out += struct.pack(">II", len(block), len(stored))
        sums = [zlib.adler32(block), zlib.crc32(block)]
        sums += [zlib.adler32(stored), zlib.crc32(stored)] if stored is squeezed else []
        out += struct.pack(f">{len(sums)}I", *sums) + stored
    return out + bytes(4)


def lzip(content: bytes, power: int = 20) -> bytes:
    """An lzip member, after the lzip manual."""
    raw = lzma.compress(content, lzma.FORMAT_ALONE, filters=[{"id": lzma.FILTER_LZMA1, "dict_size": 1 << power}])[13:]
    return b"LZIP\1" + bytes([power]) + raw + struct.pack("<IQQ", zlib.crc32(content), len(content), 26 + len(raw))


def packed(tool: str, arguments: list[str], content: bytes = CONTENT) -> bytes:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    return subprocess.run([tool, *arguments, "-c"], input=content, capture_output=True, check=True).stdout


def unpacked(container) -> bytes:
    (entry,) = container.entries
    source = entry.open()
    return source.read(0, source.size)


def announced(format: Format, data: bytes, offset: int) -> bool:
    """Whether a signature of the format matches so that its container begins at ``offset``."""
    for sign in format.signatures:
        match = re.compile(sign.pattern, re.DOTALL).match(data, offset + sign.offset)
        if match and match.end() - match.start() == sign.width:
            return True
    return False


@pytest.mark.parametrize(("tool", "arguments", "format"), TOOLS, ids=NAMES)
class TestRealTools:
    def test_content_and_extent_are_exact_between_other_bytes(self, tool, arguments, format):
        stream = packed(tool, arguments)
        image = Memory(NOISE[:1000] + stream + TRAILER)
        container = format.open(image, 1000)
        assert container.format == format.name
        assert unpacked(container) == CONTENT
        assert container.size == len(stream)
        assert not container.problems

    def test_signature_matches_where_the_stream_begins(self, tool, arguments, format):
        assert announced(format, packed(tool, arguments), 0)

    def test_a_cut_stream_gives_its_beginning_and_a_problem(self, tool, arguments, format):
        stream = packed(tool, arguments, TEXT + NOISE * 3)
        if format.name.startswith("lz4"):
            # One block of 4 or 8 MiB holds all of it, and half a block says nothing.
            stream += packed(tool, arguments, NOISE)
        cut = stream[: len(stream) * 3 // 4] if not format.name.startswith("lz4") else stream[:-20_000]
        container = format.open(Memory(cut), 0)
        out = unpacked(container)
        assert len(out) >= 4096
        assert (TEXT + NOISE * 4).startswith(out)
        assert container.size <= len(cut)
        # A legacy LZ4 frame has no end mark: what is missing behind a whole block cannot be seen.
        assert container.problems or format.name == "lz4-legacy"

    def test_a_stream_cut_in_its_header_is_refused(self, tool, arguments, format):
        stream = packed(tool, arguments)
        for length in range(0, 13, 2):
            with pytest.raises(FormatError):
                format.open(Memory(stream[:length]), 0)

    def test_mutations_raise_nothing_but_extraction_errors(self, tool, arguments, format):
        stream = packed(tool, arguments, TEXT[:6000] + NOISE[:2000])
        randomness = random.Random(f"{tool}{arguments}")
        for _ in range(60):
            hurt = bytearray(stream)
            for _ in range(randomness.randint(1, 4)):
                hurt[randomness.randrange(len(hurt) if randomness.random() < 0.5 else 40)] = randomness.randrange(256)
            try:
                container = format.open(Memory(hurt), 0)
            except ExtractionError:
                continue
            assert 0 < container.size <= len(hurt)
            assert len(unpacked(container)) <= 1 << 20

    def test_the_quota_cuts_the_stream_and_is_said(self, tool, arguments, format):
        stream = packed(tool, arguments, bytes(9 << 20))
        limits = Limits(ratio=10, ratio_floor=1 << 16, bytes_stream=1 << 30)
        try:
            container = format.open(Memory(stream), 0, limits)
        except FormatError:
            return  # one call of the decoder gave more than the quota: nothing was kept
        assert len(unpacked(container)) <= max(1 << 16, len(stream) * 10)
        assert any("quota" in problem for problem in container.problems)


class TestGzip:
    def test_members_are_joined_and_trailing_garbage_is_left(self):
        stream = gzip.compress(TEXT) + gzip.compress(NOISE)
        container = GZIP[0].open(Memory(stream + b"\x1f\x8b\x08garbage that is no member"), 0)
        assert unpacked(container) == TEXT + NOISE
        assert container.size == len(stream)
        assert container.detail["members"] == 2
        assert not container.problems

    def test_stored_name_and_time_are_told_and_the_name_cannot_climb(self):
        deflate = zlib.compressobj(wbits=-15)
        body = deflate.compress(TEXT) + deflate.flush()
        header = b"\x1f\x8b\x08\x08" + struct.pack("<I", 1234567890) + b"\x02\x03" + b"../../etc/pass\nwd\0"
        stream = header + body + struct.pack("<II", zlib.crc32(TEXT), len(TEXT))
        container = GZIP[0].open(Memory(stream), 0)
        (entry,) = container.entries
        assert (entry.path, entry.mtime) == ("pass?wd", 1234567890)
        assert container.detail["name"] == "../../etc/pass\nwd"

    def test_a_wrong_crc_is_a_problem_not_a_loss(self):
        stream = bytearray(gzip.compress(TEXT))
        stream[-6] ^= 1
        container = GZIP[0].open(Memory(stream), 0)
        assert unpacked(container) == TEXT
        assert container.size == len(stream)
        assert any("CRC32" in problem for problem in container.problems)

    def test_an_empty_member_is_read(self):
        container = GZIP[0].open(Memory(gzip.compress(b"")), 0)
        assert unpacked(container) == b""

    def test_noise_behind_a_magic_is_refused(self):
        refused = 0
        randomness = random.Random(3)
        for _ in range(500):
            try:
                GZIP[0].open(Memory(b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + randomness.randbytes(3000)), 0)
            except FormatError:
                refused += 1
        assert refused >= 498


class TestXz:
    def test_streams_with_padding_between_are_joined(self):
        stream = lzma.compress(TEXT) + bytes(8) + lzma.compress(NOISE)
        container = XZ[0].open(Memory(stream + bytes(64)), 0)
        assert unpacked(container) == TEXT + NOISE
        assert container.size == len(stream)
        assert container.detail["streams"] == 2

    def test_a_wrong_header_crc_is_refused(self):
        stream = bytearray(lzma.compress(TEXT))
        stream[8] ^= 1
        with pytest.raises(FormatError):
            XZ[0].open(Memory(stream), 0)

    def test_check_kind_is_told(self):
        container = XZ[0].open(Memory(lzma.compress(TEXT, check=lzma.CHECK_SHA256)), 0)
        assert (container.detail["integrity"], container.detail["integrity_detail"]) == ("hash", "SHA-256")


class TestBzip2:
    def test_streams_are_joined(self):
        stream = bz2.compress(TEXT) + bz2.compress(NOISE)
        container = BZIP2[0].open(Memory(stream + b"BZh9"), 0)
        assert unpacked(container) == TEXT + NOISE
        assert container.size == len(stream)

    def test_an_empty_stream_is_read(self):
        container = BZIP2[0].open(Memory(bz2.compress(b"") + b"xx"), 0)
        assert (unpacked(container), container.size) == (b"", 14)


def known_size(content: bytes, properties: bytes = b"\x5d\x00\x00\x80\x00") -> bytes:
    """LZMA-alone with the size in the header and no end marker, as firmware build tools write it."""
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": int.from_bytes(properties[1:], "little"), "lc": 3, "lp": 0, "pb": 2}]
    raw = lzma.compress(content, lzma.FORMAT_RAW, filters=filters)
    # The end marker is cut off by asking the decoder how much it reads for a header that tells the size.
    header = properties + struct.pack("<Q", len(content))
    for cut in range(len(raw) - 16, len(raw) + 1):
        decoder = lzma.LZMADecompressor(lzma.FORMAT_ALONE)
        try:
            if decoder.decompress(header + raw[:cut]) == content and decoder.eof:
                return header + raw[:cut]
        except lzma.LZMAError:
            continue
    return header + raw


class TestLzmaAlone:
    @pytest.mark.parametrize("properties", [(3, 0, 2), (1, 2, 2), (2, 2, 2)])
    def test_properties_that_vendors_use_are_found_in_the_middle_of_an_image(self, properties):
        lc, lp, pb = properties
        filters = [{"id": lzma.FILTER_LZMA1, "dict_size": 8 << 20, "lc": lc, "lp": lp, "pb": pb}]
        data = bytes(999) + lzma.compress(b"boot code " * 3000, lzma.FORMAT_ALONE, filters=filters)
        hits, _ = signatures().everywhere(Memory(data))
        assert [(offset, each.name) for offset, _, each in hits if each.name == "lzma"] == [(999, "lzma")]

    def test_a_declared_size_ends_the_stream_without_a_marker(self):
        stream = known_size(CONTENT)
        container = LZMA[0].open(Memory(stream + TRAILER), 0)
        assert unpacked(container) == CONTENT
        assert container.size == len(stream)
        assert not container.problems
        assert container.detail["declared_size"] == len(CONTENT)

    @pytest.mark.parametrize("dictionary", [0x2000000, 0x3F0000, 0x401000])
    def test_vendor_dictionary_sizes_are_read(self, dictionary):
        stream = bytearray(known_size(TEXT))
        stream[1:5] = struct.pack("<I", dictionary)
        assert unpacked(LZMA[0].open(Memory(stream), 0)) == TEXT

    def test_a_huge_dictionary_size_costs_no_memory(self):
        stream = bytearray(known_size(TEXT))
        stream[1:5] = struct.pack("<I", 1 << 30)
        assert unpacked(LZMA[0].open(Memory(stream), 0)) == TEXT

    @pytest.mark.parametrize("filler", [b"\0", b"\xff", b"\0\x01", b"\0\0\0\x10"])
    def test_a_header_before_filler_is_refused(self, filler):
        for size in (b"\xff" * 8, struct.pack("<Q", 5_000_000)):
            with pytest.raises(FormatError):
                LZMA[0].open(Memory(b"\x5d\0\0\x80\0" + size + b"\0" + filler * 50_000), 0)

    def test_chance_headers_are_refused(self):
        randomness = random.Random(5)
        tables = b"".join(struct.pack("<IIII", i * 16, 64 << 8, 0x5D, 0) for i in range(4000))
        accepted = 0
        for number in range(400):
            tail = randomness.randbytes(20_000) if number % 2 else tables[randomness.randrange(1000) :]
            head = bytes([randomness.choice(b"\x5d\x6d\x5a")]) + struct.pack("<IQ", 1 << randomness.randint(16, 25), 1 << 20)
            try:
                LZMA[0].open(Memory(head + b"\0" + tail), 0)
                accepted += 1
            except FormatError:
                pass
        assert accepted == 0


class TestZstd:
    def test_skippable_frames_belong_to_the_stream(self):
        frame = packed("zstd", ["-3"])
        skippable = b"\x5a\x2a\x4d\x18" + struct.pack("<I", 5) + b"12345"
        stream = skippable + frame + skippable + frame
        container = ZSTD[0].open(Memory(stream + TRAILER), 0)
        assert unpacked(container) == CONTENT * 2
        assert container.size == len(stream)

    def test_a_frame_that_needs_a_dictionary_is_told(self):
        import zstandard

        dictionary = zstandard.train_dictionary(4096, [TEXT[at : at + 200] for at in range(0, 60_000, 100)])
        frame = zstandard.ZstdCompressor(dict_data=dictionary, write_checksum=True).compress(SMALL)
        container = ZSTD[0].open(Memory(frame + TRAILER), 0)
        assert container.size == len(frame)
        assert container.detail["dictionary_id"] == dictionary.dict_id()
        assert unpacked(container) == frame
        assert container.problems

    def test_a_bomb_is_cut_at_the_quota(self):
        # 2,000 run-length blocks of 128 KiB each: 250 MiB out of 8 KB
        blocks = b"".join(struct.pack("<I", (128 << 10) << 3 | 1 << 1)[:3] + b"A" for _ in range(2000))
        container = ZSTD[0].open(Memory(b"\x28\xb5\x2f\xfd\x00\x58" + blocks), 0, Limits(ratio_floor=4 << 20))
        assert 0 < len(unpacked(container)) <= 4 << 20
        assert any("quota" in problem for problem in container.problems)


class TestLzip:
    def test_members_are_joined_and_wrong_sums_told(self):
        stream = lzip(TEXT) + lzip(NOISE)
        container = LZIP[0].open(Memory(stream + b"LZIP\1trailing"), 0)
        assert unpacked(container) == TEXT + NOISE
        assert (container.size, container.detail["members"], container.problems) == (len(stream), 2, [])
        hurt = bytearray(lzip(TEXT))
        hurt[-18] ^= 1
        container = LZIP[0].open(Memory(hurt), 0)
        assert unpacked(container) == TEXT
        assert container.problems
        assert container.detail["integrity_detail"].endswith("wrong")


class TestLzop:
    def test_every_checksum_of_a_block_is_looked_at(self):
        stream = lzop(TEXT)
        container = LZOP[0].open(Memory(stream + TRAILER), 0)
        assert (unpacked(container), container.size, container.problems) == (TEXT, len(stream), [])
        first = stream.index(struct.pack(">I", 4096))
        for at in range(first + 8, first + 24, 4):
            hurt = bytearray(stream)
            hurt[at] ^= 1
            with pytest.raises(FormatError):
                LZOP[0].open(Memory(hurt), 0)


class TestLz4Block:
    def test_a_block_with_its_size_is_read(self):
        stream = seeds()[9]
        container = LZ4[2].open(Memory(stream), 0)
        assert (unpacked(container), container.size) == (SMALL, len(stream))

    def test_another_size_is_refused(self):
        stream = seeds()[9]
        with pytest.raises(FormatError):
            LZ4[2].open(Memory(stream[:8] + struct.pack("<I", len(SMALL) + 1) + stream[12:]), 0)


def test_each_seed_is_announced_and_read():
    formats = (GZIP[0], XZ[0], BZIP2[0], LZMA[0], ZSTD[0], *LZ4[:2], LZOP[0], LZIP[0], LZ4[2])
    for format, seed in zip(formats, seeds(), strict=True):
        assert announced(format, seed, 0), format.name
        container = format.open(Memory(seed), 0)
        assert unpacked(container).startswith(SMALL)
        assert container.size == len(seed)


@settings(max_examples=25, deadline=None)
@given(st.binary(min_size=200, max_size=3000), st.binary(max_size=200))
def test_streams_of_the_standard_library_come_back_whole(content, trailer):
    for format, stream in (
        (GZIP[0], gzip.compress(content)),
        (XZ[0], lzma.compress(content, preset=0)),
        (BZIP2[0], bz2.compress(content)),
        (LZMA[0], lzma.compress(content, lzma.FORMAT_ALONE, preset=0)),
    ):
        container = format.open(Memory(stream + trailer), 0)
        assert unpacked(container) == content
        assert container.size == len(stream)
