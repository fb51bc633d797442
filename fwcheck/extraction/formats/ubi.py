"""UBI: volumes over raw flash, whose logical erase blocks may lie in any physical one.

Layout: Linux kernel, ``drivers/mtd/ubi/ubi-media.h``; semantics: ``drivers/mtd/ubi/attach.c`` and ``vtbl.c``, and the UBI design
document of linux-mtd. The device is read by a full scan of its headers, which needs no fastmap and gives the same volumes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._ubi_layout import FASTMAP_DATA, FASTMAP_SUPER, LAYOUT_VOLUME, STATIC
from fwcheck.extraction.formats._ubi_scan import Scan
from fwcheck.extraction.formats._ubi_volume import Volume, table
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind


def _volumes(scan: Scan) -> list[Volume]:
    """Every volume a user sees, by number: those of the table, and those whose blocks alone are there."""
    rows = table(scan)
    numbers = sorted({*rows, *(number for number in scan.volumes if number < LAYOUT_VOLUME)})
    volumes = [Volume(scan, number, rows.get(number)) for number in numbers]
    names: set[str] = set()
    for volume in volumes:
        if volume.name in names:
            volume.name = f"{volume.name}-{volume.number}"
        names.add(volume.name)
    return volumes


def _entries(scan: Scan, volumes: list[Volume]) -> Iterator[Entry]:
    for volume in volumes:
        if volume.row is None and scan.layout:
            note(scan.problems, f"volume {volume.number} is not in the volume table")
        try:
            content = volume.content()
        except FormatError as error:
            note(scan.problems, str(error))
            continue
        yield Entry(
            path=volume.name,
            kind=NodeKind.REGION,
            size=content.size,
            role="part" if content.size else "meta",
            detail=volume.detail,
            locality=min((one.at for one in volume.blocks.values()), default=scan.offset),
            open=partial(_same, content) if content.size else None,
        )


def _same(content: ByteSource) -> ByteSource:
    return content


def _checks(scan: Scan, volumes: list[Volume]) -> str:
    headers = f"{scan.damaged} wrong" if scan.damaged else "right"
    static = [volume for volume in volumes if volume.type == STATIC]
    broken = sum(volume.broken for volume in static)
    data = f", of static data {f'{broken} wrong' if broken else 'right'}" if static else ""
    return f"CRC32 of headers {headers}{data}"


def _detail(scan: Scan, volumes: list[Volume]) -> dict[str, str | int]:
    detail: dict[str, str | int] = {
        "peb_size": scan.peb,
        "leb_size": scan.peb - scan.first.data_offset,
        "vid_header_offset": scan.first.vid_offset,
        "PEBs": len(scan.counts),
        "image_sequence": scan.image,
        "volumes": ", ".join(volume.name for volume in volumes[:16]),
        "erase_counters": f"{min(scan.counts)} to {max(scan.counts)}",
        "integrity": "checksum",
        "integrity_detail": _checks(scan, volumes),
    }
    if scan.free:
        detail["free_pebs"] = scan.free
    if scan.stale:
        detail["overridden_pebs"] = scan.stale
    if FASTMAP_SUPER in scan.volumes:
        detail["fastmap_pebs"] = sum(len(scan.volumes.get(one, ())) for one in (FASTMAP_SUPER, FASTMAP_DATA))
    if foreign := sorted(number for number in scan.volumes if number > FASTMAP_DATA):
        detail["unknown_internal_volumes"] = ", ".join(f"0x{number:x}" for number in foreign[:8])
    return detail


class Ubi(Format):
    """An UBI device, as ubinize writes it or as it is dumped from flash."""

    name = "ubi"
    title = "UBI"
    specification = "Linux kernel, drivers/mtd/ubi/ubi-media.h"
    category = "flash"
    reads = (
        "static and dynamic volumes with names, types and flags; any PEB size, found from the headers; blocks out of order,"
        " overridden, copied, erased or with broken headers; both copies of the volume table; partial images; devices with a"
        " fastmap (by full scan); CRC32 of headers, volume table and static data checked"
    )
    not_read = "the fastmap itself"
    signatures = (Signature(pattern=rb"UBI#\x01\x00\x00\x00........\x00[\x00-\x0F]..\x00[\x00-\x0F]..", width=24),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        scan = Scan(source, offset, limits)
        volumes = _volumes(scan)
        if not volumes and not scan.layout and len(scan.counts) < 2:
            raise FormatError("one erase block without a volume")
        return Container(
            format=self.name,
            size=scan.end - offset,
            entries=_entries(scan, volumes),
            detail=_detail(scan, volumes),
            problems=scan.problems,
        )


FORMATS = (Ubi(),)
