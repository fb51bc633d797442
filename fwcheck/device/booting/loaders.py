"""Boot loaders of an image, in the order in which they run, and what their headers offer to whoever starts them.

What the ROM of a chip verifies is decided by fuses. So no loader is called verified by signature for what its own header carries:
that takes a loader in front of it whose own device tree demands the key (U-Boot SPL with ``required`` keys). Sources: the boot
chapters of the chips' manuals as the formats name them, doc/README.falcon and doc/develop/spl of U-Boot, TF-A's trusted boot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from fwcheck.device._update_scripts import Verified
from fwcheck.device.booting.context import EARLY, Context, here
from fwcheck.device.booting.fit import demanded
from fwcheck.model import BannerHit, BootStep, Evidence, Location, Node

FIRST, SECURE, SECOND, THIRD = 1, 2, 3, 4

# Containers of boot loaders: when they run, what they are, and whose ROM or loader looks at the header.
_CONTAINERS = {
    "sunxi-egon": (FIRST, "first stage (Allwinner eGON)", "boot ROM of the Allwinner chip"),
    "sunxi-toc0": (FIRST, "first stage (Allwinner TOC0)", "boot ROM of the Allwinner chip"),
    "ingenic-spl": (FIRST, "first stage (Ingenic SPL)", "boot ROM of the Ingenic chip"),
    "rockchip-idblock": (FIRST, "first stage (Rockchip ID block)", "boot ROM of the Rockchip chip"),
    "rockchip-rkns": (FIRST, "first stage (Rockchip RKNS)", "boot ROM of the Rockchip chip"),
    "imx-ivt": (FIRST, "first stage (i.MX IVT)", "boot ROM of the i.MX chip (HAB)"),
    "imx-ahab": (FIRST, "first stage (i.MX container)", "boot ROM of the i.MX chip (AHAB)"),
    "kwbimage": (FIRST, "first stage (Marvell)", "boot ROM of the Marvell chip"),
    "zynq-boot": (FIRST, "first stage (Zynq)", "boot ROM of the Zynq chip"),
    "socfpga": (FIRST, "first stage (SoCFPGA)", "boot ROM of the SoCFPGA chip"),
    "stm32-image": (FIRST, "first stage (STM32MP)", "boot ROM of the STM32 chip"),
    "ti-ch": (FIRST, "first stage (TI)", "boot ROM of the TI chip"),
    "mtk-boot": (FIRST, "first stage (MediaTek)", "boot ROM of the MediaTek chip"),
    "mtk-gfh": (FIRST, "preloader (MediaTek)", "boot ROM of the MediaTek chip"),
    "qcom-mbn": (FIRST, "first stage (Qualcomm)", "boot ROM of the Qualcomm chip"),
    "amlogic": (FIRST, "first stage (Amlogic)", "boot ROM of the Amlogic chip"),
    "lantiq-boot": (FIRST, "first stage (Lantiq)", "boot ROM of the Lantiq chip"),
    "fip": (SECURE, "Trusted Firmware-A package", "Trusted Firmware-A (trusted board boot, where it is built in)"),
    "tfa-bl31": (SECURE, "Trusted Firmware-A BL31", ""),
    "opensbi": (SECURE, "OpenSBI", ""),
    "uboot": (SECOND, "U-Boot", ""),
    "barebox": (SECOND, "barebox", ""),
    "cfe": (SECOND, "CFE", ""),
    "redboot-fis": (SECOND, "RedBoot", ""),
}
_BANNERS = {
    "u-boot": (SECOND, "U-Boot"),
    "barebox": (SECOND, "barebox"),
    "redboot": (SECOND, "RedBoot"),
    "cfe": (SECOND, "CFE"),
    "opensbi": (SECURE, "OpenSBI"),
    "trusted_firmware-a": (SECURE, "Trusted Firmware-A"),
    "grub2": (THIRD, "GRUB"),
    "mcuboot": (FIRST, "MCUboot"),
}
_WRAPPINGS = frozenset({"uimage", "fit", "sunxi-uboot", "sunxi-package", "sercomm", "mtk-boot"})
_COUNTERS = (
    "bootcount",
    "bootlimit",
    "upgrade_available",
    "BOOT_ORDER",
    "BOOT_A_LEFT",
    "BOOT_B_LEFT",
    "mender_boot_part",
)
_MOST = 24


class Link(NamedTuple):
    """A step with its place in the order of the boot."""

    rank: int
    node: Node
    step: BootStep


class _Found(NamedTuple):
    rank: int
    title: str
    checker: str
    node: Node
    banner: BannerHit | None = None
    at: Node | None = None  # where the banner stands


def loaders(context: Context) -> list[Link]:
    """The boot loaders, first those that run first; in front of them the ROM, where a header for it is there."""
    found = sorted(_found(context), key=lambda each: each.rank)[:_MOST]
    links = [Link(each.rank, each.node, _step(context, each, found)) for each in found]
    first = next((each for each in found if each.rank == FIRST and each.checker), None)
    if first is not None:
        links.insert(0, Link(0, first.node, _rom(first)))
    return links


def _rom(first: _Found) -> BootStep:
    return BootStep(
        stage="boot ROM",
        detail=first.checker.removeprefix("boot ROM of the "),
        reason="it lies in the chip, and what it insists on is decided by fuses: neither is in an image",
        evidence=(here(first.node, f"header for the ROM: {first.node.format}"),),
    )


def _found(context: Context) -> Iterator[_Found]:
    """Containers of loaders with the version that stands in them, and banners that stand in none."""
    banners = [(node, hit) for node, facts in context.firmware.loose for hit in facts.banners if hit.component in _BANNERS]
    claimed: set[int] = set()
    early = {node.chain for node in context.formats.get("uboot", ()) if node not in context.uboots}
    inner = {node.chain for name in _CONTAINERS for node in context.formats.get(name, ())} - early
    for node in context.containers:
        known = _CONTAINERS.get(node.format or "")
        if known is None or (node.format == "mtk-boot" and node.detail.get("kind") == "kernel"):
            continue
        if node.chain in early:
            if any(node.chain[: len(outer)] == outer for outer in inner):
                continue  # the header around it is the link, this is its code
            known = (FIRST, "U-Boot", "")
        own = [
            (number, each)
            for number, each in enumerate(banners)
            if each[0].chain[: len(node.chain)] == node.chain
            and not any(len(deeper) > len(node.chain) and each[0].chain[: len(deeper)] == deeper for deeper in inner)
        ]
        claimed.update(number for number, _ in own)
        # a first stage that packs a whole U-Boot is not that U-Boot
        fitting = [each for _, each in own if known[0] != FIRST or _rank(each[1]) == FIRST or not _holds(inner, node.chain)]
        best = min(fitting, key=lambda each: _rank(each[1]) < known[0], default=None)
        yield _Found(known[0], known[1], known[2], node, best[1] if best else None, best[0] if best else None)
    seen: set[tuple[str, str, int]] = set()
    for number, (node, hit) in enumerate(banners):
        rank, title = _rank(hit), _BANNERS[hit.component][1]
        if number not in claimed and (title, hit.version, rank) not in seen and node.kind.value != "container":
            seen.add((title, hit.version, rank))
            yield _Found(rank, title, "", node, hit, node)


def _holds(inner: set[tuple[str, ...]], chain: tuple[str, ...]) -> bool:
    return any(len(each) > len(chain) and each[: len(chain)] == chain for each in inner)


def _settings(context: Context, found: _Found) -> str:
    """What the environment says of the last loader: whether it waits for a key, counts starts, and can be written from Linux."""
    environment = context.environment
    if environment is None or found.rank != SECOND or found.banner is None or found.banner.component != "u-boot":
        return ""
    words = []
    if re.fullmatch(r"\d{1,4}", delay := environment.values.get("bootdelay", "")):
        words.append(f"waits {delay} s for a key")
    if counted := [name for name in _COUNTERS if environment.values.get(name)]:
        words.append(f"counts failed starts ({', '.join(counted)})")
    if any(root.exists("/etc/fw_env.config") for root in context.roots):
        words.append("its environment can be written from the running system (/etc/fw_env.config)")
    return f"; {environment.words}: {', '.join(words)}" if words else ""


def _rank(hit: BannerHit) -> int:
    return FIRST if hit.text.startswith(EARLY) else _BANNERS[hit.component][0]


def _step(context: Context, found: _Found, every: list[_Found]) -> BootStep:
    node, hit = found.node, found.banner
    title = f"{_BANNERS[hit.component][1]} {hit.version}" if hit is not None and found.rank != FIRST else found.title
    if hit is not None and found.rank == FIRST:
        spl = " SPL" if hit.text.startswith(EARLY) else ""
        version = f"{_BANNERS[hit.component][1]}{spl} {hit.version}"
        title = version if found.title == _BANNERS[hit.component][1] else f"{found.title}, {version}"
    proofs: list[Evidence] = []
    if hit is not None and found.at is not None:
        proofs.append(here(found.at, hit.text[:120], hit.offset))
    wrapped = _wrapping(context, node)
    verified, checker, reason = _judged(context, found, wrapped, every)
    reason += _settings(context, found)
    if wrapped is not None:
        proofs.append(here(wrapped, f"{wrapped.format}: {wrapped.detail.get('integrity_detail', '')}"))
    elif not proofs or node.detail.get("integrity_detail"):
        proofs.append(here(node, f"{node.format}: {node.detail.get('integrity_detail', '')}".rstrip(": ")))
    return BootStep(
        stage="boot loader",
        detail=title,
        verified=verified,
        checked_by=checker,
        reason=reason,
        evidence=tuple(_once(proofs)),
    )


def _once(proofs: list[Evidence]) -> list[Evidence]:
    found: dict[Location, Evidence] = {}
    for each in proofs:
        found.setdefault(each.location, each)
    return list(found.values())


def _wrapping(context: Context, node: Node) -> Node | None:
    """The innermost container around a loader that was made to be checked: a uImage, a FIT image, a vendor's header."""
    around = [each for each in context.containers if each.format in _WRAPPINGS and node.chain[: len(each.chain)] == each.chain]
    around = [
        each for each in around if each.chain != node.chain and each.detail.get("integrity") in ("checksum", "hash", "signature")
    ]
    return max(around, key=lambda each: len(each.chain), default=None)


def _judged(context: Context, found: _Found, wrapped: Node | None, before: list[_Found]) -> tuple[Verified, str, str]:
    """What verifies a loader before it runs, who would, and why."""
    if wrapped is not None and wrapped.format == "fit" and (proof := demanded(context, wrapped, loader=True)) is not None:
        return proof
    holder = wrapped or found.node
    words = str(holder.detail.get("integrity_detail", ""))
    told = context.signatures(holder)
    carries = str(holder.detail.get("integrity", ""))
    checker = found.checker if wrapped is None else "the loader before it"
    if carries == "signature" or told:
        state = "; ".join(dict.fromkeys(f"{each.scheme}: {each.reason}" for each in told))[:200] or words
        return (
            "unknown",
            checker,
            f"it carries a signature ({state}); whether it has to fit is decided by fuses or by what starts it",
        )
    if carries in ("checksum", "hash"):
        return "checksum" if carries == "checksum" else "hash", checker, f"{words}: against damage, not against change"
    if found.checker:
        return "unknown", checker, "its header carries no signature; what the ROM insists on is decided by fuses"
    if found.rank > FIRST and any(each.rank == FIRST for each in before):
        return "unknown", "", "it carries no check of its own; whether the loader before it verifies it is not told"
    return "unknown", "", "it carries no check of its own, and what starts it is not in the image"
