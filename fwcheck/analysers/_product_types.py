"""What is usual for a type of product: the services that it offers by its nature."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources

import msgspec

from fwcheck.declaration import ProductType


class Kind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One type of product. ``expected``: protocols; none for a type of which nothing can be said."""

    en: str
    ja: str
    expected: frozenset[str]


@cache
def kinds() -> Mapping[ProductType, Kind]:
    """Every type that a declaration may name."""
    text = resources.files(__package__).joinpath("_product_types.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), dict[ProductType, Kind])
