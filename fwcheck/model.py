"""The nouns every stage speaks: frozen, typed, serialisable values and nothing else.

Everything a stage hands to the next one is defined here, so that no stage needs to import another.
Field names of the report part are those of the published JSON report (see ``fwcheck/reports/report.schema.json``).
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Literal

import msgspec

from fwcheck.declaration import Declaration

SCHEMA_VERSION = "1.0"
_PIECES = re.compile(r"[0-9]+|[a-z]+")  # of a version


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all nouns: immutable, comparable, picklable, JSON-serialisable."""


# --------------------------------------------------------------------------- firmware tree


class NodeKind(StrEnum):
    """What a node of the firmware tree is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    DEVICE = "device"  # character or block device, FIFO, socket
    CONTAINER = "container"
    REGION = "region"  # carved bytes that are no container: padding, unknown, encrypted


class SignedBlock(Value, frozen=True, kw_only=True):
    """A signature that a container carries, ready to be verified with any public key: what it covers has been hashed already.

    One of ``digest``, ``message`` and ``span`` says what is signed: a digest in the hash named (RSA, ECDSA), a short message, or
    a range of the image file (offset, length in bytes) for schemes that take the whole message (Ed25519).
    """

    scheme: str  # "FIT configuration", "MCUboot", "SWUpdate", "RAUC", ...
    algorithm: Literal["RSA", "ECDSA", "Ed25519", "unknown"] = "unknown"
    hash: str = "sha256"
    padding: Literal["", "pkcs1v15", "pss"] = ""
    signature: bytes = b""  # RSA: big-endian; ECDSA: DER; Ed25519: 64 bytes
    digest: bytes = b""
    message: bytes = b""
    span: tuple[int, int] | None = None
    carried: bytes = b""  # the key or certificate that came with it, DER
    chain: tuple[bytes, ...] = ()  # further certificates that came with it, DER
    vouched: tuple[bytes, ...] = ()  # message and signature (Ed25519, RSA) by which another key vouches for the one carried
    key_hint: str = ""  # what it says of its key: a name, a key identifier, the hash of the key
    covers: str = ""  # in words
    intact: bool | None = None  # whether hashes that the signed message holds fit the content; None: it holds none
    bound: bytes = b""  # of one that stands apart from its content: the digest that the signed message holds of it
    # What is signed: the image that is handed over, a program or package in it, or a file beside the one with the signature.
    role: Literal["update", "content", "detached"] = "update"


class Node(Value, frozen=True, kw_only=True):
    """One thing found in the image, addressed by its chain.

    ``chain`` names every container from the image down, e.g. ``("router.bin", "trx@0x0", "squashfs@0x1c0000")``; ``path`` is
    the path inside the innermost file system (absolute, POSIX), or the hexadecimal offset for a carved region. ``offset`` is
    the byte offset inside the parent source where the node's bytes begin, when they are contiguous there.
    """

    chain: tuple[str, ...]
    path: str
    kind: NodeKind
    size: int = 0  # bytes
    mode: int = 0  # POSIX permission bits with setuid, setgid, sticky (0o7777)
    uid: int = 0
    gid: int = 0
    mtime: int = 0  # seconds since the epoch, as stored
    target: str | None = None  # symbolic link target as stored
    device: str | None = None  # "c 5:1", "b 31:0", "fifo", "socket"
    format: str | None = None  # container format, or region class
    offset: int | None = None
    sha256: str | None = None  # of a file's content
    detail: dict[str, str | int] = {}  # header fields worth showing (image name, load address, compression ...)
    signatures: tuple[SignedBlock, ...] = ()  # of a container, or of a file that carries its signature
    keys: tuple[bytes, ...] = ()  # public keys a container holds to verify others with, DER SubjectPublicKeyInfo

    @property
    def label(self) -> str:
        """The whole address on one line, for people."""
        return " › ".join((*self.chain, self.path)) if self.path else " › ".join(self.chain)

    @property
    def place(self) -> str:
        """The path through all file systems on the way: what an archive or a compressed page holds stands where that is."""
        outer = "".join(each for each in self.chain if each.startswith("/"))
        return outer + self.path if self.path.startswith("/") else outer or self.path


class Gap(Value, frozen=True, kw_only=True):
    """Something that could not be read, and why: every limit of the analysis is one of these."""

    node: str  # Node.label or chain joined the same way
    reason: str
    bytes: int = 0  # bytes of the image or of the content that stayed unread


class Span(Value, frozen=True, kw_only=True):
    """A range of the image, for the map: what its bytes are, and the container they belong to where one claims them."""

    offset: int
    length: int
    kind: Literal["explained", "padding", "unknown", "encrypted"]
    label: str = ""  # "squashfs@0x1c0000"


class Coverage(Value, frozen=True, kw_only=True):
    """Every byte of the image accounted for: the four ``bytes_*`` classes add up to ``bytes_total``."""

    bytes_total: int = 0
    bytes_explained: int = 0
    bytes_padding: int = 0
    bytes_unknown: int = 0
    bytes_encrypted: int = 0  # suspected: high entropy, no known structure
    files: int = 0  # regular and special files of all file systems and archives; directories and links do not count
    gaps: tuple[Gap, ...] = ()
    spans: tuple[Span, ...] = ()  # the image in order, at most some hundred ranges; empty when nobody drew the map
    entropy: tuple[float, ...] = ()  # bits per byte (0 to 8) at the beginning of each of up to 256 equal steps of the image


# --------------------------------------------------------------------------- facts (one content)


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
    reader: Literal["lief", "pyelftools"] = "lief"


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


# --------------------------------------------------------------------------- device


class Location(Value, frozen=True, kw_only=True):
    """Where a fact stands: container chain, path, and byte offset or line (1-based)."""

    chain: tuple[str, ...] = ()
    path: str = ""
    offset: int | None = None
    line: int | None = None


class Evidence(Value, frozen=True, kw_only=True):
    """The bytes a statement rests on, masked where they are secret."""

    location: Location
    text: str = ""


class Account(Value, frozen=True, kw_only=True):
    """An account of the shipped image. ``secret`` is the password field as stored; it never reaches a report unmasked."""

    name: str
    uid: int | None = None
    gid: int | None = None
    shell: str = ""
    home: str = ""
    password: Literal["empty", "locked", "hash", "none"] = "none"
    scheme: Literal["des", "md5", "sha256", "sha512", "bcrypt", "yescrypt", "other"] | None = None
    cracked: bool = False
    login: bool | None = None  # shell allows a login; None: not decidable
    file: str = ""
    root: str = ""  # label of the file system it belongs to
    secret: str = ""
    plain: str = ""  # the cracked password
    evidence: tuple[Evidence, ...] = ()


class Remark(Value, frozen=True, kw_only=True):
    """A setting of a service that is worth knowing: ``topic`` is a fixed word ("anonymous-write", "old-tls", ...)."""

    topic: str
    detail: str = ""
    certain: bool = True  # False: only the default of a version that is not known says so
    evidence: Evidence


class KeyFile(Value, frozen=True, kw_only=True):
    """A file with a private key that a service uses, and the line, argument or call that says so."""

    path: str
    root: str = ""  # label of the file system that holds it
    evidence: Evidence


class Service(Value, frozen=True, kw_only=True):
    """A program the shipped default may start.

    ``applet``: the applet of the multi-call binary that it is a link to. ``configuration``: the lines ("file:line") that decide
    address, authentication and encryption. ``keys``: private keys of the image that it uses. ``reachable_from``: the widest
    network from which the shipped firewall and addresses let somebody connect; "local" is the device itself.
    """

    name: str
    program: str
    arguments: str = ""
    enabled: Literal["yes", "no", "unknown"] = "unknown"
    user: str = ""
    started_by: str = ""  # file:line, or the unit
    condition: str = ""  # what has to hold, when it is started under a condition
    protocol: str = ""  # "telnet", "ssh", "http", ...
    authentication: Literal["none", "password", "key", "certificate", "unknown"] = "unknown"
    reachable: Literal["yes", "loopback", "no", "unknown"] = "unknown"
    present: bool = True  # the program is in the image
    root: str = ""
    applet: str = ""  # "busybox telnetd"
    encryption: Literal["none", "tls", "ssh", "optional", "unknown"] = "unknown"
    reachable_from: Literal["wan", "lan", "local", "unknown"] = "unknown"
    configuration: tuple[str, ...] = ()
    keys: tuple[KeyFile, ...] = ()
    remarks: tuple[Remark, ...] = ()
    evidence: tuple[Evidence, ...] = ()


class Listener(Value, frozen=True, kw_only=True):
    """A port that a service opens."""

    port: int | None
    protocol: str  # "tcp", "udp"
    address: str  # "0.0.0.0", "127.0.0.1", ...
    service: str
    interface: str = ""  # answers on this interface alone
    root: str = ""
    tls: bool | None = None
    reachable_from: Literal["wan", "lan", "local", "unknown"] = "unknown"
    decided_by: tuple[Evidence, ...] = ()  # the firewall rule, policy or address that says so
    evidence: tuple[Evidence, ...] = ()


class Console(Value, frozen=True, kw_only=True):
    """A login or shell on a serial or virtual console."""

    tty: str
    command: str
    authenticated: bool | None = None
    root: str = ""
    evidence: tuple[Evidence, ...] = ()


StepAction = Literal["fetch", "receive", "unpack", "verify", "compare", "write", "set", "run", "restart"]


class UpdateStep(Value, frozen=True, kw_only=True):
    """One step of an update path, in the order in which the device takes it.

    ``fetch`` and ``receive`` bring the software in, ``verify`` checks a signature, ``compare`` a hash or a checksum, ``write``
    brings it to flash, ``set`` tells the boot loader, ``run`` starts something out of it. Of checks, ``honoured`` says whether a
    failure keeps the software from being written.
    """

    action: StepAction
    what: str  # in words: "certificate of the server is not checked", "RSA signature over /tmp/fw.bin"
    check: Literal["", "signature", "hash", "checksum"] = ""
    honoured: Literal["", "yes", "no", "unknown"] = ""
    reason: str = ""  # why a check is not honoured: "|| true", "status never asked for", "stands behind the write"
    evidence: Evidence | None = None


class UpdatePath(Value, frozen=True, kw_only=True):
    """One way new software reaches the flash, and what stands in its way.

    ``verified`` is the weakest check that every way to the write has to pass. ``transport`` is about what the software, or the
    hash it is compared with, comes over: ``authenticated`` (TLS with the certificate checked), ``unchecked`` (TLS without),
    ``plain`` (no TLS), ``none`` (not over a network).
    """

    source: str  # "web upload", "http download", "container", ...
    sink: str  # "mtd write", "swupdate", "bootloader", ...
    verified: Literal["signature", "hash", "checksum", "none", "unknown"] = "unknown"
    mechanism: str = ""
    detail: str = ""
    root: str = ""
    steps: tuple[UpdateStep, ...] = ()
    transport: Literal["authenticated", "unchecked", "plain", "none", "unknown"] = "unknown"
    automatic: Literal["yes", "no", "unknown"] = "unknown"  # started by the device itself, by its defaults
    rollback: Literal["protected", "unprotected", "unknown"] = "unknown"  # whether an older version is refused
    slots: str = ""  # "A/B", "single", or "" where the image does not tell
    evidence: tuple[Evidence, ...] = ()


class ImageSignature(Value, frozen=True, kw_only=True):
    """A signature of the image or of a part of it, and what became of verifying it.

    ``valid``: it fits the content and the key named; ``invalid``: the content was changed after signing, or the key that came
    with it does not fit; ``unverified``: no key at hand fits, or none is at hand. A valid signature says who signed, not that
    the device checks it.
    """

    scheme: str
    algorithm: str  # "RSA-2048", "ECDSA P-256", "Ed25519", "unknown"
    covers: str
    state: Literal["valid", "invalid", "unverified"]
    reason: str  # in words
    key: str = ""  # SHA-256 of the DER SubjectPublicKeyInfo that fits, or what the container says of its key
    key_from: str = ""  # "--update-key NAME", the file of the image that holds it, "carried with the signature"
    keys_given: bool = False  # the user named keys that it has to fit
    role: Literal["update", "content"] = (
        "update"  # what it protects: the image that is handed over, or a program or package in it
    )
    evidence: tuple[Evidence, ...] = ()


class BootStep(Value, frozen=True, kw_only=True):
    """One link of the boot chain, in boot order: what is started, what it starts in turn, and whether it is verified before.

    ``verified`` is what the image proves to be demanded before this link runs: a signature that is there, but that nothing in the
    image insists on, leaves it ``unknown``; ``none`` says that what starts it cannot check it.
    """

    stage: str  # "boot ROM", "boot loader", "kernel", "initramfs", "root file system", "kernel modules", "application"
    detail: str = ""
    verified: Literal["signature", "hash", "checksum", "none", "unknown"] = "unknown"
    starts: str = ""  # what it starts next and how, in words; "" where the image does not tell
    checked_by: str = ""  # what verifies it, or would: "U-Boot (bootm)", "kernel (dm-verity)"; "" where the image does not tell
    reason: str = ""  # why ``verified`` is what it is
    evidence: tuple[Evidence, ...] = ()


SeverityWord = Literal["", "low", "medium", "high", "critical"]
_LEAST = {"low": 0.1, "medium": 4.0, "high": 7.0, "critical": 9.0}


class Vulnerability(Value, frozen=True, kw_only=True):
    """A known vulnerability of a component version."""

    id: str
    score: float | None = None  # CVSS base score
    severity: SeverityWord = ""  # in the source's words, where it gives no score
    known_exploited: bool = False
    fixed_in: str | None = None
    source: str = ""
    epss: float | None = None  # probability that it is exploited within 30 days, where known
    status: Literal["affected", "not_affected", "fixed", "under_investigation"] = "affected"
    reason: str = ""  # why it is not "affected": who says so, or what in the image
    ground: Literal["", "statement", "distribution", "configuration", "architecture", "absent"] = (
        ""  # what kind of reason that is
    )

    @property
    def weight(self) -> float:
        """The score, or the least that the severity in words can stand for (CVSS 3.1, table 14); 0 where neither is known."""
        return self.score if self.score is not None else _LEAST.get(self.severity, 0.0)


class ComponentFile(Value, frozen=True, kw_only=True):
    """A file that is, or holds, a component."""

    path: str
    sha256: str


class ComponentUse(Value, frozen=True, kw_only=True):
    """A service that runs a component: its program is the component or is linked to a library of it."""

    service: str
    program: str
    started: Literal["yes", "unknown"] = "unknown"
    listens: bool = False  # on a port that others can reach
    through: str = ""  # the file of the component: the program itself, or the library


class Component(Value, frozen=True, kw_only=True):
    """One piece of third-party software: upstream name in lower case, version, and every place it was seen."""

    name: str
    version: str | None = None
    # Where no version is told, the releases that it may be: ">=7.59.0 <7.66.0". Never a version.
    version_range: str | None = None
    purl: str | None = None
    cpe: str | None = None
    confidence: Literal["certain", "firm", "tentative"] = "firm"
    evidence: tuple[Evidence, ...] = ()
    end_of_life: str | None = None  # ISO date on which upstream support ended, when it has ended
    supported_until: str | None = None  # ISO date on which upstream support will end, where that is known
    released: str | None = None  # ISO date
    package: str | None = None  # distribution package version, when a package database says so
    type: Literal["library", "application", "firmware", "operating-system"] = "library"
    license: str = ""  # as the package's metadata says it, or as the project is known to be licensed
    files: tuple[ComponentFile, ...] = ()
    parts: tuple[str, ...] | None = (
        None  # of a multi-call program, those of the applets asked for that it may hold; None: not known
    )
    used_by: tuple[ComponentUse, ...] = ()  # services that are or may be started: those that listen first
    depends_on: tuple[str, ...] = ()  # package URLs of the components its files are linked to
    vulnerabilities: tuple[Vulnerability, ...] = ()
    set_aside: tuple[Vulnerability, ...] = ()  # of this version, but not of this product: each with its reason

    @property
    def release(self) -> str:
        """The version for people, or the range that it lies in; "?" where nothing is known."""
        return self.version or self.version_range or "?"


class CryptoAsset(Value, frozen=True, kw_only=True):
    """A certificate or key that the image holds, once, with the places where it stands. No secret is in it."""

    kind: Literal["certificate", "private-key", "public-key"]
    algorithm: str  # "RSA", "EC", "Ed25519", ... of the key
    bits: int | None = None
    fingerprint: str = ""  # SHA-256 of the DER SubjectPublicKeyInfo, hexadecimal
    container: str = ""  # "PEM", "DER", "dropbear", ...
    encrypted: bool = False
    subject: str = ""
    issuer: str = ""
    not_before: str = ""  # ISO 8601
    not_after: str = ""
    signature_hash: str = ""
    evidence: tuple[Evidence, ...] = ()


class Trait(Value, frozen=True, kw_only=True):
    """One measure of the device on one subject (isolation, storage, ...), as far as the image tells whether it is in force.

    ``no`` is said only where the image says so (a policy that is switched off); what was merely not found has no row.
    """

    name: str  # "SELinux", "remote log", "A/B slots", ...
    state: Literal["yes", "no", "unknown"]
    detail: str = ""
    root: str = ""
    evidence: tuple[Evidence, ...] = ()


class ProgramHardening(Value, frozen=True, kw_only=True):
    """How a program that the device starts was built. ``None``: the file does not tell."""

    program: str
    service: str
    started: Literal["yes", "unknown"]
    listens: bool
    user: str = ""
    nx: bool | None = None
    pie: bool | None = None
    relro: Literal["none", "partial", "full"] | None = None
    canary: bool | None = None
    fortify: bool | None = None
    libraries: int = 0  # its libraries that are in the image
    weak_libraries: int = 0  # those of them without a stack protector or with an executable stack
    root: str = ""


class Device(Value, frozen=True, kw_only=True):
    """What the device would do when it boots this image as shipped."""

    platform: str = "unknown"
    accounts: tuple[Account, ...] = ()
    services: tuple[Service, ...] = ()
    listeners: tuple[Listener, ...] = ()
    consoles: tuple[Console, ...] = ()
    update_paths: tuple[UpdatePath, ...] = ()
    signatures: tuple[ImageSignature, ...] = ()
    boot_chain: tuple[BootStep, ...] = ()
    microcontroller: tuple[Trait, ...] = ()  # of images of microcontrollers alone
    components: tuple[Component, ...] = ()
    crypto: tuple[CryptoAsset, ...] = ()
    hardening: tuple[ProgramHardening, ...] = ()
    isolation: tuple[Trait, ...] = ()
    storage: tuple[Trait, ...] = ()
    reset: tuple[Trait, ...] = ()
    logging: tuple[Trait, ...] = ()
    resilience: tuple[Trait, ...] = ()
    declared: Declaration | None = None  # what the maker states of the product: never evidence


# --------------------------------------------------------------------------- findings and verdicts


class Severity(StrEnum):
    """How bad a finding is, worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"


class Waiver(Value, frozen=True, kw_only=True):
    """Why a finding is waived, who answers for that, and until which day (ISO date)."""

    reason: str
    owner: str
    expires: str


class Quote(Value, frozen=True, kw_only=True):
    """What stands around the place of a finding, secrets masked: lines of a text, or bytes."""

    kind: Literal["lines", "bytes"]
    start: int  # number of the first line (1-based), or offset of the first byte
    rows: tuple[str, ...]  # lines, or 16 bytes each in hexadecimal
    mark: int = 0  # which row the finding is about


class Finding(Value, frozen=True, kw_only=True):
    """One rule's statement about the device, with what it rests on and what would refute it."""

    rule: str
    title: str
    severity: Severity
    confidence: Literal["certain", "firm", "tentative"]
    verdict: Literal["violation", "concern", "support", "info"]
    criteria: tuple[str, ...] = ()
    location: Location = Location()
    evidence: str = ""  # masked quotation, one line
    secret: str = ""  # what is masked in it, where that is known; it never reaches a report unless asked for
    quote: Quote | None = None  # what stands around it, where it can be shown
    witnesses: tuple[Evidence, ...] = ()  # further places that say the same
    explanation: str = ""  # why it matters, one or two sentences
    refuted_by: str = ""  # what would show that the finding is wrong
    remediation: str = ""
    references: tuple[str, ...] = ()  # of its rule: provisions, weaknesses (CWE), manual pages
    cause: str = ""  # stable key of the cause (no offsets, dates, build ids); the fingerprint is made from it
    fingerprint: str = ""
    waived: bool = False
    waiver: Waiver | None = None  # of a waived finding
    baseline: Literal["", "new", "known"] = ""  # against an earlier report, where one was given

    def __repr__(self) -> str:
        """Without the secret: no log or message shows it by accident."""
        return f"Finding({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__struct_fields__ if name != 'secret')})"


class Verdict(StrEnum):
    """The verdict on one criterion."""

    VIOLATION = "violation"
    CONCERN = "concern"
    SUPPORT = "support"
    NOT_OBSERVED = "not-observed"
    NOT_DECIDABLE = "not-decidable"
    NOT_APPLICABLE = "not-applicable"
    DECLARED = "declared"  # the image cannot decide it; the maker names what does


class CriterionVerdict(Value, frozen=True, kw_only=True):
    """What the image says on one criterion of a profile."""

    id: str
    title: str
    verdict: Verdict
    reason: str
    title_ja: str = ""
    findings: tuple[str, ...] = ()  # fingerprints
    needs: tuple[str, ...] = ()  # documents or device tests that decide it
    limited_by: tuple[str, ...] = ()  # coverage gaps that limit the verdict
    lost: float = 0.0  # points of the tier score lost here


class TierVerdict(Value, frozen=True, kw_only=True):
    """One level: refuted by the image, or not refuted (``decidable`` of ``total`` criteria could be decided)."""

    id: str  # "STAR-1"
    official: bool
    refuted: bool
    score: int
    decidable: int
    total: int
    formula: str = ""
    note: str = ""
    criteria: tuple[CriterionVerdict, ...] = ()


class TierSummary(Value, frozen=True, kw_only=True):
    """The target level and where the image stands."""

    target: str
    highest_not_refuted: str | None
    score: int


class GateResult(Value, frozen=True, kw_only=True):
    """Which gates were asked for, and whether they held. ``undecided``: too little was read to judge (exit status 3)."""

    asked: tuple[str, ...] = ()
    passed: bool = True
    reasons: tuple[str, ...] = ()
    undecided: bool = False
    notes: tuple[str, ...] = ()  # what changes no result and wants to be known: unused waivers, demands passed over


# --------------------------------------------------------------------------- report


class Tool(Value, frozen=True, kw_only=True):
    """What made the report."""

    name: str
    version: str
    rules_digest: str
    database_date: str | None = None
    database_digest: str = ""  # SHA-256 of the knowledge file, hexadecimal


class Image(Value, frozen=True, kw_only=True):
    """The image that was analysed."""

    name: str
    size: int
    sha256: str
    format: str


class Leaf(Value, frozen=True, kw_only=True, array_like=True):
    """A file of a branch, as an array: path, mode as ``ls -l`` shows it, size, target of a link."""

    path: str
    mode: str
    size: int
    target: str = ""


class Branch(Value, frozen=True, kw_only=True):
    """A container of the image and what is listed of it: its path says where it lies, ``fwcheck tree`` tells everything."""

    chain: tuple[str, ...]
    format: str = ""
    size: int = 0
    offset: int | None = None
    leaves: tuple[Leaf, ...] = ()
    more: int = 0  # nodes that are not listed here


class Report(Value, frozen=True, kw_only=True):
    """The whole result; its JSON form is the published contract."""

    schema_version: str
    tool: Tool
    image: Image
    coverage: Coverage
    device: Device
    components: tuple[Component, ...]
    findings: tuple[Finding, ...]
    tiers: tuple[TierVerdict, ...]
    tier: TierSummary
    gate: GateResult
    tree: tuple[Branch, ...] = ()
    timing: dict[str, float]
