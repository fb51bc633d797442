"""One content → its facts: pure, bounded, and never raising for any bytes."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

import msgspec

from fwcheck.inspection import call_roles, calls, catalogue, databases, keys, kinds, packages, sonames, text, traits, yara_rules
from fwcheck.inspection.patterns import Needle, Scan
from fwcheck.model import BannerHit, CertificateFact, ElfFacts, Facts, KeyFact, PatternHit

CODE_VERSION = 20  # raised by hand when the same bytes give other facts
_MATCHES = 512  # matches of one pattern that are looked at
_HITS = 256  # hits of one kind that are kept
_PIECE = 4 << 20  # bytes of a large content that are looked at together
_OVERLAP = 128 << 10  # bytes that two pieces share: longer than any match, key or certificate
_KEY_RULE = "crypto-private-key-in-program"
_ENTROPY_SAMPLE = 64 << 10
_ENTROPY_FROM = 1 << 10
_ENTROPY_PIECES = 16
T = TypeVar("T")


class _Hits(NamedTuple):
    """What the pattern pass gave, and what keys it led to."""

    banners: tuple[BannerHit, ...] = ()
    patterns: tuple[PatternHit, ...] = ()
    keys: tuple[KeyFact, ...] = ()
    certificates: tuple[CertificateFact, ...] = ()
    seen: frozenset[Needle] | None = None


def _version() -> str:
    digest = hashlib.sha256(f"code {CODE_VERSION}\n".encode())
    for name, data in sorted({**catalogue.data_files(), **yara_rules.rule_files()}.items()):
        digest.update(f"{name} {len(data)}\n".encode() + data)
    digest.update(repr(keys.SHAPES).encode() + calls.table_bytes() + call_roles.table_bytes())
    digest.update(traits.table_bytes() + sonames.table_bytes())
    return digest.hexdigest()[:16]


INSPECTOR_VERSION = _version()
"""Changes with the code number and with every byte of the built-in patterns and rules: part of the cache key."""


def inspect(content: bytes | memoryview, sha256: str | None = None) -> Facts:
    """The facts of a content held in memory (meant for up to 64 MiB). What could not be read stands in ``problems``.

    ``sha256`` is the content's own, in hexadecimal, where the caller has it already.
    """
    raw = _whole(content)
    problems: list[str] = []
    kind = _guarded("kind", lambda: kinds.identify(raw), kinds.Kind("binary"), problems)
    hits = _look(raw, kind.kind, problems)
    elf = _guarded("elf", lambda: _elf(raw), None, problems) if kind.kind == "elf" else None
    rows = databases.read_tables(raw) if kind.kind == "sqlite" else databases.Read()
    problems += rows.problems
    told = frozenset(hit.component for hit in hits.banners)
    alone = _guarded("sonames", lambda: tuple(sonames.read(raw, elf, told)), tuple[BannerHit, ...](), problems)
    code = _guarded("calls", lambda: calls.read_calls(raw, elf), calls.Read(), problems) if elf is not None else calls.Read()
    return Facts(
        sha256=sha256 or hashlib.sha256(raw).hexdigest(),
        size=len(raw),
        kind=kind.kind,
        interpreter=kind.interpreter,
        entropy=entropy_of(raw) if kind.kind == "binary" and len(raw) >= _ENTROPY_FROM else None,
        elf=elf,
        calls=code.calls,
        guards=code.guards,
        check_words=code.check_words,
        keys=hits.keys,
        certificates=hits.certificates,
        banners=(*hits.banners, *alone),
        packages=_guarded("packages", lambda: packages.read_packages(raw, kind.kind), (), problems),
        spans=_guarded("traits", lambda: traits.read(raw, hits.seen, elf), (), problems)
        if kind.kind in ("elf", "binary")
        else (),
        parts=traits.parts(raw, {hit.component for hit in (*hits.banners, *alone)}) if kind.kind == "elf" else (),
        patterns=hits.patterns,
        yara=_confirmed(_guarded("yara", lambda: yara_rules.scan(raw, kind.kind, problems, hits.seen), (), problems), hits.keys),
        problems=tuple(problems),
        text=text.text_of(raw, kind.kind),
        tables=rows.tables,
    )


def secret_patterns(content: bytes | memoryview, kind: str) -> tuple[PatternHit, ...]:
    """The secret shapes of a content held in memory alone, for facts that were kept without the secrets themselves."""
    raw, problems = _whole(content), list[str]()
    scan = _guarded("patterns", lambda: catalogue.builtin().patterns.scan(raw, _MATCHES), Scan({}, noisy=False), problems)
    return tuple(catalogue.secret_hits(catalogue.builtin(), scan, kind))


def _whole(content: bytes | memoryview) -> bytes:
    """A content as bytes: without a copy where the view shows all of a bytes object."""
    if not isinstance(content, memoryview):
        return content
    under = content.obj
    return under if type(under) is bytes and content.c_contiguous and content.nbytes == len(under) else bytes(content)


def inspect_stream(chunks: Iterable[bytes | memoryview], size: int) -> Facts:
    """The facts of a content too large to hold, given as chunks in order: hash, kind, patterns and keys; no ELF facts, no YARA.

    ``size`` is what the chunks are said to add up to; the facts tell what was really seen.
    """
    digest = hashlib.sha256()
    problems: list[str] = []
    kind = kinds.Kind("empty")
    parts: list[_Hits] = []
    seen = 0
    sample = b""
    for base, piece, low, high in _pieces(chunks, digest.update):
        if base == 0:
            kind = _guarded("kind", lambda: kinds.identify(piece), kinds.Kind("binary"), problems)  # noqa: B023  # called at once
            sample = piece[:_ENTROPY_SAMPLE]
        if piece[:64] != piece[:1] * 64 or piece != piece[:1] * len(piece):  # runs of one byte say nothing
            parts.append(_look(piece, kind.kind, problems, base, (low, high)))
        seen = base + len(piece)
    if seen != size:
        problems.append(f"content ended after {seen} of {size} bytes")
    if kind.kind == "elf":
        problems.append(f"elf: {seen} bytes are too many to be read as one file")
    if kind.kind == "sqlite":
        problems.append(f"sqlite: {seen} bytes are too many to be read as a database")
    return Facts(
        sha256=digest.hexdigest(),
        size=seen,
        kind=kind.kind,
        interpreter=kind.interpreter,
        entropy=entropy_of(sample) if kind.kind == "binary" and len(sample) >= _ENTROPY_FROM else None,
        banners=_merged(hit for part in parts for hit in part.banners),
        patterns=tuple(hit for part in parts for hit in part.patterns)[:_HITS],
        keys=tuple(key for part in parts for key in part.keys)[: keys.KEY_LIMIT],
        certificates=tuple(each for part in parts for each in part.certificates)[: keys.CERTIFICATE_LIMIT],
        problems=tuple(dict.fromkeys(problems))[:_HITS],
    )


def glance(chunks: Iterable[bytes | memoryview], size: int) -> Facts:
    """The least there is to know of a content: its hash, kind and entropy. ``size`` is its length in bytes."""
    digest, head = hashlib.sha256(), b""
    for chunk in chunks:
        if not head:
            head = bytes(chunk)
        digest.update(chunk)
    kind = _guarded("kind", lambda: kinds.identify(head), kinds.Kind("binary"), [])
    return Facts(sha256=digest.hexdigest(), size=size, kind=kind.kind, entropy=entropy_of(head) if head else None)


def _confirmed(found: tuple[PatternHit, ...], read: tuple[KeyFact, ...]) -> tuple[PatternHit, ...]:
    """YARA hits without those on private keys that turn out to be none, or to be published with a library."""
    secret = {key.offset for key in read if key.private and not key.published}
    return tuple(hit for hit in found if hit.rule != _KEY_RULE or hit.offset in secret)


def _look(raw: bytes, kind: str, problems: list[str], base: int = 0, within: tuple[int, int] | None = None) -> _Hits:
    """The pattern pass over one piece. ``within`` bounds where a hit may begin, ``base`` is added to offsets."""
    low, high = within if within is not None else (0, len(raw))
    scan = _guarded("patterns", lambda: catalogue.builtin().patterns.scan(raw, _MATCHES), Scan({}, noisy=False), problems)
    if scan.noisy:
        problems.append("patterns: too many candidates, some matches may be missing")
    if not scan.matches:
        return _Hits(seen=scan.seen)
    found = _guarded("keys", lambda: keys.read_keys(raw, scan), keys.Found((), (), ()), problems)
    problems += found.problems
    if within is not None:
        matches = {id: [match for match in each if low <= match.start() < high] for id, each in scan.matches.items()}
        scan = Scan({id: each for id, each in matches.items() if each}, scan.noisy)
    return _Hits(
        tuple(catalogue.banner_hits(catalogue.builtin(), scan, kind, base)),
        tuple(catalogue.secret_hits(catalogue.builtin(), scan, kind, base)),
        tuple(_moved(key, base) for key in found.keys if low <= key.offset < high),
        tuple(_moved(each, base) for each in found.certificates if low <= each.offset < high),
        scan.seen,
    )


Placed = TypeVar("Placed", KeyFact, CertificateFact)


def _moved(fact: Placed, base: int) -> Placed:
    return msgspec.structs.replace(fact, offset=fact.offset + base) if base else fact


def _merged(hits: Iterable[BannerHit]) -> tuple[BannerHit, ...]:
    first: dict[tuple[str, str], BannerHit] = {}
    for hit in hits:
        first.setdefault((hit.component, hit.version), hit)
    return tuple(first.values())[:_HITS]


def _pieces(
    chunks: Iterable[bytes | memoryview], update: Callable[[bytes | memoryview], object]
) -> Iterator[tuple[int, bytes, int, int]]:
    """Overlapping pieces of a stream: offset of the piece, its bytes, and where in it a hit may begin.

    A hit that begins in the shared part is left to the piece in which it cannot be cut off.
    """
    held = bytearray()
    base = low = 0
    for chunk in chunks:
        update(chunk)
        held += chunk
        while len(held) >= _PIECE + _OVERLAP:
            high = _PIECE - _OVERLAP // 2
            yield base, bytes(held[:_PIECE]), low, high
            del held[: _PIECE - _OVERLAP]
            base += _PIECE - _OVERLAP
            low = _OVERLAP // 2
    if held or base == 0:
        yield base, bytes(held), low, len(held)


def _guarded(part: str, read: Callable[[], T], otherwise: T, problems: list[str]) -> T:
    """The result of one inspector. A fault of an inspector costs its own facts and is told, never the others'."""
    try:
        return read()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001  # hostile bytes reach native parsers: a Rust panic is a BaseException
        problems.append(f"{part}: {type(error).__name__}: {error}"[:200])
        return otherwise


def _elf(raw: bytes) -> ElfFacts:
    from fwcheck.inspection.elf import read_elf  # noqa: PLC0415  # contents without ELF files do without it

    return read_elf(raw)


def entropy_of(raw: bytes) -> float:
    """Shannon entropy in bits per byte, of at most 64 KiB taken evenly from the content."""
    if len(raw) > _ENTROPY_SAMPLE:
        piece = _ENTROPY_SAMPLE // _ENTROPY_PIECES
        step = (len(raw) - piece) // (_ENTROPY_PIECES - 1)
        raw = b"".join(raw[index * step : index * step + piece] for index in range(_ENTROPY_PIECES))
    counts = Counter(raw)
    total = len(raw)
    # In the order of the values, so that equal bytes give an equal sum.
    return round(-sum(count / total * math.log2(count / total) for _, count in sorted(counts.items())), 3)
