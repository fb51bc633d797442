"""Attestations: what is signed verifies with its key and its image alone, and no flipped byte of it does."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import subprocess
import sys

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from support.reports import report_of

from fwcheck.attestation import BadKey, NotVerified, read_private, read_public, sign, state, verify
from fwcheck.attestation.envelope import encoding
from fwcheck.reports import json as json_report

NOW = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)
MAKERS = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
}
PEM, NONE = serialization.Encoding.PEM, serialization.NoEncryption()
PKCS8, SPKI = serialization.PrivateFormat.PKCS8, serialization.PublicFormat.SubjectPublicKeyInfo


def statement():
    report = report_of()
    return state(report, json_report.render(report).encode(), NOW)


@pytest.fixture(params=MAKERS)
def key(request):
    return MAKERS[request.param]()


def test_what_is_signed_is_what_the_report_said(key) -> None:
    held = verify(sign(statement(), key), key.public_key())
    assert held == statement()
    said = held.predicate
    assert held.subject[0].digest == {"sha256": "a" * 64}
    assert [each.id for each in said.tiers] == ["STAR-1", "STAR-2", "STAR-3", "STAR-4"]
    assert said.tool.rules_digest == "d" * 64
    assert said.findings["critical"] == said.findings["waived"] == 1


def test_the_envelope_is_one_that_other_tools_read(key) -> None:
    whole = json.loads(sign(statement(), key))
    assert whole.keys() == {"payload", "payloadType", "signatures"}
    assert whole["payloadType"] == "application/vnd.in-toto+json"
    payload = base64.b64decode(whole["payload"])
    assert json.loads(payload)["_type"] == "https://in-toto.io/Statement/v1"
    # By the words of the specification: "DSSEv1" SP LEN(type) SP type SP LEN(body) SP body.
    message = b"DSSEv1 28 application/vnd.in-toto+json " + str(len(payload)).encode() + b" " + payload
    assert encoding(whole["payloadType"], payload) == message
    raw = base64.b64decode(whole["signatures"][0]["sig"])
    public = key.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        public.verify(raw, message)
    else:
        public.verify(raw, message, ec.ECDSA(hashes.SHA256() if public.curve.key_size == 256 else hashes.SHA384()))


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])
def test_a_flipped_byte_anywhere_does_not_verify(key, mask) -> None:
    raw = sign(statement(), key)
    verify(raw, key.public_key())
    for at in range(len(raw)):
        with pytest.raises(NotVerified) as error:
            verify(raw[:at] + bytes([raw[at] ^ mask]) + raw[at + 1 :], key.public_key())
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"payload":1}'])
def test_what_is_no_envelope_is_one_line(raw) -> None:
    with pytest.raises(NotVerified, match="is no DSSE envelope"):
        verify(raw, MAKERS["p256"]().public_key())


def test_another_key_does_not_verify_even_with_the_right_identifier(key) -> None:
    raw = sign(statement(), key)
    edwards = isinstance(key, ed25519.Ed25519PrivateKey)
    other = ed25519.Ed25519PrivateKey.generate() if edwards else ec.generate_private_key(key.curve)
    with pytest.raises(NotVerified, match="another key"):
        verify(raw, other.public_key())
    whole = json.loads(raw)
    whole["signatures"][0]["keyid"] = json.loads(sign(statement(), other))["signatures"][0]["keyid"]
    with pytest.raises(NotVerified, match="does not fit"):
        verify(json.dumps(whole).encode(), other.public_key())


def test_a_signed_statement_of_another_kind_is_none(key) -> None:
    for change in ({"type": "https://in-toto.io/Statement/v0.1"}, {"predicate_type": "https://slsa.dev/provenance/v1"}):
        with pytest.raises(NotVerified, match="no statement of this version"):
            verify(sign(msgspec.structs.replace(statement(), **change), key), key.public_key())


class TestKeys:
    @pytest.mark.parametrize("form", [PKCS8, serialization.PrivateFormat.OpenSSH])
    def test_forms_of_private_and_public_keys(self, key, form, tmp_path) -> None:
        private, public = tmp_path / "key", tmp_path / "key.pub"
        private.write_bytes(key.private_bytes(PEM, form, NONE))
        encoding_, format_ = serialization.Encoding, serialization.PublicFormat
        for each in ((PEM, SPKI), (encoding_.DER, SPKI), (encoding_.OpenSSH, format_.OpenSSH)):
            public.write_bytes(key.public_key().public_bytes(*each))
            verify(sign(statement(), read_private(private)), read_public(public))

    def test_a_password_is_asked_for_in_one_line(self, key, tmp_path) -> None:
        path = tmp_path / "key"
        path.write_bytes(key.private_bytes(PEM, PKCS8, serialization.BestAvailableEncryption(b"geheim")))
        read_private(path, "geheim")
        for password in (None, "falsch"):
            with pytest.raises(BadKey, match="FWCHECK_KEY_PASSWORD"):
                read_private(path, password)

    def test_what_is_no_key_or_another_one_is_one_line(self, tmp_path) -> None:
        path = tmp_path / "key"
        big = rsa.generate_private_key(65537, 2048)
        weak = ec.generate_private_key(ec.SECP256K1())
        cases = (
            (read_private, b"", "is empty"),
            (read_private, b"nonsense", "holds no private key"),
            (read_private, b"x" * 100_000, "too large"),
            (read_private, big.private_bytes(PEM, PKCS8, NONE), "another kind"),
            (read_private, weak.private_bytes(PEM, PKCS8, NONE), "another kind"),
            (read_private, weak.public_key().public_bytes(PEM, SPKI), "is a public key"),
            (read_public, weak.private_bytes(PEM, PKCS8, NONE), "is a private key"),
            (read_public, big.public_key().public_bytes(PEM, SPKI), "another kind"),
            (read_public, b"nonsense", "holds no public key"),
        )
        for read, raw, words in cases:
            path.write_bytes(raw)
            with pytest.raises(BadKey, match=words) as error:
                read(path)
            assert "\n" not in str(error.value)
        with pytest.raises(BadKey, match="No such file"):
            read_public(tmp_path / "none")


class TestCommands:
    @staticmethod
    def fwcheck(*arguments):
        command = [sys.executable, "-m", "fwcheck", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    @pytest.fixture
    def files(self, tmp_path):
        key = MAKERS["ed25519"]()
        (tmp_path / "key.pem").write_bytes(key.private_bytes(PEM, PKCS8, NONE))
        (tmp_path / "key.pub").write_bytes(key.public_key().public_bytes(PEM, SPKI))
        (tmp_path / "image").write_bytes(b"an image")
        (tmp_path / "other").write_bytes(b"another")
        report = report_of()
        image = msgspec.structs.replace(report.image, sha256=hashlib.sha256(b"an image").hexdigest())
        (tmp_path / "report.json").write_text(json_report.render(msgspec.structs.replace(report, image=image)))
        return tmp_path

    def test_attest_and_verify(self, files) -> None:
        made = self.fwcheck(
            "attest", files / "report.json", "--key", files / "key.pem", "-o", files / "made", "--image", files / "image"
        )
        assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
        asked = ("verify", files / "made", "--key", files / "key.pub")
        done = self.fwcheck(*asked, "--image", files / "image", "--report", files / "report.json")
        assert done.returncode == 0
        assert done.stdout.startswith("router.bin: verified: STAR-1 refuted, score ")
        told = json.loads(self.fwcheck(*asked, "--image", files / "image", "--format", "json").stdout)
        assert told["predicate"]["target"] == "STAR-1"
        for more, words in (
            (("--image", files / "other"), "about another image"),
            (("--image", files / "image", "--report", files / "other"), "about another report"),
            (("--image", files / "image", "--require-gate"), "no gate was asked for"),
            (("--image", files / "image", "--min-tier", "STAR-1"), "STAR-1 was refuted"),
        ):
            done = self.fwcheck(*asked, *more)
            assert done.returncode == 1
            assert done.stdout == ""
            assert words in done.stderr
            assert done.stderr.count("\n") == 1

    def test_what_cannot_be_read_is_status_2_and_one_line(self, files) -> None:
        for arguments in (
            ("attest", files / "none", "--key", files / "key.pem"),
            ("attest", files / "image", "--key", files / "key.pem"),
            ("attest", files / "report.json", "--key", files / "image"),
            ("attest", files / "report.json", "--key", files / "key.pem", "--image", files / "other"),
            ("verify", files / "none", "--key", files / "key.pub", "--image", files / "image"),
            ("verify", files / "report.json", "--key", files / "key.pub", "--image", files / "none"),
        ):
            done = self.fwcheck(*arguments)
            assert done.returncode == 2, done
            assert done.stderr.startswith("fwcheck: ")
            assert done.stderr.count("\n") == 1
