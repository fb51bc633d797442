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
    "/vendor/default.prop",
    "/system/default.prop",
    "/product/build.prop",
)
_BAD_PROPERTIES = {
    "ro.debuggable": ("1",),
    "ro.secure": ("0",),
    "ro.adb.secure": ("0",),
    "ro.build.type": ("eng", "userdebug"),
    "ro.build.tags": ("test-keys", "dev-keys"),
}
_ADB = re.compile(r"(?:persist\.)?(?:sys\.usb\.config|service\.adb\.enable|service\.adb\.tcp\.port|adb\.tcp\.port)")
# Kernel options, and what takes the sting out of each (drivers/char/Kconfig, lib/Kconfig.debug, kernel/Kconfig.kexec).
_BAD_OPTIONS = {
    "CONFIG_DEVKMEM": "",
    "CONFIG_DEVMEM": "CONFIG_STRICT_DEVMEM=y",
    "CONFIG_KEXEC": "CONFIG_KEXEC_SIG_FORCE=y",
    "CONFIG_MAGIC_SYSRQ": "CONFIG_MAGIC_SYSRQ_DEFAULT_ENABLE=0x0",
    "CONFIG_PROC_KCORE": "",
    "CONFIG_KGDB": "",
}
_KERNEL_SHELL = re.compile(r"(?:^|\s)(?:rd)?init=/bin/(?:ba|a)?sh(?:\s|$)")
_KEYED = ("bootstopkeysha256", "bootstopkeycrypt", "bootdelaykey", "bootstopkey", "bootdelaykey2", "bootstopkey2")
_KERNEL_DEBUG = re.compile(r"(?:^|\s)((?:kgdboc|ekgdboc|kgdbdbgp)=\S{1,40}|kgdbwait|sysrq_always_enabled)(?=\s|$)")
_SYSRQ_WRITE = re.compile(r"\becho\s+[\"']?(\d{1,4})[\"']?\s*>\s*/proc/sys/kernel/sysrq\b")
_RELEASES = ("/etc/os-release", "/usr/lib/os-release")
_DEVELOPMENT = re.compile(r"(?i)\b(?:dev|devel|development|debug|eng|engineering)\b")
_YOCTO = re.compile(r"\bdebug-tweaks\b|\bempty-root-password\b|\ballow-empty-password\b")
_BUILD_FILES = ("/etc/build", "/etc/buildinfo", "/etc/version")
_LINES = 4000


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on debug access."""
    return once(_findings(firmware, device))


def _findings(firmware: Firmware, device: Device) -> Iterator[Finding]:
    yield from _boot_loader(firmware)
    for console in device.consoles:
        yield from _console(console)
    for root in firmware.roots():
        yield from _build(root)
        yield from _development(root)
        yield from _sysrq(root)
    yield from _kernel(firmware)
    yield from _packages(firmware)


def _boot_loader(firmware: Firmware) -> Iterator[Finding]:
    seen: set[str] = set()
    stored = any("bootdelay" in node.detail for node in firmware.nodes)
    for node in firmware.nodes:
        held = node.detail.get("bootdelay")
        built_in = node.detail.get("default_bootdelay") if not stored else None
        facts = firmware.facts_of(node) if held is None and built_in is None else None
        delay = str(held) if held is not None else str(built_in) if built_in is not None else _delay_of(facts, node)
        if re.fullmatch(r"\d{1,4}", delay) and node.label not in seen:
            seen.add(node.label)
            yield _prompt(node, delay, built_in=built_in is not None)
        for key, text in node.detail.items():
            if isinstance(text, str) and ("arg" in key.lower() or "cmdline" in key.lower()):
                yield from _command_line(node, text)


def _prompt(node: Node, delay: str, *, built_in: bool) -> Finding:
    """Zero still leaves the moment in which a key that is already held stops U-Boot."""
    keyed = any(key.removeprefix("default_") in _KEYED for key in node.detail)
    waits = f"Boot loader waits {delay} s for a {'word' if keyed else 'key'}"
    return _BOOT_PROMPT.finding(
        Evidence(location=Location(chain=node.chain, path=node.path, offset=node.offset), text=f"bootdelay={delay}"),
        "bootdelay",
        title=f"{waits} (built-in default)" if built_in else waits,
        severity=Severity.MEDIUM if int(delay) > 0 and not keyed else Severity.LOW,
        confidence="tentative" if keyed else None,
        refuted_by="An environment stored in the flash says otherwise, or the console is off or asks for a password."
        if built_in
        else "",
    )


def _command_line(node: Node, text: str) -> Iterator[Finding]:
    proof = Evidence(location=Location(chain=node.chain, path=node.path, offset=node.offset), text=text[:240])
    if found := _KERNEL_SHELL.search(text):
        title = "Kernel command line starts a shell as init"
        yield _SHELL.finding(proof, f"kernel {found.group().strip()}", title=title, severity=Severity.HIGH)
    if found := _KERNEL_DEBUG.search(text):
        yield _KERNEL.finding(
            proof,
            f"command line {found.group(1).partition('=')[0]}",
            title=f"Kernel command line switches debugging on: {found.group(1)}",
            severity=Severity.MEDIUM,
        )


def _delay_of(facts: Facts | None, node: Node) -> str:
    if facts is None or facts.text is None or "bootdelay=" not in facts.text or "bootcmd=" not in facts.text:
        return ""
    if node.path.endswith((".sh", ".c", ".md", ".html", ".js", ".lua", "default-environment")) or facts.kind == "script":
        return ""
    found = _DELAY.search(facts.text)
    return found.group(1) if found else ""


def _console(console: Console) -> Iterator[Finding]:
    if console.authenticated is False and console.evidence:
        yield _SHELL.finding(
            console.evidence[0],
            f"{console.tty} {console.command}",
            title="" if console.tty == "console" else f"Console {console.tty} gives a shell without login",
            witnesses=console.evidence[1:],
        )


def _build(root: FileSystem) -> Iterator[Finding]:
    for path in _PROPERTIES:
        for number, line in enumerate((root.text(path) or "").splitlines()[:_LINES], 1):
            key, _, value = (part.strip() for part in line.partition("="))
            bad = value in _BAD_PROPERTIES.get(key, ())
            if not bad and _ADB.fullmatch(key):
                bad = "adb" in value.split(",") or (
                    key.endswith(("port", "enable")) and re.fullmatch(r"[1-9]\d{0,4}", value) is not None
                )
            if bad:
                yield _DEBUG_BUILD.finding(
                    root.evidence(path, line, line=number), f"{key}={value}", title=f"Debug build: {line.strip()[:120]}"
                )


def _packages(firmware: Firmware) -> Iterator[Finding]:
    """Update packages that call themselves debug builds (``is_debug`` of Nordic's init packet)."""
    for node in firmware.nodes:
        for key, held in node.detail.items():
            if key.endswith("_debug") and held == "yes" and node.format == "nordic-dfu":
                where = Evidence(location=Location(chain=node.chain, path=node.path, offset=node.offset), text=f"{key}={held}")
                yield _DEBUG_BUILD.finding(
                    where,
                    f"package {key}",
                    title="The update package calls itself a debug build",
                    verdict="concern",
                    confidence="firm",
                )


def _development(root: FileSystem) -> Iterator[Finding]:
    """What the build system wrote about the image: os-release(5) VARIANT_ID, Yocto's image features."""
    for path in _RELEASES:
        for each in configuration.assignments(root, path):
            if each.key in ("variant", "variant_id", "image_variant", "build_type") and _DEVELOPMENT.search(each.value):
                yield _variant(root, path, each.text, each.line, f"{each.key}={each.value}")
        if root.resolve(path) is not None:
            break
    for path in _BUILD_FILES:
        text = root.text(path) or ""
        if found := _YOCTO.search(text):
            number = text.count("\n", 0, found.start()) + 1
            yield _variant(root, path, text.splitlines()[number - 1], number, found.group())


def _variant(root: FileSystem, path: str, text: str, line: int, cause: str) -> Finding:
    return _DEBUG_BUILD.finding(
        root.evidence(path, text, line=line),
        f"variant {cause}"[:160],
        title=f"The image calls itself a development build: {cause}"[:160],
        verdict="concern",
        confidence="firm",
    )


def _sysrq(root: FileSystem) -> Iterator[Finding]:
    for path in ("/etc/sysctl.conf", *_sysctl_files(root)):
        for each in configuration.assignments(root, path):
            if each.key.replace("/", ".") == "kernel.sysrq" and each.value == "1":
                yield _KERNEL.finding(
                    root.evidence(path, each.text, line=each.line), "kernel.sysrq", title="All functions of the SysRq key are on"
                )
    for node, facts in root.files():
        if facts.text is not None and "/proc/sys/kernel/sysrq" in facts.text and facts.kind == "script":
            for number, line in enumerate(facts.text.splitlines()[:_LINES], 1):
                found = _SYSRQ_WRITE.search(line[:1000]) if "sysrq" in line and not line.lstrip().startswith("#") else None
                if found and found.group(1) == "1":
                    yield _KERNEL.finding(
                        root.evidence(node.path, line, line=number), "kernel.sysrq", title="All functions of the SysRq key are on"
                    )


def _sysctl_files(root: FileSystem) -> list[str]:
    return [
        path for directory in ("/etc/sysctl.d", "/usr/lib/sysctl.d") for path in configuration.files(root, directory, ".conf")
    ]


def _kernel(firmware: Firmware) -> Iterator[Finding]:
    for node, facts in firmware.contents():
        if facts.text is None or "CONFIG_MMU=y" not in facts.text or facts.size > 1 << 20 or node.path.endswith(".sh"):
            continue
        lines = {line.strip(): number for number, line in enumerate(facts.text.splitlines(), 1)}
        found = [option for option, tamed in _BAD_OPTIONS.items() if f"{option}=y" in lines and tamed not in lines]
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
