"""vbmeta images and footers, made here as avbtool makes them, with keys of this test."""

from __future__ import annotations

import hashlib
import struct

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from support.hostile import exercise
from support.signing import key

from fwcheck.extraction.errors import FormatError, Truncated
from fwcheck.extraction.format import Container
from fwcheck.extraction.formats.android_vbmeta import FORMATS
from fwcheck.extraction.source import Memory

VBMETA, FOOTER = FORMATS
SALT = b"\xd0\x0d\xf0\x0d"


def public() -> bytes:
    number = key().public_key().public_numbers().n
    inverse = -pow(number, -1, 1 << 32) % (1 << 32)
    return struct.pack(">II", 2048, inverse) + number.to_bytes(256, "big") + pow(1 << 2048, 2, number).to_bytes(256, "big")


def descriptor(tag: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 8)
    return struct.pack(">QQ", tag, len(body)) + body


def hash_descriptor(name: bytes, image: bytes, digest: bytes | None = None) -> bytes:
    digest = digest or hashlib.sha256(SALT + image).digest()
    return descriptor(
        2, struct.pack(">Q32s4I60x", len(image), b"sha256", len(name), len(SALT), len(digest), 0) + name + SALT + digest
    )


def tree_of(image: bytes) -> tuple[bytes, bytes]:
    """Tree and root of SHA-256, blocks of 4 KiB, levels from the top down."""
    level, tree = image, b""
    while len(level) > 4096:
        level = b"".join(hashlib.sha256(SALT + level[at : at + 4096]).digest() for at in range(0, len(level), 4096))
        level += bytes(-len(level) % 4096)
        tree = level + tree
    return tree, hashlib.sha256(SALT + level).digest()


def tree_descriptor(name: bytes, image: bytes, root: bytes, size: int) -> bytes:
    head = struct.pack(
        ">I3QIII2Q32s4I60x", 1, len(image), len(image), size, 4096, 4096, 0, 0, 0, b"sha256", len(name), len(SALT), len(root), 0
    )
    return descriptor(1, head + name + SALT + root)


def vbmeta(described: bytes, algorithm: int = 1, flags: int = 0) -> bytes:
    own = public() if algorithm else b""
    auxiliary = described + own
    auxiliary += bytes(-len(auxiliary) % 64)
    sizes = (320, 0, 32, 32, 256) if algorithm else (0, 0, 0, 0, 0)
    head = struct.pack(
        ">4sII2QI11QII48s80x", b"AVB0", 1, 0, sizes[0], len(auxiliary), algorithm, *sizes[1:], len(described), len(own),
        len(described) + len(own), 0, 0, len(described), 1_700_000_000, flags, 2, b"avbtool 1.2.0",
    )  # fmt: skip
    authentic = b""
    if algorithm:
        sign = key().sign(head + auxiliary, padding.PKCS1v15(), hashes.SHA256())
        authentic = hashlib.sha256(head + auxiliary).digest() + sign + bytes(32)
    return head + authentic + auxiliary


def described() -> bytes:
    return b"".join([
        descriptor(0, struct.pack(">QQ", 7, 5) + b"os.name\0value\0"),
        descriptor(3, struct.pack(">II", 1, 11) + b"dm=verity x"),
        descriptor(4, struct.pack(">4I60x", 3, 6, 8, 0) + b"system" + b"K" * 8),
        hash_descriptor(b"boot", b"elsewhere"),
    ])  # fmt: skip


def partition(image: bytes, size: int, *, tree: bool = False, wrong: bool = False) -> bytes:
    """An image, its tree, its vbmeta image, and the footer at the end."""
    made, root = tree_of(image) if tree else (b"", b"")
    place = image + bytes(-len(image) % 4096) + made
    own = tree_descriptor(b"system", image, root, len(made)) if tree else hash_descriptor(b"boot", image)
    inner = vbmeta(own)
    if wrong:
        place = bytes([place[0] ^ 1]) + place[1:]
    footer = struct.pack(">4sII3Q28x", b"AVBf", 1, 0, len(image), len(place), len(inner))
    body = place + inner
    return body + bytes(size - len(body) - 64) + footer


def seeds() -> list[bytes]:
    unsigned = vbmeta(described(), 0, 2)
    boot = partition(b"kernel" * 1000, 16384)
    return [unsigned, vbmeta(described()), boot, boot[8192:], boot[-64:]]


def opened(data: bytes, offset: int = 0) -> Container:
    container = VBMETA.open(Memory(data), offset)
    assert list(container.entries) == []
    return container


def test_everything_that_is_described_is_told() -> None:
    data = vbmeta(described())
    container = opened(b"R" * 64 + data + b"T" * 64, 64)
    assert container.size == len(data)
    chained = hashlib.sha256(b"K" * 8).hexdigest()
    expected = {
        "algorithm": "SHA256_RSA2048", "flags": "none", "rollback_index": 1_700_000_000, "rollback_index_location": 2,
        "release": "avbtool 1.2.0", "properties": "os.name=value", "cmdline": "dm=verity x",
        "chains": f"system (rollback index location 3, key {chained})", "key_hash": hashlib.sha256(public()).hexdigest(),
        "integrity": "signature",
        "integrity_detail": "SHA256_RSA2048 signature right by the key inside, sha256 right",
    }  # fmt: skip
    assert expected.items() <= container.detail.items()
    assert "boot (sha256 " in str(container.detail["hashes"])
    assert container.problems == []


def test_no_algorithm_is_no_signature() -> None:
    container = opened(vbmeta(described(), 0, 3))
    assert container.detail["integrity"] == "none"
    assert container.detail["flags"] == "hash trees disabled, verification disabled"


def test_a_changed_descriptor_makes_the_signature_wrong() -> None:
    data = bytearray(vbmeta(described()))
    at = data.index(b"dm=verity")
    data[at] ^= 1
    container = opened(bytes(data))
    assert container.detail["integrity_detail"] == "SHA256_RSA2048 signature wrong by the key inside, sha256 wrong"
    assert container.problems


@pytest.mark.parametrize("wrong", [False, True])
def test_the_partition_it_stands_in_is_recomputed(*, wrong: bool) -> None:
    data = partition(b"kernel" * 1000, 16384, wrong=wrong)
    container = opened(data, 8192)
    assert str(container.detail["integrity_detail"]).endswith(f"sha256 of boot {'wrong' if wrong else 'right'}")
    assert bool(container.problems) is wrong
    footer = FOOTER.open(Memory(data), len(data) - 64)
    assert footer.size == 64
    assert {"image_size": 6000, "vbmeta_offset": 8192}.items() <= footer.detail.items()


@pytest.mark.parametrize("wrong", [False, True])
def test_the_hash_tree_of_its_partition_is_recomputed(*, wrong: bool) -> None:
    image = b"".join(struct.pack(">I", number) * 1024 for number in range(300))
    data = partition(image, 2 << 20, tree=True, wrong=wrong)
    made, _ = tree_of(image)
    container = opened(data, len(image) + len(made))
    said = str(container.detail["integrity_detail"])
    assert "hash tree of system: root right, the tree agrees with itself" in said
    assert ("1 of 300 data blocks differ" if wrong else "all data blocks agree with it") in said
    assert bool(container.problems) is wrong


def test_what_is_broken_is_refused_or_told() -> None:
    data = vbmeta(described())
    with pytest.raises(Truncated):
        VBMETA.open(Memory(data[:-1]), 0)
    for other in (data[:200], data[:4] + b"\0\0\0\2" + data[8:], b"AVB0" + b"\xff" * 400):
        with pytest.raises(FormatError):
            VBMETA.open(Memory(other), 0)
    broken = vbmeta(struct.pack(">QQ", 2, 1 << 40) + bytes(16), 0)
    assert any("beyond" in problem for problem in opened(broken).problems)
    assert exercise(FOOTER, b"AVBf" + b"\xff" * 60) is None
