"""What is as even as a cipher's, what is only packed, and what is plain under a short XOR key are told apart."""

from __future__ import annotations

import bz2
import lzma
import random
import zlib

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fwcheck.extraction.coverage import Class, classify, looks_ecb
from fwcheck.extraction.evenness import SAMPLED, Evenness, evenness, xor_key
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

CHANCE = random.Random(11)


def prose(size: int) -> bytes:
    """Text that packs badly enough to give as much packed data."""
    words = [bytes(CHANCE.choices(range(97, 123), k=CHANCE.randint(2, 9))) for _ in range(3000)]
    out = bytearray()
    while len(out) < size:
        out += CHANCE.choice(words) + b" "
    return bytes(out[:size])


def firmware(size: int = 96 << 10) -> bytes:
    """A boot loader as it looks in flash: code, a banner, filling."""
    code = b"".join(CHANCE.choice((b"\xe5\x9f\xf0\x14", b"\xe1\xa0\x00\x0f", CHANCE.randbytes(4))) for _ in range(6000))
    return (code + b"U-Boot 2013.07 (Mar 01 2018 - 10:00:00)\0" + bytes(20_000) + code).ljust(size, b"\xff")


def enciphered(data: bytes, mode: modes.Mode) -> bytes:
    return Cipher(algorithms.AES(b"0123456789abcdef"), mode).encryptor().update(data[: len(data) & ~15])


def explored(data: bytes):
    source = Memory(data)
    source.origin = 0  # as if it were the image
    return Explorer(Limits()).explore(source, ("image",), 0)


def test_chi_square_is_that_of_the_definition():
    assert Evenness(b"").chi_square == 0.0
    assert Evenness(bytes(range(256)) * 4).chi_square == 0.0
    assert Evenness(b"a" * 256).chi_square == pytest.approx(255 * 256)  # (256 - 1)^2 + 255 cells with 1


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_and_ciphertext_are_like_a_cipher(seed):
    assert evenness(Memory(random.Random(seed).randbytes(SAMPLED * 3)), 0, SAMPLED * 3).like_cipher
    assert evenness(Memory(enciphered(firmware(), modes.CBC(bytes([seed]) * 16))), 0, 90_000).like_cipher


def test_a_header_and_a_table_do_not_hide_a_cipher():
    data = bytes(600) + b"header" + enciphered(firmware() * 20, modes.CBC(bytes(16)))
    looked = evenness(Memory(data), 0, len(data))
    assert abs(looked.chi_square - 255) > 500
    assert looked.like_cipher
    assert "as even as a cipher's" in looked.reason(Class.ENCRYPTED)


@pytest.mark.parametrize("pack", [zlib.compress, bz2.compress])
def test_packed_data_are_not(pack):
    data = pack(prose(900_000))
    looked = evenness(Memory(data), 0, len(data))
    assert looked.entropy > 7.9
    assert not looked.like_cipher
    assert "packed" in looked.reason(Class.ENCRYPTED)


def test_the_sample_is_taken_from_all_over_the_region():
    data = CHANCE.randbytes(1 << 20) + bytes(1 << 20)
    assert 0.4 < evenness(Memory(data), 0, len(data)).sample.count(0) / SAMPLED < 0.6
    assert len(evenness(Memory(data), 5, SAMPLED + 9).sample) == SAMPLED
    assert evenness(Memory(data), len(data) - 3, 3).sample == bytes(3)


def test_every_unread_region_carries_its_figures():
    random_bytes = CHANCE.randbytes(200_000)
    (item,) = [item for item in explored(random_bytes + b"\xff" * 8192).items if item.readable]
    assert float(item.node.detail["entropy"]) > 7.99
    assert abs(float(item.node.detail["chi_square"]) - 255) < 91


def test_block_by_block_encryption_is_told_by_its_repeated_blocks():
    data = enciphered(firmware(), modes.ECB())
    (region,) = classify(Memory(data[: 24 << 10]), 0, 24 << 10)
    assert region == (0, 24 << 10, Class.ENCRYPTED)
    assert not looks_ecb(enciphered(firmware(), modes.CBC(bytes(16))))
    assert not looks_ecb(lzma.compress(prose(60_000))[:8000] + bytes(4096) + lzma.compress(prose(60_000))[:4000])
    looked = evenness(Memory(data), 0, 24 << 10)
    assert not looked.like_cipher
    assert "ECB" in looked.reason(Class.ENCRYPTED)


@pytest.mark.parametrize("key", [b"\x5a", b"\x13\x37", b"\xde\xad\xbe\xef", CHANCE.randbytes(16), CHANCE.randbytes(41)])
def test_a_repeating_xor_key_is_found(key):
    plain = firmware()
    data = bytes(a ^ key[at % len(key)] for at, a in enumerate(plain))
    found = xor_key(Memory(b"\0" * 16 + data), 16, len(data))
    assert found is not None
    assert found[0] == key
    assert "U-Boot" in found[1]


@pytest.mark.parametrize(
    "data", [firmware(), prose(60_000), CHANCE.randbytes(100_000), zlib.compress(prose(300_000)), bytes(70_000)]
)
def test_no_key_is_found_where_there_is_none(data):
    assert xor_key(Memory(data), 0, len(data)) is None


def test_a_xored_region_is_a_gap_that_says_so():
    data = bytes(each ^ 0xA5 for each in firmware())
    found = explored(data)
    assert any(item.node.detail.get("xor_key") == "a5" for item in found.items)
    assert any("XOR" in gap.reason and "U-Boot" in gap.reason for gap in found.gaps)
