"""SSH and signing keys, made by ssh-keygen where it is installed, and by their layouts."""

import base64
import shutil
import struct
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from fwcheck.inspection.inspect import inspect

KEYGEN = shutil.which("ssh-keygen")
RAW = (Encoding.Raw, PrivateFormat.Raw, NoEncryption())
RSA = rsa.generate_private_key(65537, 2048).private_numbers()
DSA = dsa.generate_private_key(1024).private_numbers()
ED = ed25519.Ed25519PrivateKey.generate()


def string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def number(value: int) -> bytes:
    return string(value.to_bytes(value.bit_length() // 8 + 1, "big"))


def dropbear_rsa() -> bytes:
    public = RSA.public_numbers
    return string(b"ssh-rsa") + b"".join(number(each) for each in (public.e, public.n, RSA.d, RSA.p, RSA.q))


def dropbear_dss() -> bytes:
    parameters = DSA.public_numbers.parameter_numbers
    return string(b"ssh-dss") + b"".join(
        number(each) for each in (parameters.p, parameters.q, parameters.g, DSA.public_numbers.y, DSA.x)
    )


def dropbear_ed25519() -> bytes:
    return string(b"ssh-ed25519") + string(ED.private_bytes(*RAW) + ED.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def dropbear_ecdsa() -> bytes:
    key = ec.generate_private_key(ec.SECP384R1())
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return string(b"ecdsa-sha2-nistp384") + string(b"nistp384") + string(point) + number(key.private_numbers().private_value)


@pytest.mark.parametrize(
    ("content", "algorithm", "bits"),
    [
        (dropbear_rsa(), "RSA", 2048),
        (dropbear_dss(), "DSA", 1024),
        (dropbear_ed25519(), "Ed25519", 256),
        (dropbear_ecdsa(), "EC", 384),
    ],
    ids=["rsa", "dss", "ed25519", "ecdsa"],
)
def test_dropbear_host_keys_are_found_as_files_and_in_raw_flash(content, algorithm, bits):
    for before in (b"", b"\xff" * 4099):
        facts = inspect(before + content + b"\xff" * 20)
        (found,) = facts.keys
        assert (found.container, found.algorithm, found.bits) == ("dropbear", algorithm, bits)
        assert (found.offset, found.private, found.valid) == (len(before), True, True)
        assert found.fingerprint
        assert found.public


def test_a_key_that_is_only_public_is_no_host_key():
    public = RSA.public_numbers
    assert inspect(string(b"ssh-rsa") + number(public.e) + number(public.n) + bytes(400)).keys == ()


@pytest.mark.parametrize(
    "content", [b"", bytes(800), dropbear_rsa()[:300], string(b"ssh-rsa") + number(3) + number(7) + number(5)]
)
def test_placeholders_and_stumps_are_no_keys(content):
    assert inspect(content).keys == ()


@pytest.fixture(scope="module")
def keygen(tmp_path_factory):
    if KEYGEN is None:
        pytest.skip("ssh-keygen is not installed")
    folder = tmp_path_factory.mktemp("ssh")

    def make(kind: str, password: str = "", *more: str) -> tuple[bytes, bytes]:
        path = folder / f"{kind}{len(password)}{''.join(more)}".replace(" ", "")
        if not path.exists():
            subprocess.run([KEYGEN, "-q", "-t", kind, "-N", password, "-C", "who@where", "-f", path, *more], check=True)
        return path.read_bytes(), path.with_name(f"{path.name}.pub").read_bytes()

    return make


@pytest.mark.parametrize(("kind", "algorithm"), [("rsa", "RSA"), ("ecdsa", "EC"), ("ed25519", "Ed25519")])
def test_openssh_keys_open_and_encrypted(keygen, kind, algorithm):
    private, public = keygen(kind)
    (found,) = inspect(private).keys
    assert (found.container, found.algorithm, found.private, found.encrypted, found.valid) == (
        "OpenSSH",
        algorithm,
        True,
        False,
        True,
    )
    (line,) = inspect(public).keys
    assert (line.container, line.algorithm, line.private, line.comment) == ("SSH public", algorithm, False, "who@where")
    assert line.fingerprint == found.fingerprint
    locked, _ = keygen(kind, "secret word")
    (found,) = inspect(locked).keys
    assert (found.private, found.encrypted, found.valid, found.comment) == (True, True, False, "aes256-ctr")


def test_lines_of_authorized_keys_are_found_with_their_offsets(keygen):
    (_, first), (_, second) = keygen("rsa"), keygen("ed25519")
    content = b"# keys\n" + b'command="/bin/x",no-pty ' + first + second
    keys = inspect(content).keys
    assert [key.offset for key in keys] == [content.index(b"ssh-rsa"), content.index(b"ssh-ed25519")]


def test_a_line_whose_blob_names_another_type_is_no_key():
    blob = base64.b64encode(string(b"ssh-dss") + bytes(60))
    assert inspect(b"ssh-rsa " + blob + b" x\n").keys == ()


def test_signing_keys_of_usign():
    public = ED.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    text = b"untrusted comment: feed key\n" + base64.b64encode(b"Ed" + bytes(8) + public) + b"\n"
    (found,) = inspect(text).keys
    assert (found.container, found.private, found.valid, found.comment) == ("usign", False, True, "feed key")
    secret = b"EdBK" + bytes(4) + bytes(16) + bytes(8) + bytes(8) + ED.private_bytes(*RAW) + public
    (found,) = inspect(b"untrusted comment: private key\n" + base64.b64encode(secret) + b"\n").keys
    assert (found.private, found.encrypted, found.valid) == (True, False, True)
    locked = b"EdBK" + b"\0\0\0\x2a" + secret[8:]
    (found,) = inspect(b"untrusted comment: private key\n" + base64.b64encode(locked) + b"\n").keys
    assert (found.private, found.encrypted, found.fingerprint) == (True, True, None)


def test_a_signature_is_no_key():
    text = b"untrusted comment: signed by key 1\n" + base64.b64encode(b"Ed" + bytes(72)) + b"\n"
    assert inspect(text).keys == ()
