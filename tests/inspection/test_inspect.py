"""One content, its facts: the parts together, large contents as streams, and what is promised for every content."""

import hashlib
import random
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwcheck.inspection import elf, keys
from fwcheck.inspection import inspect as module
from fwcheck.inspection.inspect import INSPECTOR_VERSION, entropy_of, inspect, inspect_stream
from fwcheck.model import Facts

ZLIB = b"\0 deflate 1.2.11 Copyright 1995-2017 Jean-loup Gailly and Mark Adler \0"
HASH = b"\nroot:$1$GTN.gpri$DlSyKvZKMR9A9Uj9e9wR3/:0:0:root:/:/bin/sh\n"


def test_a_script_has_kind_interpreter_text_and_hash():
    content = b"#!/bin/sh\ntelnetd -l /bin/sh &\n"
    facts = inspect(content)
    assert (facts.kind, facts.interpreter, facts.text) == ("script", "/bin/sh", content.decode())
    assert (facts.sha256, facts.size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert [hit.rule for hit in facts.patterns] == ["telnetd-shell"]
    assert facts.entropy is None


def test_empty_content_has_facts():
    facts = inspect(b"")
    assert (facts.kind, facts.size, facts.text, facts.problems) == ("empty", 0, None, ())


def test_a_broken_elf_file_is_told_and_keeps_its_other_facts():
    facts = inspect(b"\x7fELF" + b"\xff" * 100 + HASH)
    assert facts.kind == "elf"
    assert facts.elf is None
    assert len(facts.problems) == 1
    assert facts.problems[0].startswith("elf: ")
    assert any(hit.rule == "crypt-md5" for hit in facts.patterns)


class Panic(BaseException):
    """What a native library may raise beside Exception."""


@pytest.mark.parametrize("error", [RuntimeError("x"), MemoryError(), RecursionError(), Panic("rust")])
def test_a_fault_of_one_inspector_costs_its_own_facts_alone(monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(elf, "read_elf", fail)
    monkeypatch.setattr(keys, "read_keys", fail)
    facts = inspect(b"\x7fELF" + bytes(100) + HASH)
    assert {problem.split(":")[0] for problem in facts.problems} == {"elf", "keys"}
    assert facts.patterns


def test_an_interrupt_is_not_swallowed(monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(elf, "read_elf", stop)
    with pytest.raises(KeyboardInterrupt):
        inspect(b"\x7fELF" + bytes(100))


def test_entropy_is_given_for_binary_contents():
    assert inspect(random.Random(1).randbytes(1 << 20)).entropy > 7.99
    assert inspect(bytes(range(4)) * 1000).entropy == 2.0
    assert inspect(bytes(100)).entropy is None
    assert entropy_of(b"\0" * 2048) == 0


def test_entropy_of_a_large_content_sees_all_its_parts():
    content = bytes(1 << 20) + random.Random(1).randbytes(1 << 20)
    assert 4 < entropy_of(content) < 6


def stream(content, size):
    return inspect_stream((memoryview(content)[at : at + size] for at in range(0, len(content), size)), len(content))


@pytest.mark.parametrize("chunk", [1 << 20, 999_983, 6 << 20])
def test_a_stream_says_what_the_whole_content_says(chunk):
    noise = bytearray(random.Random(5).randbytes(9 << 20))
    piece = module._PIECE
    for number, at in enumerate((7, piece - 70_000, piece - 65_540, piece - 131_090, piece - 30, piece + 10, (8 << 20) + 1)):
        text = b"\0rtsp://admin:pass%03d@10.0.0.1/x\0" % number
        noise[at : at + len(text)] = text
    content = bytes(noise) + ZLIB
    whole, streamed = inspect(content), stream(content, chunk)
    assert streamed.sha256 == whole.sha256
    assert streamed.size == whole.size
    assert streamed.kind == whole.kind == "binary"
    assert streamed.patterns == whole.patterns
    assert len(whole.patterns) == 7
    assert streamed.banners == whole.banners
    assert whole.banners
    assert streamed.keys == whole.keys
    assert streamed.text is None


def test_a_stream_that_ends_early_is_told():
    facts = inspect_stream([b"abc"], 10)
    assert facts.size == 3
    assert facts.problems == ("content ended after 3 of 10 bytes",)
    assert inspect_stream([], 0).kind == "empty"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=2000), st.integers(1, 300))
def test_small_streams_agree_with_contents(content, size):
    whole, streamed = inspect(content), stream(content, size)
    assert (streamed.sha256, streamed.kind, streamed.patterns, streamed.keys) == (
        whole.sha256,
        whole.kind,
        whole.patterns,
        whole.keys,
    )


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=3000))
def test_every_content_has_facts_that_survive_a_round_trip(content):
    facts = inspect(content)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(facts), type=Facts) == facts
    assert inspect(bytearray(content)) == facts


def test_the_version_names_code_and_data():
    assert len(INSPECTOR_VERSION) == 16
    assert module._version() == INSPECTOR_VERSION


def test_the_version_changes_with_the_rules(monkeypatch):
    monkeypatch.setattr(module.yara_rules, "rule_files", lambda: {"other.yar": b"rule x { condition: true }"})
    assert module._version() != INSPECTOR_VERSION


def test_heavy_libraries_are_loaded_when_needed_and_not_before():
    code = (
        "import sys; from fwcheck.inspection.inspect import inspect; inspect(b'plain text\\n');"
        "print([name for name in ('lief', 'cryptography', 'elftools') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
