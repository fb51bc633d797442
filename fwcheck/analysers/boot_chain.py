"""The boot chain: links that verify nothing, checks that settings switch off, software that is started from outside first.

It proves what environments, device trees, vbmeta images and command lines in the image say. What fuses and a loader outside the
image insist on stays open; so a link is called bad only where what starts it is in the image too. An open console is the business
of the debug analyser, a published test key that of updates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import rules_of
from fwcheck.device.booting import avb
from fwcheck.device.booting.context import Context, here
from fwcheck.device.booting.efi import grub_settings
from fwcheck.device.booting.script import Start, Walk, is_off
from fwcheck.device.booting.vocabulary import UNCHECKED
from fwcheck.device.firmware import Firmware
from fwcheck.model import BootStep, Device, Evidence, Finding, Node, Severity

RULES = rules_of(__name__)
_LINK = RULES["BOOT-001"]
_OFF = RULES["BOOT-002"]
_OUTSIDE = RULES["BOOT-003"]
_MODULES = RULES["BOOT-004"]
_OPTIONAL = RULES["BOOT-005"]
_AROUND = RULES["BOOT-006"]
_JUDGED = ("kernel", "root file system", "application")
_WEAK = {"none": "nothing", "checksum": "a checksum only", "hash": "a hash only"}
_SWITCHES = (
    (re.compile(r"(?:^|\s)androidboot\.veritymode=(?:disabled|logging)(?=\s|$)"), "dm-verity of Android is switched off"),
    (re.compile(r"(?:^|\s)ima_appraise=(?:off|log|fix)(?=\s|$)"), "appraisal of files (IMA) is not enforced"),
    (re.compile(r"\bverity\b[^\"]{0,600}\bignore_corruption\b"), "dm-verity lets changed blocks through"),
)
_ORIGINS = {"network": "a network", "usb": "a USB stick"}


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on the boot chain."""
    context = Context(firmware, device.signatures)
    return once(
        (
            *_links(device),
            *_environment(context),
            *_flags(context),
            *_command_lines(context),
            *_from_outside(context),
            *_modules(context),
            *_keys(context),
            *_ways_around(context),
        )
    )


def _links(device: Device) -> Iterator[Finding]:
    """BOOT-001: links that are proven to be verified, and links that are proven not to be."""
    for step in device.boot_chain:
        if step.verified == "signature" and step.evidence:
            yield _LINK.finding(
                step.evidence[0],
                f"verified: {step.stage}",
                title=f"The {step.stage} is verified by a signature ({step.checked_by})"[:200],
                verdict="support",
                severity=Severity.INFO,
                witnesses=step.evidence[1:],
                explanation=f"{step.reason[:1].upper()}{step.reason[1:]}.",
                refuted_by="What comes before this link does not verify it, or the loader of shipped units is another one.",
                remediation="Show that a changed image is refused by a running unit.",
            )
        elif step.verified == "none" and step.stage in _JUDGED and step.evidence:
            yield _weak(step, "concern")
        elif step.verified in _WEAK and step.stage == "kernel" and step.checked_by.startswith("U-Boot") and step.evidence:
            yield _weak(step, "info")  # a loader outside may look at the whole


def _weak(step: BootStep, verdict: str) -> Finding:
    return _LINK.finding(
        step.evidence[0],
        f"unverified: {step.stage}",
        title=f"The {step.stage} is protected by {_WEAK[step.verified]}"[:200],
        verdict="concern" if verdict == "concern" else "info",
        severity=Severity.MEDIUM if verdict == "concern" else Severity.LOW,
        witnesses=step.evidence[1:],
        explanation=f"{_LINK.explanation} Seen: {step.reason}.",
    )


# --------------------------------------------------------------------------- switched off


def _environment(context: Context) -> Iterator[Finding]:
    """BOOT-002: ``verify=n``. Without it U-Boot compares neither sums nor signatures of what bootm starts."""
    environment = context.environment
    if environment is None or not is_off(environment.values.get("verify", "")):
        return
    demanded = bool(context.required_keys)
    fits = context.formats.get("fit", ())
    explained = (
        "bootm of a FIT image compares neither hashes nor signatures then"
        if demanded or fits
        else "bootm compares the sum of a legacy image's header alone then"
    )
    yield _OFF.finding(
        environment.evidence("verify"),
        "verify=n",
        title=f"U-Boot's checks are switched off: verify={environment.values['verify'][:20]} ({environment.words})",
        verdict="violation" if demanded else "concern",
        severity=Severity.HIGH if demanded else Severity.MEDIUM if fits else Severity.LOW,
        confidence="certain" if environment.stored else "firm",
        explanation=f"{_OFF.explanation} {explained[:1].upper()}{explained[1:]}.",
        witnesses=tuple(here(each.tree, "demanded key") for each in context.required_keys[:2]),
    )


def _flags(context: Context) -> Iterator[Finding]:
    """BOOT-002: flags of vbmeta images, Secure Boot switched off in NVRAM, GRUB told not to check."""
    for node, flags in avb.switched_off(context):
        yield _OFF.finding(
            here(node, f"flags: {flags}"),
            f"vbmeta flags {flags}",
            title=f"Android Verified Boot is switched off in vbmeta: {flags}",
            confidence="certain",
        )
    for node in context.containers:
        if node.detail.get("secure_boot") == "off" and node.detail.get("platform_key") == "enrolled":
            yield _OFF.finding(
                here(node, "SecureBootEnable=0, platform key enrolled"),
                "SecureBootEnable",
                title="UEFI Secure Boot has keys but is switched off",
                verdict="concern",
                severity=Severity.MEDIUM,
            )
    for name, value, proof in grub_settings(context):
        if name == "check_signatures" and value.strip("\"'") == "no":
            yield _OFF.finding(proof, "grub check_signatures", title="GRUB is told not to check signatures", verdict="concern")


def _command_lines(context: Context) -> Iterator[Finding]:
    """BOOT-002: words of kernel command lines that take checks away."""
    for line in context.command_lines:
        for pattern, meaning in _SWITCHES:
            if found := pattern.search(line.text[:4096]):
                words = " ".join(found[0].split())[-80:]
                yield _OFF.finding(
                    Evidence(location=line.location, text=line.text[:240]),
                    f"command line: {meaning}",
                    title=f"Kernel command line: {meaning} ({words})"[:200],
                    verdict="concern",
                    severity=Severity.MEDIUM,
                    confidence="firm" if line.source != "kernel configuration" or line.fixed else "tentative",
                )


# --------------------------------------------------------------------------- from outside, around


def _from_outside(context: Context) -> Iterator[Finding]:
    """BOOT-003: the first thing that is started comes from a network or a stick."""
    walk, environment = context.walk, context.environment
    start = walk.foreign if walk is not None else None
    if start is None or environment is None or (context.required_keys and start.command == "bootm"):
        return
    origin = _ORIGINS[start.origin]
    proofs = [context.place(start)]
    if start.variable != "bootcmd":
        proofs.append(environment.evidence("bootcmd"))
    yield _OUTSIDE.finding(
        proofs[0],
        f"starts from {start.origin}",
        title=f"Boot loader starts software from {origin} before its own: {_words(start)}"[:200],
        confidence="firm" if environment.stored else "tentative",
        witnesses=tuple(proofs[1:]),
        refuted_by="" if environment.stored else "An environment stored in the flash says otherwise.",
    )


def _words(start: Start) -> str:
    return f"{start.load}; {start.line}" if start.load else start.line


def _ways_around(context: Context) -> Iterator[Finding]:
    """BOOT-006: a demanded key, and boot commands that start something without looking at it."""
    walk, environment = context.walk, context.environment
    if not context.required_keys or walk is None or environment is None:
        return
    for start in walk.starts:
        if start.command in UNCHECKED and start.sure:
            yield _AROUND.finding(
                context.place(start),
                f"around: {start.command}",
                title=f"{start.command} starts software past the demanded signature: {start.line}"[:200],
                confidence="firm" if environment.stored else "tentative",
                witnesses=(here(context.required_keys[0].tree, "demanded key"),),
            )
            return
    yield from _settings_around(context, walk)


def _settings_around(context: Context, walk: Walk) -> Iterator[Finding]:
    """BOOT-006: texts that U-Boot takes commands from, while it demands a signature of what bootm starts."""
    for read in walk.files:
        # behind address and size ``env import`` may name the variables it takes, and no others
        limited = sum(not word.startswith("-") for word in read.line.split()) > 4
        if not read.sure or (read.file.kind == "variables" and limited) or read.file.kind not in ("variables", "extlinux"):
            continue
        yield _AROUND.finding(
            context.place(read),
            f"around: {read.file.kind}",
            title=f"U-Boot follows {read.file.name}, which nothing verifies, past the demanded signature: {read.line}"[:200],
            confidence="tentative",
            explanation="Whoever can write this file names another kernel, or sets the commands that are run.",
            witnesses=(read.file.evidence(1), here(context.required_keys[0].tree, "demanded key")),
        )


# --------------------------------------------------------------------------- keys and modules


def _keys(context: Context) -> Iterator[Finding]:
    """BOOT-005: a key for FIT images that is not required."""
    for tree in context.formats.get("fdt", ()):
        words = str(tree.detail.get("verified_boot_keys", ""))
        inside = any(
            tree.chain[: len(fit.chain)] == fit.chain and fit.detail.get("signed_configurations") for fit in _fits(context)
        )
        if words and "required_conf_keys" not in tree.detail and "required_image_keys" not in tree.detail and not inside:
            yield _OPTIONAL.finding(here(tree, words), "key not required")


def _fits(context: Context) -> tuple[Node, ...]:
    return context.formats.get("fit", ())


def _modules(context: Context) -> Iterator[Finding]:
    """BOOT-004: module signatures that are looked at and not insisted on."""
    configuration = context.configuration
    if configuration is None or not configuration.on("MODULES") or not configuration.on("MODULE_SIG"):
        return
    forced = ("MODULE_SIG_FORCE", "LOCK_DOWN_KERNEL_FORCE_INTEGRITY", "LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY")
    words = re.compile(r"\bmodule\.sig_enforce(?:=[1yY])?(?=\s|$)|\blockdown=(?:integrity|confidentiality)\b")
    if not any(configuration.on(each) for each in forced) and not any(words.search(line.text) for line in context.command_lines):
        yield _MODULES.finding(configuration.evidence("MODULE_SIG"), "modules not forced")
