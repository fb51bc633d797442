"""NTFS: the boot sector alone.

Layout (little-endian): ``NTFS `` 3, bytes per sector 11, sectors per cluster 13, sectors 40, clusters of the file table 48
and of its mirror 56, serial number 72. The last sector of the volume, a copy of the first, is not counted. Source: Linux
kernel, ``fs/ntfs3/ntfs.h``.
"""

from __future__ import annotations

from struct import unpack_from

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Signature
from fwcheck.extraction.formats._identified import Facts, Identified, described, power_of_two
from fwcheck.extraction.source import ByteSource


class Ntfs(Identified):
    """The file system of Windows; disks of recorders and terminals use it."""

    name = "ntfs"
    title = "NTFS (identified)"
    specification = "Linux kernel, fs/ntfs3/ntfs.h"
    category = "file system"
    reads = "boot sector: extent, cluster size, serial number"
    signatures = (Signature(pattern=rb"[\xEB\xE9]..NTFS    \x00[\x02\x04\x08\x10]", width=13),)
    priority = 40

    def facts(self, source: ByteSource, offset: int) -> Facts:
        raw = source.peek(offset, 512)
        sector, per_cluster = unpack_from("<HB", raw, 11)
        sectors, table, mirror, serial = unpack_from("<QQQ8xQ", raw, 40)
        per_cluster = per_cluster if per_cluster <= 128 else 1 << (256 - per_cluster if per_cluster >= 240 else 31)
        if not power_of_two(sector, 512, 4096) or not power_of_two(per_cluster, 1, 4096) or len(raw) < 512 or not sectors:
            raise FormatError("impossible values in an NTFS boot sector")
        if max(table, mirror) * per_cluster >= sectors or table == mirror:
            raise FormatError("an NTFS file table outside its volume")
        return Facts(
            size=(sectors + 1) * sector,
            detail=described(sector_size=sector, cluster_size=sector * per_cluster, serial=f"{serial:016x}"),
        )


FORMATS = (Ntfs(),)
