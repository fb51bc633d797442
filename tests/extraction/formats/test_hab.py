"""Signatures of High Assurance Boot: commands, certificates, root keys and blocks, laid out as NXP's tool does it."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from extraction.formats.test_imx import CODE, DCD, START
from support.hostile import exercise, truncations
from support.signed import STRANGER, certificate, cms, flipped, pem, report, rsa_of, rules
from support.signing import key as rsa_key

from fwcheck.extraction.formats.imx import FORMATS
from fwcheck.extraction.source import Memory

IVT = FORMATS[0]
HERE, CSF = START + 0x400, 0x1000
ROOT, FURTHER, IMAGE = rsa_key(), rsa_of(2048), rsa_of(3072)


def head(tag: int, body: bytes, last: int = 0x40) -> bytes:
    return struct.pack(">BHB", tag, 4 + len(body), last) + body


def root_key(key: rsa.RSAPrivateKey) -> bytes:
    numbers = key.public_key().public_numbers()
    modulus, exponent = numbers.n.to_bytes(key.key_size // 8, "big"), numbers.e.to_bytes(3, "big")
    return head(0xE1, struct.pack(">HHHH", 0, 0x80, len(modulus), len(exponent)) + modulus + exponent, 0x21)


def install(protocol: int, target: int, at: int, flags: int = 0, source: int = 0) -> bytes:
    return head(0xBE, bytes([protocol, 0x17, source, target]) + at.to_bytes(4, "big"), flags)


def authenticate(key: int, at: int, *blocks: tuple[int, int]) -> bytes:
    listed = b"".join(struct.pack(">II", *each) for each in blocks)
    return head(0xCA, bytes([key, 0xC5, 0xFF, 0]) + at.to_bytes(4, "big") + listed, 0)


def table() -> bytes:
    """The table of the image, up to the sequence."""
    image = struct.pack("<3I", START, 0x400 + CSF + 0x2000, 0) + DCD
    image = image.ljust(0x400 - 32, b"\0") + CODE
    first = struct.pack("<4s7I", b"\xd1\0\x20\x40", HERE + 0x400, 0, HERE + 44, HERE + 32, HERE, HERE + CSF, 0)
    return (first + image).ljust(CSF, b"\0")


def signed(*, fast: bool = False, blocks: tuple[tuple[int, int], ...] = ((HERE, CSF),)) -> bytes:
    image = table()
    roots = head(0xD7, root_key(FURTHER) + root_key(ROOT))
    held = ROOT if fast else IMAGE
    crt = certificate(held, "IMG", (ROOT, "SRK"))
    certificates = head(0xD7, crt.public_bytes(Encoding.DER) + b"\0")
    covered = b"".join(image[at - HERE : at - HERE + size] for at, size in blocks)
    place, commands = 0, b""
    for _ in range(2):  # the first round tells how long the commands are
        place = 4 + len(commands)
        after = place + len(roots)
        commands = install(3, 0, place, source=1)
        if not fast:
            commands += install(9, 1, after, flags=2) + install(9, 2, after)
            after += len(certificates)
        commands += authenticate(0 if fast else 1, after) + authenticate(0 if fast else 2, after + 0x800, *blocks)
    sequence = head(0xD4, commands)
    first = head(0xD8, cms(held, sequence, certificates=(), held=crt)).ljust(0x800, b"\0")
    second = head(0xD8, cms(held, covered, certificates=(), held=crt))
    body = sequence + roots + (b"" if fast else certificates) + first + second
    return image + body.ljust(0x2000, b"\0")


def seeds() -> list[bytes]:
    return [signed(), signed(fast=True)]


def test_what_is_signed_is_told() -> None:
    container = IVT.open(Memory(b"?" * 4 + signed() + b"tail"), 4)
    assert container.problems == []
    hashes = hashlib.sha256(root_key(FURTHER)).digest() + hashlib.sha256(root_key(ROOT)).digest()
    assert container.detail["root_key_hash"] == hashlib.sha256(hashes).hexdigest()
    assert (container.detail["root_key"], container.detail["signed_blocks"]) == (2, f"0x{HERE:08x}+0x1000")
    assert [each.covers for each in container.signatures] == ["the commands of the sequence", "the blocks of the image"]
    assert all(each.intact for each in container.signatures)


@pytest.mark.parametrize("fast", [False, True])
def test_it_is_verified_with_the_root_key(*, fast: bool, tmp_path: Path) -> None:
    image = signed(fast=fast)
    assert {each.state for each in report(image, tmp_path, pem(ROOT)).device.signatures} == {"valid"}
    assert {each.state for each in report(image, tmp_path, pem(STRANGER)).device.signatures} == {"unverified"}
    changed = report(flipped(image, image.index(CODE) + 5), tmp_path, pem(ROOT))
    assert [each.state for each in changed.device.signatures] == ["valid", "invalid"]
    assert "UPD-011" in rules(changed)
    command = report(flipped(image, CSF + 12), tmp_path, pem(ROOT))
    assert "valid" not in {each.state for each in command.device.signatures if each.covers.startswith("the commands")}


def test_blocks_that_are_not_there_are_told_as_unread(tmp_path: Path) -> None:
    image = signed(blocks=((0x00910000, 64),))
    found = report(image, tmp_path, pem(ROOT))
    assert [each.state for each in found.device.signatures] == ["valid", "unverified"]


def test_truncations_and_broken_lengths_raise_nothing_else() -> None:
    image = signed()
    for data in truncations(image, 60):
        exercise(IVT, data)
    for at in range(CSF, CSF + 120):
        for value in (0, 0xFF):
            exercise(IVT, image[:at] + bytes([value]) + image[at + 1 :])
