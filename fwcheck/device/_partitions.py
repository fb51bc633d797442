"""Which file system of the image a ``mount`` means: by the partition table of the kernel, by name, or because there is one only.

Sources: Linux drivers/mtd/parsers/cmdlinepart.c (``mtdparts=``), mount(8), fstab(5), ubi (``ubi0:NAME``),
udev's ``by-partlabel``.
Nothing is said where two file systems would do: what a script finds there stays undecided.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from fwcheck.device._command_line import command_lines, environment
from fwcheck.device.firmware import FileSystem, Firmware

_PART = re.compile(
    r"(-|0x[0-9a-fA-F]{1,10}|\d{1,12})([kKmMgG]?)(?:@(0x[0-9a-fA-F]{1,10}|\d{1,12})([kKmMgG]?))?(?:\(([^)]{0,64})\))?(?:ro|lk)*"
)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_NUMBERED = re.compile(r"/dev/mtdblock/?(\d{1,3})|(?:/dev/)?mtd(\d{1,3})")
_NAMED = re.compile(
    r"(?:mtd:|ubi\d?[:!]|PARTLABEL=|LABEL=|/dev/(?:mtd|block|disk)/by-(?:name|partlabel|label)/|/dev/block/.{0,128}/by-name/)([\w.-]{1,64})"
    r"|/dev/ubi\d_([A-Za-z][\w.-]{0,63})"
)
_MOUNT = re.compile(
    r"(?:^|[\s;&|(])mount\s+(?:-\w\s+|-o\s*\S{1,80}\s+){0,3}-t\s*(\w{2,12})\s+(?:-o\s*\S{1,80}\s+)?(\S{1,120})\s+/"
)
_NO_PLACE = ("/", "/proc", "/sys", "/dev", "/tmp", "/dev/pts", "/dev/shm", "/run", "/overlay", "/rom")  # noqa: S108 -- paths in the image
_MOST_MOUNTS = 64


class Part(NamedTuple):
    """A partition of the flash chip: where it lies in it, in bytes."""

    name: str
    offset: int
    size: int | None  # None: all that is left


class Entry(NamedTuple):
    """A line of fstab that is mounted without being asked."""

    device: str
    directory: str
    type: str


def fstab(root: FileSystem) -> Iterator[Entry]:
    """The file systems that ``mount -a`` mounts."""
    for line in (root.text("/etc/fstab") or "").splitlines()[:256]:
        words = line.split()
        if len(words) < 3 or words[0].startswith("#") or not words[1].startswith("/"):
            continue
        if len(words) < 4 or "noauto" not in words[3].split(","):
            yield Entry(words[0], words[1], words[2])


def meant(firmware: Firmware, root: FileSystem, device: str, directory: str, type: str = "") -> FileSystem | None:
    """The file system of the image that this mounts at ``directory``; None when none fits, or more than one."""
    if directory.rstrip("/") in _NO_PLACE or not directory.rstrip("/"):
        return None
    held = [fs for fs in candidates(firmware) if not type or type == "auto" or _kind(type) == _kind(fs.format)]
    if not held:
        return None
    number = _NUMBERED.fullmatch(device)
    parts = flash_parts(firmware)
    if number and parts:
        index = int(number[1] or number[2])
        return _only([fs for fs in held if _lies_in(fs, parts, index)]) if index < len(parts) else None
    if named := _NAMED.fullmatch(device):
        return _only([fs for fs in held if _is_called(fs, named[1] or named[2])])
    if (same := _only([fs for fs in held if _is_called(fs, posixpath.basename(directory.rstrip("/")))])) is not None:
        return same
    if type and device.startswith("/dev/") and len(held) == 1 and _devices(root, _kind(type)) <= {device}:
        return held[0]
    return None


def _only(held: list[FileSystem]) -> FileSystem | None:
    return held[0] if len(held) == 1 else None


def _kind(type: str) -> str:
    return {"vfat": "fat", "msdos": "fat", "yaffs2": "yaffs"}.get(type, re.sub(r"^(ext)\d?$", r"\1", type.lower()))


@lru_cache(maxsize=1)
def candidates(firmware: Firmware) -> tuple[FileSystem, ...]:
    """File systems in partitions of their own: no root, and no archive that lies in a file."""
    return tuple(
        fs for fs in firmware.filesystems if not fs.is_root and not any(part.startswith("/") for part in fs.chain) and fs.nodes
    )


@lru_cache(maxsize=1)
def flash_parts(firmware: Firmware) -> tuple[Part, ...]:
    """The partitions of the first chip that the command line (or the loader's ``mtdparts``) gives, () without one."""
    for text in [
        *(line.value("mtdparts") for line in command_lines(firmware)),
        (environment(firmware) or {}).get("mtdparts", ""),
    ]:
        first = text.removeprefix("mtdparts=").partition(";")[0]
        if ":" in first and (parts := tuple(_parts(first.rpartition(":")[2]))):
            return parts
    return ()


def _parts(text: str) -> Iterator[Part]:
    at = 0
    for word in text.split(",")[:64]:
        hit = _PART.fullmatch(word.strip())
        if hit is None:
            return
        at = int(hit[3], 0) * _UNITS[hit[4].lower()] if hit[3] else at
        size = None if hit[1] == "-" else int(hit[1], 0) * _UNITS[hit[2].lower()]
        yield Part(hit[5] or "", at, size)
        if size is None:
            return
        at += size


def _lies_in(fs: FileSystem, parts: tuple[Part, ...], index: int) -> bool:
    """Whether the partition holds the file system: by its place in an image of the whole chip, or by its name."""
    part = parts[index]
    if len(fs.chain) > 1 and (place := re.search(r"@0x([0-9a-f]{1,12})$", fs.chain[1])):
        offset = int(place[1], 16)
        if part.offset <= offset and (part.size is None or offset < part.offset + part.size) and any(parts[:index]):
            return True
    return bool(part.name) and _is_called(fs, part.name)


def _is_called(fs: FileSystem, name: str) -> bool:
    """Whether a partition around the file system has this name; the first of two slots counts."""
    wanted = name.lower()
    return any(re.sub(r"(?:_a|\.img|\.bin|\.raw)$", "", part.partition("@")[0].lower()) == wanted for part in fs.chain[1:])


@lru_cache(maxsize=64)
def _devices(root: FileSystem, kind: str) -> frozenset[str]:
    """The devices that fstab and scripts of a root mount with this type: one only, where "the" file system is meant."""
    found = {entry.device for entry in fstab(root) if _kind(entry.type) == kind}
    for _, facts in root.files():
        text = facts.text
        if text is None or facts.kind not in ("script", "text") or "mount" not in text or " -t" not in text:
            continue
        for line in text.splitlines():
            if "mount" in line and not line.lstrip().startswith("#"):
                found |= {device for type, device in _MOUNT.findall(line[:1000]) if _kind(type) == kind}
        if len(found) > _MOST_MOUNTS:
            break
    return frozenset(found)
