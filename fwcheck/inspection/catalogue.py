"""The built-in patterns as data (``banners.toml``, ``secrets.toml``, ``credentials.toml``), and what their matches say.

A banner names a component and reads its version; a secret is a shape that should not stand in firmware. Each entry carries its
own positive and negative examples, executed by the tests.
"""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Literal, NamedTuple

import msgspec

from fwcheck.inspection import text, traits
from fwcheck.inspection.patterns import Needle, Pattern, PatternSet, Scan
from fwcheck.inspection.quoting import QUOTE, mask, printable
from fwcheck.inspection.yara_rules import prefilter
from fwcheck.model import BannerHit, PatternHit

Where = Literal["any", "elf", "text", "config", "program", "binary", "raw"]
_DATA = ("banners.toml", "credentials.toml", "published_keys.toml", "secrets.toml")
_JOINT = "¦"  # stands in samples so that nobody's scanner takes them for credentials
# Words that stand where somebody's secret belongs: fillers, samples, names of variables.
_FILLER = re.compile(
    rb"(?i)^(?:(?:your|my|some|insert|enter|replace|change|example|sample|dummy|fake|mock|test|foo|bar|baz|placeholder|todo|none|null"
    rb"|undefined|default|redacted|hidden|secret|token|pass|pwd|user|login|key|api|string|value|psk|type|text|abc)"
    rb"(?:[_-]?(?:here|words?|wd|name|me|key|token|secret|pass|pwd|psk|value|string|test|this|to|it|access|auth))*[_-]?\d{0,4}"
    rb"|[a-z0-9_]*[_-](?:example|placeholder|here|changeme)|(.)\1+|(?:0123456789|123456789|abcdef|deadbeef)[0-9a-f]*"
    rb"|[\[<({@].*|.*[\])>}]|\$.*|%.*|.*%[sdx].*|(?-i:[A-Z][A-Z0-9]*_[A-Z0-9_]+))$"
)
_HITS_PER_ENTRY = 32
_HITS = 256
_READ = 256  # matches of one pattern that are looked at
_CONFIG = frozenset({"script", "text", "json", "xml", "php"})
_PROGRAM = frozenset({"elf", "script", "lua-bytecode", "pyc", "php"})


class BannerEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of ``banners.toml``; ``pattern`` has a group ``version``.

    ``reading``: how the group says the version: as it stands, or as one number, 10,000 x major + 100 x minor + micro.
    ``releases``: what the group holds, such as the date of a check-in, to the release made from it; others say nothing.
    """

    id: str
    component: str
    pattern: str
    where: Where = "any"
    confidence: Literal["certain", "firm", "tentative"] = "firm"
    find: str = ""
    reading: Literal["plain", "packed"] = "plain"
    releases: dict[str, str] = {}
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    note: str = ""

    def version(self, held: bytes | None) -> str | None:
        """The release that the bytes of the group say; None when they say none."""
        text = (held or b"").decode("ascii", "replace")
        if self.releases:
            return self.releases.get(text)
        if self.reading == "packed" and text.isdecimal():
            return f"{int(text) // 10_000}.{int(text) // 100 % 100}.{int(text) % 100}"
        return text


class SecretEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of ``secrets.toml``. The group ``secret`` is masked; without it the whole match is, when ``secret`` is true.

    ``exclude`` is searched in the match (in the group ``secret`` when there is one): a hit there is a placeholder, no finding;
    so is a secret of less ``entropy`` (bits per byte). ``credential``: how sure the shape makes it that it opens something.
    """

    id: str
    pattern: str
    description: str
    where: Where = "any"
    secret: bool = True
    exclude: str = ""
    find: str = ""
    severity: Literal["critical", "high", "medium", "low", "info"] = "medium"
    credential: Literal["", "certain", "firm", "tentative"] = ""
    entropy: float = 0.0
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()


class Catalogue(NamedTuple):
    """All entries, and the set compiled from them together with the patterns others add (key shapes)."""

    banners: Mapping[str, BannerEntry]
    secrets: Mapping[str, SecretEntry]
    excludes: Mapping[str, re.Pattern[bytes]]
    patterns: PatternSet


class _BannerFile(msgspec.Struct, forbid_unknown_fields=True):
    banner: tuple[BannerEntry, ...]


class _SecretFile(msgspec.Struct, forbid_unknown_fields=True):
    secret: tuple[SecretEntry, ...]


def data_files() -> dict[str, bytes]:
    """The data files of this package by name, as stored: they are part of the inspector's version."""
    folder = resources.files("fwcheck.inspection")
    return {name: folder.joinpath(name).read_bytes() for name in _DATA}


def load(extra: Iterable[Pattern] = (), needles: Sequence[Needle] = (), *, native: bool = True) -> Catalogue:
    """Reads both files and compiles one set, ``needles`` with it. Raises ValueError naming the entry that is wrong."""
    files = data_files()
    banners = msgspec.convert(tomllib.loads(files["banners.toml"].decode()), _BannerFile).banner
    secrets = (*_secrets(files["secrets.toml"]), *_secrets(files["credentials.toml"]))
    for entry in banners:
        if "(?P<version>" not in entry.pattern:
            raise ValueError(f"banner {entry.id}: its pattern has no group 'version'")
    patterns = [Pattern(f"banner:{entry.id}", entry.pattern.encode(), entry.find.encode()) for entry in banners]
    patterns += [Pattern(f"secret:{entry.id}", entry.pattern.encode(), entry.find.encode()) for entry in secrets]
    patterns += list(extra)
    names = [pattern.id for pattern in patterns]
    if len(set(names)) != len(names):
        raise ValueError(f"pattern ids used twice: {sorted({name for name in names if names.count(name) > 1})}")
    return Catalogue(
        {f"banner:{entry.id}": entry for entry in banners},
        {f"secret:{entry.id}": entry for entry in secrets},
        {f"secret:{entry.id}": re.compile(entry.exclude.encode()) for entry in secrets if entry.exclude},
        PatternSet(patterns, needles, native=native),
    )


def _secrets(data: bytes) -> tuple[SecretEntry, ...]:
    return msgspec.convert(tomllib.loads(data.decode().replace(_JOINT, "")), _SecretFile).secret


def key_shapes() -> tuple[Pattern, ...]:
    """The shapes that lead to keys: found in the same pass."""
    from fwcheck.inspection.keys import SHAPES  # noqa: PLC0415  # keys reads no catalogue, the catalogue compiles its shapes

    return SHAPES


@cache
def builtin() -> Catalogue:
    """The catalogue with the key shapes, and what the YARA rules and the traits need, compiled once per process."""
    return load(key_shapes(), tuple(dict.fromkeys((*prefilter().needles, *traits.needles()))))


def applies(where: Where, kind: str) -> bool:
    """Whether an entry that asks for ``where`` is about a content of this kind."""
    if where == "any":
        return True
    if where == "elf":
        return kind == "elf"
    if where == "raw":
        return kind != "elf" and kind not in text.TEXTUAL
    if where == "program":
        return kind in _PROGRAM
    if where == "config":
        return kind in _CONFIG
    return (kind in text.TEXTUAL) == (where == "text")


def banner_hits(catalogue: Catalogue, scan: Scan, kind: str, base: int = 0) -> list[BannerHit]:
    """Banners of one scan, by offset: a (component, version) once, at its first place. ``base`` is added to offsets."""
    best: dict[tuple[str, str], BannerHit] = {}
    order = ("certain", "firm", "tentative")
    for id, matches in scan.matches.items():
        entry = catalogue.banners.get(id)
        if entry is None or not applies(entry.where, kind):
            continue
        for match in matches:
            version = entry.version(match["version"])
            if version is None:
                continue
            hit = BannerHit(
                component=entry.component,
                version=version,
                offset=base + match.start(),
                text=printable(match[0]).strip(),
                pattern=entry.id,
                confidence=entry.confidence,
            )
            key = (hit.component, hit.version)
            known = best.get(key)
            if known is None or (order.index(hit.confidence), hit.offset) < (order.index(known.confidence), known.offset):
                best[key] = hit
    return sorted(best.values(), key=lambda hit: (hit.offset, hit.component, hit.version))[:_HITS]


def secret_hits(catalogue: Catalogue, scan: Scan, kind: str, base: int = 0) -> list[PatternHit]:
    """Secret shapes of one scan, by offset; what is secret in them is masked."""
    hits: list[PatternHit] = []
    for id, matches in scan.matches.items():
        entry = catalogue.secrets.get(id)
        if entry is None or not applies(entry.where, kind):
            continue
        taken = 0
        for match in matches:
            if taken < _HITS_PER_ENTRY and not _placeholder(catalogue.excludes.get(id), match, entry.entropy):
                hits.append(_secret_hit(entry, match, base))
                taken += 1
    return sorted(hits, key=lambda hit: (hit.offset, hit.rule))[:_HITS]


def _placeholder(exclude: re.Pattern[bytes] | None, match: re.Match[bytes], entropy: float) -> bool:
    secret = match["secret"] if "secret" in match.re.groupindex else None
    held = match[0] if secret is None else secret
    return (exclude is not None and exclude.search(held) is not None) or bool(entropy and _entropy(held) < entropy)


def _entropy(raw: bytes) -> float:
    """Bits per byte of a short string."""
    return -sum(count / len(raw) * math.log2(count / len(raw)) for count in Counter(raw).values())


def _secret_hit(entry: SecretEntry, match: re.Match[bytes], base: int) -> PatternHit:
    whole, start = match[0], match.start()
    masked = b""
    if not entry.secret:
        shown = printable(whole)
    elif "secret" in match.re.groupindex and match["secret"] is not None:
        before, after = whole[: match.start("secret") - start], whole[match.end("secret") - start :]
        masked = match["secret"]
        hidden = mask(printable(masked))
        again = masked if len(masked) > 2 else None  # the same word typed a second time
        shown = printable(before) + hidden + printable(after if again is None else after.replace(again, hidden.encode()))
    else:
        masked = whole
        shown = mask(printable(whole))
    meta = {"description": entry.description, "severity": entry.severity}
    if entry.credential:
        secret = whole if match.groupdict().get("secret") is None else match["secret"]
        # Tells the same secret in two files; too short to tell what it is.
        meta |= {"credential": entry.credential, "same": hashlib.sha256(entry.id.encode() + b"\0" + secret).hexdigest()[:8]}
        if _FILLER.match(secret):
            meta["filler"] = "yes"
    meta.update({name: printable(value) for name, value in match.groupdict().items() if name != "secret" and value})
    lead = len(whole) - len(whole.lstrip(b"\0\r\n\t \"'"))
    secret = printable(masked)
    return PatternHit(rule=entry.id, offset=base + start + lead, text=shown[:QUOTE].strip(), meta=meta, secret=secret)
