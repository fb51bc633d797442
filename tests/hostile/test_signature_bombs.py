"""Signatures made to cost much or to break the reader: the time stays small, the rest is read, and what was not done is named."""

from __future__ import annotations

import hashlib
import resource
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from device.test_signed_programs import MODULE, authenticode, capsule, cpio, module
from extraction.formats import test_rauc
from support.signed import EC, SERIAL, STRANGER, certificate, cms, der, integer, oid, pem, report
from support.signing import key as rsa_key

from fwcheck.device.update_keys import NoKey, parse
from fwcheck.model import Report

RSA = rsa_key()
SECONDS = 3.0  # of processor time: what is measured is well below half of it
PAYLOAD = test_rauc.payload(manifest=True)


def spent() -> float:
    each = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in each)


@pytest.fixture(scope="module", autouse=True)
def _warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    report(rauc(cms(RSA, PAYLOAD)), tmp_path_factory.mktemp("warm"), pem(RSA))


def timed(image: bytes, tmp_path: Path, *keys: bytes) -> Report:
    begun = spent()
    found = report(image, tmp_path, *keys)
    assert spent() - begun < SECONDS
    return found


def rauc(message: bytes) -> bytes:
    return PAYLOAD + message + len(message).to_bytes(8, "big")


def spki(modulus: int, exponent: int) -> bytes:
    return der(0x30, der(0x30, oid("rsa"), der(5)), der(3, b"\0", der(0x30, integer(modulus), integer(exponent))))


def explicit_curve() -> bytes:
    """A key over a curve that it brings along."""
    field = der(0x30, oid("2a8648ce3d0101"), integer((1 << 256) - 1))
    curve = der(
        0x30, integer(1), field, der(0x30, der(4, bytes(32)), der(4, bytes(32))), der(4, b"\4" + bytes(64)), integer(1 << 255)
    )
    return der(0x30, der(0x30, oid("2a8648ce3d0201"), curve), der(3, b"\0\4" + bytes(64)))


def forged(key: bytes) -> bytes:
    """A certificate with this key, signed by nobody."""
    name = certificate(RSA).subject.public_bytes()
    algorithm = der(0x30, oid("2a864886f70d01010b"), der(5))
    dates = der(0x30, der(0x17, b"240101000000Z"), der(0x17, b"440101000000Z"))
    body = der(0x30, der(0xA0, integer(2)), integer(SERIAL), algorithm, name, dates, name, key)
    return der(0x30, body, algorithm, der(3, bytes(257)))


def nested(depth: int) -> bytes:
    """Sequences in sequences, made from the inside out."""
    out = b"\x05\x00"
    for _ in range(depth):
        out = der(0x30, out)
    return out


HELD = certificate(RSA).public_bytes(Encoding.DER)
GIANTS = {
    "modulus of 65,536 bits": spki(1 << 65535 | 1, 65537),
    "exponent of 65,000 bits": spki(1 << 65535 | 1, 1 << 65000 | 1),
    "exponent as long as the modulus": spki(1 << 3071 | 1, 1 << 3070 | 1),
    "modulus of 16,384 bits": spki(1 << 16383 | 1, 65537),
    "modulus 0": spki(0, 3),
    "exponent 0": spki(1 << 2047 | 1, 0),
    "explicit curve": explicit_curve(),
    "empty": der(0x30),
}


@pytest.mark.parametrize("key", GIANTS.values(), ids=GIANTS)
def test_a_certificate_with_an_impossible_key(key: bytes, tmp_path: Path) -> None:
    for given in ((), (pem(STRANGER),)):
        found = timed(rauc(cms(RSA, PAYLOAD, certificates=(forged(key),))), tmp_path, *given)
        (signature,) = found.device.signatures
        assert signature.state in {"unverified", "invalid"}
    assert (
        any(each.node.endswith("/manifest.raucm") or "squashfs" in each.node for each in found.coverage.gaps)
        or found.coverage.files
    )


@pytest.mark.parametrize("key", GIANTS.values(), ids=GIANTS)
def test_an_impossible_key_is_no_key_to_verify_with(key: bytes, tmp_path: Path) -> None:
    """Given, or in the image: it is left out, or fits nothing."""
    image = cpio({"etc/a.der": key, "etc/b.der": forged(key), "update.raucb": rauc(cms(RSA, PAYLOAD))})
    found = timed(image, tmp_path)
    assert [each.state for each in found.device.signatures] == ["valid"]
    assert found.device.signatures[0].key_from == "carried with the signature"
    try:
        parse(key, "x")
    except NoKey:
        return
    assert [each.state for each in timed(image, tmp_path, key).device.signatures] == ["unverified"]


@pytest.mark.parametrize("count", [17, 1300])
def test_a_bomb_of_certificates(count: int, tmp_path: Path) -> None:
    found = timed(rauc(cms(RSA, PAYLOAD, certificates=(HELD,) * count)), tmp_path, pem(STRANGER))
    assert [each.state for each in found.device.signatures] == ["unverified"]
    assert [
        each.state for each in timed(rauc(cms(RSA, PAYLOAD, certificates=(HELD,) * count)), tmp_path, pem(RSA)).device.signatures
    ] == ["valid"]


def test_a_message_over_its_limit_is_named(tmp_path: Path) -> None:
    found = timed(rauc(cms(RSA, PAYLOAD, certificates=(HELD,) * 3000)), tmp_path, pem(RSA))
    assert found.device.signatures == ()
    assert any("a CMS signature of" in each.reason for each in found.coverage.gaps)


def test_thousands_of_signers(tmp_path: Path) -> None:
    message = cms(RSA, PAYLOAD)
    at = message.rindex(b"\x31\x82", 0, message.index(integer(SERIAL), len(message) // 2))
    one = message[at + 4 :]
    head = message[: message.index(bytes.fromhex("2a864886f70d010702")) + 9]
    body = message[len(head) + 8 : at]
    signers = der(0x31, one * 1000)
    again = der(0x30, head[4:], der(0xA0, der(0x30, body, signers)))
    found = timed(rauc(again), tmp_path, pem(STRANGER))
    assert len(found.device.signatures) == 8


@pytest.mark.parametrize("beside", [True, False])
def test_values_ten_thousand_deep(tmp_path: Path, *, beside: bool) -> None:
    deep = nested(10_000)
    message = cms(RSA, PAYLOAD, certificates=(HELD, deep)) if beside else der(0x30, oid("signed-data"), der(0xA0, deep))
    found = timed(rauc(message), tmp_path, pem(RSA))
    assert [each.state for each in found.device.signatures] == (["valid"] if beside else [])
    timed(cpio({"lib/a.ko": _trailer(deep), "b.p7s": deep, "b": b"text\n"}), tmp_path, pem(RSA))


def _trailer(message: bytes) -> bytes:
    return MODULE + message + struct.pack(">5B3xI", 0, 0, 2, 0, 0, len(message)) + b"~Module signature appended~\n"


@pytest.mark.parametrize(
    "make",
    [lambda: cms(RSA, PAYLOAD), lambda: authenticode(RSA), lambda: capsule(RSA), module],
    ids=["RAUC", "Authenticode", "capsule", "module"],
)
def test_lengths_that_overrun(make: Callable[[], bytes], tmp_path: Path) -> None:
    """Every length of four or more bytes in the message is made the largest there is, one at a time."""
    made = make()
    begin = made.index(bytes.fromhex("2a864886f70d010702")) - 6
    places = [at for at in range(begin, min(begin + 400, len(made) - 4)) if made[at] in (0x82, 0x83, 0x84)][:12]
    for at in places:
        hurt = made[: at + 1] + b"\xff\xff" + made[at + 3 :]
        image = rauc(hurt) if made[:1] == b"\x30" else cpio({"lib/a.ko": hurt}) if made[:4] == b"\x7fELF" else hurt
        found = timed(image, tmp_path, pem(RSA))
        assert found.image.size == len(image)
        if at < begin + 8:  # the outermost lengths: there is no message any more
            assert all(each.state != "valid" for each in found.device.signatures)


def test_hundreds_of_keys_and_modules(tmp_path: Path) -> None:
    keys = {f"etc/keys/{number}.pem": pem(ec.derive_private_key(number + 5, ec.SECP256R1())) for number in range(400)}
    modules = {f"lib/modules/{number}.ko": module(EC, MODULE + b"%d" % number) for number in range(400)}
    found = timed(cpio({**keys, **modules}), tmp_path)
    assert {each.state for each in found.device.signatures} == {"unverified"}
    assert sum(int(each.covers.partition("(")[2].split()[0]) for each in found.device.signatures) == 400


# --------------------------------------------------------------------------- device trees


class Tree:
    """A flattened device tree, written token by token."""

    def __init__(self) -> None:
        self.tokens = bytearray()
        self.names: dict[bytes, int] = {}
        self.strings = b""

    def begin(self, name: bytes) -> None:
        self.tokens += struct.pack(">I", 1) + name + b"\0"
        self.tokens += bytes(-len(self.tokens) % 4)

    def end(self) -> None:
        self.tokens += struct.pack(">I", 2)

    def value(self, name: bytes, value: bytes) -> None:
        if name not in self.names:
            self.names[name] = len(self.strings)
            self.strings += name + b"\0"
        self.tokens += struct.pack(">III", 3, len(value), self.names[name]) + value
        self.tokens += bytes(-len(self.tokens) % 4)

    def build(self) -> bytes:
        tokens = bytes(self.tokens) + struct.pack(">I", 9)
        sizes = (56 + len(tokens) + len(self.strings), 56, 56 + len(tokens), 40, 17, 16, 0, len(self.strings), len(tokens))
        return struct.pack(">10I", 0xD00DFEED, *sizes) + bytes(16) + tokens + self.strings


def fit(images: int, signatures: int, listed: int, hashes: int = 1) -> bytes:
    tree, data = Tree(), b"kernel" * 50
    tree.begin(b"")
    tree.begin(b"images")
    tree.begin(b"kernel-1")
    tree.value(b"data", data)
    for number in range(hashes):
        tree.begin(b"hash-%d" % number)
        tree.value(b"algo", b"sha256\0")
        tree.value(b"value", hashlib.sha256(data).digest())
        tree.end()
    tree.end()
    for number in range(images):
        tree.begin(b"n%d" % number)
        tree.value(b"data", b"abcd")
        tree.end()
    tree.end()
    tree.begin(b"configurations")
    for number in range(signatures):
        tree.begin(b"conf-%d" % number)
        tree.begin(b"signature-1")
        tree.value(b"algo", b"sha256,rsa2048\0")
        tree.value(b"value", bytes(256))
        tree.value(b"hashed-nodes", b"/\0" + b"".join(b"/images/n%d\0" % each for each in range(listed)))
        tree.end()
        tree.end()
    for _ in range(2):
        tree.end()
    return tree.build()


@pytest.mark.parametrize(
    ("images", "signatures", "listed", "hashes"), [(30_000, 64, 4000, 1), (10, 64, 4000, 1), (10, 1, 5, 5000)]
)
def test_a_fit_of_many_nodes(images: int, signatures: int, listed: int, hashes: int, tmp_path: Path) -> None:
    found = timed(fit(images, signatures, listed, hashes), tmp_path, pem(RSA))
    assert len(found.device.signatures) == signatures
    assert {each.state for each in found.device.signatures} == {"unverified"}


@pytest.mark.parametrize("images", [100_000, 1_000_000])
def test_a_fit_of_too_many_nodes_is_named(images: int, tmp_path: Path) -> None:
    found = timed(fit(images, 1, 5), tmp_path, pem(RSA))
    assert any("a device tree of more than" in each.reason for each in found.coverage.gaps)


# --------------------------------------------------------------------------- descriptions


@pytest.mark.parametrize("shape", ["list", "deep", "spaces", "no end"])
def test_a_description_of_fifty_megabytes(shape: str, tmp_path: Path) -> None:
    one = b'{ filename = "bbbb"; sha256 = "' + b"1" * 64 + b'"; },\n'
    begin = b'software = { version = "1"; images: ( '
    size = 50 << 20
    text = {
        "list": begin + one * (size // len(one)) + b"); }\n",
        "deep": b'software = { version = "1"; ' + b"a = { " * (size // 6),
        "spaces": begin + b" " * size + b"); }\n",
        "no end": begin + b'{ filename = "' + b"a" * size,
    }[shape]
    found = timed(cpio({"sw-description": text, "sw-description.sig": bytes(256), "a": b"data\n"}), tmp_path, pem(RSA))
    assert all(each.state == "unverified" for each in found.device.signatures)
    assert found.coverage.gaps
