"""Signatures of the image, verified: with keys the user gave, with public keys the image holds, with keys carried beside them.

Extraction has hashed what is signed (:class:`fwcheck.model.SignedBlock`); here keys are tried. A key that came with its signature
shows only that the content is as its signer made it: whoever changes the image can sign it anew with a key of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from fwcheck.device._verify import Budget, Ladder, Loaded, PublicKey, fits, load
from fwcheck.device._verify import carried as carried_key
from fwcheck.device.detached import detached
from fwcheck.device.firmware import Firmware
from fwcheck.model import Evidence, ImageSignature, Location, Node, SignedBlock

_MOST = 200  # signatures that are told
_CANDIDATES = 400  # keys of the image that are tried
_KEY_PLACES = 8  # of one key that are told
_MISSES = 3  # signatures of one signer that no key of the image fits, after which these keys are not tried any more
_PLACES = 5  # of signatures that are told as one
_SPAN_LIMIT = 512 << 20  # bytes of a message that must be read as a whole


def image_signatures(firmware: Firmware, given: Sequence[PublicKey] = ()) -> tuple[ImageSignature, ...]:
    """Every signature of the image's containers, verified as far as keys go.

    ``given``: the keys the user vouches for; where there are some, a signature that none of them fits stays unverified even when
    a key of the image fits.
    """
    signed = [(node, block) for node in firmware.nodes for block in node.signatures if block.role != "detached"]
    signed += detached(firmware)
    if not signed:
        return ()
    budget = Budget()
    keys = list(load(given, given=True)) + list(_of_image(firmware))
    updates = [(node, block) for node, block in signed if block.role == "update"][:_MOST]
    told = [_judged(firmware, node, block, keys, budget) for node, block in updates]
    told += _contents(firmware, [(node, block) for node, block in signed if block.role == "content"], keys, budget)
    return tuple(msgspec.structs.replace(each, keys_given=bool(given)) for each in told)


def _contents(
    firmware: Firmware, signed: Sequence[tuple[Node, SignedBlock]], keys: Sequence[Loaded], budget: Budget
) -> list[ImageSignature]:
    """Programs and packages inside, those alike as one row: a system has thousands of modules that one key has signed.

    The key that fitted last is tried first; where none fitted a few times, those that name the same key are not tried any more.
    """
    rows: dict[tuple[str, ...], ImageSignature] = {}
    counts: Counter[tuple[str, ...]] = Counter()
    groups: dict[tuple[str, ...], _Group] = {}
    for node, block in signed:
        group = groups.setdefault((block.scheme, block.algorithm, block.key_hint), _Group())
        told = _judged(firmware, node, block, group.order(keys), budget)
        group.learn(told)
        if keys and told.reason == _NO_KEYS:  # none were tried any more
            told = msgspec.structs.replace(told, reason=_NONE_FITS)
        key = (told.scheme, told.state, told.reason, told.key, node.chain[0] if node.chain else "", block.covers)
        counts[key] += 1
        if key not in rows and len(rows) < _MOST:
            rows[key] = told
        elif key in rows and len(rows[key].evidence) < _PLACES:
            rows[key] = msgspec.structs.replace(rows[key], evidence=(*rows[key].evidence, *told.evidence))
    return [
        msgspec.structs.replace(row, covers=f"{row.covers} ({counts[key]} of them)" if counts[key] > 1 else row.covers)
        for key, row in rows.items()
    ]


class _Group:
    """Signatures that name the same key: which key fitted, and how often none did."""

    def __init__(self) -> None:
        self._fitting = ""
        self._missed = 0

    def order(self, keys: Sequence[Loaded]) -> Sequence[Loaded]:
        if not self._fitting:
            return keys if self._missed < _MISSES else [each for each in keys if each.given]
        return sorted(keys, key=lambda each: each.public.fingerprint != self._fitting)

    def learn(self, told: ImageSignature) -> None:
        self._fitting = told.key if told.state == "valid" else self._fitting
        self._missed += told.state == "unverified"


def _of_image(firmware: Firmware) -> Iterator[Loaded]:
    """Public keys and certificates in the image, each key once: those a boot loader's tree holds first."""
    found: dict[bytes, list[Node]] = {der: [node] for node in firmware.nodes for der in node.keys}
    for node, facts in firmware.contents():
        for each in (*(key.public for key in facts.keys if not key.private), *(one.public for one in facts.certificates)):
            if each:
                places = found.setdefault(each, [])
                if len(places) < _KEY_PLACES:
                    places.append(node)
        if len(found) >= _CANDIDATES:
            break
    for der, places in found.items():
        for loaded in load([PublicKey(der=der, origin=places[0].label)], given=False):
            yield loaded._replace(places=tuple(places))


def _trusted(node: Node, key: Loaded) -> Loaded | None:
    """A key of the image where it stands elsewhere than in what it is to verify: what came with a signature proves nothing."""
    for place in key.places:
        # A dump of a flash holds the boot loader with its key, and what that verifies.
        beside = place.chain == node.chain and not place.path.startswith("/") and key.public.der not in node.keys
        wrapping = (*place.chain, place.path) == node.chain[:-1]
        if not beside and not wrapping:
            return key._replace(public=PublicKey(der=key.public.der, origin=place.label))
    return None


# --------------------------------------------------------------------------- one signature


_CHANGED = "the content is not the one that was signed: a hash in the signed part is wrong"


_NONE_FITS, _NO_KEYS = "no public key of the image fits", "the image holds no public key to verify it with"
_EXHAUSTED = "too many signatures and keys to try them all"


def _judged(firmware: Firmware, node: Node, block: SignedBlock, keys: Sequence[Loaded], budget: Budget) -> ImageSignature:
    carried = carried_key(block)
    if block.intact is False:
        return _told(node, block, "invalid", _CHANGED, carried)
    if not (block.digest or block.message or block.span):
        return _told(node, block, "unverified", "what is signed, or how, cannot be read here", carried)
    # Programs and packages have other keys than the update around them: those of the image count for them in any case.
    asked = block.role == "update" and any(each.given for each in keys)
    beside = carried.public.der if carried is not None else b""
    # What came with the signature stands in the image, too: it is no key that the image trusts.
    tried = [each for each in keys if each.given]
    if not asked:
        own = (_trusted(node, each) for each in keys if not each.given and each.public.der != beside)
        tried += [each for each in own if each is not None]
    message = block.message or (block.digest if block.span is None else firmware.read(*block.span, _SPAN_LIMIT))
    for each in tried:
        if fits(block, each.key, message, budget):
            return _told(node, block, "valid", _trust(each), each)
    own_fits = fits(block, carried.key, message, budget) if carried is not None else None
    if own_fits is False:
        return _told(node, block, "invalid", "it does not fit the key that came with it", carried)
    if own_fits:
        ladder = Ladder(block, budget)
        issuer = next((each for each in tried if ladder.certified(each.key)), None)
        if issuer is not None:
            return _told(node, block, "valid", f"its signer's certificate is certified by {issuer.public.origin}", carried)
        if not asked:
            return _told(node, block, "valid", "it fits the key that came with it, which anybody can replace", carried)
        return _told(node, block, "unverified", "none of the keys given fits; the key that came with it does", carried)
    if budget.spent:
        return _told(node, block, "unverified", _EXHAUSTED, carried)
    if asked:
        return _told(node, block, "unverified", "none of the keys given fits", carried)
    return _told(node, block, "unverified", _NONE_FITS if keys else _NO_KEYS, carried)


def _trust(key: Loaded) -> str:
    return "it fits the key given" if key.given else f"it fits the public key in {key.public.origin}"


def _told(
    node: Node, block: SignedBlock, state: Literal["valid", "invalid", "unverified"], reason: str, key: Loaded | None
) -> ImageSignature:
    where = Evidence(
        location=Location(chain=node.chain, path=node.path, offset=node.offset),
        text=f"{block.scheme}: {block.signature[:16].hex()}… ({len(block.signature)} bytes)",
    )
    named = key.public.fingerprint if key is not None else block.key_hint
    return ImageSignature(
        scheme=block.scheme,
        algorithm=key.algorithm if key is not None else block.algorithm,
        covers=block.covers,
        state=state,
        reason=reason,
        key=named,
        key_from=key.public.origin if key is not None else "",
        evidence=(where,),
        role="update" if block.role == "update" else "content",
    )


__all__ = ["PublicKey", "image_signatures"]
