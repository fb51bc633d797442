"""RAUC update bundles: plain, verity and crypt.

Layout (RAUC documentation, "Reference: Bundle formats"): the payload, for verity and crypt a dm-verity hash tree behind it, a
CMS signature in DER, and its length as 64 bits big-endian at the very end. plain: the signature is detached and covers everything
before it; the manifest is a file of the SquashFS. verity: the manifest is the content of the CMS and holds root hash, salt and
size of the hash tree. crypt: the same, with the SquashFS encrypted before the tree is made, as dm-crypt does with
``aes-cbc-plain64`` in sectors of 4 KiB (each sector on its own; its vector is its number, counted in 512 bytes); the key stands
in the manifest, and the CMS is to be encrypted for its recipients as a whole. Where that was left out, the payload is decrypted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial

import msgspec

from fwcheck.extraction.errors import ExtractionError, FormatError, QuotaExceeded
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats import _cms as cms
from fwcheck.extraction.formats._checksums import DIGESTS, digest_of
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.formats._verity import BLOCK, tree
from fwcheck.extraction.formats.squashfs import FORMATS as SQUASHFS
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.members import decoded, note
from fwcheck.extraction.source import ByteSource
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind, SignedBlock

_TRAILER = 8
_SECTOR = 4096  # of dm-crypt
_CIPHER = "AES-256-CBC, RAUC crypt bundle"
_LINES = 2000  # of a manifest
_ENTRIES = 2000  # of the SquashFS looked at for the manifest
_MANIFEST_LIMIT = 1 << 20
_WRONG_TREE = "the dm-verity tree is not that of the payload, or its root is not that of the manifest"
_SHOWN = ("compatible", "version", "build", "description")

Manifest = dict[str, dict[str, str]]


class Bundle(msgspec.Struct, kw_only=True):
    """Where a bundle begins, how its payload, tree and signature lie, and what its manifest says."""

    begin: int
    payload: int  # size of what comes first
    tree: int
    signature: int  # offset of the CMS
    message: cms.Message
    manifest: Manifest


class Rauc(Format):
    """RAUC bundles, found by a SquashFS at the beginning and the trailer at the end, or by the CMS before it."""

    name = "rauc"
    title = "RAUC update bundle (plain, verity, crypt)"
    specification = "RAUC documentation, Reference: Bundle formats"
    category = "update bundle"
    reads = "payload, manifest, CMS; digest and dm-verity tree recomputed; signature checked against its certificate"
    not_read = "payloads encrypted for recipients; trust in certificates; casync stores"
    signatures = (
        Signature(pattern=rb"hsqs.{24}\x04\x00", width=30, anywhere=False),
        Signature(pattern=rb"\x30\x82..\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07[\x02\x03]\xa0", width=16),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        whole = source.peek(offset, 4) == b"hsqs"
        if whole:
            length = struct.unpack(">Q", source.read(source.size - _TRAILER, _TRAILER))[0]
            at = source.size - _TRAILER - length
            if at <= offset:
                raise FormatError("no RAUC trailer at the end")
        else:
            at = offset
        message = _signature(source, at)
        bundle = _bundle(offset if whole else 0, at, message)
        if not whole and bundle.manifest.get("bundle", {}).get("format") != "crypt" and not message.encrypted:
            # What begins with a SquashFS was not found from there: the payload in front is a container of its own.
            bundle.begin, bundle.payload = at - bundle.tree, 0
        problems: list[str] = []
        if bundle.payload and not bundle.manifest:
            bundle.manifest = _inner_manifest(source, bundle, limits)
        digests = _digests(source, bundle, limits)
        detail = _description(bundle) | _integrity(source, bundle, digests, limits, problems)
        end = at + message.size + _TRAILER
        return Container(
            format=self.name, size=end - offset, before=offset - bundle.begin, entries=_entries(source, bundle, limits),
            detail=detail, problems=problems, signatures=_signed(bundle, digests, problems),
        )  # fmt: skip


def _signature(source: ByteSource, at: int) -> cms.Message:
    """The CMS at ``at``, with the trailer behind it that gives its length; raises FormatError."""
    size = cms.length(source.peek(at, 6))
    if source.peek(at + size, _TRAILER) != struct.pack(">Q", size):
        raise FormatError("no RAUC trailer behind a CMS message")
    if size > cms.LIMIT:
        raise QuotaExceeded(f"a CMS signature of {size} bytes")
    return cms.message(source.read(at, size))


def _bundle(begin: int, at: int, message: cms.Message) -> Bundle:
    manifest = _manifest(message.content) if message.content is not None else {}
    stored = manifest.get("bundle", {}).get("verity-size", "0")
    size = int(stored) if stored.isascii() and stored.isdigit() and len(stored) < 12 else 0
    size = size if size % BLOCK == 0 and size <= at - begin else 0
    return Bundle(begin=begin, payload=at - begin - size, tree=size, signature=at, message=message, manifest=manifest)


def _manifest(raw: bytes | memoryview) -> Manifest:
    """A key file: groups in brackets, ``key=value`` lines."""
    found: Manifest = {}
    group = ""
    for line in decoded(raw).splitlines()[:_LINES]:
        if line.startswith("[") and line.rstrip().endswith("]"):
            group = _shown(line.strip()[1:-1])
        elif "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(group, {})[_shown(key)] = _shown(value)
    return found


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text.strip())[:200]


def _inner_manifest(source: ByteSource, bundle: Bundle, limits: Limits) -> Manifest:
    """The manifest that a plain bundle keeps as a file of its SquashFS; empty when it cannot be read."""
    try:
        inner = SQUASHFS[0].open(source.window(bundle.begin, bundle.payload), 0, limits)
        for number, entry in enumerate(inner.entries):
            if entry.path == "/manifest.raucm" and entry.open is not None and entry.size <= _MANIFEST_LIMIT:
                return _manifest(entry.open().read(0, entry.size))
            if number > _ENTRIES:
                break
    except ExtractionError:
        pass
    return {}


def _description(bundle: Bundle) -> dict[str, str | int]:
    manifest = bundle.manifest
    detail: dict[str, str | int] = {"bundle_format": manifest.get("bundle", {}).get("format", "plain")}
    if bundle.message.encrypted:
        detail["bundle_format"] = "crypt"
    detail |= {key: manifest["update"][key] for key in _SHOWN if manifest.get("update", {}).get(key)}
    images = {name.removeprefix("image."): group for name, group in manifest.items() if name.startswith("image.")}
    if images:
        detail["images"] = "; ".join(f"{name}: {group.get('filename', '?')}" for name, group in images.items())[:400]
    hooks = [f"{name}: {group['hooks']}" for name, group in images.items() if group.get("hooks")]
    hooks += [f"bundle: {manifest['hooks']['hooks']}"] if manifest.get("hooks", {}).get("hooks") else []
    if hooks:
        detail["hooks"] = "; ".join(hooks)[:400]
    if handler := manifest.get("handler", {}).get("filename"):
        detail["handler"] = handler
    return detail


def _digests(source: ByteSource, bundle: Bundle, limits: Limits) -> dict[str, bytes]:
    """The digests of what the signature covers: the manifest inside it, or the payload in front of it."""
    message = bundle.message
    wanted = {one.digest for one in message.signers} & DIGESTS
    signed = source.window(bundle.begin, bundle.payload + bundle.tree) if bundle.payload else None
    if message.content is not None:
        signed = source.window(bundle.signature + message.content_at, len(message.content))
    return {name: digest_of(name, signed, limits) for name in wanted} if signed is not None else {}


def _signed(bundle: Bundle, digests: dict[str, bytes], problems: list[str]) -> tuple[SignedBlock, ...]:
    inside = bundle.message.content is not None
    blocks = cms.blocks(bundle.message, digests, "RAUC", "the manifest with the dm-verity root" if inside else "the bundle")
    if _WRONG_TREE in problems:
        blocks = tuple(msgspec.structs.replace(each, intact=False) for each in blocks)
    return blocks


def _integrity(
    source: ByteSource, bundle: Bundle, digests: dict[str, bytes], limits: Limits, problems: list[str]
) -> dict[str, str | int]:
    message = bundle.message
    if message.encrypted:
        return {"integrity": "signature", "integrity_detail": "CMS encrypted for its recipients, with signature and manifest"}
    judged = cms.judge(message, digests)
    words = judged.words
    if judged.digest is False:
        note(problems, "the digest that the signature covers is not that of the bundle")
    if judged.signature is False:
        note(problems, "the signature does not fit the certificate beside it")
    if bundle.tree and bundle.payload:
        right = _verity(source, bundle, limits)
        words += f"; dm-verity tree {'right' if right else 'wrong'}"
        if not right:
            note(problems, _WRONG_TREE)
    if bundle.manifest.get("bundle", {}).get("crypt-key"):
        note(problems, "the key of the encrypted payload stands in the manifest unencrypted")
    detail: dict[str, str | int] = {"integrity": "signature" if message.signers else "none", "integrity_detail": words}
    return detail | ({"signer": judged.subject} if judged.subject else {})


def _verity(source: ByteSource, bundle: Bundle, limits: Limits) -> bool:
    stored = bundle.manifest.get("bundle", {})
    try:
        salt, root = bytes.fromhex(stored.get("verity-salt", "")), bytes.fromhex(stored.get("verity-hash", ""))
    except ValueError:
        return False
    found, built = tree(source.window(bundle.begin, bundle.payload), salt, limits)
    return found == root and built == source.view(bundle.begin + bundle.payload, bundle.tree)


def _entries(source: ByteSource, bundle: Bundle, limits: Limits) -> list[Entry]:
    entries: list[Entry] = []
    crypt = bundle.message.encrypted or bundle.manifest.get("bundle", {}).get("format") == "crypt"
    key = _key(bundle)
    if bundle.payload and crypt and key:
        detail: dict[str, str | int] = {"encryption": f"{_CIPHER}, decrypted with the key in the manifest"}
        entry = part(source, "payload", bundle.begin, bundle.payload, detail)
        entry.offset, entry.open = None, partial(_decrypted, source.window(bundle.begin, bundle.payload), key, limits)
        entries.append(entry)
    elif bundle.payload and crypt:
        entry = part(source, "payload", bundle.begin, bundle.payload, {"encryption": _CIPHER})
        entry.role = "encrypted"
        entries.append(entry)
    elif bundle.payload:
        entries.append(part(source, "payload", bundle.begin, bundle.payload))
    if bundle.tree:
        entries.append(part(source, "verity-tree", bundle.begin + bundle.payload, bundle.tree))
        entries[-1].role = "meta"
    message = bundle.message
    if message.content is not None:
        entries.append(part(source, "/manifest.raucm", bundle.signature + message.content_at, len(message.content)))
        entries[-1].role, entries[-1].kind = "file", NodeKind.FILE
    entries.append(part(source, "signature", bundle.signature, message.size))
    entries[-1].role = "meta"
    return entries


def _key(bundle: Bundle) -> bytes:
    """The key of a crypt bundle, where it stands in a manifest that anybody can read; empty otherwise."""
    try:
        key = bytes.fromhex(bundle.manifest.get("bundle", {}).get("crypt-key", ""))
    except ValueError:
        return b""
    return key if len(key) == 32 and bundle.payload % _SECTOR == 0 else b""


def _decrypted(source: ByteSource, key: bytes, limits: Limits) -> ByteSource:
    return spool(bounded(_sectors(source, key), source.size, limits))


def _sectors(source: ByteSource, key: bytes) -> Iterator[bytes]:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415  # most images need none

    cipher = algorithms.AES(key)
    number = 0
    for chunk in source.chunks(_SECTOR * 64):
        out = []
        for at in range(0, len(chunk), _SECTOR):
            decryptor = Cipher(cipher, modes.CBC(number.to_bytes(16, "little"))).decryptor()
            out.append(decryptor.update(chunk[at : at + _SECTOR]))
            number += _SECTOR // 512
        yield b"".join(out)


FORMATS = (Rauc(),)
