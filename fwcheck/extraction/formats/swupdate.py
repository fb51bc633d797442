"""SWUpdate bundles (``.swu``): a cpio archive whose first member ``sw-description`` says what the others are for.

Layout (SWUpdate documentation, "SWUpdate: syntax and tags with the default parser" and "Update images from verified source"):
cpio newc or crc; ``sw-description`` in libconfig's syntax or JSON; where updates must be signed, ``sw-description.sig`` behind
it, a raw RSA signature (PKCS#1 v1.5 or PSS), CMS in DER, or OpenPGP; then images, files and scripts. Hashes of signed bundles
are the SHA-256 of the members as they are stored.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats import _cms as cms
from fwcheck.extraction.formats import _openpgp_packets as pgp
from fwcheck.extraction.formats._checksums import digest, digest_of
from fwcheck.extraction.formats._libconfig import Value, parse
from fwcheck.extraction.formats.cpio import Archive
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, member_path, note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind, SignedBlock

DESCRIPTION, SIGNATURE = "sw-description", "sw-description.sig"
_LIMIT = 1 << 20  # bytes of a description
_DEPTH = 16
_ARTIFACTS = 4000
_KINDS = ("images", "files", "scripts")
_RSA = {128: "RSA-1024", 256: "RSA-2048", 384: "RSA-3072", 512: "RSA-4096", 1024: "RSA-8192"}
_TEXT = frozenset({*range(32, 127), 9, 10, 13, *range(128, 256)})


class Artifact(msgspec.Struct, kw_only=True):
    """One image, file or script that the description lists."""

    kind: str
    filename: str
    fields: dict[str, Value]

    @property
    def encrypted(self) -> bool:
        return self.fields.get("encrypted") not in (None, False, "", "none")

    @property
    def sha256(self) -> str:
        stored = self.fields.get("sha256")
        return stored.lower() if isinstance(stored, str) else ""


class Swupdate(Format):
    """SWUpdate bundles; images are parts, what is encrypted is told as such."""

    name = "swupdate"
    title = "SWUpdate bundle (.swu)"
    specification = "SWUpdate documentation, sw-description"
    category = "update bundle"
    reads = "sw-description (libconfig and JSON), SHA-256 of members recomputed, CMS signature with its certificate"
    not_read = "encrypted members; values that the description computes in Lua"
    signatures = (Signature(pattern=rb"sw-description\x00", width=15, offset=110),)
    priority = 30

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        if source.peek(offset, 6) not in (b"070701", b"070702"):
            raise FormatError("no cpio header before sw-description")
        archive = Archive(source, offset, limits)
        members = {entry.path: entry for entry in archive.entries() if entry.kind is NodeKind.FILE}
        first = members.get(f"/{DESCRIPTION}")
        if first is None or first.open is None:
            raise FormatError("no sw-description")
        text = first.open().peek(0, _LIMIT)
        settings = _settings(text, archive.problems)
        artifacts = list(_artifacts(settings, 0))[:_ARTIFACTS]
        variant = archive.segments[0][0].variant
        detail: dict[str, str | int] = {"variant": variant, "members": len(members), **_description(settings, artifacts)}
        told, signatures = _integrity(members, artifacts, variant, limits, archive.problems)
        detail |= told
        return Container(
            format=self.name, size=archive.size, entries=_entries(members, artifacts, bool(settings)), detail=detail,
            problems=archive.problems, signatures=signatures,
        )  # fmt: skip


def _settings(text: bytes, problems: list[str]) -> dict[str, Value]:
    """What stands under ``software``; empty when the description cannot be read."""
    if sum(byte not in _TEXT for byte in text[:4096]) > 16:
        note(problems, "sw-description is no text: encrypted as a whole")
        return {}
    try:
        found = parse(decoded(text))
    except FormatError as error:
        note(problems, f"sw-description: {error}")
        return {}
    inner = found.get("software")
    return inner if isinstance(inner, dict) else found


def _artifacts(value: Value, depth: int) -> Iterator[Artifact]:
    """Everything listed in any of the groups: boards, software sets and their slots nest as the maker likes."""
    if depth > _DEPTH or not isinstance(value, dict):
        return
    for name, inner in value.items():
        if name in _KINDS and isinstance(inner, list):
            for each in inner:
                if isinstance(each, dict) and isinstance(filename := each.get("filename"), str):
                    yield Artifact(kind=name, filename=filename, fields=each)
        else:
            yield from _artifacts(inner, depth + 1)


def _shown(value: Value) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return "".join(char if char.isprintable() else "?" for char in text)[:200]


def _description(settings: dict[str, Value], artifacts: list[Artifact]) -> dict[str, str | int]:
    detail: dict[str, str | int] = {
        name.replace("-", "_"): _shown(settings[name])
        for name in ("version", "description", "hardware-compatibility")
        if name in settings
    }
    for kind in _KINDS:
        names = dict.fromkeys(_words(each) for each in artifacts if each.kind == kind)
        if names:
            detail[kind] = "; ".join(names)[:600]
    if encrypted := len({each.filename for each in artifacts if each.encrypted}):
        detail["encrypted"] = encrypted
    if "embedded-script" in settings:
        detail["embedded_script"] = "Lua"
    return detail


def _words(one: Artifact) -> str:
    """File name, handler and where it goes: ``rootfs.ext4 (raw to /dev/mmcblk0p2, encrypted)``."""
    where = next((one.fields[key] for key in ("device", "volume", "mtdname", "path") if one.fields.get(key)), None)
    words = [_shown(one.fields.get("type", one.kind[:-1])) + (f" to {_shown(where)}" if where is not None else "")]
    words += ["encrypted"] if one.encrypted else []
    words += ["installed directly"] if one.fields.get("installed-directly") is True else []
    return f"{_shown(one.filename)} ({', '.join(words)})"


def _integrity(
    members: dict[str, Entry], artifacts: list[Artifact], variant: str, limits: Limits, problems: list[str]
) -> tuple[dict[str, str | int], tuple[SignedBlock, ...]]:
    words = []
    right, wrong, without = _hashes(members, artifacts, limits, problems)
    signature = members.get(f"/{SIGNATURE}")
    blocks: tuple[SignedBlock, ...] = ()
    if signature is not None and signature.size and signature.open is not None:
        told, blocks = _signature(signature.open(), members[f"/{DESCRIPTION}"], limits, problems)
        words.append(told)
    if right or wrong:
        words.append(f"SHA-256 of {right} members right" + (f", of {wrong} wrong" if wrong else ""))
    if without:
        words.append(f"{without} without a hash")
    kind = "signature" if signature is not None and signature.size else "hash" if (right or wrong) and not without else "none"
    if kind == "none" and variant == "crc":
        kind = "checksum"
        words.append("cpio checksums")
    if wrong:
        blocks = tuple(msgspec.structs.replace(each, intact=False) for each in blocks)
    return {"integrity": kind, "integrity_detail": "; ".join(words) or "no hash, no signature"}, blocks


def _hashes(members: dict[str, Entry], artifacts: list[Artifact], limits: Limits, problems: list[str]) -> tuple[int, int, int]:
    """How many members have a right hash, a wrong one, none."""
    stored: dict[str, str] = {}
    for one in artifacts:
        path = member_path(one.filename)[0]
        stored[path] = one.sha256 or stored.get(path, "")
    right = wrong = without = 0
    known: dict[tuple[int | None, int], str] = {}  # hard links share one content
    for path, value in stored.items():
        entry = members.get(path)
        if entry is None or entry.open is None:
            note(problems, f"sw-description lists {path.lstrip('/')}, which is not in the bundle")
        elif not value:
            without += 1
        elif _sha256(entry, known, limits) == value:
            right += 1
        else:
            wrong += 1
            note(problems, f"{path}: the SHA-256 is not the one in sw-description")
    return right, wrong, without


def _sha256(entry: Entry, known: dict[tuple[int | None, int], str], limits: Limits) -> str:
    place = (entry.offset, entry.size)
    if place not in known and entry.open is not None:
        known[place] = digest_of("sha256", entry.open(), limits).hex()
    return known.get(place, "")


def _signature(
    source: ByteSource, description: Entry, limits: Limits, problems: list[str]
) -> tuple[str, tuple[SignedBlock, ...]]:
    """What kind of signature ``sw-description.sig`` is, for CMS whether it fits, and what is to be verified."""
    head = source.peek(0, 6)
    if source.size in _RSA and description.open is not None:
        block = SignedBlock(
            scheme="SWUpdate", algorithm="RSA", signature=source.read(0, source.size), covers=DESCRIPTION,
            digest=digest_of("sha256", description.open(), limits),
        )  # fmt: skip
        return f"{_RSA[source.size]} signature over sw-description (not verified)", (block,)
    if head[:1] == b"\x30" and source.size <= cms.LIMIT and description.open is not None:
        return _cms_signature(source, description.open(), limits, problems)
    if head[:1] in (b"\x88", b"\x89", b"\xc2") or head == b"-----B":
        raw = source.read(0, min(source.size, cms.LIMIT))
        found = pgp.signatures(pgp.dearmoured(raw.decode("latin-1")) if head == b"-----B" else raw)[:2]
        content = description.open() if description.open is not None else source

        def hashed(name: str, trailer: bytes) -> bytes:
            return digest(name, content, (0, content.size), behind=trailer)

        held = pgp.blocks(found, hashed, "SWUpdate", DESCRIPTION)
        told = tuple(msgspec.structs.replace(each, role="update") for each in held)
        return "OpenPGP signature over sw-description (not verified)", told
    return f"signature of {source.size} bytes of an unknown kind over sw-description (not verified)", ()


def _cms_signature(
    source: ByteSource, content: ByteSource, limits: Limits, problems: list[str]
) -> tuple[str, tuple[SignedBlock, ...]]:
    try:
        message = cms.message(source.read(0, source.size))
    except FormatError as error:
        return f"CMS signature over sw-description, not read: {error}", ()
    digests = {name: digest_of(name, content, limits) for name in ("sha1", "sha256", "sha384", "sha512")}
    judged = cms.judge(message, digests)
    if judged.digest is False:
        note(problems, "the digest that the signature covers is not that of sw-description")
    if judged.signature is False:
        note(problems, "the signature does not fit the certificate beside it")
    return judged.words, cms.blocks(message, digests, "SWUpdate", DESCRIPTION)


def _entries(members: dict[str, Entry], artifacts: list[Artifact], readable: bool) -> Iterator[Entry]:
    """Images are searched for containers, encrypted members are told, everything else is a file."""
    images = {member_path(one.filename)[0] for one in artifacts if one.kind == "images"}
    secret = {member_path(one.filename)[0]: one for one in artifacts if one.encrypted}
    for path, entry in members.items():
        if path in secret or (path == f"/{DESCRIPTION}" and not readable):
            cipher = secret[path].fields.get("encrypted") if path in secret else True
            scheme = cipher if isinstance(cipher, str) else "AES-CBC"
            entry.role, entry.detail = "encrypted", {**entry.detail, "encryption": f"{_shown(scheme)}, SWUpdate"}
        elif path in images and entry.size:
            entry.role, entry.path, entry.kind = "part", path.lstrip("/"), NodeKind.REGION
        yield entry


FORMATS = (Swupdate(),)
