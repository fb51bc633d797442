"""Files that a boot loader reads to know what to start: boot scripts, menus, settings; each with its lines.

Sources: doc/usage/cmd/source.rst, doc/develop/distro.rst and doc/usage/environment.rst of U-Boot (scripts, extlinux.conf,
texts for ``env import -t``), its boot/pxe_utils.c, GRUB manual, UAPI Boot Loader Specification, config.txt of Raspberry Pi.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Evidence, Location, Node, NodeKind

_TEXT = 256 << 10
_LINES = 4000
_MOST = 24  # files
_ENTRIES = 32  # of one menu
_LINE = 1024  # characters
_DIRECTORIES = ("/", "/boot", "/extlinux", "/boot/extlinux", "/syslinux", "/boot/syslinux", "/boot/grub", "/boot/grub2", "/grub",
                "/grub2", "/loader/entries", "/boot/loader/entries", "/EFI/BOOT", "/EFI/debian", "/EFI/ubuntu",
                "/boot/efi/EFI/BOOT", "/boot/firmware", "/boot/firmware/extlinux")  # fmt: skip
_VARIABLES = re.compile(r"(?i)[\w-]{0,20}env\.txt")
_SET = re.compile(r"([A-Za-z_][\w.-]{0,63})=(.{0,1000})")
_EXTLINUX = re.compile(r"(?:ext|sys|iso)linux\.(?:conf|cfg)")
Kind = Literal["script", "variables", "extlinux", "grub", "systemd-boot", "raspberry"]
_LOADS = {
    "extlinux": {"kernel": "kernel", "linux": "kernel", "fit": "kernel", "initrd": "initrd", "fdt": "device tree",
                 "devicetree": "device tree"},
    "grub": {"linux": "kernel", "linux16": "kernel", "linuxefi": "kernel", "kernel": "kernel", "multiboot": "kernel",
             "multiboot2": "kernel", "initrd": "initrd", "initrdefi": "initrd", "initrd16": "initrd", "devicetree": "device tree",
             "chainloader": "EFI program"},
    "systemd-boot": {"linux": "kernel", "uki": "kernel", "initrd": "initrd", "devicetree": "device tree", "efi": "EFI program"},
}  # fmt: skip


class Loaded(NamedTuple):
    """A line of a menu that names what is loaded: as what, its path in the file system, and the line."""

    what: str  # "kernel", "initrd", "device tree", "EFI program"
    path: str
    line: int
    text: str


class BootFile(NamedTuple):
    """One such file. ``around``: the container with a sum or a signature that it came in; None for a plain text."""

    kind: Kind
    name: str  # its path, or the container of a script that stands in the flash
    node: Node
    text: str
    around: Node | None = None

    def evidence(self, line: int, text: str = "") -> Evidence:
        """A line of the file."""
        words = text or next(iter(self.text[:_TEXT].splitlines()[line - 1 : line]), "")
        where = Location(chain=self.node.chain, path=self.node.path, line=line)
        return Evidence(location=where, text=" ".join(words.split())[:240])

    @property
    def basename(self) -> str:
        """The name by which commands load it."""
        return posixpath.basename(self.name)


def boot_files(firmware: Firmware) -> tuple[BootFile, ...]:
    """The boot files of an image: scripts, then what stands in file systems."""
    return (*_scripts(firmware), *(each for fs in firmware.filesystems for each in _of(fs)))[:_MOST]


def _scripts(firmware: Firmware) -> Iterator[BootFile]:
    """Scripts in legacy images and in FIT images."""
    holders = {
        node.chain: node for node in firmware.nodes if node.format in ("uimage", "fit") and node.kind is NodeKind.CONTAINER
    }
    for node, facts in firmware.loose:
        around = holders.get(node.chain)
        if around is None or facts.text is None:
            continue
        kind = str((around if around.format == "uimage" else node).detail.get("type", ""))
        if kind.startswith("script"):
            outer = node.chain[-2] if len(node.chain) > 1 else ""
            name = outer if outer.startswith("/") else f"{node.chain[-1]}/{node.path}"
            yield BootFile("script", name, node, facts.text[:_TEXT].lstrip("\0"), around)


def _of(fs: FileSystem) -> Iterator[BootFile]:
    for directory in _DIRECTORIES:
        for node in fs.children(directory)[:1024] if directory == "/" or fs.exists(directory) else []:
            if node.kind is not NodeKind.FILE or node.size > _TEXT or (kind := _kind(fs, directory, node)) is None:
                continue
            if text := fs.text(node.path):
                yield BootFile(kind, node.path, node, text)


def _kind(fs: FileSystem, directory: str, node: Node) -> Kind | None:
    name = posixpath.basename(node.path)
    if _EXTLINUX.fullmatch(name):
        return "extlinux"
    if name == "grub.cfg":
        return "grub"
    if directory.endswith("entries") and name.endswith(".conf"):
        return "systemd-boot"
    if name == "config.txt" and any(fs.exists(posixpath.join(directory, each)) for each in _FIRMWARE):
        return "raspberry"
    return "variables" if _VARIABLES.fullmatch(name) else None


_FIRMWARE = ("start.elf", "start4.elf", "start_cd.elf", "start4cd.elf", "bootcode.bin", "fixup.dat", "bcm2712-rpi-5-b.dtb")


def variables(text: str) -> dict[str, str]:
    """The variables of a text that ``env import -t`` takes: lines with a sign of equality, comments left out."""
    rows = (row.strip("\r") for row in text.splitlines()[:_LINES] if not row.lstrip().startswith("#"))
    return {found[1]: found[2] for row in rows if len(row) <= _LINE and (found := _SET.fullmatch(row))}


def loads(file: BootFile) -> tuple[Loaded, ...]:
    """What a menu names, the default entry first; what Raspberry Pi's settings name."""
    if file.kind == "raspberry":
        return tuple(_raspberry(file))
    if file.kind not in _LOADS:
        return ()
    words, found, label, default = _LOADS[file.kind], list[tuple[str, Loaded]](), "", ""
    for number, row in enumerate(file.text.splitlines()[:_LINES], 1):
        verb, _, rest = row.strip()[:_LINE].replace("\t", " ").partition(" ")
        verb, rest = verb.lower(), rest.strip()
        if verb == "default" and not default:
            default = rest
        elif verb == "label":
            label = rest
        elif verb in words and rest and len(found) < _ENTRIES:
            path = rest.split()[0].strip("\"'")
            found.append((label, Loaded(words[verb], _absolute(file, path), number, row.strip()[:240])))
    return tuple(each for _, each in sorted(found, key=lambda pair: bool(default) and pair[0] != default))


def _absolute(file: BootFile, path: str) -> str:
    """A path as the loader takes it: from the directory of extlinux.conf, from the top of the partition elsewhere."""
    bare = re.sub(r"^\([^)]{1,40}\)", "", path).partition("#")[0]  # GRUB names a device in brackets, extlinux a configuration
    directory = posixpath.dirname(file.name) if file.kind == "extlinux" else "/"
    return posixpath.normpath(posixpath.join("/", directory, bare.replace("\\", "/")))[:400] if bare.isprintable() else ""


def _raspberry(file: BootFile) -> Iterator[Loaded]:
    """``kernel=`` of the sections that count for some model; kernel*.img without one."""
    directory = posixpath.dirname(file.name)
    for number, row in enumerate(file.text.splitlines()[:_LINES], 1):
        found = re.fullmatch(r"\s*(kernel|initramfs|ramfsfile|device_tree|armstub)[ =]\s*(\S{1,120}).{0,200}", row[:_LINE])
        if found:
            what = {"kernel": "kernel", "device_tree": "device tree", "armstub": "armstub"}.get(found[1], "initrd")
            yield Loaded(what, posixpath.join(directory, found[2].lstrip("/")), number, row.strip()[:240])
