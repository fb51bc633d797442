"""Names of components: the catalogue of ``products.toml``, and the CPE and package-URL strings made from it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Literal
from urllib.parse import quote

import msgspec

# A release mark behind the numbers, which CPE keeps in its own attribute: 0.94.14rc21, 6.7p1, 2.0-devel, 4.2.8p10, 7.36.0-DEV.
_UPDATE = re.compile(r"^(\d[\d._]*\d|\d)[-_]?((?:rc|pre|beta|alpha|devel|dev|p)[-.]?\d*)$", re.IGNORECASE)
_PLAIN = re.compile(r"[a-z0-9_.-]")  # characters that a formatted CPE string leaves unquoted (NISTIR 7695, 6.2)


class Product(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of ``products.toml``; see its head for the fields."""

    cpe: tuple[str, ...] = ()
    part: Literal["a", "o"] = "a"
    packages: tuple[str, ...] = ()
    network: Literal["server", "client", "library", "web", "boot", ""] = ""
    headers: tuple[str, ...] = ()
    lifecycle: str = ""
    license: str = ""


@cache
def products() -> Mapping[str, Product]:
    """The catalogue by component name."""
    text = resources.files("fwcheck.device").joinpath("products.toml").read_text(encoding="utf-8")
    return MappingProxyType(msgspec.convert(tomllib.loads(text), dict[str, Product]))


@cache
def by_package() -> Mapping[str, str]:
    """Component name by the package name that stands for it in a package database."""
    return MappingProxyType({package: name for name, product in products().items() for package in product.packages})


@cache
def by_cpe() -> Mapping[str, str]:
    """Component name by ``vendor:product``."""
    return MappingProxyType({pair: name for name, product in products().items() for pair in product.cpe})


def cpe(name: str, version: str | None) -> str | None:
    """The CPE 2.3 formatted string of a component version; None for a component that the catalogue gives no CPE."""
    product = products().get(name)
    if product is None or not product.cpe:
        return None
    vendor, _, item = product.cpe[0].partition(":")
    update = "*"
    if version is not None and (mark := _UPDATE.match(version)):
        version, update = mark[1], mark[2]
    fields = [product.part, _quoted(vendor), _quoted(item), _quoted(version or "*"), _quoted(update)]
    return "cpe:2.3:" + ":".join(fields) + ":*" * 6


def _quoted(value: str) -> str:
    if value == "*":
        return value
    return "".join(char if _PLAIN.match(char) else "\\" + char for char in value.lower() if char.isprintable() and char != " ")


def purl(kind: str, name: str, version: str | None, namespace: str = "", **qualifiers: str) -> str:
    """A package URL (ECMA-427): ``pkg:kind/namespace/name@version?qualifier=value``; empty qualifiers are left out."""
    parts = [kind, *([namespace] if namespace else []), name]
    text = "pkg:" + "/".join(quote(part, safe="") for part in parts)
    if version:
        text += "@" + quote(version, safe=":~")
    kept = {key: value for key, value in sorted(qualifiers.items()) if value}
    return text + ("?" + "&".join(f"{key}={quote(value, safe=':')}" for key, value in kept.items()) if kept else "")
