"""How programs and the kernel were hardened when they were built, and whether the command line or settings undo it.

It proves what ELF headers, symbol tables and settings say. A missing protection is no hole; it decides what a hole costs. So a
program that listens on the network counts for more than one that nobody starts, and nothing here is a violation.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import rules_of
from fwcheck.device import configuration
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Device, ElfFacts, Evidence, Finding, Location, ProgramHardening, Severity

RULES = rules_of(__name__)
_PROGRAMS = RULES["HRD-001"]
_KERNEL = RULES["HRD-002"]
_COMMAND_LINE = RULES["HRD-004"]
_SYSCTL = RULES["HRD-005"]

_ENOUGH = 5  # programs from which on a census means something
_WEAK = 2  # missing protections from which on a program counts as weak
_SHOWN = 16
# Kernel options that exist in the configuration read and are off (security/Kconfig.hardening, arch/Kconfig, init/Kconfig).
_OPTIONS = {
    "CONFIG_CC_STACKPROTECTOR": "stack protector",
    "CONFIG_STACKPROTECTOR": "stack protector",
    "CONFIG_STRICT_KERNEL_RWX": "read-only kernel code",
    "CONFIG_DEBUG_RODATA": "read-only kernel data",
    "CONFIG_STRICT_MODULE_RWX": "read-only module code",
    "CONFIG_RANDOMIZE_BASE": "random kernel address",
    "CONFIG_SECCOMP": "system call filters",
    "CONFIG_HARDENED_USERCOPY": "checked copies from user space",
    "CONFIG_FORTIFY_SOURCE": "checked string functions",
    "CONFIG_SECURITY": "security modules",
}
_BASIC = ("stack protector", "read-only kernel code", "read-only kernel data")  # one of these alone counts
_UNDONE = re.compile(
    r"(?:^|\s)(nokaslr|norandmaps|mitigations=off|noexec=off|nosmep|nosmap|nopti|apparmor=0|selinux=0|enforcing=0"
    r"|security=none|androidboot\.selinux=(?:permissive|disabled))(?=\s|$)"
)
_NO_RANDOM = re.compile(r"\becho\s+[\"']?0[\"']?\s*>\s*/proc/sys/kernel/randomize_va_space\b")


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on hardening."""
    return once(_findings(firmware, device))


def _findings(firmware: Firmware, device: Device) -> Iterator[Finding]:
    for root in firmware.roots():
        if root.is_root:
            yield from _programs(root, [row for row in device.hardening if row.root == root.label])
            yield from _settings(root)
    yield from _kernel(firmware)
    yield from _command_lines(firmware)


# --------------------------------------------------------------------------- programs


def lacks(row: ProgramHardening | ElfFacts) -> list[str]:
    """The protections that are missing for sure."""
    missing = []
    if row.nx is False:
        missing.append("executable stack")
    if row.pie is False:
        missing.append("fixed addresses")
    if row.relro == "none":
        missing.append("no RELRO")
    if row.canary is False:
        missing.append("no stack protector")
    return missing


def _programs(root: FileSystem, rows: list[ProgramHardening]) -> Iterator[Finding]:
    """HRD-001, once for each root: on the programs that listen, else on all that start, else on all there are."""
    exposed = [row for row in rows if row.listens and row.started == "yes"] or [row for row in rows if row.listens]
    judged = exposed or [row for row in rows if row.started == "yes"]
    elves = [facts.elf for node, facts in root.files() if facts.elf is not None and facts.elf.type in ("executable", "shared")]
    elves = [elf for elf in elves if elf.interpreter or elf.soname or elf.needed]
    if not elves:
        return
    census = _census(elves)
    if judged:
        yield from _started(root, judged, census, exposed=bool(exposed))
        return
    weak = [elf for elf in elves if len(lacks(elf)) >= _WEAK]
    if len(elves) >= _ENOUGH and len(weak) * 2 > len(elves):
        yield _PROGRAMS.finding(
            Evidence(location=Location(chain=root.chain), text=census),
            "census",
            title=f"{len(weak)} of {len(elves)} programs and libraries lack two protections or more",
            confidence="firm",
            severity=Severity.LOW,
        )


def _started(root: FileSystem, judged: list[ProgramHardening], census: str, *, exposed: bool) -> Iterator[Finding]:
    weak = sorted((row for row in judged if len(lacks(row)) >= _WEAK), key=lambda row: (-len(lacks(row)), row.program))
    what = "that listen on the network" if exposed else "that the boot starts"
    if weak:
        worst = max(len(lacks(row)) for row in weak)
        yield _PROGRAMS.finding(
            root.evidence(weak[0].program, f"{_says(weak[0])}; all programs: {census}"),
            f"programs {' '.join(sorted({row.service for row in weak}))}"[:300],
            title=f"{len(weak)} of {len(judged)} programs {what} lack protections of their memory",
            severity=Severity.MEDIUM if exposed and worst > _WEAK else Severity.LOW,
            witnesses=tuple(root.evidence(row.program, _says(row)) for row in weak[1:_SHOWN]),
        )
    elif all(row.nx and row.canary and row.pie and row.relro in ("partial", "full") for row in judged):
        yield _PROGRAMS.finding(
            root.evidence(judged[0].program, f"{_says(judged[0])}; all programs: {census}"),
            "programs hardened",
            title=f"All {len(judged)} programs {what} are built with memory protections",
            severity=Severity.INFO,
            verdict="support",
            witnesses=tuple(root.evidence(row.program, _says(row)) for row in judged[1:_SHOWN]),
        )


def _says(row: ProgramHardening) -> str:
    missing = ", ".join(lacks(row)) or "nothing missing that the file tells"
    libraries = f"; {row.weak_libraries} of its {row.libraries} libraries weak" if row.weak_libraries else ""
    return f"{row.service}: {missing}{libraries}"


def _census(elves: list[ElfFacts]) -> str:
    """For each protection: how many have it, of how many that tell."""
    rows = (
        ("no executable stack", [elf.nx for elf in elves]),
        ("position independent", [elf.pie for elf in elves]),
        ("RELRO", [None if elf.relro is None else elf.relro != "none" for elf in elves]),
        ("stack protector", [elf.canary for elf in elves]),
        ("FORTIFY", [elf.fortify for elf in elves]),
    )
    counts = [(name, Counter(values)) for name, values in rows]
    return ", ".join(f"{name} {count[True]}/{count[True] + count[False]}" for name, count in counts if count[True] + count[False])


# --------------------------------------------------------------------------- kernel


def _kernel(firmware: Firmware) -> Iterator[Finding]:
    for node, facts in firmware.contents():
        text = facts.text
        if text is None or "CONFIG_MMU=y" not in text or facts.size > 1 << 20 or facts.kind == "script":
            continue
        off = [(option, words) for option, words in _OPTIONS.items() if f"\n# {option} is not set" in text]
        if off and not node.path.endswith(".sh"):
            yield _KERNEL.finding(
                Evidence(
                    location=Location(
                        chain=node.chain, path=node.path, line=text.count("\n", 0, text.index(f"\n# {off[0][0]} is")) + 2
                    ),
                    text=", ".join(f"{option} is not set" for option, _ in off)[:240],
                ),
                "kernel " + " ".join(option for option, _ in off),
                title=f"Kernel built without {', '.join(dict.fromkeys(words for _, words in off))}"[:200],
                verdict="concern" if len(off) >= _WEAK or off[0][1] in _BASIC else "info",
            )


def _command_lines(firmware: Firmware) -> Iterator[Finding]:
    for node in firmware.nodes:
        for key, text in node.detail.items():
            if not isinstance(text, str) or not ("arg" in key.lower() or "cmdline" in key.lower()):
                continue
            if found := sorted(set(_UNDONE.findall(text[:4096]))):
                yield _COMMAND_LINE.finding(
                    Evidence(location=Location(chain=node.chain, path=node.path, offset=node.offset), text=text[:240]),
                    f"command line {' '.join(found)}",
                    title=f"Kernel command line switches protection off: {', '.join(found)}",
                )


def _settings(root: FileSystem) -> Iterator[Finding]:
    """HRD-005: address randomisation switched off by sysctl.d(5) or by a script."""
    directories = ("/etc/sysctl.d", "/usr/lib/sysctl.d")
    for path in (
        "/etc/sysctl.conf",
        *(path for directory in directories for path in configuration.files(root, directory, ".conf")),
    ):
        for each in configuration.assignments(root, path):
            if each.key.replace("/", ".") == "kernel.randomize_va_space" and each.value == "0":
                yield _SYSCTL.finding(root.evidence(path, each.text, line=each.line), "randomize_va_space")
    for node, facts in root.files():
        if facts.kind == "script" and facts.text is not None and "randomize_va_space" in facts.text:
            for number, line in enumerate(facts.text.splitlines()[:4000], 1):
                if _NO_RANDOM.search(line[:1000]) and not line.lstrip().startswith("#"):
                    yield _SYSCTL.finding(root.evidence(node.path, line, line=number), "randomize_va_space")
