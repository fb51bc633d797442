"""Flattened device trees: plain ones, and U-Boot FIT images, which are device trees with images in them.

FIT: ``/images`` holds one node per image with its data inside (``data``) or behind the tree (``data-offset`` counted from the
end of the tree, ``data-position`` from its beginning), hashes and signatures; ``/configurations`` says what is booted together
(Flattened Image Tree Specification; doc/usage/fit/signature.rst of U-Boot).
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._devicetree import DeviceTree, DeviceTreeNode
from fwcheck.extraction.formats._fit_signature import configuration_blocks, control_keys, image_blocks, required_keys
from fwcheck.extraction.formats._parts import crc32, part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource
from fwcheck.model import SignedBlock

_IMAGES_LIMIT = 256
_STRONG = ("sha1", "sha256", "sha384", "sha512", "md5")
_TEXTS = ("description", "type", "arch", "os", "compression")
_CONFIGURATION = ("kernel", "fdt", "ramdisk", "firmware", "loadables", "script", "fpga")
# properties of U-Boot's own tree that decide how it boots (doc/device-tree-bindings/config.txt of U-Boot)
_UBOOT_CONFIG = ("bootcmd", "bootdelay", "bootsecure", "load-environment", "silent-console", "no-keyboard")


class Fdt(Format):
    """Flattened device tree or FIT image. FIT hashes are recomputed; signatures are made ready for whoever has the key."""

    name = "fdt"
    title = "Flattened device tree and U-Boot FIT image"
    specification = "Devicetree Specification 0.4; Flattened Image Tree Specification"
    category = "firmware"
    reads = "device trees of version 16 and 17; FIT images with data inside or behind the tree; CRC32, MD5, SHA hashes recomputed"
    not_read = "ciphered FIT images stay ciphered; signatures are verified where the key is at hand"
    signatures = (Signature(pattern=rb"\xd0\x0d\xfe\xed[\x00-\xff]{16}\x00\x00\x00[\x10\x11]\x00\x00\x00[\x02-\x11]", width=28),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        tree = DeviceTree(source, offset)
        size = min(tree.size, source.size - offset)
        problems = [f"{tree.size} bytes announced, {size} there"] if size < tree.size else []
        images = tree.node("/images")
        if images is None:
            # Room behind the blocks is zero (dtc -p, -S); anything else there is no part of the tree and has to be searched.
            size = size if _zero(source, offset + tree.used, size - tree.used) else tree.used
            return Container(format=self.name, size=size, detail=_plain(tree), problems=problems, keys=control_keys(tree))
        fit = _Fit(source, offset, tree, problems)
        fit.read(images)
        blocks = (*fit.signed, *configuration_blocks(tree, source, offset, intact=not fit.wrong))
        return Container(
            format="fit", size=max(size, fit.end - offset), entries=fit.parts, detail=fit.detail(), problems=problems,
            signatures=blocks, keys=control_keys(tree),
        )  # fmt: skip


def _zero(source: ByteSource, offset: int, size: int) -> bool:
    return not any(bytes(chunk).strip(b"\0") for chunk in source.window(offset, size).chunks())


def _plain(tree: DeviceTree) -> dict[str, str | int]:
    """What a plain tree says of the board and of how it boots."""
    chosen = tree.node("/chosen")
    found: dict[str, str | int] = {
        "model": tree.root.text("model"),
        "compatible": tree.root.text("compatible"),
        "bootargs": chosen.text("bootargs") if chosen else "",
        "stdout_path": (chosen.text("stdout-path") or chosen.text("linux,stdout-path")) if chosen else "",
        "verified_boot_keys": _keys(tree.node("/signature")),
        **required_keys(tree),
        **_uboot_config(tree.node("/config")),
    }
    return {key: value for key, value in found.items() if value} | {"integrity": "none", "integrity_detail": "no check"}


def _uboot_config(node: DeviceTreeNode | None) -> dict[str, str]:
    out = {}
    for name in _UBOOT_CONFIG if node is not None else ():
        assert node is not None
        if name in node:
            raw = node.raw(name) or b""
            is_text = raw[-1:] == b"\0" and raw[:-1].isascii() and raw[:-1].decode("latin-1").isprintable() and len(raw) > 1
            number = None if is_text else node.number(name)
            out[f"u-boot,{name}"] = str(number) if number is not None else node.text(name) or "present"
    return out


def _keys(node: DeviceTreeNode | None) -> str:
    """Keys that U-Boot verifies FIT images with, and whether it insists: ``required`` is ``conf``, ``image`` or missing."""
    return "; ".join(
        f"{key.text('key-name-hint') or key.name} ({key.text('algo') or 'unknown algorithm'}, "
        f"required={key.text('required') or 'no'})"
        for key in (node.children.values() if node else ())
    )


class _Fit:
    """One FIT image while it is read."""

    def __init__(self, source: ByteSource, offset: int, tree: DeviceTree, problems: list[str]) -> None:
        self.source = source
        self.offset = offset
        self.tree = tree
        self.problems = problems
        self.parts: list[Entry] = []
        self.end = 0  # of the data behind the tree
        self.signed: list[SignedBlock] = []
        self._spans: set[tuple[int, int]] = set()
        self._empty: list[str] = []
        self._bytes = 0
        self._right: list[str] = []  # algorithms of the hashes that came out
        self.wrong = 0

    def read(self, images: DeviceTreeNode) -> None:
        for number, node in enumerate(images.children.values()):
            if number >= _IMAGES_LIMIT:
                self.problems.append(f"more than {_IMAGES_LIMIT} images: the others stay unread")
                return
            self._image(node)

    def _image(self, node: DeviceTreeNode) -> None:
        span = self._span(node)
        if span is None:
            return
        at, size = span
        # Images may share data, but not so that a small file becomes an endless one.
        if span in self._spans or self._bytes + size > 2 * self.source.size:
            self.problems.append(f"image {node.name}: its data belong to other images too; read once")
            return
        self._spans.add(span)
        self._bytes += size
        detail: dict[str, str | int] = {key: node.text(key) for key in _TEXTS if key in node}
        for key in ("load", "entry"):
            if (address := node.number(key)) is not None:
                detail[key] = f"0x{address:x}"
        self.signed += image_blocks(node, self.source, at, size)
        detail |= {"hashes": self._hashes(node, at, size), "signatures": _signatures(node), "cipher": _cipher(node)}
        self.parts.append(
            part(self.source, node.name or "image", at, size, {key: value for key, value in detail.items() if value})
        )

    def _span(self, node: DeviceTreeNode) -> tuple[int, int] | None:
        """Where the data of an image lie; None, with a problem, when they are not in the source."""
        if "data" in node:
            return node.spans["data"]
        size = node.number("data-size")
        position, distance = node.number("data-position"), node.number("data-offset")
        if size is None or (position is None and distance is None):
            self.problems.append(f"image {node.name} has no data")
            return None
        if not size:  # a slot that the build had nothing for: it has no place either
            self._empty.append(node.name)
            return None
        at = self.offset + (position if position is not None else ((self.tree.size + 3) & ~3) + (distance or 0))
        if at >= self.source.size:
            self.problems.append(f"image {node.name}: its {size} bytes at 0x{at:x} lie behind the end of what was read")
            return None
        if at + size > self.source.size:
            self.problems.append(f"image {node.name}: {size} bytes announced, {self.source.size - at} there")
        size = min(size, self.source.size - at)
        self.end = max(self.end, at + size)
        return at, size

    def _hashes(self, node: DeviceTreeNode, at: int, size: int) -> str:
        words = []
        known: dict[str, bytes | None] = {}  # an image may have thousands of nodes for one hash
        for child in node.children.values():
            if not child.name.startswith("hash") or (value := child.raw("value")) is None:
                continue
            algorithm = child.text("algo")
            if algorithm not in known:
                known[algorithm] = _digest(self.source, at, size, algorithm)
            found = known[algorithm]
            if found == value:
                self._right.append(algorithm)
            elif found is not None:
                self.wrong += 1
                self.problems.append(f"image {node.name}: wrong {algorithm}")
            words.append(f"{algorithm} {'not checked' if found is None else 'right' if found == value else 'wrong'}")
        return ", ".join(words)

    def detail(self) -> dict[str, str | int]:
        root, configurations = self.tree.root, self.tree.node("/configurations")
        chosen = list(configurations.children.values()) if configurations else []
        timestamp = root.number("timestamp")
        signed = [f"{node.name}: {words}" for node in chosen if (words := _signatures(node))]
        found: dict[str, str | int] = {
            "description": root.text("description"),
            "timestamp": datetime.fromtimestamp(timestamp, UTC).isoformat() if timestamp and timestamp < 1 << 32 else "",
            "images": len(self.parts),
            "empty_images": ", ".join(self._empty),
            "default_configuration": configurations.text("default") if configurations else "",
            "configurations": "; ".join(_configuration(node) for node in chosen[:32]),
            "signed_configurations": "; ".join(signed[:32]),
        }
        integrity, words = self._integrity(len(signed), len(chosen))
        return {key: value for key, value in found.items() if value != ""} | {
            "integrity": integrity,
            "integrity_detail": words,
        }

    def _integrity(self, signed: int, configurations: int) -> tuple[str, str]:
        kinds = ", ".join(sorted(set(self._right)))
        hashes = f"{len(self._right)} hashes right ({kinds})" if kinds else "no hash" if not self.wrong else "no hash right"
        hashes += f", {self.wrong} wrong" if self.wrong else ""
        images = [each for each in self.parts if each.detail.get("signatures")]
        if signed or images:
            what = f"{signed} of {configurations} configurations" if signed else f"{len(images)} of {len(self.parts)} images"
            return "signature", f"{what} signed (not verified: the key is in the boot loader); {hashes}"
        if any(kind in _STRONG for kind in self._right):
            return "hash", hashes
        return ("checksum" if self._right else "none"), hashes


def _digest(source: ByteSource, at: int, size: int, algorithm: str) -> bytes | None:
    """The hash of a range by its FIT name; None for one that is not known."""
    if algorithm == "crc32":
        return crc32(source, at, size).to_bytes(4, "big")
    if algorithm not in _STRONG:
        return None
    digest = hashlib.new(algorithm, usedforsecurity=False)
    for chunk in source.window(at, size).chunks():
        digest.update(chunk)
    return digest.digest()


def _signatures(node: DeviceTreeNode) -> str:
    """The signatures of an image or configuration that have a value: a node without one is a slot that was never filled."""
    return ", ".join(
        f"{child.text('algo') or 'unknown algorithm'} by key '{child.text('key-name-hint')}'"
        for child in node.children.values()
        if child.name.startswith("signature") and child.spans.get("value", (0, 0))[1] > 0
    )


def _cipher(node: DeviceTreeNode) -> str:
    child = node.children.get("cipher")
    return f"{child.text('algo')} with key '{child.text('key-name-hint')}'" if child else ""


def _configuration(node: DeviceTreeNode) -> str:
    return f"{node.name}: " + " ".join(f"{key}={'+'.join(node.texts(key))}" for key in _CONFIGURATION if key in node)


__all__ = ["FORMATS", "DeviceTree", "DeviceTreeNode", "Fdt"]
FORMATS = (Fdt(),)
