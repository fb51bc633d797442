"""Every algorithm of every scheme: the key verifies it, a changed byte and another key do not, unsigned has no signature."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from device.test_signed_programs import cpio
from extraction.formats import test_android_payload, test_android_vbmeta, test_esp, test_nordic_dfu, test_nxp_mbi, test_rauc
from support.signed import (
    EC,
    EC384,
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
from support.signing import large_key

ESP = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())
ESP192 = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP192R1())
ESP384 = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP384R1())


class Made(NamedTuple):
    """An image made by one way to sign: with and without a signature, and where a byte of its content is."""

    name: str
    key: Callable[[], Private]
    signed: Callable[[], bytes]
    unsigned: Callable[[], bytes]
    content: bytes
    blind: bool = False  # nothing but the signature tells of a change
    skip: int = 5  # bytes of the content in front of the changed one


# --------------------------------------------------------------------------- RAUC


def rauc(kind: str, key: Private, **options: object) -> bytes:
    data = test_rauc.payload(manifest=kind == "plain")
    if kind == "plain":
        signed = cms(key, data, **options)
        return data + signed + len(signed).to_bytes(8, "big")
    if kind == "crypt":
        data = test_rauc.encrypt(data)
    salt = b"salt" * 8
    root, tree = test_rauc.verity(data, salt)
    more = b"verity-hash=%b\nverity-salt=%b\nverity-size=4096\n" % (root.hex().encode(), salt.hex().encode())
    signed = cms(key, test_rauc.MANIFEST % (kind.encode(), more), attached=True, **options)
    return data + tree + signed + len(signed).to_bytes(8, "big")


RAUC = [
    Made(
        f"RAUC {kind} {name}", key, lambda kind=kind, key=key, options=options: rauc(kind, key(), **options),
        partial(test_rauc.payload, kind == "plain"), b"hsqs", skip=100,
    )
    for kind in ("plain", "verity")
    for name, key, options in (
        ("RSA", rsa_key, {}),
        ("RSA-4096", lambda: large_key(4096), {"digest": "sha512"}),
        ("PSS", rsa_key, {"pss": True}),
        ("P-256", lambda: EC, {}),
        ("Ed25519", lambda: ED, {"digest": "sha512"}),
    )
]  # fmt: skip

RAUC.append(
    Made(
        "RAUC crypt RSA", rsa_key, lambda: rauc("crypt", rsa_key()), lambda: test_rauc.payload(manifest=False),
        test_rauc.encrypt(test_rauc.payload(manifest=False))[:16],
    )
)  # fmt: skip

# --------------------------------------------------------------------------- AVB


def avb_key(key: rsa.RSAPrivateKey) -> bytes:
    number, bits = key.public_key().public_numbers().n, key.key_size
    inverse = -pow(number, -1, 1 << 32) % (1 << 32)
    square = pow(1 << bits, 2, number)
    return struct.pack(">II", bits, inverse) + number.to_bytes(bits // 8, "big") + square.to_bytes(bits // 8, "big")


def avb(described: bytes, algorithm: int, key: rsa.RSAPrivateKey) -> bytes:
    """A vbmeta image as avbtool writes it: header, hash and signature, descriptors and key."""
    name = "sha256" if algorithm < 4 else "sha512"
    own = avb_key(key) if algorithm else b""
    auxiliary = described + own
    auxiliary += bytes(-len(auxiliary) % 64)
    hashed, length = hashlib.new(name).digest_size, key.key_size // 8
    first = hashed + length + -(hashed + length) % 64
    sizes = (first, 0, hashed, hashed, length) if algorithm else (0, 0, 0, 0, 0)
    head = struct.pack(
        ">4sII2QI11QII48s80x", b"AVB0", 1, 0, sizes[0], len(auxiliary), algorithm, *sizes[1:], len(described), len(own),
        len(described) + len(own), 0, 0, len(described), 1_700_000_000, 0, 2, b"avbtool 1.2.0",
    )  # fmt: skip
    if not algorithm:
        return head + auxiliary
    both = head + auxiliary
    authentic = hashlib.new(name, both).digest() + sign(key, both, digest=name)
    return head + authentic.ljust(first, b"\0") + auxiliary


def avb_partition(image: bytes, algorithm: int, key: rsa.RSAPrivateKey, *, tree: bool) -> bytes:
    """A partition with its own signed vbmeta image: one that another vbmeta image names in a chain descriptor."""
    made, root = test_android_vbmeta.tree_of(image) if tree else (b"", b"")
    described = test_android_vbmeta.hash_descriptor(b"boot", image)
    if tree:
        described = test_android_vbmeta.tree_descriptor(b"system", image, root, len(made))
    body = image + bytes(-len(image) % 4096) + made
    own = avb(described, algorithm, key)
    footer = struct.pack(">4sII3Q28x", b"AVBf", 1, 0, len(image), len(body), len(own))
    whole = body + own
    return whole + bytes(-(len(whole) + 64) % 4096) + footer


BOOT = b"a boot image " * 1000
SYSTEM = b"".join(struct.pack(">I", number) * 1024 for number in range(300))
AVB = [
    *(
        Made(
            f"AVB {name}", key, lambda number=number, key=key: avb(test_android_vbmeta.described(), number, key()),
            lambda key=key: avb(test_android_vbmeta.described(), 0, key()), b"dm=verity",
        )
        for number, name, key in (
            (2, "RSA-4096 SHA-256", lambda: large_key(4096)),
            (3, "RSA-8192 SHA-256", lambda: large_key(8192)),
            (4, "RSA-2048 SHA-512", rsa_key),
            (5, "RSA-4096 SHA-512", lambda: large_key(4096)),
            (6, "RSA-8192 SHA-512", lambda: large_key(8192)),
        )
    ),
    Made(
        "AVB chained partition", lambda: large_key(4096), lambda: avb_partition(BOOT, 2, large_key(4096), tree=False),
        lambda: avb_partition(BOOT, 0, large_key(4096), tree=False), BOOT[:13],
    ),
    Made(
        "AVB hash tree", lambda: large_key(4096), lambda: avb_partition(SYSTEM, 5, large_key(4096), tree=True),
        lambda: avb_partition(SYSTEM, 0, large_key(4096), tree=True), SYSTEM[40960:41000],
    ),
]  # fmt: skip

# --------------------------------------------------------------------------- microcontrollers


def esp(key: ec.EllipticCurvePrivateKey) -> bytes:
    image = test_esp.image()
    padded = image + b"\xff" * (-len(image) % 4096)
    return padded + test_esp.ecdsa_sector(padded, key.curve, {192: 1, 256: 2, 384: 3}[key.key_size])


MICROCONTROLLERS = [
    *(
        Made(f"ESP Secure Boot V2 P-{key.key_size}", lambda key=key: key, partial(esp, key), test_esp.image, test_esp.DATA[-20:])
        for key in (ESP192, ESP, ESP384)
    ),
    *(
        Made(
            f"NXP RSA kind {kind}", lambda: test_nxp_mbi.certificate()[0], partial(test_nxp_mbi.rsa_image, kind),
            test_nxp_mbi.crc_image, test_nxp_mbi.CODE[100:120],
        )
        for kind in (1, 4)
    ),
    *(
        Made(
            f"NXP P-{key.key_size}", lambda key=key: key, partial(test_nxp_mbi.ec_image, key is test_nxp_mbi.FURTHER),
            test_nxp_mbi.crc_image, test_nxp_mbi.CODE[100:120],
        )
        for key in (test_nxp_mbi.ROOT, test_nxp_mbi.FURTHER)
    ),
]  # fmt: skip

# --------------------------------------------------------------------------- Android payloads


def payload(key: Private | None) -> bytes:
    """A payload whose data is signed as a whole: the manifest says where the signatures are, behind all data."""
    plain = test_android_payload.image(signature=b"")
    end = 24 + int.from_bytes(plain[12:20], "big")
    field, manifest, data = test_android_payload.field, plain[24:end], plain[end:-20]
    head = plain[:12] + len(manifest + field(5, 0)).to_bytes(8, "big") + bytes(4) + manifest + field(5, 0)
    if key is None:
        return head + data

    def block(signature: bytes) -> bytes:  # ECDSA signatures are padded: their length is told beside them
        told = test_android_payload.varint(3 << 3 | 5) + struct.pack("<I", len(signature))
        return field(1, field(2, signature.ljust(256, b"\0")) + told)

    manifest += field(5, len(block(b"")))
    head = plain[:12] + len(manifest).to_bytes(8, "big") + bytes(4) + manifest
    return head + data + block(sign(key, head + data))


PAYLOADS = [
    Made(f"Android payload {name} {told}", lambda key=key: key, partial(payload, key), partial(payload, None), content, blind)
    for name, key in (("RSA", rsa_key()), ("P-256", EC))
    for told, content, blind in (
        ("hashed data", test_android_payload.NOISE[:40], False),
        ("data without a hash", test_android_payload.TEXT[4096:4136], True),
    )
]

# --------------------------------------------------------------------------- SWUpdate, Nordic DFU

ROOTFS = b"root file system " * 100


def swupdate(signature: Callable[[bytes], bytes] | None) -> bytes:
    held = hashlib.sha256(ROOTFS).hexdigest()
    text = f'software = {{ version = "1"; images: ( {{ filename = "rootfs.bin"; sha256 = "{held}"; }} ); }}\n'.encode()
    members = {"sw-description.sig": signature(text)} if signature is not None else {}
    return cpio({"sw-description": text, **members, "rootfs.bin": ROOTFS})


def nordic(key: Private | None) -> bytes:
    """The init command is signed; its hash binds the firmware."""
    field, packet = test_nordic_dfu.field, test_nordic_dfu.secure(signed=False)
    init = packet[packet.index(b"\x08\xac\x02") :]
    command = field(1, 1) + field(2, init)
    if key is None:
        return test_nordic_dfu.package(field(1, command))
    signed = field(1, command) + field(2, 1) + field(3, sign(key, init))
    return test_nordic_dfu.package(field(2, signed))


BUNDLES = [
    *(
        Made(
            f"SWUpdate CMS {name}", key, lambda key=key, options=options: swupdate(lambda text: cms(key(), text, **options)),
            partial(swupdate, None), ROOTFS[:17],
        )
        for name, key, options in (
            ("RSA", rsa_key, {}),
            ("RSA without attributes", rsa_key, {"attributes": False}),
            ("PSS", rsa_key, {"pss": True}),
            ("SHA-512", lambda: large_key(4096), {"digest": "sha512"}),
            ("P-256", lambda: EC, {}),
            ("Ed25519", lambda: ED, {"digest": "sha512"}),
        )
    ),
    Made("Nordic DFU Ed25519", lambda: ED, partial(nordic, ED), partial(nordic, None), test_nordic_dfu.FIRMWARE[:20]),
]  # fmt: skip

EVERY = [*BUNDLES, *RAUC, *AVB, *MICROCONTROLLERS, *PAYLOADS]
EACH = pytest.mark.parametrize("made", EVERY, ids=lambda each: each.name.replace(" ", "-"))


@EACH
def test_every_algorithm_verifies_and_refuses(made: Made, tmp_path: Path) -> None:
    image, key = made.signed(), made.key()
    found = report(image, tmp_path, pem(key))
    signature = only(found)
    assert (signature.state, signature.key, signature.key_from) == ("valid", fingerprint(key), "--update-key key0")
    assert not {"UPD-011", "UPD-012"} & rules(found)
    other = report(image, tmp_path, pem(STRANGER))
    assert only(other).state == "unverified"
    assert "UPD-012" in rules(other)
    changed = report(flipped(image, image.index(made.content) + made.skip), tmp_path, pem(key))
    assert only(changed).state == ("unverified" if made.blind else "invalid")
    assert ("UPD-012" if made.blind else "UPD-011") in rules(changed)
    plain = report(made.unsigned(), tmp_path, pem(key))
    assert plain.device.signatures == ()
    assert "signature" not in {path.verified for path in plain.device.update_paths}


# --------------------------------------------------------------------------- what the tools of the schemes make

NEEDS_RAUC = pytest.mark.skipif(
    shutil.which("rauc") is None or shutil.which("mksquashfs") is None, reason="rauc and squashfs-tools are not installed"
)
NEEDS_MKIMAGE = pytest.mark.skipif(shutil.which("mkimage") is None or shutil.which("dtc") is None, reason="u-boot-tools, dtc")
ESPSECURE = shutil.which("espsecure", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
NEEDS_ESPSECURE = pytest.mark.skipif(ESPSECURE is None, reason="espsecure of esptool is not installed")


def run(directory: Path, *command: object) -> None:
    subprocess.run([str(each) for each in command], cwd=directory, check=True, capture_output=True)


def judged(image: bytes, key: Private, at: int, tmp_path: Path, changed: str = "invalid") -> None:
    assert only(report(image, tmp_path, pem(key))).state == "valid"
    assert only(report(image, tmp_path, pem(STRANGER))).state == "unverified"
    assert only(report(flipped(image, at), tmp_path, pem(key))).state == changed


@NEEDS_RAUC
@pytest.mark.parametrize("kind", ["plain", "verity"])
@pytest.mark.parametrize("key", [rsa_key(), EC, EC384], ids=["RSA", "P-256", "P-384"])
def test_what_rauc_signs(kind: str, key: Private, tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.mkdir()
    (content / "rootfs.img").write_bytes(random.Random(5).randbytes(20_000))  # a verity bundle has to be large
    text = f"[update]\ncompatible=Board\nversion=1\n[bundle]\nformat={kind}\n[image.rootfs]\nfilename=rootfs.img\n"
    (content / "manifest.raucm").write_text(text)
    (tmp_path / "key.pem").write_bytes(private_pem(key))
    (tmp_path / "cert.pem").write_bytes(certificate(key).public_bytes(Encoding.PEM))
    run(tmp_path, "rauc", "bundle", "--cert=cert.pem", "--key=key.pem", content, tmp_path / "out.raucb")
    image = (tmp_path / "out.raucb").read_bytes()
    judged(image, key, image.index(b"hsqs") + 100, tmp_path)


def test_what_imgtool_signs_with_p_384(tmp_path: Path) -> None:
    content = b"an application " * 100
    (tmp_path / "image.bin").write_bytes(content)
    (tmp_path / "key.pem").write_bytes(private_pem(EC384))
    tool = [sys.executable, "-c", "from imgtool.main import imgtool; imgtool()"]
    options = ["--version", "1.2.3", "--header-size", "0x20", "--pad-header", "--slot-size", "0x20000", "--align", "4"]
    run(tmp_path, *tool, "sign", *options, "--key", "key.pem", "image.bin", "out.bin")
    image = (tmp_path / "out.bin").read_bytes()
    judged(image, EC384, image.index(content) + 5, tmp_path)


@NEEDS_ESPSECURE
@pytest.mark.parametrize("key", [EC, EC384, ec.derive_private_key(7, ec.SECP192R1())], ids=["P-256", "P-384", "P-192"])
def test_what_espsecure_signs_with_ecdsa(key: ec.EllipticCurvePrivateKey, tmp_path: Path) -> None:
    (tmp_path / "image.bin").write_bytes(test_esp.image())
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    run(tmp_path, ESPSECURE, "sign-data", "--version", "2", "--keyfile", "key.pem", "--output", "out.bin", "image.bin")
    image = (tmp_path / "out.bin").read_bytes()
    judged(image, key, image.index(test_esp.DATA[-20:]) + 5, tmp_path)


ITS = """/dts-v1/;
/ {{ description = "test"; #address-cells = <1>;
    images {{ kernel-1 {{
        description = "kernel"; data = /incbin/("kernel.bin"); type = "kernel"; arch = "arm"; os = "linux";
        compression = "none"; load = <0x8000>; entry = <0x8000>; hash-1 {{ algo = "{hash}"; }}; {image}
    }}; }};
    configurations {{ default = "conf-1"; conf-1 {{ kernel = "kernel-1"; {configuration} }}; }};
}};
"""


@NEEDS_MKIMAGE
@pytest.mark.parametrize("where", ["configuration", "image"])
@pytest.mark.parametrize(
    ("algorithm", "key"),
    [("sha256,ecdsa256", EC), ("sha256,rsa4096", large_key(4096)), ("sha512,rsa4096", large_key(4096))],
    ids=["ecdsa256", "rsa4096", "sha512-rsa4096"],
)
def test_what_mkimage_signs_with_other_algorithms(where: str, algorithm: str, key: Private, tmp_path: Path) -> None:
    content = b"a kernel " * 200
    name = algorithm.partition(",")[0]
    node = f'signature-1 {{ algo = "{algorithm}"; key-name-hint = "dev"; '
    node += 'sign-images = "kernel"; };' if where == "configuration" else "};"
    places = {"image": "", "configuration": ""} | {where: node}
    (tmp_path / "kernel.bin").write_bytes(content)
    (tmp_path / "fit.its").write_text(ITS.format(**places, hash=name))
    (tmp_path / "control.dts").write_text('/dts-v1/; / { model = "board"; signature { }; };')
    run(tmp_path, "dtc", "-O", "dtb", "-p", "0x1000", "-o", "control.dtb", "control.dts")
    form = PrivateFormat.TraditionalOpenSSL
    held = key.private_bytes(Encoding.PEM, form, NoEncryption())
    (tmp_path / "dev.pem").write_bytes(held)
    (tmp_path / "dev.key").write_bytes(held)
    (tmp_path / "dev.crt").write_bytes(certificate(key).public_bytes(Encoding.PEM))
    run(tmp_path, "mkimage", "-f", "fit.its", "fit.itb")
    signing = ["-k", "."] if isinstance(key, rsa.RSAPrivateKey) else ["-G", "dev.pem"]
    run(tmp_path, "mkimage", "-F", *signing, "-K", "control.dtb", "-r", "fit.itb")
    image = (tmp_path / "fit.itb").read_bytes()
    judged(image, key, image.index(content) + 5, tmp_path, "invalid" if where == "configuration" else "unverified")
    both = bytes(64) + (tmp_path / "control.dtb").read_bytes().ljust(4096, b"\0") + bytes(4032) + image
    signature = only(report(both, tmp_path))
    assert (signature.state, "fdt@" in signature.key_from) == ("valid", True)
