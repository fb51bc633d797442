"""RPM packages: lead, signature header, main header, and a compressed cpio archive.

Layout (rpm.org, "RPM V4 Package format"; Linux Standard Base, "Package File Format"): a lead of 96 bytes (``ED AB EE DB``,
version, type, architecture, name, signature type 5), the signature header filled up to eight bytes, the main header, the
payload. The signature header gives the length of what follows it and digests of the main header; that gives the digest of the
payload.
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats import _openpgp_packets as pgp
from fwcheck.extraction.formats._checksums import digest, digest_of, right_or_wrong
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.formats._rpm_header import Header
from fwcheck.extraction.formats._unpacked import compression
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import SignedBlock

LEAD = 96
# Tags of the signature header, then of the main one (include/rpm/rpmtag.h)
_SIZE, _LONG_SIZE, _MD5, _SHA1_HEADER, _SHA256_HEADER = 1000, 270, 1004, 269, 273
_SIGNATURES = {267: "DSA over the header", 268: "RSA over the header", 278: "OpenPGP over the header",
               1002: "OpenPGP over header and payload", 1005: "OpenPGP DSA over header and payload"}  # fmt: skip
_OVER_BOTH = (1002, 1005)
_SHOWN = {"package": 1000, "version": 1001, "release": 1002, "architecture": 1022, "licence": 1014, "vendor": 1011,
          "source": 1044, "build_host": 1007}  # fmt: skip
_FORMAT, _COMPRESSOR, _PAYLOAD_DIGEST, _PAYLOAD_ALGORITHM = 1124, 1125, 5092, 5093
_SCRIPTS = {1023: "pre", 1024: "post", 1025: "preun", 1026: "postun", 1151: "pretrans", 1152: "posttrans"}
_ALGORITHMS = {1: "md5", 2: "sha1", 8: "sha256", 9: "sha384", 10: "sha512", 11: "sha224"}  # those of OpenPGP


class Rpm(Format):
    """RPM packages of version 3 and 4 (and 6, which keeps the layout)."""

    name = "rpm"
    title = "RPM package"
    specification = "rpm.org, RPM V4 Package format"
    category = "archive"
    reads = "lead, both headers, payload with any compressor; SHA-256, SHA-1 and MD5 digests of header and payload recomputed"
    not_read = "DSA signatures are told, not verified; delta RPMs"
    signatures = (Signature(pattern=rb"\xed\xab\xee\xdb[\x03\x04].\x00[\x00\x01]", width=8),)
    priority = 30

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, major, kind, signature_type = struct.unpack(">4sBxH70xH", source.read(offset, 80))
        if magic != b"\xed\xab\xee\xdb" or major not in (3, 4) or kind > 1 or signature_type != 5:
            raise FormatError("no RPM lead")
        signature = Header(source, offset + LEAD)
        begin = signature.offset + signature.size + -signature.size % 8
        main = Header(source, begin)
        payload = begin + main.size
        problems: list[str] = []
        size = _payload_size(source, signature, main, problems)
        detail = _description(main, "source" if kind else "binary")
        detail |= _checked(source, signature, main, size, limits, problems)
        return Container(
            format=self.name, size=payload + size - offset, entries=_entries(source, signature, main, payload, size),
            detail=detail, problems=problems, signatures=_signed(source, signature, main, size),
        )  # fmt: skip


def _signed(source: ByteSource, signature: Header, main: Header, payload: int) -> tuple[SignedBlock, ...]:
    """OpenPGP signatures over the main header, whose digests bind the payload, or over both."""
    found: list[SignedBlock] = []
    for tag, words in _SIGNATURES.items():
        size = main.size + (payload if tag in _OVER_BOTH else 0)
        covers = "header and payload" if tag in _OVER_BOTH else "header, with the digest of the payload"

        def hashed(name: str, trailer: bytes, size: int = size) -> bytes:
            return digest(name, source, (main.offset, size), behind=trailer)

        held = pgp.signatures(signature.binary(tag))[:2]
        found += pgp.blocks(held, hashed, "RPM", f"{covers} ({words.split(' over')[0]})")
    return tuple(found)


def _payload_size(source: ByteSource, signature: Header, main: Header, problems: list[str]) -> int:
    """The signature header counts from the main header to the end; without that the payload goes to the end of the source."""
    rest = source.size - main.offset - main.size
    stored = signature.number(_LONG_SIZE)
    stored = signature.number(_SIZE) if stored is None else stored
    if stored is None or stored < main.size:
        note(problems, "the package does not say how long it is: the payload is taken to the end")
        return rest
    if stored - main.size > rest:
        note(problems, f"a payload of {stored - main.size} bytes, of which {rest} are there")
    return min(stored - main.size, rest)


def _description(main: Header, kind: str) -> dict[str, str | int]:
    detail: dict[str, str | int] = {"type": kind}
    detail |= {name: text[:200] for name, tag in _SHOWN.items() if (text := main.text(tag))}
    detail["compressor"] = main.text(_COMPRESSOR) or "gzip"
    if scripts := [name for tag, name in _SCRIPTS.items() if tag in main]:
        detail["scripts"] = ", ".join(scripts)
    return detail


def _checked(
    source: ByteSource, signature: Header, main: Header, payload: int, limits: Limits, problems: list[str]
) -> dict[str, str | int]:
    """Every digest there is, recomputed; the words that tell the result."""
    header = source.window(main.offset, main.size)
    body = source.window(main.offset + main.size, payload)
    both = source.window(main.offset, main.size + payload)
    words = []
    stored = (
        ("SHA-256 of the header", "sha256", header, signature.text(_SHA256_HEADER)),
        ("SHA-1 of the header", "sha1", header, signature.text(_SHA1_HEADER)),
        ("MD5 of header and payload", "md5", both, signature.binary(_MD5).hex()),
        ("digest of the payload", _ALGORITHMS.get(main.number(_PAYLOAD_ALGORITHM) or 0, ""), body, main.text(_PAYLOAD_DIGEST)),
    )
    for name, algorithm, covered, value in stored:
        if value and algorithm:
            right = digest_of(algorithm, covered, limits).hex() == value.lower()
            words.append(f"{name} {right_or_wrong(right)}")
            if not right:
                note(problems, f"{name} is wrong")
    signed = [name for tag, name in _SIGNATURES.items() if tag in signature]
    kind = "signature" if signed else "hash" if words else "none"
    words = [f"signature: {name} (not verified)" for name in signed] + words
    return {"integrity": kind, "integrity_detail": "; ".join(words) or "no digest, no signature"}


def _entries(source: ByteSource, signature: Header, main: Header, payload: int, size: int) -> list[Entry]:
    entries = [part(source, name, each.offset, each.size) for name, each in (("signature", signature), ("header", main))]
    for entry in entries:
        entry.role = "meta"
    if size:
        packed = compression(source.window(payload, size))
        suffix = f".{packed}" if packed != "none" else ""
        entries.append(part(source, f"payload.{main.text(_FORMAT) or 'cpio'}{suffix}", payload, size))
    return entries


FORMATS = (Rpm(),)
