"""Android packages and JAR archives: signed by a writer of our own as Android documents it, and by apksigner and jarsigner."""

from __future__ import annotations

import hashlib
import io
import random
import shutil
import struct
import subprocess
import time
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PublicFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from support.signed import certificate, fingerprint, pem, report, rsa_of

from fwcheck.extraction.errors import ExtractionError
from fwcheck.extraction.formats.zip import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import ImageSignature, SignedBlock

ZIP = FORMATS[0]
EC = ec.derive_private_key(0x5151, ec.SECP256R1())


def archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        for name, content in files.items():
            out.writestr(zipfile.ZipInfo(name.replace("__", "/").replace("_", ".")), content)
    return buffer.getvalue()


def package() -> bytes:
    return archive(AndroidManifest_xml=b"<manifest/>" * 40, classes_dex=random.Random(4).randbytes(1_200_000))


def prefixed(*pieces: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(piece)) + piece for piece in pieces)


def signed(raw: bytes, key, algorithm: int, version: int = 2) -> bytes:  # type: ignore[no-untyped-def]
    """The package with a signing block in front of its directory."""
    end = raw.rindex(b"PK\x05\x06")
    at = int.from_bytes(raw[end + 16 : end + 20], "little")
    pieces = [
        raw[begin : min(begin + (1 << 20), stop)]
        for begin, stop in ((0, at), (at, end), (end, len(raw)))
        for begin in range(begin, stop, 1 << 20)
    ]
    hashed = b"".join(hashlib.sha256(b"\xa5" + struct.pack("<I", len(piece)) + piece).digest() for piece in pieces)
    digest = hashlib.sha256(b"\x5a" + struct.pack("<I", len(pieces)) + hashed).digest()
    range_of = struct.pack("<II", 24, 0x7FFFFFFF) if version == 3 else b""
    body = prefixed(
        prefixed(struct.pack("<I", algorithm) + prefixed(digest)), prefixed(certificate(key).public_bytes(Encoding.DER))
    )
    body += range_of + prefixed(b"")
    if algorithm == 0x0201:
        signature = key.sign(body, ec.ECDSA(hashes.SHA256()))
    elif algorithm == 0x0101:
        signature = key.sign(body, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    else:
        signature = key.sign(body, padding.PKCS1v15(), hashes.SHA256())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    signer = prefixed(body) + range_of + prefixed(prefixed(struct.pack("<I", algorithm) + prefixed(signature)), public)
    value = prefixed(prefixed(signer))
    pair = struct.pack("<QI", len(value) + 4, {2: 0x7109871A, 3: 0xF05368C0}[version]) + value
    size = len(pair) + 24
    block = struct.pack("<Q", size) + pair + struct.pack("<Q", size) + b"APK Sig Block 42"
    tail = bytearray(raw[end:])
    tail[16:20] = struct.pack("<I", at + len(block))
    return raw[:at] + block + raw[at:end] + bytes(tail)


def of(raw: bytes) -> tuple[SignedBlock, ...]:
    return ZIP.open(Memory(raw), 0).signatures


def told(raw: bytes, directory: Path, *keys: bytes) -> ImageSignature:
    found = [each for each in report(raw, directory, *keys).device.signatures if each.scheme.startswith(("APK", "JAR"))]
    assert len(found) == 1, found
    return found[0]


class TestSigningBlock:
    @pytest.mark.parametrize("version", [2, 3])
    @pytest.mark.parametrize(("algorithm", "key"), [(0x0201, EC), (0x0101, rsa_of(2048)), (0x0103, rsa_of(2048))])
    def test_a_package_is_verified_with_the_key_given(self, algorithm: int, key, version: int, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        raw = signed(package(), key, algorithm, version)
        found = told(raw, tmp_path, pem(key))
        assert (found.state, found.scheme, found.role) == ("valid", f"APK v{version}", "content")
        assert found.key == fingerprint(key)
        (block,) = of(raw)
        assert block.intact is True

    @pytest.mark.parametrize("where", ["content", "directory", "signed data", "signature"])
    def test_a_changed_byte_is_told(self, where: str, tmp_path: Path) -> None:
        raw = bytearray(signed(package(), EC, 0x0201))
        block = raw.rindex(b"APK Sig Block 42")
        at = {
            "content": 700_000,
            "directory": block + 16 + 12,
            "signed data": raw.index(b"\x1a\x87\x09\x71") + 40,
            "signature": block - 110,
        }
        raw[at[where]] ^= 1
        assert told(bytes(raw), tmp_path).state == "invalid"

    def test_a_package_without_a_block_has_no_signature(self) -> None:
        assert of(package()) == ()

    def test_mutations_end_and_never_raise_anything_else(self) -> None:
        seed, choose = signed(archive(AndroidManifest_xml=b"x" * 50), EC, 0x0201, 3), random.Random(2)
        begin = time.process_time()
        for _ in range(1500):
            raw = bytearray(seed)
            for _ in range(choose.randint(1, 4)):
                raw[choose.randrange(len(raw))] = choose.randrange(256)
            try:
                of(bytes(raw))
            except ExtractionError:
                continue
        assert time.process_time() - begin < 10


@pytest.mark.skipif(shutil.which("apksigner") is None, reason="apksigner is not installed")
@pytest.mark.parametrize("scheme", ["v1", "v2", "v3"])
def test_what_apksigner_writes(scheme: str, tmp_path: Path) -> None:
    key = rsa_of(2048)
    store = serialize_key_and_certificates(b"k", key, certificate(key), None, BestAvailableEncryption(b"secret"))
    (tmp_path / "k.p12").write_bytes(store)
    (tmp_path / "in.apk").write_bytes(package())
    schemes = [word for each in ("v1", "v2", "v3") for word in (f"--{each}-signing-enabled", str(each == scheme).lower())]
    command = [
        "apksigner",
        "sign",
        "--ks",
        "k.p12",
        "--ks-pass",
        "pass:secret",
        "--min-sdk-version",
        "21",
        *schemes,
        "--out",
        "out.apk",
        "in.apk",
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    raw = (tmp_path / "out.apk").read_bytes()
    found = told(raw, tmp_path, pem(key))
    assert (found.state, found.scheme) == ("valid", "JAR" if scheme == "v1" else f"APK {scheme}")
    changed = bytearray(raw)
    changed[600_000] ^= 1
    assert told(bytes(changed), tmp_path).state == "invalid"


@pytest.mark.skipif(shutil.which("jarsigner") is None, reason="jarsigner is not installed")
def test_what_jarsigner_writes(tmp_path: Path) -> None:
    store = serialize_key_and_certificates(b"k", EC, certificate(EC), None, BestAvailableEncryption(b"secret"))
    (tmp_path / "k.p12").write_bytes(store)
    (tmp_path / "a.jar").write_bytes(archive(a_txt=b"content of a file" * 20, b__c_txt=b"other"))
    subprocess.run(
        ["jarsigner", "-keystore", "k.p12", "-storepass", "secret", "a.jar", "k"], cwd=tmp_path, check=True, capture_output=True
    )
    raw = (tmp_path / "a.jar").read_bytes()
    found = told(raw, tmp_path, pem(EC))
    assert (found.state, found.covers[:7]) == ("valid", "archive")
    with zipfile.ZipFile(tmp_path / "a.jar", "a") as out:
        out.writestr("new.txt", b"nobody signed this, and Java takes it")
    assert told((tmp_path / "a.jar").read_bytes(), tmp_path, pem(EC)).state == "valid"
