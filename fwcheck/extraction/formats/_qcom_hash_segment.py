"""The hash segment of Qualcomm's ELF images: digests of all segments, and what signs them.

It is the program header whose bits 24 to 26 of the flags are 2; its content is a header as in :mod:`_qcom_header` whose code is
one digest for each program header, in their order (SHA-1, SHA-256 or SHA-384 by the length). The digest of the hash segment
itself, and of segments that are not loaded, is zero. Source: as there, and ``elf_header.h`` of the same.
"""

from __future__ import annotations

import hashlib

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats._qcom_header import header, signed_by
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_HASH_SEGMENT = 2
_SEGMENTS = 128
_SIZE_LIMIT = 1 << 17
_DIGESTS = {20: "sha1", 32: "sha256", 48: "sha384"}


class Segment(msgspec.Struct, frozen=True):
    """Place in the file and flags of one program header."""

    begin: int
    size: int
    flags: int


def hash_segment(source: ByteSource, offset: int, segments: list[Segment], problems: list[str]) -> dict[str, str | int]:
    """What the hash segment of the file at ``offset`` says; nothing when there is none that can be read."""
    found = [each for each in segments if each.flags >> 24 & 7 == _HASH_SEGMENT and 40 < each.size <= _SIZE_LIMIT]
    if len(found) != 1 or not 0 < len(segments) <= _SEGMENTS:
        return {}
    try:
        raw = source.read(offset + found[0].begin, found[0].size)
        head = header(raw.ljust(48, b"\0"), table=True)
    except FormatError:
        return {}
    kind = _DIGESTS.get(head.code // len(segments)) if head.code % len(segments) == 0 else None
    if kind is None or head.size > len(raw):
        return {}
    digests = raw[head.begin : head.begin + head.code]
    size = len(digests) // len(segments)
    stored = [digests[n * size : n * size + size] for n in range(len(segments))]
    right, wrong = _compare(source, offset, segments, stored, kind)
    said = f"{kind} of {right} segments right"
    if wrong:
        said = f"{kind} of {len(wrong)} segments wrong"
        note(problems, f"wrong {kind} in the hash table: segment {', '.join(str(n) for n in wrong[:8])}")
    detail: dict[str, str | int] = {"hash_segment": f"header version {head.version}"}
    for name, at, length in head.places:
        if name.endswith("certificates"):
            detail |= signed_by(raw[at : at + length])
    signers = [("signature", head.maker[0]), ("Qualcomm's own signature", head.own[0])]
    signed = [f"{name} of {length} bytes (not verified)" for name, length in signers if length]
    detail["integrity"] = "signature" if signed else "hash"
    detail["integrity_detail"] = ", ".join([*(signed or ["no signature"]), said])
    return detail


def _compare(source: ByteSource, offset: int, segments: list[Segment], stored: list[bytes], kind: str) -> tuple[int, list[int]]:
    """How many digests are right, and the numbers of those that are not; segments may not share their bytes over and over."""
    right, wrong, allowed = 0, list[int](), 2 * source.size
    for number, (each, digest) in enumerate(zip(segments, stored, strict=True)):
        allowed -= each.size
        if not each.size or not any(digest) or allowed < 0 or each.flags >> 24 & 7 == _HASH_SEGMENT:
            continue
        state = hashlib.new(kind, usedforsecurity=False)
        try:
            for chunk in source.window(offset + each.begin, each.size).chunks():
                state.update(chunk)
        except FormatError:
            wrong.append(number)
            continue
        if state.digest() == digest:
            right += 1
        else:
            wrong.append(number)
    return right, wrong
