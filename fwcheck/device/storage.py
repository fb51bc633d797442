"""Storage: where the device keeps what has to survive, and whether it is encrypted there.

Sources: fstab(5), crypttab(5), cryptsetup(8), Android fstab flags (fileencryption, forceencrypt, metadata_encryption), OpenWrt
fstools (mount_root, rootfs_data), ESP-IDF partition tables (flag ``encrypted``, sub-type ``nvs_keys``), OP-TEE.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from fwcheck.device.boot import Boot, boots
from fwcheck.device.firmware import Firmware
from fwcheck.model import Evidence, Location, Node, Trait

PERSISTENT = ("jffs2", "ubifs", "yaffs", "yaffs2", "ext2", "ext3", "ext4", "f2fs", "btrfs", "vfat", "littlefs", "logfs")
_MOUNT = re.compile(
    r"(?:^|[\s;&|(])mount\s+(?:-[a-z]\s+)?(?:-o\s*\S{1,80}\s+)?-t\s*(\w{2,12})\s+(?:-o\s*\S{1,80}\s+)?(\S{1,120})\s+(/[\w./-]{1,120})"
)
_OPEN = re.compile(r"\bcryptsetup\s+(?:-\S+\s+){0,6}(luksOpen|open|plainOpen|create)\b|\bdmsetup\s+create\b[^\n]{0,160}\bcrypt\b")
_FSCRYPT = re.compile(r"\b(fscryptctl\s+(?:set_policy|add_key)|e4crypt\s+(?:add_key|set_policy)|fscrypt\s+unlock)\b")
_ANDROID = re.compile(r"(?:^|[\s,])(fileencryption|forceencrypt|forcefdeorfbe|metadata_encryption)=([\w:./@+-]{1,80})")
_KEEPERS = ("tee-supplicant", "tpm2-abrmd", "tcsd", "pkcs11-daemon", "se05x_server", "trousers")
_LINES = 4000


class Mount(NamedTuple):
    """A file system that the boot mounts to keep things: type, device, directory, and whether the line is surely run."""

    type: str
    device: str
    directory: str
    certain: bool
    evidence: Evidence


def storage(firmware: Firmware) -> tuple[Trait, ...]:
    """Places that survive a restart, and measures that protect what is stored."""
    return tuple(
        dict.fromkeys(
            (
                *(
                    trait
                    for boot in boots(firmware)
                    if boot.root.is_root
                    for trait in (*_kept(boot), *_encrypted(boot), *_keepers(boot))
                ),
                *_microcontroller(firmware),
            )
        )
    )


def mounts(boot: Boot) -> list[Mount]:
    """What fstab and scripts mount of file systems that keep their content."""
    found = [*_fstab(boot)]
    visited = {run.place.path for run in boot.runs} | {boot.init}
    for node, facts in boot.root.files():
        text = facts.text
        if text is None or facts.kind != "script" or "mount" not in text or " -t" not in text:
            continue
        for number, line in enumerate(text.splitlines()[:_LINES], 1):
            hit = _MOUNT.search(line[:1000]) if "mount" in line and not line.lstrip().startswith("#") else None
            if hit and hit.group(1) in PERSISTENT and not _removable(hit.group(2), hit.group(3)):
                proof = boot.root.evidence(node.path, line, line=number)
                found.append(Mount(hit.group(1), hit.group(2), hit.group(3).rstrip("/") or "/", node.path in visited, proof))
    return found[:64]


def _fstab(boot: Boot) -> Iterator[Mount]:
    for number, line in enumerate((boot.root.text("/etc/fstab") or "").splitlines()[:256], 1):
        words = line.split()
        if len(words) >= 3 and not words[0].startswith("#") and words[2] in PERSISTENT and words[1].startswith("/"):
            automatic = len(words) < 4 or "noauto" not in words[3].split(",")
            if not _removable(words[0], words[1]):
                yield Mount(words[2], words[0], words[1], automatic, boot.root.evidence("/etc/fstab", line, line=number))


def _removable(device: str, directory: str) -> bool:
    return (
        re.match(r"/dev/(?:sd[a-z]|mmcblk1|sr\d)", device) is not None
        or re.search(r"/(?:sd|sdcard|usb|media|tf)\w*(?:/|$)", directory) is not None
    )


def _kept(boot: Boot) -> Iterator[Trait]:
    held: dict[str, Mount] = {}
    for mount in mounts(boot):
        if mount.directory not in held or (mount.certain and not held[mount.directory].certain):
            held[mount.directory] = mount
    for mount in held.values():
        yield Trait(
            name="kept over a restart",
            state="yes" if mount.certain else "unknown",
            detail=f"{mount.directory} ({mount.type} on {mount.device})"[:160],
            root=boot.root.label,
            evidence=(mount.evidence,),
        )
    if boot.kind == "procd" and boot.root.exists("/sbin/mount_root"):
        yield Trait(
            name="kept over a restart",
            state="yes",
            detail="/ (overlay on rootfs_data, by mount_root)",
            root=boot.root.label,
            evidence=(boot.root.evidence("/sbin/mount_root", "mount_root mounts rootfs_data over the root file system"),),
        )


def _encrypted(boot: Boot) -> Iterator[Trait]:
    visited = {run.place.path for run in boot.runs}
    root = boot.root
    for number, line in enumerate((root.text("/etc/crypttab") or "").splitlines()[:256], 1):
        words = line.split()
        if len(words) >= 2 and not words[0].startswith("#") and "swap" not in (words[3].split(",") if len(words) > 3 else ()):
            yield _protection(
                boot, f"crypttab: {words[0]} on {words[1]}", "yes", root.evidence("/etc/crypttab", line, line=number)
            )
    for path in ("/fstab", *(node.path for node in root.children("/") if "fstab" in node.path), *_android_fstabs(boot)):
        for number, line in enumerate((root.text(path) or "").splitlines()[:256], 1):
            if not line.startswith("#") and (found := _ANDROID.search(line)):
                yield _protection(boot, f"{found.group(1)} of {line.split()[1]}", "yes", root.evidence(path, line, line=number))
    for node, facts in root.files():
        text = facts.text
        if (
            text is None
            or facts.kind != "script"
            or not any(word in text for word in ("cryptsetup", "dmsetup", "fscrypt", "e4crypt"))
        ):
            continue
        for number, line in enumerate(text.splitlines()[:_LINES], 1):
            hit = None if line.lstrip().startswith("#") else _OPEN.search(line[:1000]) or _FSCRYPT.search(line[:1000])
            if hit:
                state: Literal["yes", "unknown"] = "yes" if node.path in visited else "unknown"
                yield _protection(boot, hit.group().strip()[:80], state, root.evidence(node.path, line, line=number))
                break


def _android_fstabs(boot: Boot) -> list[str]:
    places = ("/vendor/etc", "/etc", "/system/etc")
    return [
        node.path for place in places for node in boot.root.children(place) if node.path.rpartition("/")[2].startswith("fstab.")
    ]


def _protection(boot: Boot, detail: str, state: Literal["yes", "unknown"], proof: Evidence) -> Trait:
    return Trait(name="encrypted storage", state=state, detail=detail, root=boot.root.label, evidence=(proof,))


def _keepers(boot: Boot) -> Iterator[Trait]:
    """Programs that keep keys away from the rest: they count where the boot starts them."""
    for run in boot.runs:
        if run.name in _KEEPERS and run.present is not False:
            proof = run.place.fs.evidence(run.place.path, " ".join(run.shown), line=run.place.line or None)
            state: Literal["yes", "unknown"] = "unknown" if run.conditions else "yes"
            yield Trait(name="keys kept apart", state=state, detail=run.name, root=boot.root.label, evidence=(proof,))


def _microcontroller(firmware: Firmware) -> Iterator[Trait]:
    """ESP32: which data partitions the table calls encrypted, and an NVS whose entries are."""
    for node in firmware.nodes:
        named = str(node.detail.get("encrypted_partitions", ""))
        if named and node.format == "esp-partition-table":
            yield _table(node, f"partitions with the flag encrypted: {named}"[:160])
        elif node.format == "esp-nvs" and node.detail.get("encrypted") == "yes":
            yield _table(node, "NVS entries are encrypted")


def _table(node: Node, detail: str) -> Trait:
    proof = Evidence(location=Location(chain=node.chain, path=node.path, offset=node.offset), text=detail)
    return Trait(name="encrypted storage", state="yes", detail=detail, root=node.label, evidence=(proof,))
