"""A JSON document of any length read element by element: what is in memory is one element, never the document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

from fwcheck.vulnerabilities.imports.documents import BadDocument

_CHUNK = 1 << 20
_ELEMENT = 16 << 20  # bytes of one element; the longest real record has a few hundred thousand
_DEPTH = 64
# A whole string, the beginning of one that the next chunk ends, or a bracket.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["{}\[\]]', re.DOTALL)
_QUOTE, _OPENING, _CLOSING = ord('"'), frozenset(b"{["), frozenset(b"}]")


def elements(stream: IO[bytes], name: str) -> Iterator[bytes]:
    """Each object in an array of the outermost object, as its bytes.

    Raises BadDocument for a document that ends in the middle, nests too deeply or has an element of unlikely size.
    """
    buffer, place, depth, start, ended, size = b"", 0, 0, -1, False, _CHUNK
    while chunk := stream.read(size):
        if ended and chunk.strip():
            raise BadDocument(f"{name}: goes on behind its end")
        keep = start if start >= 0 else place
        buffer, place = buffer[keep:] + chunk, place - keep
        start = 0 if start >= 0 else -1
        if len(buffer) - max(start, 0) > _ELEMENT + size:
            raise BadDocument(f"{name}: one element has more than {_ELEMENT >> 20} MiB")
        for token in _TOKEN.finditer(buffer, place):
            begin, end = token.span()
            byte = buffer[begin]
            if byte == _QUOTE:
                if end - begin == 1:
                    place = begin
                    size *= 2  # a string without an end is not looked through again and again
                    break
            elif byte in _OPENING:
                depth += 1
                if depth == 3:
                    start = begin
                elif depth > _DEPTH:
                    raise BadDocument(f"{name}: is nested more than {_DEPTH} deep")
            else:
                depth -= 1
                if depth == 2 and start >= 0:
                    yield buffer[start:end]
                    start = -1
                ended = depth <= 0
        else:
            place, size = len(buffer), _CHUNK
    if not ended or depth != 0:
        raise BadDocument(f"{name}: ends in the middle")
