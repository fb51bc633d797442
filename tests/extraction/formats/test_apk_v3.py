"""Packages of apk version 3, written after apk-v3(5): plain, deflate and zstd; files with hashes, links, devices, signatures."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from support.signed import EC, STRANGER, Private, fingerprint, flipped, only, pem, report, sign
from support.signing import key as rsa_key

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.apk_v3 import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(APK,) = FORMATS
HELLO = b"\x7fELF hello"


class Values:
    """The block of values: blobs and objects are appended, words that point at them are given back."""

    def __init__(self) -> None:
        self.data = bytearray(8)

    def put(self, kind: int, raw: bytes, align: int) -> int:
        self.data += bytes(-len(self.data) % align)
        at = len(self.data)
        self.data += raw
        return kind << 28 | at

    def blob(self, raw: bytes) -> int:
        if len(raw) > 255:
            return self.put(9, struct.pack("<H", len(raw)) + raw, 2)
        return self.put(8, bytes([len(raw)]) + raw, 1)

    def number(self, value: int) -> int:
        return 1 << 28 | value if value < 1 << 28 else self.put(2, struct.pack("<I", value), 4)

    def object(self, *fields: int) -> int:
        return self.put(14, struct.pack(f"<{len(fields) + 1}I", len(fields) + 1, *fields), 4)


def block(kind: int, content: bytes, wide: bool = False) -> bytes:
    raw = struct.pack("<II Q", 3 << 30 | kind, 0, 16 + len(content)) if wide else struct.pack("<I", kind << 30 | 4 + len(content))
    return raw + content + bytes(-(len(raw) + len(content)) % 8)


def signature(values: bytes, key: Private, schema: bytes = b"pckg", number: int = 4) -> bytes:
    """As ``adb_trust_write_signatures`` of apk-tools makes it."""
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint) if key is EC else b"rsa"
    head = bytes([0, number]) + hashlib.sha512(point).digest()[:16]
    hashed = hashlib.new({3: "sha256", 4: "sha512"}[number], values).digest()
    return block(1, head + sign(key, schema + head + hashed, digest="sha512"))


def database(signed: bool = True, content: bytes = HELLO, key: Private | None = None, number: int = 4) -> bytes:
    values = Values()

    def file(name: bytes, mode: int, size: int = 0, hashed: bytes = b"", target: bytes = b"") -> int:
        owner = values.object(values.number(mode), values.blob(b"root"), values.blob(b"root"))
        fields = [values.blob(name), owner, values.number(size), values.number(1_700_000_000)]
        return values.object(*fields, values.blob(hashed) if hashed else 0, values.blob(target) if target else 0)

    files = values.object(
        file(b"hello", 0o755, len(HELLO), hashlib.sha256(HELLO).digest()),
        file(b"empty", 0o644),
        file(b"link", 0o777, target=struct.pack("<H", 0o120000) + b"hello"),
        file(b"null", 0o666, target=struct.pack("<HQ", 0o020000, 0x103)),
    )
    folder = values.object(values.blob(b"usr/bin"), values.object(values.number(0o750)), files)
    info = values.object(values.blob(b"hello"), values.blob(b"1.2-r3"), 0, values.blob(b"x" * 300), values.blob(b"mips_24kc"))
    scripts = values.object(0, 0, values.blob(b"#!/bin/sh\n"))
    root = values.object(info, values.object(folder), scripts)
    values.data[4:8] = struct.pack("<I", root)
    out = b"ADB.pckg" + block(0, bytes(values.data)) + (block(1, b"\0\4" + bytes(80)) if signed else b"")
    out += signature(bytes(values.data), key, number=number) if key is not None else b""
    return out + block(2, struct.pack("<II", 1, 1) + content, wide=True)


def packed(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"ADBd" + packer.compress(data) + packer.flush()


def zstd(data: bytes) -> bytes:
    import zstandard

    return b"ADBc\2\3" + zstandard.ZstdCompressor().compress(data)


def seeds() -> list[bytes]:
    return [database(), packed(database(signed=False)), zstd(database()), b"ADBc\0\0" + database()]


def opened(data: bytes, offset: int = 0):
    container = APK.open(Memory(data), offset)
    return container, {entry.path: entry for entry in container.entries}


@pytest.mark.parametrize(("data", "packing"), list(zip(seeds(), ("none", "deflate", "zstd", "none"), strict=True)))
def test_a_package(data: bytes, packing: str) -> None:
    container, entries = opened(b"rubbish!" + data + bytes(20), 8)
    assert (container.size, container.problems) == (len(data), [])
    detail = {key: container.detail[key] for key in ("schema", "packing", "package", "version", "architecture", "scripts")}
    assert list(detail.values()) == ["package", packing, "hello", "1.2-r3", "mips_24kc", "post-install"]
    assert container.detail["integrity"] == ("hash" if packing == "deflate" else "signature")
    assert list(entries) == ["/usr/bin", "/usr/bin/hello", "/usr/bin/empty", "/usr/bin/link", "/usr/bin/null"]
    hello = entries["/usr/bin/hello"]
    assert (hello.open().read(0, hello.size), hello.mode, hello.mtime) == (HELLO, 0o755, 1_700_000_000)
    assert (entries["/usr/bin"].kind, entries["/usr/bin"].mode) == (NodeKind.DIRECTORY, 0o750)
    assert entries["/usr/bin/empty"].open().size == 0
    assert (entries["/usr/bin/link"].target, entries["/usr/bin/null"].device) == ("hello", "c 1:3")


def test_a_changed_content_is_said() -> None:
    with pytest.raises(FormatError, match="sha256 of the content is wrong"):
        opened(packed(database(content=b"\x7fELF evil!")))[1]["/usr/bin/hello"].open()


def test_a_cut_package() -> None:
    container, entries = opened(database()[:-20])
    assert container.problems == ["the last block reaches beyond the end", "/usr/bin/hello has no content in the package"]
    assert entries["/usr/bin/hello"].open is None
    with pytest.raises(FormatError):
        APK.open(Memory(packed(database())[:-20]), 0)


@pytest.mark.parametrize("data", [b"ADB.pckg", b"ADBd" + b"\x55" * 40, packed(b"other"), packed(b""), b"ADBc\2\3" + b"\x55" * 40])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        APK.open(Memory(data), 0)


def test_names_do_not_leave_the_package() -> None:
    _, entries = opened(database().replace(b"usr/bin", b"../../x").replace(b"\x05hello", b"\x05../..", 1))
    assert all(".." not in path.split("/") for path in entries)


@pytest.mark.parametrize(("key", "number"), [(EC, 4), (EC, 3), (rsa_key(), 4)])
@pytest.mark.parametrize("pack", [bytes, packed, zstd])
def test_a_signature_is_verified(key: Private, number: int, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    data = pack(database(signed=False, key=key, number=number))
    signature = only(report(data, tmp_path, pem(key)))
    assert (signature.scheme, signature.state, signature.key) == ("Alpine package", "valid", fingerprint(key))
    assert only(report(data, tmp_path, pem(STRANGER))).state == "unverified"


def test_a_changed_value_breaks_the_signature(tmp_path: Path) -> None:
    data = database(signed=False, key=EC)
    changed = report(flipped(data, data.index(b"1.2-r3")), tmp_path, pem(EC))
    assert only(changed).state == "unverified"  # nothing but the signature tells
    assert report(database(signed=False), tmp_path, pem(EC)).device.signatures == ()
