"""LUKS headers: of cryptsetup where it is installed, and laid out here."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError, Truncated
from fwcheck.extraction.formats.luks import FORMATS
from fwcheck.extraction.source import Memory

(LUKS,) = FORMATS
NOISE = random.Random(8).randbytes(5000)
UUID = b"01234567-89ab-cdef-0123-456789abcdef"


def one(*, cipher: bytes = b"aes", sector: int = 8) -> bytes:
    head = struct.pack(
        ">6sH32s32s32sII20s32sI40s", b"LUKS\xba\xbe", 1, cipher, b"xts-plain64", b"sha256", sector, 64, b"d", b"s", 1000, UUID
    )
    slots = struct.pack(">II32sII", 0x00AC71F3, 2000, b"salt", 8, 4000) + struct.pack(">II32sII", 0xDEAD, 0, b"", 8, 4000) * 7
    return (head + slots).ljust(4096, b"\0") + NOISE


def body(*, cipher: str = "aes-xts-plain64", size: str = "dynamic") -> bytes:
    return json.dumps({
        "keyslots": {"0": {"type": "luks2", "kdf": {"type": "argon2id", "time": 4, "memory": 65536, "cpus": 2},
                           "area": {"encryption": "aes-xts-plain64"}}},
        "tokens": {"0": {"type": "systemd-tpm2"}},
        "segments": {"0": {"type": "crypt", "offset": "32768", "size": size, "encryption": cipher}},
    }).encode()  # fmt: skip


def two(text: bytes | None = None) -> bytes:
    out = b""
    for magic in (b"LUKS", b"SKUL"):
        head = struct.pack(
            ">6sHQQ48s32s64s40s48sQ184x64s",
            magic + b"\xba\xbe",
            2,
            16384,
            3,
            b"label",
            b"sha256",
            b"x" * 64,
            UUID,
            b"",
            len(out),
            b"",
        )
        whole = head.ljust(4096, b"\0") + (text or body()).ljust(16384 - 4096, b"\0")
        out += whole[:448] + hashlib.sha256(whole).digest() + bytes(32) + whole[512:]
    return out + NOISE


def seeds() -> list[bytes]:
    return [one(), two(), two(body(size="4096"))]


def test_version_1() -> None:
    data = one()
    container = LUKS.open(Memory(b"R" * 512 + data), 512)
    assert container.size == len(data)
    expected = {
        "cipher": "aes-xts-plain64", "hash": "sha256", "key_bits": 512, "uuid": UUID.decode(),
        "keyslots": "0: pbkdf2 (hash sha256, iterations 2000)",
    }  # fmt: skip
    assert expected.items() <= container.detail.items()
    (payload,) = container.entries
    assert (payload.role, payload.offset, payload.size) == ("encrypted", 512 + 4096, len(NOISE))
    assert payload.detail["encryption"] == "LUKS 1, aes-xts-plain64"
    assert payload.open is not None
    assert payload.open().read(0, payload.size) == NOISE


def test_version_2() -> None:
    data = two()
    container = LUKS.open(Memory(data), 0)
    assert container.size == len(data)
    expected = {
        "cipher": "aes-xts-plain64", "label": "label", "tokens": "systemd-tpm2",
        "keyslots": "0: argon2id (time 4, memory 65536, cpus 2), aes-xts-plain64",
        "integrity": "checksum", "integrity_detail": "sha256 of the header right",
    }  # fmt: skip
    assert expected.items() <= container.detail.items()
    (payload,) = container.entries
    assert payload.role == "encrypted"
    assert payload.open is not None
    assert payload.open().read(0, payload.size) == NOISE
    assert container.problems == []


def test_a_size_that_is_stored_is_the_extent() -> None:
    container = LUKS.open(Memory(two(body(size="4096"))), 0)
    assert container.size == 32768 + 4096


def test_the_second_copy_stands_in_for_a_broken_one() -> None:
    data = bytearray(two())
    data[4096 + 5] ^= 1
    container = LUKS.open(Memory(bytes(data)), 0)
    assert container.detail["integrity_detail"] == "sha256 of the header wrong"
    assert container.problems == ["wrong checksum of the header"]
    assert container.detail["cipher"] == "aes-xts-plain64"


@pytest.mark.parametrize("data", [one(cipher=b"cipher_null"), two(body(cipher="cipher_null-ecb"))])
def test_a_cipher_that_is_none_hides_nothing(data: bytes) -> None:
    (payload,) = LUKS.open(Memory(data), 0).entries
    assert payload.role == "part"


def test_what_is_broken_or_elsewhere() -> None:
    with pytest.raises(Truncated):
        LUKS.open(Memory(one(sector=1000)), 0)
    detached = LUKS.open(Memory(one(sector=0)), 0)
    assert detached.size == 4096
    assert detached.problems
    for data in (one()[:500], one()[:8] + b"\xff" * 600, two()[:10000], b"LUKS\xba\xbe\0\2" + b"\xff" * 600):
        with pytest.raises(FormatError):
            LUKS.open(Memory(data), 0)
    nothing = LUKS.open(Memory(two(b"[" * 12000)), 0)
    assert list(nothing.entries) == []
    assert nothing.problems


@pytest.mark.parametrize("version", ["luks1", "luks2"])
def test_volumes_of_cryptsetup(tmp_path: Path, version: str) -> None:
    program = shutil.which("cryptsetup") or shutil.which("cryptsetup", path="/usr/sbin:/sbin")
    if not program:
        pytest.skip("cryptsetup is not installed (Debian package cryptsetup-bin)")
    volume = tmp_path / "volume"
    volume.write_bytes(b"")
    with volume.open("r+b") as stream:
        stream.truncate(18 << 20)
    options = ["--type", version, "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--cipher", "aes-cbc-essiv:sha256"]
    command = [program, "luksFormat", "-q", *options, str(volume), "-"]
    subprocess.run(command, input=b"password", check=True, capture_output=True)
    container = LUKS.open(Memory(volume.read_bytes()), 0)
    assert container.size == 18 << 20
    assert container.problems == []
    assert container.detail["cipher"] == "aes-cbc-essiv:sha256"
    assert str(container.detail["keyslots"]).startswith("0: pbkdf2 (hash sha256, iterations 1000)")
    (payload,) = container.entries
    assert payload.role == "encrypted"
    assert payload.offset is not None
    assert payload.offset + payload.size == 18 << 20
