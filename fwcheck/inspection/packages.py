"""Packages that a content names: metadata of languages' packages, what compilers leave in programs, SBOMs and databases.

What a content is, is told from its bytes alone, as for all facts. Sources of the shapes: Core metadata specifications (Python,
``METADATA`` and ``PKG-INFO``), package.json of npm, Composer's ``installed.json``, RubyGems and LuaRocks specifications, Maven's
``pom.properties`` and the JAR manifest, ``runtime/debug.BuildInfo`` of Go, cargo-auditable (section ``.dep-v0``), CycloneDX and
SPDX in JSON, Yocto's ``license.manifest``, Buildroot's ``manifest.csv`` (``make legal-info``), Perl's ``package`` and
``$VERSION`` (perlmod(1)).
"""

from __future__ import annotations

import csv
import json
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from fwcheck.inspection import rpm_database
from fwcheck.model import PackageFact

_LIMIT = 4000  # packages of one content
_DOCUMENT = 16 << 20  # bytes of a JSON document that is read
_HEADER = 64 << 10  # bytes in which the fields of metadata stand
_WORD = 200  # characters of a name or version
_AUDIT = 8 << 20  # bytes of an unpacked dependency list
_VERSION = re.compile(r"^v?\d[\w.+~:!-]{0,80}$")
_FIELD = re.compile(rb"(?m)^(Name|Version|License|License-Expression):[ \t]{0,4}([^\r\n]{1,200})")
_PROPERTY = re.compile(rb"(?m)^(groupId|artifactId|version)=([^\r\n]{1,200})")
_MANIFEST = re.compile(rb"(?m)^([A-Z][A-Za-z-]{2,40}): ([^\r\n]{1,200})")
_YOCTO = re.compile(
    rb"PACKAGE NAME: ([^\r\n]{1,100})\r?\nPACKAGE VERSION: ([^\r\n]{1,100})\r?\n"
    rb"(?:RECIPE NAME: ([^\r\n]{1,100})\r?\n)?(?:LICENSE: ([^\r\n]{1,200}))?"
)
_PERL_PACKAGE = re.compile(rb"(?m)^package[ \t]{1,4}([A-Za-z]\w{0,40}(?:::\w{1,40}){0,6})[ \t]{0,4};")
_PERL_VERSION = re.compile(
    rb"(?m)^[ \t]{0,8}(?:our[ \t]{1,4})?\$(?:[A-Za-z]\w{0,40}::){0,6}VERSION[ \t]{0,4}=[ \t]{0,4}"
    rb"(?:version->declare\()?[\"\']?(v?\d{1,6}(?:\.[\d_]{1,12}){1,3})[\"\']?\)?[ \t]{0,4};"
)
_NPM = frozenset({"main", "dependencies", "license", "licenses", "repository", "_id", "module", "exports", "devDependencies"})
_NO_PACKAGE = frozenset({"lockfileVersion", "metadata_version"})  # a lock file, and a wheel's old metadata
_GEM_NAME = re.compile(rb"\bs\.name = \"([A-Za-z0-9_.-]{1,100})\"")
_GEM_VERSION = re.compile(rb"\bs\.version = \"([A-Za-z0-9_.-]{1,60})\"")
_ROCK = re.compile(rb"(?m)^\s{0,8}(package|version) = [\"']([A-Za-z0-9_.+-]{1,100})[\"']")
# Marks around the module list of a Go program (cmd/go/internal/modload, infoStart and infoEnd).
_GO_BEGIN = bytes.fromhex("3077af0c9274080241e1c107e6d618e6")
_GO_END = bytes.fromhex("f932433186182072008242104116d8f2")
_CRATE = re.compile(
    rb"/(?:registry/src/[\w.-]{1,80}|cargo/registry)/([A-Za-z0-9_-]{1,80}?)-(\d{1,5}\.\d{1,5}\.\d{1,7}(?:-[A-Za-z0-9.]{1,30})?)/"
)


def read_packages(raw: bytes, kind: str) -> tuple[PackageFact, ...]:
    """The packages that a content of this kind names, in order, each once."""
    found: dict[tuple[str, str, str], PackageFact] = {}
    for each in islice(_named(raw, kind), 10 * _LIMIT):
        found.setdefault((each.ecosystem, each.name, each.version), each)
        if len(found) >= _LIMIT:
            break
    return tuple(found.values())


def _named(raw: bytes, kind: str) -> Iterator[PackageFact]:
    if kind == "elf":
        yield from _go(raw)
        yield from _rust(raw)
    elif kind in ("sqlite", "binary"):
        yield from rpm_database.read(raw)
    elif raw[:1] in (b"{", b"[", b"\xef", b" ", b"\n") and len(raw) <= _DOCUMENT:
        yield from _document(raw)
    else:
        yield from _text(raw)


def _fact(ecosystem: str, name: object, version: object, **more: Any) -> Iterator[PackageFact]:
    """One package when both words are what they should be, else none."""
    if isinstance(name, str) and isinstance(version, str) and name.isprintable() and 0 < len(name) <= _WORD:
        version = version.strip()
        if _VERSION.match(version):
            yield PackageFact(ecosystem=ecosystem, name=name.strip(), version=version, **more)


# --------------------------------------------------------------------------- texts


def _text(raw: bytes) -> Iterator[PackageFact]:
    head = raw[:_HEADER]
    if head.startswith((b"Metadata-Version:", b"Name:")):
        yield from _python(head)
    elif b"artifactId=" in head and b"groupId=" in head:
        held = _pairs(_PROPERTY, head)
        yield from _fact("maven", f"{held.get('groupId', '')}/{held.get('artifactId', '')}", held.get("version"))
    elif head.startswith(b"Manifest-Version:"):
        yield from _manifest(head)
    elif b"Gem::Specification.new" in head:
        name, version = _GEM_NAME.search(head), _GEM_VERSION.search(head)
        if name and version:
            yield from _fact("gem", name[1].decode(), version[1].decode())
    elif head.startswith(b"PACKAGE NAME: "):
        for match in islice(_YOCTO.finditer(raw[:_DOCUMENT]), _LIMIT):
            words = [(part or b"").decode("utf-8", "replace").strip() for part in match.groups()]
            yield from _fact("yocto", words[0], words[1], source=words[2], license=words[3], offset=match.start())
    elif head.startswith(b'"PACKAGE","VERSION",'):
        yield from _buildroot(raw[:_DOCUMENT])
    elif b"VERSION" in head and b"package" in head and (named := _PERL_PACKAGE.search(head)):
        if told := _PERL_VERSION.search(head, named.end()):
            yield from _fact("cpan", named[1].decode(), told[1].decode().replace("_", ""), offset=told.start())
    elif b"package = " in head and b"source = {" in head:
        held = _pairs(_ROCK, head)
        yield from _fact("luarocks", held.get("package"), held.get("version"))


def _buildroot(raw: bytes) -> Iterator[PackageFact]:
    """Rows of Buildroot's ``manifest.csv``: name, version, licence; packages of its own that have no version are left out."""
    lines = raw.decode("utf-8", "replace").splitlines()[: 2 * _LIMIT]
    if any(len(line) > _DOCUMENT // 256 for line in lines):
        return
    rows = csv.reader(lines)
    head = [cell.strip() for cell in next(rows, [])]
    licence = head.index("LICENSE") if "LICENSE" in head else -1
    try:
        for row in rows:
            if len(row) >= 2:
                told = row[licence][:_WORD] if 0 <= licence < len(row) else ""
                yield from _fact("buildroot", row[0].strip(), row[1], license="" if told.lower() in ("unknown", "n/a") else told)
    except csv.Error:
        return


def _pairs(pattern: re.Pattern[bytes], head: bytes) -> dict[str, str]:
    """What stands in the first of equal fields."""
    held: dict[str, str] = {}
    for match in pattern.finditer(head):
        held.setdefault(match[1].decode(), match[2].decode("utf-8", "replace").strip())
    return held


def _python(head: bytes) -> Iterator[PackageFact]:
    fields = head.split(b"\n\n", 1)[0].split(b"\r\n\r\n", 1)[0]
    held = _pairs(_FIELD, fields)
    told = held.get("License-Expression") or held.get("License", "")
    if b"Metadata-Version:" in fields:
        yield from _fact("pypi", held.get("Name"), held.get("Version"), license="" if told == "UNKNOWN" else told)


def _manifest(head: bytes) -> Iterator[PackageFact]:
    """A JAR by its manifest: the bundle's own name first, as OSGi wants it, else title and version of the implementation."""
    held = _pairs(_MANIFEST, head)
    name = held.get("Bundle-SymbolicName", "").split(";")[0] or held.get("Implementation-Title", "")
    version = held.get("Bundle-Version") if held.get("Bundle-SymbolicName") else held.get("Implementation-Version")
    if re.fullmatch(r"[A-Za-z0-9_.:-]{2,100}", name):
        yield from _fact("jar", name, version, license=held.get("Bundle-License", "")[:_WORD])


# --------------------------------------------------------------------------- JSON


def _document(raw: bytes) -> Iterator[PackageFact]:
    head = raw[:_HEADER]
    marks = (b'"bomFormat"', b'"spdxVersion"', b'"version"')
    if not any(mark in head for mark in marks) or b'"name"' not in raw:
        return
    try:
        held = json.loads(raw)
    except (ValueError, RecursionError):
        return
    if isinstance(held, list):
        held = {"packages": held}
    if not isinstance(held, dict):
        return
    if held.get("bomFormat") == "CycloneDX":
        yield from _cyclonedx(held.get("components"))
    elif isinstance(held.get("spdxVersion"), str):
        yield from _spdx(held)
    elif isinstance(held.get("packages"), list):
        yield from _composer(held["packages"])
    elif held.keys().isdisjoint(_NO_PACKAGE) and not _NPM.isdisjoint(held):
        told = held.get("license")
        yield from _fact("npm", held.get("name"), held.get("version"), license=told[:_WORD] if isinstance(told, str) else "")


def _dicts(held: object) -> Iterator[dict[str, Any]]:
    if isinstance(held, list):
        yield from (each for each in held[:_LIMIT] if isinstance(each, dict))


def _composer(held: object) -> Iterator[PackageFact]:
    for each in _dicts(held):
        told = each.get("license")
        license = " OR ".join(part for part in told[:4] if isinstance(part, str))[:_WORD] if isinstance(told, list) else ""
        if isinstance(each.get("name"), str) and "/" in each["name"]:
            yield from _fact("composer", each["name"], each.get("version"), license=license)


def _cyclonedx(held: object, depth: int = 0) -> Iterator[PackageFact]:
    for each in _dicts(held):
        if each.get("type") not in ("file", "cryptographic-asset", "data"):
            yield from _fact(
                "sbom", each.get("name"), each.get("version"), purl=_word(each.get("purl")), cpe=_word(each.get("cpe"))
            )
        if depth < 4:
            yield from _cyclonedx(each.get("components"), depth + 1)


def _spdx(held: Mapping[str, Any]) -> Iterator[PackageFact]:
    for each in _dicts(held.get("packages")):
        other = {ref.get("referenceType"): _word(ref.get("referenceLocator")) for ref in _dicts(each.get("externalRefs"))}
        told = _word(each.get("licenseDeclared"))
        yield from _fact(
            "sbom",
            each.get("name"),
            each.get("versionInfo"),
            purl=other.get("purl", ""),
            cpe=other.get("cpe23Type", ""),
            license="" if told in ("NOASSERTION", "NONE") else told,
        )


def _word(held: object) -> str:
    return held if isinstance(held, str) and len(held) <= 2 * _WORD and held.isprintable() else ""


# --------------------------------------------------------------------------- programs


def _go(raw: bytes) -> Iterator[PackageFact]:
    """Modules of a Go program: lines ``dep<TAB>path<TAB>version<TAB>sum``; ``=>`` names what stands for the one before."""
    begun = raw.find(_GO_BEGIN)
    end = raw.find(_GO_END, begun, begun + (1 << 20)) if begun >= 0 else -1
    if end < 0:
        return
    modules: list[tuple[str, str, int]] = []
    at = begun + len(_GO_BEGIN)
    for line in raw[at:end].decode("utf-8", "replace").split("\n"):
        cells = line.split("\t")
        if len(cells) >= 3 and cells[0] in ("mod", "dep"):
            modules.append((cells[1], cells[2], at))
        elif len(cells) >= 3 and cells[0] == "=>" and modules:
            modules[-1] = (cells[1], cells[2], at)
        at += len(line.encode()) + 1
    for path, version, offset in modules[:_LIMIT]:
        yield from _fact("golang", path, version, offset=offset)


def _rust(raw: bytes) -> Iterator[PackageFact]:
    """Crates of a Rust program: its audit list, else those whose sources its messages name."""
    if b".dep-v0\0" in raw:
        place = _section(raw, b".dep-v0")
        if place is not None:
            listed = list(_audited(raw[place[0] : place[0] + place[1]], place[0]))
            yield from listed
            if listed:
                return
    if b"/registry/" in raw:
        for match in islice(_CRATE.finditer(raw), 20_000):
            yield from _fact("cargo", match[1].decode(), match[2].decode(), offset=match.start(1))


def _audited(packed: bytes, offset: int) -> Iterator[PackageFact]:
    try:
        held = json.loads(zlib.decompressobj().decompress(packed, _AUDIT))
    except (ValueError, zlib.error, RecursionError):
        return
    for each in _dicts(held.get("packages") if isinstance(held, dict) else None):
        if each.get("kind") != "build":
            yield from _fact("cargo", each.get("name"), each.get("version"), offset=offset)


def _section(raw: bytes, wanted: bytes) -> tuple[int, int] | None:
    """Offset and size of a section of an ELF file by its name (gABI, chapter 4)."""
    order = "<" if raw[5:6] == b"\x01" else ">"
    try:
        if raw[4:5] == b"\x02":
            (table,), (size, count, names) = struct.unpack_from(order + "Q", raw, 40), struct.unpack_from(order + "3H", raw, 58)
            layout, keep = struct.Struct(order + "2I4Q"), (0, 4, 5)
        else:
            (table,), (size, count, names) = struct.unpack_from(order + "I", raw, 32), struct.unpack_from(order + "3H", raw, 46)
            layout, keep = struct.Struct(order + "6I"), (0, 4, 5)
        if size < layout.size or count > 4096:
            return None
        rows = [[layout.unpack_from(raw, table + index * size)[part] for part in keep] for index in range(count)]
        strings = rows[names][1] if names < count else 0
        for name, offset, length in rows:
            at = strings + name
            if raw[at : at + len(wanted) + 1] == wanted + b"\0":
                return offset, length
    except (struct.error, IndexError, OverflowError):
        return None
    return None
