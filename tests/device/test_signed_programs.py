"""Programs and packages that carry a signature of their own: kernel modules, UEFI programs and capsules, Alpine packages."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate
from extraction.formats import test_uefi_capsule
from support.kernel_images import pe
from support.signed import (
    EC,
    STRANGER,
    Private,
    certificate,
    cms,
    der,
    fingerprint,
    flipped,
    oid,
    only,
    pem,
    private_pem,
    report,
    rules,
    sign,
)
from support.signing import key as rsa_key

RSA = rsa_key()
MODULE = b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack("<HHI", 1, 40, 1) + b"a module " * 300


def cpio(members: dict[str, bytes]) -> bytes:
    out = b""
    for number, (name, data) in enumerate([*members.items(), ("TRAILER!!!", b"")], 1):
        fields = (number, 0o100644, 0, 0, 1, 1700000000, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % each for each in fields) + name.encode() + b"\0"
        out += head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)
    return out


# --------------------------------------------------------------------------- kernel modules


def module(key: Private = RSA, content: bytes = MODULE, digest: str = "sha256") -> bytes:
    message = cms(key, content, attributes=False, certificates=(), digest=digest)
    return content + message + struct.pack(">5B3xI", 0, 0, 2, 0, 0, len(message)) + b"~Module signature appended~\n"


def old_module() -> bytes:
    """As Linux 3.7 to 4.2 signs: name, identifier, and the signature with its length in front."""
    signature = sign(RSA, MODULE, digest="sha512")
    raw = len(signature).to_bytes(2, "big") + signature
    tail = struct.pack(">5B3xI", 1, 6, 1, 6, 20, len(raw))
    return MODULE + b"Signer" + bytes(range(20)) + raw + tail + b"~Module signature appended~\n"


MODULES = {
    "RSA": (RSA, module()),
    "RSA SHA-512": (RSA, module(digest="sha512")),
    "before Linux 4.3": (RSA, old_module()),
    "P-256": (EC, module(EC)),
}
EACH_MODULE = pytest.mark.parametrize(("key", "made"), MODULES.values(), ids=MODULES)


@EACH_MODULE
def test_a_kernel_module_is_verified_with_a_key_given(key: Private, made: bytes, tmp_path: Path) -> None:
    found = report(cpio({"lib/modules/a.ko": made}), tmp_path, pem(key))
    signature = only(found)
    assert (signature.scheme, signature.state, signature.key) == ("Linux module signature", "valid", fingerprint(key))
    assert (signature.role, signature.covers) == ("content", "kernel module")
    assert signature.evidence[0].location.path == "/lib/modules/a.ko"


@EACH_MODULE
def test_another_key_says_nothing_about_the_update(key: Private, made: bytes, tmp_path: Path) -> None:
    found = report(cpio({"lib/modules/a.ko": made}), tmp_path, pem(STRANGER))
    assert only(found).state == "unverified"
    assert not {"UPD-011", "UPD-012"} & rules(found)
    changed = report(cpio({"lib/modules/a.ko": flipped(made, 100)}), tmp_path, pem(key))
    assert only(changed).state == "unverified"  # nothing but the signature tells
    assert report(cpio({"lib/modules/a.ko": MODULE}), tmp_path, pem(key)).device.signatures == ()


def test_the_certificate_in_the_kernel_verifies_its_modules(tmp_path: Path) -> None:
    held = certificate(RSA).public_bytes(Encoding.DER)
    kernel = b"Linux version 6.1.0 (a@b) #1\n" + bytes(500) + held + bytes(900)
    modules = {f"lib/modules/{number}.ko": module(content=MODULE + bytes([number])) for number in range(7)}
    modules["lib/modules/other.ko"] = module(EC)
    modules["lib/modules/packed.ko.gz"] = gzip.compress(module(content=MODULE + b"packed"))
    found = report(cpio({"boot/vmlinux": kernel, **modules}), tmp_path, pem(STRANGER))
    valid, other = found.device.signatures
    assert (valid.state, valid.covers, len(valid.evidence)) == ("valid", "kernel module (8 of them)", 5)
    assert valid.key_from.endswith("/boot/vmlinux")
    assert (other.state, other.covers) == ("unverified", "kernel module")


@pytest.mark.parametrize(
    "tail",
    [
        struct.pack(">5B3xI", 0, 0, 2, 0, 0, 1 << 31),  # overruns
        struct.pack(">5B3xI", 0, 0, 2, 255, 255, 200),
        struct.pack(">5B3xI", 0, 0, 2, 0, 0, 50),  # no message
        struct.pack(">5B3xI", 0, 0, 9, 0, 0, 50),  # an unknown kind
        struct.pack(">5B3xI", 1, 99, 1, 0, 0, 50),
    ],
)
def test_a_trailer_that_cannot_be_read_is_told(tail: bytes, tmp_path: Path) -> None:
    broken = MODULE[:200] + tail + b"~Module signature appended~\n"
    signature = only(report(cpio({"lib/modules/a.ko": broken}), tmp_path, pem(RSA)))
    assert (signature.state, signature.algorithm) == ("unverified", "unknown")
    assert signature.key.startswith("a signature ")


def test_the_mark_alone_is_no_signature(tmp_path: Path) -> None:
    assert report(cpio({"lib/modules/a.ko": b"~Module signature appended~\n"}), tmp_path).device.signatures == ()


# --------------------------------------------------------------------------- UEFI programs

SPC = "2b060104018237020104"
PROGRAM = pe([(b".text", b"\x48\x89\xe5\xc3" * 300)])


def authenticode(key: Private, image: bytes = PROGRAM, digest: str = "sha256", held: Certificate | None = None) -> bytes:
    """Signed as sbsign does it: one PKCS #7 message in the certificate table."""
    begin = int.from_bytes(image[0x3C:0x40], "little") + 24
    checksum, directory = begin + 64, begin + 112 + 32
    hashed = hashlib.new(digest, image[:checksum] + image[checksum + 4 : directory] + image[directory + 8 :]).digest()
    names = der(0x30, oid(digest), der(5))
    data = der(0x30, oid("2b06010401823702010f"), der(0x30, der(3, b"\0")))
    content = der(0x30, data, der(0x30, names, der(4, hashed)))
    blob = cms(key, b"", content=(SPC, content), digest=digest, held=held)
    table = struct.pack("<IHH", 8 + len(blob), 0x200, 2) + blob
    table += bytes(-len(table) % 8)
    return image[:directory] + struct.pack("<II", len(image), len(table)) + image[directory + 8 :] + table


@pytest.mark.parametrize(("key", "digest"), [(RSA, "sha256"), (RSA, "sha512"), (EC, "sha256")])
@pytest.mark.parametrize("inside", [False, True])
def test_a_uefi_program_is_verified(key: Private, digest: str, *, inside: bool, tmp_path: Path) -> None:
    def image(made: bytes) -> bytes:
        return cpio({"EFI/BOOT/BOOTX64.EFI": made}) if inside else made

    made = authenticode(key, digest=digest)
    signature = only(report(image(made), tmp_path, pem(key)))
    assert (signature.scheme, signature.state, signature.key) == ("Authenticode", "valid", fingerprint(key))
    changed = report(image(flipped(made, made.index(b"\x48\x89") + 8)), tmp_path, pem(key))
    assert only(changed).state == "invalid"
    (finding,) = [each for each in changed.findings if each.rule == "UPD-011"]
    assert (finding.verdict, finding.severity) == ("concern", "medium")  # whether the device loads it is not known
    other = report(image(made), tmp_path, pem(STRANGER))
    assert (only(other).state, only(other).key_from) == ("valid", "carried with the signature")
    assert "UPD-012" not in rules(other)
    assert report(image(PROGRAM), tmp_path, pem(key)).device.signatures == ()


def test_a_certificate_inside_another_program_vouches_for_it(tmp_path: Path) -> None:
    """As shim holds its vendor's certificate, which signs the boot loader; what the loader itself brings along proves nothing."""
    root = certificate(STRANGER, "vendor").public_bytes(Encoding.DER)
    grub = authenticode(RSA, held=certificate(RSA, "signer", (STRANGER, "vendor")))
    alone = only(report(cpio({"EFI/grub.efi": grub}), tmp_path))
    assert (alone.state, alone.key_from) == ("valid", "carried with the signature")
    shim = pe([(b".text", b"\xc3" * 300), (b".vendor_cert", root + bytes(64))])
    found = only(report(cpio({"EFI/grub.efi": grub, "EFI/shim.efi": shim}), tmp_path))
    assert found.state == "valid"
    assert "certified by" in found.reason
    assert found.reason.endswith("/EFI/shim.efi")


@pytest.mark.skipif(shutil.which("osslsigncode") is None, reason="osslsigncode is not installed")
def test_what_osslsigncode_signs(tmp_path: Path) -> None:
    (tmp_path / "in.efi").write_bytes(PROGRAM)
    (tmp_path / "key.pem").write_bytes(private_pem(RSA))
    (tmp_path / "cert.pem").write_bytes(certificate(RSA).public_bytes(Encoding.PEM))
    command = [
        "osslsigncode",
        "sign",
        "-certs",
        "cert.pem",
        "-key",
        "key.pem",
        "-h",
        "sha256",
        "-in",
        "in.efi",
        "-out",
        "out.efi",
    ]
    subprocess.run([*command, "-out", "out.efi"], cwd=tmp_path, check=True, capture_output=True)
    image = (tmp_path / "out.efi").read_bytes()
    assert only(report(image, tmp_path, pem(RSA))).state == "valid"
    assert only(report(flipped(image, image.index(b"\x48\x89") + 8), tmp_path, pem(RSA))).state == "invalid"


# --------------------------------------------------------------------------- UEFI capsules


def capsule(key: Private | None, *, bare: bool = False) -> bytes:
    content = b"MSS1" + struct.pack("<III", 16, 7, 3) + test_uefi_capsule.IMAGE
    if key is None:
        return test_uefi_capsule.managed(signed=False)
    message = cms(key, content + (5).to_bytes(8, "little"))
    if bare:  # SignedData without the ContentInfo around it
        message = message[message.index(bytes.fromhex("2a864886f70d010702")) + 9 + 4 :]
    head = struct.pack("<QIHH", 5, 24 + len(message), 0x200, 0xEF1) + test_uefi_capsule.PKCS7.bytes_le
    body = head + message + content
    payload = struct.pack("<I16sB3xIIQQ", 3, test_uefi_capsule.DEVICE.bytes_le, 1, len(body), 0, 0, 1) + body
    return test_uefi_capsule.capsule(test_uefi_capsule.FMP, struct.pack("<IHHQ", 1, 0, 1, 16) + payload)


@pytest.mark.parametrize(("key", "bare"), [(RSA, False), (EC, False), (RSA, True)])
def test_a_capsule_is_verified(key: Private, *, bare: bool, tmp_path: Path) -> None:
    made = capsule(key, bare=bare)
    signature = only(report(made, tmp_path, pem(key)))
    assert (signature.scheme, signature.state, signature.role) == ("UEFI capsule", "valid", "update")
    assert only(report(made, tmp_path, pem(STRANGER))).state == "unverified"
    for at in (made.index(b"firmware") + 5, made.index(b"MSS1") + 12):  # content, lowest version that may replace it
        changed = report(flipped(made, at), tmp_path, pem(key))
        assert only(changed).state == "invalid"
        assert "UPD-011" in rules(changed)
    assert report(capsule(None), tmp_path, pem(key)).device.signatures == ()


@pytest.mark.skipif(shutil.which("mkeficapsule") is None, reason="mkeficapsule of u-boot-tools is not installed")
def test_what_mkeficapsule_signs(tmp_path: Path) -> None:
    (tmp_path / "in.bin").write_bytes(test_uefi_capsule.IMAGE)
    (tmp_path / "key.pem").write_bytes(private_pem(RSA))
    (tmp_path / "cert.pem").write_bytes(certificate(RSA).public_bytes(Encoding.PEM))
    command = ["mkeficapsule", "-g", "09d7cf52-0720-4710-91d1-08469b7fe9c8", "-i", "1", "-m", "3", "-p", "key.pem"]
    subprocess.run([*command, "-c", "cert.pem", "in.bin", "out.cap"], cwd=tmp_path, check=True, capture_output=True)
    image = (tmp_path / "out.cap").read_bytes()
    assert only(report(image, tmp_path, pem(RSA))).state == "valid"
    assert only(report(flipped(image, image.index(b"firmware") + 5), tmp_path, pem(RSA))).state == "invalid"


# --------------------------------------------------------------------------- Alpine packages


def segment(files: dict[str, bytes], *, end: bool = False) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.USTAR_FORMAT) as made:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    raw = held.getvalue()
    if not end:
        raw = raw[: sum(512 + len(data) + -len(data) % 512 for data in files.values())]
    return gzip.compress(raw, mtime=0)


def apk(kind: str = "RSA", key: Private | None = RSA, name: str = "build@example.net.rsa.pub") -> bytes:
    data = segment({"usr/bin/hello": b"#!/bin/sh\necho hello\n"}, end=True)
    info = b"pkgname = hello\npkgver = 1.2-r3\ndatahash = " + hashlib.sha256(data).hexdigest().encode() + b"\n"
    control = segment({".PKGINFO": info})
    return _signed(control, kind, key, name) + control + data


def _signed(member: bytes, kind: str, key: Private | None, name: str) -> bytes:
    digest = {"RSA": "sha1", "RSA256": "sha256", "RSA512": "sha512"}[kind]
    return segment({f".SIGN.{kind}.{name}": sign(key, member, digest=digest)}) if key is not None else b""


def index(key: Private | None = RSA) -> bytes:
    held = segment({"DESCRIPTION": b"v3.18\n", "APKINDEX": b"C:Q1abc\nP:hello\nV:1.2-r3\n"}, end=True)
    return _signed(held, "RSA", key, "build@example.net.rsa.pub") + held


@pytest.mark.parametrize("made", [apk(), apk("RSA256"), apk("RSA512"), index()], ids=["RSA", "RSA256", "RSA512", "index"])
def test_an_alpine_package_is_verified_with_the_key_of_the_image(made: bytes, tmp_path: Path) -> None:
    image = cpio({"etc/apk/keys/build@example.net.rsa.pub": pem(RSA), "var/cache/apk/hello.apk": made})
    signature = only(report(image, tmp_path))
    assert (signature.scheme, signature.state, signature.role) == ("Alpine package", "valid", "content")
    assert signature.key_from.endswith("/etc/apk/keys/build@example.net.rsa.pub")
    assert only(report(made, tmp_path, pem(RSA))).state == "valid"
    assert only(report(made, tmp_path, pem(STRANGER))).state == "unverified"


def test_a_changed_or_unsigned_alpine_package(tmp_path: Path) -> None:
    members = apk().split(b"\x1f\x8b\x08")
    data = segment({"usr/bin/hello": b"#!/bin/sh\necho other\n"}, end=True)
    changed = b"\x1f\x8b\x08".join(members[:-1]) + data
    assert only(report(changed, tmp_path, pem(RSA))).state == "invalid"
    assert report(apk(key=None), tmp_path, pem(RSA)).device.signatures == ()
    assert report(index(None), tmp_path, pem(RSA)).device.signatures == ()
