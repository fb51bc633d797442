"""YARA rules of ``rules/yara``: compiled once per process, run over the contents in which they make sense.

The rules keep to what yara-python and yara-x both understand; the first is used where it is installed (it frees the interpreter
lock), the second elsewhere. Each rule's ``meta`` names ``id``, ``description``, ``severity`` and ``reference``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from fwcheck.inspection.patterns import Needle
from fwcheck.inspection.quoting import mask, printable
from fwcheck.inspection.yara_filter import Filter
from fwcheck.model import PatternHit

TIMEOUT = 20  # seconds for one content
_SIZE_LIMIT = 64 << 20
_HITS_PER_RULE = 8
_HITS = 128
_QUOTE = 120
# Pictures, sound, fonts and packed data: no place for what the rules look for.
_SKIPPED = frozenset({
    "empty", "png", "jpeg", "gif", "bmp", "ico", "webp", "tiff", "wav", "mp3", "aac", "amr", "ogg", "flac", "mp4", "avi", "flv",
    "matroska", "ttf", "otf", "woff", "woff2", "timezone", "terminfo", "gzip", "xz", "zstd", "lz4", "lzop", "lzip", "bzip2",
    "lzma",
})  # fmt: skip


class Match(NamedTuple):
    """One place of one rule. ``data`` are the bytes of the string that matched."""

    rule: str
    meta: Mapping[str, str]
    offset: int
    data: bytes


class Engine(Protocol):
    """What both YARA libraries are reduced to."""

    def match(self, content: bytes) -> list[Match]:
        """The matches in one content. Raises TimeoutError after ``TIMEOUT`` seconds."""


def rule_files() -> dict[str, bytes]:
    """The rule files by name: of the installed package, or of the source tree's ``rules/yara``."""
    inside = resources.files("fwcheck").joinpath("rules", "yara")
    if inside.is_dir():
        return {entry.name: entry.read_bytes() for entry in inside.iterdir() if entry.name.endswith(".yar")}
    folder = Path(__file__).resolve().parents[2] / "rules" / "yara"
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.yar"))}


@cache
def prefilter() -> Filter:
    """What the rule files need, to be looked for in the pattern pass."""
    return Filter({name: data.decode("utf-8", "replace") for name, data in rule_files().items()})


def scan(content: bytes, kind: str, problems: list[str], seen: frozenset[Needle] | None = None) -> tuple[PatternHit, ...]:
    """The hits of all rules, by offset; what could not be done is told in ``problems``.

    ``seen`` are the needles of :func:`prefilter` that stand in the content: rules that they rule out are not run. None: all run.
    """
    if kind in _SKIPPED or len(content) > _SIZE_LIMIT:
        return ()
    engines = [_engine(filtered=False)]
    if seen is None or prefilter().allows(content, seen):
        engines.append(_engine(filtered=True))
    try:
        matches = [match for engine in engines if engine is not None for match in engine.match(content)]
    except TimeoutError:
        problems.append(f"yara: not finished within {TIMEOUT} s")
        return ()
    counts: dict[str, int] = {}
    hits: list[PatternHit] = []
    for match in sorted(matches, key=lambda match: (match.offset, match.rule)):
        counts[match.rule] = counts.get(match.rule, 0) + 1
        if counts[match.rule] <= _HITS_PER_RULE:
            hits.append(_hit(match))
    return tuple(hits[:_HITS])


def _hit(match: Match) -> PatternHit:
    meta = {name: str(value) for name, value in match.meta.items()}
    shown = printable(match.data).strip()
    if meta.get("secret") == "true":
        header, dashes, _ = shown.partition("KEY-----")  # of a PEM block the first line is no secret
        shown = header + dashes if dashes else mask(shown)
    return PatternHit(
        rule=meta.get("id", match.rule),
        offset=match.offset,
        text=shown[:_QUOTE],
        meta={**meta, "rule": match.rule},
    )


def _tells(meta: Mapping[str, Any], identifier: str) -> bool:
    """Whether a string of a rule is what its hit shows: all are, unless the rule names the one (``evidence = "$format"``)."""
    return str(meta.get("evidence", identifier)) == identifier


@cache
def _engine(*, filtered: bool) -> Engine | None:
    """The rules with or without a filter, compiled by the library at hand; None when there are no such rules.

    Raises what the compiler says of bad ones.
    """
    without = prefilter().unfiltered
    sources = {name: data.decode("utf-8") for name, data in rule_files().items() if (name not in without) is filtered}
    if not sources:
        return None
    try:
        import yara  # noqa: PLC0415
    except ImportError:
        import yara_x  # noqa: PLC0415

        return _YaraX(yara_x, sources)
    return _YaraPython(yara, sources)


class _YaraPython:
    """Rules compiled by yara-python."""

    def __init__(self, yara: Any, sources: Mapping[str, str]) -> None:
        self._timeout_error = yara.TimeoutError
        self._rules = yara.compile(sources=dict(sources))

    def match(self, content: bytes) -> list[Match]:
        try:
            found = self._rules.match(data=content, timeout=TIMEOUT)
        except self._timeout_error:
            raise TimeoutError from None
        out: list[Match] = []
        for each in found:
            places = [
                (instance.offset, instance.matched_data)
                for string in each.strings
                if _tells(each.meta, string.identifier)
                for instance in string.instances
            ]
            for offset, data in sorted(places)[:_HITS_PER_RULE] or [(0, b"")]:
                out.append(Match(each.rule, each.meta, offset, data))
        return out


class _YaraX:
    """Rules compiled by yara-x."""

    def __init__(self, yara_x: Any, sources: Mapping[str, str]) -> None:
        compiler = yara_x.Compiler()
        for name, source in sources.items():
            compiler.new_namespace(name)
            compiler.add_source(source)
        self._scanner = yara_x.Scanner(compiler.build())
        self._scanner.set_timeout(TIMEOUT)
        self._timeout_error = getattr(yara_x, "TimeoutError", TimeoutError)

    def match(self, content: bytes) -> list[Match]:
        try:
            found = self._scanner.scan(content)
        except self._timeout_error:
            raise TimeoutError from None
        out: list[Match] = []
        for each in found.matching_rules:
            meta = {str(name): str(value) for name, value in each.metadata}
            places = [
                (place.offset, place.length)
                for pattern in each.patterns
                if _tells(meta, pattern.identifier)
                for place in pattern.matches
            ]
            for offset, length in sorted(places)[:_HITS_PER_RULE] or [(0, 0)]:
                out.append(Match(each.identifier, meta, offset, content[offset : offset + length]))
        return out
