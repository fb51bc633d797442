"""Android boot images: of mkbootimg where it is installed, and laid out here for all versions."""

from __future__ import annotations

import datetime as dt
import hashlib
import random
import shutil
import struct
import subprocess
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from support.signing import key

from fwcheck.extraction.errors import FormatError, Truncated
from fwcheck.extraction.format import Container
from fwcheck.extraction.formats.android_boot import FORMATS
from fwcheck.extraction.source import Memory

(BOOT,) = FORMATS
CHANCE = random.Random(2)
SECTIONS = {name: CHANCE.randbytes(size) for name, size in
            (("kernel", 9000), ("ramdisk", 3000), ("second", 1000), ("recovery_dtbo", 800), ("dtb", 2500))}  # fmt: skip
WORD = (11 << 14 | 3) << 11 | 21 << 4 | 4


def paged(data: bytes, page: int) -> bytes:
    return data + bytes(-len(data) % page)


def old(version: int, page: int = 2048, *, tree: bytes = b"") -> bytes:
    names = ["kernel", "ramdisk", "second", *(["recovery_dtbo"] if version else []), *(["dtb"] if version > 1 else [])]
    parts = [SECTIONS[name] for name in names]
    if tree:
        parts = [*parts[:3], tree]
    id = hashlib.sha1(b"".join(part + struct.pack("<I", len(part)) for part in parts)).digest()
    sizes = [len(part) for part in parts]
    head = b"ANDROID!" + struct.pack(
        "<10I", sizes[0], 0x8000, sizes[1], 0x1000000, sizes[2], 0xF00000, 0x100, page, len(tree) or version, WORD
    )
    head += b"board".ljust(16, b"\0") + b"console=ttyS0".ljust(512, b"\0") + id.ljust(32, b"\0") + bytes(1024)
    if version:
        head += struct.pack("<IQI", sizes[3], 0, 1648 if version == 1 else 1660)
    if version > 1:
        head += struct.pack("<IQ", sizes[4], 0x1F00000)
    return b"".join(paged(each, page) for each in (head, *parts))


def new(version: int, signature: bytes = b"") -> bytes:
    head = b"ANDROID!" + struct.pack("<4I16xI", 9000, 3000, WORD, 1580 if version == 3 else 1584, version)
    head += b"a=b".ljust(1536, b"\0") + (struct.pack("<I", len(signature)) if version == 4 else b"")
    return b"".join(paged(each, 4096) for each in (head, SECTIONS["kernel"], SECTIONS["ramdisk"], signature))


def der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    length = bytes([len(body)]) if len(body) < 128 else struct.pack(">BH", 0x82, len(body))
    return bytes([tag]) + length + body


@cache
def signature_1(image: bytes) -> bytes:
    """As boot_signer makes it: over the image and the attributes, with a certificate inside."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Android")])
    begin = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key().public_key(), 7).not_valid_before(begin)
    certificate = builder.not_valid_after(begin + dt.timedelta(9)).sign(key(), hashes.SHA256()).public_bytes(Encoding.DER)
    attributes = der(0x30, der(0x13, b"/boot"), der(2, len(image).to_bytes(4, "big")))
    signature = key().sign(image + attributes, padding.PKCS1v15(), hashes.SHA256())
    algorithm = der(0x30, der(6, bytes.fromhex("2a864886f70d01010b")), b"\5\0")
    return der(0x30, der(2, b"\1"), certificate, algorithm, attributes, der(4, signature))


def seeds() -> list[bytes]:
    return [old(0, tree=b"QCDT" + bytes(200)), old(2), new(3), new(4, b"S" * 500), old(1) + signature_1(old(1))]


def opened(data: bytes, offset: int = 0) -> tuple[Container, dict[str, bytes]]:
    container = BOOT.open(Memory(data), offset)
    members = {}
    for entry in container.entries:
        assert entry.open is not None
        members[entry.path] = entry.open().read(0, entry.size)
        assert entry.offset is not None
        assert data[entry.offset : entry.offset + entry.size] == members[entry.path]
    return container, members


@pytest.mark.parametrize("version", [0, 1, 2])
def test_sections_of_the_old_header(version: int) -> None:
    data = old(version)
    container, members = opened(b"R" * 100 + data + b"T" * 99, 100)
    assert container.size == len(data)
    names = ["kernel", "ramdisk", "second", "recovery_dtbo", "dtb"][: 3 + version]
    assert members == {name: SECTIONS[name] for name in names}
    expected = {
        "os_version": "11.0.3", "os_patch_level": "2021-04", "cmdline": "console=ttyS0", "name": "board",
        "integrity": "hash", "integrity_detail": "SHA-1 id right", "kernel_address": "0x00008000",
    }  # fmt: skip
    assert expected.items() <= container.detail.items()
    assert container.problems == []


def test_a_device_tree_of_a_vendor() -> None:
    container, members = opened(old(0, tree=b"QCDT" + bytes(96)))
    assert members["dt"] == b"QCDT" + bytes(96)
    assert container.detail["integrity_detail"] == "SHA-1 id right"


@pytest.mark.parametrize("version", [3, 4])
def test_sections_of_the_new_header(version: int) -> None:
    data = new(version, b"S" * 500 if version == 4 else b"")
    container, members = opened(data + b"T" * 10)
    assert container.size == len(data)
    assert members["kernel"] == SECTIONS["kernel"]
    assert members["ramdisk"] == SECTIONS["ramdisk"]
    assert ("boot_signature" in members) is (version == 4)
    assert container.detail["integrity"] == ("signature" if version == 4 else "none")
    assert container.detail["cmdline"] == "a=b"


def test_a_changed_section_makes_the_id_wrong() -> None:
    data = bytearray(old(1))
    data[2048] ^= 1
    container, _ = opened(bytes(data))
    assert container.detail["integrity_detail"] == "SHA-1 id wrong"
    assert container.problems


@pytest.mark.parametrize("wrong", [False, True])
def test_a_signature_of_verified_boot_1_is_verified(*, wrong: bool) -> None:
    data = old(0) + signature_1(old(0))
    if wrong:
        data = data[:2048] + bytes([data[2048] ^ 1]) + data[2049:]
    container, _ = opened(data + b"T" * 9)
    assert container.size == len(data)
    assert container.detail["integrity"] == "signature"
    assert container.detail["signature_target"] == "/boot"
    assert container.detail["signer"] == "CN=Android"
    verdict = "wrong" if wrong else "right by the certificate inside"
    assert str(container.detail["integrity_detail"]).endswith(f"verified boot 1.0 signature for /boot: {verdict}")
    assert bool(container.problems) is wrong


def test_a_signature_made_for_another_length_is_wrong() -> None:
    container, _ = opened(old(0) + signature_1(old(0) + bytes(2048)))
    assert "signature for /boot: wrong" in str(container.detail["integrity_detail"])


def test_what_is_cut_off() -> None:
    container, members = opened(old(1)[:-2000])
    assert any("there" in problem for problem in container.problems)
    assert members["kernel"] == SECTIONS["kernel"]
    with pytest.raises(Truncated):
        BOOT.open(Memory(old(1)[:4000]), 0)
    for data in (b"ANDROID!", b"ANDROID!" + bytes(3000), b"ANDROID!" + b"\xff" * 3000):
        with pytest.raises(FormatError):
            BOOT.open(Memory(data), 0)


@pytest.mark.parametrize("version", ["0", "3"])
def test_images_of_mkbootimg(tmp_path: Path, version: str) -> None:
    if not shutil.which("mkbootimg"):
        pytest.skip("mkbootimg is not installed (Debian package mkbootimg)")
    arguments = ["--header_version", version, "--os_version", "11.0.3", "--os_patch_level", "2021-04-05", "--cmdline", "a b"]
    for name in ("kernel", "ramdisk", *(["second"] if version == "0" else [])):
        (tmp_path / name).write_bytes(SECTIONS[name])
        arguments += [f"--{name}", str(tmp_path / name)]
    image = tmp_path / "image"
    subprocess.run(["mkbootimg", *arguments, "-o", str(image)], check=True, capture_output=True)
    container, members = opened(image.read_bytes())
    assert members["kernel"] == SECTIONS["kernel"]
    assert members["ramdisk"] == SECTIONS["ramdisk"]
    assert container.size == image.stat().st_size
    assert {"cmdline": "a b", "os_version": "11.0.3", "os_patch_level": "2021-04"}.items() <= container.detail.items()
    assert container.problems == []
    if version == "0":
        assert container.detail["integrity_detail"] == "SHA-1 id right"
