"""Signatures that stand apart from what they sign: a file beside another, an attribute of a file, a partition beside a hash tree.

What is signed is known by the SHA-256 of its content, which inspection has made, or by its text. Only where the name leads to the
content is a signature told: ``Packages.sig`` beside ``Packages``, ``root.roothash.p7s`` beside ``root.roothash``.

``security.ima``: 3, version 2, number of the hash, key identifier (4 bytes), size of the signature (16 bits, big-endian), the
signature over the file's digest (Linux, ``security/integrity/integrity.h``; the numbers are those of
``include/uapi/linux/hash_info.h``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator

import msgspec

from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Facts, Node, NodeKind, SignedBlock

_USIGN = re.compile(r"untrusted comment:[^\n]{0,200}\n([A-Za-z0-9+/=]{100})\s*(?:trusted comment:[^\n]{0,200}\n\S{0,100}\s*)?")
_ROOT_HASH = re.compile(r"[0-9a-f]{64}(?:[0-9a-f]{64})?")
_TEXT = 16 << 10  # characters of a signature in text
_IMA = 3000  # files whose attribute is verified
_IMA_HASHES = {2: "sha1", 4: "sha256", 5: "sha384", 6: "sha512", 7: "sha224"}


def detached(firmware: Firmware) -> Iterator[tuple[Node, SignedBlock]]:
    """Every signature in a file or attribute of its own, with the node where it stands; a content of one reads as signed."""
    attributes = 0
    # Members of a bundle that is signed as a whole are told by its own format.
    whole = {node.chain for node in firmware.nodes if node.kind is NodeKind.CONTAINER and node.signatures}
    for fs in firmware.filesystems:
        if fs.chain in whole:
            continue
        for node in fs.nodes.values():
            if node.kind is not NodeKind.FILE:
                continue
            if node.signatures and node.signatures[0].role == "detached":
                yield from _beside(fs, node)
            elif node.size <= _TEXT and "." in node.path:
                yield from _text(fs, node)
            if "security.ima" in node.detail and attributes < _IMA:
                attributes += 1
                yield from _attribute(fs, node)


def _other(fs: FileSystem, node: Node) -> Node | None:
    """The file that a signature is named after."""
    found = fs.nodes.get(node.path.rpartition(".")[0])
    return found if found is not None and found.kind is NodeKind.FILE and found.sha256 else None


def _beside(fs: FileSystem, node: Node) -> Iterator[tuple[Node, SignedBlock]]:
    """CMS and bare signatures, over the file that they are named after."""
    other = _other(fs, node)
    facts = fs.facts_of(other) if other is not None else None
    if other is None or facts is None:
        yield from (
            (node, _openpgp(block, None, node.path.rpartition("/")[2])) for block in node.signatures if block.scheme == "OpenPGP"
        )
        return
    name = other.path.rpartition("/")[2]
    # What the kernel verifies is the root hash in hexadecimal, without the end of its line (dm-verity, root_hash_sig_key_desc).
    root = (facts.text or "").strip()
    hashed = _ROOT_HASH.fullmatch(root) is not None
    for block in node.signatures:
        if block.scheme == "OpenPGP":
            yield node, _openpgp(block, facts, name)
            continue
        digest = _digest(block.hash, facts, root.encode() if hashed else b"")
        told = msgspec.structs.replace(
            block, scheme="dm-verity root hash" if hashed else block.scheme, role="content", covers=name
        )
        if block.bound and digest:
            yield node, msgspec.structs.replace(told, intact=block.bound == digest)
        else:  # attributes without the content's digest prove nothing of it
            yield node, msgspec.structs.replace(told, digest=digest, message=b"")


def _digest(name: str, facts: Facts, instead: bytes) -> bytes:
    """The digest of a file's content, as far as inspection tells; empty when it does not."""
    if instead and name in hashlib.algorithms_available:
        return hashlib.new(name, instead, usedforsecurity=False).digest()
    if name == "sha256":
        return bytes.fromhex(facts.sha256)
    message = _exact(facts)
    return hashlib.new(name, message, usedforsecurity=False).digest() if message and name in hashlib.algorithms_available else b""


def _exact(facts: Facts) -> bytes:
    """The very bytes of a text; empty when it was too large to be kept, or is no text."""
    for encoding in ("utf-8", "latin-1"):
        try:
            raw = (facts.text or "").encode(encoding)
        except UnicodeEncodeError:
            continue
        if hashlib.sha256(raw).hexdigest() == facts.sha256:
            return raw
    return b""


def _text(fs: FileSystem, node: Node) -> Iterator[tuple[Node, SignedBlock]]:
    """Signatures in text: usign and signify, over the file they are named after."""
    facts = fs.facts_of(node)
    text = facts.text if facts is not None else None
    if not text:
        return
    found = _USIGN.fullmatch(text) if text.startswith("untrusted comment:") else None
    other = _other(fs, node)
    signed = fs.facts_of(other) if other is not None else None
    if found is None or other is None or signed is None:
        return
    try:
        raw = base64.b64decode(found[1], validate=True)
    except binascii.Error:
        return
    # "ED": over the BLAKE2b of the file (minisign), which cannot be made from its SHA-256.
    if len(raw) == 74 and raw[:2] in (b"Ed", b"ED"):
        message = _exact(signed)
        if raw[:2] == b"ED" and message:
            message = hashlib.blake2b(message).digest()
        yield node, SignedBlock(
            scheme="usign", algorithm="Ed25519", signature=raw[10:], message=message, role="content",
            covers=other.path.rpartition("/")[2], key_hint=f"key number {raw[2:10].hex()}",
        )  # fmt: skip


def _hashed(message: bytes, name: str, trailer: bytes) -> bytes:
    return hashlib.new(name, message + trailer, usedforsecurity=False).digest() if name in hashlib.algorithms_available else b""


def _openpgp(block: SignedBlock, signed: Facts | None, covers: str) -> SignedBlock:
    """A signature beside the file that it is over, as far as the bytes of that are at hand."""
    content = _exact(signed) if signed is not None else b""
    if block.covers == "text":  # its lines end with CR LF
        content = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    digest = _hashed(content, block.hash, block.message) if content and block.message else b""
    # The first bytes of the digest stand in the signature.
    intact = digest[:2] == block.bound if digest and block.bound else None
    return msgspec.structs.replace(block, digest=digest, message=b"", bound=b"", role="content", covers=covers, intact=intact)


def _attribute(fs: FileSystem, node: Node) -> Iterator[tuple[Node, SignedBlock]]:
    """A signature of IMA over the file's content."""
    facts = fs.facts_of(node)
    try:
        raw = bytes.fromhex(str(node.detail["security.ima"]))
    except ValueError:
        return
    if facts is None or len(raw) < 9 or raw[0] != 3:
        return
    name, size = _IMA_HASHES.get(raw[2], ""), int.from_bytes(raw[7:9], "big")
    block = SignedBlock(
        scheme="IMA", hash=name, signature=raw[9:], covers="file", key_hint=f"key identifier {raw[3:7].hex()}", role="content",
        padding="pkcs1v15",
    )  # fmt: skip
    if raw[1] == 2 and size == len(raw) - 9 and name:
        block = msgspec.structs.replace(block, digest=_digest(name, facts, b""))
    yield node, block
