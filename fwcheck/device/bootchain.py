"""The boot chain as far as the image shows it: loader, kernel, root file system, and what protects each against change.

Whether the loader enforces a check (fuses, keys in its own memory) cannot be seen in an image: a signature found here is one that
could be verified, nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fwcheck.device._update_scripts import Verified
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import BootStep, Evidence, Location, Node, NodeKind

_LOADERS = {
    "u-boot": "U-Boot",
    "barebox": "barebox",
    "redboot": "RedBoot",
    "cfe": "CFE",
    "opensbi": "OpenSBI",
    "trusted_firmware-a": "Trusted Firmware-A",
    "grub2": "GRUB",
    "edk2": "EDK II",
    "mcuboot": "MCUboot",
}
_KERNEL_FORMATS = re.compile(r"(?i)uimage|fit|android|trx|tp-?link|seama|chk|dlob|zimage|bzimage|vmlinu|linux")
_APPLICATION_FORMATS = re.compile(r"(?i)esp|mcuboot|nrf|nordic|dfu|gbl|stm32|zigbee|matter")
_MEANT: dict[str, Verified] = {"checksum": "checksum", "hash": "hash"}
_REASONS = {
    "none": "it carries nothing that could be checked, and what starts it is not known",
    "checksum": "a checksum is all it carries",
    "hash": "a hash without a signature is all it carries",
    "signature": "it is signed, but nothing in the image insists on the signature",
}
_VERITY = re.compile(
    r"dm-mod\.create=[^\n]*\bverity\b|\broothash=[0-9a-f]{32,}|\bveritysetup\b|\bdm=\"[^\"]*verity|\bavb_?slot|androidboot\.veritymode"
)
_MOST = 64


def boot_chain(firmware: Firmware) -> tuple[BootStep, ...]:
    """The steps in boot order: loaders, kernels or applications with their containers, root file systems."""
    steps = [*_loaders(firmware), *_containers(firmware), *_roots(firmware)]
    once = {(step.stage, step.detail, step.verified): step for step in reversed(steps)}
    return tuple(step for step in steps if once[step.stage, step.detail, step.verified] is step)[:_MOST]


def _loaders(firmware: Firmware) -> Iterator[BootStep]:
    """Boot loaders by their version banners, outside file systems."""
    for node, facts in firmware.loose:
        for hit in facts.banners:
            if hit.component in _LOADERS:
                where = Evidence(location=Location(chain=node.chain, path=node.path, offset=hit.offset), text=hit.text[:120])
                yield BootStep(stage="boot loader", detail=f"{_LOADERS[hit.component]} {hit.version}", evidence=(where,))


def _containers(firmware: Firmware) -> Iterator[BootStep]:
    for node in firmware.nodes:
        if node.kind is not NodeKind.CONTAINER or not node.format or "integrity" not in node.detail:
            continue
        stage = (
            "kernel" if _KERNEL_FORMATS.search(node.format) else "application" if _APPLICATION_FORMATS.search(node.format) else ""
        )
        if str(node.detail.get("os", "")) == "U-Boot" or "u-boot" in str(node.detail.get("name", "")).lower():
            stage = "boot loader"
        if stage:
            yield _step(node, stage)


def _step(node: Node, stage: str) -> BootStep:
    words = str(node.detail.get("integrity_detail", ""))
    name = str(node.detail.get("name", node.detail.get("image_name", "")))
    where = Evidence(
        location=Location(chain=node.chain, path=node.path, offset=node.offset), text=f"{node.format}: {words}"[:240]
    )
    return BootStep(
        stage=stage,
        detail=f"{node.format}{f' {name!r}' if name else ''}{f': {words}' if words else ''}",
        verified=_MEANT.get(str(node.detail["integrity"]), "unknown"),
        reason=_REASONS.get(str(node.detail["integrity"]), ""),
        evidence=(where,),
    )


def _roots(firmware: Firmware) -> Iterator[BootStep]:
    for fs in firmware.filesystems:
        if not fs.is_root:
            continue
        proof = _verity(firmware, fs)
        where = Evidence(location=Location(chain=fs.chain), text=fs.format)
        if proof is not None:
            yield BootStep(
                stage="root file system", detail=f"{fs.format}, dm-verity set up", verified="hash", evidence=(proof, where)
            )
        else:
            yield BootStep(
                stage="root file system", detail=f"{fs.format}, no integrity check seen", verified="unknown", evidence=(where,)
            )


def _verity(firmware: Firmware, fs: FileSystem) -> Evidence | None:
    """A sign that dm-verity protects the root: a command line or script that sets it up."""
    for node, facts in firmware.loose:
        if facts.text is not None and (hit := _VERITY.search(facts.text)):
            return Evidence(location=Location(chain=node.chain, path=node.path, offset=hit.start()), text=hit[0][:160])
    for path in ("/etc/fstab", "/init", "/etc/inittab", "/boot/cmdline.txt", "/boot/extlinux/extlinux.conf", "/etc/preinit"):
        text = fs.text(path) or ""
        if hit := _VERITY.search(text):
            return fs.evidence(path, hit[0], line=text.count("\n", 0, hit.start()) + 1)
    return None
