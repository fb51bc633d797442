"""The certificates and keys of the image, each once with all its places: the inventory of a cryptographic bill of materials.

It says what is there, not what is used or whether it is weak: that is the analysers' to judge.
"""

from __future__ import annotations

import msgspec

from fwcheck.device.firmware import Firmware
from fwcheck.model import CryptoAsset, Evidence, Location

_ASSETS = 1000
_PLACES = 16


def crypto_assets(firmware: Firmware) -> tuple[CryptoAsset, ...]:
    """Certificates first, then keys, in image order."""
    certificates: dict[tuple[str, ...], tuple[CryptoAsset, list[Evidence]]] = {}
    keys: dict[tuple[str, ...], tuple[CryptoAsset, list[Evidence]]] = {}
    for node, facts in firmware.contents():
        for each in facts.certificates:
            asset = CryptoAsset(
                kind="certificate",
                algorithm=each.key_algorithm,
                bits=each.key_bits,
                fingerprint=each.key_fingerprint,
                subject=each.subject[:300],
                issuer=each.issuer[:300],
                not_before=each.not_before,
                not_after=each.not_after,
                signature_hash=each.signature_hash or "",
            )
            place = Evidence(location=Location(chain=node.chain, path=node.path, offset=each.offset))
            certificates.setdefault((each.key_fingerprint, each.serial, each.issuer), (asset, []))[1].append(place)
        for key in facts.keys:
            if not key.valid:
                continue
            asset = CryptoAsset(
                kind="private-key" if key.private else "public-key",
                algorithm=key.algorithm,
                bits=key.bits,
                fingerprint=key.fingerprint or "",
                container=key.container,
                encrypted=key.encrypted,
            )
            place = Evidence(location=Location(chain=node.chain, path=node.path, offset=key.offset))
            name = key.fingerprint or f"{facts.sha256}@{key.offset}"
            keys.setdefault((asset.kind, name), (asset, []))[1].append(place)
    found = [*certificates.values(), *keys.values()][:_ASSETS]
    return tuple(_placed(asset, places) for asset, places in found)


def _placed(asset: CryptoAsset, places: list[Evidence]) -> CryptoAsset:
    return msgspec.structs.replace(asset, evidence=tuple(places[:_PLACES]))
