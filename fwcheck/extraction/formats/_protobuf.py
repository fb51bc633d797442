"""The wire format of protocol buffers: fields of a message without its description.

A field is a key (number << 3 | wire type) and a value: 0, a variable-length integer of 7 bits per byte, lowest first; 1 and 5,
eight and four bytes; 2, a length and as many bytes. Source: "Encoding" of the Protocol Buffers documentation.
"""

from __future__ import annotations

from collections.abc import Iterator

from fwcheck.extraction.errors import FormatError

Value = int | memoryview


def varint(raw: memoryview, at: int) -> tuple[int, int]:
    """An integer and the offset behind it; raises FormatError when it does not end."""
    value = shift = 0
    while at < len(raw) and shift < 70:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
        shift += 7
    raise FormatError("an integer of a message without an end")


def fields(raw: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each field, in order; raises FormatError where the bytes are no message."""
    at = 0
    while at < len(raw):
        key, at = varint(raw, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(raw, at)
            yield key >> 3, value
            continue
        if kind == 2:
            length, at = varint(raw, at)
        elif kind in {1, 5}:
            length = 8 if kind == 1 else 4
        else:
            raise FormatError(f"a field of the unknown wire type {kind}")
        if at + length > len(raw):
            raise FormatError("a field reaches beyond its message")
        yield key >> 3, raw[at : at + length] if kind == 2 else int.from_bytes(raw[at : at + length], "little")
        at += length


def number(value: Value) -> int:
    """A value that has to be an integer."""
    if not isinstance(value, int):
        raise FormatError("bytes where a message has an integer")
    return value


def octets(value: Value) -> memoryview:
    """A value that has to be bytes."""
    if isinstance(value, int):
        raise FormatError("an integer where a message has bytes")
    return value
