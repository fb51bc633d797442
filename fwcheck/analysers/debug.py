"""Debug access of the shipped default: boot loader prompt, consoles without login, debug builds, kernel switches.

It proves what boot loader environment, inittab, properties and kernel configuration say. Whether the serial port can be
reached without opening the case, and what production writes over the environment, the image does not tell: so mostly concerns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import rules_of
from fwcheck.device import configuration
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Console, Device, Evidence, Facts, Finding, Location, Node, Severity

RULES = rules_of(__name__)
_BOOT_PROMPT = RULES["DBG-001"]
_SHELL = RULES["DBG-002"]
_DEBUG_BUILD = RULES["DBG-003"]
_KERNEL = RULES["DBG-004"]

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
