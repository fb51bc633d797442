"""What the signatures of a FIT image cover, and the keys a control device tree verifies them with.

A configuration's signature covers parts of the structure block: the nodes that its ``hashed-nodes`` lists with their properties,
of their direct children only the begin and the end, never the properties that hold an image's data; then the end token and as
many bytes of the strings block as ``hashed-strings`` says. Images are covered through the hash nodes among these. An image's
signature covers its data. Sources: doc/usage/fit/signature.rst, boot/image-fit-sig.c and boot/fdt_region.c of U-Boot.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from typing import Literal, NamedTuple

from fwcheck.extraction.formats._checksums import digest
from fwcheck.extraction.formats._devicetree import DeviceTree, DeviceTreeNode
from fwcheck.extraction.formats._signed import ec_key, rsa_key, two_numbers
from fwcheck.extraction.source import ByteSource
from fwcheck.model import SignedBlock

_BEGIN_NODE, _END_NODE, _PROPERTY, _NOP, _END = 1, 2, 3, 4, 9
_DATA = frozenset({"data", "data-size", "data-position", "data-offset"})
_HASHES = ("sha1", "sha256", "sha384", "sha512")
_CURVES = {"prime256v1": 256, "secp256r1": 256, "secp384r1": 384, "secp224r1": 224}
_SIGNATURES = 64  # of one image
_HASHED_LIMIT = 4096  # nodes that one signature lists
_KEYS = 32
_LOOKED = 300_000  # tokens of the tree, counted anew for each signature: those behind are told without what they cover


class _Piece(NamedTuple):
    """A token of the structure block: where it begins and ends, counted from the block's begin."""

    kind: int
    begin: int
    end: int
    path: str  # of the node that begins
    name: str  # of the property


def configuration_blocks(tree: DeviceTree, source: ByteSource, offset: int, *, intact: bool) -> Iterator[SignedBlock]:
    """The signatures of configurations; ``intact``: whether the hashes of the images are right."""
    configurations = tree.node("/configurations")
    pieces: list[_Piece] | None = None
    count = looked = 0
    for node in configurations.children.values() if configurations is not None else ():
        for child in _signature_nodes(node):
            nodes = child.texts("hashed-nodes")[:_HASHED_LIMIT]
            strings = child.raw("hashed-strings") or b""
            count += 1
            if count > _SIGNATURES or not nodes:
                return
            pieces = _pieces(source, offset) if pieces is None else pieces
            looked += len(pieces)
            name, hashed = child.text("algo").partition(",")[0], b""
            if looked <= _LOOKED and name in _HASHES:
                signed = _covered(source, offset, pieces, frozenset(nodes))
                if len(strings) == 8:
                    signed += source.peek(offset + _strings_at(source, offset), int.from_bytes(strings[4:], "big"))
                hashed = hashlib.new(name, signed, usedforsecurity=False).digest()
            yield _block(child, hashed, f"configuration {node.name}", "FIT configuration", intact=intact)


def image_blocks(node: DeviceTreeNode, source: ByteSource, at: int, size: int) -> Iterator[SignedBlock]:
    """The signatures over an image's data."""
    known: dict[str, bytes] = {}
    for child in list(_signature_nodes(node))[:_SIGNATURES]:
        name = child.text("algo").partition(",")[0]
        if name in _HASHES and name not in known:
            known[name] = digest(name, source, (at, size))
        yield _block(child, known.get(name, b""), f"the data of image {node.name}", "FIT image", intact=None)


def _signature_nodes(node: DeviceTreeNode) -> Iterator[DeviceTreeNode]:
    for child in node.children.values():
        if child.name.startswith("signature") and 0 < child.spans.get("value", (0, 0))[1] <= 2048:
            yield child


def _block(node: DeviceTreeNode, hashed: bytes, covers: str, scheme: str, *, intact: bool | None) -> SignedBlock:
    name, _, kind = node.text("algo").partition(",")
    raw = node.raw("value") or b""
    algorithm: Literal["RSA", "ECDSA", "unknown"] = "unknown"
    if kind.startswith("rsa"):
        algorithm = "RSA"
    elif kind.startswith(("ecdsa", "secp")):
        algorithm, half = "ECDSA", len(raw) // 2
        raw = two_numbers(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))
    hint = node.text("key-name-hint")
    return SignedBlock(
        scheme=scheme, algorithm=algorithm, hash=name, signature=raw, digest=hashed, covers=covers, intact=intact,
        padding="pss" if node.text("padding") == "pss" else "pkcs1v15" if algorithm == "RSA" else "",
        key_hint=f"key {hint!r}" if hint else "",
    )  # fmt: skip


def _strings_at(source: ByteSource, offset: int) -> int:
    return int.from_bytes(source.read(offset + 12, 4), "big")


def _pieces(source: ByteSource, offset: int) -> list[_Piece]:
    """The tokens of a structure block that has been parsed before."""
    struct_at, strings_at = struct.unpack(">II", source.read(offset + 8, 8))
    size, strings_size = struct.unpack(">II", source.read(offset + 36, 4) + source.read(offset + 32, 4))
    view, names = source.view(offset + struct_at, size), source.view(offset + strings_at, strings_size)
    out: list[_Piece] = []
    path: list[str] = []
    known: dict[int, str] = {}
    at = 0
    while at + 4 <= size:
        begin, token, name = at, int.from_bytes(view[at : at + 4], "big"), ""
        at += 4
        if token == _BEGIN_NODE:
            raw = bytes(view[at : at + 256]).split(b"\0", 1)[0]
            path.append(raw.decode("utf-8", "replace"))
            at += (len(raw) + 4) & ~3
        elif token == _PROPERTY:
            length, name_at = struct.unpack_from(">II", view, at)
            at += 8 + ((length + 3) & ~3)
            if name_at not in known:
                known[name_at] = bytes(names[name_at : name_at + 64]).split(b"\0", 1)[0].decode("utf-8", "replace")
            name = known[name_at]
        out.append(_Piece(token, begin, at, "/" + "/".join(path[1:]) if token == _BEGIN_NODE else "", name))
        if token == _END_NODE:
            path.pop()
        elif token == _END:
            break
    return out


def _covered(source: ByteSource, offset: int, pieces: list[_Piece], nodes: frozenset[str]) -> bytes:
    """The bytes that a signature over these nodes covers. ``depth``: 2 inside a listed node, 1 inside its child, 0 elsewhere."""
    base = offset + int.from_bytes(source.read(offset + 8, 4), "big")
    out = bytearray()
    depths: list[int] = []
    depth = 0
    for piece in pieces:
        if piece.kind == _BEGIN_NODE:
            depths.append(depth)
            depth = 2 if piece.path in nodes else max(0, depth - 1)
            wanted = depth > 0
        elif piece.kind == _END_NODE:
            wanted, depth = depth > 0, depths.pop()
        elif piece.kind == _PROPERTY:
            wanted = depth >= 2 and piece.name not in _DATA
        else:
            wanted = piece.kind == _END or (piece.kind == _NOP and depth >= 2)
        if wanted:
            out += source.view(base + piece.begin, piece.end - piece.begin)
    return bytes(out)


def control_keys(tree: DeviceTree) -> tuple[bytes, ...]:
    """The public keys of ``/signature``, DER SubjectPublicKeyInfo: what a boot loader with this tree verifies FIT images with."""
    node = tree.node("/signature")
    found = [_key(child) for child in list(node.children.values())[:_KEYS]] if node is not None else []
    return tuple(key for key in found if key)


def required_keys(tree: DeviceTree) -> dict[str, str]:
    """The keys of ``/signature`` that have to fit, by what they have to fit: SHA-256 of the DER SubjectPublicKeyInfo of each.

    ``required-mode = "any"``: one of them is enough. A key that cannot be read is ``unreadable``: it cannot be told apart.
    """
    node = tree.node("/signature")
    found: dict[str, list[str]] = {}
    for child in list(node.children.values())[:_KEYS] if node is not None else []:
        wanted = child.text("required")
        if wanted in ("conf", "image"):
            key = _key(child)
            found.setdefault(wanted, []).append(hashlib.sha256(key).hexdigest() if key else "unreadable")
    out = {f"required_{wanted}_keys": " ".join(keys) for wanted, keys in found.items()}
    if out and node is not None and node.text("required-mode") == "any":
        out["required_mode"] = "any"
    return out


def _key(node: DeviceTreeNode) -> bytes:
    if modulus := node.raw("rsa,modulus"):
        exponent = int.from_bytes(node.raw("rsa,exponent") or b"\x01\x00\x01", "big")
        return rsa_key(int.from_bytes(modulus[:2048], "big"), exponent)
    x, y = node.raw("ecdsa,x-point"), node.raw("ecdsa,y-point")
    bits = _CURVES.get(node.text("ecdsa,curve"), 0)
    return ec_key(bits, int.from_bytes(x[:66], "big"), int.from_bytes(y[:66], "big")) if x and y and bits else b""
