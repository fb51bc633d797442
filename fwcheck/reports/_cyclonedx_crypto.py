"""Certificates, keys and their algorithms as CycloneDX 1.6 cryptographic assets (``cryptoProperties``)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fwcheck.model import CryptoAsset
from fwcheck.reports.printable import plain

_PRIMITIVES = {"RSA": "pke", "DH": "key-agree", "X25519": "key-agree", "X448": "key-agree"}
_SIGNATURES = ("EC", "ECDSA", "DSA", "Ed25519", "Ed448")


def components(assets: Iterable[CryptoAsset]) -> list[dict[str, Any]]:
    """Algorithms first, then what uses them; each with its places."""
    held = list(assets)
    algorithms = {_algorithm_reference(each): each for each in held}
    out = [_algorithm(reference, algorithms[reference]) for reference in sorted(algorithms)]
    seen: dict[str, int] = {}
    for each in held:
        name = f"crypto:{each.kind}:{each.fingerprint or _place(each)}"
        seen[name] = seen.get(name, 0) + 1
        reference = plain(name if seen[name] == 1 else f"{name}#{seen[name]}")
        out.append(_certificate(each, reference) if each.kind == "certificate" else _key(each, reference))
    return out


def _place(asset: CryptoAsset) -> str:
    where = asset.evidence[0].location if asset.evidence else None
    return f"{where.path}@{where.offset}" if where is not None else "unknown"


def _algorithm_reference(asset: CryptoAsset) -> str:
    return plain(f"crypto:algorithm:{asset.algorithm}" + (f"-{asset.bits}" if asset.bits else ""))


def _algorithm(reference: str, asset: CryptoAsset) -> dict[str, Any]:
    primitive = "signature" if asset.algorithm in _SIGNATURES else _PRIMITIVES.get(asset.algorithm, "unknown")
    properties: dict[str, Any] = {"primitive": primitive}
    if asset.bits:
        properties["parameterSetIdentifier"] = str(asset.bits)
    return _asset(
        reference, reference.removeprefix("crypto:algorithm:"), {"assetType": "algorithm", "algorithmProperties": properties}
    )


def _certificate(asset: CryptoAsset, reference: str) -> dict[str, Any]:
    properties: dict[str, Any] = {"certificateFormat": "X.509"}
    for key, value in (("subjectName", asset.subject), ("issuerName", asset.issuer)):
        if value:
            properties[key] = plain(value)
    for key, value in (("notValidBefore", asset.not_before), ("notValidAfter", asset.not_after)):
        if moment := _moment(value):
            properties[key] = moment
    properties["subjectPublicKeyRef"] = _algorithm_reference(asset)
    return _asset(
        reference, asset.subject or "certificate", {"assetType": "certificate", "certificateProperties": properties}, asset
    )


def _moment(text: str) -> str:
    """A date and time as JSON schema wants it (RFC 3339); empty when it is none."""
    text = text.replace(" ", "T")
    if len(text) < 19 or text[10] != "T":
        return ""
    return text if text.endswith("Z") or "+" in text[10:] else text + "Z"


def _key(asset: CryptoAsset, reference: str) -> dict[str, Any]:
    properties: dict[str, Any] = {"type": asset.kind, "algorithmRef": _algorithm_reference(asset)}
    if asset.bits:
        properties["size"] = asset.bits
    if asset.container:
        properties["format"] = plain(asset.container)
    if asset.encrypted:
        properties["securedBy"] = {"mechanism": "encrypted"}
    held = {"assetType": "related-crypto-material", "relatedCryptoMaterialProperties": properties}
    return _asset(reference, f"{asset.algorithm} {asset.kind}", held, asset)


def _asset(reference: str, name: str, properties: dict[str, Any], asset: CryptoAsset | None = None) -> dict[str, Any]:
    out: dict[str, Any] = {
        "type": "cryptographic-asset",
        "bom-ref": reference,
        "name": plain(name),
        "cryptoProperties": properties,
    }
    places = [each.location for each in asset.evidence if each.location.path or each.location.chain] if asset is not None else []
    if places:
        out["evidence"] = {
            "occurrences": [
                {"location": plain(each.path or each.chain[-1])} | ({"offset": each.offset} if each.offset is not None else {})
                for each in places
            ]
        }
    return out
