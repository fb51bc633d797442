"""The table of keys whose private half is public (``published_keys.toml`` of the inspection)."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from typing import Any


@cache
def _table() -> tuple[dict[str, Any], ...]:
    text = resources.files("fwcheck.inspection").joinpath("published_keys.toml").read_text("utf-8")
    return tuple(tomllib.loads(text)["key"])


def _rows(use: str) -> Iterator[dict[str, Any]]:
    return (row for row in _table() if row["use"] == use)


@cache
def library_test_keys() -> dict[str, str]:
    """Test constants of libraries: fingerprint to name."""
    return {digest: row["owner"] for row in _rows("library-test") for digest in row["sha256"]}


@cache
def signing_test_keys() -> dict[str, str]:
    """Public test keys for signing images: fingerprint, stored key hash, or serial number of the certificate, to name."""
    kinds = ("sha256", "hash", "serial")
    return {digest: row["owner"] for row in _rows("signing-test") for kind in kinds for digest in row.get(kind, ())}


@cache
def sample_keys() -> dict[str, str]:
    """Keys that come with examples, tests and products for everybody to read: fingerprint to name."""
    return {digest: row["owner"] for row in _rows("sample") for digest in row["sha256"]}


def published_by(fingerprint: str | None) -> str:
    """Who publishes the private half of a key that no library holds as a constant; "" where nobody is known to."""
    return sample_keys().get(fingerprint or "", "") or signing_test_keys().get(fingerprint or "", "")


def fingerprint_of(der: bytes) -> str:
    """The fingerprint of a DER certificate's key, or of a DER SubjectPublicKeyInfo; "" for other bytes."""
    from cryptography import x509  # noqa: PLC0415  # only where an image carries signatures
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key  # noqa: PLC0415

    loaders: tuple[Callable[[], Any], ...] = (
        lambda: x509.load_der_x509_certificate(der).public_key(),
        lambda: load_der_public_key(der),
    )
    for load in loaders:
        try:
            encoded: bytes = load().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
        return hashlib.sha256(encoded).hexdigest()
    return ""
