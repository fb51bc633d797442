"""The configuration that a kernel of the image was built with: IKCONFIG inside the kernel, or a file of /boot.

Form: ``CONFIG_NAME=y|m|value`` lines and ``# CONFIG_NAME is not set``; the head names architecture and release
(``# Linux/arm 4.9.84 Kernel Configuration``; scripts/kconfig of the Linux source).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from fwcheck.device.firmware import Firmware
from fwcheck.model import Location

_HEAD = re.compile(r"^# Linux/(\S{1,24}) (\d\S{0,40}) Kernel Configuration", re.MULTILINE)
_OPTION = re.compile(r"^CONFIG_(\w{1,100})=[^n\n]", re.MULTILINE)
_WHOLE = 150  # options of the smallest configuration that boots; a fragment says nothing of what it leaves out
_LIMIT = 1 << 20
_PROGRAMS = 8  # that have to agree on the architecture


# Machines of ELF files by the name of the kernel's directory.
_MACHINES = {
    "mips": "mips",
    "arm": "arm",
    "aarch64": "arm64",
    "x86": "x86",
    "x86_64": "x86",
    "powerpc": "powerpc",
    "riscv": "riscv",
}


class KernelConfiguration(NamedTuple):
    """What one kernel was built with. ``release`` and ``architecture`` are empty where the head does not say."""

    location: Location
    release: str
    architecture: str
    options: frozenset[str]


def configurations(firmware: Firmware) -> tuple[KernelConfiguration, ...]:
    """Every whole configuration of the image."""
    found = [each for text, location in _texts(firmware) if (each := read(text, location)) is not None]
    return tuple({each.options: each for each in reversed(found)}.values())


def architecture(firmware: Firmware) -> str:
    """What the image's kernels are built for, as far as all its programs agree; empty where they do not or there are few."""
    seen = Counter(
        facts.elf.machine
        for root in firmware.filesystems
        for _, facts in root.files()
        if facts.elf is not None and (facts.elf.interpreter or facts.elf.soname or facts.elf.modinfo)
    )
    return _MACHINES.get(next(iter(seen)), "") if len(seen) == 1 and seen.total() >= _PROGRAMS else ""


def read(text: str, location: Location) -> KernelConfiguration | None:
    """One configuration, None for a text that is none or a fragment."""
    text = text[:_LIMIT]
    options = frozenset(_OPTION.findall(text))
    if len(options) < _WHOLE:
        return None
    head = _HEAD.search(text)
    return KernelConfiguration(location, head[2] if head else "", head[1] if head else "", options)


def _texts(firmware: Firmware) -> Iterator[tuple[str, Location]]:
    for node, facts in firmware.loose:
        if facts.text and "CONFIG_" in facts.text[:4096]:
            yield facts.text, Location(chain=node.chain, path=node.path, offset=node.offset)
    for root in firmware.filesystems:
        for node in root.children("/boot"):
            if node.path.startswith("/boot/config-") and (text := root.text(node.path)):
                yield text, root.location(node.path)
