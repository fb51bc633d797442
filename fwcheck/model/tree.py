"""The firmware tree: what was found in the image and where, and what every byte of it is."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from fwcheck.model.value import Value


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
