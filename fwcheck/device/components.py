"""Third-party software of the image: what its package databases, banners, library names and module directories agree on.

Each component rests on witnesses, and says which. A program that only quotes the headers it was built against is no witness of a
library that stands beside it; a release name that distributions number by themselves (6.1.0-50-armmp) is none of the upstream
version.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

import msgspec

from fwcheck.device._compilers import compilers
from fwcheck.device._language_packages import listed
from fwcheck.device._library_names import Confidence, kernel_release, library
from fwcheck.device._microcontroller_code import is_microcontroller, said
from fwcheck.device._packages import Package, packages
from fwcheck.device._release_spans import with_spans
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.device.kernel_configuration import configurations
from fwcheck.device.products import Product, by_cpe, by_package, cpe, products, purl
from fwcheck.model import BannerHit, Component, ComponentFile, Evidence, Facts, Location, Node, NodeKind

Kind = Literal["package", "listing", "banner", "library", "directory", "module", "release", "compiler"]
_STRENGTH: tuple[Kind, ...] = ("package", "listing", "banner", "library", "directory", "module", "release", "compiler")
_HINTS = ("directory", "module")  # name what a thing belongs to, not what it is
_SURE: tuple[Confidence, ...] = ("certain", "firm", "tentative")
_EVIDENCE = 64  # places shown of one component
_Type = Literal["library", "application", "firmware", "operating-system"]
_TYPES: dict[str, _Type] = {"server": "application", "client": "application", "boot": "firmware"}
_NOTES = 8  # of witnesses that were overruled
_LISTS = 4  # versions of one component in one file that make it a list
_KERNEL_BY_DISTRIBUTION = frozenset({"linux-debian", "linux-ubuntu"})
_MODULE_DIRECTORY = re.compile(r"^/(?:usr/)?lib/modules/([^/]+)$")
_ADDED_PERL = re.compile(r"/(?:site_perl|vendor_perl|perl5)/")
_PLUGIN_DIRECTORY = re.compile(r"^(?:/[^/]+)*/lib/pppd/(2\.[345]\.\d{1,2}(?:b\d)?)$")
_MODULES_PER_ROOT = 2
_DISTRIBUTIONS = {"debian": "debian_linux", "ubuntu": "ubuntu_linux", "alpine": "alpine_linux", "poky": "yocto"}
_ASSIGNMENT = re.compile(r"^([A-Z_]+)=[\"']?([^\"'\n]*)[\"']?\s*$")
_SYSTEM_NAMES = {"deb": "debian", "apk": "alpine"}


class _Witness(NamedTuple):
    """One place that says ``name`` in ``version``."""

    name: str
    version: str | None
    kind: Kind
    confidence: Confidence
    evidence: Evidence
    package: str | None = None
    purl: str | None = None
    licence: str = ""


def components(firmware: Firmware) -> tuple[Component, ...]:
    """Every component of the image, by name and version; one per package where a package database names it."""
    witnesses: list[_Witness] = []
    for fs in firmware.filesystems:
        witnesses += _distribution(fs)
        witnesses += _directories(fs)
    banners = list(_banners(firmware))
    for fs in firmware.filesystems:
        witnesses += _packages(fs, banners)
    witnesses += _listings(firmware)
    witnesses += banners
    witnesses += _small(firmware)
    witnesses += _libraries(firmware, banners)
    witnesses += _modules(firmware)
    witnesses += _configured(firmware)
    witnesses += [
        _Witness(each.name, each.version, "compiler", "firm", place) for each in compilers(firmware) for place in each.evidence
    ]
    digests = {(node.chain, node.path): node.sha256 for node in firmware.nodes if node.sha256}
    return with_spans(firmware, tuple(_with_parts(firmware, _joined(witnesses, digests))), digests)


def _with_parts(firmware: Firmware, held: Iterable[Component]) -> Iterator[Component]:
    """Multi-call programs with what they were built with, where each of their places is a program that was read."""
    read = {(node.chain, node.path): facts for node, facts in firmware.contents() if facts.parts}
    names = {part.partition(":")[0] for facts in read.values() for part in facts.parts}
    for each in held:
        places = [(one.location.chain, one.location.path) for one in each.evidence if one.location.line is None]
        if each.name not in names or not places or not all(place in read for place in places):
            yield each
            continue
        prefix = f"{each.name}:"
        parts = {part.removeprefix(prefix) for place in places for part in read[place].parts if part.startswith(prefix)}
        yield msgspec.structs.replace(each, parts=tuple(sorted(parts)))


def _joined(witnesses: list[_Witness], digests: Mapping[tuple[tuple[str, ...], str], str]) -> Iterator[Component]:
    named: dict[str, dict[tuple[str | None, str | None], list[_Witness]]] = {}
    for witness in sorted(witnesses, key=lambda each: _STRENGTH.index(each.kind)):
        groups = named.setdefault(witness.name, {})
        key = (witness.version, witness.purl)
        if witness.purl is None:
            key = next((known for known in groups if known[0] == witness.version), key)
        groups.setdefault(key, []).append(witness)
    for name, groups in sorted(named.items()):
        for key in sorted(groups, key=lambda key: (key[0] or "", key[1] or "")):
            held = groups[key]
            rivals = [other for known, other in groups.items() if known != key and known[0] is not None]
            if _overruled(held, rivals):
                continue
            differing = [each for other in rivals if _overruled(other, [held]) for each in other]
            yield _component(name, key[0], held, differing, digests)


def _overruled(held: list[_Witness], rivals: list[list[_Witness]]) -> bool:
    """Whether nothing but hints, or no version at all, stands against a rival that carries the project's own word."""
    if held[0].version is None and held[0].purl is None:
        return any(each.version is not None for other in rivals for each in other)
    own_word = any(each.kind not in _HINTS and each.confidence == "certain" for other in rivals for each in other)
    return own_word and all(each.kind in _HINTS for each in held)


def _component(
    name: str,
    version: str | None,
    held: list[_Witness],
    differing: list[_Witness],
    digests: Mapping[tuple[tuple[str, ...], str], str],
) -> Component:
    first = held[0]
    places = dict.fromkeys(each.evidence for each in held)
    notes = [
        Evidence(location=each.evidence.location, text=f"{each.evidence.text} (says {each.version}; overruled)")
        for each in differing[:_NOTES]
    ]
    foreign = first.package is not None or first.kind == "listing"  # named by a package, not by the project
    product = products().get(name, Product())
    known = not foreign or (name in products() and version is not None)
    return Component(
        name=name,
        version=version,
        purl=first.purl or purl("generic", name, version),
        cpe=cpe(name, version) if known else None,
        confidence=min((each.confidence for each in held), key=_SURE.index),
        evidence=(*list(places)[:_EVIDENCE], *notes),
        package=first.package,
        type=_TYPES.get(product.network, "library") if product.part == "a" else "operating-system",
        license=next((each.licence for each in held if each.licence), product.license),
        files=tuple(
            ComponentFile(path=path, sha256=digests[chain, path])
            for chain, path in dict.fromkeys(_file(each) for each in held if each.kind in ("banner", "library"))
            if (chain, path) in digests
        )[:_EVIDENCE],
    )


def _file(witness: _Witness) -> tuple[tuple[str, ...], str]:
    return witness.evidence.location.chain, witness.evidence.location.path


# --------------------------------------------------------------------------- banners


def _banners(firmware: Firmware) -> Iterator[_Witness]:
    libraries = {posixpath.basename(node.path) for fs in firmware.filesystems for node in fs.nodes.values() if ".so" in node.path}
    stems = {name.split(".so", 1)[0] for name in libraries}
    for node, facts in firmware.contents():
        patterns = {hit.pattern for hit in facts.banners}
        names = {hit.component for hit in facts.banners}
        tables = _tables(facts)
        for hit in facts.banners:
            if (hit.pattern, hit.component) in tables or _imitated(hit, facts):
                continue
            if hit.pattern == "linux" and patterns & _KERNEL_BY_DISTRIBUTION:
                continue
            if hit.component == "libjpeg" and "libjpeg-turbo" in names:  # whose copyright string names the version it imitates
                continue
            quoted = _quotes(hit, facts)
            if quoted and quoted & stems:
                continue
            evidence = Evidence(location=_place(node, hit.offset), text=hit.text)
            yield _Witness(hit.component, hit.version, "banner", "tentative" if quoted else hit.confidence, evidence)


def _tables(facts: Facts) -> set[tuple[str, str]]:
    """Patterns and components of which one file names many versions: it lists those of others (vendor identifiers of IKE)."""
    counts = Counter((hit.pattern, hit.component) for hit in facts.banners)
    return {key for key, count in counts.items() if count >= _LISTS}


def _small(firmware: Firmware) -> Iterator[_Witness]:
    """What microcontrollers run: SoftDevices by their information structure; libraries that tell no version by their texts."""
    for node in firmware.containers("nrf-softdevice"):
        told = f"{node.detail.get('softdevice', 'SoftDevice')} {node.detail.get('version', '')}".strip()
        version = str(node.detail.get("version", "")) or None
        yield _Witness(
            "nordic_softdevice", version, "banner", "certain", Evidence(location=_place(node, node.offset or 0), text=told)
        )
    if is_microcontroller(firmware):
        for held in said(firmware).values():
            if name := held[0].hit.meta.get("component"):
                yield _Witness(name, None, "banner", "firm", held[0].evidence)


def _imitated(hit: BannerHit, facts: Facts) -> bool:
    """Red Hat's OpenSSL holds the banners of older releases that it can pass for: "OpenSSL 1.0.1e-fips 11 Feb 2013" in 1.0.2k."""
    mates = (other.version for other in facts.banners if other.pattern == hit.pattern and "-fips" in other.text)
    return hit.pattern == "openssl" and "-fips" in hit.text and any(version > hit.version for version in mates)


def _quotes(hit: BannerHit, facts: Facts) -> set[str]:
    """The libraries whose headers this program may have the banner from: it needs them and is none of them."""
    product = products().get(hit.component)
    if product is None or not product.headers or facts.elf is None:
        return set()
    if facts.elf.soname and facts.elf.soname.split(".so", 1)[0] in product.headers:
        return set()
    return {stem for each in facts.elf.needed if (stem := each.split(".so", 1)[0]) in product.headers}


def _place(node: Node, offset: int | None = None) -> Location:
    return Location(chain=node.chain, path=node.path, offset=offset)


def _listings(firmware: Firmware) -> Iterator[_Witness]:
    """Packages of languages, modules linked into programs, and what bills of materials in the image name."""
    with_pom = {node.chain for node, facts in firmware.contents() if any(each.ecosystem == "maven" for each in facts.packages)}
    for node, facts in firmware.contents():
        for package in facts.packages:
            if (found := listed(package)) is None or (package.ecosystem == "jar" and node.chain in with_pom):
                continue
            if package.ecosystem == "cpan" and not _ADDED_PERL.search(node.path):  # what comes with Perl is Perl
                continue
            text = f"{package.ecosystem} {package.name} {package.version}"
            evidence = Evidence(location=_place(node, package.offset or None), text=text)
            sure: Confidence = "firm" if package.ecosystem in ("sbom", "jar") else "certain"
            yield _Witness(found.name, found.version, "listing", sure, evidence, purl=found.purl, licence=package.license)


# --------------------------------------------------------------------------- names of files and directories


def _libraries(firmware: Firmware, banners: list[_Witness]) -> Iterator[_Witness]:
    own = {(each.evidence.location.chain, each.evidence.location.path, each.name) for each in banners}
    for fs in firmware.filesystems:
        for node, facts in fs.files():
            if facts.elf is None or ".so" not in node.path:
                continue
            base = posixpath.basename(node.path)
            named = library(base) or (library(facts.elf.soname) if facts.elf.soname else None)
            if named is not None and (node.chain, node.path, named.component) not in own:
                evidence = fs.evidence(node.path, f"named {base}" if library(base) else f"soname {facts.elf.soname}")
                yield _Witness(named.component, named.version, "library", named.confidence, evidence)


def _directories(fs: FileSystem) -> Iterator[_Witness]:
    for path, node in fs.nodes.items():
        if node.kind is not NodeKind.DIRECTORY:
            continue
        if match := _MODULE_DIRECTORY.match(path):
            yield _kernel(match[1], "directory", fs.evidence(path, f"modules of {match[1]}"))
        elif match := _PLUGIN_DIRECTORY.match(path):
            yield _Witness("ppp", match[1], "directory", "firm", fs.evidence(path, "plug-ins of pppd"))


def _modules(firmware: Firmware) -> Iterator[_Witness]:
    for fs in firmware.filesystems:
        seen: dict[str, int] = {}
        for node, facts in fs.files():
            magic = facts.elf.modinfo.get("vermagic", "") if facts.elf is not None else ""
            release = magic.split(" ", 1)[0]
            if not release or seen.get(release, 0) >= _MODULES_PER_ROOT:
                continue
            seen[release] = seen.get(release, 0) + 1
            yield _kernel(release, "module", fs.evidence(node.path, f"vermagic={magic}"))


def _configured(firmware: Firmware) -> Iterator[_Witness]:
    """The kernel that a configuration in the image was written for."""
    for each in configurations(firmware):
        if each.release:
            text = f"configuration of {each.release}"
            yield _kernel(each.release, "module", Evidence(location=each.location, text=text))


def _kernel(release: str, kind: Kind, evidence: Evidence) -> _Witness:
    version = kernel_release(release)
    return _Witness("linux_kernel", version, kind, "firm" if version else "tentative", evidence)


# --------------------------------------------------------------------------- package databases and the distribution


def _packages(fs: FileSystem, banners: list[_Witness]) -> Iterator[_Witness]:
    installed = packages(fs)
    if not installed:
        return
    chosen = _stand_ins(installed, fs)
    distribution = next((f"{each.name.removesuffix('_linux')}-{each.version}" for each in _distribution(fs)), "")
    seen = {
        (each.evidence.location.path, each.name, each.version) for each in banners if each.evidence.location.chain == fs.chain
    }
    for package in installed:
        name, version = chosen.get(package.name, (package.name, package.version))
        text = f"Package: {package.name} Version: {package.version}"
        stands = package.name in chosen
        if stands and (other := _own_word(fs, package, name, version, seen)):
            if version.startswith(f"{other}."):  # the same, told less exactly: 1.9 of 1.9.20141209
                version = other
            else:
                text += f" (but {other} is installed)"
                name, version, stands = package.name, package.version, False
        product = products().get(name)
        unnumbered = not stands and product is not None and bool(product.cpe)
        namespace = _SYSTEM_NAMES.get(package.system, "")
        yield _Witness(
            name=name,
            version=None if unnumbered else version,
            kind="package",
            confidence="certain",
            evidence=fs.evidence(package.path, text, line=package.line),
            package=package.version,
            licence=package.license,
            purl=purl(
                "generic" if package.system == "yocto" else package.system,
                package.name,
                package.version,
                namespace,
                arch=package.arch,
                distro=distribution,
            ),
        )


def _stand_ins(installed: list[Package], fs: FileSystem) -> dict[str, tuple[str, str]]:
    """For each project the package that stands for it: package name to (component, upstream version)."""
    best: dict[tuple[str, str], tuple[int, str]] = {}
    for package in installed:
        name = _project(package, fs)
        upstream = package.upstream
        if name is None or upstream is None:
            continue
        listed = products()[name].packages
        rank = listed.index(package.name) if package.name in listed else len(listed)
        known = best.get((name, upstream))
        if known is None or (rank, package.name) < known:
            best[name, upstream] = (rank, package.name)
    return {package: key for key, (_, package) in best.items()}


def _project(package: Package, fs: FileSystem) -> str | None:
    """The component a package stands for: by its name, by the CPE it states, or by the source it was built from."""
    if package.system == "opkg" and package.name == "libc":
        return _c_library(fs)
    if package.name in by_package():
        return by_package()[package.name]
    if package.name.startswith("kmod-"):  # numbered like the kernel, but not the kernel
        return None
    if package.cpe:
        return by_cpe().get(package.cpe)
    return package.source if package.source in products() and package.source != "linux" else None


def _c_library(fs: FileSystem) -> str | None:
    for node in [*fs.children("/lib"), *fs.children("/lib64")]:
        base = posixpath.basename(node.path)
        if base.startswith("ld-musl-"):
            return "musl"
        if base.startswith("ld-uClibc-1."):
            return "uclibc-ng"
        if base.startswith("ld-uClibc"):
            return "uclibc"
        if base.startswith(("ld-linux", "ld-2.")):
            return "glibc"
    return None


def _own_word(fs: FileSystem, package: Package, name: str, version: str, seen: set[tuple[str, str, str | None]]) -> str | None:
    """Another version that a file of this package says of itself, when none says the package's own."""
    folder = posixpath.join(posixpath.dirname(package.path), "" if package.path.endswith(".control") else "info")
    text = fs.text(posixpath.join(folder, f"{package.name}.list"))
    if text is None:
        return None
    files = {node.path for line in text.splitlines()[:5000] if (node := fs.resolve(line.strip())) is not None}
    versions = {each for path, component, each in seen if component == name and path in files and each is not None}
    return min(versions) if versions and version not in versions else None


def _distribution(fs: FileSystem) -> Iterator[_Witness]:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        values = _assignments(fs, path)
        version = values.get("VERSION_ID", "")
        if values.get("ID") and re.match(r"^\d", version):
            yield _system(fs, path, values["ID"].lower(), version, values.get("PRETTY_NAME", ""))
            return
    values = _assignments(fs, "/etc/openwrt_release")
    described = values.get("DISTRIB_DESCRIPTION", "")
    number = re.search(r"\b(\d{1,2}\.\d{2}(?:\.\d{1,2})?(?:-rc\d)?)\b", f"{values.get('DISTRIB_RELEASE', '')} {described}")
    if values.get("DISTRIB_ID") in ("OpenWrt", "LEDE") and number:
        yield _system(fs, "/etc/openwrt_release", values["DISTRIB_ID"].lower(), number[1], described)


def _system(fs: FileSystem, path: str, id: str, version: str, text: str) -> _Witness:
    return _Witness(_DISTRIBUTIONS.get(id, id), version, "release", "certain", fs.evidence(path, text or f"{id} {version}"))


def _assignments(fs: FileSystem, path: str) -> dict[str, str]:
    lines = (fs.text(path) or "").splitlines()[:200]
    return {match[1]: match[2] for line in lines if (match := _ASSIGNMENT.match(line))}
