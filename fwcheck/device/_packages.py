"""Package databases of a root file system: opkg, dpkg and apk, read from their text.

Formats: opkg and dpkg write RFC 822 stanzas (deb-control(5)); apk writes one-letter fields (``P:`` name, ``V:`` version,
``A:`` architecture, ``o:`` origin), stanzas separated by an empty line (apk-tools, ``src/database.c``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from fwcheck.device.firmware import FileSystem

_OPKG = ("/usr/lib/opkg/status", "/var/lib/opkg/status", "/lib/opkg/status", "/opt/lib/opkg/status", "/usr/lib/ipkg/status")
_OPKG_INFO = ("/usr/lib/opkg/info", "/var/lib/opkg/info", "/lib/opkg/info", "/usr/lib/ipkg/info")
_DPKG = ("/var/lib/dpkg/status", "/usr/lib/dpkg/status")
_DPKG_PARTS = "/var/lib/dpkg/status.d"
_APK = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")
_NOTED = ("/var/lib/rpm", "/usr/lib/sysimage/rpm", "/usr/share/common-licenses/license.manifest")
_FIELD = re.compile(r"^([A-Za-z][A-Za-z0-9-]*):[ \t]*(.*)$")
_LIMIT = 20_000  # stanzas of one database
_DATE = re.compile(r"^(19|20)\d\d-[01]\d-[0-3]\d")
_REVISION = re.compile(r"-r?\d+(\.\d+)?$")
_UPSTREAM = re.compile(r"^[a-z]?\d+[a-z]?([._]\d+)*[a-z]{0,2}\d*([-._]?(rc|pre|beta|alpha|p)\d*)?$")


class Package(NamedTuple):
    """One installed package: where its stanza begins, and what it says."""

    system: str  # "opkg", "deb", "apk", "rpm", "yocto"
    name: str
    version: str
    arch: str
    source: str
    cpe: str  # "vendor:product", when the package names one
    path: str
    line: int
    license: str = ""

    @property
    def upstream(self) -> str | None:
        """The version of the project without epoch and package revision; None for a date, a commit or a package's own number."""
        version = self.version.split(":", 1)[1] if re.match(r"^\d+:", self.version) else self.version
        if _DATE.match(version):
            return None
        if self.system == "deb":
            version = version.rsplit("-", 1)[0]
            version = re.split(r"[+~](?:dfsg|ds|really|repack|deb)", version)[0]
        elif self.system == "rpm":
            version = version.rsplit("-", 1)[0]
        elif self.system == "apk":
            version = version.replace("_", "").split("-r", 1)[0]
        elif self.name == "kernel":
            version = re.split(r"[-~]", version, maxsplit=1)[0]
        else:
            version = _REVISION.sub("", version)
        return version if _UPSTREAM.match(version) and re.search(r"\d", version) else None


def packages(fs: FileSystem) -> list[Package]:
    """Every installed package that the databases of one file system name, in order of place."""
    found: dict[tuple[str, str], Package] = {}
    for package in _all(fs):
        known = found.get((package.system, package.name))
        if known is None:
            found[package.system, package.name] = package
        elif known.version == package.version:  # the control file knows more than the status file
            found[package.system, package.name] = known._replace(
                source=known.source or package.source, cpe=known.cpe or package.cpe, arch=known.arch or package.arch
            )
    return list(found.values())


def _all(fs: FileSystem) -> Iterator[Package]:
    for path in _OPKG:
        yield from _stanzas(fs, path, "opkg")
    for folder in _OPKG_INFO:
        for node in fs.children(folder):
            if node.path.endswith(".control"):
                yield from _stanzas(fs, node.path, "opkg")
    for path in _DPKG:
        yield from _stanzas(fs, path, "deb")
    for node in fs.children(_DPKG_PARTS):
        if not node.path.endswith(".md5sums"):
            yield from _stanzas(fs, node.path, "deb")
    for path in _APK:
        yield from _apk(fs, path)
    yield from _noted(fs)


def _noted(fs: FileSystem) -> Iterator[Package]:
    """Packages that inspection read from databases and manifests: RPM's, and the list that a Yocto build leaves behind."""
    for path in _NOTED:
        here = fs.resolve(path)
        for node in ([here] if here is not None else []) + fs.children(path):
            facts = fs.facts_of(node)
            for each in facts.packages if facts is not None else ():
                if each.ecosystem in ("rpm", "yocto"):
                    yield Package(each.ecosystem, each.name, each.version, each.arch, each.source, "", node.path, 1, each.license)


def _stanzas(fs: FileSystem, path: str, system: str) -> Iterator[Package]:
    for line, fields in _blocks(fs, path, _FIELD):
        status = fields.get("Status", "install ok installed").split()
        if not fields.get("Package") or not fields.get("Version") or status[-1] not in ("installed", "unpacked"):
            continue
        identity = re.match(r"cpe:(?:/|2\.3:)[aoh]:([^:]+:[^:]+)", fields.get("CPE-ID", ""))
        source = fields.get("Source", "").split("(")[0].strip().rstrip("/").rsplit("/", 1)[-1]
        yield Package(
            system=system,
            name=fields["Package"],
            version=fields["Version"],
            arch=fields.get("Architecture", ""),
            source=source,
            cpe=identity[1] if identity else "",
            path=path,
            line=line,
            license=fields.get("License", "")[:200],
        )


def _apk(fs: FileSystem, path: str) -> Iterator[Package]:
    for line, fields in _blocks(fs, path, re.compile(r"^([A-Za-z]):(.*)$")):
        if fields.get("P") and fields.get("V"):
            yield Package(
                "apk",
                fields["P"],
                fields["V"],
                fields.get("A", ""),
                fields.get("o", ""),
                "",
                path,
                line,
                fields.get("L", "")[:200],
            )


def _blocks(fs: FileSystem, path: str, field: re.Pattern[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Stanzas with the line they begin on (1-based); the first value of a repeated field stands."""
    text = fs.text(path)
    if text is None:
        return
    fields: dict[str, str] = {}
    begun, count = 1, 0
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.strip():
            if not fields:
                begun = number
            if match := field.match(line):
                fields.setdefault(match[1], match[2].strip())
        elif fields:
            yield begun, fields
            fields = {}
            count += 1
            if count >= _LIMIT:
                return
