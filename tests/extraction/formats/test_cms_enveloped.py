"""Encrypted CMS messages: cipher, recipients and extent are told, of OpenSSL and by hand."""

from __future__ import annotations

import random
import shutil
import subprocess

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.cms_enveloped import FORMATS
from fwcheck.extraction.source import Memory

CMS = FORMATS[0]
TEXT = random.Random(9).randbytes(5000)


def der(tag: int, *contents: bytes) -> bytes:
    body = b"".join(contents)
    size = len(body)
    length = bytes([size]) if size < 128 else bytes([0x80 | (n := (size.bit_length() + 7) // 8)]) + size.to_bytes(n, "big")
    return bytes([tag]) + length + body


def ber(tag: int, *contents: bytes) -> bytes:
    return bytes([tag, 0x80]) + b"".join(contents) + b"\0\0"


def oid(text: str) -> bytes:
    return der(6, bytes.fromhex(text))


ALGORITHM = der(0x30, oid("60864801650304012a"), der(4, b"v" * 16))
RECIPIENT = der(0x30, der(2, b"\0"), der(0x30, der(2, b"\7")), der(0x30, oid("2a864886f70d010101")), der(4, b"k" * 256))
DATA = oid("2a864886f70d010701")


def message(authenticated: bool = False) -> bytes:
    info = der(0x30, DATA, ALGORITHM, der(0x80, TEXT))
    body = der(0x30, der(2, b"\0"), der(0x31, RECIPIENT), info, *([der(4, b"m" * 16)] if authenticated else []))
    return der(0x30, oid("2a864886f70d0109100117" if authenticated else "2a864886f70d010703"), der(0xA0, body))


def streamed() -> bytes:
    pieces = [der(4, TEXT[at : at + 1024]) for at in range(0, len(TEXT), 1024)]
    info = ber(0x30, DATA, ALGORITHM, ber(0xA0, *pieces))
    return ber(0x30, oid("2a864886f70d010703"), ber(0xA0, ber(0x30, der(2, b"\0"), der(0x31, RECIPIENT), info)))


def seeds() -> list[bytes]:
    return [message(), message(authenticated=True), streamed()]


@pytest.mark.parametrize("data", [message(), message(authenticated=True), streamed()])
def test_cipher_recipients_and_extent_are_told(data):
    container = CMS.open(Memory(b"\xff" * 6 + data + b"\xff" * 60), 6)
    (entry,) = container.entries
    assert (container.size, entry.role) == (len(data), "encrypted")
    assert entry.open().read(0, entry.size) == TEXT
    assert container.detail["cipher"] == "AES-256-CBC"
    assert container.detail["recipients"] == "1: a certificate"


@pytest.mark.parametrize(
    "data", [message()[:900], streamed()[:-3], message().replace(bytes.fromhex("010703"), bytes.fromhex("010702"))]
)
def test_cut_and_other_messages_are_refused(data):
    with pytest.raises(FormatError):
        CMS.open(Memory(data), 0)


def test_values_inside_values_without_end_are_refused():
    with pytest.raises(FormatError):
        CMS.open(Memory(b"\x30\x80" * 5000), 0)


@pytest.mark.parametrize("options", [[], ["-stream"]])
def test_messages_of_openssl_are_read(tmp_path, options):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "plain").write_bytes(TEXT)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "cert", "-subj", "/CN=x", "-days", "9")
    openssl("cms", "-encrypt", "-binary", *options, "-aes-128-cbc", "-outform", "DER", "-in", "plain", "-out", "cipher", "cert")
    data = (tmp_path / "cipher").read_bytes()
    container = CMS.open(Memory(data + b"\0" * 40), 0)
    (entry,) = container.entries
    assert (container.size, container.detail["cipher"]) == (len(data), "AES-128-CBC")
    assert entry.size == len(TEXT) + 16 - len(TEXT) % 16
