"""Output of openssl enc: its extent and its kind are told; only published passwords open it, and only when asked for."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fwcheck.extraction.coverage import Class
from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats.openssl_salted import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

SALTED = FORMATS[0]
KEYS = Limits(published_keys=True)


def salted(data: bytes, password: bytes = b"nobody knows") -> bytes:
    """As `openssl enc -aes-128-cbc -md md5` writes it."""
    salt = b"\1\2\3\4\5\6\7\x08"
    key = hashlib.md5(password + salt).digest()
    context = Cipher(algorithms.AES(key), modes.CBC(hashlib.md5(key + password + salt).digest())).encryptor()
    count = 16 - len(data) % 16
    return b"Salted__" + salt + context.update(data + bytes([count]) * count)


def seeds() -> list[bytes]:
    return [salted(b"x" * 100), salted(b"x" * 20_000) + b"\xff" * 8192, salted(b"\x1f\x8b\x08" + bytes(9000), b"WWzift*v2")]


def test_all_of_it_is_encrypted_and_told():
    data = salted(b"configuration\n" * 3000)
    container = SALTED.open(Memory(data), 0)
    (entry,) = container.entries
    assert (container.size, entry.role, entry.size) == (len(data), "encrypted", len(data) - 16)
    assert entry.open().read(0, entry.size) == data[16:]
    assert "whole blocks of 16 bytes" in entry.detail["encryption"]
    assert container.detail["salt"] == "0102030405060708"


def test_filling_of_the_partition_does_not_belong_to_it():
    data = salted(b"configuration\n" * 3000)
    assert SALTED.open(Memory(data + b"\xff" * 70_000), 0).size == len(data)


def test_a_stream_mode_is_told_by_the_length():
    data = b"Salted__12345678" + random.Random(2).randbytes(5003)
    (entry,) = SALTED.open(Memory(data), 0).entries
    assert "stream mode" in entry.detail["encryption"]


@pytest.mark.parametrize("rest", [b"", b"1234567", b"12345678short", b"12345678" + b"text of a library\0" * 900])
def test_the_word_alone_is_no_ciphertext(rest):
    with pytest.raises(FormatError):
        SALTED.open(Memory(b"Salted__" + rest), 0)


def test_a_published_password_opens_it_only_when_asked_for():
    content = b"\x1f\x8b\x08" + random.Random(3).randbytes(3_000_000)
    data = salted(content, b"WWzift*v2")
    (closed,) = SALTED.open(Memory(data), 0).entries
    assert closed.role == "encrypted"
    container = SALTED.open(Memory(data), 0, KEYS)
    (opened,) = container.entries
    assert opened.open().read(0, len(content)) == content
    assert opened.open().size == len(content)
    assert (opened.role, container.size) == ("part", len(data))


def test_exploring_counts_the_bytes_as_encrypted():
    data = salted(b"configuration\n" * 3000)
    found = Explorer(Limits()).explore(Memory(data), ("image",), 0)
    assert any("OpenSSL enc" in gap.reason and gap.bytes == len(data) - 16 for gap in found.gaps)
    (item,) = [item for item in found.items if item.node.format == Class.ENCRYPTED.name.lower()]
    assert abs(float(item.node.detail["chi_square"]) - 255) < 91
    assert float(item.node.detail["entropy"]) > 7.9


def test_the_program_itself_writes_it(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    (tmp_path / "plain").write_bytes(b"\x1f\x8b\x08" + b"firmware" * 1000)
    command = ["openssl", "enc", "-aes-128-cbc", "-md", "md5", "-k", "Wyift*v2", "-in", "plain", "-out", "cipher"]
    subprocess.run(command, cwd=tmp_path, check=True, stderr=subprocess.DEVNULL)
    data = (tmp_path / "cipher").read_bytes()
    (entry,) = SALTED.open(Memory(data), 0, KEYS).entries
    assert entry.open().read(0, 8003) == (tmp_path / "plain").read_bytes()
