"""FAT volumes laid out as Microsoft's specification says, without a tool: small, exact, and as crooked as a test wants them."""

from __future__ import annotations

import struct

RESERVED = {12: 1, 16: 1, 32: 32}
DATE, TIME = (2024 - 1980) << 9 | 2 << 5 | 29, 13 << 11 | 14 << 5 | 8  # 2024-02-29 13:14:16
END = {12: 0xFFF, 16: 0xFFFF, 32: 0x0FFFFFFF}


def packed(cells: list[int], bits: int) -> bytes:
    if bits != 12:
        return b"".join(struct.pack("<H" if bits == 16 else "<I", cell) for cell in cells)
    cells = [*cells, 0] if len(cells) % 2 else cells
    return b"".join((one | two << 12).to_bytes(3, "little") for one, two in zip(cells[::2], cells[1::2], strict=True))


def entry(name: bytes, attributes: int, cluster: int, size: int, case: int = 0) -> bytes:
    return struct.pack(
        "<11sBBBHHHHHHHI", name, attributes, case, 0, TIME, DATE, DATE, cluster >> 16, TIME, DATE, cluster & 0xFFFF, size
    )


def long_entries(name: str, short: bytes) -> bytes:
    total = 0
    for byte in short:
        total = ((total & 1) * 128 + (total >> 1) + byte) % 256
    raw = name.encode("utf-16-le")
    if len(raw) % 26:
        raw += b"\0\0"
        raw += b"\xff" * (-len(raw) % 26)
    pieces = [raw[at : at + 26] for at in range(0, len(raw), 26)]
    out = b""
    for number in range(len(pieces), 0, -1):
        one = pieces[number - 1]
        order = number | (0x40 if number == len(pieces) else 0)
        out += bytes([order]) + one[:10] + bytes([0x0F, 0, total]) + one[10:22] + b"\0\0" + one[22:]
    return out


def volume(
    files: dict[str, bytes], bits: int = 12, sector: int = 512, clusters: int = 60, scatter: bool = False, label: bytes = b"LABEL"
) -> bytearray:
    """``files``: path of at most one directory to content. ``scatter`` leaves every other cluster out: nothing is whole."""
    per_table = -(-((clusters + 2) * bits // 8 + 2) // sector)
    root_size = 0 if bits == 32 else sector * max(1, 512 // sector) * 2
    cells, data = [0] * (clusters + 2), bytearray(clusters * sector)
    cells[0], cells[1] = END[bits] & ~0xFF | 0xF8, END[bits]
    free = iter(range(2, clusters + 2, 2 if scatter else 1))

    def put(content: bytes) -> int:
        first = previous = 0
        for at in range(0, max(1, len(content)), sector):
            number = next(free)
            data[(number - 2) * sector : (number - 2) * sector + len(content[at : at + sector])] = content[at : at + sector]
            first = first or number
            if previous:
                cells[previous] = number
            previous = number
        cells[previous] = END[bits]
        return first

    listing: dict[str, bytes] = {"": entry(label.ljust(11), 8, 0, 0) + b"\xe5" + entry(b"DELETED    ", 0x20, 2, 9)[1:]}
    root = put(bytes(2 * sector)) if bits == 32 else 0
    for count, (path, content) in enumerate(files.items()):
        folder, _, name = path.rpartition("/")
        short = b"FILE%04d   " % count
        listing.setdefault(folder, b"")
        listing[folder] += long_entries(name, short) + entry(short, 0x20, put(content) if content else 0, len(content))
    for count, folder in enumerate([each for each in listing if each]):
        body = entry(b".          ", 16, 0, 0) + entry(b"..         ", 16, 0, 0) + listing[folder]
        listing[""] += long_entries(folder, b"DIR%04d    " % count) + entry(b"DIR%04d    " % count, 16, put(body), 0)
    top = listing[""]
    if bits == 32:
        second = cells[root]
        data[(root - 2) * sector : (root - 1) * sector] = top[:sector].ljust(sector, b"\0")
        data[(second - 2) * sector : (second - 1) * sector] = top[sector:].ljust(sector, b"\0")
    table = packed(cells, bits).ljust(per_table * sector, b"\0")
    total = RESERVED[bits] + 2 * per_table + root_size // sector + clusters
    boot = bytearray(sector)
    boot[:11] = b"\xeb\x3c\x90fwtest  "
    small = total if total < 65536 and bits != 32 else 0
    struct.pack_into("<HBHBHHBHHHII", boot, 11, sector, 1, RESERVED[bits], 2, root_size // 32, small, 0xF8,
                     per_table if bits != 32 else 0, 63, 255, 0, 0 if small else total)  # fmt: skip
    if bits == 32:
        struct.pack_into("<IHHIHH", boot, 36, per_table, 0, 0, root, 1, 6)
    at = 66 if bits == 32 else 38
    boot[at : at + 24] = b"\x29" + struct.pack("<I", 0x12345678) + b"NO NAME    " + b"FAT%d   " % bits
    boot[510:512] = b"\x55\xaa"
    out = bytearray(boot).ljust(RESERVED[bits] * sector, b"\0") + table + table
    return out + (b"" if bits == 32 else top.ljust(root_size, b"\0")) + data
