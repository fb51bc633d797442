"""Debian binary packages, and the two shapes of opkg packages (``ipk``).

deb(5): an ar archive of ``debian-binary`` (the line ``2.0``), ``control.tar`` and ``data.tar`` with the suffix of their
compressor; members whose names begin with an underscore are no part of the format (``_gpgorigin`` holds the signature of
debsigs). opkg: the same with ``control.tar.gz`` and ``data.tar.gz``, either as an ar archive or, as OpenWrt's
``ipkg-build`` makes it, as a gzip-packed tar archive whose first member is ``./debian-binary``.
"""

from __future__ import annotations

import re
import zlib

import msgspec

from fwcheck.extraction.errors import ExtractionError, FormatError, QuotaExceeded
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats import _openpgp_packets as pgp
from fwcheck.extraction.formats import tar
from fwcheck.extraction.formats._checksums import digest
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.formats._unpacked import fields, tar_files
from fwcheck.extraction.formats.ar import Archive
from fwcheck.extraction.formats.gzip import FORMATS as GZIP
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import member_path, note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind, SignedBlock

_SHOWN = ("package", "version", "architecture", "source", "maintainer", "depends")
_TAR = re.compile(r"(control|data)\.tar(\.[a-z0-9]+)?")
_SCRIPTS = ("preinst", "postinst", "prerm", "postrm", "config", "triggers")
_SIGNATURE_LIMIT, _SIGNATURES = 64 << 10, 4
_CONTROL_LIMIT = 1 << 20  # bytes of the file `control`


def description(control: ByteSource, limits: Limits, problems: list[str]) -> dict[str, str | int]:
    """What ``control.tar`` says of the package: the main fields, and which scripts run when it is installed."""
    try:
        files = {path.lstrip("/"): content for path, content in tar_files(control, limits).items()}
    except QuotaExceeded:
        raise
    except ExtractionError as error:
        note(problems, f"control.tar cannot be read: {error}")
        return {}
    if "control" not in files:
        note(problems, "control.tar holds no control file")
        return {}
    stored = fields(files["control"].peek(0, _CONTROL_LIMIT))
    detail: dict[str, str | int] = {name: stored[name] for name in _SHOWN if stored.get(name)}
    if scripts := [name for name in _SCRIPTS if name in files]:
        detail["scripts"] = ", ".join(scripts)
    return detail


class Deb(Format):
    """Debian packages; an ar archive whose control file opkg would read is an ``ipk``."""

    name = "deb"
    title = "Debian package"
    specification = "deb(5)"
    category = "archive"
    reads = (
        "control and data archives, packed with what is a format of its own; control fields; opkg's ar form; debsigs signatures"
    )
    not_read = "signatures of dpkg-sig, which hold sums of the members"
    signatures = (Signature(pattern=rb"!<arch>\ndebian-binary", width=21),)
    priority = 30

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        archive = Archive(source, offset, limits)
        first = archive.members[0]
        if first.name != "debian-binary" or not re.match(rb"\d+\.\d+\n", source.peek(first.data, 8)):
            raise FormatError("an ar archive that is no Debian package")
        problems = archive.problems
        entries, detail, signatures = [], dict[str, str | int](), []
        for one in archive.members:
            name = member_path(one.name)[0].lstrip("/")
            if one.name.startswith("_gpg"):
                signatures.append(one.name)
            entry = part(source, name or "unnamed", one.data, one.size, mtime=one.mtime)
            if not _TAR.fullmatch(name):
                entry.role = "meta" if one is first or one.name in signatures else "file"
                if entry.role == "file":
                    entry.path, entry.kind = f"/{name}", NodeKind.FILE
            entries.append(entry)
            if name.startswith("control.tar") and not detail:
                detail = description(source.window(one.data, one.size), limits, problems)
        if not any(entry.path.startswith("data.tar") for entry in entries):
            note(problems, "the package has no data.tar")
        if _for_opkg(archive):
            detail["variant"] = "ipk"
        detail = {"format_version": source.peek(first.data, 8).split(b"\n")[0].decode("latin-1"), **detail}
        return Container(
            format=self.name, size=archive.size, entries=entries, detail={**detail, **_integrity(signatures)}, problems=problems,
            signatures=_signed(source, archive),
        )  # fmt: skip


def _signed(source: ByteSource, archive: Archive) -> tuple[SignedBlock, ...]:
    """debsigs: OpenPGP signatures over the members of the format, one behind the other (debsigs(1), debsig-verify)."""
    held = [one for one in archive.members if one.name.startswith("_gpg") and one.size <= _SIGNATURE_LIMIT][:_SIGNATURES]
    covered = [(one.data, one.size) for one in archive.members if one.name == "debian-binary" or _TAR.fullmatch(one.name)]

    def hashed(name: str, trailer: bytes) -> bytes:
        return digest(name, source, *covered, behind=trailer)

    return tuple(
        block
        for one in held
        for block in pgp.blocks(
            pgp.signatures(source.read(one.data, one.size))[:2], hashed, "debsigs", f"the package ({one.name})"
        )
    )


def _for_opkg(archive: Archive) -> bool:
    """dpkg-deb writes ``debian-binary`` first, then ``control`` and then ``data``; ipkg-build and opkg-build swap those two."""
    names = [one.name.lstrip("./") for one in archive.members[1:3]]
    return len(names) == 2 and names[0].startswith("data.tar") and names[1].startswith("control.tar")


def _integrity(signatures: list[str]) -> dict[str, str | int]:
    if signatures:
        return {"integrity": "signature", "integrity_detail": f"OpenPGP signature in {', '.join(signatures)} (not verified)"}
    return {"integrity": "none", "integrity_detail": "no signature inside the package: repositories sign the index that lists it"}


class Ipk(Format):
    """opkg packages in the form of a gzip-packed tar archive."""

    name = "ipk"
    title = "opkg package"
    specification = "OpenWrt scripts/ipkg-build; opkg-utils"
    category = "archive"
    reads = "the gzip-packed tar form here, the ar form as a Debian package whose members are swapped; fields of the control file"
    not_read = "packages that lie inside another file at an odd place: the gzip-packed form counts at the beginning of a source"
    signatures = (Signature(pattern=rb"\x1f\x8b\x08[\x00-\x1f].{4}[\x00\x02\x04].", width=10, anywhere=False),)
    priority = 30

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        if not _tar_of_a_package(source, offset):
            raise FormatError("a gzip stream that is no opkg package")
        outer = GZIP[0].open(source, offset, limits)
        stream = next(iter(outer.entries), None)
        if stream is None or stream.open is None:
            raise FormatError("an empty gzip stream")
        inner = stream.open()
        archive = tar.Archive(inner, 0, limits)
        problems = [*outer.problems, *archive.problems]
        entries: list[Entry] = []
        detail: dict[str, str | int] = {}
        for entry in archive.entries:
            name = entry.path.lstrip("/")
            if entry.open is None:
                continue
            if name.startswith("control.tar") and not detail:
                detail = description(entry.open(), limits, problems)
            role = "part" if _TAR.fullmatch(name) else "meta" if name == "debian-binary" else "file"
            path, kind = (entry.path, NodeKind.FILE) if role == "file" else (name, NodeKind.REGION)
            entries.append(msgspec.structs.replace(entry, role=role, path=path, kind=kind, offset=None))
        if not detail:
            raise FormatError("no control file of a package")
        return Container(
            format=self.name, size=outer.size, entries=entries, detail={**detail, **_integrity([])}, problems=problems
        )


def _tar_of_a_package(source: ByteSource, offset: int) -> bool:
    """Whether the first member of a gzip-packed tar archive is one of an opkg package: a few packed bytes tell."""
    try:
        head = zlib.decompressobj(31).decompress(source.peek(offset, 2048), 512)
    except zlib.error:
        return False
    name = head[:100].split(b"\0", 1)[0].removeprefix(b"./")
    return name in (b"debian-binary", b"control.tar.gz", b"data.tar.gz", b"") and len(head) == 512 and tar.checked(head)


FORMATS = (Deb(), Ipk())
