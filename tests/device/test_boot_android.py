"""Android's links: a partition is verified when fstab demands it and the chain to a signed vbmeta image is closed."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from extraction.formats.test_android_vbmeta import (
    descriptor,
    hash_descriptor,
    partition,
    public,
    tree_descriptor,
    tree_of,
    vbmeta,
)
from support.flash_images import report, root, run, stage

from fwcheck.device.booting.avb import partition_of
from fwcheck.model import BootStep

SFDISK = shutil.which("sfdisk", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
MIB = 1 << 20
pytestmark = pytest.mark.skipif(shutil.which("mksquashfs") is None or SFDISK is None, reason="squashfs-tools, fdisk")
FSTAB = "/dev/block/by-name/system / squashfs ro,barrier=1 wait,slotselect,avb=vbmeta,logical\n"


def chained(key: bytes) -> bytes:
    name = b"system"
    return descriptor(4, struct.pack(">4I60x", 1, len(name), len(key), 0) + name + key)


def disk(directory: Path, partitions: dict[str, bytes]) -> bytes:
    """A disk with a GPT by sfdisk; each partition of 1 MiB."""
    rows = [f'start={2048 * number},size=2048,name="{name}"' for number, name in enumerate(partitions, 1)]
    path = directory / "disk"
    path.write_bytes(bytes(MIB * (len(partitions) + 2)))
    script = "\n".join(["label: gpt", *rows]) + "\n"
    subprocess.run([str(SFDISK), "-q", str(path)], input=script, text=True, check=True, capture_output=True)
    image = bytearray(path.read_bytes())
    for number, content in enumerate(partitions.values(), 1):
        image[number * MIB : number * MIB + len(content)] = content
    return bytes(image)


def boot_image(line: str = "") -> bytes:
    head = struct.pack("<8s10I16s512s", b"ANDROID!", 4096, 0x80008000, 0, 0, 0, 0, 0x80000100, 4096, 0, 0, b"", line.encode())
    return head.ljust(4096, b"\0") + b"Linux version 5.10.110 (a@b) (gcc) #1 SMP\0".ljust(4096, b"k")


def update(directory: Path, *, top: bytes, system: bytes, fstab: str = FSTAB, line: str = "") -> bytes:
    """Partitions of a device, and one that tells init what to mount."""
    tree = directory / "vendor"
    (tree / "etc").mkdir(parents=True, exist_ok=True)
    (tree / "etc/fstab.device").write_text(fstab)
    run(directory, "mksquashfs", "vendor", "vendor.sqfs", "-noappend", "-all-root", "-quiet", "-no-progress")
    vendor = (directory / "vendor.sqfs").read_bytes()
    return disk(directory, {"vbmeta_a": top, "boot_a": boot_image(line), "system_a": system, "vendor_a": vendor})


def root_of(directory: Path, image: bytes) -> BootStep:
    return stage(report(directory, image).device.boot_chain, "root file system")


def whole(directory: Path) -> bytes:
    raw = root(directory)
    raw += bytes(-len(raw) % 4096)
    return partition(raw, MIB, tree=True)


def test_a_demanded_hash_tree_in_a_closed_chain_is_verified(tmp_path: Path) -> None:
    found = root_of(tmp_path, update(tmp_path, top=vbmeta(chained(public())), system=whole(tmp_path)))
    assert (found.verified, found.checked_by) == ("signature", "init and kernel (dm-verity)"), found.reason
    assert "locked device" in found.reason
    assert found.evidence[0].text.startswith("/dev/block/by-name/system")


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("no fstab", "no line of fstab asks for it"),
        ("comment", "no line of fstab asks for it"),
        ("flags", "flags switch it off"),
        ("other key", "no valid signature at its end"),
        ("changed", "no valid signature at its end"),
        ("unsigned top", "no valid signature at its end"),
        ("switched off", "veritymode=disabled"),
        ("no tree", "what it is verified with is not here"),
    ],
)
def test_a_chain_that_is_open_somewhere_verifies_nothing(what: str, reason: str, tmp_path: Path) -> None:
    top, system, fstab, line = vbmeta(chained(public())), whole(tmp_path), FSTAB, ""
    if what == "no fstab":
        fstab = FSTAB.replace(",avb=vbmeta", "")
    elif what == "comment":
        fstab = "# " + FSTAB
    elif what == "flags":
        top = vbmeta(chained(public()), flags=1)
    elif what == "other key":
        top = vbmeta(chained(public()[:-1] + b"\0"))
    elif what == "changed":
        system = system[:20_000] + bytes([system[20_000] ^ 1]) + system[20_001:]
    elif what == "unsigned top":
        top = vbmeta(chained(public()), algorithm=0)
    elif what == "switched off":
        line = "console=ttyS0 androidboot.veritymode=disabled"
    elif what == "no tree":
        system = root(tmp_path)
    found = root_of(tmp_path, update(tmp_path, top=top, system=system, fstab=fstab, line=line))
    assert (found.verified, reason in found.reason) == ("unknown", True), found.reason


def test_the_main_image_may_hold_the_hash_tree_itself(tmp_path: Path) -> None:
    raw = root(tmp_path)
    raw += bytes(-len(raw) % 4096)
    made, digest = tree_of(raw)
    top = vbmeta(tree_descriptor(b"system", raw, digest, len(made)))
    found = root_of(tmp_path, update(tmp_path, top=top, system=raw + made))
    assert found.verified == "signature", found.reason
    assert "flags: none" in found.reason


def test_a_boot_image_is_the_business_of_a_loader_that_is_not_here(tmp_path: Path) -> None:
    boot = boot_image()
    image = disk(tmp_path, {"vbmeta_a": vbmeta(hash_descriptor(b"boot", boot)), "boot_a": boot})
    found = stage(report(tmp_path, image).device.boot_chain, "kernel")
    assert (found.verified, found.checked_by) == ("unknown", "boot loader (AVB)")
    assert "vbmeta is signed and whole, flags: none" in found.reason


@pytest.mark.parametrize(
    ("chain", "name"),
    [
        (("ota.zip", "/system.img", "squashfs@0x0"), "system"),
        (("x.bin", "android-super@0x0", "vendor_a", "ext@0x0"), "vendor"),
        (("system_b.img", "squashfs@0x0"), "system"),
        (("x.bin", "gpt@0x0", "Boot", "uimage@0x0"), "boot"),
        (("x@y", "squashfs@0x0"), ""),
    ],
)
def test_partitions_have_names(chain: tuple[str, ...], name: str) -> None:
    assert partition_of(chain) == name
