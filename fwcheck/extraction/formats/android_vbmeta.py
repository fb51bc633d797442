"""Android Verified Boot 2.0: the vbmeta image, and the footer at the end of partitions that carry one.

Header of 256 bytes, big-endian: ``AVB0``, version needed (4 + 4), sizes of the authentication and the auxiliary block (8 + 8),
algorithm (4), then offset and size (8 + 8 each) of hash and signature in the first block, of public key, its metadata and the
descriptors in the second, rollback index (8), flags (4: 1 hash trees off, 2 verification off), location of the rollback index
(4), release of the writer (48). Hash and signature (RSA, PKCS #1 1.5) are over header and auxiliary block. Public key: bits (4),
-1/n mod 2**32 (4), n, r**2 mod n. Footer of 64 bytes: ``AVBf``, version (4 + 4), size of the image, offset and size of the
vbmeta image in the partition (3 x 8). Source: ``libavb/avb_vbmeta_image.h``, ``avb_footer.h`` and ``avb_crypto.h`` of Android.
"""

from __future__ import annotations

import hashlib
from struct import Struct, unpack_from

import msgspec

from fwcheck.extraction.errors import FormatError, Truncated
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._avb_descriptors import Chain, CommandLine, Descriptor, Hash, HashTree, Property, descriptors
from fwcheck.extraction.formats._parts import words
from fwcheck.extraction.formats._signed import rsa_key
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import SignedBlock

_HEADER = Struct(">4sII2QI11QII48s80x")
_FOOTER = Struct(">4sII3Q28x")
_ALGORITHMS = {
    0: ("none", "", 0), 1: ("SHA256_RSA2048", "sha256", 2048), 2: ("SHA256_RSA4096", "sha256", 4096),
    3: ("SHA256_RSA8192", "sha256", 8192), 4: ("SHA512_RSA2048", "sha512", 2048), 5: ("SHA512_RSA4096", "sha512", 4096),
    6: ("SHA512_RSA8192", "sha512", 8192),
}  # fmt: skip
_FLAGS = {1: "hash trees disabled", 2: "verification disabled"}
_BLOCK_LIMIT = 1 << 22  # bytes of each of the two blocks
_HASH_LIMIT = 1 << 30  # bytes of a partition whose digest is recomputed
_WRONG = "the partition is not what its vbmeta image says"
_SHOWN = 32  # descriptors of one kind
# SHA-256 (SHA-1 as avbtool shows it) of the public halves of keys whose private halves are published with the source of Android.
_DEVELOPMENT_KEYS = {
    "cdbb77177f731920bbe0a0f94f84d9038ae0617d": "testkey_rsa2048.pem",
    "2597c218aae470a130f61162feaae70afd97f011": "testkey_rsa4096.pem",
    "e15e2365469ce672a91d02cc8d9c2f29b787481e574d3b56ac774153d7ced614": "testkey_rsa8192.pem",
}


class Vbmeta(msgspec.Struct, kw_only=True):
    """The parts of a vbmeta image."""

    algorithm: int
    hash: bytes
    signature: bytes
    key: bytes
    descriptors: bytes
    signed: bytes
    rollback: int
    location: int
    flags: int
    release: str
    version: str
    size: int


def vbmeta(source: ByteSource, offset: int) -> Vbmeta:
    """Reads the image at ``offset``; raises FormatError."""
    raw = source.peek(offset, 256)
    if len(raw) < 256 or raw[:4] != b"AVB0":
        raise FormatError("no vbmeta header")
    fields = _HEADER.unpack(raw)
    _, major, minor, first, second, algorithm, hash_at, hash_size, sign_at, sign_size, key_at, key_size, *_ = fields
    described, describing, rollback, flags, location, release = fields[14:20]
    if major != 1 or first % 64 or second % 64 or max(first, second) > _BLOCK_LIMIT or any(raw[176:256]):
        raise FormatError("implausible vbmeta header")
    if max(hash_at + hash_size, sign_at + sign_size) > first or max(key_at + key_size, described + describing) > second:
        raise FormatError("the fields of the vbmeta header contradict each other")
    if offset + 256 + first + second > source.size:
        raise Truncated(f"a vbmeta image of {256 + first + second} bytes is cut off")
    authentic, auxiliary = source.read(offset + 256, first), source.read(offset + 256 + first, second)
    return Vbmeta(
        algorithm=algorithm, hash=authentic[hash_at : hash_at + hash_size], signature=authentic[sign_at : sign_at + sign_size],
        key=auxiliary[key_at : key_at + key_size], descriptors=auxiliary[described : described + describing],
        signed=raw + auxiliary, rollback=rollback, location=location, flags=flags, release=words(release),
        version=f"{major}.{minor}", size=256 + first + second,
    )  # fmt: skip


def signature_words(image: Vbmeta) -> tuple[str, str]:
    """``integrity`` and its words: hash and signature are recomputed with the key that the image itself carries."""
    name, hashed, bits = _ALGORITHMS.get(image.algorithm, (f"algorithm {image.algorithm}", "", 0))
    if not image.algorithm:
        return "none", "no signature"
    if not hashed:
        return "signature", f"{name} (not verified)"
    right = hashlib.new(hashed, image.signed).digest() == image.hash
    said = f"{hashed} {'right' if right else 'wrong'}"
    verified = _verified(image, hashed, bits)
    if verified is None:
        return "signature", f"{name} signature without a usable key, {said}"
    return "signature", f"{name} signature {'right' if verified else 'wrong'} by the key inside, {said}"


def _verified(image: Vbmeta, hashed: str, bits: int) -> bool | None:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  few images need it
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256, SHA512  # noqa: PLC0415

    if len(image.key) < 8 + bits // 8 or unpack_from(">I", image.key)[0] != bits:
        return None
    number = int.from_bytes(image.key[8 : 8 + bits // 8], "big")
    try:
        key = RSAPublicNumbers(65537, number).public_key()
        key.verify(image.signature, image.signed, PKCS1v15(), SHA256() if hashed == "sha256" else SHA512())
    except InvalidSignature:
        return False
    except ValueError:  # no modulus
        return None
    return True


class AndroidVbmeta(Format):
    """A vbmeta image, in its own partition or behind the image it speaks of."""

    name = "android-vbmeta"
    title = "Android Verified Boot 2.0 (vbmeta)"
    specification = "libavb/avb_vbmeta_image.h of Android"
    category = "firmware"
    reads = (
        "header, flags, rollback index, all descriptors; hash and RSA signature are verified with the key inside, the key is"
        " compared with published development keys; digest and hash tree of the partition it stands in are recomputed"
    )
    not_read = "post-quantum signatures; digests of partitions in other images; hash trees beyond their first 2,048 blocks"
    signatures = (Signature(pattern=rb"AVB0\x00\x00\x00\x01\x00\x00\x00[\x00-\x20]\x00\x00\x00\x00", width=16),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        image = vbmeta(source, offset)
        problems: list[str] = []
        integrity, said = signature_words(image)
        if " wrong" in said:
            note(problems, f"the vbmeta image is not what was signed: {said}")
        detail: dict[str, str | int] = {
            "version": image.version, "algorithm": _ALGORITHMS.get(image.algorithm, (str(image.algorithm),))[0],
            "flags": ", ".join(word for bit, word in _FLAGS.items() if image.flags & bit) or "none",
            "rollback_index": image.rollback, "rollback_index_location": image.location, "release": image.release,
        }  # fmt: skip
        if image.key:
            detail["key_hash"] = hashlib.sha256(image.key).hexdigest()
            for each in (hashlib.sha1(image.key, usedforsecurity=False).hexdigest(), detail["key_hash"]):
                if each in _DEVELOPMENT_KEYS:
                    detail["development_key"] = f"published development key {_DEVELOPMENT_KEYS[str(each)]}"
        every = list(descriptors(image.descriptors, problems))
        detail |= _described(every)
        said = ", ".join([said, *_partition(source, offset, every, problems)])
        detail |= {"integrity": integrity, "integrity_detail": said}
        return Container(
            format=self.name, size=image.size, detail=detail, problems=problems,
            signatures=_blocks(image, intact=False if any(_WRONG in each for each in problems) else None),
        )  # fmt: skip


def _blocks(image: Vbmeta, *, intact: bool | None) -> tuple[SignedBlock, ...]:
    """The signature over header and auxiliary block; ``intact``: whether the partition beside it is the one it speaks of."""
    name, hashed, bits = _ALGORITHMS.get(image.algorithm, ("", "", 0))
    if not hashed:
        return ()
    modulus = int.from_bytes(image.key[8 : 8 + bits // 8], "big")
    carried = rsa_key(modulus, 65537) if len(image.key) >= 8 + bits // 8 and unpack_from(">I", image.key)[0] == bits else b""
    right = hashlib.new(hashed, image.signed).digest() == image.hash
    return (
        SignedBlock(
            scheme="AVB", algorithm="RSA", hash=hashed, padding="pkcs1v15", signature=image.signature, carried=carried,
            digest=hashlib.new(hashed, image.signed).digest(), key_hint=hashlib.sha256(image.key).hexdigest(),
            covers=f"the vbmeta image ({name})", intact=intact if right else False,
        ),
    )  # fmt: skip


def _described(every: list[Descriptor]) -> dict[str, str | int]:
    """The descriptors in words, by their kind."""
    said: dict[str, list[str]] = {}
    for each in every:
        if isinstance(each, Hash):
            kind, line = "hashes", f"{each.name} ({each.algorithm} {each.digest.hex()}, {each.size} bytes)"
        elif isinstance(each, HashTree):
            kind, line = "hash_trees", f"{each.name} ({each.algorithm} root {each.root.hex()}, {each.size} bytes)"
        elif isinstance(each, Chain):
            location = f"rollback index location {each.location}"
            kind, line = "chains", f"{each.name} ({location}, key {hashlib.sha256(each.key).hexdigest()})"
        elif isinstance(each, CommandLine):
            kind, line = "cmdline", each.text
        elif isinstance(each, Property):
            kind, line = "properties", f"{each.key}={each.value}"
        said.setdefault(kind, []).append(line)
    return {kind: "; ".join(lines[:_SHOWN]) + ("; ..." if len(lines) > _SHOWN else "") for kind, lines in said.items()}


def _partition(source: ByteSource, offset: int, every: list[Descriptor], problems: list[str]) -> list[str]:
    """Recomputes what is said of the partition that this image stands in: one whose footer names it, from its begin on."""
    raw = source.peek(source.size - _FOOTER.size, _FOOTER.size)
    if len(raw) < _FOOTER.size or raw[:4] != b"AVBf":
        return []
    _, _, _, original, place, _ = _FOOTER.unpack(raw)
    for each in every:
        if isinstance(each, Hash | HashTree) and place == offset and each.size == original <= _HASH_LIMIT:
            try:
                said, right = _checked(source, each)
            except FormatError as error:
                said, right = f"{each.name} cannot be checked: {error}", True
            if not right:
                note(problems, f"{_WRONG}: {said}")
            return [said]
    return []


def _checked(source: ByteSource, each: Hash | HashTree) -> tuple[str, bool]:
    if isinstance(each, HashTree):
        said, right = each.check(source)
        return f"hash tree of {each.name}: {said}", right
    right = each.check(source)
    return f"{each.algorithm} of {each.name} {'right' if right else 'wrong'}", right


class AvbFooter(Format):
    """The last 64 bytes of a partition."""

    name = "android-avb-footer"
    title = "Android Verified Boot 2.0 footer"
    specification = "libavb/avb_footer.h of Android"
    category = "firmware"
    reads = "version 1; where the image and its vbmeta image lie"
    not_read = ""
    signatures = (Signature(pattern=rb"AVBf\x00\x00\x00\x01\x00\x00\x00[\x00-\x20]\x00\x00", width=14),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, _FOOTER.size)
        if len(raw) < _FOOTER.size or raw[:4] != b"AVBf":
            raise FormatError("no footer")
        _, major, minor, original, place, size = _FOOTER.unpack(raw)
        if major != 1 or any(raw[36:]) or not 256 <= size <= 3 * _BLOCK_LIMIT or original > place:
            raise FormatError("implausible footer")
        detail: dict[str, str | int] = {
            "version": f"{major}.{minor}", "image_size": original, "vbmeta_offset": place, "vbmeta_size": size,
            "integrity": "none", "integrity_detail": "the vbmeta image says what is signed",
        }  # fmt: skip
        return Container(format=self.name, size=_FOOTER.size, detail=detail)


FORMATS = (AndroidVbmeta(), AvbFooter())
