"""SWUpdate bundles: what sw-description says is told, its hashes are recomputed, signatures are told by their kind."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats._libconfig import parse
from fwcheck.extraction.formats.swupdate import FORMATS
from fwcheck.extraction.source import Memory

(SWUPDATE,) = FORMATS
ROOTFS, SECRET, SCRIPT = b"rootfs " * 90, bytes(range(256)), b"#!/bin/sh\n"


def cpio(members: dict[str, bytes], magic: bytes = b"070702") -> bytes:
    out = b""
    for number, (name, data) in enumerate([*members.items(), ("TRAILER!!!", b"")], 1):
        check = sum(data) if magic == b"070702" else 0
        fields = (number, 0o100644, 0, 0, 1, 1700000000, len(data), 0, 0, 0, 0, len(name) + 1, check)
        head = magic + b"".join(b"%08X" % each for each in fields) + name.encode() + b"\0"
        out += head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)
    return out


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def description(hashes: bool = True) -> bytes:
    def line(data: bytes) -> str:
        return f'sha256 = "{sha(data)}";' if hashes else ""

    return f"""# made by hand
    software =
    {{
        version = "1.0" ".2";
        hardware-compatibility: [ "1.0", "rev-b" ];
        board = {{ stable = {{ copy1 : {{
            images: (
                {{ filename = "rootfs.bin"; type = "raw"; device = "/dev/mmcblk0p2"; installed-directly = true; {line(ROOTFS)} }},
                {{ filename = "secret.bin"; device = "/dev/x"; encrypted = "aes-cbc"; ivt = "00"; {line(SECRET)} }} // both
            );
            scripts: ( {{ filename = "post.sh"; type = "shellscript"; {line(SCRIPT)} }} );
        }}; }}; }};
        bootenv: ( {{ name = "slot"; value = "2"; }} ); /* more */
    }}
    """.encode()


def bundle(text: bytes | None = None, signature: bytes | None = None, magic: bytes = b"070702") -> bytes:
    members = {"sw-description": description() if text is None else text}
    members |= {"sw-description.sig": signature} if signature is not None else {}
    return cpio({**members, "rootfs.bin": ROOTFS, "secret.bin": SECRET, "post.sh": SCRIPT}, magic)


def signed(text: bytes) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
    from cryptography.x509.oid import NameOID

    key = ec.derive_private_key(0x7654321, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "swu")])
    start = datetime(2024, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    certificate = builder.not_valid_before(start).not_valid_after(start.replace(year=2034)).sign(key, hashes.SHA256())
    options = [pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.DetachedSignature]
    made = pkcs7.PKCS7SignatureBuilder().set_data(text).add_signer(certificate, key, hashes.SHA256())
    return made.sign(Encoding.DER, options)


def seeds() -> list[bytes]:
    return [bundle(), bundle(signature=b"\x55" * 256, magic=b"070701"), bundle(signature=signed(description()))]


def test_the_description_is_told_and_the_members_have_their_roles() -> None:
    data = bundle()
    container = SWUPDATE.open(Memory(b"rubbish!" + data + b"behind"), 8)
    assert (container.size, container.problems) == (len(data), [])
    assert container.detail == {
        "variant": "crc", "members": 4, "version": "1.0.2", "hardware_compatibility": "1.0, rev-b", "encrypted": 1,
        "images": "rootfs.bin (raw to /dev/mmcblk0p2, installed directly); secret.bin (image to /dev/x, encrypted)",
        "scripts": "post.sh (shellscript)", "integrity": "hash", "integrity_detail": "SHA-256 of 3 members right",
    }  # fmt: skip
    entries = {entry.path: entry for entry in container.entries}
    assert {path: entry.role for path, entry in entries.items()} == {
        "/sw-description": "file", "rootfs.bin": "part", "/secret.bin": "encrypted", "/post.sh": "file",
    }  # fmt: skip
    assert entries["/secret.bin"].detail["encryption"] == "aes-cbc, SWUpdate"
    assert entries["rootfs.bin"].open().read(0, len(ROOTFS)) == ROOTFS


@pytest.mark.parametrize(
    ("signature", "words"),
    [
        (b"\x55" * 256, "RSA-2048 signature over sw-description (not verified)"),
        (b"\x55" * 512, "RSA-4096 signature over sw-description (not verified)"),
        (b"\x89\x01" + bytes(300), "OpenPGP signature over sw-description (not verified)"),
        (b"\x55" * 99, "signature of 99 bytes of an unknown kind over sw-description (not verified)"),
        (signed(description()), "CMS signature by CN=swu (EC-256, sha256): digest of the content right, signature right under"),
    ],
)
def test_the_kind_of_a_signature(signature: bytes, words: str) -> None:
    container = SWUPDATE.open(Memory(bundle(signature=signature)), 0)
    assert container.detail["integrity"] == "signature"
    assert str(container.detail["integrity_detail"]).startswith(words)
    assert container.problems == []


def test_a_signature_over_another_description_is_told() -> None:
    container = SWUPDATE.open(Memory(bundle(signature=signed(description() + b" "))), 0)
    assert container.problems == ["the digest that the signature covers is not that of sw-description"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "(RSA-2048, sha256): digest of the content right, signature right"),
        (("-keyopt", "rsa_padding_mode:pss"), "(RSA-2048, PSS, sha256): digest of the content right, signature right"),
        (("-noattr",), "(RSA-2048, sha256): signature right"),
        (("-md", "sha512", "-keyid"), "(RSA-2048, sha512): digest of the content right, signature right"),
        (("-nocerts",), "CMS signature (unknown key, sha256): digest of the content right (trust"),
    ],
)
def test_what_openssl_signs(options: tuple[str, ...], words: str, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    (tmp_path / "d").write_bytes(description())
    request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "k", "-out", "c", "-days", "3650", "-subj", "/CN=swu"]
    sign = ["cms", "-sign", "-in", "d", "-out", "sig", "-signer", "c", "-inkey", "k", "-outform", "DER", "-nosmimecap", "-binary"]
    for command in (request, [*sign, *options]):
        subprocess.run(["openssl", *command], cwd=tmp_path, check=True, capture_output=True)
    container = SWUPDATE.open(Memory(bundle(signature=(tmp_path / "sig").read_bytes())), 0)
    assert words in str(container.detail["integrity_detail"])
    assert container.problems == []


def test_without_hashes_only_the_checksums_of_cpio_remain() -> None:
    assert SWUPDATE.open(Memory(bundle(description(hashes=False))), 0).detail["integrity"] == "checksum"
    assert SWUPDATE.open(Memory(bundle(description(hashes=False), magic=b"070701")), 0).detail["integrity"] == "none"


def test_a_changed_and_a_missing_member_are_told() -> None:
    data = bundle(magic=b"070701").replace(b"rootfs rootfs", b"rootfs ROOTFS")
    container = SWUPDATE.open(Memory(data), 0)
    assert container.problems == ["/rootfs.bin: the SHA-256 is not the one in sw-description"]
    assert container.detail["integrity_detail"] == "SHA-256 of 2 members right, of 1 wrong"
    data = bundle(magic=b"070701").replace(b"post.sh\0", b"past.sh\0")
    assert "sw-description lists post.sh, which is not in the bundle" in SWUPDATE.open(Memory(data), 0).problems


def test_a_description_in_json() -> None:
    text = {"software": {"version": "7", "images": [{"filename": "rootfs.bin", "sha256": sha(ROOTFS)}]}}
    container = SWUPDATE.open(Memory(bundle(json.dumps(text).encode())), 0)
    assert (container.detail["version"], container.detail["integrity"]) == ("7", "hash")


def test_an_encrypted_description_is_told() -> None:
    container = SWUPDATE.open(Memory(bundle(bytes(range(256)) * 4)), 0)
    assert container.problems == ["sw-description is no text: encrypted as a whole"]
    assert next(iter(container.entries)).role == "encrypted"


def test_other_archives_are_no_bundles() -> None:
    for data in (cpio({"init": b"x"}), b"x" * 110 + b"sw-description\0", bundle()[:100]):
        with pytest.raises(FormatError):
            SWUPDATE.open(Memory(data), 0)


def test_what_cpio_writes(tmp_path: Path) -> None:
    if shutil.which("cpio") is None:
        pytest.skip("cpio is not installed")
    for name, data in {"sw-description": description(), "rootfs.bin": ROOTFS, "secret.bin": SECRET, "post.sh": SCRIPT}.items():
        (tmp_path / name).write_bytes(data)
    names = b"sw-description\nrootfs.bin\nsecret.bin\npost.sh\n"
    done = subprocess.run(["cpio", "-o", "-H", "crc"], input=names, cwd=tmp_path, check=True, capture_output=True)
    container = SWUPDATE.open(Memory(done.stdout), 0)
    assert (container.problems, container.detail["integrity_detail"]) == ([], "SHA-256 of 3 members right")


def test_libconfig_values() -> None:
    text = 'a = 0x1F; b : -2; c = 1.5; d = TRUE; e = "a\\n\\x41\\""; f = 3L; g = { h = ( 1, ( ), [ "x" ] ) }; i = "";'
    assert parse(text) == {
        "a": 31, "b": -2, "c": 1.5, "d": True, "e": 'a\nA"', "f": 3, "g": {"h": [1, [], ["x"]]}, "i": "",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["a", "a =", "a = (1 2)", "a = {", "a = ?", "}", "1 = 2", "a = " + "(" * 1000, "{" * 100_000])
def test_what_is_no_configuration_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        parse(text)
