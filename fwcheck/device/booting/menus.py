"""Boot scripts, menus and settings as links of the chain: what reads them, what looks at them before, what they start.

A legacy script image has a CRC32, a FIT script the hashes and signatures of its image; a text (extlinux.conf, uEnv.txt)
has nothing that a loader could look at. U-Boot's ``source`` looks at the signature of the image, not of a configuration. Sources:
cmd/source.c and boot/pxe_utils.c of U-Boot, GRUB manual ("Using digital signatures in GRUB"), UAPI Boot Loader Specification.
"""

from __future__ import annotations

from fwcheck.device._update_scripts import Verified
from fwcheck.device.booting.context import Context
from fwcheck.device.booting.files import BootFile, Loaded, loads
from fwcheck.device.booting.fit import demanded, keys_for
from fwcheck.device.booting.loaders import Link
from fwcheck.device.booting.script import Read, Walk, is_off
from fwcheck.model import BootStep, Evidence, Node

SCRIPT = 9
_MOST = 12
_READERS = {
    "grub": "GRUB",
    "systemd-boot": "systemd-boot",
    "raspberry": "start.elf of the Raspberry Pi",
    "extlinux": "U-Boot (sysboot)",
    "script": "U-Boot (source)",
    "variables": "U-Boot (env import)",
}
_KINDS = {
    "grub": "GRUB menu",
    "systemd-boot": "entry of systemd-boot",
    "raspberry": "settings of the Raspberry Pi",
    "extlinux": "boot menu",
    "script": "boot script",
    "variables": "boot settings",
}


def menus(context: Context) -> list[Link]:
    """One link for each file; settings that nothing in the image takes over are none."""
    read = {id(each.file): each for each in (context.walk.files if context.walk is not None else ())}
    alone = {id(file): walk for file, walk in context.script_walks}
    for walk in alone.values():
        read |= {id(each.file): each for each in walk.files if id(each.file) not in read}
    found: list[Link] = []
    for file in context.files:
        if file.kind == "variables" and id(file) not in read:
            continue
        if file.kind in ("script", "variables") or loads(file):
            found.append(Link(SCRIPT, file.node, _step(context, file, read.get(id(file)), alone.get(id(file)))))
    return found[:_MOST]


def _step(context: Context, file: BootFile, read: Read | None, alone: Walk | None) -> BootStep:
    verified, reason = _judged(context, file, read)
    starts, line = _starts(context, file, alone)
    proofs = [file.evidence(line)] if line else [file.evidence(1)]
    if read is not None:
        proofs.append(context.place(read))
        reason += f"; read by {read.line!r}"
    return BootStep(
        stage="boot script",
        detail=f"{_KINDS[file.kind]} {file.name}",
        verified=verified,
        starts=starts,
        checked_by=_READERS[file.kind],
        reason=reason,
        evidence=tuple(proofs),
    )


def _starts(context: Context, file: BootFile, alone: Walk | None) -> tuple[str, int]:
    """What a file starts, in words, and the line that says so."""
    if named := loads(file):
        words = ", ".join(f"{each.what} {each.path} (line {each.line})" for each in named[:3])
        return words + (f", and {len(named) - 3} more" if len(named) > 3 else ""), named[0].line
    walk = alone or context.walk
    own = [each for each in (walk.starts if walk is not None else ()) if each.file == file and each.at]
    if own:
        load = f" after {own[0].load}" if own[0].load else ""
        return f"{own[0].line}{load} (line {own[0].at})", own[0].at
    return "", 0


def _judged(context: Context, file: BootFile, read: Read | None) -> tuple[Verified, str]:
    """What looks at a file before its commands are followed."""
    around = file.around
    if around is not None and around.format == "uimage":
        off = context.walk is not None and any(is_off(each.verify) for each in context.walk.starts)
        rest = ", and verify=n leaves that of the header" if off else ""
        return "checksum", f"a CRC32 is all that a legacy script image has{rest}"
    if around is not None:
        return _fit_script(context, around)
    if file.kind in ("extlinux", "variables") and read is not None:
        return "none", "a text without any check: whoever writes the file decides what U-Boot does"
    if file.kind == "raspberry":
        return "unknown", "a text without a check of its own; a device with secure boot takes it from a signed boot.img alone"
    if file.kind == "grub":
        return (
            "unknown",
            "a text: GRUB looks at it only where check_signatures=enforce was set before",
        )
    return "unknown", "a text without a check of its own; what reads it is not in the image"


def _fit_script(context: Context, fit: Node) -> tuple[Verified, str]:
    keys = keys_for(context, fit)
    if any(each.scope == "image" for each in keys) and (proof := demanded(context, fit)) is not None:
        return proof[0], proof[2]
    words = str(fit.detail.get("integrity_detail", ""))
    if keys:
        return "unknown", f"{words}; the loader demands signatures of configurations, at which the command source does not look"
    carries = fit.detail.get("integrity")
    return (
        "checksum" if carries == "checksum" else "hash" if carries == "hash" else "unknown",
        words or "a FIT image with a script",
    )


def naming(context: Context, node: Node) -> tuple[BootFile, Loaded] | None:
    """The line of a menu that names the file that a kernel stands in."""
    for file in context.files:
        inside = node.chain[: len(file.node.chain)] == file.node.chain and len(node.chain) > len(file.node.chain)
        for each in loads(file) if inside else ():
            if each.what in ("kernel", "EFI program") and node.chain[len(file.node.chain)] == each.path:
                return file, each
    return None


def unchecked(context: Context, node: Node) -> tuple[str, str, tuple[Evidence, ...]] | None:
    """Who starts a bare kernel without looking at it, by a menu of the image: checker, reason, evidence; None where not told."""
    found = naming(context, node)
    if found is None:
        return None
    file, named = found
    if file.kind == "raspberry" and any(
        node.path.endswith(".elf") for node in context.firmware.nodes if node.chain == file.node.chain
    ):
        reason = f"{file.name} names it (line {named.line}), and start.elf starts it without looking at it"
        return _READERS["raspberry"], reason, (file.evidence(named.line),)
    walk, environment = context.walk, context.environment
    if file.kind != "extlinux" or walk is None or environment is None or not environment.stored:
        return None
    reading = next((each for each in walk.files if each.file == file and each.sure), None)
    if reading is None or walk.checks:
        return None
    reason = f"{file.name} names it (line {named.line}), and sysboot starts a bare kernel without looking at it"
    return "U-Boot (sysboot)", reason, (file.evidence(named.line), context.place(reading))
