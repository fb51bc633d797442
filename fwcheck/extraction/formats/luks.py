"""LUKS 1 and 2: what the header of an encrypted volume says of it.

LUKS 1, 592 bytes, big-endian: magic ``LUKS`` 0xBA 0xBE, version (2), cipher, its mode and the hash (3 x 32), first sector of the
payload and bytes of the key (4 + 4), digest of the key (20), its salt (32) and iterations (4), UUID (40), then 8 keyslots of 48:
0x00AC71F3 when in use (4), iterations (4), salt (32), first sector of the key material and its stripes (4 + 4).
LUKS 2: :mod:`_luks2`. Sources: LUKS On-Disk Format Specification 1.2.3 and LUKS2 On-Disk Format Specification 1.1.1.
"""

from __future__ import annotations

from struct import Struct

from fwcheck.extraction.errors import FormatError, Truncated
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._luks2 import Copy, Segment, copy
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind

_HEADER = Struct(">6sH32s32s32sII20s32sI40s")
_SLOT = Struct(">II32sII")
_SLOTS = 8
_IN_USE, _FREE = 0x00AC71F3, 0x0000DEAD
_SECTOR = 512


class Luks(Format):
    """An encrypted volume; its payload reaches to the end of the partition when no size is given."""

    name = "luks"
    title = "LUKS encrypted volume"
    specification = "LUKS On-Disk Format Specification 1.2.3 and 2 (1.1.1)"
    category = "encryption"
    reads = "versions 1 and 2: cipher, hash, key sizes, keyslots with their key derivation; the checksums of both headers of 2"
    not_read = "what is encrypted; the size of a volume is not stored: it is taken to reach to the end of the partition"
    signatures = (Signature(pattern=rb"LUKS\xba\xbe\x00[\x01\x02]", width=8),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        if source.peek(offset + 6, 2) == b"\0\2":
            return _two(source, offset)
        return _one(source, offset)


def _one(source: ByteSource, offset: int) -> Container:
    raw = source.peek(offset, _HEADER.size + _SLOTS * _SLOT.size)
    if len(raw) < _HEADER.size + _SLOTS * _SLOT.size:
        raise FormatError("no LUKS header")
    magic, version, cipher, mode, hash, sector, key, _, _, iterations, uuid = _HEADER.unpack_from(raw)
    slots = [_SLOT.unpack_from(raw, _HEADER.size + n * _SLOT.size) for n in range(_SLOTS)]
    plausible = magic == b"LUKS\xba\xbe" and version == 1 and all(each[0] in (_IN_USE, _FREE) for each in slots)
    if not plausible or not 0 < key <= 512 or not cipher[0]:
        raise FormatError("implausible LUKS header")
    begin = sector * _SECTOR
    said = [f"{n}: pbkdf2 (hash {words(hash)}, iterations {each[1]})" for n, each in enumerate(slots) if each[0] == _IN_USE]
    name = f"{words(cipher)}-{words(mode)}"
    detail: dict[str, str | int] = {
        "version": 1, "cipher": name, "hash": words(hash), "key_bits": key * 8, "uuid": words(uuid),
        "keyslots": "; ".join(said) or "none in use", "digest_iterations": iterations,
        "integrity": "none", "integrity_detail": "the header has no checksum",
    }  # fmt: skip
    problems: list[str] = []
    there = source.size - offset
    entries: list[Entry] = []
    if begin == 0:
        note(problems, "a detached header: the payload lies elsewhere")
        return Container(format=Luks.name, size=min(there, _material(slots)), detail=detail, problems=problems)
    if begin > there:
        raise Truncated(f"the payload of a LUKS volume begins {begin} bytes behind its header, {there} are there")
    if begin < there:
        segment = Segment(kind="crypt", begin=begin, size=None, cipher=name)
        entries.append(_payload(source, offset, segment, f"LUKS 1, {name}", 0))
    return Container(format=Luks.name, size=there, entries=entries, detail=detail, problems=problems)


def _material(slots: list[tuple[int, int, bytes, int, int]]) -> int:
    """Bytes of a header without payload: up to the first key material, as the area behind is of no stated size."""
    return max(_HEADER.size + _SLOTS * _SLOT.size, min((each[3] for each in slots if each[3]), default=0) * _SECTOR)


def _two(source: ByteSource, offset: int) -> Container:
    first = copy(source, offset)
    problems: list[str] = []
    second = _second(source, offset, first, problems)
    chosen = first
    if first.right is False:
        note(problems, "wrong checksum of the header")
        if second is not None and second.right:
            chosen = second
        elif not first.body:
            raise FormatError("a LUKS 2 header whose checksum is wrong and whose JSON cannot be read")
    segments = [each for each in chosen.segments() if each.begin >= 0 and (each.size is None or each.size >= 0)]
    there = source.size - offset
    if not segments:
        note(problems, "no segment of the volume can be read from the header")
    ends = [there if each.size is None else each.begin + each.size for each in segments]
    size = min(max([*ends, 2 * first.size]), there)
    if any(end > there or each.begin > there for end, each in zip(ends, segments, strict=True)):
        note(problems, f"the volume reaches beyond the {there} bytes that are there")
    entries = [
        _payload(source, offset, each, f"LUKS 2, {each.cipher}", number)
        for number, each in enumerate(segments)
        if each.begin < there
    ]
    return Container(format=Luks.name, size=size, entries=entries, detail=_detail(chosen, first, segments), problems=problems)


def _second(source: ByteSource, offset: int, first: Copy, problems: list[str]) -> Copy | None:
    try:
        second = copy(source, offset + first.size)
    except FormatError as error:
        note(problems, f"second copy of the header: {error}")
        return None
    if second.right is False:
        note(problems, "wrong checksum of the second copy of the header")
    return second


def _detail(chosen: Copy, first: Copy, segments: list[Segment]) -> dict[str, str | int]:
    verdict = {True: "right", False: "wrong", None: "of an unknown kind"}[first.right]
    detail: dict[str, str | int] = {
        "version": 2, "cipher": ", ".join(each.cipher for each in segments if each.cipher), "uuid": chosen.uuid,
        "label": chosen.label, "keyslots": "; ".join(chosen.keyslots()) or "none in use",
        "tokens": ", ".join(chosen.tokens()), "sequence": chosen.sequence,
        "integrity": "checksum", "integrity_detail": f"{chosen.checksum} of the header {verdict}",
    }  # fmt: skip
    return {key: value for key, value in detail.items() if value != ""}


def _payload(source: ByteSource, offset: int, segment: Segment, scheme: str, number: int) -> Entry:
    """The payload as encrypted bytes; a segment that is not, or only in name, is a part like any other."""
    at = offset + segment.begin
    size = source.size - at if segment.size is None else min(segment.size, source.size - at)
    name = "payload" if number == 0 else f"payload-{number}"
    if segment.kind != "crypt" or segment.cipher.startswith(("cipher_null", "null")):
        return part(source, name, at, size, {"encryption": "none"})
    return Entry(
        path=name, kind=NodeKind.REGION, size=size, offset=at, role="encrypted", detail={"encryption": scheme}, locality=at,
        open=lambda: source.window(at, size),
    )  # fmt: skip


FORMATS = (Luks(),)
