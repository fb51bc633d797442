"""Alpine packages (apk v2): gzip members one behind the other, each a piece of one tar archive.

Layout (Alpine wiki, "Apk spec"): an optional signature member whose tar holds ``.SIGN.RSA.KEY`` (RSA over the SHA-1 of the next
member as packed) or ``.SIGN.RSA256.KEY``; the control member with ``.PKGINFO`` and the scripts, whose ``datahash`` is the SHA-256
of the data member as packed; the data member. Only the last piece has the end mark of a tar archive. An index of a repository
(``APKINDEX.tar.gz``) is the same: signature, and a member with ``DESCRIPTION`` and ``APKINDEX``. The algorithms are those of
``src/extract_v2.c`` of apk-tools: ``RSA`` over SHA-1, ``RSA256`` over SHA-256, ``RSA512`` over SHA-512, PKCS #1 v1.5.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from itertools import islice

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats import tar
from fwcheck.extraction.formats._checksums import digest_of, right_or_wrong
from fwcheck.extraction.formats._unpacked import fields
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource, Joined
from fwcheck.extraction.spool import spool
from fwcheck.model import SignedBlock

_PIECE = 1 << 16
_SIGNED = re.compile(rb"\.SIGN\.(DSA|RSA|RSA256|RSA512)\.(.*)")
_SHOWN = {"pkgname": "package", "pkgver": "version", "arch": "architecture", "origin": "source", "maintainer": "maintainer",
          "license": "licence"}  # fmt: skip
_SCRIPTS = (
    "/.pre-install",
    "/.post-install",
    "/.pre-upgrade",
    "/.post-upgrade",
    "/.pre-deinstall",
    "/.post-deinstall",
    "/.trigger",
)
_INFO_LIMIT = 1 << 20
_WRONG_DATA = "the SHA-256 of the data member is wrong"
_HASHES = {"RSA": "sha1", "RSA256": "sha256", "RSA512": "sha512"}
_SIGNATURES = 8
_SIGNATURE_LIMIT = 4096


class Member(msgspec.Struct, kw_only=True):
    """One gzip member: where it lies in the source, and what it unpacks to."""

    offset: int
    size: int
    content: ByteSource


class Apk(Format):
    """Alpine packages of version 2. A gzip stream is one when the first name in its tar archive says so."""

    name = "apk"
    title = "Alpine package and index (apk v2)"
    specification = "Alpine wiki, Apk spec"
    category = "archive"
    reads = (
        "signature, control and data members as one tree; fields of .PKGINFO; data hash recomputed; the signature is verified"
        " where a key is at hand"
    )
    not_read = "DSA signatures"
    signatures = (Signature(pattern=rb"\x1f\x8b\x08[\x00-\x1f].{4}[\x00\x02\x04].", width=10, anywhere=False),)
    priority = 31

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        first = _first_name(source, offset)
        if not first.startswith((b".SIGN.", b".PKGINFO", b"DESCRIPTION")):
            raise FormatError("a gzip stream that is no Alpine package")
        problems: list[str] = []
        members = _members(source, offset, limits, problems)
        archive = tar.Archive(Joined([each.content for each in members]), 0, limits)
        problems += [line for line in archive.problems if "end mark" not in line]
        signed = _SIGNED.fullmatch(first)
        end = members[-1].offset + members[-1].size
        detail = _description(archive)
        if not detail:
            raise FormatError("an Alpine package without .PKGINFO, and no index")
        bound = str(detail.pop("datahash", ""))
        detail |= _integrity(source, members, signed, bound, limits, problems)
        intact = _WRONG_DATA not in problems if bound else None
        entries = [msgspec.structs.replace(entry, offset=None) for entry in archive.entries]
        return Container(
            format=self.name, size=end - offset, entries=entries, detail=detail, problems=problems,
            signatures=_blocks(source, members, archive, limits, intact=intact),
        )  # fmt: skip


def _first_name(source: ByteSource, offset: int) -> bytes:
    """The name of the first tar header in a gzip member, as a few packed bytes tell it; empty when it is none."""
    try:
        head = zlib.decompressobj(31).decompress(source.peek(offset, 2048), 512)
    except zlib.error:
        return b""
    return head[:100].split(b"\0", 1)[0] if len(head) == 512 and tar.checked(head) else b""


def _members(source: ByteSource, offset: int, limits: Limits, problems: list[str]) -> list[Member]:
    """The gzip members, at most three; raises FormatError when the first does not unpack."""
    found: list[Member] = []
    at = offset
    while len(found) < 3 and source.peek(at, 3) == b"\x1f\x8b\x08":
        progress = [at]
        try:
            content = spool(bounded(_inflated(source, progress), source.size - at, limits))
        except FormatError as error:
            if not found:
                raise
            note(problems, f"member {len(found) + 1} cannot be read: {error}")
            break
        found.append(Member(offset=at, size=progress[0] - at, content=content))
        at = progress[0]
    if not found:
        raise FormatError("no gzip member")
    return found


def _inflated(source: ByteSource, progress: list[int]) -> Iterator[bytes]:
    """The content of the gzip member at ``progress[0]``, which is left behind its end."""
    decoder = zlib.decompressobj(31)
    at = progress[0]
    data: bytes | memoryview = b""
    try:
        while not decoder.eof:
            data = decoder.unconsumed_tail
            if not data:
                data = source.peek(at, _PIECE)
                at += len(data)
                if not data:
                    raise FormatError("the gzip member is cut off")
            if piece := decoder.decompress(data, 1 << 20):
                yield piece
    except zlib.error as error:
        raise FormatError(f"broken gzip member: {error}") from None
    progress[0] = at - len(decoder.unused_data)


def _description(archive: tar.Archive) -> dict[str, str | int]:
    files = {entry.path: entry.open for entry in archive.entries}
    read = files.get("/.PKGINFO")
    if read is None:
        return {"kind": "index of a repository"} if "/APKINDEX" in files else {}
    stored = fields(read().peek(0, _INFO_LIMIT), "=")
    detail: dict[str, str | int] = {shown: stored[name] for name, shown in _SHOWN.items() if stored.get(name)}
    if scripts := [path.lstrip("/.") for path in _SCRIPTS if path in files]:
        detail["scripts"] = ", ".join(scripts)
    if "datahash" in stored:
        detail["datahash"] = stored["datahash"]
    return detail


def _integrity(
    source: ByteSource, members: list[Member], signed: re.Match[bytes] | None, datahash: str, limits: Limits, problems: list[str]
) -> dict[str, str | int]:
    words = []
    if signed:
        words.append(f"{signed[1].decode()} signature of key {signed[2][:100].decode('utf-8', 'replace')} (not verified)")
    data = members[2 if signed else 1 :]
    if datahash:
        right = None
        if data:
            right = digest_of("sha256", source.window(data[0].offset, data[0].size), limits).hex() == datahash.lower()
        words.append(f"SHA-256 of the data {right_or_wrong(right)}")
        if right is False:
            note(problems, _WRONG_DATA)
    kind = "signature" if signed else "hash" if datahash else "none"
    return {"integrity": kind, "integrity_detail": "; ".join(words) or "no hash, no signature"}


def _blocks(
    source: ByteSource, members: list[Member], archive: tar.Archive, limits: Limits, *, intact: bool | None
) -> tuple[SignedBlock, ...]:
    """The signatures in front, over the member behind them as packed."""
    out: list[SignedBlock] = []
    for entry in islice(archive.entries, _SIGNATURES):
        named = _SIGNED.fullmatch(entry.path.lstrip("/").encode("utf-8", "surrogateescape"))
        if named is None or len(members) < 2 or entry.open is None or not 0 < entry.size <= _SIGNATURE_LIMIT:
            break
        kind = _HASHES.get(named[1].decode(), "")
        if kind:
            signed = source.window(members[1].offset, members[1].size)
            out.append(
                SignedBlock(
                    scheme="Alpine package", algorithm="RSA", hash=kind, padding="pkcs1v15", intact=intact, role="content",
                    signature=entry.open().read(0, entry.size), digest=digest_of(kind, signed, limits), covers="the package",
                    key_hint=f"key {named[2][:100].decode('utf-8', 'replace')!r}",
                )
            )  # fmt: skip
    return tuple(out)


FORMATS = (Apk(),)
