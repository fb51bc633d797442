"""The FlexSPI configuration block that stands in front of i.MX RT, LPC55S3x and MCX images in serial flash (NXP SDK, SPSDK).

512 bytes, little-endian: ``FCFB``, u32 version (``V`` in its highest byte), reserved; u8 device type at 0x44 (1 serial NOR, 2
serial NAND), u8 pads at 0x45, u8 clock code at 0x46, u32 sizes of four flash chips at 0x50, the table of commands at 0x80, u32
page size at 0x1C0, u32 sector size at 0x1C4 (flexspi_nor_config_t). It stands at 0, 0x400 or 0x1000 of the flash. An image
vector table follows at 0x1000 and is found as such; a Master Boot Image at 0x1000, which has no mark, is looked for here.
"""

from __future__ import annotations

import contextlib
import struct
from typing import Final

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.formats.nxp_mbi import NxpMbi
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_SIZE: Final = 512
_BEHIND: Final = (0xC00, 0x1000)  # where an image stands from here, as the block stands at 0x400 or at the beginning
_TYPES = {1: "serial NOR", 2: "serial NAND", 3: "serial RAM", 0x12: "NOR and NAND", 0x13: "NOR and RAM"}
_PADS: Final = frozenset({0, 1, 2, 4, 8})
_IMAGE = NxpMbi()


class NxpFcb(Format):
    """FlexSPI configuration block, and the Master Boot Image behind it."""

    name = "nxp-fcb"
    title = "NXP FlexSPI configuration block (FCFB)"
    specification = "NXP MCUXpresso SDK flexspi_nor_config_t; SPSDK fcb_flexspi_nor.json"
    category = "microcontroller"
    reads = "device type, pads, chip, page and sector sizes; the Master Boot Image behind it as a part"
    not_read = "the table of commands, XSPI blocks of i.MX RT700"
    signatures = (Signature(pattern=rb"FCFB[\x00-\x0f][\x00-\x0f][\x00-\x01]V", width=8),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _SIZE)
        kind, pads = raw[0x44], raw[0x45]
        chips = [each for each in struct.unpack_from("<4I", raw, 0x50) if each]
        page, sector = struct.unpack_from("<II", raw, 0x1C0)
        if raw[:4] != b"FCFB" or raw[7:8] != b"V" or pads not in _PADS or kind & 0xF > 3:
            raise FormatError("not a FlexSPI configuration block")
        block = msgspec.structs.replace(part(source, "configuration", offset, _SIZE), role="meta")
        entries, size = [block], _SIZE
        for distance in _BEHIND:
            with contextlib.suppress(FormatError):
                image = _IMAGE.open(source.window(offset + distance, max(source.size - offset - distance, 0)), 0, limits)
                entries += _behind(source, offset, distance, image.size)
                size = distance + image.size
                break
        detail: dict[str, str | int] = {
            "version": ".".join(str(each) for each in raw[6:3:-1]),
            "device": _TYPES.get(kind, f"0x{kind:x}"),
            "pads": pads,
            "flash_size": sum(chips),
            "page_size": page,
            "sector_size": sector,
            "integrity": "none",
            "integrity_detail": "no check of its own",
        }
        return Container(format=self.name, size=size, entries=entries, detail={key: each for key, each in detail.items() if each})


def _behind(source: ByteSource, offset: int, distance: int, size: int) -> list[Entry]:
    between = part(source, "between", offset + _SIZE, distance - _SIZE)
    return [between, part(source, "image", offset + distance, size)]


FORMATS = (NxpFcb(),)
