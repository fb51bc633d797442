"""Hichip updates: pieces come out with their salted MD5, the archive only under published keys and proven by its own."""

from __future__ import annotations

import hashlib
import io
import random
import struct
import zipfile

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.hichip_pkg import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

PKG = FORMATS[0]
KEYS = (b"@Hichip+1208/pkg", b"$Hichip-1208%aes", b"#Hichip*1208=key")


def archive(size: int = 60_000) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as file:
        file.writestr(zipfile.ZipInfo("app", (2020, 1, 1, 0, 0, 0)), random.Random(1).randbytes(size))
    return raw.getvalue()


def enciphered(plain: bytes) -> bytes:
    """Chunk by chunk, as the camera counts them: signatures first, then every sixteenth chunk from the second one on."""
    for meant, stored in ((b"PK\3\4", b"PK\3\7"), (b"PK\1\2", b"PK\1\x08"), (b"PK\5\6", b"PK\5\x09")):
        plain = plain.replace(meant, stored)
    out, turn = bytearray(), 0
    for number in range(-(-len(plain) // 1024)):
        chunk = plain[1024 * number : 1024 * number + 1024]
        if number % 16 == 1:
            whole = len(chunk) // 16 * 16
            context = Cipher(algorithms.AES(KEYS[turn % 3]), modes.ECB()).encryptor()
            chunk = context.update(bytes(each ^ 0x3F for each in chunk[:whole])) + chunk[whole:]
            turn += 1
        out += chunk
    return bytes(out)


def package(plain: bytes, kernel: bytes = b"kernel" * 200) -> bytes:
    def told(data: bytes) -> bytes:
        return hashlib.md5(data + b"IPCAM").hexdigest().encode().ljust(40, b"\0")

    head = b"PIHC" + struct.pack("<7I", 0x1002, 0, 0, len(kernel), 0, 0, len(plain)) + b"V9.1.pkg".ljust(40, b"\0")
    head += bytes(80) + told(kernel) + bytes(80) + told(plain)
    return head.ljust(512, b"\0") + kernel + enciphered(plain)


def seeds() -> list[bytes]:
    return [package(archive(30_000)), package(archive(200))]


def test_pieces_come_out_and_the_archive_is_told():
    data = package(archive())
    container = PKG.open(Memory(b"\xff" * 7 + data + b"\xff" * 7), 7)
    kernel, zipped = container.entries
    assert kernel.open().read(0, kernel.size) == b"kernel" * 200
    assert (zipped.role, container.size, container.problems) == ("encrypted", len(data), [])
    assert container.detail["integrity_detail"].startswith("MD5 with a public salt right for 1 of 2 pieces")


def test_published_keys_open_the_archive_and_its_md5_proves_it():
    plain = archive()
    container = PKG.open(Memory(package(plain)), 0, Limits(published_keys=True))
    zipped = list(container.entries)[1]
    assert (zipped.role, zipped.open().read(0, len(plain))) == ("part", plain)
    broken = bytearray(package(plain))
    broken[-30_000] ^= 1
    closed = list(PKG.open(Memory(broken), 0, Limits(published_keys=True)).entries)[1]
    assert closed.role == "encrypted"


def test_a_small_archive_is_not_enciphered_at_all():
    plain = archive(200)
    zipped = list(PKG.open(Memory(package(plain)), 0).entries)[1]
    assert (zipped.role, zipped.open().read(0, len(plain))) == ("part", plain)


def test_changes_and_cuts_are_told():
    data = bytearray(package(archive()))
    data[600] ^= 1
    assert "kernel: wrong MD5" in PKG.open(Memory(data), 0).problems
    assert any("there" in line for line in PKG.open(Memory(data[:-9]), 0).problems)
    with pytest.raises(FormatError):
        PKG.open(Memory(b"PIHC\2\x10\0\0" + bytes(600)), 0)
