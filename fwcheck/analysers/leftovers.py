"""What development left in the image: core dumps kept or published, debugging tools, symbols.

Tools and symbols are no way in by themselves: they are told, never counted against the product. A core dump holds the memory
of a program, passwords included, so where it goes counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import rules_of
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Device, Evidence, Finding, NodeKind, Severity

RULES = rules_of(__name__)
_DUMPS = RULES["DBG-008"]
_TOOLS = RULES["DBG-009"]
_SYMBOLS = RULES["DBG-010"]

_DEBUG_TOOLS = frozenset({
    "gdb", "gdbserver", "strace", "ltrace", "tcpdump", "gcc", "cc", "tcc", "ld", "objdump", "nmap", "perf", "valgrind", "tshark",
    "trace-cmd", "bpftrace", "devmem2", "memtool", "crash", "socat", "ncat", "lrz", "lsz",
})  # fmt: skip
_PROGRAM = re.compile(r"/(?:usr/local/|usr/|opt/|system/|vendor/)?s?bin/([\w.-]{1,32})")
# core(5): where the kernel writes a core dump.
_PATTERN = re.compile(
    r"(?:^\s*(?:-w\s+)?|\bsysctl\s+(?:-w\s+)?[\"']?)kernel[./]core_pattern\s*=\s*[\"']?(/[^\s\"';&|]{1,200})"
    r"|\becho\s+(?:-n\s+)?[\"']?(/[^\s\"'>|]{1,200})[\"']?\s*>\s*[\"']?/proc/sys/kernel/core_pattern"
)
_WEB_ROOT = re.compile(r"/(?:www\d?|web|webs|webroot|htdocs|var/www|usr/www|home/httpd|srv/www)/")
_VOLATILE = re.compile(r"/(?:tmp|run|dev|proc|sys|ramdisk|ram|var/(?:tmp|run|log|volatile|core|lock|ramfs))(?:/|$)|/[^/]*$")
_SHOWN = 12
_LINES = 4000


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on what development left behind."""
    return once(finding for root in firmware.roots() for finding in (*_dumps(root), *_tools(root), *_symbols(root, device)))


def _dumps(root: FileSystem) -> Iterator[Finding]:
    places: dict[str, list[Evidence]] = {}
    for node, facts in root.files():
        text = facts.text
        if text is None or "core_pattern" not in text or facts.kind not in ("script", "text"):
            continue
        for number, line in enumerate(text.splitlines()[:_LINES], 1):
            found = _PATTERN.search(line[:1000]) if "core_pattern" in line and not line.lstrip().startswith(("#", ";")) else None
            where = (found.group(1) or found.group(2)) if found else ""
            if where and (_WEB_ROOT.match(where) or not _VOLATILE.match(where)):
                places.setdefault(where.rpartition("/")[0], []).append(root.evidence(node.path, line, line=number))
    for directory, proofs in places.items():
        published = _WEB_ROOT.match(directory + "/") is not None
        yield _DUMPS.finding(
            proofs[0],
            f"core dumps in {directory}",
            title=f"Core dumps are {'published by the web server' if published else 'kept'} in {directory}",
            severity=Severity.MEDIUM if published else Severity.LOW,
            confidence="firm" if published else "tentative",
            witnesses=tuple(proofs[1:_SHOWN]),
        )


def _tools(root: FileSystem) -> Iterator[Finding]:
    found = [
        node.path
        for path, node in sorted(root.nodes.items())
        if (match := _PROGRAM.fullmatch(path))
        and match.group(1) in _DEBUG_TOOLS
        and node.kind in (NodeKind.FILE, NodeKind.SYMLINK)
    ]
    if found:
        names = ", ".join(sorted({path.rpartition("/")[2] for path in found}))
        yield _TOOLS.finding(
            root.evidence(found[0], "present in the image"),
            f"tools {names}",
            title=f"Development tools in the image: {names}"[:200],
            witnesses=tuple(root.evidence(path, "present in the image") for path in found[1:_SHOWN]),
        )


def _symbols(root: FileSystem, device: Device) -> Iterator[Finding]:
    """DBG-010: programs with debug information, started ones first; symbol tables alone count where most were stripped."""
    elves = [
        (node, facts.elf) for node, facts in root.files() if facts.elf is not None and facts.elf.type in ("executable", "shared")
    ]
    started = {service.program for service in device.services if service.enabled == "yes" and service.root == root.label}
    debug = [node for node, elf in elves if elf.dwarf]
    symbols = [node for node, elf in elves if elf.stripped is False and not elf.dwarf]
    gcov = [node for node, elf in elves if any(name.startswith("__gcov_") for name in elf.imports)]
    for held, what in ((debug, "debug information"), (symbols, "symbol tables"), (gcov, "coverage counters")):
        nodes = sorted(held, key=lambda node: (node.path not in started, node.path))
        if nodes:
            yield _SYMBOLS.finding(
                root.evidence(nodes[0].path, f"{what} in {len(nodes)} of {len(elves)}"),
                what,
                title=f"{len(nodes)} of {len(elves)} programs and libraries carry {what}",
                witnesses=tuple(root.evidence(node.path, what) for node in nodes[1:_SHOWN]),
            )
