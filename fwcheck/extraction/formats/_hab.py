"""The command sequence of NXP's High Assurance Boot (HABv4): which blocks are signed, by which key, under which root keys.

Numbers are big-endian. Everything has a head of four bytes: tag, length (2), version or flags. The sequence (D4) is as long as
its commands; behind them lie what they point to, by offsets from the begin of the sequence. Install key (BE): protocol (3 the
table of root keys, 9 X.509), hash, source and target index, place. Authenticate data (CA): index of the key, protocol (C5 CMS),
engine, its configuration, place of the signature, then address and length of each block; without blocks it is the commands that
are signed. Certificates and the table of root keys have the tag D7, signatures D8. A root key (E1; algorithm 21) is: two unused,
two of flags, lengths of modulus and exponent (2 + 2), both. The fuses hold the SHA-256 of the SHA-256 of each root key. Sources:
HABv4 API Reference Manual as cited by usbarmory/crucible, NXP's Code Signing Tool.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats import _cms as cms
from fwcheck.extraction.formats._checksums import DIGESTS, digest
from fwcheck.extraction.formats._signed import rsa_key
from fwcheck.extraction.source import ByteSource
from fwcheck.model import SignedBlock

_SEQUENCE, _CERTIFICATE, _SIGNATURE, _KEY = 0xD4, 0xD7, 0xD8, 0xE1
_INSTALL, _AUTHENTICATE = 0xBE, 0xCA
_ROOTS, _X509, _CMS = 0x03, 0x09, 0xC5
_ABSOLUTE: Final = 1
_LONGEST: Final = 64 << 10  # bytes of the sequence and what belongs to it
_COMMANDS: Final = 64
_BLOCKS: Final = 64
_HASHED: Final = 256 << 20  # bytes of all blocks


class Hab(msgspec.Struct, kw_only=True):
    """What a command sequence says. ``keys``: DER of certificates and root keys by the index at which they are installed."""

    detail: dict[str, str | int] = {}
    blocks: list[SignedBlock] = []
    keys: dict[int, bytes] = {}
    roots: list[bytes] = []
    hashed: int = 0


class _Place(msgspec.Struct, frozen=True):
    """Where addresses of the memory lie in the source: ``address`` is at ``offset``."""

    source: ByteSource
    offset: int
    address: int


def sequence(source: ByteSource, offset: int, address: int, at: int, end: int) -> Hab:
    """The sequence at ``at`` bytes behind the table at ``offset``, which is at ``address`` in memory; ``end`` of the image."""
    raw = source.peek(offset + at, min(_LONGEST, max(0, end - at)))
    found = Hab()
    length = _length(raw, 0, _SEQUENCE)
    here, commands = 4, 0
    covered: list[str] = []
    while here + 4 <= length and commands < _COMMANDS:
        size = int.from_bytes(raw[here + 1 : here + 3], "big")
        if size < 4 or here + size > length:
            break
        command = raw[here : here + size]
        if command[0] == _INSTALL and size >= 12 and not command[3] & _ABSOLUTE:
            _install(found, raw, command)
        elif command[0] == _AUTHENTICATE and size >= 12 and command[5] == _CMS and not command[3] & _ABSOLUTE:
            covered += _authenticate(found, raw, length, command, _Place(source, offset, address))
        here, commands = here + size, commands + 1
    if found.roots:
        hashes = b"".join(hashlib.sha256(each).digest() for each in found.roots)
        found.detail["root_key_hash"] = hashlib.sha256(hashes).hexdigest()
    if covered:
        found.detail["signed_blocks"] = ", ".join(covered)[:400]
    return found


def _length(raw: bytes, at: int, tag: int) -> int:
    """The length of what stands at ``at``, 0 when it has another tag or does not fit."""
    size = int.from_bytes(raw[at + 1 : at + 3], "big")
    return size if raw[at : at + 1] == bytes([tag]) and 4 <= size <= len(raw) - at else 0


def _install(found: Hab, raw: bytes, command: bytes) -> None:
    protocol, source, target, at = command[4], command[6], command[7], int.from_bytes(command[8:12], "big")
    size = _length(raw, at, _CERTIFICATE)
    if not size:
        return
    if protocol == _ROOTS:
        found.roots = _root_keys(raw[at + 4 : at + size])
        if source < len(found.roots) and (key := _root(found.roots[source])):
            found.keys[target] = key
            found.detail["root_key"] = source + 1
    elif protocol == _X509:
        body = raw[at + 4 : at + size]
        try:
            found.keys[target] = body[: cms.length(body[:6])]
        except FormatError:
            return


def _root_keys(raw: bytes) -> list[bytes]:
    """The entries of a table of root keys, four at most."""
    out: list[bytes] = []
    at = 0
    while (size := _length(raw, at, _KEY)) and len(out) < 4:
        out.append(raw[at : at + size])
        at += size
    return out


def _root(raw: bytes) -> bytes:
    """A root key as DER; empty for another algorithm than RSA."""
    if len(raw) < 12 or raw[3] != 0x21:
        return b""
    modulus, exponent = struct.unpack_from(">HH", raw, 8)
    numbers = raw[12 : 12 + modulus + exponent]
    return rsa_key(int.from_bytes(numbers[:modulus], "big"), int.from_bytes(numbers[modulus:], "big"))


def _authenticate(found: Hab, raw: bytes, length: int, command: bytes, place: _Place) -> list[str]:
    """Takes one signature; gives the blocks it covers in words."""
    at = int.from_bytes(command[8:12], "big")
    size = _length(raw, at, _SIGNATURE)
    try:
        message = cms.message(raw[at + 4 : at + size])
    except FormatError:
        return []
    parts = list(struct.iter_unpack(">II", command[12 : 12 + (len(command) - 12) // 8 * 8]))[:_BLOCKS]
    digests: dict[str, bytes] = {}
    for kind in {one.digest for one in message.signers} & DIGESTS:
        if not parts:
            digests[kind] = hashlib.new(kind, raw[:length], usedforsecurity=False).digest()
        elif (made := _digest(found, kind, parts, place)) is not None:
            digests[kind] = made
    covers = "the blocks of the image" if parts else "the commands of the sequence"
    for block in cms.blocks(message, digests, "HAB", covers):
        readable = block if digests.get(block.hash) else msgspec.structs.replace(block, digest=b"", message=b"")
        found.blocks.append(msgspec.structs.replace(readable, carried=found.keys.get(command[4], block.carried)))
    return [f"0x{address:08x}+0x{count:x}" for address, count in parts]


def _digest(found: Hab, kind: str, parts: list[tuple[int, int]], place: _Place) -> bytes | None:
    """The digest of blocks of memory; None where one lies outside of what is there."""
    ranges = [(place.offset + address - place.address, count) for address, count in parts]
    found.hashed += sum(count for _, count in ranges)
    if found.hashed > _HASHED or any(begin < 0 or begin + count > place.source.size for begin, count in ranges):
        return None
    return digest(kind, place.source, *ranges)
