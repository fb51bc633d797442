"""MINIFS: files out of shared chunks, in both byte orders."""

from __future__ import annotations

import lzma
import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.minifs import FORMATS
from fwcheck.extraction.source import Memory

MINIFS = FORMATS[0]
CHUNKS = [{"/web/index.htm": b"<html>" * 100, "/web/a.js": b"var a;" * 50}, {"/conf/key.pem": b"-----BEGIN" * 30}]
FILES = {path: data for chunk in CHUNKS for path, data in chunk.items()}


def packed(data: bytes) -> bytes:
    stream = lzma.compress(data, lzma.FORMAT_ALONE, filters=[{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 23}])
    return stream[:5] + struct.pack("<Q", len(data)) + stream[13:]


def minifs(sign: str = ">", escape: bool = False) -> bytes:
    names, files, table, body = b"", b"", b"", b""
    places: dict[str, int] = {}
    for number, chunk in enumerate(CHUNKS):
        begin = 0
        for path, data in chunk.items():
            directory, _, name = path.lstrip("/").rpartition("/")
            for each in (directory, name):
                if each not in places:
                    places[each] = len(names)
                    names += (b"../" if escape else b"") + each.encode() + b"\0"
            files += struct.pack(f"{sign}5I", places[directory], places[name], number, begin, len(data))
            begin += len(data)
        stream = packed(b"".join(chunk.values()))
        table += struct.pack(f"{sign}3I", len(body), len(stream), begin)
        body += stream
    head = b"MINIFS".ljust(16, b"\0") + struct.pack(f"{sign}4I", 1, len(FILES), 0, len(names))
    return head + names + files + table + body


def seeds() -> list[bytes]:
    return [minifs(">"), minifs("<")]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


@pytest.mark.parametrize("sign", [">", "<"])
def test_all_files_are_given(sign):
    container = MINIFS.open(Memory(b"?" * 4 + minifs(sign) + b"tail"), 4)
    assert contents(container) == FILES
    assert (container.size, container.problems) == (len(minifs(sign)), [])


def test_names_that_leave_the_root_are_kept_inside_and_told():
    container = MINIFS.open(Memory(minifs(escape=True)), 0)
    assert all(".." not in path for path in contents(container))
    assert container.problems


def test_a_cut_file_system_gives_the_files_of_whole_chunks():
    container = MINIFS.open(Memory(minifs()[:-10]), 0)
    assert list(contents(container)) == ["/web/index.htm", "/web/a.js"]
    assert container.problems
    with pytest.raises(FormatError):
        MINIFS.open(Memory(minifs()[:60]), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(minifs(), 60):
        exercise(MINIFS, data)
