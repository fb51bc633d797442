"""OSTree static deltas: told by their first key, and searched for the streams of their parts."""

from __future__ import annotations

import lzma
import shutil
import subprocess
from pathlib import Path

import pytest

from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats.ostree_delta import FORMATS
from fwcheck.extraction.limits import DEFAULT
from fwcheck.extraction.source import Memory

(DELTA,) = FORMATS


def delta() -> bytes:
    key = b"deltas/NR/oy0TGb3VuuvYHOtBHteYMW/0\0"
    return b"ostree.endianness\0\0\0\0\0\0\0l\0y" + key + b"\0\0x" + lzma.compress(b"objects " * 200) + b"(yay)" + bytes(40)


def seeds() -> list[bytes]:
    return [delta()]


def test_a_delta_is_told_and_its_parts_are_found() -> None:
    container = DELTA.open(Memory(delta()), 0)
    assert (container.size, container.detail) == (len(delta()), {"inline_parts": 1})
    source = Memory(delta())
    source.origin = 0
    found = Explorer(DEFAULT).explore(source, ("x",), 0)
    assert [item.node.format for item in found.items if item.node.kind == "container"] == ["ostree-delta", "xz"]


def test_what_ostree_writes(tmp_path: Path) -> None:
    if shutil.which("ostree") is None:
        pytest.skip("ostree is not installed")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/file").write_bytes(b"content " * 5000)
    for command in (
        ["init", "--mode=archive"],
        ["commit", "-b", "main", "in"],
        ["static-delta", "generate", "--empty", "--to=main", "--inline", "--filename=x.delta"],
    ):
        subprocess.run(["ostree", "--repo=o", *command], cwd=tmp_path, check=True, capture_output=True)
    data = (tmp_path / "x.delta").read_bytes()
    if not data.startswith(b"ostree.endianness"):
        pytest.skip("this ostree lays another key first")
    assert DELTA.open(Memory(data), 0).detail == {"inline_parts": 1}
