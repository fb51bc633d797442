"""OpenPGP messages: what is literal comes out, what is encrypted is told with cipher and recipients, of GnuPG and by hand."""

from __future__ import annotations

import base64
import bz2
import random
import shutil
import struct
import subprocess
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.openpgp import FORMATS
from fwcheck.extraction.source import Memory

PGP = FORMATS[0]
CHANCE = random.Random(6)
TEXT = b"configuration = value\n" * 300


def new(tag: int, body: bytes) -> bytes:
    size = len(body)
    length = (
        bytes([size])
        if size < 192
        else struct.pack(">H", size - 192 + 0xC000)
        if size < 8384
        else b"\xff" + struct.pack(">I", size)
    )
    return bytes([0xC0 | tag]) + length + body


def old(tag: int, body: bytes) -> bytes:
    return bytes([0x80 | tag << 2 | 1]) + struct.pack(">H", len(body)) + body


def partial(tag: int, body: bytes) -> bytes:
    out, at = bytearray([0xC0 | tag]), 0
    while len(body) - at > 512:
        out += b"\xe9" + body[at : at + 512]
        at += 512
    rest = body[at:]
    return bytes(out) + (bytes([len(rest)]) if len(rest) < 192 else struct.pack(">H", len(rest) - 192 + 0xC000)) + rest


SYMMETRIC = bytes([4, 9, 3, 8]) + b"saltsalt" + b"\x60"
RECIPIENT = b"\x03" + bytes.fromhex("0123456789abcdef") + b"\x01\x08\x00" + CHANCE.randbytes(256)
LITERAL = b"b\x08conf.txt" + struct.pack(">I", 1_600_000_000) + TEXT
ONE_PASS = b"\x03\x00\x08\x16" + bytes.fromhex("fedcba9876543210") + b"\x01"
SIGNATURE = b"\x04\x00\x16\x08" + bytes(60)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def compressed(method: int, inner: bytes) -> bytes:
    return b"\xa3" + bytes([method]) + {1: raw_deflate, 2: zlib.compress, 3: bz2.compress}[method](inner)


def armored(data: bytes) -> bytes:
    text = base64.encodebytes(data).replace(b"\n", b"")
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"\n".join([b"-----BEGIN PGP MESSAGE-----", b"Version: x", b"", *lines, b"=abcd", b"-----END PGP MESSAGE-----", b""])


SEIPD = b"\x01" + CHANCE.randbytes(5000)


def seeds() -> list[bytes]:
    return [
        new(3, SYMMETRIC) + new(18, SEIPD),
        old(1, RECIPIENT) + partial(18, SEIPD),
        compressed(1, new(4, ONE_PASS) + new(11, LITERAL) + new(2, SIGNATURE)),
        compressed(3, partial(11, LITERAL)),
        new(4, ONE_PASS) + old(11, LITERAL) + new(2, SIGNATURE),
        armored(new(3, SYMMETRIC) + new(18, SEIPD)),
    ]


@pytest.mark.parametrize(
    ("keys", "words"),
    [(new(3, SYMMETRIC), "AES-256, integrity-protected, for a password"), (old(1, RECIPIENT), "for RSA key 0123456789ABCDEF")],
)
@pytest.mark.parametrize("data", [new(18, SEIPD), partial(18, SEIPD)])
def test_encrypted_data_are_told_with_their_recipients(keys, words, data):
    image = keys + data
    container = PGP.open(Memory(image + b"\xff" * 4096), 0)
    (entry,) = container.entries
    assert (container.size, entry.role) == (len(image), "encrypted")
    assert words in entry.detail["encryption"]
    assert entry.open().read(0, entry.size) == SEIPD


@pytest.mark.parametrize("method", [1, 2, 3])
def test_compressed_signed_text_comes_out(method):
    container = PGP.open(Memory(compressed(method, new(4, ONE_PASS) + partial(11, LITERAL) + new(2, SIGNATURE))), 0)
    (entry,) = container.entries
    assert (entry.path, entry.role, entry.open().read(0, entry.size)) == ("conf.txt", "part", TEXT)
    assert container.detail["integrity"] == "signature"
    assert container.detail["integrity_detail"] == "signed by EdDSA key FEDCBA9876543210 over SHA-256 (not verified)"


def test_armor_is_read_up_to_its_last_line():
    data = armored(new(3, SYMMETRIC) + new(18, SEIPD))
    container = PGP.open(Memory(data + b"-- \nsomebody\n"), 0)
    (entry,) = container.entries
    assert (container.size, container.detail["armor"], entry.size) == (len(data), "yes", len(data))
    plain = PGP.open(Memory(armored(new(11, LITERAL))), 0)
    assert [entry.open().read(0, entry.size) for entry in plain.entries] == [TEXT]


@pytest.mark.parametrize(
    "data", [b"\xa3\x01" + TEXT, new(3, SYMMETRIC), b"\x8c\x0d\x04" + TEXT, old(1, RECIPIENT)[:40], armored(b"")]
)
def test_packets_without_data_are_refused(data):
    with pytest.raises(FormatError):
        PGP.open(Memory(data), 0)


def test_messages_of_gnupg_are_read(tmp_path):
    if shutil.which("gpg") is None:
        pytest.skip("gpg is not installed")
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "plain.txt").write_bytes(TEXT)
    command = ["gpg", "--homedir", "home", "--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", "x"]

    def gpg(*options: str) -> bytes:
        subprocess.run([*command, *options], cwd=tmp_path, check=True, stderr=subprocess.DEVNULL)
        return (tmp_path / "out").read_bytes()

    symmetric = gpg("--symmetric", "--cipher-algo", "AES256", "-o", "out", "plain.txt")
    container = PGP.open(Memory(symmetric), 0)
    (entry,) = container.entries
    assert (container.size, entry.role) == (len(symmetric), "encrypted")
    assert "AES-256" in entry.detail["encryption"]
    for options in (["--store"], ["--armor", "--store"]):
        stored = gpg(*options, "-o", "out", "plain.txt")
        if not stored.startswith(b"-----"):
            stored = b"\xa3\0" + stored  # a literal packet alone is no message that can be told from other bytes
        assert [each.open().read(0, each.size) for each in PGP.open(Memory(stored), 0).entries] == [TEXT]
    subprocess.run(["gpgconf", "--homedir", "home", "--kill", "all"], cwd=tmp_path, check=False, capture_output=True)
