"""Android Verified Boot: what vbmeta images say, and who asks for it.

The boot loader verifies vbmeta and boot with a key of its own, on a locked device; init (first stage) sets dm-verity up for the
partitions whose line in fstab says ``avb``. The loader, its key and the lock are not in an image: so a kernel is never called
verified here. A partition is, when fstab demands it, the vbmeta image that speaks of it is signed and whole, and its flags leave
hash trees on. Sources: external/avb/README.md, system/core/fs_mgr (fs_mgr_avb, fstab flags), source.android.com "Verified Boot".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from fwcheck.device._update_scripts import Verified
from fwcheck.device.booting.context import Context, here
from fwcheck.device.firmware import FileSystem
from fwcheck.model import Evidence, Node

_NAMES = re.compile(r"(?:^|; )([\w.-]{1,64}) \(")
_CHAINED = re.compile(r"(?:^|; )([\w.-]{1,64}) \(rollback index location \d{1,4}, key ([0-9a-f]{64})\)")
_SUFFIX = re.compile(r"(?:_[ab])?(?:\.(?:img|raw|ext4|erofs|bin|new\.dat))?$")
_LINES = 512
_OFF = re.compile(r"(?:^|\s)androidboot\.veritymode=(disabled|logging)(?=\s|$)")


class Demand(NamedTuple):
    """A line of fstab that asks for the verification of a partition."""

    partition: str
    flag: str  # "avb", "verify"
    evidence: Evidence


def partition_of(chain: tuple[str, ...]) -> str:
    """The name of the partition that a container lies in: the innermost part with a name of its own, slot and suffix taken off.

    The image file itself may be a partition (``system.img``).
    """
    for part in reversed(chain[:-1]):
        if "@" not in part:
            return _SUFFIX.sub("", part.rpartition("/")[2]).lower()
    return ""


def switched_off(context: Context) -> Iterator[tuple[Node, str]]:
    """The vbmeta images whose flags switch verification or hash trees off."""
    for node in context.formats.get("android-vbmeta", ()):
        flags = str(node.detail.get("flags", "none"))
        if flags != "none" and (
            node.detail.get("hash_trees") or node.detail.get("chains") or node.detail.get("hashes") or _is_main(node)
        ):
            yield node, flags


def _is_main(node: Node) -> bool:
    return partition_of(node.chain).startswith("vbmeta")


def boot_image(context: Context, node: Node) -> tuple[Verified, str, str, tuple[Evidence, ...]] | None:
    """What AVB says of a boot image; None where no vbmeta image speaks of it."""
    name = partition_of(node.chain)
    found = next(
        (
            each
            for each in context.formats.get("android-vbmeta", ())
            if name in _NAMES.findall(str(each.detail.get("hashes", "")))
        ),
        None,
    ) or next((each for each in context.formats.get("android-vbmeta", ()) if each.chain[:-1] == node.chain[:-1]), None)
    if found is None:
        return None
    said = _said(context, found)
    text = " and the loader has the library for it" if "boot-avb" in context.loader_texts else ""
    reason = f"{said}; the loader's key and the lock of the device are not in the image{text}"
    return "unknown", "boot loader (AVB)", reason, (here(found, str(found.detail.get("integrity_detail", ""))),)


def _said(context: Context, node: Node) -> str:
    states = [each.state for each in context.signatures(node)]
    signed = {"valid": "signed and whole", "invalid": "changed after it was signed", "unverified": "signed"}
    state = signed[states[0]] if states else "not signed" if node.detail.get("algorithm") == "none" else "signed"
    words = [
        f"vbmeta is {state}",
        f"flags: {node.detail.get('flags', 'none')}",
        f"rollback index {node.detail.get('rollback_index', 0)}",
    ]
    if "development_key" in node.detail:
        words.append(str(node.detail["development_key"]))
    return ", ".join(words)


def demands(context: Context) -> list[Demand]:
    """Lines of fstab files with ``avb`` or ``verify``."""
    found: list[Demand] = []
    for fs in context.firmware.filesystems:
        for path in (each for each in fs.nodes if each.rpartition("/")[2].startswith("fstab.")):
            for number, line in enumerate((fs.text(path) or "").splitlines()[:_LINES], 1):
                words = line.split()
                if len(words) < 5 or line.lstrip().startswith("#"):
                    continue
                flag = next(
                    (each for each in words[4].split(",") if re.fullmatch(r"(?:avb|avb_keys|verify)(?:=\S{0,200})?", each)), ""
                )
                if flag:
                    name = _SUFFIX.sub("", words[0].rpartition("/")[2]).lower()
                    found.append(Demand(name, flag, fs.evidence(path, line, line=number)))
    return found


def partition(context: Context, fs: FileSystem) -> tuple[Verified, str, str, tuple[Evidence, ...]] | None:
    """What AVB says of a file system; None where nothing asks for it and no vbmeta image speaks of it."""
    name = partition_of(fs.chain)
    demand = next((each for each in demands(context) if each.partition == name), None)
    tree = _tree_of(context, name)
    if demand is None and tree is None:
        return None
    proofs = [demand.evidence] if demand is not None else []
    if tree is None:
        return (
            "unknown",
            "init (fstab)",
            f"fstab asks for it ({demand.flag if demand else ''}); what it is verified with is not here",
            tuple(proofs),
        )
    node, trusted = tree
    proofs.append(here(node, f"{node.detail.get('integrity_detail', '')}; {node.detail.get('hash_trees', '')}"))
    said = _said(context, node)
    off = next((_OFF.search(line.text) for line in context.command_lines if _OFF.search(line.text)), None)
    if demand is None or not demand.flag.startswith("avb"):
        return "unknown", "", f"{said}, but no line of fstab asks for it", tuple(proofs)
    if off is not None:
        return "unknown", "init (fstab)", f"{said}, but the command line says {off[0].strip()}", tuple(proofs)
    if why := _open_end(context, node, trusted=trusted):
        return "unknown", "init (fstab)", f"{said}; {why}", tuple(proofs)
    return "signature", "init and kernel (dm-verity)", f"fstab demands it, {said}; holds on a locked device", tuple(proofs)


def _open_end(context: Context, node: Node, *, trusted: bool) -> str:
    """Where the way from the partition's hash tree to a signed main image is open; "" where it is closed."""
    if _main_off(context) or node.detail.get("flags", "none") != "none":
        return "flags switch it off"
    if not trusted or [each.state for each in context.signatures(node)][:1] != ["valid"]:
        return "no valid signature at its end"
    if any("development_key" in each.detail for each in context.formats.get("android-vbmeta", ())):
        return "its key is published for development: anybody can sign with it"
    return ""


def _main_off(context: Context) -> bool:
    return any(True for _ in switched_off(context))


def _tree_of(context: Context, name: str) -> tuple[Node, bool] | None:
    """The vbmeta image with the hash tree of a partition, and whether it is the main one or named by it with its key."""
    for node in context.formats.get("android-vbmeta", ()):
        if name not in _NAMES.findall(str(node.detail.get("hash_trees", ""))):
            continue
        place = partition_of(node.chain)
        if place == "vbmeta":
            return node, True
        return node, _named(context, place if place.startswith("vbmeta") else name, str(node.detail.get("key_hash", "")))
    return None


def _named(context: Context, name: str, key: str) -> bool:
    """Whether a main vbmeta image with a valid signature names a chained one by this key."""
    for main in context.formats.get("android-vbmeta", ()):
        valid = [each.state for each in context.signatures(main)][:1] == ["valid"]
        chains = dict(_CHAINED.findall(str(main.detail.get("chains", ""))))
        if partition_of(main.chain) == "vbmeta" and valid and key and chains.get(name) == key:
            return True
    return False
