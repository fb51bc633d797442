"""Certificates against their use, and samples; what expired or is short stands with the tests of keys."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose
from cryptography.x509.oid import NameOID
from support.trees import firmware_of

from fwcheck.analysers import certificates
from fwcheck.inspection.inspect import inspect
from fwcheck.model import Device, Evidence, Finding, KeyFile, Location, Service

SECRET = ec.derive_private_key(4711, ec.SECP256R1())
KEY = SECRET.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def usage(*names: str) -> x509.KeyUsage:
    fields = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    fields += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{each: each in names for each in fields})


def certificate(*extensions: x509.ExtensionType, name: str = "router.maker.net", until: int = 2040) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(subject, subject, SECRET.public_key(), 7, start, start.replace(year=until))
    for each in extensions:
        builder = builder.add_extension(each, critical=False)
    return builder.sign(SECRET, hashes.SHA256()).public_bytes(Encoding.PEM)


CA = x509.BasicConstraints(ca=True, path_length=None)
LEAF = x509.BasicConstraints(ca=False, path_length=None)


def found(files: dict[str, bytes | str], *, served: str = "") -> list[Finding]:
    firmware = firmware_of(files)
    use = KeyFile(path=served, root=firmware.filesystems[0].label, evidence=Evidence(location=Location(path="/etc/l.conf")))
    web = Service(name="lighttpd", program="/usr/sbin/lighttpd", enabled="yes", protocol="http", keys=(use,) if served else ())
    return list(certificates.analyse(firmware, Device(services=(web,))))


@pytest.mark.parametrize(
    ("content", "rules"),
    [
        (certificate(LEAF), []),
        (certificate(LEAF, usage("digital_signature"), x509.ExtendedKeyUsage([Purpose.SERVER_AUTH])), []),
        (certificate(LEAF, x509.ExtendedKeyUsage([Purpose.ANY_EXTENDED_KEY_USAGE])), []),
        (certificate(LEAF, x509.ExtendedKeyUsage([Purpose.CLIENT_AUTH])), ["purposes leave out"]),
        (certificate(LEAF, usage("key_cert_sign")), ["keyCertSign alone"]),
        (certificate(CA), ["lighttpd presents its certificate"]),
        (certificate(CA, usage("digital_signature")), []),  # may not sign certificates
        (certificate(LEAF, until=2060), ["valid for 35 years"]),
        (certificate(LEAF, until=9999), []),  # RFC 5280's way to say: without an end
    ],
)
def test_a_servers_certificate_against_its_use(content: bytes, rules: list[str]) -> None:
    findings = found({"/etc/web.pem": KEY + content}, served="/etc/web.pem")
    assert [each.rule for each in findings] == ["TLS-030"] * len(rules)
    assert all(words in each.title for each, words in zip(findings, rules, strict=True))


def test_a_purpose_counts_for_what_a_web_server_presents_alone() -> None:
    content = KEY + certificate(LEAF, x509.ExtendedKeyUsage([Purpose.CLIENT_AUTH]))
    assert found({"/etc/mqtt/client.pem": content}) == []


def test_an_authority_without_its_key_is_one_to_trust() -> None:
    files: dict[str, bytes | str] = {"/etc/cloud/ca.crt": certificate(CA)}
    assert found(files) == []
    (one,) = found({**files, "/etc/cloud/ca.key": KEY})
    assert (one.rule, one.verdict, one.location.path) == ("TLS-030", "concern", "/etc/cloud/ca.crt")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Snake Oil, Ltd", True),
        ("Internet Widgits Pty Ltd", True),
        ("Acme Test CA", True),
        ("DO NOT TRUST", True),
        ("www.example.com", True),
        ("router.maker.net", False),
        ("Latest Certificates Inc", False),
        ("Contest Server", False),
        ("Testarossa Motors", False),
    ],
)
def test_samples_by_their_names(name: str, told: bool) -> None:
    assert [each.rule for each in found({"/etc/ssl/server.crt": certificate(LEAF, name=name)})] == ["TLS-031"] * told


def test_public_roots_and_examples_say_nothing() -> None:
    old = certificate(CA, name="Old Test Root CA", until=2026)
    files: dict[str, bytes | str] = {
        "/etc/ssl/certs/ca-certificates.crt": old * 5,
        "/etc/ssl/certs/Old.pem": old,
        "/usr/share/doc/x/examples/server.pem": KEY + old,
    }
    assert [each for each in found(files) if not each.location.path.startswith("/usr")] == []
    assert found({"/usr/share/doc/x/examples/server.pem": KEY + old}) == []


def test_usage_and_purposes_are_facts() -> None:
    (fact,) = inspect(
        certificate(usage("digital_signature", "crl_sign"), x509.ExtendedKeyUsage([Purpose.SERVER_AUTH]))
    ).certificates
    assert fact.usage == ("digitalSignature", "cRLSign")
    assert fact.purposes == ("1.3.6.1.5.5.7.3.1",)
    (fact,) = inspect(certificate()).certificates
    assert (fact.usage, fact.purposes) == (None, None)
