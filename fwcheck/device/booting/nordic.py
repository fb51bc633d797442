"""nRF5 devices whose flash is at hand as a whole: boot record, boot loader, application, and how it is checked at each start.

The boot record starts the boot loader whose address stands in UICR; the boot loader compares the application as its settings page
says: nothing, a CRC32, a SHA-256 sum, or a signature by the key in its code. An update is another matter: for that it wants a
signature in the init command. Source: nRF5 SDK 17.1, nrf_dfu_validation.c (``nrf_dfu_validation_boot_validate``).
"""

from __future__ import annotations

from collections.abc import Iterator

from fwcheck.device._update_scripts import Verified
from fwcheck.device.booting.built_in_keys import holder_of
from fwcheck.device.booting.context import Context, here
from fwcheck.device.booting.loaders import Link
from fwcheck.model import BootStep, Evidence, Node, NodeKind

LOADER, APPLICATION = 5, 20
_WEAK: dict[str, tuple[Verified, str]] = {
    "none": ("none", "the settings page of the boot loader asks for no check at the start"),
    "CRC32": ("checksum", "the settings page of the boot loader asks for a CRC32 alone at the start"),
    "SHA-256": ("hash", "the settings page of the boot loader asks for a SHA-256 sum that stands in the page itself"),
}


def nordic(context: Context) -> list[Link]:
    """Boot loader and application of the first such memory."""
    memory = next((node for node in context.containers if node.detail.keys() & {"boot_validation", "boot_loader_address"}), None)
    if memory is None:
        return []
    loader = _loader(context, memory)
    links = [Link(LOADER, loader or memory, _loader_step(context, memory, loader))] if _named(memory) else []
    if "boot_validation" in memory.detail:
        links.append(Link(APPLICATION, memory, _application(context, memory, loader)))
    return links


def _named(memory: Node) -> str:
    return str(memory.detail.get("boot_loader_address", ""))


def _loader(context: Context, memory: Node) -> Node | None:
    """The code at the address that UICR names."""
    at = _named(memory)
    inside = (node for node in context.formats.get("cortex-m", ()) if node.chain[: len(memory.chain)] == memory.chain)
    return next((node for node in inside if at and node.chain[-2] == at), None)


def _texts(context: Context, loader: Node | None) -> Iterator[Evidence]:
    for node, facts in context.firmware.loose:
        if loader is not None and node.chain == loader.chain:
            yield from (here(node, hit.text, hit.offset) for hit in facts.yara if hit.rule == "mcu-write-nordic-dfu")


def _loader_step(context: Context, memory: Node, loader: Node | None) -> BootStep:
    texts = next(_texts(context, loader), None)
    secure = "boot loader of the nRF5 SDK" if texts is not None else "boot loader"
    part = next((n for n in context.firmware.nodes if n.kind is NodeKind.REGION and n.path == "0x10001014"), memory)
    keys = " and holds a public key for updates" if loader is not None and loader.keys and texts is not None else ""
    return BootStep(
        stage="boot loader",
        detail=f"{secure} at {_named(memory)}",
        checked_by="boot record (MBR)",
        reason=f"the boot record starts it from the address in UICR without looking at it{keys}",
        evidence=(here(part, f"UICR.NRFFW[0] is {_named(memory)}"), *([texts] if texts is not None else [])),
    )


def _application(context: Context, memory: Node, loader: Node | None) -> BootStep:
    kind = str(memory.detail["boot_validation"])
    place = str(memory.detail["boot_validation_address"])
    proofs = [here(memory, f"settings page at {place}: check of the application at its start: {kind}")]
    verified: Verified = "unknown"
    reason = f"the settings page of the boot loader asks for {kind}"
    if kind in _WEAK:
        verified, reason = _WEAK[kind]
        if verified == "none" and loader is None:
            verified = "unknown"
    elif told := [each for each in context.signatures(memory) if each.scheme == "Nordic boot validation"]:
        holder = holder_of(context, memory, inside=True)
        reason = f"{told[0].scheme} signature over {told[0].covers}: {told[0].reason}"
        if holder is not None and holder.fits:
            verified, reason = "signature", "the signature in the settings page fits the key that is built into the boot loader"
            proofs.append(holder.evidence())
    return BootStep(
        stage="application",
        detail="nRF5 application",
        verified=verified,
        checked_by="boot loader of the nRF5 SDK",
        reason=reason,
        evidence=tuple(proofs),
    )
