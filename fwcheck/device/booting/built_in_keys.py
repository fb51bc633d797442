"""Keys that are built into a microcontroller's boot loader, where loader and application stand in one dump of the flash.

MCUboot and the second stage of ESP-IDF with Secure Boot V1 compare each application with the key that their build put into them,
whatever fuses say: a loader is built with a key only when it is to look at signatures. So a link is proven where the signature
fits a key that stands in the loader's own code. That the loader itself is the one its maker built, the ROM has to see to.
Sources: MCUboot boot/bootutil/src/image_validate.c, ESP-IDF bootloader_support (esp_image_format.c).
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from fwcheck.device.booting.context import Context, here
from fwcheck.model import Evidence, Node

_LOADERS = frozenset({"cortex-m", "riscv-raw", "esp"})  # formats of code that tell the keys in it


class Holder(NamedTuple):
    """A loader that holds keys, and the one of them that the image's signature fits ("": none does)."""

    node: Node
    fits: str

    def evidence(self) -> Evidence:
        """The place of the code, and the keys in it."""
        named = [fingerprint(each) for each in self.node.keys]
        number = named.index(self.fits) if self.fits in named else 0
        places = [int(each, 16) for each in str(self.node.detail.get("built_in_keys", "")).split()]
        at = (self.node.offset or 0) + (places[number] if number < len(places) else 0)
        return here(self.node, f"public key in the code of the loader: SHA-256 {named[number][:32]}…", at)


def fingerprint(key: bytes) -> str:
    """SHA-256 of a key in DER, hexadecimal."""
    return hashlib.sha256(key).hexdigest()


def loaders_with_keys(context: Context, image: Node, *, inside: bool = False) -> list[Node]:
    """Code outside of an image, in the same dump, that holds public keys; ``inside``: the image is the dump."""
    found: list[Node] = []
    for node in context.containers:
        within = any(node.chain[: len(each.chain)] == each.chain for each in (*([] if inside else [image]), *found))
        if node.keys and node.format in _LOADERS and not within:
            found.append(node)
    return found


def holder_of(context: Context, image: Node, *, inside: bool = False) -> Holder | None:
    """The loader whose key the image's signature fits; else the one loader with keys that do not fit; None without any."""
    held = loaders_with_keys(context, image, inside=inside)
    valid = [each.key for each in context.signatures(image) if each.state == "valid"]
    for node in held:
        for key in node.keys:
            if fingerprint(key) in valid:
                return Holder(node, fingerprint(key))
    return Holder(held[0], "") if len(held) == 1 else None
