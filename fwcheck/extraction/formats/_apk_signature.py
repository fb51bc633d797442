"""Signatures of Android packages: the APK signing block in front of the ZIP directory, versions 2, 3 and 3.1.

The block: u64 size, pairs of u64 length, u32 id and value, the size again, and ``APK Sig Block 42``. A value is a list of
signers; one is signed data, (version 3: the range of Android versions,) signatures, and the public key; all with their length in
32 bits in front. The signed data begin with digests of the content and certificates. The content is cut into pieces of 1 MiB:
what stands in front of the block, the directory, and the end record as if the block were not there; each piece is hashed behind
0xA5 and its length, all of these behind 0x5A and their number. Source: Android "APK Signature Scheme v2", "v3", "v3.1".
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from fwcheck.extraction.source import ByteSource
from fwcheck.model import SignedBlock

_MAGIC: Final = b"APK Sig Block 42"
_BLOCK_LIMIT: Final = 4 << 20
_PAIRS: Final = 64
_SIGNERS: Final = 4
_PIECE: Final = 1 << 20
_VERSIONS: Final = {0x7109871A: "v2", 0xF05368C0: "v3", 0x1B93AD61: "v3.1"}
_Algorithm = Literal["RSA", "ECDSA", "unknown"]
_Padding = Literal["", "pkcs1v15", "pss"]
# id: algorithm, hash, padding; ids with 0x0400 have a hash tree for a digest
_ALGORITHMS: Final[dict[int, tuple[_Algorithm, str, _Padding]]] = {
    0x0101: ("RSA", "sha256", "pss"), 0x0102: ("RSA", "sha512", "pss"), 0x0103: ("RSA", "sha256", "pkcs1v15"),
    0x0104: ("RSA", "sha512", "pkcs1v15"), 0x0201: ("ECDSA", "sha256", ""), 0x0202: ("ECDSA", "sha512", ""),
    0x0301: ("unknown", "sha256", ""), 0x0421: ("RSA", "sha256", "pkcs1v15"), 0x0423: ("ECDSA", "sha256", ""),
    0x0425: ("unknown", "sha256", ""),
}  # fmt: skip
_TREE: Final = 0x0400


class Layout(NamedTuple):
    """Where the parts of an archive lie in its source."""

    begin: int
    directory: int
    end_record: int
    end: int


class _Short(Exception):
    """A length reaches beyond what is there."""


def apk_signatures(source: ByteSource, layout: Layout) -> tuple[SignedBlock, ...]:
    """What is signed, ready to be verified; none for an archive without such a block, or with a broken one."""
    footer = source.peek(layout.directory - 24, 24) if layout.directory - layout.begin >= 32 else b""
    if footer[8:] != _MAGIC:
        return ()
    size = int.from_bytes(footer[:8], "little")
    start = layout.directory - size - 8
    if not 24 <= size <= _BLOCK_LIMIT or start < layout.begin or source.peek(start, 8) != footer[:8]:
        return ()
    found: list[SignedBlock] = []
    digests: dict[str, bytes] = {}
    for id, value in _pairs(source.read(start + 8, size - 24)):
        try:
            found += _signers(source, layout, start, _VERSIONS[id], value, digests) if id in _VERSIONS else ()
        except (_Short, struct.error):
            words = "package, a signature that cannot be read"
            found.append(SignedBlock(scheme=f"APK {_VERSIONS[id]}", covers=words, role="content"))
    return tuple(found)


def _pairs(raw: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    for _ in range(_PAIRS):
        if at + 12 > len(raw):
            return
        length = int.from_bytes(raw[at : at + 8], "little")
        if not 4 <= length <= len(raw) - at - 8:
            return
        yield int.from_bytes(raw[at + 8 : at + 12], "little"), raw[at + 12 : at + 8 + length]
        at += 8 + length


def _taken(raw: bytes, at: int = 0) -> tuple[bytes, int]:
    """What stands behind a length of 32 bits, and the offset behind it."""
    end = at + 4 + int.from_bytes(raw[at : at + 4], "little")
    if at + 4 > len(raw) or end > len(raw):
        raise _Short
    return raw[at + 4 : end], end


def _list(raw: bytes) -> list[bytes]:
    found: list[bytes] = []
    at = 0
    while at < len(raw) and len(found) < _PAIRS:
        one, at = _taken(raw, at)
        found.append(one)
    return found


def _signers(
    source: ByteSource, layout: Layout, block: int, version: str, value: bytes, digests: dict[str, bytes]
) -> Iterator[SignedBlock]:
    for signer in _list(_taken(value)[0])[:_SIGNERS]:
        signed, at = _taken(signer)
        signatures, at = _taken(signer, at + (0 if version == "v2" else 8))
        key, _ = _taken(signer, at)
        stored, behind = _taken(signed)
        certificates = _list(_taken(signed, behind)[0])
        wanted = {int.from_bytes(each[:4], "little"): _taken(each, 4)[0] for each in _list(stored)}
        # Android takes the strongest one that it knows.
        every = [(int.from_bytes(each[:4], "little"), _taken(each, 4)[0]) for each in _list(signatures)]
        known = sorted((each for each in every if each[0] in _ALGORITHMS), key=_strength)
        if not known:
            yield SignedBlock(scheme=f"APK {version}", covers="package", carried=key, role="content")
            continue
        id, signature = known[-1]
        algorithm, hash, padding = _ALGORITHMS[id]
        intact = None
        if not id & _TREE and id in wanted:
            if hash not in digests:
                digests[hash] = _content(source, layout, block, hash)
            intact = digests[hash] == wanted[id]
        yield SignedBlock(
            scheme=f"APK {version}", algorithm=algorithm, hash=hash, padding=padding, signature=signature, carried=key,
            digest=hashlib.new(hash, signed).digest(), chain=tuple(certificates[:16]), covers="package", intact=intact,
            key_hint=hashlib.sha256(certificates[0]).hexdigest() if certificates else "", role="content",
        )  # fmt: skip


def _strength(each: tuple[int, bytes]) -> tuple[bool, str]:
    return each[0] & _TREE == 0, _ALGORITHMS[each[0]][1]


def _content(source: ByteSource, layout: Layout, block: int, hash: str) -> bytes:
    """The digest of the whole package without the signing block."""
    end = bytearray(source.read(layout.end_record, layout.end - layout.end_record))
    end[16:20] = (block - layout.begin).to_bytes(4, "little")
    pieces = [(layout.begin, block), (layout.directory, layout.end_record)]
    values: list[bytes] = []
    for begin, stop in pieces:
        for at in range(begin, stop, _PIECE):
            values.append(_piece(hash, source.read(at, min(_PIECE, stop - at))))
    values.append(_piece(hash, bytes(end)))
    return hashlib.new(hash, b"\x5a" + len(values).to_bytes(4, "little") + b"".join(values)).digest()


def _piece(hash: str, raw: bytes) -> bytes:
    return hashlib.new(hash, b"\xa5" + len(raw).to_bytes(4, "little") + raw).digest()
