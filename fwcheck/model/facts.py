"""Facts: what one distinct content says, whatever tree it stands in."""

from __future__ import annotations

import re
from typing import Literal

from fwcheck.model.value import Value

_PIECES = re.compile(r"[0-9]+|[a-z]+")  # of a version


class ElfFacts(Value, frozen=True, kw_only=True):
    """What one ELF file says of itself. ``None`` means that the file does not allow an answer."""

    machine: str  # "mips", "arm", "aarch64", "x86_64", "riscv", ...
    bits: Literal[32, 64]
    endian: Literal["little", "big"]
    type: Literal["executable", "shared", "relocatable", "core", "other"]
    interpreter: str | None = None
    soname: str | None = None
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()  # names of undefined dynamic symbols, sorted
    exports: tuple[str, ...] = ()  # names of defined dynamic symbols, sorted, at most 4,096
    symbol_versions: tuple[str, ...] = ()  # "GLIBC_2.17", "OPENSSL_1_1_0", ...
    nx: bool | None = None
    pie: bool | None = None
    relro: Literal["none", "partial", "full"] | None = None
    canary: bool | None = None
    fortify: bool | None = None
    stripped: bool | None = None
    dwarf: bool = False
    build_id: str | None = None
    comment: tuple[str, ...] = ()  # .comment strings: compilers
    notes: tuple[str, ...] = ()  # "GNU ABI linux 3.2.0", ...
    attributes: tuple[str, ...] = ()  # .ARM.attributes / .gnu.attributes in words
    modinfo: dict[str, str] = {}  # kernel module: vermagic, license, depends, ...
    reader: Literal["direct", "lief", "pyelftools"] = "lief"


class KeyFact(Value, frozen=True, kw_only=True):
    """Key material at ``offset``: ``private`` tells a secret from a public half."""

    offset: int
    container: str  # "PEM", "DER", "OpenSSH", "PKCS#8", "PKCS#12", "dropbear", "SSH public", "usign", ...
    algorithm: str  # "RSA", "EC", "DSA", "Ed25519", "unknown"
    bits: int | None = None
    private: bool = False
    encrypted: bool = False
    valid: bool = False  # parsed by cryptography; False: only the shape was seen
    fingerprint: str | None = None  # SHA-256 of the DER SubjectPublicKeyInfo, hexadecimal
    comment: str = ""
    published: str = ""  # whose published test key it is: no secret of this device; "" when it is not known as one
    public: bytes = b""  # DER SubjectPublicKeyInfo of the key or of its public half, at most 2 KiB


class CertificateFact(Value, frozen=True, kw_only=True):
    """An X.509 certificate at ``offset``."""

    offset: int
    subject: str
    issuer: str
    serial: str
    not_before: str  # ISO 8601
    not_after: str
    signature_hash: str | None
    key_algorithm: str
    key_bits: int | None
    key_fingerprint: str  # SHA-256 of the DER SubjectPublicKeyInfo, hexadecimal
    public: bytes = b""  # the DER SubjectPublicKeyInfo, at most 2 KiB
    is_ca: bool = False
    self_signed: bool = False
    usage: tuple[str, ...] | None = None  # key usages as in RFC 5280 ("digitalSignature", ...); None: it restricts nothing
    purposes: tuple[str, ...] | None = None  # extended key usages as OIDs; None: it restricts nothing


class BannerHit(Value, frozen=True, kw_only=True):
    """A version banner of the built-in catalogue found in a content."""

    component: str
    version: str
    offset: int
    text: str  # the matched bytes, printable, at most 120 characters
    pattern: str  # id of the catalogue entry
    confidence: Literal["certain", "firm", "tentative"] = "firm"


class PackageFact(Value, frozen=True, kw_only=True):
    """A package that a content says is installed or linked in: metadata of a language's packages, a build's own list, an SBOM."""

    ecosystem: str  # type of its package URL: "pypi", "npm", "maven", "golang", "cargo", "rpm", ... or "sbom"
    name: str
    version: str
    offset: int = 0
    arch: str = ""
    source: str = ""  # package it was built from
    license: str = ""
    purl: str = ""  # as the document gives it
    cpe: str = ""


class PatternHit(Value, frozen=True, kw_only=True):
    """A hit of a built-in secret shape or of a YARA rule."""

    rule: str
    offset: int
    text: str  # masked if the rule says that it is a secret
    meta: dict[str, str] = {}
    secret: str = ""  # what is masked; never written to the cache


class CallFact(Value, frozen=True, kw_only=True):
    """A call in a program's code, with the arguments that are constant there. It says nothing of whether the call is reached."""

    function: str  # name of the imported function, or of one of this file
    arguments: tuple[str | int | None, ...] = ()  # texts (at most 240 characters) and numbers; None: not known
    offset: int = 0  # of the calling instruction in the file: of the first such call
    caller: str = ""  # name of the function around it, where a symbol names it
    within: int | None = None  # where that function begins in the file: tells what stands in one function without names
    count: int = 1  # such calls in this function
    result_used: bool | None = None  # the code tests the result (only told of functions that verify signatures)
    role: str = ""  # in updates: fetch, receive, unpack, verify, compare, write, set, restart; "": none


class GuardFact(Value, frozen=True, kw_only=True):
    """How a program's code goes from a call that checks a signature to one that writes software. Only what was followed is told.

    ``guards``: every way to the write passes a check, and none leads there once it failed; ``behind``: the check comes after the
    write alone; ``passable``: a way to the write leads round the check.
    """

    check: int  # offset of the checking call in the file
    write: int  # offset of the writing call
    state: Literal["guards", "behind", "passable"]
    through: tuple[int, ...] = ()  # offsets of the calls into other functions of the program that lie between them


class Table(Value, frozen=True, kw_only=True):
    """The first rows of a database table that holds users or settings. ``numbers`` are the row ids."""

    name: str
    columns: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    rows: tuple[tuple[str | None, ...], ...] = ()  # bytes that are no text are given in hexadecimal


class ReleaseSpan(Value, frozen=True, kw_only=True):
    """Between which releases of a component a content was made: from ``first``, older than ``before``; empty where it is open."""

    component: str
    first: str = ""
    before: str = ""
    offset: int
    text: str  # what tells it

    def holds(self, version: str) -> bool:
        """Whether a release lies between the two."""
        place = release_order(version)
        return (not self.first or place >= release_order(self.first)) and (not self.before or place < release_order(self.before))


def release_order(version: str) -> tuple[tuple[int, int, str], ...]:
    """What plain releases are sorted by: numbers, and letters behind them (1.1.1 before 1.1.1i)."""
    pieces = _PIECES.findall(version.lower())
    return tuple((1, int(piece[:18]), "") if piece.isdigit() else (2, 0, piece) for piece in pieces)


class Facts(Value, frozen=True, kw_only=True):
    """What one distinct content says, whatever tree it stands in. Cached by ``sha256``."""

    sha256: str
    size: int
    kind: str  # "empty", "elf", "script", "text", "binary", "png", "gzip", "squashfs", ...
    interpreter: str | None = None  # of a script: the first line's program, e.g. "/bin/sh"
    entropy: float | None = None  # bits per byte, where it was worth computing
    elf: ElfFacts | None = None
    keys: tuple[KeyFact, ...] = ()
    certificates: tuple[CertificateFact, ...] = ()
    banners: tuple[BannerHit, ...] = ()
    packages: tuple[PackageFact, ...] = ()
    spans: tuple[ReleaseSpan, ...] = ()
    parts: tuple[str, ...] = ()  # "busybox:awk": of programs with parts to choose, those they may be built with
    patterns: tuple[PatternHit, ...] = ()
    yara: tuple[PatternHit, ...] = ()
    calls: tuple[CallFact, ...] = ()  # of programs that run commands, ask for passwords, verify or encrypt
    guards: tuple[GuardFact, ...] = ()  # of programs that verify and write
    check_words: tuple[str, ...] = ()  # of programs that write software: words in them that speak of checks
    problems: tuple[str, ...] = ()  # what an inspector could not read, in words
    text: str | None = None  # decoded content of scripts and configuration (bounded); never written to the cache
    tables: tuple[Table, ...] = ()  # of databases: users and settings (bounded); never written to the cache
