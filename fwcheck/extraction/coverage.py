"""The coverage account: which bytes of the image are explained, padding, unknown, or look encrypted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from enum import IntEnum
from heapq import heappop, heappush
from itertools import pairwise

from fwcheck.extraction.source import ByteSource

BLOCK = 4096
LARGE = 1 << 20
SAMPLE = 16384
SEGMENTS = 512
_PRINTABLE = bytes([*b"\t\n\f\r", *range(0x20, 0x7F)])
STEPS = 256  # of the entropy profile
_LONE_PADDING = 16
_CIPHER_BLOCK = 8  # of DES and its like; 16 is a multiple


class Class(IntEnum):
    """What a byte range of the image is."""

    UNKNOWN = 0
    EXPLAINED = 1
    PADDING = 2
    ENCRYPTED = 3


Paint = tuple[int, int, Class]  # offset in the image, length, class


def account(size: int, paints: Iterable[Paint]) -> dict[Class, int]:
    """Bytes per class when ``paints`` are laid one over the other in order; what nobody painted is unknown.

    The four figures add up to ``size`` whatever the paints claim: they are cut at the end of the image.
    """
    totals = dict.fromkeys(Class, 0)
    for _, length, which in ranges(size, paints):
        totals[which] += length
    return totals


def ranges(size: int, paints: Iterable[Paint]) -> list[Paint]:
    """The image cut into ranges of one class each, in order and without holes, as :func:`account` counts them."""
    laid: list[tuple[int, int, int, Class]] = []  # begin, minus the place in the order of laying, end, class
    for number, (offset, length, which) in enumerate(paints):
        begin, end = max(0, min(offset, size)), max(0, min(offset + length, size))
        if begin < end:
            laid.append((begin, -number, end, which))
    laid.sort()
    edges = sorted({0, size, *(one[0] for one in laid), *(one[2] for one in laid)})
    # From one edge to the next counts what was laid last of all that begins before it and did not end yet.
    on_top: list[tuple[int, int, Class]] = []
    out: list[Paint] = []
    coming = 0
    for begin, end in pairwise(edges):
        while coming < len(laid) and laid[coming][0] <= begin:
            heappush(on_top, laid[coming][1:])
            coming += 1
        while on_top and on_top[0][1] <= begin:
            heappop(on_top)
        top = on_top[0][2] if on_top else Class.UNKNOWN
        if out and out[-1][2] is top:
            out[-1] = (out[-1][0], end - out[-1][0], top)
        else:
            out.append((begin, end - begin, top))
    return out


def entropy(data: bytes | memoryview) -> float:
    """Shannon entropy of the byte values, in bits per byte (0.0 for no data)."""
    total = len(data)
    return -sum(n / total * math.log2(n / total) for n in Counter(bytes(data)).values()) if total else 0.0


def profile(source: ByteSource, steps: int = STEPS) -> tuple[float, ...]:
    """The entropy along a source: of one block of 4 KiB at the beginning of each of at most ``steps`` equal steps.

    In bits per byte, to two places. A block of random bytes gives some 7.95: 4,096 bytes cannot show more.
    """
    count = min(steps, -(-source.size // 256))
    starts = [source.size * number // count for number in range(count)]
    ends = [*starts[1:], source.size]
    return tuple(
        0.0 if source.hole(begin, size) else round(entropy(source.view(begin, size)), 2)
        for begin, size in ((begin, min(BLOCK, end - begin)) for begin, end in zip(starts, ends, strict=True))
    )


def looks_random(data: bytes | memoryview) -> bool:
    """Whether byte values are as evenly spread as those of a good cipher: entropy within the noise expected of the sample.

    The expected entropy of ``n`` random bytes is 8 - 255 / (2 n ln 2) bits (Miller 1955); three times that loss is allowed.
    Strong compression looks the same: the result is a suspicion.
    """
    size = len(data)
    return size >= BLOCK // 4 and entropy(data) >= 8 - 3 * 255 / (2 * size * math.log(2))


def looks_ecb(data: bytes | memoryview) -> bool:
    """Whether blocks of 8 bytes repeat that are, each counted once, as even as a cipher's: encrypted block by block.

    Filling shows as what is repeated most; where some stands as it is, compressed pieces between it look the same.
    """
    blocks = [bytes(data[at : at + _CIPHER_BLOCK]) for at in range(0, len(data) - _CIPHER_BLOCK + 1, _CIPHER_BLOCK)]
    unique = dict.fromkeys(blocks)
    if len(unique) > len(blocks) * 0.99 or any(_uniform(block) for block in unique):
        return False
    return looks_random(b"".join(unique))


def _uniform(data: bytes | memoryview) -> bool:
    raw = bytes(data)
    return raw.count(raw[:1]) == len(raw)


def classify(source: ByteSource, offset: int, length: int) -> Iterator[tuple[int, int, Class]]:
    """Cuts a range that no format claims into padding, random-looking and other pieces: (offset, length, class), in order.

    Padding is any run of one repeated byte that fills whole blocks of 4 KiB, or stands at either end of the range.
    """
    runs: list[tuple[int, int, Class]] = []
    for begin, size, padding in _runs(source, offset, offset + length):
        for piece in [(begin, size, Class.PADDING)] if padding else _by_entropy(source, begin, size):
            if runs and runs[-1][2] is piece[2]:
                runs[-1] = (runs[-1][0], runs[-1][1] + piece[1], piece[2])
            else:
                runs.append(piece)
    yield from runs


def is_text(source: ByteSource, offset: int, length: int) -> bool:
    """Whether a range is plain ASCII text to its end: nothing in it is hidden from whoever reads it."""
    return length <= LARGE and not source.read(offset, length).translate(None, _PRINTABLE)


def _runs(source: ByteSource, offset: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """Splits ``[offset, end)`` at block borders into runs of padding and of data, ends trimmed exactly."""
    runs: list[tuple[int, int, bool]] = []
    for begin, stop, padding in _blocks(source, offset, end):
        if runs and runs[-1][2] == padding and (not padding or _first(source, begin) == _first(source, runs[-1][0])):
            runs[-1] = (runs[-1][0], stop, padding)
        else:
            runs.append((begin, stop, padding))
    for begin, stop, padding in runs:
        if padding:
            yield begin, stop - begin, True
            continue
        head = _edge(source.read(begin, min(BLOCK, stop - begin)), at_end=False)
        if head:
            yield begin, head, True
        tail_at = max(begin + head, stop - BLOCK)
        tail = _edge(source.read(tail_at, stop - tail_at), at_end=True)
        if begin + head < stop - tail:
            yield begin + head, stop - tail - begin - head, False
        if tail:
            yield stop - tail, tail, True


def _first(source: ByteSource, offset: int) -> bytes:
    return b"\0" if source.hole(offset, 1) else source.peek(offset, 1)


def _edge(data: bytes, *, at_end: bool) -> int:
    """Length of the run of one byte (0x00 or 0xFF) at an end of ``data``; short runs are data that happens to repeat."""
    best = 0
    for value in (b"\0", b"\xff"):
        left = data.rstrip(value) if at_end else data.lstrip(value)
        best = max(best, len(data) - len(left))
    return best if best >= _LONE_PADDING or best == len(data) else 0


def _blocks(source: ByteSource, offset: int, end: int) -> Iterator[tuple[int, int, bool]]:
    at = offset
    while at < end:
        stop = min(end, at + LARGE)
        if source.hole(at, stop - at):
            yield at, stop, True
            at = stop
            continue
        chunk = source.view(at, stop - at)
        if _uniform(chunk):
            yield at, stop, True
        else:
            for inner in range(at, stop, BLOCK):
                piece = chunk[inner - at : inner - at + BLOCK]
                yield inner, inner + len(piece), len(piece) == BLOCK and _uniform(piece)
        source.release(at, stop - at)
        at = stop


def _by_entropy(source: ByteSource, offset: int, length: int) -> Iterator[tuple[int, int, Class]]:
    step = max(SAMPLE * 2, -(-length // SEGMENTS))
    for begin in range(offset, offset + length, step):
        size = min(step, offset + length - begin)
        sample = source.view(begin, min(SAMPLE, size))
        yield begin, size, Class.ENCRYPTED if looks_random(sample) or looks_ecb(sample) else Class.UNKNOWN
