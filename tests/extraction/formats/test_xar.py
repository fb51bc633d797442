"""xar archives of an independent writer and of libarchive: tree, data with their checksums, checksum of the table."""

from __future__ import annotations

import bz2
import hashlib
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.xar import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(XAR,) = FORMATS
BODY = b"content\n" * 20


def archive(spoil: bool = False, more: str = "", head: str = "") -> bytes:
    heap, listed = bytes(20), ""
    for name, style, packed in (
        ("plain", "octet-stream", BODY), ("packed", "x-gzip", zlib.compress(BODY)), ("bz", "x-bzip2", bz2.compress(BODY)),
    ):  # fmt: skip
        sha = hashlib.sha1(BODY if not spoil else b"other").hexdigest()
        listed += (
            f'<file id="1"><name>{name}</name><type>file</type><mode>0640</mode><uid>7</uid><gid>8</gid><data>'
            f"<offset>{len(heap)}</offset><length>{len(packed)}</length><size>{len(BODY)}</size>"
            f'<encoding style="application/{style}"/><extracted-checksum style="sha1">{sha}</extracted-checksum></data></file>'
        )
        heap += packed
    tree = f'<file id="9"><name>d</name><type>directory</type><mode>0750</mode>{listed}</file>'
    link = '<file id="8"><name>link</name><type>symlink</type><link type="file">d/plain</link></file>'
    toc = f'<checksum style="sha1"><offset>0</offset><size>20</size></checksum>{tree}{link}{more}'
    text = f'<?xml version="1.0" encoding="UTF-8"?>{head}<xar><toc>{toc}</toc></xar>'.encode()
    table = zlib.compress(text)
    header = struct.pack(">4sHHQQI", b"xar!", 28, 1, len(table), len(text), 1)
    return header + table + hashlib.sha1(table).digest() + heap[20:]


def seeds() -> list[bytes]:
    return [archive()]


def opened(data: bytes, offset: int = 0):
    container = XAR.open(Memory(data), offset)
    return container, {entry.path: entry for entry in container.entries}


def test_a_tree_with_its_data() -> None:
    container, entries = opened(b"rubbish!" + archive() + b"behind", 8)
    assert (container.size, container.problems) == (len(archive()), [])
    assert container.detail == {"integrity": "hash", "integrity_detail": "sha1 of the table right", "members": 5}
    assert list(entries) == ["/d", "/d/plain", "/d/packed", "/d/bz", "/link"]
    for name in ("plain", "packed", "bz"):
        entry = entries[f"/d/{name}"]
        assert (entry.open().read(0, entry.size), entry.mode, entry.uid, entry.gid) == (BODY, 0o640, 7, 8)
    assert (entries["/d"].kind, entries["/link"].target) == (NodeKind.DIRECTORY, "d/plain")


def test_wrong_checksums_are_said() -> None:
    with pytest.raises(FormatError, match="sha1 of the content"):
        opened(archive(spoil=True))[1]["/d/plain"].open()
    data = archive()
    at = 28 + int.from_bytes(data[8:16], "big")
    container, _ = opened(data[:at] + bytes(20) + data[at + 20 :])
    assert container.problems == ["the sha1 of the table is wrong"]


def test_a_signature_is_told() -> None:
    more = '<signature style="RSA"><offset>0</offset><size>20</size></signature>'
    detail = opened(archive(more=more))[0].detail
    assert (detail["integrity"], detail["integrity_detail"]) == (
        "signature",
        "RSA signature (not verified); sha1 of the table right",
    )


def test_names_do_not_leave_the_archive() -> None:
    _, entries = opened(archive(more="<file><name>../../etc</name><type>directory</type></file><file><name>..</name></file>"))
    assert all(".." not in path.split("/") for path in entries)


@pytest.mark.parametrize(
    "data", [archive(head='<!DOCTYPE x [<!ENTITY a "b">]>'), archive()[:60], archive(more="<broken>"), b"xar!" + bytes(40)]
)
def test_tables_that_do_not_hold_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        XAR.open(Memory(data), 0)


def test_what_libarchive_writes(tmp_path: Path) -> None:
    if shutil.which("bsdtar") is None:
        pytest.skip("bsdtar (libarchive-tools) is not installed")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/hi").write_bytes(BODY)
    (tmp_path / "link").symlink_to("d/hi")
    done = subprocess.run(
        ["bsdtar", "--format", "xar", "-cf", "x.xar", "d", "link"], cwd=tmp_path, check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip("this bsdtar does not write xar")
    data = (tmp_path / "x.xar").read_bytes()
    container, entries = opened(data + b"behind")
    # libarchive 3.6 leaves the beginning of the table once more behind the heap.
    assert data[container.size :] in (b"", data[28 : 28 + len(data) - container.size])
    assert container.problems == []
    assert entries["/d/hi"].mtime > 1_600_000_000
    assert entries["/d/hi"].open().read(0, len(BODY)) == BODY
    assert entries["/link"].target == "d/hi"
