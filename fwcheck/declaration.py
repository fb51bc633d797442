"""What the maker states of a product: ``product.toml``, read and checked. Statements are never evidence, only held against it.

The file is TOML 1.0; an unknown key is an error, so that a misspelt statement is not silently ignored. All of it is optional.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from fwcheck.handwritten import Misread, decode, line_of

_SIZE_LIMIT = 1 << 20

ProductType = Literal["router", "network-camera", "smart-lock", "smart-home", "sensor", "gateway", "energy", "generic"]
Target = Literal["STAR-1", "STAR-2", "STAR-3", "STAR-4"]
Interface = Literal[
    "telnet", "ftp", "tftp", "ssh", "snmp", "upnp", "tr-069", "mqtt", "rtsp", "smb", "http", "debug-shell", "serial-login"
]  # fmt: skip
Text = Annotated[str, msgspec.Meta(max_length=2000)]


class DeclarationError(ValueError):
    """The file is no declaration; the message is one line."""


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the parts of a declaration."""


class Product(_Part, frozen=True, kw_only=True):
    """Who makes it and what it is."""

    maker: Text = ""
    model: Text = ""
    version: Text = ""
    type: ProductType = "generic"
    target: Target | None = None


class Use(_Part, frozen=True, kw_only=True):
    """Who buys the product, what it handles, and what its failing or falling into wrong hands would mean."""

    buyer: Literal["consumer", "business", "public"] = "consumer"  # public: government, local government, critical infrastructure
    data: Literal["none", "personal", "confidential"] = "none"
    consequence: Literal["nuisance", "privacy", "outage", "safety"] = "nuisance"
    ip: bool = True  # sends or receives data over IP, be it through another device
    general_purpose: bool = False  # the user can install software: a computer, tablet, telephone
    funding: bool = False  # a subsidy, auction or grid connection asks for the label


class Support(_Part, frozen=True, kw_only=True):
    """Until when security updates come, and where that is published.

    ``since`` is the day of the first sale, ``years`` for how long a buyer, a contract or a law asks for updates from then on.
    """

    until: dt.date | None = None
    url: Text = ""
    since: dt.date | None = None
    years: Annotated[int, msgspec.Meta(ge=1, le=30)] | None = None


class Disclosure(_Part, frozen=True, kw_only=True):
    """Where weaknesses are reported."""

    policy_url: Text = ""
    contact: Text = ""


class Updates(_Part, frozen=True, kw_only=True):
    """How software comes to the device. None: nothing is stated."""

    method: Literal["automatic", "user", "none"] | None = None
    signed: bool | None = None
    encrypted_transport: bool | None = None


class Credentials(_Part, frozen=True, kw_only=True):
    """How the first password comes to be."""

    first_password: Literal["per-device", "set-by-user", "none", "common"] | None = None
    factory_process: Text = ""  # where it is described


class DeclaredService(_Part, frozen=True, kw_only=True):
    """A service that the product intends to offer on a network, and why."""

    name: Text
    reason: Text
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] | None = None
    protocol: Literal["tcp", "udp"] = "tcp"


class Data(_Part, frozen=True, kw_only=True):
    """What happens to what the device stores and notes. None: nothing is stated."""

    encrypted_storage: bool | None = None
    factory_reset: bool | None = None
    logging: bool | None = None


class Declaration(_Part, frozen=True, kw_only=True):
    """The whole file. ``documents`` and ``not_applicable`` are by criterion id: a document, or the reason."""

    product: Product = Product()
    use: Use = Use()
    support: Support = Support()
    disclosure: Disclosure = Disclosure()
    updates: Updates = Updates()
    credentials: Credentials = Credentials()
    data: Data = Data()
    services: tuple[DeclaredService, ...] | None = None  # None: nothing is stated; empty: there are none
    absent: tuple[Interface, ...] = ()  # what the product is stated not to offer
    documents: dict[str, Text] = {}
    not_applicable: dict[str, Text] = {}


def load(path: Path) -> Declaration:
    """The declaration of a file. Raises DeclarationError with one line when it cannot be read or is none."""
    return parse(contents(path), str(path))


def contents(path: Path) -> bytes:
    """The bytes of a file that may be a declaration. Raises DeclarationError with one line when they cannot be read."""
    try:
        if path.stat().st_size > _SIZE_LIMIT:
            raise DeclarationError(f"{path}: larger than 1 MiB")
        return path.read_bytes()
    except OSError as error:
        raise DeclarationError(f"{path}: {error.strerror}") from error


def parse(content: bytes, name: str) -> Declaration:
    """The declaration in these bytes. Raises DeclarationError with one line, which begins with ``name``, when they are none."""
    try:
        declared = decode(content, Declaration)
    except Misread as error:
        raise DeclarationError(error.of(name)) from error
    empty = [name for name, reason in declared.not_applicable.items() if not reason.strip()]
    if empty:
        where = line_of(content.decode("utf-8", "replace"), ["not_applicable", empty[0]])
        raise DeclarationError(Misread(f"not_applicable.{empty[0]} needs a reason", where).of(name))
    return declared
