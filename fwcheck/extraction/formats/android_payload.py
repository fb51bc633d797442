"""Android update payloads (``payload.bin``): a manifest, then the data of the operations that write each partition.

Big-endian: ``CrAU``, version (8), size of the manifest (8), from version 2 on size of the manifest's signature (4); manifest,
its signature, data. Offsets of operations count from the begin of the data. The manifest is a protocol buffer:
:mod:`_payload_manifest`. Source: ``update_engine/README.md`` and ``update_metadata.proto`` of Android.
"""

from __future__ import annotations

import bz2
import hashlib
import lzma
from collections.abc import Callable, Iterator
from functools import partial
from struct import unpack_from

from fwcheck.extraction.errors import FormatError, QuotaExceeded, Truncated
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._payload_manifest import (
    DISCARD,
    REPLACE,
    REPLACE_BZ,
    REPLACE_XZ,
    ZERO,
    Manifest,
    Operation,
    Partition,
    Reader,
)
from fwcheck.extraction.formats._protobuf import fields, number, octets
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.members import note
from fwcheck.extraction.source import CHUNK, ByteSource
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind, SignedBlock

_HASHED = 256 << 20  # bytes of data that are hashed when the payload is opened; what is beyond is hashed when it is unpacked
_UNPACKED_LIMIT = 64 << 20  # bytes of one operation
_HELD = 128 << 20  # bytes of operations of several extents, at once
_MANIFEST_LIMIT = 64 << 20
_MESSAGES = 12  # per operation, as many as a long list of small extents has
_MEMORY = 256 << 20  # of the XZ decoder


class Payload:
    """The data of a payload: begins at ``at`` of ``source``."""

    def __init__(self, source: ByteSource, at: int, manifest: Manifest, limits: Limits) -> None:
        self.source = source
        self.at = at
        self.manifest = manifest
        self.limits = limits
        self.problems: list[str] = []
        self._checked: set[tuple[int, int]] = set()

    def end(self) -> int:
        """The offset in the source behind the last byte that the manifest names."""
        ends = [each.at + each.size for one in self.manifest.partitions for each in one.operations if each.size]
        return self.at + max([*ends, sum(self.manifest.signatures)], default=0)

    def check(self) -> str:
        """Hashes the data of operations, as far as that is quick; gives the verdict in words."""
        right = total = done = spent = 0
        for one in self.manifest.partitions:
            for each in one.operations:
                if not each.sha256:
                    continue
                total += 1
                spent += each.size
                if spent <= _HASHED:
                    done += 1
                    right += self._right(one, each)
        if not total:
            return "no operation has a hash"
        said = f"SHA-256 of {'all' if done == total else done} of {total} operations right"
        return said if right == done else f"SHA-256 of {done - right} of {done} checked operations wrong"

    def _right(self, one: Partition, each: Operation) -> bool:
        self._checked.add((each.at, each.size))
        digest = hashlib.sha256()
        try:
            for chunk in self.source.window(self.at + each.at, each.size).chunks():
                digest.update(chunk)
        except FormatError:
            note(self.problems, f"{one.name}: the data of an operation lies outside the payload")
            return False
        if digest.digest() != each.sha256:
            note(self.problems, f"{one.name}: wrong SHA-256 of the data at 0x{each.at:x}")
            return False
        return True

    def entries(self) -> Iterator[Entry]:
        for one in self.manifest.partitions:
            detail: dict[str, str | int] = {"operations": len(one.operations)}
            if one.sha256:
                detail["sha256"] = one.sha256.hex()
            named = {"file system": one.file_system, "version": one.version}
            detail |= {key: value for key, value in named.items() if value}
            first = min((each.at for each in one.operations if each.size), default=0)
            yield Entry(
                path=one.name.replace("/", "_") or "unnamed", kind=NodeKind.REGION, size=one.size, role="part", detail=detail,
                locality=self.at + first, open=partial(self.content, one),
            )  # fmt: skip

    def content(self, one: Partition) -> ByteSource:
        """The partition as it is after the update; raises FormatError for one that is made out of its previous content."""
        if one.delta:
            raise FormatError(f"a delta update: {', '.join(one.delta)} need the previous content of the partition")
        size = one.size or max((sum(extent) for each in one.operations for extent in each.extents), default=0) * self._block
        if size > self.limits.bytes_stream:
            raise QuotaExceeded(f"a partition of {size} bytes")
        packed = sum(each.size for each in one.operations)
        return spool(bounded(self._hashed(one, size), packed, self.limits))

    @property
    def _block(self) -> int:
        return self.manifest.block

    def _hashed(self, one: Partition, size: int) -> Iterator[bytes]:
        """The whole partition; its SHA-256 is compared at its end."""
        digest, count = hashlib.sha256(), 0
        for piece in self._pieces(one, size):
            digest.update(piece)
            count += len(piece)
            yield piece
        if one.sha256 and digest.digest() != one.sha256:
            note(self.problems, f"{one.name}: wrong SHA-256 of the unpacked partition")

    def _pieces(self, one: Partition, size: int) -> Iterator[bytes]:
        """The extents in the order of the partition; what no operation writes is zeros."""
        at = 0
        held = _Held()
        for first, count, each, inside in _plan(one.operations, self._block):
            begin, length = first * self._block, count * self._block
            if begin < at:
                raise FormatError(f"operations of {one.name} write one block twice")
            if begin + length > size + self._block:
                raise FormatError(f"an operation of {one.name} writes beyond its end")
            yield from _zeros(min(begin, size) - at)
            length = min(length, size - begin)
            if each.kind in {ZERO, DISCARD}:
                yield from _zeros(length)
            else:
                piece = held.of(each, partial(self._unpacked, one, each))[inside : inside + length]
                yield piece
                yield from _zeros(length - len(piece))
            at = begin + length
        yield from _zeros(size - at)

    def _unpacked(self, one: Partition, each: Operation) -> bytes:
        """What an operation writes; raises FormatError where its data cannot be unpacked."""
        wanted = sum(count for _, count in each.extents) * self._block
        if wanted > _UNPACKED_LIMIT:
            raise FormatError(f"an operation that writes {wanted} bytes")
        if each.sha256 and (each.at, each.size) not in self._checked:
            self._right(one, each)
        packed = self.source.read(self.at + each.at, each.size)
        return packed if each.kind == REPLACE else _unpack(each.kind, packed, wanted)


class _Held:
    """What operations of several extents write, until the last of these has its turn."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[int, bytes]] = {}  # turns that are left, bytes
        self._total = 0

    def of(self, each: Operation, unpacked: Callable[[], bytes]) -> bytes:
        turns, data = self._held.pop(id(each), (0, b""))
        if turns:
            self._total -= len(data)
        else:
            turns, data = len(each.extents), unpacked()
        if turns > 1:
            self._total += len(data)
            if self._total > _HELD:
                raise FormatError("operations whose extents lie between each other")
            self._held[id(each)] = (turns - 1, data)
        return data


def _plan(operations: list[Operation], block: int) -> list[tuple[int, int, Operation, int]]:
    """First block, blocks, operation and offset in what it writes, for every extent in the order of the partition."""
    out = []
    for each in operations:
        inside = 0
        for first, count in each.extents:
            out.append((first, count, each, inside))
            inside += count * block
    return sorted(out, key=lambda entry: entry[0])


def _zeros(count: int) -> Iterator[bytes]:
    zeros = bytes(min(max(count, 0), CHUNK))
    for at in range(0, count, CHUNK):
        yield zeros[: min(CHUNK, count - at)]


def _unpack(kind: int, packed: bytes, wanted: int) -> bytes:
    try:
        if kind == REPLACE_BZ:
            return bz2.BZ2Decompressor().decompress(packed, wanted)
        if kind == REPLACE_XZ:
            return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY).decompress(packed, wanted)
    except (OSError, ValueError, EOFError, lzma.LZMAError) as error:
        raise FormatError(f"the data of an operation: {error}") from None
    import zstandard  # noqa: PLC0415  few payloads need it

    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(packed) as stream:
            return stream.read(wanted)
    except (zstandard.ZstdError, MemoryError) as error:
        raise FormatError(f"the data of an operation: {error}") from None


class AndroidPayload(Format):
    """An update of all partitions, or of what changed in them."""

    name = "android-payload"
    title = "Android update payload (payload.bin)"
    specification = "update_engine/update_metadata.proto of Android"
    category = "update bundle"
    reads = (
        "versions 1 and 2: REPLACE, REPLACE_BZ, REPLACE_XZ, REPLACE_ZSTD, ZERO and DISCARD operations; the SHA-256 of data and"
        " partitions is recomputed"
    )
    not_read = "delta operations, which need the previous content (told); signatures are verified where their key is at hand"
    signatures = (Signature(pattern=rb"CrAU\x00{7}[\x01\x02]\x00{4}", width=16),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        head = source.peek(offset, 24)
        if len(head) < 24 or head[:4] != b"CrAU":
            raise FormatError("no payload")
        major, size = unpack_from(">QQ", head, 4)
        begin, signed = (24, unpack_from(">I", head, 20)[0]) if major == 2 else (20, 0)
        if major not in (1, 2) or not 0 < size <= _MANIFEST_LIMIT or signed > 1 << 20:
            raise FormatError("implausible header of a payload")
        if offset + begin + size > source.size:
            raise Truncated(f"a manifest of {size} bytes is cut off")
        reader = Reader(limits.nodes * _MESSAGES)
        manifest = reader.manifest(source.view(offset + begin, size), major)
        if not manifest.partitions or not 512 <= manifest.block <= 1 << 20 or manifest.block & manifest.block - 1:
            raise FormatError("a manifest without partitions, or with an implausible block size")
        payload = Payload(source, offset + begin + size + signed, manifest, limits)
        end = payload.end()
        if end > source.size:
            note(payload.problems, f"the payload ends {end - offset} bytes behind its begin, {source.size - offset} are there")
        return Container(
            format=self.name, size=min(end, source.size) - offset, entries=payload.entries(),
            detail=_detail(payload, major, signed), problems=payload.problems,
            signatures=(*_metadata_blocks(source, offset, (begin + size, signed)), *_payload_blocks(payload, offset, signed)),
        )  # fmt: skip


def _metadata_blocks(source: ByteSource, offset: int, place: tuple[int, int]) -> Iterator[SignedBlock]:
    """What is signed of header and manifest; ``place``: offset and size of the signatures behind them."""
    length, size = place
    if size:
        digest = hashlib.sha256(source.view(offset, length)).digest()
        yield from _signatures(source.peek(offset + length, size), digest, "header and manifest", None)


def _payload_blocks(payload: Payload, offset: int, signed: int) -> Iterator[SignedBlock]:
    """What is signed of the whole: header, manifest and data, without the signatures themselves."""
    at, size = payload.manifest.signatures
    if not size or size > 1 << 20 or at > _HASHED:
        return
    digest = hashlib.sha256(payload.source.view(offset, payload.at - signed - offset))
    try:
        for chunk in payload.source.window(payload.at, at).chunks():
            digest.update(chunk)
    except FormatError:
        return
    wrong = any("SHA-256" in each for each in payload.problems)
    raw = payload.source.peek(payload.at + at, size)
    yield from _signatures(raw, digest.digest(), "header, manifest and data", False if wrong else None)


def _signatures(raw: bytes, digest: bytes, covers: str, intact: bool | None) -> Iterator[SignedBlock]:
    """A ``Signatures`` message: 1 signatures, of which 2 is the data and 3 the size without padding."""
    try:
        for key, value in fields(memoryview(raw)):
            if key != 1:
                continue
            held = dict(fields(octets(value)))
            data = bytes(octets(held.get(2, memoryview(b""))))
            data = data[: number(held[3])] if 3 in held else data
            pair = data[:1] == b"\x30" and len(data) < 160  # two numbers in DER
            yield SignedBlock(
                scheme="Android payload", algorithm="ECDSA" if pair else "RSA", padding="" if pair else "pkcs1v15",
                signature=data, digest=digest, covers=covers, intact=intact,
            )  # fmt: skip
    except FormatError:
        return


def _detail(payload: Payload, major: int, signed: int) -> dict[str, str | int]:
    manifest = payload.manifest
    every = [each for each in (("metadata", signed), ("payload", manifest.signatures[1])) if each[1]]
    said = [f"{name} signature of {size} bytes (not verified)" for name, size in every] or ["no signature"]
    detail: dict[str, str | int] = {
        "version": f"{major}.{manifest.minor}", "kind": "full" if manifest.minor == 0 else "delta",
        "partitions": ", ".join(each.name for each in manifest.partitions[:64]), "block_size": manifest.block,
    }  # fmt: skip
    if manifest.timestamp:
        detail["timestamp"] = manifest.timestamp
    if manifest.patch_level:
        detail["security_patch_level"] = manifest.patch_level
    if manifest.partial:
        detail["partial"] = "yes"
    detail["integrity"] = "signature" if every else "hash"
    detail["integrity_detail"] = ", ".join([*said, payload.check()])
    return detail


FORMATS = (AndroidPayload(),)
