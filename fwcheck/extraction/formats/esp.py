"""Espressif application and boot loader images: ESP8266 and the ESP32 family (esptool, "Firmware Image Format").

A header, segments with their load addresses, a checksum byte that ends a block of 16, on the ESP32 family optionally the
SHA-256 of all that, and behind it a Secure Boot signature: version 2 in a sector of its own, version 1 as 68 bytes.

The second generation of ESP8266 images begins with a header of its own (0xEA, 4) and one segment that runs from flash and is
outside the checksum, then follows an image as above, then a CRC32 of all of it, inverted where its highest bit is set and else
one more. Images of the Arduino core are two: the boot loader, filled with 0xAA to 4 KiB, and the application. The size of both
and their CRC-32, most significant bit first, with these eight bytes as zeros, stand at the end of the filling (core 2.7) or at
the beginning of the first segment (core 3); the checksum byte was made before. Their segments have any length.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import crc32_msb_first, digest, verdict
from fwcheck.extraction.formats._esp_signature import signature_detail
from fwcheck.extraction.formats._loader_keys import LoaderKeys, keys_of_loader
from fwcheck.extraction.formats._parts import code, crc32, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_CHECKSUM_SEED: Final = 0xEF
_APPLICATION = 0xABCD5432  # esp_app_desc_t.magic_word
_BOOT_LOADER = 0x50  # esp_bootloader_desc_t.magic_byte
_SEGMENT_LIMIT = 16 << 20
_SECTOR: Final = 4096
_CHIPS = {
    0: "ESP32", 2: "ESP32-S2", 5: "ESP32-C3", 9: "ESP32-S3", 12: "ESP32-C2", 13: "ESP32-C6", 16: "ESP32-H2", 18: "ESP32-P4",
    20: "ESP32-C61", 23: "ESP32-C5", 25: "ESP32-H21", 28: "ESP32-H4",
}  # fmt: skip


class _Segment(msgspec.Struct, frozen=True):
    address: int
    offset: int  # in the source
    size: int


class _Image(msgspec.Struct, frozen=True):
    segments: list[_Segment]
    end: int  # behind the checksum byte
    checksum: int  # as computed
    checksum_byte: int  # as stored

    @property
    def checksum_right(self) -> bool:
        return self.checksum == self.checksum_byte


class Esp(Format):
    """ESP8266 or ESP32 image with its segments, hash and signature block."""

    name = "esp"
    title = "Espressif image (ESP8266, ESP32 family)"
    specification = "esptool documentation: Firmware Image Format; ESP-IDF esp_app_format.h, Secure Boot V2"
    category = "microcontroller"
    reads = (
        "all segments, application and boot loader description, checksum and SHA-256, Secure Boot 1 and 2 (RSA-PSS and ECDSA "
        "blocks verified with the key in them), ESP8266 images of both generations"
    )
    not_read = (
        "images under flash encryption; the key of Secure Boot 1 signatures is in the boot loader: verified where it is at hand"
    )
    signatures = (
        # e_magic, 1..16 segments, SPI mode; entry point in 0x40......; extended header; load address of the first segment
        Signature(
            pattern=rb"\xe9[\x01-\x10][\x00-\x0f][\x00-\xff]{4}[\x40-\x4f][\x00-\xff]{5}\x00[\x00-\xff]{9}[\x00\x01]"
            rb"[\x00-\xff]{3}[\x30-\x50]",
            width=28,
        ),
        Signature(pattern=rb"\xe9[\x01-\x10][\x00-\x03][\x00-\xff]{4}\x40[\x00-\xff]{3}[\x3f\x40]", width=12),
        Signature(pattern=rb"\xea\x04[\x00-\x03][\x00-\xff]{4}\x40\x00{4}[\x00-\xff]{2}[\x00-\x0f]\x00", width=16),
    )
    priority = 40

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        head = source.read(offset, 8)
        if head[:2] == b"\xea\x04":
            return _esp8266_v2(source, offset)
        if head[0] != 0xE9 or not 1 <= head[1] <= 16:
            raise FormatError("not an Espressif image header")
        try:
            return _esp32(source, offset, head)
        except FormatError:
            return _esp8266(source, offset, head)


def _esp32(source: ByteSource, offset: int, head: bytes) -> Container:
    extended = source.read(offset + 8, 16)
    chip = int.from_bytes(extended[4:6], "little")
    if chip not in _CHIPS or extended[15] > 1:
        raise FormatError("not an extended Espressif header")
    image = _segments(source, offset, 24, head[1])
    described = _description(source, image)
    if not image.checksum_right and not described:
        raise FormatError("wrong checksum of an Espressif image")
    end, problems, checks = image.end, [] if image.checksum_right else ["wrong image checksum"], ["checksum byte"]
    integrity = "checksum"
    if extended[15]:
        stored = source.peek(end, 32)
        right = len(stored) == 32 and digest("sha256", source, (offset, end - offset)) == stored
        checks.append(f"SHA-256 {'right' if right else 'wrong'}")
        integrity = "hash"
        if not right:
            problems.append("the appended SHA-256 does not match the image" if len(stored) == 32 else "the SHA-256 is cut off")
        end += len(stored)
    signature = signature_detail(source, offset, end)
    if signature is not None:
        integrity, end = "signature", signature.end
        checks.append(signature.words)
        problems += signature.problems
    held = LoaderKeys() if "elf_sha256" in described else keys_of_loader(source, offset, image.end - offset)
    detail: dict[str, str | int] = {
        "chip": _CHIPS[chip],
        **_header_detail(head),
        "minimum_chip_revision": int.from_bytes(extended[7:9], "little"),
        **described,
        **(signature.detail if signature else {}),
        **held.detail,
        "integrity": integrity,
        "integrity_detail": ", ".join(checks),
    }
    return Container(
        format="esp", size=end - offset, entries=_entries(source, image), detail=detail, problems=problems,
        signatures=tuple(signature.blocks) if signature is not None else (),
        keys=held.keys,
    )  # fmt: skip


def _esp8266(source: ByteSource, offset: int, head: bytes) -> Container:
    image = _segments(source, offset, 8, head[1], aligned=False)
    stamped = b"" if image.checksum_right else _stamp(source, offset, image)
    if not (image.checksum_right or stamped) or head[2] > 3:
        raise FormatError("wrong checksum of an ESP8266 image")
    if any(each.address >> 24 not in (0x3F, 0x40) for each in image.segments):
        raise FormatError("implausible segment in an ESP8266 image")
    detail: dict[str, str | int] = {"chip": "ESP8266", **_header_detail(head)}
    detail |= {"integrity": "checksum", "integrity_detail": "checksum byte"}
    end, problems = image.end, list[str]()
    if stamped:
        _stamp_checked(source, offset, stamped, detail, problems)
    elif offset % _SECTOR == 0 and end % _SECTOR:
        end = _filled(source, offset, end, detail, problems)
    return Container(format="esp", size=end - offset, entries=_entries(source, image), detail=detail, problems=problems)


def _stamp(source: ByteSource, offset: int, image: _Image) -> bytes:
    """Size and CRC that the Arduino core wrote into the first segment when the checksum was made; empty where they do not fit."""
    stamp = source.peek(image.segments[0].offset, 8) if image.segments[0].size >= 8 else b""
    size = int.from_bytes(stamp[:4], "little")
    if (
        not image.end - offset <= size <= image.end - offset + _SECTOR
        or image.checksum ^ _exclusive(stamp) != image.checksum_byte
    ):
        return b""
    return stamp


def _stamp_checked(source: ByteSource, offset: int, stamp: bytes, detail: dict[str, str | int], problems: list[str]) -> None:
    """Compares the CRC of boot loader and application; the boot loader stands in the sector before."""
    size, crc = struct.unpack("<II", stamp)
    start = offset - _SECTOR
    if start < 0 or source.peek(start, 1) != b"\xe9" or start + size > source.size:
        return
    value = crc32_msb_first(source, start, size, (_SECTOR + 16, 8))
    checked = verdict(problems, "CRC32 of boot loader and application", value == crc)
    detail["integrity_detail"] = f"checksum byte, {checked}"


def _filled(source: ByteSource, offset: int, end: int, detail: dict[str, str | int], problems: list[str]) -> int:
    """The filling behind the Arduino core's boot loader, at whose end are size and CRC of the whole file."""
    fill = source.peek(end, -end % _SECTOR)
    if len(fill) < -end % _SECTOR or fill[:-8].strip(b"\xaa"):
        return end
    size, crc = struct.unpack("<II", fill[-8:].rjust(8, b"\xaa"))
    if fill[-8:].strip(b"\xaa"):
        if not _SECTOR <= size <= source.size - offset:
            return end
        value = crc32_msb_first(source, offset, size, (_SECTOR - 8, 8))
        checked = verdict(problems, "CRC32 of boot loader and application", value == crc)
        detail["integrity_detail"] = f"checksum byte, {checked}"
    return end + len(fill)


def _esp8266_v2(source: ByteSource, offset: int) -> Container:
    address, size = struct.unpack("<II", source.view(offset + 8, 8))
    inner = offset + 16 + size
    second = source.peek(inner, 8)
    if address or size % 16 or len(second) < 8 or second[0] != 0xE9 or not 1 <= second[1] <= 16:
        raise FormatError("not an ESP8266 image of the second generation")
    image = _segments(source, inner, 8, second[1])
    if not image.checksum_right:
        raise FormatError("wrong checksum of an ESP8266 image")
    problems: list[str] = []
    checks = ["checksum byte"]
    stored = source.peek(image.end, 4)
    value = crc32(source, offset, image.end - offset)
    value = value ^ 0xFFFFFFFF if value >> 31 else value + 1
    if len(stored) == 4:
        checks.append(verdict(problems, "CRC32", stored == value.to_bytes(4, "little")))
    end = image.end + (len(stored) if not problems else 0)
    detail: dict[str, str | int] = {"chip": "ESP8266", "image_version": 2, **_header_detail(second)}
    detail |= {"integrity": "checksum", "integrity_detail": ", ".join(checks)}
    entries = [code(source, "segment-irom", offset + 16, size), *_entries(source, image)]
    return Container(format="esp", size=end - offset, entries=entries, detail=detail, problems=problems)


def _header_detail(head: bytes) -> dict[str, str | int]:
    return {"segments": head[1], "entry_point": f"0x{int.from_bytes(head[4:8], 'little'):08x}"}


def _segments(source: ByteSource, offset: int, header: int, count: int, *, aligned: bool = True) -> _Image:
    """Walks the segments and recomputes the checksum: the exclusive or of all their bytes and 0xEF."""
    at, checksum, segments = offset + header, _CHECKSUM_SEED, []
    for _ in range(count):
        address, size = struct.unpack("<II", source.view(at, 8))
        if (aligned and size % 4) or size > _SEGMENT_LIMIT or not address:
            raise FormatError("implausible segment in an Espressif image")
        source.check(at + 8, size)
        segments.append(_Segment(address, at + 8, size))
        at += 8 + size
    for each in segments:
        checksum ^= _exclusive_or(source, each.offset, each.size)
    end = offset + (at - offset | 15) + 1  # the checksum is the last byte of a block of 16
    return _Image(segments, end, checksum, source.read(end - 1, 1)[0])


def _exclusive(raw: bytes) -> int:
    result = 0
    for byte in raw:
        result ^= byte
    return result


def _exclusive_or(source: ByteSource, offset: int, size: int) -> int:
    """Exclusive or of all bytes: halves are folded onto one another as big numbers, which runs at memory speed."""
    result = 0
    for chunk in source.window(offset, size).chunks():
        number, length = int.from_bytes(chunk, "little"), 1 << (len(chunk) - 1).bit_length()
        while length > 1:
            length //= 2
            number = (number >> (8 * length)) ^ (number & ((1 << (8 * length)) - 1))
        result ^= number
    return result


def _description(source: ByteSource, image: _Image) -> dict[str, str | int]:
    """The application's or boot loader's description, which stands at the beginning of the first segment."""
    raw = source.peek(image.segments[0].offset, 256) if image.segments[0].size >= 80 else b""
    if len(raw) >= 176 and int.from_bytes(raw[:4], "little") == _APPLICATION:
        return {
            "project": words(raw[48:80]),
            "version": words(raw[16:48]),
            "compiled": f"{words(raw[96:112])} {words(raw[80:96])}".strip(),
            "idf_version": words(raw[112:144]),
            "secure_version": int.from_bytes(raw[4:8], "little"),
            "elf_sha256": raw[144:176].hex(),
        }
    if len(raw) >= 80 and raw[0] == _BOOT_LOADER and raw[8:9] == b"v" and raw[:4] == bytes([_BOOT_LOADER, 0, 0, raw[3]]):
        return {
            "boot_loader_version": int.from_bytes(raw[4:8], "little"),
            "idf_version": words(raw[8:40]),
            "compiled": words(raw[40:64]),
        }
    return {}


def _entries(source: ByteSource, image: _Image) -> list[Entry]:
    return [
        code(source, f"segment-{number}@0x{each.address:08x}", each.offset, each.size)
        for number, each in enumerate(image.segments)
        if each.size
    ]


FORMATS = (Esp(),)
