"""Kernels of an image, what is wrapped around them, and their modules.

A kernel is verified as far as the format that starts it can be and something demands it: a legacy uImage has a CRC32 and nothing
else, whatever loader starts it with ``bootm``; a FIT image has hashes, and a signature that counts where the loader's own tree
demands the key; what ``booti``, ``bootz`` and ``go`` start is not looked at. Sources: boot/image.c, cmd/bootm.c, cmd/booti.c of
U-Boot; kernel/module/signing.c and Documentation/admin-guide/module-signing.rst of Linux.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fwcheck.device._update_scripts import Verified
from fwcheck.device.booting.avb import boot_image
from fwcheck.device.booting.context import Context, here
from fwcheck.device.booting.efi import signed_program
from fwcheck.device.booting.fit import demanded
from fwcheck.device.booting.loaders import Link
from fwcheck.device.booting.menus import naming, unchecked
from fwcheck.device.booting.script import is_off
from fwcheck.device.booting.vocabulary import UNCHECKED
from fwcheck.model import BootStep, Evidence, Node

KERNEL, MODULES = 10, 13
# what loaders start a kernel from, and kernels themselves; vendors' wrappings, whose check is the vendor loader's
_STARTED = frozenset({"uimage", "fit", "android-boot", "uki", "efi-zboot"})
_KERNELS = frozenset({"zimage", "bzimage", "linux-image", "elf-kernel", "vmlinux", "efi-zboot", "riscv-image"})
_UNREAD = _KERNELS | {"android-boot"}  # sums that build tools write and loaders do not compare
_VENDORS = re.compile(
    r"(?:trx|tplink|tplink-img0|seama|chk|dlob|tw-image|jboot|wrg|cybertan|dni|edimax|bcm-imagetag|shrs|zyxel|mtk-image|mtk-boot"
    r"|avm-eva|ubnt|luxul|novatek-\w+|iptime|nvtpack|sercomm|senao|gemtek|jcg|poray|planex|moxa-frm|buffalo|instar-bneg)"
)
_LINUX = re.compile(r"(?i)linux|kernel|vmlinu|zimage|openwrt|lede")
_LOCKED = ("LOCK_DOWN_KERNEL_FORCE_INTEGRITY", "LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY")
# who looks at a kernel that a menu names
_MENU_CHECKS = {
    "grub": "GRUB looks at a signature only where it is told to, or UEFI Secure Boot is on",
    "systemd-boot": "UEFI Secure Boot looks at it, where it is on",
    "extlinux": "sysboot starts a bare kernel without looking at it; what runs sysboot is not told",
    "raspberry": "the first stages of the Raspberry Pi are not in the image",
}
_MOST = 24


def kernels(context: Context) -> list[Link]:
    """The kernels, with what checks them."""
    found: list[Link] = []
    taken: list[tuple[str, ...]] = []
    for node in _holders(context):
        if any(node.chain[: len(each)] == each for each in taken):
            continue
        taken.append(node.chain)
        found.append(Link(KERNEL, node, _step(context, node)))
    found += _bare(context, taken)
    if not found and not context.roots:
        found += _monoliths(context)
    return found[:_MOST]


def _holders(context: Context) -> list[Node]:
    """What is started: boot images, else kernels, else the vendor's wrapping around one; each kernel once."""
    started = [node for node in context.containers if node.format in _STARTED and _holds_kernel(context, node)]
    plain = [node for node in context.containers if node.format in _KERNELS]
    vendor = [node for node in context.containers if _VENDORS.fullmatch(node.format or "") and "integrity" in node.detail]
    inner = [*started, *plain]
    # a wrapping counts by itself only where nothing inside it does; of nested wrappings, the innermost around the kernel
    alone = [
        node
        for node in vendor
        if not any(each is not node and each.chain[: len(node.chain)] == node.chain for each in (*inner, *vendor))
        and _bears_kernel(context, node)
    ]
    order = {id(node): number for number, node in enumerate(context.containers)}
    return sorted([*started, *plain, *alone], key=lambda node: order[id(node)])


def _holds_kernel(context: Context, node: Node) -> bool:
    """Whether a boot image holds a kernel, and not a boot loader, a script or a file system."""
    words = f"{node.detail.get('name', '')} {node.detail.get('os', '')}"
    if node.format == "uimage":
        kind = str(node.detail.get("type", ""))
        if node.detail.get("os") == "U-Boot" or "u-boot" in words.lower():
            return False
        return (
            kind.startswith(("kernel", "multi"))
            or not kind
            or (kind in ("standalone", "firmware") and bool(_LINUX.search(words)))
        )
    if node.format == "fit":
        parts = [each for each in context.firmware.nodes if each.chain == node.chain and each.detail]
        kinds = {str(each.detail.get("type", "")) for each in parts}
        if any(kind.startswith("kernel") for kind in kinds):
            return True
        return not kinds & {"firmware", "standalone", "filesystem", "script"} and any(
            "kernel" in each.path for each in context.firmware.nodes if each.chain == node.chain
        )
    return True


def _bears_kernel(context: Context, node: Node) -> bool:
    """Whether a kernel's banner, or a packed part that is called kernel, stands inside."""
    for each, facts in context.firmware.loose:
        if each.chain[: len(node.chain)] == node.chain and any(hit.component == "linux_kernel" for hit in facts.banners):
            return True
    return any(each.path in ("kernel", "linux") and each.chain == node.chain for each in context.firmware.nodes)


def _bare(context: Context, taken: list[tuple[str, ...]]) -> Iterator[Link]:
    """Kernels that are told by their banner alone, outside everything else."""
    seen: set[tuple[str, ...]] = set()
    for node, facts in context.firmware.loose:
        hit = next((each for each in facts.banners if each.component == "linux_kernel"), None)
        if hit is None or node.chain in seen or any(node.chain[: len(each)] == each for each in taken):
            continue
        seen.add(node.chain)
        step = BootStep(
            stage="kernel",
            detail=f"Linux {hit.version}",
            reason="no header that a loader would check stands around it; a vendor's loader may know where it lies and check it",
            evidence=(here(node, hit.text, hit.offset),),
        )
        yield Link(KERNEL, node, step)


def _monoliths(context: Context) -> Iterator[Link]:
    """A vendor's image without a kernel that is known and without a root: a real-time system in one piece."""
    for node in context.containers:
        if _VENDORS.fullmatch(node.format or "") and "integrity" in node.detail and len(node.chain) == 2:
            verified, checker, reason, proofs = _judged(context, node)
            words = f"{node.format}: {node.detail.get('integrity_detail', '')}"
            step = BootStep(
                stage="application",
                detail=node.format or "",
                verified=verified,
                checked_by=checker,
                reason=reason,
                evidence=(here(node, words), *proofs),
            )
            yield Link(KERNEL, node, step)


def _step(context: Context, node: Node) -> BootStep:
    name = str(node.detail.get("name", node.detail.get("image_name", node.detail.get("description", ""))))
    version = next(
        (
            hit.version
            for each, facts in context.firmware.loose
            if each.chain[: len(node.chain)] == node.chain
            for hit in facts.banners
            if hit.component == "linux_kernel"
        ),
        "",
    )
    detail = " ".join(
        part for part in (node.format or "", repr(name) if name else "", f"(Linux {version})" if version else "") if part
    )
    verified, checker, reason, proofs = _judged(context, node)
    words = str(node.detail.get("integrity_detail", ""))
    outer = next((each for each in reversed(context.containers) if _around(each, node)), None)
    if outer is not None and verified != "signature":
        proofs = (*proofs, here(outer, f"{outer.format}: {outer.detail.get('integrity_detail', '')}"))
        reason += f"; around it: {outer.format} ({outer.detail.get('integrity_detail', '')}), who looks at that is not told"
    return BootStep(
        stage="kernel",
        detail=detail[:200],
        verified=verified,
        checked_by=checker,
        reason=reason,
        evidence=(here(node, f"{node.format}: {words}".rstrip(": ")), *proofs),
    )


def _judged(context: Context, node: Node) -> tuple[Verified, str, str, tuple[Evidence, ...]]:
    """What verifies a kernel before it runs."""
    if node.format == "fit":
        if (proof := demanded(context, node)) is not None:
            return *proof, ()
        return _fit(context, node)
    if node.format == "uimage":
        return _legacy(context, node)
    if node.format == "android-boot" and (found := boot_image(context, node)) is not None:
        return found
    if (signed := signed_program(context, node)) is not None:
        return signed
    carries, words = str(node.detail.get("integrity", "")), str(node.detail.get("integrity_detail", ""))
    if carries in ("checksum", "hash") and node.format not in _UNREAD:
        return (
            ("checksum" if carries == "checksum" else "hash"),
            "",
            f"{words}: whoever changes the image can compute it anew",
            (),
        )
    if carries == "signature":
        return "unknown", "", f"{_states(context, node) or words}; nothing in the image insists on the signature", ()
    if (bare := unchecked(context, node)) is not None:
        return "none", *bare
    return _plain(context, node)


def _around(outer: Node, node: Node) -> bool:
    """Whether a vendor's wrapping with a check of its own stands around a kernel's container."""
    inside = outer.chain != node.chain and node.chain[: len(outer.chain)] == outer.chain
    checked = outer.detail.get("integrity") in ("checksum", "hash", "signature")
    return inside and checked and _VENDORS.fullmatch(outer.format or "") is not None


def _states(context: Context, node: Node) -> str:
    return "; ".join(dict.fromkeys(f"{each.scheme} signature: {each.reason}" for each in context.signatures(node)))[:200]


def _fit(context: Context, node: Node) -> tuple[Verified, str, str, tuple[Evidence, ...]]:
    """A FIT image that no demanded key looks at."""
    carries, words = str(node.detail.get("integrity", "")), str(node.detail.get("integrity_detail", ""))
    if carries == "signature":
        keys = [tree for tree in context.formats.get("fdt", ()) if tree.detail.get("verified_boot_keys") and not _demands(tree)]
        if keys:
            reason = (
                "signed, but the loader's device tree does not say that its key is required: an unsigned image is started as well"
            )
            return "unknown", "U-Boot (bootm)", reason, (here(keys[0], str(keys[0].detail["verified_boot_keys"])),)
        return (
            "unknown",
            "U-Boot (bootm)",
            f"signed ({_states(context, node) or words}), but no loader of the image demands a key",
            (),
        )
    if carries in ("checksum", "hash"):
        reason = f"{words}: anybody can compute it anew"
        return ("checksum" if carries == "checksum" else "hash"), "U-Boot (bootm)", reason, ()
    return "unknown", "", "it carries no hash and no signature; a loader that demands them would refuse it", ()


def _demands(tree: Node) -> bool:
    return "required_conf_keys" in tree.detail or "required_image_keys" in tree.detail


def _legacy(context: Context, node: Node) -> tuple[Verified, str, str, tuple[Evidence, ...]]:
    """A legacy image: CRC32 is all it can have. With ``verify=n`` that of the header is left."""
    walk, environment = context.walk, context.environment
    reason = "a CRC32 of header and data is all that this format has: against damage, not against change"
    proofs: list[Evidence] = []
    if walk is not None and environment is not None and walk.starts and walk.starts[0].command == "bootm":
        proofs.append(context.place(walk.starts[0]))
        start = walk.starts[0]
        place = f"{start.file.name}, line {start.at}" if start.file is not None and start.at else environment.words
        reason = f"{reason}; {place}: {start.line}"
        if is_off(walk.starts[0].verify):
            reason += "; verify=n leaves the sum of the header alone"
            proofs.append(environment.evidence("verify"))
    if str(node.detail.get("integrity_detail", "")).endswith("wrong"):
        reason += "; the sum does not fit"
    if walk is not None and walk.checks:
        return "unknown", "the loader's own command", f"{reason}; but {walk.checks[0]!r} stands before it", tuple(proofs)
    return "checksum", "U-Boot (bootm)" if proofs else "the loader", reason, tuple(proofs)


def _plain(context: Context, node: Node) -> tuple[Verified, str, str, tuple[Evidence, ...]]:
    """A kernel without a header: nothing looks at it where the commands of the loader say so."""
    walk, environment = context.walk, context.environment
    told = walk is not None and walk.complete and bool(walk.starts) and not walk.checks
    if told and walk is not None and environment is not None and environment.stored:
        start = walk.starts[0]
        if all(each.command in UNCHECKED for each in walk.starts):
            reason = f"{start.command} starts what it is given, and no command before it checks anything"
            return "none", f"U-Boot ({start.command})", reason, (context.place(start),)
    script = next((each for _, each in context.script_walks if each.starts), None)
    if script is not None and all(each.command in UNCHECKED for each in script.starts):
        start = script.starts[0]
        reason = f"the script starts it by {start.command}, which looks at nothing; what runs the script is not told"
        return "unknown", f"U-Boot ({start.command})", reason, (context.place(start),)
    if (named := naming(context, node)) is not None:
        return (
            "unknown",
            "",
            f"{named[0].name} names it (line {named[1].line}): {_MENU_CHECKS[named[0].kind]}",
            (named[0].evidence(named[1].line),),
        )
    return "unknown", "", "it carries nothing that could be checked, and how it is started is not told", ()


# --------------------------------------------------------------------------- modules


def modules(context: Context) -> list[Link]:
    """Kernel modules: whether the kernel takes unsigned ones, where its configuration is in the image."""
    configuration = context.configuration
    if configuration is None or not configuration.on("MODULES"):
        return []
    if not any(
        node.path.endswith((".ko", ".ko.xz", ".ko.gz", ".ko.zst")) for root in context.roots for node in root.nodes.values()
    ):
        return []
    verified: Verified = "unknown"
    enforced = next((line for line in context.command_lines if "module.sig_enforce" in line.text), None)
    others = [name for name in ("IMA_APPRAISE", "SECURITY_LOADPIN_ENFORCE", "SECURITY_LOADPIN") if configuration.on(name)]
    proofs: tuple[Evidence, ...]
    if configuration.on("MODULE_SIG_FORCE"):
        verified, reason = "signature", "the kernel refuses modules without a signature by a key that it holds"
        proofs = (configuration.evidence("MODULE_SIG_FORCE"),)
    elif configuration.on("MODULE_SIG") and (forced := [name for name in _LOCKED if configuration.on(name)]):
        verified, reason = (
            "signature",
            "the kernel is locked down as built, and refuses modules without a signature by a key it holds",
        )
        proofs = (configuration.evidence("MODULE_SIG", *forced),)
    elif configuration.on("MODULE_SIG") and enforced is not None and "module.sig_enforce=0" not in enforced.text:
        reason = "signatures are demanded by a word of the command line: it holds as far as that can be trusted"
        proofs = (configuration.evidence("MODULE_SIG"), Evidence(location=enforced.location, text=enforced.text[:240]))
    elif configuration.on("MODULE_SIG"):
        reason = "signatures are looked at, but unsigned modules are loaded as well (the kernel is only marked as tainted)"
        if configuration.on("LOCK_DOWN_IN_EFI_SECURE_BOOT"):
            reason += ", unless UEFI Secure Boot is on, which locks the kernel down"
        proofs = (configuration.evidence("MODULE_SIG"),)
    elif others:
        reason, proofs = (
            f"no signatures in the modules, but {', '.join(others)} may look at their files",
            (configuration.evidence(*others),),
        )
    else:
        verified, reason = "none", "the kernel was built without a check of module signatures"
        proofs = (configuration.evidence("MODULES"),)
    step = BootStep(
        stage="kernel modules",
        detail="modules in the root file system",
        verified=verified,
        checked_by="kernel",
        reason=reason,
        evidence=proofs,
    )
    return [Link(MODULES, configuration.node, step)]
