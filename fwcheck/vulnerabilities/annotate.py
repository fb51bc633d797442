"""Components with what is known of their versions, and what of it is set aside, with the reason.

Set aside is what a VEX document calls not affected or fixed, what the distribution repaired in the package that is installed, and
what the kernel was not built with. Nothing goes without a word: the report holds it under ``set_aside``.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Protocol
from urllib.parse import unquote

import msgspec

from fwcheck.device.products import by_cpe
from fwcheck.model import Component, Location, Vulnerability
from fwcheck.vulnerabilities import ecosystems, kernel_options, origins
from fwcheck.vulnerabilities.database import Knowledge
from fwcheck.vulnerabilities.store import Statement

_ASIDE = ("not_affected", "fixed")


class Configuration(Protocol):
    """What a kernel was built with, as the device stage finds it."""

    @property
    def location(self) -> Location: ...
    @property
    def release(self) -> str: ...
    @property
    def architecture(self) -> str: ...
    @property
    def options(self) -> frozenset[str]: ...


class DeclaredProduct(Protocol):
    """What the maker calls the device."""

    @property
    def maker(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def version(self) -> str: ...


def annotate(
    components: Iterable[Component],
    knowledge: Knowledge,
    statements: Sequence[Statement] = (),
    configurations: Sequence[Configuration] = (),
    architecture: str = "",
    product: DeclaredProduct | None = None,
) -> tuple[Component, ...]:
    """The same components with their vulnerabilities, release date and end of support filled in.

    ``product`` is what the maker calls the device: statements about it as a whole are about every component.
    Only a component that carries its project's name is looked up: a sub-package of a distribution has none of its own. Raises
    ValueError for a knowledge file that is damaged.
    """
    try:
        return _all(tuple(components), knowledge, statements, configurations, architecture, product)
    except sqlite3.DatabaseError as error:
        raise ValueError(f"the knowledge file is damaged: {error}") from error


def _all(
    held: Sequence[Component],
    knowledge: Knowledge,
    statements: Sequence[Statement],
    configurations: Sequence[Configuration],
    architecture: str,
    product: DeclaredProduct | None,
) -> tuple[Component, ...]:
    present: dict[str, list[str | None]] = {}
    for each in held:
        present.setdefault(each.name, []).append(each.version)
    said: dict[str, list[Statement]] = {}
    for statement in (*statements, *knowledge.statements()):
        said.setdefault(statement.cve, []).append(statement)
    return tuple(_annotated(each, knowledge, present, said, configurations, architecture, product) for each in held)


def _annotated(
    component: Component,
    knowledge: Knowledge,
    present: dict[str, list[str | None]],
    said: dict[str, list[Statement]],
    configurations: Sequence[Configuration],
    architecture: str,
    product: DeclaredProduct | None,
) -> Component:
    found = knowledge.vulnerabilities(component, present)
    judged = [*knowledge.distribution(component, found)]
    if component.name == "linux_kernel":
        configuration = _configuration(component, configurations, present)
        judged = [_built(each, configuration, architecture, knowledge) for each in judged]
    judged = [origins.built(each, component) for each in judged]
    judged = [_stated(each, component, said.get(each.id, ()), product) for each in judged]
    return msgspec.structs.replace(
        component,
        vulnerabilities=tuple(each for each in judged if each.status not in _ASIDE),
        set_aside=tuple(each for each in judged if each.status in _ASIDE),
        end_of_life=knowledge.end_of_life(component),
        supported_until=knowledge.supported_until(component),
        released=knowledge.released(component),
    )


# --------------------------------------------------------------------------- kernel configuration


def _configuration(
    component: Component, configurations: Sequence[Configuration], present: dict[str, list[str | None]]
) -> Configuration | None:
    """The configuration of this kernel: by its release, or the only one of the only kernel."""
    own = [each for each in configurations if each.release and each.release.split("-")[0].split("+")[0] == component.version]
    if len(own) == 1:
        return own[0]
    if not own and len(configurations) == 1 and not configurations[0].release and len(set(present["linux_kernel"])) == 1:
        return configurations[0]
    return None


def _built(
    vulnerability: Vulnerability, configuration: Configuration | None, architecture: str, knowledge: Knowledge
) -> Vulnerability:
    if vulnerability.status in _ASIDE:
        return vulnerability
    options = configuration.options if configuration is not None else None
    machine = (configuration.architecture if configuration is not None else "") or architecture
    reason = kernel_options.excluded(knowledge.places(vulnerability.id), options, machine)
    if not reason:
        return vulnerability
    if configuration is None:
        return msgspec.structs.replace(
            vulnerability, status="not_affected", reason=f"{reason} (by the programs)", ground="architecture"
        )
    where = f"configuration in {configuration.location.path or 'the kernel'}"
    return msgspec.structs.replace(vulnerability, status="not_affected", reason=f"{reason} ({where})", ground="configuration")


# --------------------------------------------------------------------------- VEX


def _stated(
    vulnerability: Vulnerability, component: Component, statements: Sequence[Statement], device: DeclaredProduct | None
) -> Vulnerability:
    """What the documents say of it. Where one says that it is affected, none sets it aside."""
    about = [each for each in statements if applies(each, component) or (device is not None and applies_to_device(each, device))]
    if not about or any(each.status == "affected" for each in about) or vulnerability.status in _ASIDE:
        return vulnerability
    chosen = next((each for each in about if each.status in _ASIDE), about[0])
    reason = f"{chosen.document}: {chosen.reason or chosen.status.replace('_', ' ')}"
    return msgspec.structs.replace(vulnerability, status=chosen.status, reason=reason, ground="statement")


def applies(statement: Statement, component: Component) -> bool:
    """Whether a statement's product (package URL, CPE, or ``name@version``) is this component in this version."""
    product = statement.product.strip()
    if product.startswith("pkg:"):
        found = ecosystems.identity(product)
        if found is None:
            return False
        kind, name, version = found
        own = ecosystems.identity(component.purl or "")
        if own is not None and own[1] == name and kind == own[0]:
            return version in ("", own[2], component.version)
        return name == component.name and kind in ("generic", "github") and _same(version, component)
    if product.startswith("cpe:"):
        fields = product.removeprefix("cpe:/").removeprefix("cpe:2.3:").split(":")
        name = by_cpe().get(":".join(fields[1:3]), "")
        return name == component.name and _same(fields[3] if len(fields) > 3 and fields[3] not in ("*", "-") else "", component)
    name, _, version = product.partition("@")
    return name.lower() == component.name and _same(version, component)


def applies_to_device(statement: Statement, device: DeclaredProduct) -> bool:
    """Whether a statement is about the device as a whole: its product is what the maker calls it, in this version or in all.

    As a package URL (``pkg:generic/acme/rt-100@1.2``), a CPE (``...:acme:rt-100_firmware:1.2:...``) or a name with or without the
    maker and the version. Signs and case do not count.
    """
    if not _letters(device.model) or not device.version:
        return False
    text, version = statement.product.strip(), ""
    if text.startswith("pkg:"):
        text, _, version = text.split("?", 1)[0].split("#", 1)[0].rpartition("/")[2].partition("@")
    elif text.startswith("cpe:"):
        fields = [field.replace("\0", ":") for field in text.replace("\\:", "\0").split(":")]
        fields = fields[3 if text.startswith("cpe:2.3:") else 2 :]
        text = fields[1].removesuffix("_firmware") if len(fields) > 1 else ""
        version = fields[2].replace("\\", "") if len(fields) > 2 and fields[2] not in ("*", "-") else ""
    elif "@" in text:
        text, _, version = text.rpartition("@")
    else:  # a name that may end in the version
        words = text.split()
        if len(words) > 1 and words[-1].lower().removeprefix("v") == device.version.lower().removeprefix("v"):
            text, version = " ".join(words[:-1]), words[-1]
    names = {_letters(device.model), _letters(f"{device.maker}{device.model}")}
    fits = version.lower().removeprefix("v") in ("", device.version.lower().removeprefix("v"))
    return fits and _letters(unquote(text)) in names


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _same(version: str, component: Component) -> bool:
    return not version or version in (component.version, component.package)
