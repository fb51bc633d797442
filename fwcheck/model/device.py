"""The device: what it would do when it boots the image as shipped."""

from __future__ import annotations

from typing import Literal

from fwcheck.declaration import Declaration
from fwcheck.model.evidence import Evidence
from fwcheck.model.value import Value


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
