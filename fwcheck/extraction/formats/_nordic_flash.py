"""The flash of an nRF5 device as a whole: what the boot loader's settings page says of checking the application at each start.

Since SDK 15.3 (settings version 2) the page holds, behind the init command, at 0x25C the CRC32 of 195 bytes, and these: for
SoftDevice, application and boot loader each the kind of check (0: none, 1: CRC32, 2: SHA-256 with its bytes reversed, 3: ECDSA
P-256 over SHA-256, both numbers with the least significant byte first) and 64 bytes. It is the last page of the flash. The
application begins behind the SoftDevice, or behind the boot record; bank 0 tells its size and CRC32. Source: nRF5 SDK 17.1,
nrf_dfu_types.h, nrf_dfu_validation.c, nrf_dfu_utils.c.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import Final, NamedTuple

from fwcheck.extraction.formats._signed import two_numbers
from fwcheck.extraction.source import ByteSource
from fwcheck.model import SignedBlock

_PAGES: Final = (0xFF000, 0x7F000, 0x3F000, 0x2F000, 0x17F000)  # nRF52840, nRF52832, 256 KiB, nRF52810, 1.5 MiB
_BANK: Final = struct.Struct("<II")
_CHECKS: Final = 0x260
_CHECK: Final = 65
_KINDS: Final = {0: "none", 1: "CRC32", 2: "SHA-256", 3: "ECDSA P-256 signature"}
_APPLICATION_LIMIT: Final = 1 << 20
_SOFTDEVICE: Final = 0x51B1E5DB
_WHERE: Final = 0x10001014  # UICR.NRFFW[0]: where the boot record finds the boot loader

Pieces = list[tuple[int, ByteSource]]


class BootChecks(NamedTuple):
    """What the settings page says: fields for the container, and the application's signature where there is one."""

    detail: dict[str, str | int]
    signatures: tuple[SignedBlock, ...]


def boot_checks(pieces: Pieces) -> BootChecks:
    """Of memory in pieces with their addresses, from a file with addresses or a dump that begins at address 0."""
    detail: dict[str, str | int] = {}
    pointer = _read(pieces, _WHERE, 4)
    if len(pointer) == 4 and 0x1000 <= int.from_bytes(pointer, "little") < 0x200000:
        detail["boot_loader_address"] = f"0x{int.from_bytes(pointer, 'little'):08x}"
    for page in _PAGES:
        raw = _read(pieces, page, _CHECKS + 3 * _CHECK)
        if len(raw) < _CHECKS + 3 * _CHECK or raw[4:8] != b"\2\0\0\0":
            continue
        settings, checks = raw[4:0x5C], raw[_CHECKS:]
        if zlib.crc32(settings) != int.from_bytes(raw[:4], "little") or zlib.crc32(checks) != int.from_bytes(
            raw[0x25C:0x260], "little"
        ):
            continue
        kind, value = checks[_CHECK], checks[_CHECK + 1 : 2 * _CHECK]
        detail["boot_validation"] = _KINDS.get(kind, f"kind {kind}")
        detail["boot_validation_address"] = f"0x{page + _CHECKS + _CHECK:08x}"
        return BootChecks(detail, _signed(pieces, raw, kind, value))
    return BootChecks(detail, ())


def _signed(pieces: Pieces, raw: bytes, kind: int, value: bytes) -> tuple[SignedBlock, ...]:
    """The signature over the application, where one is stored and the application is there."""
    if kind != 3:
        return ()
    size, crc = _BANK.unpack_from(raw, 0x18)
    r, s = int.from_bytes(value[:32], "little"), int.from_bytes(value[32:], "little")
    for start in _starts(pieces):
        content = _read(pieces, start, size) if 0 < size <= _APPLICATION_LIMIT else b""
        if len(content) == size and zlib.crc32(content) == crc:
            digest, covers = hashlib.sha256(content).digest(), f"application of {size} bytes at 0x{start:x}"
            break
    else:
        digest, covers = b"", "application (not found by its size and CRC32)"
    return (
        SignedBlock(
            scheme="Nordic boot validation", algorithm="ECDSA", signature=two_numbers(r, s), digest=digest, covers=covers
        ),
    )


def _starts(pieces: Pieces) -> list[int]:
    """Where the application may begin: behind the SoftDevice, or behind the boot record."""
    info = _read(pieces, 0x3004, 8)
    behind = int.from_bytes(info[4:], "little") if info[:4] == _SOFTDEVICE.to_bytes(4, "little") else 0
    return [each for each in (behind, 0x1000, *(begin for begin, _ in pieces[:64])) if each]


def _read(pieces: Pieces, address: int, size: int) -> bytes:
    """Bytes of memory; what lies between pieces reads as erased flash; empty where nothing of it is there."""
    touched = [(begin, held) for begin, held in pieces if begin < address + size and address < begin + held.size]
    if not touched:
        return b""
    out = bytearray(b"\xff" * size)
    for begin, held in touched:
        low, high = max(begin, address), min(begin + held.size, address + size)
        out[low - address : high - address] = held.read(low - begin, high - low)
    return bytes(out)
