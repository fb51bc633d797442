"""Quotas: how much one image may cost, whatever it claims."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from fwcheck.extraction.errors import QuotaExceeded


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """All bounds of one scan; each that is hit becomes a recorded gap."""

    depth: int = 12  # containers inside containers
    nodes: int = 400_000
    bytes_total: int = 8 << 30  # unpacked bytes of the whole image
    bytes_stream: int = 2 << 30  # unpacked bytes of one stream
    ratio: int = 250  # unpacked to packed, once a stream has passed ratio_floor
    ratio_floor: int = 64 << 20
    seconds_content: float = 60.0
    seconds_image: float = 1800.0


DEFAULT = Limits()


def bounded(stream: Iterable[bytes], packed: int, limits: Limits = DEFAULT) -> Iterator[bytes]:
    """Passes a decoder's output on until it exceeds the stream quota or the ratio; then raises QuotaExceeded.

    ``packed`` is the number of input bytes of the whole stream.
    """
    allowed = min(limits.bytes_stream, max(limits.ratio_floor, packed * limits.ratio))
    produced = 0
    for piece in stream:
        produced += len(piece)
        if produced > allowed:
            raise QuotaExceeded(f"stream of {packed} bytes unpacks to more than {allowed} bytes")
        yield piece
