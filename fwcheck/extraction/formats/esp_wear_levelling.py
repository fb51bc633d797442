"""ESP-IDF wear levelling: a partition whose pages are rotated, one at a time, through a spare page.

Layout (little-endian, pages of ``block_size`` bytes, 4,096): ``max_pos`` pages, one of them the spare, then two copies of the
state and one configuration. State, 64 bytes: pos, max_pos, move_count, access_count, max_count, block_size, version, device_id,
28 bytes of zeros, CRC32 of what stands before (version 1: the CRC32 in place of device_id). Behind the state one record of 16
bytes for each step of the spare page: four CRC32s of a number made of device_id and the step; the first one missing is where the
spare page is. Configuration: start, size, page size, sector size, update rate, record size, version, buffer size, CRC32.
Logical page i lies at (pages - move_count + i) modulo pages, one further from the spare page on. All CRC32s are continued from
0xFFFFFFFF; the image builder fatfs-ng begins with 0, which a device takes for a new partition and reads all the same.
Source: ESP-IDF, ``components/wear_levelling`` (WL_State.h, WL_Config.h, WL_Flash.cpp) and ``components/fatfs/wl_fatfsgen.py``.
"""

from __future__ import annotations

import re
import zlib
from functools import partial
from struct import Struct, unpack_from

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats.fat import Fat
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource, Joined
from fwcheck.model import NodeKind

STATE = 64
RECORD = 16
CONFIG = 36
PAGES = 65536  # 256 MiB of pages: more than any flash this library drives
LARGE, SMALL = 128 << 20, 16 << 20  # bytes of a volume of FatFs, and of any other, behind which a state is looked for
FATFS = b"\xeb\xfe\x90"  # the jump that FatFs writes

_STATE = Struct("<8I28sI")
_ANNOUNCED = rb"\x00[\x02\x04\x08\x10]\x00\x00[\x01\x02]\x00\x00\x00.{4}\x00{28}"  # block size, version, device, reserved
_STATE_PATTERN = re.compile(rb".{20}" + _ANNOUNCED, re.DOTALL)


class State(msgspec.Struct, frozen=True, kw_only=True):
    """One sound copy of the state. ``pages`` counts those that hold data: all but the spare one."""

    pages: int
    spare: int
    moves: int
    page: int
    version: int
    copy_size: int  # bytes from one copy of the state to the next
    device: int

    def physical(self, logical: int) -> int:
        """Where a logical page lies."""
        at = (self.pages - self.moves % self.pages + logical) % self.pages
        return at + (at >= self.spare)


def state(source: ByteSource, at: int) -> State:
    """The state at ``at``; raises FormatError when there is none, or its checksum is wrong."""
    raw = source.peek(at, STATE)
    if len(raw) < STATE or not _STATE_PATTERN.match(raw):
        raise FormatError("no wear-levelling state")
    _, max_pos, moves, _, _, page, version, device, _, crc = _STATE.unpack(raw)
    if not (_right(raw[:60], crc) if version == 2 else _right(raw[:28], device)):
        raise FormatError("the checksum of the wear-levelling state is wrong")
    if not 2 <= max_pos <= PAGES:
        raise FormatError("a wear-levelling state of an impossible size")
    spare = 0
    while spare < max_pos - 1 and _moved(source.peek(at + STATE + spare * RECORD, RECORD), version, device, spare):
        spare += 1
    # The copies have a record for every sector of the partition, themselves included: one more page may be needed for those.
    copy = -(-(STATE + (max_pos + 3) * RECORD) // page) * page
    copy = -(-(STATE + (max_pos + 1 + 2 * copy // page) * RECORD) // page) * page
    return State(pages=max_pos - 1, spare=spare, moves=moves, page=page, version=version, copy_size=copy, device=device)


def _right(data: bytes, crc: int) -> bool:
    return crc in (zlib.crc32(data, 0xFFFFFFFF), zlib.crc32(data))


def _moved(record: bytes, version: int, device: int, step: int) -> bool:
    if version == 1:
        return record[:1] not in (b"", b"\xff")
    numbers = (device + step * 4 + n & 0xFFFFFFFF for n in range(4))
    return record == b"".join(zlib.crc32(n.to_bytes(4, "little"), 0xFFFFFFFF).to_bytes(4, "little") for n in numbers)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a levelled partition lies in its source."""

    begin: int
    first: int  # offset of the first copy of the state
    state: State
    sound: tuple[bool, bool]


def find(source: ByteSource, offset: int) -> Place:
    """The partition whose state stands at ``offset``, or behind the boot sector of a FAT volume that does."""
    try:
        found = state(source, offset)
    except FormatError:
        return _behind(source, offset)
    second = offset + found.copy_size
    begin = offset - (found.pages + 1) * found.page
    if begin < 0:
        raise FormatError("a wear-levelling state whose pages are not there")
    return Place(begin=begin, first=offset, state=found, sound=(True, _sound(source, second)))


def _sound(source: ByteSource, at: int) -> bool:
    try:
        state(source, at)
    except FormatError:
        return False
    return True


def _behind(source: ByteSource, offset: int) -> Place:
    """Looks for the state on the grid of pages, no further behind a boot sector than its volume and the copies are long."""
    boot = source.peek(offset, 64)
    sectors = unpack_from("<H", boot, 19)[0] or unpack_from("<I", boot, 32)[0] if len(boot) == 64 else 0
    size = sectors * int.from_bytes(boot[11:13], "little")
    if size > (LARGE if boot[:3] == FATFS else SMALL):
        raise FormatError("a FAT volume too large to be levelled")
    for page in (4096, 8192):
        last = min(offset + size + 4 * page + size // 128, source.size - STATE, offset + PAGES * page)
        for at in range(offset + page, last + 1, page):
            if not _STATE_PATTERN.match(source.view(at, STATE)):
                continue
            try:
                found = state(source, at)
            except FormatError:
                continue
            if found.page != page:
                continue
            for first, sound in ((at, (True, _sound(source, at + found.copy_size))), (at - found.copy_size, (False, True))):
                begin = first - (found.pages + 1) * page
                if begin >= 0 and begin + found.physical(0) * page == offset:
                    return Place(begin=begin, first=first, state=found, sound=sound)
    raise FormatError("no wear-levelling state")


class EspWearLevelling(Format):
    """A partition under ESP-IDF's wear levelling."""

    name = "esp-wear-levelling"
    title = "ESP-IDF wear-levelled partition"
    specification = "ESP-IDF, components/wear_levelling"
    category = "flash"
    reads = "state versions 1 and 2 (either copy), position records, rotation, configuration; CRC32 of state and configuration"
    not_read = "the sector emulation of CONFIG_WL_SECTOR_SIZE_512 in safe mode: a sector left in its dump area"
    signatures = (
        *(sign for sign in Fat.signatures if sign.anywhere),
        Signature(pattern=_ANNOUNCED, width=40, offset=20),
    )
    priority = 30  # the FAT volume inside is cut into rotated pages: it must not be read as it lies

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        place = find(source, offset)
        one = place.state
        config_at = place.first + 2 * one.copy_size
        end = min(config_at + one.page, source.size)
        problems: list[str] = []
        detail: dict[str, str | int] = {
            "version": one.version, "page_size": one.page, "pages": one.pages, "spare_page": one.spare, "moves": one.moves,
            "device": f"{one.device:08x}", "integrity": "checksum",
        }  # fmt: skip
        words = [f"CRC32 of state {n} {'right' if sound else 'wrong'}" for n, sound in enumerate(place.sound, 1)]
        config = source.peek(config_at, CONFIG)
        if len(config) == CONFIG:
            right = _right(config[:32], int.from_bytes(config[32:], "little"))
            words.append(f"CRC32 of the configuration {'right' if right else 'wrong'}")
            detail["update_rate"], detail["partition_size"] = unpack_from("<I", config, 16)[0], unpack_from("<I", config, 4)[0]
        else:
            note(problems, "the configuration is cut off")
        problems += [word for word in words if word.endswith("wrong")]
        detail["integrity_detail"] = ", ".join(words)
        return Container(
            format=self.name, size=end - offset, before=max(0, offset - place.begin), entries=_entries(source, place, end),
            detail=detail, problems=problems,
        )  # fmt: skip


def _entries(source: ByteSource, place: Place, end: int) -> list[Entry]:
    one = place.state
    entries = [
        Entry(
            path="volume", kind=NodeKind.REGION, role="part", size=one.pages * one.page, locality=place.begin,
            open=partial(_volume, source, place),
        )
    ]  # fmt: skip
    for name, at, size in (
        ("spare-page", place.begin + one.spare * one.page, one.page),
        ("state-1", place.first, one.copy_size),
        ("state-2", place.first + one.copy_size, one.copy_size),
        ("config", place.first + 2 * one.copy_size, one.page),
    ):
        if at < end:
            size = min(size, end - at)  # noqa: PLW2901  # cut where the source is
            entries.append(Entry(path=name, kind=NodeKind.REGION, role="meta", offset=at, size=size, locality=at))
    return entries


def _volume(source: ByteSource, place: Place) -> ByteSource:
    """The pages in logical order; neighbours stay in one piece."""
    one = place.state
    pieces: list[ByteSource | int] = []
    begin = length = 0
    for logical in range(one.pages):
        at = one.physical(logical)
        if length and at == begin + length:
            length += 1
            continue
        if length:
            pieces.append(source.window(place.begin + begin * one.page, length * one.page))
        begin, length = at, 1
    pieces.append(source.window(place.begin + begin * one.page, length * one.page))
    return Joined(pieces)


FORMATS = (EspWearLevelling(),)
