"""The trailer at the end of an MCUboot slot: how far a swap of the two images is, and whether the new one was confirmed.

From the end of the slot backwards (MCUboot docs/design.md, "Image trailer"): 16 bytes magic, then fields that are one write
alignment (8 bytes, or what the first two bytes of the newer magic say) long: image ok, copy done, swap info (low half swap
type, high half image number), and 8 bytes or one alignment with the size of the swap. In front are encrypted keys, if any, and
the swap's progress, whose length depends on the sectors of the flash. A flag is 1 where it is set and 0xFF where it is not.
"""

from __future__ import annotations

from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

MAGIC: Final = bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")
ALIGNED: Final = bytes.fromhex("2de15d29410b8d77679c110f1f8a")  # behind a u16 alignment
_TYPES = {1: "none", 2: "test", 3: "permanent", 4: "revert", 5: "fail", 0xF: "erased"}
_FLAGS = {0x01: "set", 0xFF: "unset"}


class McubootTrailer(Format):
    """Slot trailer: the fields in front of the magic belong to it."""

    name = "mcuboot-trailer"
    title = "MCUboot slot trailer (swap state)"
    specification = "MCUboot docs/design.md: Image trailer"
    category = "microcontroller"
    reads = "both magics, swap type and size, copy done, image ok"
    not_read = "progress of a swap under way, sector by sector"
    signatures = (
        Signature(pattern=rb"\x77\xc2\x95\xf3\x60\xd2\xef\x7f\x35\x52\x50\x0f\x2c\xb6\x79\x80", width=16),
        Signature(pattern=rb"[\x08\x10\x20\x40\x80]\x00\x2d\xe1\x5d\x29\x41\x0b\x8d\x77\x67\x9c\x11\x0f\x1f\x8a", width=16),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic = source.read(offset, 16)
        align = 8 if magic == MAGIC else int.from_bytes(magic[:2], "little") if magic[2:] == ALIGNED else 0
        before = 4 * align
        if not align or offset < before:
            raise FormatError("not the end of an MCUboot slot")
        ok, done, info, size = (source.read(offset - n * align, 8) for n in (1, 2, 3, 4))
        # A boot loader's code holds the magic as well: there no field stands in front of it.
        if ok[0] not in _FLAGS or done[0] not in _FLAGS or ok[1:] + done[1:] != b"\xff" * 14:
            raise FormatError("the magic of an MCUboot slot without its fields")
        detail: dict[str, str | int] = {
            "alignment": align,
            "image_ok": _FLAGS[ok[0]],
            "copy_done": _FLAGS[done[0]],
            "swap_type": _TYPES.get(info[0] & 15, f"0x{info[0]:02x}"),
            "image_number": info[0] >> 4,
        }
        if size[:4] != b"\xff" * 4:
            detail["swap_size"] = int.from_bytes(size[:4], "little")
        if info[0] == 0xFF:
            detail.pop("image_number")
        return Container(format=self.name, size=16, before=before, detail=detail)


FORMATS = (McubootTrailer(),)
