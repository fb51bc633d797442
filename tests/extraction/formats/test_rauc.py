"""RAUC bundles: an independent writer for the three formats, the real tool, and a bundle from RAUC's own tests."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from support.squashfs_images import Writer

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats.rauc import FORMATS
from fwcheck.extraction.limits import DEFAULT
from fwcheck.extraction.source import Mapped, Memory

(RAUC,) = FORMATS
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"
KEY = bytes(range(32))
MANIFEST = (
    b"[update]\ncompatible=Board\nversion=1.2\n\n[bundle]\nformat=%b\n%b\n[image.rootfs]\nfilename=rootfs.img\nhooks=install\n"
)


@cache
def signer():
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.derive_private_key(0x1234567, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "release")])
    start = datetime(2024, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(77)
    certificate = builder.not_valid_before(start).not_valid_after(start.replace(year=2034)).sign(key, hashes.SHA256())
    return certificate, key


def cms(data: bytes, detached: bool) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

    options = [pkcs7.PKCS7Options.Binary, *([pkcs7.PKCS7Options.DetachedSignature] if detached else [])]
    return pkcs7.PKCS7SignatureBuilder().set_data(data).add_signer(*signer(), hashes.SHA256()).sign(Encoding.DER, options)


def verity(data: bytes, salt: bytes) -> tuple[bytes, bytes]:
    """Root and tree, as the kernel's documentation describes them; the data are few enough for one level."""
    blocks = [data[at : at + 4096] for at in range(0, len(data), 4096)]
    level = b"".join(hashlib.sha256(salt + block).digest() for block in blocks).ljust(4096, b"\0")
    assert len(level) == 4096
    return hashlib.sha256(salt + level).digest(), level


def payload(manifest: bool) -> bytes:
    files = {"/rootfs.img": b"root" * 300}
    data = Writer({"/manifest.raucm": MANIFEST % (b"plain", b""), **files} if manifest else files, 4, "little").build()
    return data + bytes(-len(data) % 4096)


def encrypt(data: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    out = b""
    for number, at in enumerate(range(0, len(data), 4096)):
        vector = (number * 8).to_bytes(16, "little")
        out += Cipher(algorithms.AES(KEY), modes.CBC(vector)).encryptor().update(data[at : at + 4096])
    return out


def bundle(kind: str, key: bytes = b"") -> bytes:
    data = payload(kind == "plain")
    if kind == "plain":
        signed = cms(data, detached=True)
        return data + signed + len(signed).to_bytes(8, "big")
    if kind == "crypt":
        data = encrypt(data)
    salt = b"salt" * 8
    root, tree = verity(data, salt)
    more = b"verity-hash=%b\nverity-salt=%b\nverity-size=4096\n" % (root.hex().encode(), salt.hex().encode())
    more += b"crypt-key=%b\n" % key.hex().encode() if key else b""
    signed = cms(MANIFEST % (kind.encode(), more), detached=False)
    return data + tree + signed + len(signed).to_bytes(8, "big")


def seeds() -> list[bytes]:
    return [bundle("plain"), bundle("verity"), bundle("crypt", KEY)]


def test_a_plain_bundle() -> None:
    data = bundle("plain")
    container = RAUC.open(Memory(b"rubbish!" + data), 8)
    assert (container.size, container.before, container.problems) == (len(data), 0, [])
    assert container.detail == {
        "bundle_format": "plain", "compatible": "Board", "version": "1.2", "images": "rootfs: rootfs.img",
        "hooks": "rootfs: install", "integrity": "signature", "signer": "CN=release",
        "integrity_detail": "CMS signature by CN=release (EC-256, sha256): digest of the content right, "
        "signature right under the certificate beside it (trust not judged)",
    }  # fmt: skip
    first, last = container.entries
    assert (first.path, first.role, first.open().read(0, first.size)) == ("payload", "part", payload(manifest=True))
    assert (last.path, last.role, last.offset + last.size + 8) == ("signature", "meta", len(data) + 8)


def test_a_verity_bundle() -> None:
    container = RAUC.open(Memory(bundle("verity")), 0)
    assert container.problems == []
    assert "dm-verity tree right" in str(container.detail["integrity_detail"])
    entries = {entry.path: entry for entry in container.entries}
    assert list(entries) == ["payload", "verity-tree", "/manifest.raucm", "signature"]
    assert entries["/manifest.raucm"].open().read(0, 21) == b"[update]\ncompatible=B"


def test_a_crypt_bundle_is_found_by_its_signature() -> None:
    data = bundle("crypt")
    source = Memory(data)
    at = data.index(b"\x30\x82", len(data) - 1400)
    container = RAUC.open(source, at)
    assert (container.before, container.size + at) == (at, len(data))
    first = next(iter(container.entries))
    assert (first.role, first.size, first.detail["encryption"]) == ("encrypted", 4096, "AES-256-CBC, RAUC crypt bundle")
    assert "dm-verity tree right" in str(container.detail["integrity_detail"])
    source.origin = 0
    found = Explorer(DEFAULT).explore(source, ("x",), 0)
    assert [item.node.label for item in found.items][:2] == ["x › rauc@0x0", "x › rauc@0x0 › payload"]
    assert found.items[0].node.size == len(data)


def test_a_crypt_bundle_whose_key_stands_in_the_clear_is_decrypted() -> None:
    data = bundle("crypt", KEY)
    container = RAUC.open(Memory(data), data.index(b"\x30\x82", len(data) - 1500))
    first = next(iter(container.entries))
    assert (first.role, first.open().read(0, 4096)) == ("part", payload(manifest=False))
    assert container.problems == ["the key of the encrypted payload stands in the manifest unencrypted"]


def test_with_bytes_behind_it_tree_and_signature_still_belong_together() -> None:
    data = bundle("verity")
    source = Memory(data + b"\xff" * 100)
    source.origin = 0
    found = Explorer(DEFAULT).explore(source, ("x",), 0)
    outer = [item.node for item in found.items if item.node.kind == "container"]
    assert [node.format for node in outer] == ["squashfs", "rauc"]
    assert outer[1].offset + outer[1].size == len(data)


@pytest.mark.parametrize("kind", ["plain", "verity"])
def test_a_changed_payload_is_told(kind: str) -> None:
    data = bytearray(bundle(kind))
    data[4000] ^= 1
    container = RAUC.open(Memory(data), 0)
    assert any("digest" in line or "dm-verity" in line for line in container.problems)
    assert "wrong" in str(container.detail["integrity_detail"])


def test_a_changed_manifest_and_a_changed_signature_are_told() -> None:
    data = bundle("verity").replace(b"compatible=Board", b"compatible=Bxard")
    assert "the digest that the signature covers is not that of the bundle" in RAUC.open(Memory(data), 0).problems
    data = bytearray(bundle("plain"))
    data[-10] ^= 1
    assert RAUC.open(Memory(data), 0).problems == ["the signature does not fit the certificate beside it"]


@pytest.mark.parametrize("data", [payload(manifest=True), bundle("plain")[:-1], bundle("plain")[:-8] + bytes(8)])
def test_without_a_trailer_it_is_no_bundle(data: bytes) -> None:
    with pytest.raises(FormatError):
        RAUC.open(Memory(data), 0)


@pytest.mark.parametrize("kind", ["plain", "verity", "crypt"])
def test_what_rauc_writes(kind: str, tmp_path: Path) -> None:
    if shutil.which("rauc") is None or shutil.which("mksquashfs") is None:
        pytest.skip("rauc or mksquashfs is not installed")
    from cryptography.hazmat.primitives import serialization

    certificate, key = signer()
    (tmp_path / "c.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "k.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (tmp_path / "in").mkdir()
    (tmp_path / "in/rootfs.img").write_bytes(bytes(range(256)) * 4096)
    text = f"[update]\ncompatible=Board\nversion=1.2\n[bundle]\nformat={kind}\n[image.rootfs]\nfilename=rootfs.img\n"
    (tmp_path / "in/manifest.raucm").write_text(text)
    command = ["rauc", "bundle", "--cert", "c.pem", "--key", "k.pem", "in", "x.raucb"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"this rauc does not write {kind} bundles: {done.stderr[-200:]!r}")
    data = (tmp_path / "x.raucb").read_bytes()
    at = len(data) - 8 - int.from_bytes(data[-8:], "big") if kind == "crypt" else 0
    container = RAUC.open(Memory(data), at)
    assert (container.size + at, container.detail["compatible"]) == (len(data), "Board")
    words = str(container.detail["integrity_detail"])
    assert "digest of the content right, signature right" in words
    assert ("dm-verity tree right" in words) == (kind != "plain")
    assert container.problems == (
        ["the key of the encrypted payload stands in the manifest unencrypted"] if kind == "crypt" else []
    )


@pytest.mark.corpus
def test_a_bundle_of_the_rauc_project() -> None:
    path = CORPUS / "rauc-good-bundle_good-bundle.raucb"
    if not path.exists():
        pytest.skip("the shared corpus is not here")
    container = RAUC.open(Mapped.open(path), 0)
    assert (container.size, container.problems, container.detail["compatible"]) == (5661, [], "Test Config")
    assert "digest of the content right, signature right" in str(container.detail["integrity_detail"])
