"""SquashFS 1.x to 4.x, both byte orders, every compression of the kernel and the LZMA variants of vendors.

Sources: ``Documentation/filesystems/squashfs.rst`` and ``fs/squashfs/squashfs_fs.h`` of Linux (4.0); ``squashfs_compat.h`` of
squashfs-tools (1.x to 3.x). Directory indices and the export table hold nothing the listing lacks and are left unread.
"""

from __future__ import annotations

from fwcheck.extraction.errors import FormatError, Truncated
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._squashfs_blocks import Blocks
from fwcheck.extraction.formats._squashfs_layout import layout
from fwcheck.extraction.formats._squashfs_listing import Listing
from fwcheck.extraction.formats._squashfs_super import MAGICS, Superblock, superblock
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEAD = 119  # bytes of the largest superblock

# The version follows 24 bytes behind the magic, in either byte order: four letters alone occur by chance.
_PATTERN = b"(?:" + b"|".join(MAGICS) + rb")[\x00-\xff]{24}(?:[\x01-\x04]\x00|\x00[\x01-\x04])"


class SquashFs(Format):
    """Read-only compressed file system of most routers and cameras."""

    name = "squashfs"
    title = "SquashFS 1.x-4.x (little and big endian; gzip, lzma and vendors' variants of it, lzo, xz, lz4, zstd)"
    specification = "fs/squashfs/squashfs_fs.h of Linux; squashfs_compat.h of squashfs-tools"
    category = "file system"
    reads = (
        "versions 1.x, 2.x, 3.x and 4.0 in both byte orders, eight magics; gzip, LZMA, LZO, XZ, LZ4, Zstandard as declared or"
        " found by trial, LZMA with headers of 13, 5 and 4 bytes or none and any properties; fragments, sparse files, hard"
        " links, devices; extended attributes of files and directories (capabilities in words)"
    )
    not_read = "extended attributes of links and devices; LZMA with lc + lp above 4; encrypted or otherwise scrambled images"
    signatures = (Signature(pattern=_PATTERN, width=30),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        head = superblock(source.peek(offset, _HEAD))
        available = source.size - offset
        problems: list[str] = []
        if head.size > available:
            problems.append(f"truncated: the superblock claims {head.size} bytes, {available} are there")
        blocks = Blocks(source, offset, head, layout(head.version, head.order))
        listing = Listing(blocks, limits, problems)
        try:
            blocks.settle(listing.probes(), listing.root_is_sound)
        except FormatError as error:
            if problems:
                raise Truncated(f"{problems[0]}: {error}") from None
            raise
        return Container(
            format=self.name,
            size=min(head.size, available),
            entries=listing.entries(),
            detail=_detail(head, blocks.compression),
            problems=problems,
        )


def _detail(head: Superblock, compression: str) -> dict[str, str | int]:
    return {
        "version": f"{head.version}.{head.minor}",
        "byte_order": head.order,
        "compression": compression,
        "block_size": head.block_size,
        "inodes": head.inodes,
        "created": head.created,
        "magic": head.magic.decode("ascii"),
    }


FORMATS = (SquashFs(),)
