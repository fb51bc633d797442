"""The table of keys whose private half is public (``known_keys.toml``)."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources


@cache
def _table() -> tuple[dict[str, str], ...]:
    text = resources.files("fwcheck.analysers").joinpath("known_keys.toml").read_text("utf-8")
    return tuple(tomllib.loads(text)["key"])


@cache
def library_test_keys() -> dict[str, str]:
    """Test constants of libraries: fingerprint to name."""
    return {key["fingerprint"]: key["name"] for key in _table() if key["use"] == "library-test"}


@cache
def signing_test_keys() -> dict[str, str]:
    """Public test keys for signing images: fingerprint or stored key hash to name."""
    return {
        key[field]: key["name"]
        for key in _table()
        if key["use"] == "signing-test"
        for field in ("fingerprint", "hash")
        if field in key
    }
