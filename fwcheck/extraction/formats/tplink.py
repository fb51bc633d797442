"""TP-Link firmware header, versions 1, 2 and 3: 512 bytes, big-endian, with an MD5 over the image and a public salt.

The salt stands in the place of the digest while it is computed. An image that brings its boot loader has two headers: the
first one, the boot loader, then a second header from which all offsets count (layouts as known from OpenWrt's firmware-utils
and from the analysis of version 3 images; salts confirmed by recomputing them).
"""

from __future__ import annotations

import hashlib
import re
import struct
from typing import Final

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

HEADER_SIZE: Final = 512
_SALTS = {
    "image": bytes.fromhex("dcd73aa5c39598fbddf9e7f40eae4738"),
    "image with boot loader": bytes.fromhex("8cef335bd5c5cefaa79c28dab2e90f42"),
    "image with boot loader, version 3": bytes.fromhex("8cef335fd5c5cefaac9c28dab2e90f42"),
}
# per header version: where hw_id, md5sum1, and the nine words from kernel_la to boot_len stand
_LAYOUTS = {1: (0x40, 0x4C, 0x74), 2: (0x34, 0x40, 0x68), 3: (0x34, 0x40, 0x68)}
_SIGNATURE = slice(0xD0, 0x150)  # version 3: RSA-1024, zero or 0xFF when the image is not signed
_SECOND_HEADER_LIMIT = 1 << 20


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    vendor: str
    title: str
    hardware: int
    revision: int
    md5: bytes
    load: int
    entry: int
    length: int
    kernel: int
    kernel_length: int
    rootfs: int
    rootfs_length: int
    boot: int
    boot_length: int
    signature: bytes

    @property
    def parts(self) -> tuple[tuple[int, int], ...]:
        """Offset and length of kernel, root file system and boot loader."""
        return (self.kernel, self.kernel_length), (self.rootfs, self.rootfs_length), (self.boot, self.boot_length)


class TpLink(Format):
    """TP-Link firmware image: boot loader, kernel and root file system behind one or two headers."""

    name = "tplink"
    title = "TP-Link firmware image (header versions 1, 2, 3)"
    specification = "OpenWrt firmware-utils (mktplinkfw, mktplinkfw2); analyses of version 3 images"
    category = "firmware"
    reads = "header versions 1, 2 and 3, with and without boot loader; MD5 recomputed with the public salts; RSA signatures told"
    not_read = "RSA signatures are not verified"
    signatures = (
        Signature(pattern=rb"\x01\x00\x00\x00[A-Za-z][\x20-\x7e]{4}[\x00\x20-\x7e]{19}[\x20-\x7e]", width=29),
        Signature(pattern=rb"[\x02\x03]\x00\x00\x00[\x20-\x7e]{4}[\x00\x20-\x7e\xff]{44}", width=52),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        header = _parse(source, offset)
        size = min(header.length, source.size - offset)
        if min(at for at, length in header.parts if length) >= size:
            raise FormatError("nothing of the parts that a TP-Link header names is there")
        second = _second_header(source, offset, size, header)
        salt = _verified(source, offset, size, header)
        problems: list[str] = []
        if not any(header.md5):
            checked = "no MD5 stored"
        elif salt:
            checked = f"MD5 with a public salt ({salt}), verified"
        elif size < header.length:
            checked = "MD5 with a public salt, cannot be checked"
            problems.append(f"length {header.length} announced, {size} bytes there")
        else:
            checked = "MD5 with a public salt, wrong"
            problems.append("the salted MD5 in the header does not match the image")
        detail = _detail(header) | {"integrity": "hash" if any(header.md5) else "none", "integrity_detail": checked}
        if header.signature or (second and _parse(source, offset + second).signature):
            detail |= {
                "integrity": "signature",
                "integrity_detail": f"RSA-1024 signature in the header (not verified); {checked}",
            }
        entries = _with_boot_loader(source, offset, size, second) if second else _parts(source, offset, size, header)
        return Container(format=self.name, size=size, entries=entries, detail=detail, problems=problems)


def _parse(source: ByteSource, offset: int) -> _Header:
    """The header; raises FormatError unless its offsets and lengths fit one another."""
    raw = source.read(offset, HEADER_SIZE)
    version = raw[0]
    if raw[1:4] != b"\0\0\0" or version not in _LAYOUTS:
        raise FormatError("not a TP-Link header")
    hardware_at, md5_at, words_at = _LAYOUTS[version]
    hardware, revision = struct.unpack_from(">II", raw, hardware_at)
    load, entry, length, kernel, kernel_length, rootfs, rootfs_length, boot, boot_length = struct.unpack_from(
        ">9I", raw, words_at
    )
    signature = raw[_SIGNATURE] if version == 3 else b""
    header = _Header(
        version=version,
        vendor=_text(raw[4:28]) if version == 1 else "",
        title=_text(raw[28:64]) if version == 1 else _text(raw[4:52]),
        hardware=hardware,
        revision=revision,
        md5=raw[md5_at : md5_at + 16],
        load=load,
        entry=entry,
        length=length,
        kernel=kernel,
        kernel_length=kernel_length,
        rootfs=rootfs,
        rootfs_length=rootfs_length,
        boot=boot,
        boot_length=boot_length,
        signature=signature if len(set(signature)) > 8 else b"",
    )
    names = (raw[4:28], raw[28:64]) if version == 1 else (raw[4:52],)
    if not all(_padded(each) for each in names) or (version != 1 and not set(raw[4:52]) & {0, 0xFF}):
        raise FormatError("texts of a TP-Link header with something behind their end")
    inside = all(
        at <= length and size <= length for at, size in ((kernel, kernel_length), (rootfs, rootfs_length), (boot, boot_length))
    )
    if not hardware or not HEADER_SIZE < length <= 1 << 30 or not inside or not (kernel_length or rootfs_length):
        raise FormatError("implausible TP-Link header")
    return header


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].split(b"\xff", 1)[0].decode("ascii", "replace").strip()


def _padded(raw: bytes) -> bool:
    """Whether nothing but filling stands behind the text of a field: tables of strings look like headers otherwise."""
    return not raw[len(re.split(rb"[\x00\xff]", raw, maxsplit=1)[0]) :].strip(b"\0\xff")


def _second_header(source: ByteSource, offset: int, size: int, header: _Header) -> int:
    """Distance of the header behind the boot loader; 0 when there is none."""
    start = source.peek(offset, 4)
    for at in range(HEADER_SIZE, min(size - HEADER_SIZE, _SECOND_HEADER_LIMIT), HEADER_SIZE):
        if source.view(offset + at, 4) != start:
            continue
        try:
            other = _parse(source, offset + at)
        except FormatError:
            continue
        if (other.hardware, other.vendor, other.title) == (header.hardware, header.vendor, header.title):
            return at
    return 0


def _verified(source: ByteSource, offset: int, size: int, header: _Header) -> str:
    """The name of the salt with which the stored MD5 comes out; empty when none does."""
    at = offset + _LAYOUTS[header.version][1]
    if not any(header.md5):
        return ""
    # The boot loader's salts are tried first where there is a boot loader.
    for name in sorted(_SALTS, key=lambda name: ("boot" in name) != bool(header.boot_length)):
        digest = hashlib.md5(source.view(offset, at - offset), usedforsecurity=False)
        digest.update(_SALTS[name])
        for chunk in source.window(at + 16, offset + size - at - 16).chunks():
            digest.update(chunk)
        if digest.digest() == header.md5:
            return name
    return ""


def _detail(header: _Header) -> dict[str, str | int]:
    return {
        "header_version": header.version,
        "vendor": header.vendor,
        "version": header.title,
        "hardware_id": f"0x{header.hardware:08x}",
        "hardware_revision": header.revision,
        "load_address": _address(header.load),
        "entry_point": _address(header.entry),
        "kernel_length": header.kernel_length,
        "rootfs_length": header.rootfs_length,
        "boot_length": header.boot_length,
    }


def _address(value: int) -> str:
    """A MIPS kernel address; little-endian targets store it in their own byte order, where it would lie in user space."""
    swapped = int.from_bytes(value.to_bytes(4, "big"), "little")
    return f"0x{swapped if value < 1 << 31 <= swapped else value:08x}"


def _with_boot_loader(source: ByteSource, offset: int, size: int, second: int) -> list[Entry]:
    return [
        part(source, "boot", offset + HEADER_SIZE, second - HEADER_SIZE),
        part(source, "firmware", offset + second, size - second),
    ]


def _parts(source: ByteSource, offset: int, size: int, header: _Header) -> list[Entry]:
    """Parts that cover the image without a gap: each reaches to the next one, so padding is seen as padding.

    OpenWrt writes the stock offset of the root file system where its own begins right behind the kernel.
    """
    starts = {"boot": header.boot if header.boot_length else 0, "kernel": header.kernel if header.kernel_length else 0}
    kernel_end = header.kernel + header.kernel_length
    starts["rootfs"] = max(header.rootfs, kernel_end) if header.rootfs_length else 0
    order = sorted((at, name) for name, at in starts.items() if HEADER_SIZE <= at < size)
    if not order or order[0][0] > HEADER_SIZE:
        order.insert(0, (HEADER_SIZE, "payload"))
    ends = [at for at, _ in order[1:]] + [size]
    return [part(source, name, offset + at, end - at) for (at, name), end in zip(order, ends, strict=True) if end > at]


FORMATS = (TpLink(),)
