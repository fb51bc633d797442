"""Public halves of keys whose private half is published: as a login, as a certificate, in a program, in examples."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from support.trees import firmware_of

from fwcheck.analysers import _known as known
from fwcheck.analysers import keys, published_keys, updates
from fwcheck.device.firmware import Firmware
from fwcheck.model import Coverage, Device, Finding, Image, Node, NodeKind, SignedBlock

sys.path.insert(0, str(Path(__file__).parents[2] / "samples"))

from contents import private_key, published_key

PEM = published_key()
LINE = load_pem_public_key(PEM).public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b" vagrant\n"


def found(tree: dict[str, bytes | str]) -> list[Finding]:
    return list(published_keys.analyse(firmware_of(tree), Device()))


def test_a_login_that_everybody_has() -> None:
    (one,) = found({"/root/.ssh/authorized_keys": LINE})
    assert (one.rule, one.verdict, one.severity.value) == ("CRY-004", "violation", "critical")
    assert "Vagrant" in one.title


@pytest.mark.parametrize(
    ("content", "severity", "confidence"),
    [(PEM, "high", "firm"), (b"\x7fELF" + bytes(200) + PEM, "medium", "tentative")],
)
def test_a_public_half_elsewhere(content: bytes, severity: str, confidence: str) -> None:
    (one,) = found({"/etc/cloud/server.pub": content})
    assert (one.rule, one.verdict, one.severity.value, one.confidence) == ("CRY-004", "concern", severity, confidence)


def test_examples_and_keys_of_ones_own_say_nothing() -> None:
    own = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert found({"/usr/share/doc/x/examples/a.pub": PEM, "/usr/lib/node/test/fixtures/a.pem": PEM, "/etc/a.pub": own}) == []


def test_a_private_key_in_the_image_is_told_by_the_analyser_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    private = private_key(77)
    digest = firmware_facts_fingerprint(private)
    monkeypatch.setattr(known, "sample_keys", lambda: {digest: "a sample"})
    monkeypatch.setattr(published_keys, "sample_keys", lambda: {digest: "a sample"})
    public = ec.derive_private_key(77, ec.SECP256R1()).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    tree: dict[str, bytes | str] = {"/etc/ssl/server.key": private, "/etc/ssl/server.pub": public}
    assert found(tree) == []
    (one,) = keys.analyse(firmware_of(tree), Device())
    assert one.title.endswith("published by a sample")


def firmware_facts_fingerprint(content: bytes) -> str:
    (fact,) = next(facts for _, facts in firmware_of({"/k": content}).contents()).keys
    return fact.fingerprint or ""


def test_the_table() -> None:
    samples, tests, constants = known.sample_keys(), known.signing_test_keys(), known.library_test_keys()
    assert len(samples) > 500
    assert not samples.keys() & tests.keys()
    assert not constants.keys() & (samples.keys() | tests.keys())
    assert all(len(each) in (16, 40, 64) and int(each, 16) for each in (*samples, *tests, *constants))
    assert known.published_by(None) == known.published_by("") == ""


@pytest.mark.parametrize("known_key", [True, False])
def test_a_signature_that_carries_a_published_key(known_key: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    public = ec.derive_private_key(78, ec.SECP256R1()).public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    table = {known.fingerprint_of(der): "a test suite"} if known_key else {"0" * 64: "another"}
    monkeypatch.setattr(updates, "signing_test_keys", lambda: table)
    signed = SignedBlock(scheme="RAUC", carried=b"no key", chain=(der,))
    node = Node(chain=("x", "rauc@0x0"), path="", kind=NodeKind.CONTAINER, format="rauc", signatures=(signed,))
    firmware = Firmware(Image(name="x", size=9, sha256="b" * 64, format="rauc"), [node], {}, Coverage())
    found = [each for each in updates.analyse(firmware, Device()) if each.rule == "UPD-006"]
    assert [(each.confidence, "a test suite" in each.title) for each in found] == [("certain", True)] * known_key
