"""Boot chains of microcontrollers: ROM, boot loader, application; what headers offer, what fuses decide.

ESP-IDF: with Secure Boot the ROM verifies the boot loader against digests in eFuses and the boot loader the application; without,
a hash or checksum is compared. MCUboot verifies with the key that is built into it. Nordic's loader compares a CRC32 at each
start and a signature when an update comes in. None of the keys and switches is in an application image; a dump of the flash
holds the loader's code with its key (``built_in_keys.py``), and never the fuses. Sources: ESP-IDF
"Secure Boot V2", "Flash Encryption"; MCUboot docs/design.md; nRF5 SDK nrf_bootloader; Silicon Labs UG266 and UG489.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fwcheck.device._update_scripts import Verified
from fwcheck.device.booting.built_in_keys import holder_of
from fwcheck.device.booting.context import Context, here
from fwcheck.device.booting.loaders import Link
from fwcheck.device.booting.nordic import nordic
from fwcheck.model import BootStep, Evidence, Node

LOADER, APPLICATION = 5, 20
# formats of applications, and who starts them, where the format tells
_APPLICATIONS = {
    "mcuboot": "MCUboot", "nordic-dfu": "Nordic's secure boot loader", "gbl": "Gecko boot loader", "nxp-mbi": "boot ROM (NXP)",
    "stm32-sbsfu": "SBSFU", "dfuse": "DFU loader", "ti-oad": "TI's image manager", "uf2": "UF2 loader",
    "ebl": "Ember boot loader",
    "beken-rbl": "Beken boot loader", "bouffalo": "boot ROM (Bouffalo)", "realtek-ameba": "Realtek boot loader",
    "cyacd": "Cypress boot loader", "dialog-suota": "Dialog boot loader", "telink": "Telink boot loader",
    "nxp-jn518x": "boot ROM (NXP)", "winner-micro": "Winner Micro boot loader", "xradio": "XRADIO boot loader",
    "esp": "", "zigbee-ota": "", "matter-ota": "", "nrf-secure-image": "", "tuya-ug": "",
}  # fmt: skip
_ESP_LOADER = 64 << 10  # bytes of the largest second-stage boot loader
_MOST = 16


def microcontrollers(context: Context) -> list[Link]:
    """Boot loaders and applications of microcontrollers."""
    if context.roots:
        return []
    found = [link for node in _images(context) for link in _links(context, node)][:_MOST]
    found = [*_built_with_keys(context, found), *found, *nordic(context)]
    loader = next((link for link in found if link.rank == LOADER), None)
    if loader is not None and loader.node.format == "esp":
        rom = BootStep(
            stage="boot ROM",
            detail=str(loader.node.detail.get("chip", "Espressif chip")),
            reason="it lies in the chip; whether it verifies the boot loader is decided by eFuses: neither is in an image",
            evidence=(here(loader.node, "image header for the ROM"),),
        )
        found.insert(0, Link(0, loader.node, rom))
    return found


def _built_with_keys(context: Context, links: list[Link]) -> Iterator[Link]:
    """MCUboot beside its application where it tells no version: known by the key in it that the application's signature fits."""
    told = {link.node.chain for link in links}
    for link in links:
        holder = holder_of(context, link.node) if link.node.format == "mcuboot" else None
        if holder is None or not holder.fits or holder.node.chain in told:
            continue
        told.add(holder.node.chain)
        texts = _code_of(context, holder.node)
        if texts is not None and "Booting MCUboot" in texts.text:
            continue  # told by its banner
        proofs = (holder.evidence(), *([texts] if texts is not None else []))
        reason = "it lies at the beginning of the flash; what starts it, the ROM or an immutable loader, is not in the image"
        yield Link(LOADER, holder.node, BootStep(stage="boot loader", detail="MCUboot", reason=reason, evidence=proofs))


def _code_of(context: Context, loader: Node) -> Evidence | None:
    """A text of MCUboot in a loader's code."""
    for node, facts in context.firmware.loose:
        if node.chain == loader.chain:
            if hit := next((each for each in facts.banners if each.component == "mcuboot"), None):
                return here(node, hit.text, hit.offset)
            if found := next((each for each in facts.yara if each.rule == "boot-mcuboot"), None):
                return here(node, found.text, found.offset)
    return None


def _images(context: Context) -> Iterator[Node]:
    """Images by their format; what lies inside one that is listed already is its content, unless that is what really boots."""
    outer: list[Node] = []
    for node in context.containers:
        if node.format not in _APPLICATIONS or "integrity" not in node.detail:
            continue
        around = next((each for each in outer if node.chain[: len(each.chain)] == each.chain), None)
        if around is not None and around.format not in ("zigbee-ota", "matter-ota", "tuya-ug"):
            continue
        outer.append(node)
        yield node


def _links(context: Context, node: Node) -> Iterator[Link]:
    if node.format == "esp" and _is_loader(context, node):
        yield Link(LOADER, node, _esp(context, node, "boot loader"))
    elif node.format == "esp":
        yield Link(APPLICATION, node, _esp(context, node, "application"))
    elif node.format == "mcuboot":
        yield Link(APPLICATION, node, _mcuboot(context, node))
    else:
        yield Link(APPLICATION, node, _other(context, node))


def _is_loader(context: Context, node: Node) -> bool:
    """The second stage: small, without an application descriptor, in front of the partition table or alone."""
    if "boot_loader_version" in node.detail:
        return True
    if "elf_sha256" in node.detail or node.size > _ESP_LOADER:
        return False
    if node.detail.get("chip") == "ESP8266":
        behind = [each for each in context.formats.get("esp", ()) if each.chain[:-1] == node.chain[:-1] and each is not node]
        return node.size <= 4096 and any((each.offset or 0) == (node.offset or 0) + 4096 for each in behind)
    return True


def _states(context: Context, node: Node) -> str:
    told = (f"{each.scheme} signature over {each.covers}: {each.reason}" for each in context.signatures(node))
    return "; ".join(dict.fromkeys(told))[:240]


def _proof(node: Node) -> Evidence:
    return here(node, f"{node.format}: {node.detail.get('integrity_detail', '')}")


def _carried(node: Node) -> Verified:
    carries = node.detail.get("integrity")
    return "checksum" if carries == "checksum" else "hash" if carries == "hash" else "unknown"


def _proven(context: Context, node: Node, said: str) -> tuple[Verified, str, tuple[Evidence, ...]]:
    """What loaders in the same dump say of a signed image: verified by one that holds the key, or why that is not told."""
    holder = holder_of(context, node)
    if holder is None:
        return "unknown", said, ()
    if not holder.fits:
        return (
            "unknown",
            "the signature does not fit the public key in the loader beside it, which would refuse the image",
            (holder.evidence(),),
        )
    if published := str(node.detail.get("development_key", "")):
        return (
            "unknown",
            f"the loader beside it demands a signature by the {published}: anybody can make one",
            (holder.evidence(),),
        )
    return "signature", "the key that is built into the loader beside it verifies this image", (holder.evidence(),)


def _esp(context: Context, node: Node, stage: str) -> BootStep:
    checker = "boot ROM" if stage == "boot loader" else "boot loader"
    words, carries = str(node.detail.get("integrity_detail", "")), node.detail.get("integrity")
    keys = "eFuses" if stage == "boot loader" or "V2" in words else "the boot loader"
    proofs, verified = [_proof(node)], _carried(node)
    if carries == "signature" and stage == "application" and "V1" in words:
        undecided = f"{_states(context, node) or words}; whether it has to fit is decided by {keys}, which is not in the image"
        verified, reason, more = _proven(context, node, undecided)
        proofs += more
    elif carries == "signature":
        reason = f"{_states(context, node) or words}; whether it has to fit is decided by {keys}, which no image shows"
        reason += _same_keys(context, node) if stage == "application" else ""
    elif node.detail.get("chip") == "ESP8266":
        reason = f"{words}: against damage; the chip has no secure boot"
    else:
        reason = f"{words}: against damage; without a signature it is not started where Secure Boot is on"
    if stage == "application":
        for table in context.formats.get("esp-partition-table", ()):
            if encrypted := str(table.detail.get("encrypted_partitions", "")):
                reason += f"; partitions marked as encrypted: {encrypted}"
                proofs.append(here(table, str(table.detail.get("table", ""))))
        version = node.detail.get("secure_version")
        reason += f"; secure version {version} against older images" if version else ""
    name = node.detail.get("project", "")
    detail = f"{node.detail.get('chip', 'esp')} {stage}" + (f" {name!r}" if name else "")
    return BootStep(
        stage=stage, detail=detail, verified=verified, checked_by=checker, reason=reason[:400], evidence=tuple(proofs[:4])
    )


def _same_keys(context: Context, node: Node) -> str:
    """Of Secure Boot V2: whether loader and application are signed by a key of the same digest, which fuses have to hold."""
    mine = set(str(node.detail.get("key_digests", "")).split())
    for loader in context.formats.get("esp", ()):
        if loader is not node and mine and _is_loader(context, loader) and "key_digests" in loader.detail:
            same = mine & set(str(loader.detail["key_digests"]).split())
            return "; loader and application are signed by the same key" if same else "; the loader is signed by another key"
    return ""


def _mcuboot(context: Context, node: Node) -> BootStep:
    words = str(node.detail.get("integrity_detail", ""))
    carries = node.detail.get("integrity")
    proofs, verified = [_proof(node)], _carried(node)
    if carries == "signature":
        undecided = f"{_states(context, node) or words}; the boot loader and the key that is built into it decide"
        verified, reason, more = _proven(context, node, undecided)
        proofs += more
    elif (holder := holder_of(context, node)) is not None and (texts := _code_of(context, holder.node)) is not None:
        verified, reason = "unknown", f"{words}; the loader beside it holds a public key, and would refuse it"
        proofs += [holder.evidence(), texts]
    else:
        reason = f"{words}; a boot loader built with a key refuses it"
    for trailer in context.formats.get("mcuboot-trailer", ()):
        said = ", ".join(
            f"{name} {trailer.detail[name]}" for name in ("swap_type", "image_ok", "copy_done") if name in trailer.detail
        )
        reason += f"; trailer: {said}"
        proofs.append(here(trailer, said))
        break
    detail = f"mcuboot image {node.detail.get('version', '')}".strip()
    return BootStep(
        stage="application",
        detail=detail,
        verified=verified,
        checked_by="MCUboot",
        reason=reason[:400],
        evidence=tuple(proofs),
    )


def _other(context: Context, node: Node) -> BootStep:
    words = str(node.detail.get("integrity_detail", ""))
    carries = node.detail.get("integrity")
    checker = _APPLICATIONS.get(node.format or "", "")
    name = str(node.detail.get("name", node.detail.get("image_name", "")))
    if carries == "signature":
        reason = f"{_states(context, node) or words}; nothing in the image insists on the signature"
    elif carries in ("checksum", "hash"):
        reason = f"{words}: whoever changes the image can compute it anew"
    else:
        reason = f"{words or 'no check'}; what the boot loader of the device looks at is not in the image"
    words = node.format or ""
    return BootStep(
        stage="application",
        detail=f"{words}{f' {name!r}' if name else ''}",
        verified=_carried(node),
        checked_by=checker,
        reason=re.sub(r"\s+", " ", reason)[:400],
        evidence=(_proof(node),),
    )
