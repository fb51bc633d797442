"""Quotas: how much one image may cost, whatever it claims."""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Iterable, Iterator

import msgspec

from fwcheck.extraction.errors import QuotaExceeded

_COUNTS = struct.Struct("=QQ")  # unpacked bytes, nodes


class Spent(QuotaExceeded):
    """A limit of the whole image, or of one content with everything inside it, was hit: nothing more is read there."""


class Meter:
    """What a scan has spent so far. Made before workers are forked, it is shared by all of them.

    Processes add without a lock: two that add in the same instant may count once. A quota need not be more exact than that.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._shared = mmap.mmap(-1, mmap.PAGESIZE)
        self.deadline = self._deadline = time.monotonic() + limits.seconds_image
        self.unpacked = 0  # bytes this process counted itself

    def allow(self, seconds: float) -> None:
        """Bounds what this process does from now on, until the next call, and never beyond the time for the image."""
        self._deadline = min(self.deadline, time.monotonic() + seconds)

    def add(self, unpacked: int = 0, nodes: int = 0) -> None:
        """Counts; raises Spent when the image has used up its bytes, nodes or time."""
        self.unpacked += unpacked
        before = _COUNTS.unpack_from(self._shared)
        _COUNTS.pack_into(self._shared, 0, before[0] + unpacked, before[1] + nodes)
        self.check()

    def check(self) -> None:
        """Raises Spent when there is nothing left to spend."""
        spent = self.spent()
        if spent is not None:
            raise Spent(spent)
        if time.monotonic() > self._deadline:
            raise Spent("time limit of one content, with everything inside it, reached")

    def spent(self) -> str | None:
        """Which limit of the whole image was reached; None when none was."""
        unpacked, nodes = _COUNTS.unpack_from(self._shared)
        if unpacked > self._limits.bytes_total:
            return f"more than {self._limits.bytes_total} unpacked bytes"
        if nodes > self._limits.nodes:
            return f"more than {self._limits.nodes} nodes"
        if time.monotonic() > self.deadline:
            return f"time limit of {self._limits.seconds_image:g} seconds reached"
        return None


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
    meter: Meter | None = None  # counts for the whole image; None where only one stream is looked at

    def metered(self) -> Limits:
        """These limits with a meter that starts now."""
        return msgspec.structs.replace(self, meter=Meter(self))


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
        if limits.meter is not None:
            limits.meter.add(len(piece))
        yield piece
