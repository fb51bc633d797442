"""FIT images before the keys that a boot loader's own device tree demands: the one signature U-Boot is proven to insist on.

U-Boot refuses a FIT image when a key of ``/signature`` in its own tree says ``required = "conf"`` (or ``"image"``) and the
configuration (or the image) has no signature that fits it; ``required-mode = "any"`` asks for one of them. Two things switch it
off: code built without CONFIG_FIT_SIGNATURE, and ``verify=n`` in the environment. Source: doc/usage/fit/signature.rst and
boot/image-fit-sig.c, boot/image-fit.c of U-Boot.
"""

from __future__ import annotations

from fwcheck.device._update_scripts import Verified
from fwcheck.device.booting.context import EARLY, Context, RequiredKey
from fwcheck.device.booting.script import is_off
from fwcheck.model import Node

_NEAR = 4096  # bytes of filling between a U-Boot and the tree appended to it
_PACKAGES = frozenset({"fit", "sunxi-package", "uimage", "fip"})
Judgement = tuple[Verified, str, str]  # verified, checked by, reason


def keys_for(context: Context, fit: Node, *, loader: bool = False) -> tuple[RequiredKey, ...]:
    """The keys that whoever starts this FIT image demands; never those of a tree that is part of the image itself.

    The kernel's FIT image is verified by U-Boot proper: where that is in the image with a tree of its own, no other tree counts
    (the key that SPL demands of U-Boot says nothing of the kernel). ``loader``: the FIT image holds a boot loader.
    """
    keys = tuple(each for each in context.required_keys if each.tree.chain[: len(fit.chain)] != fit.chain)
    own = [tree for uboot in context.uboots for tree in _trees_of(context, uboot)]
    if loader:
        return tuple(each for each in keys if each.tree not in own)
    if not context.uboots:
        return keys
    if not own:
        return ()  # where its tree lies is not known: another loader's demands are not its own
    held = tuple(each for each in keys if each.tree in own)
    # Trees for several boards: any of them may be the one in force.
    return held if all(any(each.tree is tree for each in held) for tree in own) else ()


def _trees_of(context: Context, uboot: Node) -> list[Node]:
    """The device trees that belong to a U-Boot: the one appended to it, or those that are packed with it."""
    trees = context.formats.get("fdt", ())
    parent = uboot.chain[:-1]
    if uboot.offset is not None:
        end, behind = uboot.offset + uboot.size, []
        for tree in sorted((each for each in trees if each.chain[:-1] == parent), key=lambda each: each.offset or 0):
            if tree.offset is not None and 0 <= tree.offset - end < _NEAR:
                behind.append(tree)
                end = tree.offset + tree.size
        if behind:
            return behind
    packed = max(
        (each.chain for each in context.containers if each.format in _PACKAGES and parent[: len(each.chain)] == each.chain),
        key=len,
        default=None,
    )
    return [tree for tree in trees if packed is not None and tree.chain[: len(packed)] == packed]


def demanded(context: Context, fit: Node, *, loader: bool = False) -> Judgement | None:
    """What the demanded keys say of a FIT image; None where no loader of the image demands one."""
    keys = keys_for(context, fit, loader=loader)
    if not keys:
        return None
    checker = f"U-Boot, by the key its device tree demands ({keys[0].tree.chain[-1]})"
    compiled = "boot-fit-signature" in context.loader_texts
    if not all(_held(context, fit, [each for each in keys if each.scope == scope]) for scope in {each.scope for each in keys}):
        return (
            "unknown",
            checker,
            "the loader demands a signature by a key that it holds; none of this image fits it, so it would be refused",
        )
    if _switched_off(context):
        return "unknown", checker, "signed by the demanded key, but verify=n in the environment switches the check off"
    if not compiled and _readable(context):
        return "unknown", checker, "signed by the demanded key, but the loader's code shows no sign of CONFIG_FIT_SIGNATURE"
    reason = "the loader's own device tree demands this key, and the signature of the image fits it"
    return "signature", checker, reason + ("" if compiled else "; the loader's code is not in the image")


def _held(context: Context, fit: Node, keys: list[RequiredKey]) -> bool:
    """Whether the signatures of an image satisfy the keys demanded of its configurations, or of its images."""
    begin = "configuration" if keys[0].scope == "conf" else "the data of image"
    fits = {each.key for each in context.signatures(fit) if each.state == "valid" and each.covers.startswith(begin)}
    wanted = {each.fingerprint for each in keys}
    return bool(fits & wanted) if all(each.any for each in keys) else wanted <= fits


def _switched_off(context: Context) -> bool:
    environment = context.environment
    if context.walk is not None and any(is_off(each.verify) for each in context.walk.starts):
        return True
    return environment is not None and is_off(environment.values.get("verify", ""))


def _readable(context: Context) -> bool:
    """Whether the code of a U-Boot is in the image, so that a text that is not there says something."""
    return (
        any(
            hit.component == "u-boot" and not hit.text.startswith(EARLY)
            for _, facts in context.firmware.loose
            for hit in facts.banners
        )
        and "boot-image-checks" in context.loader_texts
    )
