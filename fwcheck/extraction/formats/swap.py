"""Linux swap space.

Layout: the first page (of 4 to 64 KiB) ends in ``SWAPSPACE2``; at 1,024, in the machine's byte order: version 1, last page,
bad pages, UUID 1,036, label 1,052. Source: Linux kernel, ``include/linux/swap.h``.
"""

from __future__ import annotations

from struct import unpack_from

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Signature
from fwcheck.extraction.formats._identified import Facts, Identified, described, words
from fwcheck.extraction.source import ByteSource

PAGES = (4096, 8192, 16384, 65536)
MAGIC = b"SWAPSPACE2"


class Swap(Identified):
    """Pages that a system put aside: passwords and keys may be among them."""

    name = "swap"
    title = "Linux swap space (identified)"
    specification = "Linux kernel, include/linux/swap.h"
    category = "file system"
    reads = "header: extent, label, UUID"
    not_read = "whose pages these are; they are searched for strings and patterns as one content"
    signatures = tuple(Signature(pattern=MAGIC, width=10, offset=page - 10) for page in PAGES)

    def facts(self, source: ByteSource, offset: int) -> Facts:
        page = next((each for each in PAGES if source.peek(offset + each - 10, 10) == MAGIC), 0)
        raw = source.peek(offset + 1024, 64)
        for order in "<>":
            version, last, bad = unpack_from(f"{order}III", raw)
            if page and version == 1 and last and bad <= last:
                return Facts(
                    size=(last + 1) * page,
                    detail=described(page_size=page, byte_order="little" if order == "<" else "big", uuid=raw[12:28].hex(),
                                     volume=words(raw[28:44])),
                )  # fmt: skip
        raise FormatError("no swap header")


FORMATS = (Swap(),)
