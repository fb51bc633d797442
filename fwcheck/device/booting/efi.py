"""UEFI firmware, coreboot, and the programs that they start: what their keys, switches and signatures say.

Secure Boot verifies an EFI program against ``db`` where a platform key is enrolled and the switch is on; both live in the NVRAM
of the device, of which an image shows the factory state at best: an Authenticode signature alone verifies nothing here. Sources:
UEFI Specification 2.10, chapter 32; shim's README; GRUB manual, "Using digital signatures in GRUB"; coreboot's vboot pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fwcheck.device._update_scripts import Verified
from fwcheck.device.booting.context import Context, here
from fwcheck.device.firmware import FileSystem
from fwcheck.model import BootStep, Evidence, Node, NodeKind

_PROGRAMS = (
    (re.compile(r"(?i)/shim(?:x64|ia32|aa64|arm|riscv64)?\.efi(?:\.signed)?$"), 2, "shim"),
    (re.compile(r"(?i)/grub(?:x64|ia32|aa64|arm|riscv64)?\.efi(?:\.signed)?$"), 4, "GRUB (EFI)"),
    (re.compile(r"(?i)/(?:systemd-boot|gummiboot)(?:x64|ia32|aa64|arm|riscv64)?\.efi(?:\.signed)?$"), 4, "systemd-boot"),
    (re.compile(r"(?i)/efi/boot/boot(?:x64|ia32|aa64|arm|riscv64)\.efi$"), 3, "EFI program of the default path"),
)
_GRUB = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/grub/grub.cfg", "/grub2/grub.cfg", "/EFI/BOOT/grub.cfg",
         "/EFI/debian/grub.cfg", "/EFI/ubuntu/grub.cfg")  # fmt: skip
_ENFORCE = re.compile(r"^[ \t]*(?:set[ \t]+)?check_signatures=(\S{1,16})", re.MULTILINE)
_SUPERUSERS = re.compile(r"^[ \t]*(?:set[ \t]+)?superusers=(\S{1,80})", re.MULTILINE)
_TEXT = 256 << 10

Found = tuple[int, Node, BootStep]


def signed_program(context: Context, node: Node) -> tuple[Verified, str, str, tuple[Evidence, ...]] | None:
    """What an Authenticode signature of a kernel says; None for one without."""
    if "Authenticode" not in str(node.detail.get("integrity_detail", "")) or node.detail.get("integrity") != "signature":
        return None
    proofs = tuple(here(store, words) for store, words in _stores(context))
    said = f"; {proofs[0].text}" if proofs else "; the keys and the switch of Secure Boot are not in the image"
    return "unknown", "UEFI Secure Boot, where it is on", f"{_signed(context, node)}{said}", proofs


def _signed(context: Context, node: Node) -> str:
    """What protects an EFI program: its signatures where they were judged, else what its certificate table says."""
    states = dict.fromkeys(f"{each.scheme} signature {each.state}: {each.reason}" for each in context.signatures(node))
    return "; ".join(states)[:240] or str(node.detail.get("integrity_detail", ""))


def _stores(context: Context) -> Iterator[tuple[Node, str]]:
    """Variable stores that say something of Secure Boot."""
    for node in context.containers:
        if "platform_key" in node.detail and node.detail.get("authenticated") == "yes":
            words = [f"platform key {node.detail['platform_key']}", f"keys: {node.detail.get('secure_boot_keys', 'none')}"]
            if "secure_boot" in node.detail:
                words.append(f"Secure Boot switched {node.detail['secure_boot']}")
            if "test_keys" in node.detail:
                words.append(f"test keys in {node.detail['test_keys']}")
            yield node, ", ".join(words)


def firmware_steps(context: Context) -> list[Found]:
    """UEFI firmware or coreboot, and the EFI programs that start the kernel."""
    return [*_firmware(context), *_programs(context)]


def _firmware(context: Context) -> Iterator[Found]:
    volume = next((node for node in context.formats.get("uefi-fv", ()) if len(node.chain) <= 4), None)
    if volume is not None:
        stores = list(_stores(context))
        said = stores[0][1] if stores else "keys and switch of Secure Boot are not in the image"
        step = BootStep(
            stage="boot loader",
            detail="UEFI firmware",
            checked_by="the platform (Boot Guard, PSP or a boot ROM), where its fuses say so",
            reason=f"checksums of volumes are against damage; for what it starts: {said}",
            evidence=(here(volume, "UEFI firmware volume"), *(here(node, words) for node, words in stores[:2])),
        )
        yield 1, volume, step
    archive = next(iter(context.formats.get("cbfs", ())), None)
    if archive is not None:
        areas = next((str(node.detail.get("areas", "")) for node in context.formats.get("fmap", ())), "")
        signed = [name for name in ("GBB", "VBLOCK_A", "VBLOCK_B") if re.search(rf"(?:^|, ){name}(?:,|$)", areas)]
        reason = f"hashes in the archive: {archive.detail.get('integrity_detail', 'none')}"
        if signed:
            reason = (
                f"vboot: signed blocks ({', '.join(signed)}); whether the read-only part insists on them is not told; {reason}"
            )
        yield 2, archive, BootStep(stage="boot loader", detail="coreboot", reason=reason, evidence=(here(archive, "cbfs"),))


def _programs(context: Context) -> Iterator[Found]:
    """Boot programs in EFI system partitions."""
    signed = {node.chain[:-1]: node for node in context.containers if node.format in ("pe", "uki", "efi-zboot")}
    for fs in context.firmware.filesystems:
        if fs.is_root or not any(path.upper().startswith("/EFI") for path in fs.nodes):
            continue
        for path in sorted(fs.nodes)[:4096]:
            node = fs.nodes[path]
            known = next((each for each in _PROGRAMS if each[0].search(path)), None) if node.kind is NodeKind.FILE else None
            if known is not None:
                held = signed.get((*fs.chain, path))
                words = _signed(context, held) if held is not None else ""
                yield known[1], node, _program(fs, path, known[2], words)


def _program(fs: FileSystem, path: str, title: str, words: str) -> BootStep:
    proofs = [fs.evidence(path, words)]
    said = words or "not read"
    for name, value, proof in _settings(fs) if title.startswith("GRUB") else ():
        proofs.append(proof)
        said += f"; {name}={value}"
    return BootStep(
        stage="boot loader",
        detail=f"{title} {path}",
        checked_by="UEFI Secure Boot, where it is on",
        reason=f"{said}; keys and switch of Secure Boot belong to the device",
        evidence=tuple(proofs[:4]),
    )


def grub_settings(context: Context) -> Iterator[tuple[str, str, Evidence]]:
    """``check_signatures`` and ``superusers`` of GRUB's configuration files: name, value, line."""
    for fs in context.firmware.filesystems:
        yield from _settings(fs)


def _settings(fs: FileSystem) -> Iterator[tuple[str, str, Evidence]]:
    for path in _GRUB:
        text = (fs.text(path) or "")[:_TEXT]
        for pattern, meaning in ((_ENFORCE, "check_signatures"), (_SUPERUSERS, "superusers")):
            if found := pattern.search(text):
                yield meaning, found[1], fs.evidence(path, found[0], line=text.count("\n", 0, found.start(1)) + 1)
