"""The table of keys whose private half is public (``published_keys.toml`` of the inspection)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any


def _rows(use: str) -> Iterator[dict[str, Any]]:
    text = resources.files("fwcheck.inspection").joinpath("published_keys.toml").read_text("utf-8")
    return (row for row in tomllib.loads(text)["key"] if row["use"] == use)


@cache
def library_test_keys() -> dict[str, str]:
    """Test constants of libraries: fingerprint to name."""
    return {digest: row["owner"] for row in _rows("library-test") for digest in row["sha256"]}


@cache
def signing_test_keys() -> dict[str, str]:
    """Public test keys for signing images: fingerprint or stored key hash to name."""
    return {digest: row["owner"] for row in _rows("signing-test") for digest in (*row.get("sha256", ()), *row.get("hash", ()))}
