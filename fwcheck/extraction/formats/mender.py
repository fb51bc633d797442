"""Mender artifacts: a tar archive of ``version``, ``manifest``, ``manifest.sig``, the header and the payloads.

Layout (mender-artifact, Documentation/artifact-format-v3.md): ``version`` is JSON with format and version and always comes
first; ``manifest`` gives the SHA-256 of ``version``, of ``header.tar`` as packed, and of each payload file as it is inside its
``data/NNNN.tar``; ``manifest.sig`` is the signature of the manifest in base64 (RSA, or ECDSA as r and s); header and data
archives carry the suffix of their compressor. ``header-info`` names the artifact, the devices it fits and the payload types.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from functools import partial
from typing import Any

import msgspec

from fwcheck.extraction.errors import ExtractionError, FormatError, QuotaExceeded
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats import tar
from fwcheck.extraction.formats._checksums import digest_of
from fwcheck.extraction.formats._signed import two_numbers
from fwcheck.extraction.formats._unpacked import tar_files, unpacked
from fwcheck.extraction.limits import DEFAULT, Limits, Spent
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind, SignedBlock

_SMALL = 1 << 20  # bytes of a member that is read as text
_LINE = re.compile(r"([0-9a-f]{64})\s+(\S.{0,500})")
_LINES = 4000
_HEADER = re.compile(r"/header\.tar(\.[a-z0-9]+)?")
_DATA = re.compile(r"/(data/\d{4})\.tar(\.[a-z0-9]+)?")
_PARTS = re.compile(r"/(?:header(?:-augment)?|data/\d{4})\.tar(?:\.[a-z0-9]+)?")

Files = dict[str, Entry]


class Mender(Format):
    """Mender artifacts of version 2 and 3. Payload archives are parts, unpacked already."""

    name = "mender"
    title = "Mender artifact"
    specification = "mender-artifact, Documentation/artifact-format-v3.md"
    category = "update bundle"
    reads = "manifest hashes of version, header and payload files recomputed; header-info; payload archives"
    not_read = "the signature of the manifest is told by its kind, not verified; artifacts of version 1"
    signatures = (Signature(pattern=rb"version\x00{20}", width=27),)
    priority = 30

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        if not tar.checked(source.peek(offset, tar.BLOCK)):
            raise FormatError("no tar header before the version of a Mender artifact")
        archive = tar.Archive(source, offset, limits)
        files: Files = {entry.path: entry for entry in archive.entries if entry.open is not None}
        version = _json(files.get("/version"))
        if version.get("format") != "mender" or "/manifest" not in files:
            raise FormatError("a tar archive that is no Mender artifact")
        problems = archive.problems
        for path, entry in files.items():
            if _PARTS.fullmatch(path) and entry.open is not None:
                files[path] = _unpacked_part(entry, limits, problems)
        detail: dict[str, str | int] = {"format_version": _word(version.get("version", "?")), **_header(files, limits, problems)}
        told, signatures = _integrity(files, archive.entries, limits, problems)
        return Container(
            format=self.name, size=archive.end - offset, entries=list(files.values()), detail=detail | told, problems=problems,
            signatures=signatures,
        )  # fmt: skip


def _read(entry: Entry | None) -> bytes:
    if entry is None or entry.open is None:
        return b""
    return entry.open().peek(0, _SMALL)


def _json(entry: Entry | None) -> dict[str, Any]:
    try:
        found = json.loads(_read(entry) or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _word(value: object) -> str:
    text = ", ".join(map(str, value[:50])) if isinstance(value, list) else str(value)
    return "".join(char if char.isprintable() else "?" for char in text[:400])


def _unpacked_part(entry: Entry, limits: Limits, problems: list[str]) -> Entry:
    """An archive inside the artifact, unpacked once: for the hashes, and for whoever explores it."""
    assert entry.open is not None
    packed = entry.open()
    try:
        content = unpacked(packed, limits, limits.bytes_stream)
    except Spent:
        raise
    except ExtractionError as error:
        note(problems, f"{entry.path} cannot be unpacked: {error}")
        content = packed
    name = entry.path.lstrip("/")
    return msgspec.structs.replace(
        entry, path=name.split(".tar")[0] + ".tar", kind=NodeKind.REGION, size=content.size, role="part",
        offset=entry.offset if content is packed else None, open=partial(_same, content),
    )  # fmt: skip


def _same(content: ByteSource) -> ByteSource:
    return content


def _header(files: Files, limits: Limits, problems: list[str]) -> dict[str, str | int]:
    """What ``header-info`` says."""
    packed = next((entry for path, entry in files.items() if _HEADER.fullmatch(path)), None)
    try:
        inner = tar_files(packed.open(), limits) if packed is not None and packed.open is not None else {}
        info = json.loads(inner["/header-info"].peek(0, _SMALL)) if "/header-info" in inner else {}
    except QuotaExceeded:
        raise
    except (ExtractionError, ValueError, RecursionError) as error:
        note(problems, f"the header cannot be read: {error}"[:200])
        return {}
    if not isinstance(info, dict):
        return {}
    provides, depends = _object(info.get("artifact_provides")), _object(info.get("artifact_depends"))
    payloads = info.get("payloads", info.get("updates"))
    kinds = [each.get("type") for each in payloads if isinstance(each, dict)] if isinstance(payloads, list) else []
    found = {
        "artifact_name": provides.get("artifact_name", info.get("artifact_name")),
        "device_type": depends.get("device_type", info.get("device_types_compatible")),
        "payload_type": kinds,
        "scripts": [path.rsplit("/", 1)[1] for path in inner if path.startswith("/scripts/")],
    }
    return {key: _word(value) for key, value in found.items() if value}


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _integrity(
    files: Files, every: list[Entry], limits: Limits, problems: list[str]
) -> tuple[dict[str, str | int], tuple[SignedBlock, ...]]:
    words = []
    signature = _read(files.get("/manifest.sig"))
    if signature:
        words.append(f"{_kind(signature)} over the manifest (not verified)")
    stored = {}
    for line in _read(files["/manifest"]).decode("utf-8", "replace").splitlines()[:_LINES]:
        if found := _LINE.fullmatch(line.strip()):
            stored[found[2]] = found[1]
    right, wrong = 0, 0
    payloads = _payloads(files, limits, problems)
    plain = {entry.path.lstrip("/"): entry for entry in every if entry.open is not None}
    for name, value in stored.items():
        content = payloads.get(name) or (plain[name].open() if name in plain else None)  # type: ignore[misc]
        if content is None:
            note(problems, f"the manifest lists {_word(name)}, which is not in the artifact")
        elif digest_of("sha256", content, limits).hex() == value:
            right += 1
        else:
            wrong += 1
            note(problems, f"{_word(name)}: the SHA-256 is not the one in the manifest")
    if right or wrong:
        words.append(f"SHA-256 of {right} files right" + (f", of {wrong} wrong" if wrong else ""))
    kind = "signature" if signature else "hash" if stored else "none"
    blocks = (_signed(signature, _read(files["/manifest"]), intact=not wrong),) if signature else ()
    return {"integrity": kind, "integrity_detail": "; ".join(words) or "no hash, no signature"}, blocks


def _signed(signature: bytes, manifest: bytes, *, intact: bool) -> SignedBlock:
    """RSA with PKCS #1 v1.5 padding, or ECDSA as two numbers of 32 bytes, over the SHA-256 of the manifest."""
    raw, pair = _raw(signature), b""
    if len(raw) == 64:
        pair = two_numbers(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    return SignedBlock(
        scheme="Mender", algorithm="ECDSA" if pair else "RSA", padding="" if pair else "pkcs1v15", signature=pair or raw,
        digest=hashlib.sha256(manifest).digest(), covers="the manifest", intact=intact,
    )  # fmt: skip


def _raw(signature: bytes) -> bytes:
    try:
        return base64.b64decode(signature.strip(), validate=True)
    except (binascii.Error, ValueError):
        return signature


def _kind(signature: bytes) -> str:
    raw = _raw(signature)
    known = {256: "RSA-2048 signature", 384: "RSA-3072 signature", 512: "RSA-4096 signature", 64: "ECDSA P-256 signature"}
    return known.get(len(raw), f"signature of {len(raw)} bytes")


def _payloads(files: Files, limits: Limits, problems: list[str]) -> dict[str, ByteSource]:
    """The files of all payload archives, named as the manifest names them."""
    found: dict[str, ByteSource] = {}
    for path, entry in files.items():
        data = _DATA.fullmatch(path)
        if data is None or entry.open is None or not entry.open().size:
            continue
        try:
            archive = tar.Archive(entry.open(), 0, limits)
        except FormatError as error:
            note(problems, f"{path} is no tar archive: {error}")
            continue
        # Hard links would let a small archive ask for many hashes of one large file.
        plain = (each for each in archive.entries if "link" not in each.detail)
        found |= {f"{data[1]}{each.path}": each.open() for each in plain if each.open is not None}
    return found


FORMATS = (Mender(),)
