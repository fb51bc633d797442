"""Signatures in a file of their own: feeds, root hashes, update files, attributes of IMA; chains of ucert; STM32 and TI."""

from __future__ import annotations

import base64
import hashlib
import shutil
import struct
import subprocess
import zlib
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from device.test_signed_programs import cpio
from extraction.formats import test_stm32_image, test_ti_x509
from support.signed import (
    EC,
    ED,
    STRANGER,
    Private,
    certificate,
    cms,
    fingerprint,
    flipped,
    only,
    pem,
    private_pem,
    report,
    rules,
    sign,
)
from support.signing import key as rsa_key
from support.trees import firmware_of

from fwcheck.device.firmware import Firmware
from fwcheck.device.signatures import image_signatures
from fwcheck.model import NodeKind

RSA = rsa_key()
FEED = b"Package: dropbear\nVersion: 2022.83-1\nDescription: a small server \xc3\xbc\n\n" * 20
NUMBER = b"\x11\x22\x33\x44\x55\x66\x77\x88"


def usign(message: bytes, key: ed25519.Ed25519PrivateKey = ED) -> bytes:
    raw = base64.b64encode(b"Ed" + NUMBER + key.sign(message))
    return b"untrusted comment: signed by key 1122334455667788\n" + raw + b"\n"


def usign_key(key: ed25519.Ed25519PrivateKey = ED) -> bytes:
    raw = base64.b64encode(b"Ed" + NUMBER + key.public_key().public_bytes_raw())
    return b"untrusted comment: public key 1122334455667788\n" + raw + b"\n"


# --------------------------------------------------------------------------- beside a file


def test_a_feed_is_verified_with_the_key_of_the_device(tmp_path: Path) -> None:
    files = {"etc/opkg/keys/1122334455667788": usign_key(), "var/opkg-lists/core": FEED, "var/opkg-lists/core.sig": usign(FEED)}
    signature = only(report(cpio(files), tmp_path))
    assert (signature.scheme, signature.state, signature.covers) == ("usign", "valid", "core")
    assert signature.key_from.endswith("/etc/opkg/keys/1122334455667788")
    changed = only(report(cpio(files | {"var/opkg-lists/core": FEED.replace(b"2022", b"2021")}), tmp_path))
    assert changed.state == "unverified"
    alone = report(cpio({"var/opkg-lists/core.sig": usign(FEED)}), tmp_path)
    assert alone.device.signatures == ()


def test_a_large_feed_is_verified_and_another_large_text_is_told(tmp_path: Path) -> None:
    feed, text = FEED * 200, b"# no list\n" + FEED * 200
    assert only(report(cpio({"etc/key": usign_key(), "core": feed, "core.sig": usign(feed)}), tmp_path)).state == "valid"
    signature = only(report(cpio({"etc/key": usign_key(), "text": text, "text.sig": usign(text)}), tmp_path))
    assert (signature.state, signature.reason) == ("unverified", "what is signed, or how, cannot be read here")


BLOB = bytes(range(256)) * 4000  # no text: known by its SHA-256 alone


@pytest.mark.parametrize(
    ("key", "suffix", "signature"),
    [
        (RSA, ".sig", sign(RSA, BLOB)),
        (EC, ".sig", sign(EC, BLOB)),
        (RSA, ".p7s", cms(RSA, BLOB)),
        (EC, ".p7s", cms(EC, BLOB)),
        (RSA, ".p7s", cms(RSA, BLOB, attributes=False, certificates=())),
    ],
    ids=["RSA", "P-256", "CMS-RSA", "CMS-P-256", "CMS-without-attributes"],
)
def test_a_signature_beside_a_file_is_verified(key: Private, suffix: str, signature: bytes, tmp_path: Path) -> None:
    image = cpio({"firmware.bin": BLOB, f"firmware.bin{suffix}": signature})
    found = only(report(image, tmp_path, pem(key)))
    assert (found.state, found.key, found.covers) == ("valid", fingerprint(key), "firmware.bin")
    carried = len(signature) > 520  # with a certificate, and attributes that hold the digest of the content
    assert only(report(image, tmp_path, pem(STRANGER))).state == ("valid" if carried else "unverified")
    changed = only(report(cpio({"firmware.bin": BLOB[1:], f"firmware.bin{suffix}": signature}), tmp_path, pem(key)))
    assert changed.state == ("invalid" if carried else "unverified")
    assert "UPD-012" not in rules(report(image, tmp_path, pem(STRANGER)))


def test_attributes_without_the_content_prove_nothing(tmp_path: Path) -> None:
    """SHA-512 of a large content is not known: that the signature over the attributes fits says nothing of the file."""
    image = cpio({"firmware.bin": BLOB, "firmware.bin.p7s": cms(RSA, BLOB, digest="sha512")})
    assert only(report(image, tmp_path, pem(RSA))).state == "unverified"


@pytest.mark.parametrize("end", ["", "\n"])
def test_the_signature_of_a_root_hash(end: str, tmp_path: Path) -> None:
    root = hashlib.sha256(b"tree").hexdigest()
    signed = cms(RSA, root.encode(), attributes=False, certificates=())
    files = {"usr.roothash": (root + end).encode(), "usr.roothash.p7s": signed}
    signature = only(report(cpio(files), tmp_path, pem(RSA)))
    assert (signature.scheme, signature.state, signature.covers) == ("dm-verity root hash", "valid", "usr.roothash")
    other = hashlib.sha256(b"other").hexdigest().encode()
    assert only(report(cpio(files | {"usr.roothash": other}), tmp_path, pem(RSA))).state == "unverified"


def test_members_of_a_signed_bundle_are_told_once(tmp_path: Path) -> None:
    text = b'software = { version = "1"; images: ( { filename = "a"; } ); }\n'
    bundle = cpio({"sw-description": text, "sw-description.sig": sign(RSA, text), "a": b"data"})
    assert only(report(bundle, tmp_path, pem(RSA))).scheme == "SWUpdate"


def test_openpgp_is_told(tmp_path: Path) -> None:
    text = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nSuite: stable\n-----BEGIN PGP SIGNATURE-----\n\nAAAA\n"
    signature = only(report(cpio({"var/lib/apt/lists/x_InRelease.txt": text}), tmp_path))
    assert (signature.scheme, signature.state) == ("OpenPGP", "unverified")


# --------------------------------------------------------------------------- IMA


def with_attribute(content: bytes, attribute: bytes) -> Firmware:
    firmware = firmware_of({"/bin/a": content, "/etc/keys/ima.pem": pem(RSA), "/etc/keys/ec.pem": pem(EC)})
    detail: dict[str, str | int] = {"security.ima": attribute.hex()}
    nodes = [msgspec.structs.replace(node, detail=detail if node.path == "/bin/a" else {}) for node in firmware.nodes]
    facts = {node.sha256: found for node, found in firmware.contents() if node.sha256}
    return Firmware(firmware.image, nodes, facts, firmware.coverage)


def ima(key: Private, content: bytes, number: int = 4, digest: str = "sha256") -> bytes:
    signature = sign(key, content, digest=digest)
    return struct.pack(">BBBIH", 3, 2, number, 0xA1B2C3D4, len(signature)) + signature


@pytest.mark.parametrize(("key", "number", "digest"), [(RSA, 4, "sha256"), (EC, 4, "sha256"), (RSA, 6, "sha512")])
def test_an_attribute_of_ima_is_verified(key: Private, number: int, digest: str) -> None:
    (signature,) = image_signatures(with_attribute(b"#!/bin/sh\ntrue\n", ima(key, b"#!/bin/sh\ntrue\n", number, digest)))
    assert (signature.scheme, signature.state, signature.key) == ("IMA", "valid", fingerprint(key))
    (changed,) = image_signatures(with_attribute(b"#!/bin/sh\nfalse\n", ima(key, b"#!/bin/sh\ntrue\n", number, digest)))
    assert changed.state == "unverified"


@pytest.mark.parametrize("raw", [b"", b"\x03", b"\x01" + bytes(20), b"\x04\x04" + bytes(32)])
def test_digests_and_stumps_of_ima_are_no_signatures(raw: bytes) -> None:
    assert image_signatures(with_attribute(b"text\n", raw)) == ()


@pytest.mark.parametrize("raw", [b"\x03\x02\x63" + bytes(20), b"\x03\x09\x04" + bytes(20), b"\x03\x02\x04" + b"\xff" * 20])
def test_unknown_signatures_of_ima_are_told(raw: bytes) -> None:
    (signature,) = image_signatures(with_attribute(b"text\n", raw))
    assert signature.state == "unverified"


# --------------------------------------------------------------------------- ucert


def blob(number: int, content: bytes) -> bytes:
    return struct.pack(">I", number << 24 | len(content) + 4) + content + bytes(-len(content) % 4)


def named(kind: int, name: bytes, content: bytes) -> bytes:
    head = struct.pack(">H", len(name)) + name + b"\0"
    body = head + bytes(-len(head) % 4) + content
    return struct.pack(">I", 1 << 31 | kind << 24 | len(body) + 4) + body + bytes(-len(body) % 4)


def link(key: ed25519.Ed25519PrivateKey, by: ed25519.Ed25519PrivateKey, kind: int = 1) -> bytes:
    table = named(5, b"certtype", struct.pack(">I", kind)) + named(4, b"validfrom", struct.pack(">Q", 1_700_000_000))
    table += named(4, b"expiresat", struct.pack(">Q", 1_900_000_000)) + named(3, b"pubkey", usign_key(key) + b"\0")
    payload = named(2, b"ucert", table)
    return blob(0, blob(0, usign(payload, by)) + blob(1, payload))


def keys(count: int) -> list[ed25519.Ed25519PrivateKey]:
    return [ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number + 33]) * 32) for number in range(count)]


def ucert(image: bytes, chain: list[ed25519.Ed25519PrivateKey], *, links: bytes | None = None) -> bytes:
    """``chain``: the device's key, and those that are vouched for one after the other."""
    made = b"".join(link(key, by) for by, key in pairwise(chain)) if links is None else links
    made += blob(0, blob(0, usign(image, chain[-1])))
    whole = image + made
    return whole + struct.pack(">4sIB3xI", b"FWx0", zlib.crc32(whole) ^ 0xFFFFFFFF, 0, len(made) + 16)


IMAGE = b"\x27\x05\x19\x56 an image " * 200


def raw_key(key: ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("length", [2, 3, 5])
def test_a_chain_of_ucert_is_followed(length: int, tmp_path: Path) -> None:
    chain = keys(length)
    image = ucert(IMAGE, chain)
    signature = only(report(image, tmp_path, raw_key(chain[0])))
    assert (signature.scheme, signature.state) == ("ucert", "valid")
    assert signature.reason == "its signer's certificate is certified by --update-key key0"
    assert only(report(image, tmp_path, raw_key(chain[-1]))).state == "valid"
    assert only(report(image, tmp_path, raw_key(ED))).state == "unverified"
    assert only(report(flipped(image, 100), tmp_path, raw_key(chain[0]))).state == "invalid"
    plain = only(report(image, tmp_path))
    assert (plain.state, plain.key_from) == ("valid", "carried with the signature")


def test_a_broken_chain_of_ucert_vouches_for_nothing(tmp_path: Path) -> None:
    first, second, third = keys(3)
    foreign = link(second, first) + link(third, ED)
    found = report(ucert(IMAGE, [first, second, third], links=foreign), tmp_path, raw_key(first))
    assert all(each.state != "valid" for each in found.device.signatures)
    assert any("not signed by the key before" in gap.reason for gap in found.coverage.gaps)
    revoked = report(ucert(IMAGE, [first, second], links=link(second, first, kind=2)), tmp_path, raw_key(first))
    assert all(each.state != "valid" for each in revoked.device.signatures)


# --------------------------------------------------------------------------- STM32, TI


def test_an_stm32_image_is_verified(tmp_path: Path) -> None:
    image = test_stm32_image.stm32(signed=True)
    key = test_stm32_image.KEY
    assert only(report(image, tmp_path, pem(key))).state == "valid"
    assert only(report(image, tmp_path, pem(STRANGER))).state == "unverified"
    for at in (len(image) - 4, 98):  # payload, version
        changed = report(flipped(image, at), tmp_path, pem(key))
        assert only(changed).state == "invalid"
        assert "UPD-011" in rules(changed)
    assert report(test_stm32_image.stm32(), tmp_path, pem(key)).device.signatures == ()


@pytest.mark.parametrize("key", [RSA, EC], ids=["RSA", "P-256"])
def test_a_ti_image_is_verified(key: Private, tmp_path: Path) -> None:
    image = test_ti_x509.signed(test_ti_x509.system(), key) + test_ti_x509.IMAGE
    assert only(report(image, tmp_path, pem(key))).state == "valid"
    assert only(report(image, tmp_path, pem(STRANGER))).state == "unverified"
    changed = report(flipped(image, len(image) - 9), tmp_path, pem(key))
    assert only(changed).state == "invalid"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_what_openssl_signs_apart(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(BLOB)
    (tmp_path / "key.pem").write_bytes(private_pem(RSA))
    (tmp_path / "cert.pem").write_bytes(certificate(RSA).public_bytes(Encoding.PEM))
    command = ["openssl", "cms", "-sign", "-binary", "-in", "in", "-signer", "cert.pem", "-inkey", "key.pem", "-outform", "DER"]
    for options in ([], ["-noattr", "-nocerts"]):
        subprocess.run([*command, *options, "-out", "out.p7s"], cwd=tmp_path, check=True, capture_output=True)
        image = cpio({"firmware.bin": BLOB, "firmware.bin.p7s": (tmp_path / "out.p7s").read_bytes()})
        assert only(report(image, tmp_path, pem(RSA))).state == "valid"


def test_a_directory_beside_a_signature_is_not_what_is_signed() -> None:
    firmware = firmware_of({"/a.d/b": b"x", "/a.d.sig": usign(b"x")})
    assert {node.kind for node in firmware.nodes if node.path == "/a.d"} == {NodeKind.DIRECTORY}
    assert image_signatures(firmware) == ()
