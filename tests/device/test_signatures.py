"""Signatures of images are verified with keys given, keys of the image, and keys carried beside them; changed bytes are told."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, utils
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, pkcs7
from extraction.formats import (
    test_android_payload,
    test_android_vbmeta,
    test_esp,
    test_gbl,
    test_nordic_dfu,
    test_openwrt_metadata,
)
from support.signed import EC, ED, STRANGER, Private, certificate, only, pem, report, rsa_of, rules
from support.signing import key as rsa_key

from fwcheck.device.update_keys import NoKey, parse
from fwcheck.pipeline import InputError, Options, scan

RSA3072 = rsa_of(3072)


# --------------------------------------------------------------------------- images


def cpio(members: dict[str, bytes]) -> bytes:
    out = b""
    for number, (name, data) in enumerate([*members.items(), ("TRAILER!!!", b"")], 1):
        fields = (number, 0o100644, 0, 0, 1, 1700000000, len(data), 0, 0, 0, 0, len(name) + 1, sum(data))
        head = b"070702" + b"".join(b"%08X" % each for each in fields) + name.encode() + b"\0"
        out += head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)
    return out


ROOTFS = b"root file system " * 100


def swu(sign: Callable[[bytes], bytes] | None) -> bytes:
    held = hashlib.sha256(ROOTFS).hexdigest()
    text = f'software = {{ version = "1"; images: ( {{ filename = "rootfs.bin"; sha256 = "{held}"; }} ); }}\n'.encode()
    signature = {"sw-description.sig": sign(text)} if sign is not None else {}
    return cpio({"sw-description": text, **signature, "rootfs.bin": ROOTFS})


def cms(key: Private, held: x509.Certificate, *above: x509.Certificate) -> Callable[[bytes], bytes]:
    def sign(text: bytes) -> bytes:
        made = pkcs7.PKCS7SignatureBuilder().set_data(text).add_signer(held, key, hashes.SHA256())  # type: ignore[arg-type]
        for each in above:
            made = made.add_certificate(each)
        return made.sign(Encoding.DER, [pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.DetachedSignature])

    return sign


def mender(sign: Callable[[bytes], bytes] | None) -> bytes:
    def tar(members: dict[str, bytes]) -> bytes:
        held = io.BytesIO()
        with tarfile.open(fileobj=held, mode="w", format=tarfile.USTAR_FORMAT) as made:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                made.addfile(info, io.BytesIO(data))
        return held.getvalue()

    version = json.dumps({"format": "mender", "version": 3}).encode()
    header = tar({"header-info": json.dumps({"payloads": [{"type": "rootfs-image"}]}).encode()})
    files = {"data/0000/rootfs.bin": ROOTFS, "header.tar": header, "version": version}
    manifest = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items()).encode()
    signature = {"manifest.sig": base64.b64encode(sign(manifest))} if sign is not None else {}
    return tar({
        "version": version, "manifest": manifest, **signature, "header.tar": header,
        "data/0000.tar": tar({"rootfs.bin": ROOTFS}),
    })  # fmt: skip


def rsa_pkcs1(text: bytes) -> bytes:
    return rsa_key().sign(text, padding.PKCS1v15(), hashes.SHA256())


def rsa_pss(text: bytes) -> bytes:
    return rsa_key().sign(text, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())


def two_numbers(text: bytes) -> bytes:
    pair = utils.decode_dss_signature(EC.sign(text, ec.ECDSA(hashes.SHA256())))
    return b"".join(each.to_bytes(32, "big") for each in pair)


def nordic(sign: bool) -> bytes:
    packet = test_nordic_dfu.secure(signed=False)
    init = packet[packet.index(b"\x08\xac\x02") :]  # the init command: firmware version 300 is its first field
    command = test_nordic_dfu.field(1, 1) + test_nordic_dfu.field(2, init)
    pair = utils.decode_dss_signature(EC.sign(init, ec.ECDSA(hashes.SHA256())))
    raw = b"".join(each.to_bytes(32, "little") for each in pair)
    signed = test_nordic_dfu.field(1, command) + test_nordic_dfu.field(2, 0) + test_nordic_dfu.field(3, raw)
    field = test_nordic_dfu.field
    return test_nordic_dfu.package(field(2, signed) if sign else field(1, command))


def esp_v1(sign: bool) -> bytes:
    image = test_esp.image()
    pair = utils.decode_dss_signature(EC.sign(image, ec.ECDSA(hashes.SHA256())))
    return image + (bytes(4) + b"".join(each.to_bytes(32, "big") for each in pair) if sign else b"")


def esp_v2(sign: bool) -> bytes:
    image = test_esp.image()
    padded = image + b"\xff" * (-len(image) % 4096)
    return padded + test_esp.signature_sector(padded, RSA3072) if sign else image


def usign(sign: bool) -> bytes:
    image = test_openwrt_metadata.metadata(ROOTFS)
    raw = base64.b64encode(b"Ed" + b"\x11" * 8 + ED.sign(image))
    text = b"untrusted comment: signed by key\n" + raw + b"\n"
    return test_openwrt_metadata.trailer(image, 0, text) if sign else image


def payload(sign: bool) -> bytes:
    """Signed like ``delta_generator`` does it: a message of one signature behind the manifest."""
    plain = test_android_payload.image(signature=b"")
    size = 24 + int.from_bytes(plain[12:20], "big")
    field = test_android_payload.field
    blank = field(1, field(2, bytes(256)))
    head = plain[:20] + len(blank).to_bytes(4, "big") + plain[24:size]
    signature = field(1, field(2, rsa_key().sign(head, padding.PKCS1v15(), hashes.SHA256())))
    return head + signature + plain[size:] if sign else plain


def mcuboot(key: Private | None, directory: Path, *options: str) -> bytes:
    """What imgtool makes."""
    (directory / "image.bin").write_bytes(ROOTFS)
    tool = [sys.executable, "-c", "from imgtool.main import imgtool; imgtool()"]
    command = [*tool, "sign", "--version", "1.2.3", "--header-size", "0x20", "--pad-header"]
    command += ["--slot-size", "0x20000", "--align", "4", *options]
    if key is not None:
        raw = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (directory / "key.pem").write_bytes(raw)
        command += ["--key", str(directory / "key.pem")]
    subprocess.run([*command, directory / "image.bin", directory / "out.bin"], check=True, capture_output=True)
    return (directory / "out.bin").read_bytes()


class Scheme(NamedTuple):
    """A way to sign: the image with a signature made by ``key``, the same without one, and a byte of the content to change."""

    name: str
    signed: bytes
    unsigned: bytes
    key: Private
    content: bytes = ROOTFS


SCHEMES = (
    Scheme("SWUpdate", swu(rsa_pkcs1), swu(None), rsa_key()),
    Scheme("SWUpdate", swu(rsa_pss), swu(None), rsa_key()),
    Scheme("SWUpdate", swu(cms(EC, certificate(EC))), swu(None), EC),
    Scheme("Mender", mender(rsa_pkcs1), mender(None), rsa_key()),
    Scheme("Mender", mender(two_numbers), mender(None), EC),
    Scheme("Nordic DFU", nordic(True), nordic(False), EC, test_nordic_dfu.FIRMWARE[:20]),
    Scheme("ESP Secure Boot V1", esp_v1(True), esp_v1(False), EC, test_esp.DATA[-20:]),
    Scheme("ESP Secure Boot V2", esp_v2(True), esp_v2(False), RSA3072, test_esp.DATA[-20:]),
    Scheme("usign", usign(True), usign(False), ED),
    Scheme("Android payload", payload(True), payload(False), rsa_key(), b"2024-05-05"),
    Scheme("GBL", test_gbl.signed(EC), test_gbl.gbl(test_gbl.INFO, test_gbl.PROGRAM), EC, b"code" * 20),
    Scheme(
        "AVB",
        test_android_vbmeta.vbmeta(test_android_vbmeta.described()),
        test_android_vbmeta.vbmeta(test_android_vbmeta.described(), algorithm=0),
        rsa_key(),
        b"avbtool 1.2.0",
    ),
)
EACH = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda each: f"{each.name}-{type(each.key).__name__.strip('_')}")


def changed(scheme: Scheme) -> bytes:
    at = scheme.signed.index(scheme.content) + 5
    return scheme.signed[:at] + bytes([scheme.signed[at] ^ 1]) + scheme.signed[at + 1 :]


@EACH
def test_the_right_key_verifies(scheme: Scheme, tmp_path: Path) -> None:
    found = report(scheme.signed, tmp_path, pem(scheme.key))
    signature = only(found)
    assert (signature.scheme, signature.state, signature.key_from) == (scheme.name, "valid", "--update-key key0")
    der = scheme.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert signature.key == hashlib.sha256(der).hexdigest()
    assert not {"UPD-011", "UPD-012"} & rules(found)
    assert "signature" in {path.verified for path in found.device.update_paths}


@EACH
def test_another_key_does_not(scheme: Scheme, tmp_path: Path) -> None:
    found = report(scheme.signed, tmp_path, pem(STRANGER))
    assert only(found).state == "unverified"
    assert "UPD-012" in rules(found)


@EACH
def test_one_changed_byte_breaks_it(scheme: Scheme, tmp_path: Path) -> None:
    found = report(changed(scheme), tmp_path, pem(scheme.key))
    signature = only(found)
    # Where nothing but the signature tells, a changed image cannot be told from one that another key has signed.
    blind = scheme.name in {"ESP Secure Boot V1", "Android payload"}
    assert signature.state == ("unverified" if blind else "invalid")
    assert ("UPD-012" if blind else "UPD-011") in rules(found)


@EACH
def test_without_a_signature_there_is_none(scheme: Scheme, tmp_path: Path) -> None:
    found = report(scheme.unsigned, tmp_path, pem(scheme.key))
    assert found.device.signatures == ()
    assert "signature" not in {path.verified for path in found.device.update_paths if scheme.name != "Android payload"}


def test_a_key_that_came_with_the_signature_proves_little(tmp_path: Path) -> None:
    signature = only(report(swu(cms(EC, certificate(EC))), tmp_path))
    assert (signature.state, signature.key_from) == ("valid", "carried with the signature")
    assert "anybody can replace" in signature.reason


def test_an_authority_vouches_for_the_signer(tmp_path: Path) -> None:
    root, middle = STRANGER, ec.derive_private_key(0x31D, ec.SECP256R1())
    between = certificate(middle, "between", (root, "root"))
    image = swu(cms(EC, certificate(EC, "signer", (middle, "between")), between))
    keyring = certificate(root, "root").public_bytes(Encoding.PEM)
    signature = only(report(image, tmp_path, keyring))
    assert signature.state == "valid"
    assert signature.reason == "its signer's certificate is certified by --update-key key0"
    assert only(report(image, tmp_path, pem(rsa_key()))).state == "unverified"


def test_a_key_inside_the_image_verifies_it(tmp_path: Path) -> None:
    inside = cpio({"update.swu": swu(rsa_pkcs1), "etc/update.pub": pem(rsa_key())})
    signature = only(report(inside, tmp_path))
    assert signature.state == "valid"
    assert signature.key_from.endswith("/etc/update.pub")


@pytest.mark.parametrize(
    ("key", "options"),
    [
        (rsa_key(), ()),
        (RSA3072, ()),
        (EC, ()),
        (EC, ("--public-key-format", "full")),
        (ED, ()),
        (ED, ("--pure",)),
    ],
    ids=["rsa-2048", "rsa-3072", "p-256", "p-256-full-key", "ed25519", "ed25519-pure"],
)
def test_what_imgtool_signs(key: Private, options: tuple[str, ...], tmp_path: Path) -> None:
    image = mcuboot(key, tmp_path, *options)
    scheme = Scheme("MCUboot", image, b"", key)
    assert only(report(image, tmp_path, pem(key))).state == "valid"
    assert only(report(image, tmp_path, pem(STRANGER))).state == "unverified"
    assert only(report(changed(scheme), tmp_path, pem(key))).state == "invalid"
    plain = report(mcuboot(None, tmp_path), tmp_path, pem(key))
    assert plain.device.signatures == ()
    assert "signature" not in {path.verified for path in plain.device.update_paths}


ITS = """/dts-v1/;
/ {{
    description = "test"; #address-cells = <1>;
    images {{
        kernel-1 {{
            description = "kernel"; data = /incbin/("kernel.bin"); type = "kernel"; arch = "arm"; os = "linux";
            compression = "none"; load = <0x8000>; entry = <0x8000>;
            hash-1 {{ algo = "sha256"; }};
            {image}
        }};
    }};
    configurations {{
        default = "conf-1";
        conf-1 {{ kernel = "kernel-1"; {configuration} }};
    }};
}};
"""


def fit(directory: Path, *, node: str = "", where: str = "configuration", options: tuple[str, ...] = ()) -> tuple[bytes, bytes]:
    """A FIT image signed by mkimage, and the control tree with the key in it."""
    (directory / "kernel.bin").write_bytes(ROOTFS)
    raw = rsa_key().private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (directory / "dev.key").write_bytes(raw)
    (directory / "dev.crt").write_bytes(certificate(rsa_key()).public_bytes(Encoding.PEM))
    places = {"image": "", "configuration": ""} | {where: node}
    (directory / "fit.its").write_text(ITS.format(**places))
    (directory / "control.dts").write_text('/dts-v1/; / { model = "board"; };')

    def run(*command: object) -> None:
        subprocess.run([str(each) for each in command], cwd=directory, check=True, capture_output=True)

    run("dtc", "-O", "dtb", "-p", "0x1000", "-o", "control.dtb", "control.dts")
    run("mkimage", "-f", "fit.its", *options, "fit.itb")
    if node:
        run("mkimage", "-F", "-k", ".", "-K", "control.dtb", "-r", *options, "fit.itb")
    return (directory / "fit.itb").read_bytes(), (directory / "control.dtb").read_bytes()


RSA_NODE = 'signature-1 {{ algo = "sha256,rsa2048"; key-name-hint = "dev"; {more} }};'
OVER_BOTH = 'sign-images = "kernel";'


@pytest.mark.skipif(shutil.which("mkimage") is None or shutil.which("dtc") is None, reason="u-boot-tools, device-tree-compiler")
@pytest.mark.parametrize(
    ("where", "more", "options", "scheme"),
    [
        ("configuration", OVER_BOTH, (), "FIT configuration"),
        ("configuration", OVER_BOTH + ' padding = "pss";', (), "FIT configuration"),
        ("configuration", OVER_BOTH, ("-E",), "FIT configuration"),
        ("image", "", (), "FIT image"),
    ],
)
def test_what_mkimage_signs(where: str, more: str, options: tuple[str, ...], scheme: str, tmp_path: Path) -> None:
    image, control = fit(tmp_path, node=RSA_NODE.format(more=more), where=where, options=options)
    signature = only(report(image, tmp_path, pem(rsa_key())))
    assert (signature.scheme, signature.state, signature.algorithm) == (scheme, "valid", "RSA-2048")
    assert only(report(image, tmp_path, pem(STRANGER))).state == "unverified"
    damaged = changed(Scheme("FIT", image, b"", rsa_key()))
    told = only(report(damaged, tmp_path, pem(rsa_key()))).state
    assert told == ("invalid" if where == "configuration" else "unverified")
    # the key in the boot loader's tree verifies it, too
    both = bytes(64) + control + bytes(-len(control) % 4096) + image
    signature = only(report(both, tmp_path))
    assert signature.state == "valid"
    assert "fdt@" in signature.key_from


@pytest.mark.skipif(shutil.which("mkimage") is None or shutil.which("dtc") is None, reason="u-boot-tools, device-tree-compiler")
def test_a_changed_property_of_a_signed_fit_is_told(tmp_path: Path) -> None:
    image, _ = fit(tmp_path, node=RSA_NODE.format(more=OVER_BOTH))
    at = image.index((0x8000).to_bytes(4, "big"))
    moved = image[:at] + (0x9000).to_bytes(4, "big") + image[at + 4 :]
    assert only(report(moved, tmp_path, pem(rsa_key()))).state == "unverified"
    plain, _ = fit(tmp_path)
    assert report(plain, tmp_path, pem(rsa_key())).device.signatures == ()


# --------------------------------------------------------------------------- keys


@pytest.mark.parametrize(
    "raw",
    [
        pem(EC),
        EC.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        EC.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        EC.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        certificate(EC).public_bytes(Encoding.PEM),
        certificate(EC).public_bytes(Encoding.DER),
    ],
    ids=["pem", "der", "openssh", "private", "certificate", "certificate-der"],
)
def test_every_form_of_a_key_is_the_same_key(raw: bytes) -> None:
    (key,) = parse(raw, "x")
    assert key.der == EC.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_keys_of_usign_and_raw_bytes_are_ed25519() -> None:
    public = ed25519.Ed25519PrivateKey.from_private_bytes(b"\x07" * 32).public_key()
    raw = public.public_bytes_raw()
    usign = b"untrusted comment: public key 1\n" + base64.b64encode(b"Ed" + bytes(8) + raw) + b"\n"
    assert parse(usign, "x") == parse(raw, "x")


def test_an_avb_key_is_its_modulus() -> None:
    numbers = rsa_key().public_key().public_numbers()
    blob = (2048).to_bytes(4, "big") + bytes(4) + numbers.n.to_bytes(256, "big") + bytes(256)
    assert parse(blob, "x") == parse(pem(rsa_key()), "x")


@pytest.mark.parametrize("raw", [b"", b"no key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b"\x30\x82"])
def test_what_is_no_key_is_refused(raw: bytes) -> None:
    with pytest.raises(NoKey):
        parse(raw, "x")


def test_a_key_file_that_cannot_be_used_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no public key in it"):
        report(swu(None), tmp_path, b"nothing")
    with pytest.raises(InputError, match="No such file"):
        scan(tmp_path / "update.bin", Options(jobs=1, update_keys=(tmp_path / "missing.pem",)))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_what_openssl_signs_is_verified(tmp_path: Path) -> None:
    def sign(text: bytes) -> bytes:
        (tmp_path / "text").write_bytes(text)
        key = rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / "private.pem").write_bytes(key)
        made = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", tmp_path / "private.pem", tmp_path / "text"], capture_output=True, check=True
        )
        return made.stdout

    assert only(report(swu(sign), tmp_path, pem(rsa_key()))).state == "valid"
