"""ZIP archives made by Info-ZIP and the standard library read back as they were written."""

from __future__ import annotations

import io
import shutil
import stat
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.hostile import exercise, mutations, truncations

from fwcheck.extraction.errors import ExtractionError, FormatError, QuotaExceeded
from fwcheck.extraction.format import Container, Entry
from fwcheck.extraction.formats.zip import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(ZIP,) = FORMATS
METHODS = {"stored": zipfile.ZIP_STORED, "deflate": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}
TEXT = b"the quick brown fox jumps over the lazy dog\n" * 9000


class Pipe(io.RawIOBase):
    """A stream that cannot seek: zipfile then writes data descriptors."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.data += bytes(data)  # type: ignore[call-overload]
        return len(bytes(data))  # type: ignore[call-overload]


def archive(
    files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"", *, streamed: bool = False
) -> bytes:
    out = Pipe() if streamed else io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, data in files.items():
            file.writestr(zipfile.ZipInfo(name, (2020, 1, 2, 3, 4, 6)), data, method)
        file.comment = comment
    return bytes(out.data) if isinstance(out, Pipe) else out.getvalue()


def seeds() -> list[bytes]:
    small = {"dir/": b"", "dir/hi": b"hi\n" * 50}
    packed = [archive(small, method) for method in METHODS.values()]
    return [*packed, archive(small, streamed=True, comment=b"more"), secret(99)]


def listing(data: bytes, offset: int = 0) -> tuple[Container, dict[str, Entry]]:
    container = ZIP.open(Memory(data), offset)
    return container, {entry.path: entry for entry in container.entries}


def content(entry: Entry) -> bytes:
    assert entry.open is not None
    source = entry.open()
    assert source.size == entry.size
    return source.read(0, source.size)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_reads_back_at_any_offset_with_the_exact_extent(method: str, streamed: bool) -> None:
    files = {"a/text": TEXT, "empty": b"", "b.bin": bytes(range(256)) * 300}
    data = archive(files, METHODS[method], b"a comment", streamed=streamed)
    container, entries = listing(b"\xff" * 777 + data + b"\xff" * 99, 777)
    assert container.size == len(data)
    assert container.problems == []
    assert {path: content(entry) for path, entry in entries.items()} == {f"/{name}": data for name, data in files.items()}
    assert entries["/a/text"].detail["method"] == method
    assert entries["/a/text"].mtime == 1577934246


def test_what_info_zip_packs_keeps_modes_links_and_times(tmp_path: Path) -> None:
    if shutil.which("zip") is None:
        pytest.skip("zip is not installed")
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    (tree / "bin/su").write_bytes(TEXT)
    (tree / "bin/su").chmod(0o4755)
    (tree / "link").symlink_to("bin/su")
    subprocess.run(["zip", "-q", "-r", "-y", "../out.zip", "."], cwd=tree, check=True)
    container, entries = listing((tmp_path / "out.zip").read_bytes())
    assert container.problems == []
    assert set(entries) == {"/bin", "/bin/su", "/link"}
    info = (tree / "bin/su").stat()
    su = entries["/bin/su"]
    assert (su.mode, su.mtime, su.uid, content(su)) == (stat.S_IMODE(info.st_mode), int(info.st_mtime), info.st_uid, TEXT)
    assert (entries["/link"].kind, entries["/link"].target) == (NodeKind.SYMLINK, "bin/su")
    assert entries["/bin"].kind is NodeKind.DIRECTORY


def test_zip64_records_are_understood() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file, file.open("big", "w", force_zip64=True) as member:
        member.write(TEXT)
    data = out.getvalue()
    assert content(listing(data)[1]["/big"]) == TEXT
    # The end record says "look in the ZIP64 record", which is laid before it.
    end = data.rfind(b"PK\5\6")
    entries, size, offset = struct.unpack_from("<HII", data, end + 10)
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, size, offset)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
    wide = data[:end] + record + locator + data[end : end + 8] + b"\xff" * 12 + b"\0\0"
    assert zipfile.ZipFile(io.BytesIO(wide)).read("big") == TEXT
    container, found = listing(b"HEAD" + wide, 4)
    assert container.size == len(wide)
    assert content(found["/big"]) == TEXT


def secret(method: int = 0, flags: int = 1, strength: int = 3) -> bytes:
    """An archive of one encrypted member: ZipCrypto, strong encryption, or AES as WinZip stores it."""
    extra = struct.pack("<HHH2sBH", 0x9901, 7, 2, b"AE", strength, 8) if method == 99 else b""
    packed, name = bytes(range(100)), b"secret"
    fields = (20, flags, method, 0, 0x5022, 0x12345678, len(packed), 60, len(name), len(extra))
    local = b"PK\3\4" + struct.pack("<HHHHHIIIHH", *fields) + name + extra
    central = b"PK\1\2" + struct.pack("<BBHHHHHIIIHHHHHII", 20, 3, *fields, 0, 0, 0, 0o100600 << 16, 0) + name + extra
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local) + len(packed), 0)
    return local + packed + central + end


@pytest.mark.parametrize(
    ("data", "scheme"),
    [
        (secret(), "ZipCrypto, PKWARE"),
        (secret(flags=0x41), "PKWARE strong encryption"),
        (secret(99), "AES-256-CTR, WinZip AE"),
        (secret(99, strength=1), "AES-128-CTR, WinZip AE"),
    ],
)
def test_encrypted_members_are_told_with_their_scheme(data: bytes, scheme: str) -> None:
    container, entries = listing(b"prefix" + data, 6)
    entry = entries["/secret"]
    assert (container.detail["encrypted"], entry.role, entry.detail["encryption"]) == (1, "encrypted", scheme)
    assert entry.open is not None
    assert entry.open().read(0, 100) == bytes(range(100))
    assert entry.offset is not None
    assert (b"prefix" + data)[entry.offset : entry.offset + 100] == bytes(range(100))


def test_what_info_zip_encrypts_is_told(tmp_path: Path) -> None:
    if shutil.which("zip") is None:
        pytest.skip("zip is not installed")
    (tmp_path / "secret").write_bytes(TEXT)
    subprocess.run(["zip", "-q", "-P", "word", "out.zip", "secret"], cwd=tmp_path, check=True)
    container, entries = listing((tmp_path / "out.zip").read_bytes())
    assert container.detail["encrypted"] == 1
    assert (entries["/secret"].role, entries["/secret"].detail["encryption"]) == ("encrypted", "ZipCrypto, PKWARE")


def test_a_self_extracting_archive_is_found_behind_its_program() -> None:
    program = b"MZ" + bytes(998)
    for data in (program + archive({"a": TEXT}), adjusted(program, archive({"a": TEXT}))):
        container, entries = listing(data, len(program))
        assert (container.size, container.problems) == (len(data) - len(program), [])
        assert content(entries["/a"]) == TEXT


def adjusted(program: bytes, data: bytes) -> bytes:
    """As `zip -A` leaves it: offsets count from the beginning of the program."""
    out = bytearray(program + data)
    end = out.rfind(b"PK\5\6")
    (directory,) = struct.unpack_from("<I", out, end + 16)
    struct.pack_into("<I", out, end + 16, directory + len(program))
    struct.pack_into("<I", out, directory + len(program) + 42, len(program))
    return bytes(out)


def test_members_that_share_their_bytes_are_paid_for_one_by_one() -> None:
    data = bytearray(archive({"a": bytes(1 << 20), "b": b""}))
    second = data.rfind(b"PK\1\2")
    first = data.find(b"PK\1\2")
    data[second + 16 : second + 28] = data[first + 16 : first + 28]  # CRC and sizes of the first
    data[second + 42 : second + 46] = bytes(4)
    limits = Limits(bytes_total=(1 << 20) + 1000).metered()
    entries = {entry.path: entry for entry in ZIP.open(Memory(bytes(data)), 0, limits).entries}
    assert content(entries["/a"]) == bytes(1 << 20)
    with pytest.raises(QuotaExceeded):
        content(entries["/b"])


def test_several_archives_in_one_image_are_told_apart() -> None:
    inner = archive({"inner": b"1"}, zipfile.ZIP_STORED)
    first, second = archive({"x.jar": inner, "y": b"2"}, zipfile.ZIP_STORED), archive({"z": b"3"})
    image = Memory(first + bytes(70_000) + second + bytes(70_000))
    assert ZIP.open(image, 0).size == len(first)
    assert ZIP.open(image, first.index(inner)).size == len(inner)
    assert ZIP.open(image, len(first) + 70_000).size == len(second)


@pytest.mark.parametrize("streamed", [False, True])
def test_without_a_directory_local_headers_are_read(streamed: bool) -> None:
    data = archive({"a": TEXT, "b": b"hello"}, streamed=streamed)
    cut = data[: data.index(b"PK\1\2")]
    container, entries = listing(bytes(100) + cut + b"\xff" * 50, 100)
    assert container.size == len(cut)
    assert content(entries["/a"]) == TEXT
    assert content(entries["/b"]) == b"hello"
    assert any("directory" in problem for problem in container.problems)


def test_names_that_leave_the_archive_stay_inside_and_are_said() -> None:
    container, entries = listing(archive({"../../etc/cron.d/x": b"x", "/abs": b"y"}))
    assert set(entries) == {"/etc/cron.d/x", "/abs"}
    assert entries["/etc/cron.d/x"].detail["stored"] == "../../etc/cron.d/x"
    assert sum("leaves" in problem for problem in container.problems) == 2


def test_a_local_header_with_another_name_is_said() -> None:
    data = archive({"good": b"x" * 50})
    container, entries = listing(data.replace(b"good", b"evil", 1))
    assert set(entries) == {"/good"}
    assert any("evil" in problem for problem in container.problems)


def test_members_that_overlap_are_said() -> None:
    data = bytearray(archive({"a": TEXT, "b": b"other"}))
    second = data.index(b"PK\1\2", data.index(b"PK\1\2") + 1)
    data[second + 42 : second + 46] = bytes(4)
    assert any("overlap" in problem for problem in listing(bytes(data))[0].problems)


def test_stored_members_that_share_their_bytes_are_not_read_without_end() -> None:
    data = bytearray(archive({f"{number:03}": b"x" * (5000 if number == 0 else 0) for number in range(100)}, zipfile.ZIP_STORED))
    first = at = data.find(b"PK\1\2")
    while (at := data.find(b"PK\1\2", at + 4)) > 0:
        data[at + 16 : at + 28] = data[first + 16 : first + 28]
        data[at + 42 : at + 46] = bytes(4)
    container, entries = listing(bytes(data))
    assert content(entries["/001"]) == b"x" * 5000
    with pytest.raises(FormatError, match="shares its bytes"):
        content(entries["/099"])
    assert any("overlap" in line for line in container.problems)


def test_a_member_that_lies_about_its_size_is_refused() -> None:
    data = bytearray(archive({"a": TEXT}))
    at = data.index(b"PK\1\2")
    data[at + 24 : at + 28] = (1000).to_bytes(4, "little")
    with pytest.raises(FormatError, match="declares"):
        listing(bytes(data))[1]["/a"].open()  # type: ignore[misc]


def test_a_bomb_costs_its_quota_and_no_more() -> None:
    data = archive({"bomb": bytes(40 << 20)})
    tight = Limits(ratio=10, ratio_floor=1 << 20)
    (entry,) = ZIP.open(Memory(data), 0, tight).entries
    assert entry.open is not None
    with pytest.raises(QuotaExceeded):
        entry.open()


def test_broken_data_is_refused() -> None:
    data = bytearray(archive({"a": TEXT}))
    data[60] ^= 0xFF
    with pytest.raises(ExtractionError):
        content(listing(bytes(data))[1]["/a"])


def test_zstd_members_are_read() -> None:
    zstandard = pytest.importorskip("zstandard")
    packed = zstandard.ZstdCompressor().compress(TEXT)
    data = bytearray(archive({"a": packed}, zipfile.ZIP_STORED))
    central = data.index(b"PK\1\2")
    for at in (8, central + 10):
        data[at : at + 2] = (93).to_bytes(2, "little")
    import zlib

    for at in (14, central + 16):
        data[at : at + 4] = zlib.crc32(TEXT).to_bytes(4, "little")
    for at in (22, central + 24):
        data[at : at + 4] = len(TEXT).to_bytes(4, "little")
    assert content(listing(bytes(data))[1]["/a"]) == TEXT


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"PK\3\4" + bytes(100), b"PK\3\4\x14\0\0\0\x08\0" + b"\xff" * 400])
def test_what_only_looks_like_zip_is_rejected(data: bytes) -> None:
    with pytest.raises(FormatError):
        ZIP.open(Memory(data), 0)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(min_codepoint=48, max_codepoint=0x3000), min_size=1, max_size=30),
        st.binary(max_size=500),
        max_size=6,
        min_size=1,
    ),
    st.sampled_from(sorted(METHODS.values())),
    st.binary(max_size=40),
)
def test_whatever_the_standard_library_writes_is_read(files: dict[str, bytes], method: int, comment: bytes) -> None:
    files = {name.replace("\\", "_"): data for name, data in files.items()}
    container, entries = listing(archive(files, method, comment))
    assert {path: content(entry) for path, entry in entries.items()} == {f"/{name}": data for name, data in files.items()}
    assert container.problems == []


@pytest.mark.fuzz
def test_hostile_archives_raise_format_errors_alone() -> None:
    files = {"dir/a": TEXT[:5000], "b": bytes(range(200)), "c/link": b"target"}
    for method in METHODS.values():
        for streamed in (False, True):
            data = archive(files, method, b"note", streamed=streamed)
            for cut in truncations(data, 12):
                exercise(ZIP, cut)
            for broken in mutations(data, 0.25, hot=((0, 60), (data.index(b"PK\1\2"), len(data)))):
                exercise(ZIP, broken)
