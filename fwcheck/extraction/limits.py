"""Quotas: how much one image may cost, whatever it claims."""

from __future__ import annotations

import math
import mmap
import struct
import time
from collections.abc import Iterable, Iterator

import msgspec

from fwcheck.extraction.errors import QuotaExceeded

_COUNTS = struct.Struct("=QQ")  # unpacked bytes, nodes


class Spent(QuotaExceeded):
    """A limit of the whole image, or of one content with everything inside it, was hit: nothing more is read there."""


class Stop:
    """Lets the user end the reading: what was read until then is reported."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self) -> None:
        """From now on nothing more is read."""
        self.asked = True


class Meter:
    """What a scan has spent so far. Made before workers are forked, it is shared by all of them.

    Processes add without a lock: two that add in the same instant may count once. A quota need not be more exact than that.
    """

    def __init__(self, limits: Limits, packed: int | None = None) -> None:
        self._limits = limits
        self._stop = limits.stop
        allowed = limits.bytes_total
        self._bytes = allowed if packed is None else min(allowed, max(limits.total_floor, packed * limits.total_ratio))
        self._shared = mmap.mmap(-1, mmap.PAGESIZE)
        self.deadline = self._until = time.monotonic() + limits.seconds_image
        self.unpacked = 0  # bytes this process counted itself
        budget = math.inf if packed is None else limits.seconds_structure + limits.seconds_structure_mib * (packed / (1 << 20))
        self._structure = time.process_time() + budget
        self._look = time.monotonic() + budget  # the processor clock need not be asked before

    @property
    def stopped(self) -> bool:
        """Whether the user has ended the reading."""
        return self._stop is not None and self._stop.asked

    def allow(self, seconds: float) -> None:
        """Bounds what this process does from now on, until the next call, and never beyond the time for the image.

        Contents are bounded one by one: the budget of the structure no longer counts.
        """
        self._until = min(self.deadline, time.monotonic() + seconds)
        self._look = self._structure = math.inf

    def add(self, unpacked: int = 0, nodes: int = 0) -> None:
        """Counts; raises Spent when the image has used up its bytes or its time, or has more nodes than it may."""
        self.unpacked += unpacked
        before = _COUNTS.unpack_from(self._shared)
        _COUNTS.pack_into(self._shared, 0, before[0] + unpacked, before[1] + nodes)
        if nodes and before[1] + nodes > self._limits.nodes:
            raise Spent(self._nodes())
        self.check()

    def check(self) -> None:
        """Raises Spent when no byte and no second is left. Nodes that were found may be read however many they are."""
        spent = self._spent()
        if spent is not None:
            raise Spent(spent)
        now = time.monotonic()
        if now > self._until:
            raise Spent("time limit of one content, with everything inside it, reached")
        if now > self._look:
            left = self._structure - time.process_time()
            if left <= 0:
                raise Spent("processor time for the structure of the image used up")
            self._look = now + left

    def spent(self) -> str | None:
        """Which limit of the whole image was reached; None when none was."""
        return self._nodes() if _COUNTS.unpack_from(self._shared)[1] > self._limits.nodes else self._spent()

    def _nodes(self) -> str:
        return f"more than {self._limits.nodes} nodes"

    def _spent(self) -> str | None:
        if _COUNTS.unpack_from(self._shared)[0] > self._bytes:
            return f"more than {self._bytes} unpacked bytes"
        if self.stopped:
            return "interrupted by the user"
        if time.monotonic() > self.deadline:
            return f"time limit of {self._limits.seconds_image:g} seconds reached"
        return None


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """All bounds of one scan; each that is hit becomes a recorded gap."""

    depth: int = 12  # containers inside containers
    nodes: int = 200_000  # long paths count as several
    bytes_total: int = 8 << 30  # unpacked bytes of the whole image
    bytes_stream: int = 2 << 30  # unpacked bytes of one stream
    ratio: int = 250  # unpacked to packed, once a stream has passed ratio_floor
    ratio_floor: int = 64 << 20
    total_ratio: int = 64  # unpacked bytes of the whole image to its size, once they have passed total_floor
    total_floor: int = 2 << 30
    seconds_content: float = 60.0
    seconds_image: float = 1800.0
    seconds_structure: float = 6.0  # of processor time for finding and listing everything in an image, contents apart
    seconds_structure_mib: float = 1.0  # and so much more for each MiB of it
    published_keys: bool = False  # whether vendor schemes whose keys are public may be decrypted: asked for, never by default
    stop: Stop | None = None  # the user's way to end the reading early
    meter: Meter | None = None  # counts for the whole image; None where only one stream is looked at

    def metered(self, packed: int | None = None) -> Limits:
        """These limits with a meter that starts now, for an image of ``packed`` bytes."""
        return msgspec.structs.replace(self, meter=Meter(self, packed))


DEFAULT = Limits()


def even(piece: bytes | memoryview) -> bool:
    """Whether a piece is one byte over and over, as the padding of images is."""
    head = bytes(piece[:64])
    if head != head[:1] * len(head):
        return False
    return bytes(piece) == head[:1] * len(piece)


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
