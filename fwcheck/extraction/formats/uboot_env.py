"""U-Boot environment: CRC32, in redundant ones a flag byte, then ``name=value`` strings, an empty one and filling (U-Boot env.h).

The CRC covers everything to the end of the environment, whose size stands nowhere: multiples of 256 bytes are tried as far as
filling reaches, powers of two also behind that, where older U-Boots leave what stood there before. Text environments
(``uEnv.txt``) are files and stay files. What a boot loader brings as its default environment is the same strings without a CRC,
inside its code: :func:`defaults` reads them.
"""

from __future__ import annotations

import re
import zlib
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource, Memory
from fwcheck.model import NodeKind

_TEXT_LIMIT: Final = 512 << 10
_USUAL: Final = {factor << bit for bit in range(9, 19) for factor in (1, 3)}  # 512 bytes to 768 KiB
_SIZES: Final = sorted(_USUAL | set(range(256, 64 << 10, 256)) | set(range(64 << 10, _TEXT_LIMIT, 4096)))
_VARIABLE: Final = re.compile(rb"[\x21-\x3c\x3e-\x7e]{1,128}=[\t\n\r\x20-\x7e\x80-\xff]*")
_DEFAULTS: Final = re.compile(rb"(?:[\x21-\x3c\x3e-\x7e]{1,64}=[\t\n\r\x20-\x7e]{0,2048}\x00){3,}")
_SEVERAL: Final = 3
_FIRST: Final = 4096  # bytes within which the first variable ends
_COMMAND: Final = b"\0bootcmd="
_DELAY: Final = b"bootdelay="
# a text that nothing ends, with the first variable of env_default.h behind it
_JOINED: Final = re.compile(rb"[^=]+?((?:bootargs|bootcmd|ramboot|nfsboot|bootdelay|baudrate|\.flags|\.callbacks)=[\x00-\xff]*)")
_ALIGNED: Final = 256  # where environments begin in flash and files
_NEAR: Final = 8 << 10  # how far from bootcmd a default environment may begin
# how the first variable of an environment begins, sorted by name or in the order of the board
_NAMES: Final = (
    b"arch=", b"addco", b"addip", b"addmi", b"altbo", b"autol", b"baudr", b"board", b"boot_", b"boota", b"bootc", b"bootd",
    b"bootf", b"bootl", b"bootm", b"bootp", b"conso", b"ethac", b"ethad", b"fdt_a", b"fdtad", b"filea", b"gatew",
    b"init=", b"ipadd", b"kerne", b"loada", b"mtdid", b"mtdpa", b"netma", b"serve", b"stder", b"stdin", b"stdou", b"ver=U",
    b"versi", b"autor", b"ubifs", b"prebo", b"actio", b"activ", b"bank_", b"bootl", b"bootn", b"bootr", b"bootv", b"cmdli",
    b"cpu=a", b"devic", b"dfu_a", b"dtb_a", b"emmc_", b"enabl", b"eth0a", b"ethac", b"ether", b"fdt_f", b"fdt_h", b"fdtco",
    b"firmw", b"flash", b"gatei", b"hostn", b"hwid=", b"image", b"initr", b"kerna", b"linux", b"loadb", b"loads", b"macad",
    b"mem=0", b"memor", b"mmc_b", b"mmcar", b"model", b"mtdro", b"nanda", b"nandr", b"netde", b"osmem", b"phyad", b"rambo",
    b"ramdi", b"rootf", b"rootp", b"sd_bo", b"seria", b"spifl", b"total", b"updat", b"upgra", b"uboot", b"usb_b", b"vendo",
)  # fmt: skip
_SHOWN: Final = (
    "bootcmd", "bootargs", "bootdelay", "baudrate", "console", "stdin", "preboot", "silent", "verify", "secure", "autoload",
    "bootstopkeysha256", "bootdelaykey", "bootstopkey", "serverip", "ipaddr", "ver", "mtdparts",
)  # fmt: skip


class UBootEnv(Format):
    """U-Boot environment, plain or redundant; accepted only when its CRC32 comes out."""

    name = "uboot-env"
    title = "U-Boot environment"
    specification = "U-Boot include/env_internal.h"
    category = "firmware"
    reads = "plain and redundant, multiples of 256 bytes up to 768 KiB, little-endian CRC32 and big-endian; variables as text"
    not_read = "environments with a wrong CRC32, except as default environment inside a U-Boot binary; larger than 768 KiB"
    signatures = (
        *(Signature(pattern=b"(?:" + b"|".join(_NAMES) + b")", width=5, offset=offset) for offset in (4, 5)),
        Signature(pattern=rb"\x00bootcmd=", width=9),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        if source.peek(offset, len(_COMMAND)) == _COMMAND:
            return _from_inside(source, offset)
        for header in (4, 5):
            found = _environment(source, offset, header)
            if found is not None:
                return _container(source, offset, header, *found)
        raise FormatError("no U-Boot environment: the CRC32 does not come out for any size")


def is_environment(source: ByteSource, offset: int) -> bool:
    """Whether an environment whose CRC32 is right begins at ``offset``."""
    return any(_environment(source, offset, header) is not None for header in (4, 5))


def defaults(data: memoryview) -> tuple[dict[str, str | int], bytes]:
    """The default environment inside a boot loader's code: what it says of booting, and its text; empty when there is none."""
    whole = bytes(data)
    found = next((text for anchor in (_COMMAND, _DELAY) if (text := _listed(whole, whole.find(anchor)))), b"")
    variables = found.rstrip(b"\0").split(b"\0")
    joined = _JOINED.fullmatch(variables[0])
    if joined:
        variables[0] = joined[1]
    values = _values(variables)
    return {f"default_{name}": values[name][:300] for name in _SHOWN if name in values}, b"\n".join(variables)


def _listed(data: bytes, at: int) -> bytes:
    """The variables one after the other around the place of one of them."""
    begin = max(0, at - _NEAR)
    inside = at - begin + 1
    near = data[begin : at + _NEAR] if at >= 0 else b""
    return next((each[0] for each in _DEFAULTS.finditer(near) if each.start() <= inside < each.end()), b"")


def _from_inside(source: ByteSource, offset: int) -> Container:
    """An environment that is met at its variable ``bootcmd``: what stands before it is read backwards, up to the header."""
    begin = max(0, offset - _NEAR)
    before = source.read(begin, offset - begin)
    for at in range(-begin % _ALIGNED, len(before), _ALIGNED):
        for header in (4, 5):
            text = before[at + header :]
            if text and all(_VARIABLE.fullmatch(each) for each in text.split(b"\0")):
                found = _environment(source, begin + at, header)
                if found is not None and begin + at + found[0] > offset:
                    container = _container(source, begin + at, header, *found)
                    container.before = offset - begin - at
                    container.size -= container.before
                    return container
    raise FormatError("no U-Boot environment around a variable")


def _environment(source: ByteSource, offset: int, header: int) -> tuple[int, list[bytes], str] | None:
    """Size, header included, variables and byte order of the CRC of the environment at ``offset``; None when it is none."""
    at = offset + header
    first, ended, _ = source.peek(at, _FIRST).partition(b"\0")
    if not ended or not _VARIABLE.fullmatch(first):
        return None
    raw = source.peek(at, _TEXT_LIMIT)
    end = raw.find(b"\0\0")
    variables = raw[: max(end, 0)].split(b"\0")
    if end < 0 or not all(_VARIABLE.fullmatch(each) for each in variables):
        return None
    stored = source.read(offset, 4)
    orders = {int.from_bytes(stored, "little"): "little", int.from_bytes(stored, "big"): "big"}
    value = done = 0
    filled = True  # only filling so far behind the text
    for size in _SIZES:
        length = size - header
        if not filled and len(variables) < _SEVERAL:
            return None  # one lone text with something else behind it: a string of a program
        if length < end + 2 or not (filled or size in _USUAL):
            continue
        if at + length > source.size:
            return None
        piece = source.read(at + done, length - done)
        filled = filled and not (piece[end + 2 :] if not done else piece).strip(b"\0\xff")
        value, done = zlib.crc32(piece, value), length
        if value in orders and (filled or size in _USUAL):
            return size, variables, orders[value]
    return None


def _values(variables: list[bytes]) -> dict[str, str]:
    return dict(each.decode("utf-8", "replace").partition("=")[::2] for each in variables)


def _container(source: ByteSource, offset: int, header: int, size: int, variables: list[bytes], order: str) -> Container:
    text = b"\n".join(variables) + b"\n"
    values = _values(variables)
    detail: dict[str, str | int] = {name: values[name][:300] for name in _SHOWN if name in values}
    detail |= {"variables": len(variables), "redundant": "yes" if header == 5 else "no"}
    if header == 5:
        detail["flag"] = source.read(offset + 4, 1)[0]
    if order == "big":
        detail["byte_order"] = "big"
    detail |= {"integrity": "checksum", "integrity_detail": "CRC32 right"}
    entry = Entry(
        path="environment", kind=NodeKind.REGION, size=len(text), role="part", offset=offset + header, open=lambda: Memory(text)
    )
    return Container(format="uboot-env", size=size, entries=[entry], detail=detail)


FORMATS = (UBootEnv(),)
