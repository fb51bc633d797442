"""U-Boot environment: CRC32, in redundant ones a flag byte, then ``name=value`` strings and padding (U-Boot env.h).

The CRC covers everything to the end of the environment, whose size stands nowhere: the usual sizes are tried.
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

_TEXT_LIMIT: Final = 256 << 10
_STEPS = sorted({factor << bit for bit in range(9, 19) for factor in (1, 3)})  # 512 bytes to 768 KiB
_VARIABLE = re.compile(rb"[\x21-\x3c\x3e-\x7e]{1,128}=[\t\n\r\x20-\x7e\x80-\xff]*")
# how the first variable of an environment begins, sorted by name or in the order of the board
_NAMES = (
    b"arch=", b"addco", b"addip", b"addmi", b"altbo", b"autol", b"baudr", b"board", b"boot_", b"boota", b"bootc", b"bootd",
    b"bootf", b"bootl", b"bootm", b"bootp", b"conso", b"ethac", b"ethad", b"fdt_a", b"fdtad", b"filea", b"gatew",
    b"init=", b"ipadd", b"kerne", b"loada", b"mtdid", b"mtdpa", b"netma", b"serve", b"stder", b"stdin", b"stdou", b"ver=U",
    b"versi", b"autor", b"ubifs", b"prebo",
)  # fmt: skip
_SHOWN = (
    "bootcmd", "bootargs", "bootdelay", "baudrate", "console", "stdin", "preboot", "silent", "verify", "secure", "autoload",
    "bootstopkeysha256", "bootdelaykey", "bootstopkey", "serverip", "ipaddr", "ver", "mtdparts",
)  # fmt: skip


class UBootEnv(Format):
    """U-Boot environment, plain or redundant; accepted only when its CRC32 comes out."""

    name = "uboot-env"
    title = "U-Boot environment"
    specification = "U-Boot include/env_internal.h"
    category = "firmware"
    signatures = tuple(Signature(pattern=b"(?:" + b"|".join(_NAMES) + b")", width=5, offset=offset) for offset in (4, 5))
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        crc = int.from_bytes(source.read(offset, 4), "little")
        for header in (4, 5):
            found = _environment(source, offset + header, header, crc)
            if found is not None:
                size, variables = found
                return _container(offset, header, size, variables)
        raise FormatError("no U-Boot environment: the CRC32 does not come out for any size")


def _environment(source: ByteSource, at: int, header: int, crc: int) -> tuple[int, list[bytes]] | None:
    """Size, header included, and variables of the environment whose text begins at ``at``; None when it is none."""
    raw = source.peek(at, _TEXT_LIMIT)
    end = raw.find(b"\0\0")
    variables = raw[: max(end, 0)].split(b"\0")
    if end < 0 or not all(_VARIABLE.fullmatch(each) for each in variables):
        return None
    value = done = 0
    for size in _STEPS:
        length = size - header
        if length < end + 2:
            continue
        if at + length > source.size:
            return None
        # Only padding follows the text: where something else begins, the environment has ended.
        piece = source.read(at + done, length - done)
        if (piece[end + 2 :] if not done else piece).strip(b"\0\xff"):
            return None
        value, done = zlib.crc32(piece, value), length
        if value == crc:
            return size, variables
    return None


def _container(offset: int, header: int, size: int, variables: list[bytes]) -> Container:
    text = b"\n".join(variables) + b"\n"
    values = dict(each.decode("utf-8", "replace").partition("=")[::2] for each in variables)
    detail: dict[str, str | int] = {name: values[name][:300] for name in _SHOWN if name in values}
    detail |= {"variables": len(variables), "redundant": "yes" if header == 5 else "no"}
    detail |= {"integrity": "checksum", "integrity_detail": "CRC32 right"}
    entry = Entry(
        path="environment", kind=NodeKind.REGION, size=len(text), role="part", offset=offset + header, open=lambda: Memory(text)
    )
    return Container(format="uboot-env", size=size, entries=[entry], detail=detail)


FORMATS = (UBootEnv(),)
