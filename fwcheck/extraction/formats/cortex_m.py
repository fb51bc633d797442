"""Raw images of ARM Cortex-M microcontrollers, by the vector table at the beginning of a source.

There is no header: stack pointer and handlers of the vector table must agree with one another (see ``_vector_table.py``), at
the very beginning of a source. The image claims the source up to its trailing filling, in pieces: erased flash (0xFF) of at
least 4 KiB parts what lies before and behind it. A piece that begins with a vector table is code; a piece that does not is a
part, searched for containers of its own, as is an MCUboot image that follows without a gap. A DFU suffix at the end is left to
its own format.

Where an image is meant to lie is estimated: at that place all handlers are inside of it, the default handler is an endless
loop, and the others begin like functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._loader_keys import LoaderKeys, keys_of_loader
from fwcheck.extraction.formats._nordic_flash import boot_checks
from fwcheck.extraction.formats._parts import code, part
from fwcheck.extraction.formats._picobin import picobin
from fwcheck.extraction.formats._vector_table import load_address, vector_table
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_SIZE_LIMIT: Final = 64 << 20  # no flash of a microcontroller is larger
_SMALLEST: Final = 256
_PIECES_LIMIT: Final = 64
_KEYS_LIMIT: Final = 320 << 10  # bytes of code that are searched for keys
_ERASED: Final = b"\xff" * 4096
_MCUBOOT: Final = b"\x3d\xb8\xf3\x96"
_SOFTDEVICE: Final = b"\xdb\xe5\xb1\x51"
_ALIGN: Final = 0x100
_SUFFIX: Final = b"UFD\x10"  # of a DFU file, eight bytes before its end
_ODD: Final = rb"[\x01\x03\x05\x07\x09\x0b\x0d\x0f" + b"".join(b"\\x%02x" % value for value in range(0x11, 0x100, 2)) + b"]"


class CortexM(Format):
    """Raw Cortex-M image: vector tables, code and what stands between."""

    name = "cortex-m"
    title = "Raw ARM Cortex-M image"
    specification = "ARMv6-M, ARMv7-M, ARMv8-M Architecture Reference Manuals; NXP UM10503 (LPC checksum)"
    category = "executable"
    reads = (
        "vector tables of boot loader and applications in one dump, load address (estimated), LPC checksum, RP2350 metadata, "
        "public keys of a boot loader"
    )
    not_read = "images that do not begin with their vector table"
    signatures = (
        Signature(
            pattern=rb"[\x00\x04\x08\x0c" + b"".join(b"\\x%02x" % value for value in range(0x10, 0x100, 4)) + rb"].{2}"
            rb"[\x10\x18\x1c\x1f-\x22\x24\x28\x2f\x30\x38](?:" + _ODD + rb".{3}){3}.{16}\x00{12}.{8}\x00{4}",
            width=56,
            anywhere=False,
        ),
    )
    priority = 90

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        end = min(_content_end(source, offset), offset + _SIZE_LIMIT)
        table = vector_table(source, offset, end - offset)
        if any(source.peek(offset + at, 4) == _SOFTDEVICE for at in (0x2004, 0x3004)):
            raise FormatError("a SoftDevice, which says more of itself")
        if table is None or end - offset < _SMALLEST:
            raise FormatError("no vector table of a Cortex-M")
        pieces = list(_pieces(source, offset, end))
        base = load_address(source, offset, pieces[0][1] - offset, table)
        detail: dict[str, str | int] = {
            "stack_pointer": f"0x{table.stack:08x}",
            "reset_handler": f"0x{table.reset:08x}",
            "load_address": "unknown" if base is None else f"0x{base:08x} (estimated)",
        }
        if table.checksummed:
            detail["vector_checksum"] = "right (NXP LPC)"
        detail |= picobin(source, offset)
        entries = [_entry(source, begin, stop, offset) for begin, stop in pieces]
        held = _keys(source, offset, pieces)
        checks = boot_checks([(0, source)] if offset == 0 else [])
        return Container(
            format=self.name, size=end - offset, entries=entries, detail=detail | held.detail | checks.detail,
            signatures=checks.signatures, keys=held.keys,
        )  # fmt: skip


def _keys(source: ByteSource, offset: int, pieces: list[tuple[int, int]]) -> LoaderKeys:
    """The keys in the pieces that are code."""
    keys: dict[bytes, int] = {}
    budget = _KEYS_LIMIT
    for begin, end in pieces:
        if end - begin <= budget and vector_table(source, begin, end - begin) is not None:
            budget -= end - begin
            found = keys_of_loader(source, begin, end - begin)
            for key, at in zip(found.keys, found.places, strict=True):
                keys.setdefault(key, begin - offset + at)
    return LoaderKeys(tuple(keys), tuple(keys.values()))


def _content_end(source: ByteSource, offset: int) -> int:
    """The end of what is not filling and not a DFU suffix."""
    end = source.size
    if source.peek(end - 8, 4) == _SUFFIX:
        end -= 16
    while end > offset:
        length = min(1 << 16, end - offset)
        chunk = source.read(end - length, length).rstrip(b"\xff")
        if chunk:
            # A few bytes 0xFF may be the last of a word.
            return min(end, end - length + len(chunk) + -len(chunk) % 4)
        end -= length
    return offset


def _pieces(source: ByteSource, offset: int, end: int) -> Iterator[tuple[int, int]]:
    """What erased flash or the header of an MCUboot image parts, as (begin, end)."""
    begin = at = offset
    for _ in range(_PIECES_LIMIT):
        gap, image = _find(source, at, end, _ERASED), _find(source, max(at, begin + 4), end, _MCUBOOT)
        while image < end and ((image - offset) % _ALIGN or image > gap):
            image = _find(source, image + 1, end, _MCUBOOT) if image < gap else end
        stop = min(gap, image)
        yield begin, stop
        if stop == end:
            return
        begin = at = stop if stop == image else _behind(source, stop, end)
    yield begin, end


def _find(source: ByteSource, begin: int, end: int, what: bytes) -> int:
    """The first place of some bytes in a range; its end when there is none."""
    step, keep = 1 << 20, len(what) - 1
    for at in range(begin, end, step):
        found = source.read(at, min(step + keep, end - at)).find(what)
        if found >= 0:
            return at + found
    return end


def _behind(source: ByteSource, at: int, end: int) -> int:
    """Where erased flash ends, back to the alignment that images have."""
    while at < end:
        chunk = source.read(at, min(1 << 16, end - at))
        rest = chunk.lstrip(b"\xff")
        if rest:
            found = at + len(chunk) - len(rest)
            return max(at, found - found % 4)
        at += len(chunk)
    return end


def _entry(source: ByteSource, begin: int, end: int, offset: int) -> Entry:
    name = f"0x{begin - offset:x}"
    if vector_table(source, begin, end - begin) is not None:
        return code(source, f"code@{name}", begin, end - begin)
    return part(source, name, begin, end - begin)


FORMATS = (CortexM(),)
