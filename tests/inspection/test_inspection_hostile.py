"""Hostile contents: no exception, no hang, no unbounded facts."""

import contextlib
import hashlib
import random
import struct
import time
from itertools import chain
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.hostile import mutations, truncations

from fwcheck.inspection.elf import read_elf
from fwcheck.inspection.elf_fallback import read_with_pyelftools
from fwcheck.inspection.elf_judgement import ElfUnreadable
from fwcheck.inspection.inspect import inspect

pytestmark = pytest.mark.fuzz
RSA = rsa.generate_private_key(65537, 1024)
PROGRAMS = [path for path in map(Path, ("/bin/true", "/bin/ls", "/usr/bin/env")) if path.is_file()]


def material() -> bytes:
    parts = []
    for key in (RSA, ec.generate_private_key(ec.SECP256R1())):
        for encoding in (Encoding.PEM, Encoding.DER):
            for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
                parts.append(key.private_bytes(encoding, form, NoEncryption()))
    numbers = RSA.private_numbers()
    fields = [b"ssh-rsa"] + [
        value.to_bytes(value.bit_length() // 8 + 1, "big")
        for value in (65537, numbers.public_numbers.n, numbers.d, numbers.p, numbers.q)
    ]
    parts.append(b"".join(struct.pack(">I", len(field)) + field for field in fields))
    return b"\0\0".join(parts)


@pytest.mark.skipif(not PROGRAMS, reason="no system program to damage")
def test_damaged_programs_give_facts_or_a_reason():
    content = PROGRAMS[0].read_bytes()
    tables = ((0, 64), (len(content) - 3000, len(content)), (64, 1024))
    for damaged in chain(truncations(content, 40), mutations(content, 4.0, hot=tables)):
        facts = inspect(damaged)
        assert facts.elf is not None or facts.problems or facts.kind != "elf"
        assert all(len(name) <= 4096 for name in facts.elf.imports) if facts.elf else True


@pytest.mark.skipif(not PROGRAMS, reason="no system program to damage")
def test_the_second_reader_refuses_in_one_way():
    content = PROGRAMS[0].read_bytes()
    for damaged in chain(truncations(content, 10), mutations(content, 2.0, seed=3, hot=((0, 64), (64, 800)))):
        with contextlib.suppress(ElfUnreadable):
            assert read_with_pyelftools(damaged).reader == "pyelftools"


def test_damaged_keys_are_no_error():
    content = material()
    assert len([key for key in inspect(content).keys if key.private]) == 9
    for damaged in chain(truncations(content, 60), mutations(content, 3.0)):
        facts = inspect(damaged)
        assert not facts.problems
        assert len(facts.keys) <= 20


def test_an_oversized_modulus_costs_no_time():
    def integer(value: bytes) -> bytes:
        return b"\x02\x82" + len(value).to_bytes(2, "big") + value

    big = b"\x7f" + random.Random(1).randbytes(12_000) + b"\x01"
    body = b"\x02\x01\x00" + integer(big) + b"\x02\x03\x01\x00\x01" + integer(big[:9000])
    content = b"\x30\x82" + len(body).to_bytes(2, "big") + body
    host = struct.pack(">I", 7) + b"ssh-rsa" + b"".join(struct.pack(">I", len(each)) + each for each in (b"\1\0\1", big, big))
    begun = time.process_time()
    assert inspect(content + host).keys == ()
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    "content",
    [
        b"-----BEGIN PRIVATE KEY-----\n" * 60_000,
        b"-----BEGIN A-----" + b"A" * (2 << 20) + b"-----END A-----",
        b"\x30\x82\x01\x00\x02\x01\x00\x02\x82" * 120_000,
        b"\x30\x82\x10\x00\x30\x82\x08\x00\xa0\x03\x02\x01\x02\x02" * 80_000,
        b"\0\0\0\x07ssh-rsa\0\0\0\1\3" * 80_000,
        b"ssh-rsa AAAAB3NzaC1yc2E" + b"A" * 3_000_000,
        b"untrusted comment: " + b"x" * 1_000_000,
        b"password=" * 150_000,
        b"http://a:b@" * 120_000,
        b"a:b:1:1:c:d:/e\n" * 80_000,
        b"BusyBox v1.1 " * 100_000,
        b"{" * 1_000_000,
        b"[" * 100_000,
        b"/*" * 500_000,
        b"<!--" * 300_000,
        b"#!" + b" " * 1_000_000,
        b"\xff\xfe" + b"a\0" * 500_000,
        b"telnetd " * 150_000,
        b"curl " * 200_000,
    ],
    ids=lambda content: content[:12].hex(),
)
def test_repetition_is_bounded_in_time_and_facts(content):
    begun = time.process_time()
    facts = inspect(content)
    assert time.process_time() - begun < 5
    assert len(facts.patterns) <= 256
    assert len(facts.banners) <= 256
    assert len(facts.keys) <= 256
    assert len(facts.problems) <= 10


def test_a_symbol_table_of_one_name_is_read_in_bounds():
    """Section sizes that claim the whole file for every table."""
    names = b"\0.symtab\0.strtab\0.shstrtab\0"
    header = b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack("<HHIIIIIHHHHHH", 1, 8, 1, 0, 0, 52, 0, 52, 0, 0, 40, 4, 3)
    sections = bytes(40)
    sections += struct.pack("<10I", 1, 2, 0, 0, 0, 0xFFFFFFFF, 2, 1, 4, 16)
    sections += struct.pack("<10I", 9, 3, 0, 0, 0, 0xFFFFFFFF, 0, 0, 1, 0)
    sections += struct.pack("<10I", 17, 3, 0, 0, 52 + 160, len(names), 0, 0, 1, 0)
    content = header + sections + names + b"\1\0\0\0" * 200_000
    begun = time.process_time()
    try:
        facts = read_elf(content)
    except ElfUnreadable:
        facts = None
    assert time.process_time() - begun < 5
    assert facts is None or len(facts.imports) <= 16384


def test_facts_do_not_depend_on_the_order_of_contents():
    contents = [material(), b"#!/bin/sh\nx=1\n", bytes(5000), *(path.read_bytes() for path in PROGRAMS[:1])]
    first = [inspect(content) for content in contents]
    assert [inspect(content) for content in reversed(contents)] == first[::-1]
    assert [facts.sha256 for facts in first] == [hashlib.sha256(content).hexdigest() for content in contents]
