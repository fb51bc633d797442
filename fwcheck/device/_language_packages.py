"""Packages that contents name (``Facts.packages``), under the name and package URL they have as components.

A package of a language is not the project whose name it shares: ``redis`` of PyPI is a client of Redis. Such a name is told apart
by its language; only libraries of web pages are the same project under npm. Types of package URLs: package-url/purl-spec.
"""

from __future__ import annotations

from typing import NamedTuple

from fwcheck.device.products import by_cpe, by_package, products, purl
from fwcheck.model import PackageFact

_PREFIX = {
    "pypi": "python",
    "npm": "node",
    "composer": "php",
    "gem": "ruby",
    "golang": "go",
    "cargo": "rust",
    "luarocks": "lua",
    "maven": "java",
    "jar": "java",
    "cpan": "perl",
}
_SYSTEMS = frozenset({"rpm", "yocto"})  # packages of the system, read with its databases


class Listed(NamedTuple):
    """A package as a component: ``project`` is set when its name is that of a project of the catalogue."""

    name: str
    version: str
    purl: str
    project: bool


def listed(package: PackageFact) -> Listed | None:
    """The component that a package fact stands for; None for packages of the system."""
    if package.ecosystem in _SYSTEMS:
        return None
    if package.ecosystem == "sbom":
        return _of_document(package)
    if package.ecosystem == "buildroot":
        return None if package.name.startswith("host-") else _of_buildroot(package)
    if package.ecosystem == "cpan":
        return _of_perl(package)
    name, version = package.name, package.version
    if package.ecosystem == "pypi":
        name = name.lower().replace("_", "-")
    space, _, base = name.rpartition("/")
    kind = "generic" if package.ecosystem == "jar" else package.ecosystem
    url = (
        "pkg:"
        + kind
        + "/"
        + "".join(purl("x", part, None)[6:] + "/" for part in space.split("/") if part)
        + purl("x", base, version)[6:]
    )
    shown = name.lower()
    known = products().get(shown)
    if known is not None:
        if package.ecosystem == "npm" and known.network == "web":
            return Listed(shown, version, url, project=True)
        shown = f"{_PREFIX.get(package.ecosystem, package.ecosystem)}-{shown}"
    return Listed(shown, version.removeprefix("v") if package.ecosystem == "golang" else version, url, project=False)


def _of_document(package: PackageFact) -> Listed:
    parts = package.cpe.split(":")
    project = by_cpe().get(":".join(parts[3:5])) if len(parts) > 5 else None
    url = package.purl if package.purl.startswith("pkg:") else purl("generic", package.name, package.version)
    return Listed(project or package.name.lower(), package.version, url, project=project is not None)


def _of_buildroot(package: PackageFact) -> Listed:
    """Buildroot names packages after their projects, ``host-`` apart: tools of the build are not on the device."""
    known = by_package().get(package.name) or (package.name if package.name in products() else None)
    name = known or package.name.lower()
    return Listed(name, package.version, purl("generic", package.name, package.version), project=known is not None)


def _of_perl(package: PackageFact) -> Listed:
    """A module of Perl: package URLs of CPAN name distributions, whose name most modules share."""
    name = package.name.replace("::", "-")
    return Listed(f"perl-{name.lower()}", package.version.removeprefix("v"), purl("cpan", name, package.version), project=False)
