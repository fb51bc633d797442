"""Nordic DFU packages: a ZIP archive with firmware, init packets and ``manifest.json`` (nRF5 SDK: bootloader and DFU modules).

The manifest names for each image its binary and its init packet. Secure DFU (SDK 12 and later): the packet is a Protocol
Buffers message ``Packet`` (dfu-cc.proto) with either a command (1) or a signed command (2: command 1, kind of signature 2,
signature 3); a command's init command (2) has firmware version 1, hardware version 2, SoftDevices it runs with 3, type 4, sizes
5 to 7, hash 8 (kind 1, value 2 with its bytes reversed) and whether it is a debug build 9. Legacy DFU: u16 device, u16
revision, u32 version, u16 number of SoftDevices, their u16 ids, u16 CRC-16/CCITT of the binary.
"""

from __future__ import annotations

import binascii
import hashlib
import json
import struct
from collections.abc import Iterator
from typing import Any, Final

from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import digest, verdict
from fwcheck.extraction.formats._signed import two_numbers
from fwcheck.extraction.formats.zip import Zip
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import SignedBlock

_MANIFEST: Final = "/manifest.json"
_MANIFEST_LIMIT: Final = 65536
_PACKET_LIMIT: Final = 4096
_TYPES = {0: "application", 1: "SoftDevice", 2: "boot loader", 3: "SoftDevice and boot loader", 4: "external application"}
_HASHES = {3: "sha256", 4: "sha512"}
_SIGNATURES = {0: "ECDSA P-256", 1: "Ed25519"}


class NordicDfu(Format):
    """Nordic DFU package: a ZIP archive whose manifest names firmware and init packets."""

    name = "nordic-dfu"
    title = "Nordic DFU package"
    specification = "nRF5 SDK 17.1 (dfu-cc.proto), pc-nrfutil"
    category = "update bundle"
    reads = "secure and legacy init packets; SHA-256, SHA-512 or CRC-16 of the firmware recomputed; signature told with its kind"
    not_read = "the key, which is in the boot loader: the signature is verified where it is at hand"
    signatures = (Signature(pattern=rb"PK\x03\x04.[\x00-\x03].{2}[\x00-\x63]\x00", width=10, anywhere=False),)
    priority = 10

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        # Nearly every archive is turned away by its directory, at its end, without being listed.
        if b"manifest.json" not in source.peek(max(offset, source.size - 65536), 65536):
            raise FormatError("an archive without manifest.json")
        container = Zip().open(source, offset, limits)
        entries = list(container.entries)
        members = {entry.path: entry for entry in entries}
        manifest = _manifest(members.get(_MANIFEST))
        problems = list(container.problems)
        detail: dict[str, str | int] = dict(container.detail)
        checks: list[str] = []
        words: set[str] = set()
        blocks: list[SignedBlock] = []
        for kind, image in manifest.items():
            packet, binary = (_content(members, image.get(name)) for name in ("dat_file", "bin_file"))
            if packet is None or binary is None:
                note(problems, f"{kind}: firmware or init packet is missing")
                continue
            known = len(problems)
            raw = packet.peek(0, _PACKET_LIMIT)
            word, checked = _init_packet(kind, raw, binary, detail, problems)
            if word == "signature":
                blocks += _blocks(kind, raw, intact=len(problems) == known)
            words.add(word)
            checks.append(f"{kind}: {checked}")
        if not checks:
            raise FormatError("a manifest.json of something else")
        detail["integrity"] = next(word for word in ("none", "checksum", "hash", "signature") if word in words)
        detail["integrity_detail"] = "; ".join(checks)
        return Container(
            format=self.name, size=container.size, entries=entries, detail=detail, problems=problems, signatures=tuple(blocks)
        )


def _blocks(kind: str, raw: bytes, *, intact: bool) -> Iterator[SignedBlock]:
    """The signature over the init command. Its ECDSA numbers are little-endian (pc-nrfutil, signing.py)."""
    try:
        signed = _message(_bytes(_message(raw), 2))
        command, signature = _bytes(_message(_bytes(signed, 1)), 2), _bytes(signed, 3)
        algorithm = _number(signed, 2)
    except (FormatError, IndexError):
        return
    if len(signature) != 64 or algorithm not in _SIGNATURES:
        return
    covers = f"the init command of the {kind}"
    if algorithm == 1:
        yield SignedBlock(
            scheme="Nordic DFU", algorithm="Ed25519", signature=signature, message=command, covers=covers, intact=intact
        )
        return
    pair = two_numbers(int.from_bytes(signature[:32], "little"), int.from_bytes(signature[32:], "little"))
    yield SignedBlock(
        scheme="Nordic DFU",
        algorithm="ECDSA",
        signature=pair,
        digest=hashlib.sha256(command).digest(),
        covers=covers,
        intact=intact,
    )


def _manifest(entry: Entry | None) -> dict[str, dict[str, Any]]:
    if entry is None or entry.open is None:
        raise FormatError("an archive without manifest.json")
    try:
        outer = json.loads(bytes(entry.open().peek(0, _MANIFEST_LIMIT)))
        inner = outer["manifest"]
        return {str(kind): image for kind, image in inner.items() if isinstance(image, dict) and "dat_file" in image}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ExtractionError) as error:
        raise FormatError(f"manifest.json is none of a DFU package: {error}") from error


def _content(members: dict[str, Entry], name: object) -> ByteSource | None:
    entry = members.get(f"/{name}")
    if entry is None or entry.open is None:
        return None
    try:
        return entry.open()
    except FormatError:
        return None


def _init_packet(kind: str, raw: bytes, binary: ByteSource, detail: dict[str, str | int], problems: list[str]) -> tuple[str, str]:
    """What the init packet protects its firmware with, as a word and in words."""
    try:
        return _secure(kind, raw, binary, detail, problems)
    except (FormatError, IndexError):
        return _legacy(kind, raw, binary, detail, problems)


def _secure(kind: str, raw: bytes, binary: ByteSource, detail: dict[str, str | int], problems: list[str]) -> tuple[str, str]:
    packet = _message(raw)
    signed = _message(_bytes(packet, 2)) if 2 in packet else {}
    command = _message(_bytes(signed or packet, 1))
    init = _message(_bytes(command, 2))
    described: dict[str, str | int] = {
        "firmware_version": _number(init, 1),
        "hardware_version": _number(init, 2),
        "type": _TYPES.get(_number(init, 4), ""),
        "softdevices": " ".join(f"0x{each:x}" for each in _numbers(init, 3)),
        "debug": "yes" if _number(init, 9) else "no",
    }
    detail |= {f"{kind}_{name}": value for name, value in described.items() if value != ""}
    hashed = _message(_bytes(init, 8))
    name = _HASHES.get(_number(hashed, 1))
    checked = "no hash"
    if name is not None:
        right = digest(name, binary, (0, binary.size))[::-1] == _bytes(hashed, 2)
        checked = verdict(problems, f"{name} of the firmware", right)
    if signed:
        return "signature", f"{_SIGNATURES.get(_number(signed, 2), 'unknown')} signature (not verified), {checked}"
    return ("hash" if name else "none"), f"no signature, {checked}"


def _legacy(kind: str, raw: bytes, binary: ByteSource, detail: dict[str, str | int], problems: list[str]) -> tuple[str, str]:
    if len(raw) < 12:
        raise FormatError("not an init packet")
    device, revision, version, count = struct.unpack_from("<HHIH", raw)
    end = 10 + 2 * count
    if len(raw) < end + 2:
        raise FormatError("not an init packet")
    crc = 0xFFFF
    for chunk in binary.chunks():
        crc = binascii.crc_hqx(chunk, crc)
    right = crc == int.from_bytes(raw[end : end + 2], "little")
    if not right and len(raw) != end + 2:
        return "none", "init packet of an unknown kind"
    detail |= {
        f"{kind}_device": f"0x{device:04x} revision 0x{revision:04x}",
        f"{kind}_firmware_version": version,
        f"{kind}_softdevices": " ".join(f"0x{each:x}" for each in struct.unpack_from(f"<{count}H", raw, 10)),
    }
    return "checksum", f"no signature, {verdict(problems, 'CRC16 of the firmware', right)}"


_Message = dict[int, list[int | bytes]]


def _message(raw: bytes) -> _Message:
    """The fields of a Protocol Buffers message by number: varints as int, everything with a length as bytes."""
    out: _Message = {}
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        value, at = _varint(raw, at)
        if key & 7 == 2:
            if value > len(raw) - at:
                raise FormatError("a field beyond its message")
            out.setdefault(key >> 3, []).append(raw[at : at + value])
            at += value
        elif key & 7 == 0:
            out.setdefault(key >> 3, []).append(value)
        else:
            raise FormatError("a field of another type")
    return out


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(10):
        byte = raw[at + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    raise FormatError("a number without end")


def _bytes(message: _Message, field: int) -> bytes:
    value = message.get(field, [b""])[0]
    if not isinstance(value, bytes):
        raise FormatError("a number where a message was meant")
    return value


def _number(message: _Message, field: int) -> int:
    value = message.get(field, [0])[0]
    return value if isinstance(value, int) else 0


def _numbers(message: _Message, field: int) -> Iterator[int]:
    """A repeated number, packed or not."""
    for value in message.get(field, []):
        if isinstance(value, int):
            yield value
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            yield number


FORMATS = (NordicDfu(),)
