"""Debug access of the shipped default: boot loader prompt, consoles without login, debug builds, kernel switches.

It proves what boot loader environment, inittab, properties and kernel configuration say. Whether the serial port can be
reached without opening the case, and what production writes over the environment, the image does not tell: so mostly concerns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import Rule
from fwcheck.device import configuration
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Console, Device, Evidence, Facts, Finding, Location, Node, Severity

_BOOT_PROMPT = Rule(
    id="DBG-001",
    title="Boot loader can be interrupted",
    severity=Severity.MEDIUM,
    criteria=("S1.1-13", "S1.1-08"),
    verdict="concern",
    confidence="firm",
    explanation="A key pressed on the serial console during the delay gives the boot loader's prompt: the whole device.",
    refuted_by="The production environment differs, the console is off or not fitted, or the prompt asks for a password.",
    remediation="Set bootdelay to -2 (or a keyed autoboot), silence the console, and verify what is booted.",
)
_SHELL = Rule(
    id="DBG-002",
    title="Console gives a shell without login",
    severity=Severity.MEDIUM,
    criteria=("S1.1-13",),
    verdict="concern",
    confidence="certain",
    explanation="Whoever connects to the console is root. Where a standard cable reaches it, it has to be off by default.",
    refuted_by="The console is not fitted, or only reachable with the case opened and pads soldered.",
    remediation="Run getty with login there, or no console at all in production images.",
)
_DEBUG_BUILD = Rule(
    id="DBG-003",
    title="Debug build",
    severity=Severity.MEDIUM,
    criteria=("S1.1-13",),
    confidence="certain",
    explanation="A debug build opens interfaces and drops protections that a production build has.",
    refuted_by="The image is not the one that is shipped.",
    remediation="Ship a user or release build signed with production keys.",
)
_KERNEL = Rule(
    id="DBG-004",
    title="Kernel built with debug or memory access",
    severity=Severity.LOW,
    criteria=("S1.1-13",),
    verdict="concern",
    confidence="certain",
    explanation="Root, or whoever reaches a console, can read and change kernel memory or replace the kernel at run time.",
    refuted_by="The configuration is not that of the shipped kernel.",
    remediation="Switch the option off in production kernels; require signed modules.",
)
RULES = (_BOOT_PROMPT, _SHELL, _DEBUG_BUILD, _KERNEL)

_DELAY = re.compile(r"(?:^|[\0\n;\s])bootdelay=(-?\d{1,4})(?=[\0\n\s]|$)")
_PROPERTIES = (
    "/default.prop",
    "/prop.default",
    "/system/etc/prop.default",
    "/system/build.prop",
    "/build.prop",
    "/vendor/build.prop",
)
_BAD_PROPERTIES = {
    "ro.debuggable": ("1",),
    "ro.secure": ("0",),
    "ro.adb.secure": ("0",),
    "ro.build.type": ("eng", "userdebug"),
    "ro.build.tags": ("test-keys", "dev-keys"),
}
_BAD_OPTIONS = ("CONFIG_DEVKMEM", "CONFIG_DEVMEM", "CONFIG_KEXEC", "CONFIG_MAGIC_SYSRQ", "CONFIG_PROC_KCORE", "CONFIG_KGDB")
_KERNEL_SHELL = re.compile(r"(?:^|\s)(?:rd)?init=/bin/(?:ba|a)?sh(?:\s|$)")


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on debug access."""
    return once(_findings(firmware, device))


def _findings(firmware: Firmware, device: Device) -> Iterator[Finding]:
    yield from _boot_loader(firmware)
    for console in device.consoles:
        yield from _console(console)
    for root in firmware.roots():
        yield from _build(root)
        yield from _sysrq(root)
    yield from _kernel(firmware)


def _boot_loader(firmware: Firmware) -> Iterator[Finding]:
    seen: set[str] = set()
    for node in firmware.nodes:
        held = node.detail.get("bootdelay")
        facts = None if held is not None else firmware.facts_of(node)
        delay = str(held) if held is not None else _delay_of(facts, node)
        where = Evidence(location=Location(chain=node.chain, path=node.path, offset=node.offset), text=f"bootdelay={delay}")
        if re.fullmatch(r"\d{1,4}", delay) and node.label not in seen:
            seen.add(node.label)
            # Zero still leaves the moment in which a key that is already held stops U-Boot.
            severity = Severity.MEDIUM if int(delay) > 0 else Severity.LOW
            yield _BOOT_PROMPT.finding(where, "bootdelay", title=f"Boot loader waits {delay} s for a key", severity=severity)
        for key, text in node.detail.items():
            if isinstance(text, str) and "arg" in key.lower() and (found := _KERNEL_SHELL.search(text)):
                proof = Evidence(location=Location(chain=node.chain, path=node.path, offset=node.offset), text=text[:240])
                yield _SHELL.finding(
                    proof,
                    f"kernel {found.group().strip()}",
                    title="Kernel command line starts a shell as init",
                    severity=Severity.HIGH,
                )


def _delay_of(facts: Facts | None, node: Node) -> str:
    if facts is None or facts.text is None or "bootdelay=" not in facts.text or "bootcmd=" not in facts.text:
        return ""
    if node.path.endswith((".sh", ".c", ".md", ".html", ".js", ".lua")) or facts.kind == "script":
        return ""
    found = _DELAY.search(facts.text)
    return found.group(1) if found else ""


def _console(console: Console) -> Iterator[Finding]:
    if console.authenticated is False and console.evidence:
        yield _SHELL.finding(
            console.evidence[0],
            f"{console.tty} {console.command}",
            title=f"Console {console.tty} gives a shell without login",
            witnesses=console.evidence[1:],
        )


def _build(root: FileSystem) -> Iterator[Finding]:
    for path in _PROPERTIES:
        for number, line in enumerate((root.text(path) or "").splitlines(), 1):
            key, _, value = line.partition("=")
            if value.strip() in _BAD_PROPERTIES.get(key.strip(), ()):
                yield _DEBUG_BUILD.finding(
                    root.evidence(path, line, line=number), f"{key.strip()}={value.strip()}", title=f"Debug build: {line.strip()}"
                )


def _sysrq(root: FileSystem) -> Iterator[Finding]:
    paths = ("/etc/sysctl.conf", *configuration.files(root, "/etc/sysctl.d", ".conf"))
    for path in paths:
        for each in configuration.assignments(root, path):
            if each.key.replace("/", ".") == "kernel.sysrq" and each.value == "1":
                yield _KERNEL.finding(
                    root.evidence(path, each.text, line=each.line), "kernel.sysrq", title="All functions of the SysRq key are on"
                )


def _kernel(firmware: Firmware) -> Iterator[Finding]:
    for node, facts in firmware.contents():
        if facts.text is None or "CONFIG_MMU=y" not in facts.text or facts.size > 1 << 20 or node.path.endswith(".sh"):
            continue
        lines = {line.strip(): number for number, line in enumerate(facts.text.splitlines(), 1)}
        found = [option for option in _BAD_OPTIONS if f"{option}=y" in lines]
        if found:
            number = lines[f"{found[0]}=y"]
            where = Evidence(
                location=Location(chain=node.chain, path=node.path, line=number),
                text=", ".join(f"{option}=y" for option in found),
            )
            yield _KERNEL.finding(where, f"kernel options {' '.join(found)}")
        if "CONFIG_MODULES=y" in lines and "CONFIG_MODULE_SIG=y" not in lines:
            where = Evidence(
                location=Location(chain=node.chain, path=node.path, line=lines["CONFIG_MODULES=y"]),
                text="CONFIG_MODULES=y, no CONFIG_MODULE_SIG",
            )
            yield _KERNEL.finding(where, "unsigned modules", title="Kernel loads modules without a signature")
