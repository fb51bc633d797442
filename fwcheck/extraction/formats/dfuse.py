"""DfuSe files: firmware with addresses for the USB boot loader of STM32 and others (STMicroelectronics UM0391).

Little-endian: ``DfuSe``, u8 version 1, u32 size of the file without its DFU suffix, u8 number of targets. A target: ``Target``,
u8 alternate setting, u32 whether it is named, 255 bytes name, u32 size of its elements, u32 number of elements. An element: u32
address, u32 size, data. A DFU suffix ends the file.
"""

from __future__ import annotations

import struct
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._debug_locks import debug_lock
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.formats.dfu import SUFFIX, suffix
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_PREFIX = struct.Struct("<5sBIB")
_TARGET = struct.Struct("<6sBI255sII")
_ELEMENTS_LIMIT: Final = 4096


class DfuSe(Format):
    """DfuSe file; every element of every target is a part."""

    name = "dfuse"
    title = "DfuSe (STM32 USB update)"
    specification = "STMicroelectronics UM0391"
    category = "microcontroller"
    reads = "targets and elements with their addresses, DFU suffix with ids and CRC"
    not_read = ""
    signatures = (Signature(pattern=rb"DfuSe\x01.{4}[\x01-\xff]Target", width=17),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, version, size, targets = _PREFIX.unpack(source.view(offset, _PREFIX.size))
        if magic != b"DfuSe" or version != 1:
            raise FormatError("not a DfuSe prefix")
        problems: list[str] = []
        entries: list[Entry] = []
        detail: dict[str, str | int] = {"targets": targets}
        at = offset + _PREFIX.size
        for number in range(targets):
            at = _target(source, at, number, entries, detail, problems)
        if at != offset + size:
            note(problems, f"{size} bytes announced, {at - offset} there")
        if not entries:
            raise FormatError("a DfuSe file without elements")
        detail |= {"integrity": "none", "integrity_detail": "no DFU suffix"}
        if source.size - at >= SUFFIX:
            try:
                found, wrong = suffix(source.window(offset, at + SUFFIX - offset), at - offset)
            except FormatError:
                note(problems, "no DFU suffix")
            else:
                detail |= found
                problems += wrong
                at += SUFFIX
        return Container(format=self.name, size=at - offset, entries=entries, detail=detail, problems=problems)


def _target(
    source: ByteSource, at: int, number: int, entries: list[Entry], detail: dict[str, str | int], problems: list[str]
) -> int:
    """Takes the elements of one target; gives the offset behind them."""
    raw = source.peek(at, _TARGET.size)
    if len(raw) < _TARGET.size or raw[:6] != b"Target":
        note(problems, f"target {number} is missing")
        return at
    _, alternate, named, name, _, count = _TARGET.unpack(raw)
    label = f"target-{alternate}"
    if named:
        detail[label] = words(name)
    at += _TARGET.size
    for _ in range(count):
        head = source.peek(at, 8)
        if len(head) < 8 or len(entries) >= _ELEMENTS_LIMIT:
            note(problems, f"elements of target {number} are missing")
            break
        address, size = struct.unpack("<II", head)
        there = min(size, source.size - at - 8)
        if there < size:
            note(problems, f"element at 0x{address:08x}: {size} bytes announced, {there} there")
        detail = {"address": f"0x{address:08x}", **debug_lock(address, source.window(at + 8, there))}
        entries.append(part(source, f"{label}@0x{address:08x}", at + 8, there, detail))
        at += 8 + there
    return at


FORMATS = (DfuSe(),)
