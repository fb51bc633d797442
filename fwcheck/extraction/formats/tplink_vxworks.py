"""TP-Link images for VxWorks: IMG0 with its parts, and the file system of the web pages (OWOW), big-endian.

IMG0, 128 bytes: ``IMG0``, length from here on, version, from 0x40 up to eight pairs of offset and length. An update file has 20
bytes in front of it: a number, and a digest. Its only part holds the boot loader and, behind it, an IMG0 of its own, whose
parts are the operating system (LZMA), the web pages and the default configuration (digest, version, zeros, text; under DES in
ECB mode).

OWOW, lower case: ``ow`` sixteen times, 1, number of files, a number; per file 40 bytes of name, length, offset from the
beginning; files are LZMA streams. Upper case: ``OW`` sixteen times, a number, number of files; 64 bytes of name, length,
offset, a number; files are stored (found from an image; unow2fs of tplink-vxworks-based-firmware for the latter).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._decrypt import decrypted, encrypted
from fwcheck.extraction.formats._lzma_file import lzma_size, unpacked
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, member_path, note
from fwcheck.extraction.source import ByteSource

_HEADER, _TABLE, _PAIRS, _PREAMBLE = 0x80, 0x40, 8, 20
_LOWER, _UPPER = struct.Struct(">40sII"), struct.Struct(">64sIII")
_MARK = 32
_BLOCK = 8
_KEY = bytes.fromhex("478da50bf9e3d2cf")
_SCHEME = "DES-ECB, TP-Link configuration"


class Img0(Format):
    """TP-Link IMG0; its parts are searched."""

    name = "tplink-img0"
    title = "TP-Link VxWorks image (IMG0)"
    specification = "found from images"
    category = "firmware"
    reads = (
        "update files and inner images with all their parts; the default configuration, with the published key where asked for"
    )
    not_read = "the digest in front of an update file is not recomputed"
    signatures = (Signature(pattern=rb"IMG0[\x00-\x03].{7}\x00\x00\x00[\x00-\x0f]", width=16),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _HEADER)
        length = int.from_bytes(raw[4:8], "big")
        pairs = [struct.unpack_from(">II", raw, _TABLE + 8 * number) for number in range(_PAIRS)]
        used = [(at, size) for at, size in pairs if size]
        if not used or any(at < _HEADER or at + size > length for at, size in used) or length <= _HEADER:
            raise FormatError("implausible parts of an IMG0 header")
        available = source.size - offset
        size = min(length, available)
        problems = [f"{length} bytes announced, {available} there"] if size < length else []
        update = offset == _PREAMBLE
        return Container(
            format=self.name,
            size=size,
            entries=_pieces(source, offset, size, used, limits),
            before=_PREAMBLE if update else 0,
            detail={
                "version": raw[8:12].hex(),
                "parts": len(used),
                "form": "update file" if update else "image",
                "integrity": "hash" if update else "none",
                "integrity_detail": "digest in front (not recomputed)" if update else "none stored",
            },
            problems=problems,
        )


def _pieces(source: ByteSource, offset: int, size: int, used: list[tuple[int, int]], limits: Limits) -> list[Entry]:
    entries = []
    version = source.read(offset + 8, 4)
    for number, (at, length) in enumerate(used):
        there = min(length, size - at)
        if there <= 0:
            continue
        window, name = source.window(offset + at, there), f"part-{number}"
        # The plain configuration repeats the version of the image behind its digest.
        if there % _BLOCK or b"".join(_plain(window.window(0, min(there, 24))))[16:20] != version:
            entries.append(part(source, name, offset + at, there))
        elif limits.published_keys:
            entries.append(decrypted(partial(_plain, window), offset + at, there, _SCHEME, limits, "configuration"))
        else:
            entries.append(encrypted(source, offset + at, there, _SCHEME, "configuration"))
    return entries


def _plain(source: ByteSource) -> Iterator[bytes]:
    context = Cipher(TripleDES(_KEY * 3), modes.ECB()).decryptor()  # noqa: S305
    for chunk in source.chunks():
        yield context.update(chunk)


class Owow(Format):
    """Web pages of TP-Link VxWorks images."""

    name = "owowfs"
    title = "TP-Link VxWorks web file system (OWOW)"
    specification = "found from images; unow2fs of tplink-vxworks-based-firmware"
    category = "file system"
    reads = "both variants: LZMA-packed and stored files"
    signatures = (Signature(pattern=rb"(?:ow){16}\x00\x00", width=34), Signature(pattern=rb"(?:OW){16}\x00\x00", width=34))
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        lower = source.peek(offset, 2) == b"ow"
        count = int.from_bytes(source.read(offset + _MARK + 4, 4), "big")
        form, begin = (_LOWER, _MARK + 12) if lower else (_UPPER, _MARK + 8)
        if not 0 < count <= limits.nodes:
            raise FormatError("implausible number of files")
        table = source.view(offset + begin, count * form.size)
        records = [(each[0], each[1], each[2]) for each in form.iter_unpack(table)]
        end = max([begin + count * form.size, *(at + size for _, size, at in records if size)])
        if any(at < begin + count * form.size for _, size, at in records if size) or end > 1 << 30:
            raise FormatError("files that lie inside the table")
        available = source.size - offset
        problems: list[str] = []
        if end > available:
            note(problems, f"{end} bytes announced, {available} there")
        return Container(
            format=self.name,
            size=min(end, available),
            entries=_files(source, offset, records, limits, problems),
            detail={"files": count, "compression": "lzma" if lower else "none"},
            problems=problems,
        )


def _files(
    source: ByteSource, offset: int, records: list[tuple[bytes, int, int]], limits: Limits, problems: list[str]
) -> Iterator[Entry]:
    for raw, size, at in records:
        path, escapes = member_path(decoded(raw.split(b"\0", 1)[0]))
        if escapes:
            note(problems, f"{path}: a name that leaves the root")
        if at + size > source.size - offset:
            note(problems, f"{path}: lies beyond the end")
            continue
        window = source.window(offset + at, size)
        whole = lzma_size(window)
        if whole is None:
            yield Entry(
                path=path, size=size, offset=offset + at, locality=offset + at, open=partial(source.window, offset + at, size)
            )
        else:
            yield Entry(path=path, size=whole, locality=offset + at, open=partial(unpacked, window, limits))


FORMATS = (Img0(), Owow())
