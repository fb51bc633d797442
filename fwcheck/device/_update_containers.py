"""The image itself as an update: what its container offers against change.

Formats write what they found into ``Node.detail``: ``integrity`` and ``integrity_detail``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from fwcheck.device._update_scripts import Verified
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Evidence, Location, Node, NodeKind, UpdatePath

# Compressors, archives, file systems and tables: they hold software, but are no wrapping that an updater looks at.
PLAIN = frozenset({
    *("gzip", "xz", "bzip2", "lz4", "lzop", "zstd", "lzma", "lzma-alone", "lzip", "elf"),
    *("cpio", "tar", "zip", "ar", "7z", "rar", "cab", "lha", "arj", "arc", "xar", "catar"),
    *("squashfs", "cramfs", "romfs", "jffs2", "ubi", "ubifs", "yaffs", "yaffs2", "ext", "ext2", "ext3", "ext4", "fat", "vfat"),
    *("fat12", "fat16", "fat32", "btrfs", "xfs", "jfs", "apfs", "bcachefs", "hfsplus", "reiserfs", "ufs", "udf", "swap", "cbfs"),
    *("qnx-ifs", "pfs", "owowfs", "minifs", "ambarella-romfs", "littlefs", "spiffs", "esp-wear-levelling", "nand-oob"),
    *("lz4-legacy", "lz4-block", "lzma-variant", "zlib", "compress", "upx", "novatek-bcl1"),
    *("qcow2", "vmdk", "vhd", "vdi", "amd-psp", "intel-flash", "intel-me", "fmap", "android-super", "redboot-fis"),
    *("sigmastar-mxp", "openwrt-eof", "verity-signature"),
    *("pe", "exfat", "ntfs", "iso9660", "erofs", "f2fs", "minix", "gpt", "mbr", "ihex", "intel-hex", "srec", "uf2"),
    *("linux", "kernel", "devicetree"),
    *("uboot-env", "broadcom-nvram", "redboot-config", "esp-nvs", "esp-otadata", "nrf-settings", "uefi-vss"),  # settings
})  # fmt: skip
_MEANT: dict[str, Verified] = {"none": "none", "checksum": "checksum", "hash": "hash", "signature": "signature"}
# Update bundles that are formats of their own judge themselves: how they are called, and what takes them.
_BUNDLES = {
    "rauc": ("RAUC bundle", "rauc"), "swupdate": ("SWUpdate bundle", "updater"), "mender": ("Mender artifact", "updater"),
    "nordic-dfu": ("Nordic DFU package", "bootloader"),
}  # fmt: skip
_RECORDS = frozenset({"intel-hex", "ihex", "srec", "uf2"})  # text or blocks around the bytes that end up in flash
_DEPTH = 4  # containers from the image down that still belong to its wrapping


def container_paths(firmware: Firmware) -> Iterator[UpdatePath]:
    """The wrapping of the image: its outermost containers and how they are protected, and update bundles by their members."""
    seen: set[tuple[str, ...]] = set()
    for node in firmware.nodes:
        if node.kind is not NodeKind.CONTAINER or node.format in PLAIN or len(node.chain) > _DEPTH:
            continue
        verified = _MEANT.get(str(node.detail.get("integrity", "")))
        if verified is None or any(node.chain[: len(outer)] == outer for outer in seen) or not _wraps(firmware, node):
            continue
        seen.add(node.chain)
        yield _of(firmware, node, verified)
    yield from _openwrt(firmware)
    for fs in firmware.filesystems:
        if not any(fs.chain[: len(outer)] == outer for outer in seen if _format(outer) in _BUNDLES):
            yield from _nordic(fs)
            yield from _bundle(fs)
            yield from _rauc(firmware, fs)


def _format(chain: tuple[str, ...]) -> str:
    return chain[-1].split("@", 1)[0]


def _wraps(firmware: Firmware, node: Node) -> bool:
    """Whether the container is what is handed over (most of the image), not one part among others of a flash dump."""
    parent = next((each for each in firmware.nodes if each.chain == node.chain[:-1] and each.kind is NodeKind.CONTAINER), None)
    whole = parent.size if parent is not None and parent.size else firmware.image.size
    if len(node.chain) > 2 and _format(node.chain[:-2]) in _RECORDS:
        held = [each.size for each in firmware.nodes if each.kind is NodeKind.REGION and each.chain == node.chain[:-2]]
        whole = sum(held) or whole
    return node.size == 0 or whole == 0 or node.size * 2 >= whole


def _of(firmware: Firmware, node: Node, verified: Verified) -> UpdatePath:
    detail = str(node.detail.get("integrity_detail", ""))
    if verified != "signature" and firmware.coverage.bytes_encrypted * 2 > max(1, firmware.coverage.bytes_total):
        detail, verified = f"{detail}; a signature inside the encrypted content cannot be seen", "unknown"
    where = Evidence(
        location=Location(chain=node.chain, path=node.path, offset=node.offset), text=f"{node.format}: {detail or verified}"[:240]
    )
    mechanism, sink = _BUNDLES.get(node.format or "", (node.format or "", "bootloader or updater"))
    return UpdatePath(
        source="container",
        sink=sink,
        verified=verified,
        mechanism=mechanism,
        detail=detail,
        root="",
        evidence=(where,),
    )


def _openwrt(firmware: Firmware) -> Iterator[UpdatePath]:
    """The signature that OpenWrt lays behind an image; its checksum in the metadata says no more than that of the image."""
    for node in firmware.nodes:
        signed = node.format == "openwrt-metadata" and node.detail.get("integrity") == "signature"
        if signed and node.kind is NodeKind.CONTAINER and len(node.chain) <= _DEPTH:
            yield msgspec.structs.replace(
                _of(firmware, node, "signature"), sink="sysupgrade", mechanism="OpenWrt image signature"
            )
            return


def _bundle(fs: FileSystem) -> Iterator[UpdatePath]:
    """Bundles that are plain archives, signed by a member: SWUpdate (``sw-description``) and Mender (``manifest``)."""
    for head, signature, name in (
        ("/sw-description", "/sw-description.sig", "SWUpdate bundle"),
        ("/manifest", "/manifest.sig", "Mender artifact"),
    ):
        if head not in fs.nodes or (name.startswith("Mender") and "/version" not in fs.nodes):
            continue
        signed = fs.nodes.get(signature)
        hashed = name.startswith("Mender") or "sha256" in (fs.text(head) or "")
        verified: Verified = "signature" if signed is not None and signed.size else "hash" if hashed else "none"
        yield UpdatePath(
            source="container",
            sink="updater",
            verified=verified,
            mechanism=name,
            detail=f"{'signed by' if verified == 'signature' else 'without'} {signature[1:]}",
            root="",
            evidence=(fs.evidence(signature if verified == "signature" else head),),
        )


def _nordic(fs: FileSystem) -> Iterator[UpdatePath]:
    """A Nordic DFU package: ``manifest.json`` names an init packet for each image; the boot loader checks its signature."""
    text = fs.text("/manifest.json") or ""
    for name in dict.fromkeys(re.findall(r'"dat_file"\s*:\s*"([\w.-]{1,80})"', text)):
        facts = fs.facts(f"/{name}")
        if facts is None:
            continue
        hit = next((each for each in facts.yara if each.rule == "nordic-dfu-signed-init"), None)
        yield UpdatePath(
            source="container",
            sink="bootloader",
            verified="signature" if hit is not None else "hash",
            mechanism="Nordic DFU package",
            detail="ECDSA P-256 signature in the init packet (not verified)"
            if hit is not None
            else "init packet without a signature",
            evidence=(fs.evidence(f"/{name}", "init packet", offset=hit.offset if hit is not None else 0),),
        )


def _rauc(firmware: Firmware, fs: FileSystem) -> Iterator[UpdatePath]:
    """A RAUC bundle: a file system with ``manifest.raucm``, and CMS signed data behind it or beside the manifest."""
    if "/manifest.raucm" not in fs.nodes:
        return
    where = fs.evidence("/manifest.raucm", "manifest of a RAUC bundle")
    outside = next(
        (
            Evidence(
                location=Location(chain=node.chain, path=node.path, offset=node.offset), text="CMS signed data behind the bundle"
            )
            for node, facts in firmware.loose
            if node.chain == fs.chain[:-1] and any(hit.rule == "cms-signed-data" for hit in facts.yara)
        ),
        None,
    )
    yield UpdatePath(
        source="container",
        sink="rauc",
        verified="signature" if outside is not None else "hash",
        mechanism="RAUC bundle",
        detail="CMS signature behind the bundle (not verified)" if outside is not None else "no signature seen behind the bundle",
        evidence=(outside, where) if outside is not None else (where,),
    )
