"""OpenWrt's fwtool trailers: metadata or a signature laid behind an image.

Layout (openwrt/fwtool, fwimage.h): data, then a trailer of 16 bytes, big-endian: magic ``FWx0``, CRC32 (without final inversion)
of everything in front of the trailer, type (0 signature, 1 metadata), three bytes of padding, and the length of data and
trailer. Metadata begin with version and flags (four bytes each) before their JSON. A signature is a blob of ucert whose
attributes hold signatures and certificates of usign (openwrt/ucert), or plain text of usign.
"""

from __future__ import annotations

import json
import struct
import zlib
from datetime import UTC, datetime
from weakref import WeakKeyDictionary

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.formats._ucert import Chain, chain
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import CHUNK, ByteSource
from fwcheck.model import SignedBlock

_TRAILER = struct.Struct(">4sIB3xI")
_HEADER = 8
_SIGNATURE, _INFO = 0, 1
_LIMIT = 64 << 10  # fwtool takes 30 KiB of metadata and 1 KiB of signature at most
_USIGN = b"untrusted comment:"
_LAST = 253402300799  # seconds of the last day that can be written
_MESSAGE_LIMIT = 64 << 10  # bytes that are kept where the image does not hold them as they are


class OpenWrtMetadata(Format):
    """fwtool trailers. They belong to the image in front of them; several may follow each other."""

    name = "openwrt-metadata"
    title = "OpenWrt image metadata and signature (fwtool)"
    specification = "openwrt/fwtool, fwimage.h"
    category = "firmware"
    reads = "metadata in JSON, signature blob of usign or ucert; CRC32 of the image recomputed"
    not_read = "whether a certificate of ucert is revoked; the signature is verified where its key is at hand"
    signatures = (Signature(pattern=rb"FWx0.{4}[\x00\x01]\x00{3}\x00\x00..", width=16),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, crc, kind, length = _TRAILER.unpack(source.read(offset, _TRAILER.size))
        before = length - _TRAILER.size
        least = _HEADER if kind == _INFO else 1
        if magic != b"FWx0" or kind > _INFO or not least <= before <= min(_LIMIT, offset):
            raise FormatError("no fwtool trailer")
        begin = offset - before
        problems: list[str] = []
        detail: dict[str, str | int]
        blocks: tuple[SignedBlock, ...] = ()
        if kind == _INFO:
            if source.peek(begin + 4, 4) != bytes(4) and source.peek(begin + _HEADER, 1) != b"{":
                raise FormatError("an fwtool trailer without metadata")
            detail = _metadata(source.read(begin + _HEADER, before - _HEADER), problems)
            entry = part(source, "metadata.json", begin + _HEADER, before - _HEADER)
        else:
            raw = source.read(begin, before)
            found = chain(raw)
            detail = _signature(raw, found)
            problems += [f"ucert: {found.broken}"] if found.broken else []
            entry = part(source, "signature", begin, before)
            blocks = _blocks(source, begin, found)
        entry.role = "meta"
        right = _crcs(source, offset, limits) == crc
        if not right:
            problems.append("the CRC32 of fwtool is not that of the image before it")
        words = f"CRC32 of the image {'right' if right else 'wrong'}"
        if kind == _SIGNATURE:
            words = f"{detail['signature']} (not verified); {words}"
        detail |= {"integrity": "checksum" if kind == _INFO else "signature", "integrity_detail": words}
        if not right:
            blocks = tuple(msgspec.structs.replace(each, intact=False) for each in blocks)
        return Container(
            format=self.name,
            size=_TRAILER.size,
            before=before,
            entries=[entry],
            detail=detail,
            problems=problems,
            signatures=blocks,
        )


def _metadata(raw: bytes, problems: list[str]) -> dict[str, str | int]:
    detail: dict[str, str | int] = {"type": "metadata"}
    try:
        found = json.loads(raw.rstrip(b"\0"))
    except (ValueError, RecursionError) as error:
        problems.append(f"the metadata are no JSON: {error}"[:200])
        return detail
    if not isinstance(found, dict):
        return detail
    version = found.get("version")
    if isinstance(version, dict):
        detail |= {key: _shown(version[key]) for key in ("dist", "version", "revision", "target", "board") if key in version}
    devices = found.get("supported_devices", found.get("new_supported_devices"))
    if isinstance(devices, list):
        detail["supported_devices"] = _shown(", ".join(map(str, devices)))
    if "compat_version" in found:
        detail["compat_version"] = _shown(found["compat_version"])
    return detail


def _shown(value: object) -> str:
    return "".join(char if char.isprintable() else "?" for char in str(value)[:300])


def _signature(raw: bytes, found: Chain) -> dict[str, str | int]:
    if raw.startswith(_USIGN):
        kind = "usign (Ed25519) signature"
    elif _USIGN in raw:
        kind = f"ucert chain with {raw.count(_USIGN)} usign (Ed25519) texts"
    else:
        kind = f"signature of {len(raw)} bytes"
    detail: dict[str, str | int] = {"type": "signature", "signature": kind}
    if found.expires:
        detail["certificate_expires"] = datetime.fromtimestamp(min(found.expires, _LAST), UTC).date().isoformat()
    return detail


def _blocks(source: ByteSource, end: int, found: Chain) -> tuple[SignedBlock, ...]:
    """The signature of everything in front of the trailer, with the certificates that lead to its key."""
    if found.last is None:
        return ()
    place = list(source.extents(0, end))
    whole = place[0] if len(place) == 1 and place[0][1] == end else None
    message = source.read(0, end) if whole is None and end <= _MESSAGE_LIMIT else b""
    return (
        SignedBlock(
            scheme="ucert" if found.key else "usign", algorithm="Ed25519", signature=found.last.signature, span=whole,
            message=message, carried=found.key, vouched=found.vouched if found.key else (),
            key_hint=f"key number {found.last.number.hex()}", covers="the image in front of the signature",
        ),
    )  # fmt: skip


class _Sums:
    """CRCs of everything before an offset; each goes on where the last one ended, however many trailers there are."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[ByteSource, tuple[int, int]] = WeakKeyDictionary()

    def __call__(self, source: ByteSource, end: int, limits: Limits) -> int:
        begin, value = self._known.get(source, (0, 0))
        if begin > end:
            begin, value = 0, 0
        for at in range(begin, end, CHUNK):
            length = min(CHUNK, end - at)
            value = zlib.crc32(source.view(at, length), value)
            source.release(at, length)
            if limits.meter is not None:
                limits.meter.check()
        self._known[source] = (end, value)
        return value ^ 0xFFFFFFFF


_crcs = _Sums()


FORMATS = (OpenWrtMetadata(),)
