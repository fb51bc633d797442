"""age files: recipients and extent come out; what only looks like a header is refused."""

from __future__ import annotations

import base64
import random
import shutil
import subprocess
import textwrap

import pytest

from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.formats.age import FORMATS
from fwcheck.extraction.source import Memory

AGE = FORMATS[0]
CHANCE = random.Random(5)


def b64(count: int) -> bytes:
    return base64.b64encode(CHANCE.randbytes(count)).rstrip(b"=")


def age(payload: int = 3000, scrypt: bool = False, recipients: int = 1) -> bytes:
    """A header as C2SP age.md describes it, and a payload as even as one of ChaCha20-Poly1305."""
    stanza = b"-> scrypt " + b64(16) + b" 18\n" if scrypt else b"-> X25519 " + b64(32) + b"\n"
    header = b"age-encryption.org/v1\n" + (stanza + b64(32) + b"\n") * recipients + b"--- " + b64(32) + b"\n"
    return header + CHANCE.randbytes(16 + payload + 16 * -(-payload // 65536))


def armored(data: bytes) -> bytes:
    lines = textwrap.wrap(base64.b64encode(data).decode(), 64)
    return "\n".join(["-----BEGIN AGE ENCRYPTED FILE-----", *lines, "-----END AGE ENCRYPTED FILE-----", ""]).encode()


def seeds() -> list[bytes]:
    return [age(), age(100, scrypt=True), age(200_000, recipients=3)[:4000], armored(age(500))]


@pytest.mark.parametrize(("scrypt", "name"), [(True, "scrypt"), (False, "X25519")])
def test_recipients_and_chunks_come_out_at_any_offset(scrypt, name):
    data = age(200_000, scrypt, 2)
    container = AGE.open(Memory(b"\xff" * 512 + data + b"\xff" * 4096), 512)
    (entry,) = container.entries
    assert abs(container.size - len(data)) <= 1  # the last byte of the ciphertext may be that of the filling
    assert (container.detail["recipients"], container.detail["chunks"]) == (f"{name}, {name}", 4)
    assert entry.role == "encrypted"
    assert name in entry.detail["encryption"]


def test_armor_is_read_up_to_its_last_line():
    data = armored(age(5000))
    container = AGE.open(Memory(data + b"other text\n"), 0)
    assert (container.size, container.detail["armor"], container.detail["recipients"]) == (len(data), "yes", "X25519")


def test_text_that_only_names_the_format_is_refused():
    for data in (b"age-encryption.org/v1\n-> X25519 abc\n", age().replace(b"--- ", b"---x"), b"age-encryption.org/v1\0" * 9):
        with pytest.raises(FormatError):
            AGE.open(Memory(data), 0)
    with pytest.raises(FormatError, match="does not end"):
        AGE.open(Memory(armored(age(5000))[:-40]), 0)


def test_a_header_without_payload_is_told():
    data = age(0)
    with pytest.raises(ExtractionError, match="no payload"):
        AGE.open(Memory(data[:-10]), 0)


def test_files_of_the_program_itself_are_read(tmp_path):
    if shutil.which("age") is None or shutil.which("age-keygen") is None:
        pytest.skip("age is not installed")
    subprocess.run(["age-keygen", "-o", "key"], cwd=tmp_path, check=True, stderr=subprocess.DEVNULL)
    key = next(line for line in (tmp_path / "key").read_text().splitlines() if "public key" in line).split()[-1]
    (tmp_path / "plain").write_bytes(b"firmware" * 20_000)
    for options, name in (([], "cipher"), (["-a"], "armor")):
        subprocess.run(["age", *options, "-r", key, "-o", name, "plain"], cwd=tmp_path, check=True)
        data = (tmp_path / name).read_bytes()
        container = AGE.open(Memory(data), 0)
        assert (container.size, container.detail["recipients"]) == (len(data), "X25519")
    binary = AGE.open(Memory((tmp_path / "cipher").read_bytes()), 0)
    assert (binary.detail["payload_size"], binary.detail["chunks"]) == (160_000 + 16 + 3 * 16, 3)
