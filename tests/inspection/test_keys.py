"""Keys and certificates: whole ones are found anywhere, constants and placeholders never."""

import base64
import datetime as dt
import hashlib
import json
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs12,
)

from fwcheck.inspection.inspect import inspect
from fwcheck.inspection.keys import CERTIFICATE_LIMIT, der_end

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
DSA = dsa.generate_private_key(1024)
TRADITIONAL, PKCS8 = PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8
FILLER = bytes(range(256)) * 8


def dump(key, encoding=Encoding.PEM, form=PKCS8, password=None):
    return key.private_bytes(encoding, form, BestAvailableEncryption(password) if password else NoEncryption())


def fingerprint(key):
    return hashlib.sha256(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def certificate(key=RSA, name="unit.test", ca=True, algorithm=None):
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    start = dt.datetime(2020, 1, 2, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 0xABC, start, start.replace(year=2030))
    builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
    return builder.sign(key, algorithm or (None if key is ED else hashes.SHA256()))


CERTIFICATE = certificate()


def one(content):
    facts = inspect(content)
    assert facts.problems == ()
    assert len(facts.keys) == 1
    return facts.keys[0]


@pytest.mark.parametrize(
    ("key", "form", "algorithm", "bits"),
    [
        (RSA, TRADITIONAL, "RSA", 2048),
        (RSA, PKCS8, "RSA", 2048),
        (EC, TRADITIONAL, "EC", 256),
        (EC, PKCS8, "EC", 256),
        (ED, PKCS8, "Ed25519", 256),
        (DSA, TRADITIONAL, "DSA", 1024),
    ],
)
@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
@pytest.mark.parametrize("before", [b"", b"\x7fELF" + FILLER])
def test_private_keys_are_found_as_files_and_inside_others(key, form, algorithm, bits, encoding, before):
    found = one(before + dump(key, encoding, form) + b"\0" * 5)
    assert (found.offset, found.algorithm, found.bits) == (len(before), algorithm, bits)
    assert (found.private, found.encrypted, found.valid) == (True, False, True)
    assert found.fingerprint == fingerprint(key)
    assert found.published == ""


@pytest.mark.parametrize("join", [b"\r\n", b"\\n", b"\0", b"\\r\\n\\\n"])
def test_line_ends_of_strings_in_programs_do_not_hide_a_key(join):
    content = b"\x7fELF" + FILLER + dump(RSA, form=TRADITIONAL).strip().replace(b"\n", join) + b"\0"
    assert one(content).fingerprint == fingerprint(RSA)


def test_a_key_in_json_is_found():
    content = json.dumps({"cert": CERTIFICATE.public_bytes(Encoding.PEM).decode(), "key": dump(EC).decode()}).encode()
    facts = inspect(content)
    assert [key.fingerprint for key in facts.keys] == [fingerprint(EC)]
    assert len(facts.certificates) == 1


def test_encrypted_keys_are_told_from_open_ones():
    assert one(dump(RSA, password=b"x" * 9)).encrypted
    assert one(dump(RSA, Encoding.DER, password=b"x" * 9)).encrypted
    legacy = one(dump(RSA, form=TRADITIONAL, password=b"x" * 9))
    assert (legacy.private, legacy.encrypted, legacy.algorithm, legacy.fingerprint) == (True, True, "RSA", None)


@pytest.mark.parametrize(
    "content",
    [
        b"-----BEGIN RSA PRIVATE KEY-----\0-----END RSA PRIVATE KEY-----\0",
        b"-----BEGIN RSA PRIVATE KEY-----\n\0\0-----END RSA PRIVATE KEY-----\n\0-----BEGIN EC PRIVATE KEY-----\n\0",
        b"-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN RSA PRIVATE KEY-----\nMIIE...\n-----END RSA PRIVATE KEY-----\n",
        b"-----BEGIN RSA PRIVATE KEY-----\n" + base64.b64encode(bytes(60)) + b"\n-----END RSA PRIVATE KEY-----\n",
        b"-----BEGIN CERTIFICATE-----\n-----BEGIN PUBLIC KEY-----\n-----END CERTIFICATE-----\n-----END PUBLIC KEY-----",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\0-----END OPENSSH PRIVATE KEY-----\0openssh-key-v1\0",
        dump(RSA)[:-60],
    ],
)
def test_parser_constants_and_stumps_are_no_keys(content):
    for whole in (content, b"\x7fELF" + FILLER + content + FILLER):
        facts = inspect(whole)
        assert facts.keys == ()
        assert facts.certificates == ()


def test_a_whole_key_between_constants_is_still_found():
    constants = b"-----BEGIN RSA PRIVATE KEY-----\0-----END RSA PRIVATE KEY-----\0"
    content = FILLER + constants + dump(RSA, form=TRADITIONAL) + constants
    assert one(content).offset == len(FILLER) + len(constants)


def test_public_keys_are_public():
    for encoding in (Encoding.PEM, Encoding.DER):
        for key in (RSA, EC):
            found = one(FILLER + key.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo))
            assert (found.private, found.valid, found.fingerprint) == (False, True, fingerprint(key))


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_a_certificate_is_described(encoding):
    facts = inspect(FILLER + CERTIFICATE.public_bytes(encoding) + b"\0")
    assert facts.keys == ()
    (found,) = facts.certificates
    assert (found.offset, found.subject, found.issuer) == (len(FILLER), "CN=unit.test", "CN=unit.test")
    assert (found.serial, found.signature_hash, found.key_algorithm, found.key_bits) == ("abc", "sha256", "RSA", 2048)
    assert (found.not_before, found.not_after) == ("2020-01-02T00:00:00+00:00", "2030-01-02T00:00:00+00:00")
    assert (found.is_ca, found.self_signed) == (True, True)
    assert found.key_fingerprint == fingerprint(RSA)


def test_key_and_certificate_of_one_file_belong_together():
    facts = inspect(CERTIFICATE.public_bytes(Encoding.PEM) + dump(RSA))
    assert facts.certificates[0].key_fingerprint == facts.keys[0].fingerprint
    assert facts.kind == "pem"


def test_equal_names_do_not_make_a_certificate_self_signed():
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "unit.test")])
    start = dt.datetime(2020, 1, 2, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(subject, subject, EC.public_key(), 1, start, start.replace(year=2030))
    facts = inspect(builder.sign(RSA, hashes.SHA256()).public_bytes(Encoding.PEM))
    assert facts.certificates[0].self_signed is False


def test_a_bundle_is_read_up_to_its_limit_and_the_rest_is_told():
    block = CERTIFICATE.public_bytes(Encoding.PEM)
    facts = inspect(block * (CERTIFICATE_LIMIT + 3))
    assert len(facts.certificates) == CERTIFICATE_LIMIT
    assert any("3 left" in problem for problem in facts.problems)


def test_pkcs12_with_a_passphrase_of_its_own_stays_shut():
    content = pkcs12.serialize_key_and_certificates(b"n", RSA, CERTIFICATE, None, BestAvailableEncryption(b"pw"))
    found = one(content)
    assert (found.container, found.private, found.encrypted, found.offset) == ("PKCS#12", True, True, 0)


@pytest.mark.parametrize("word", [b"password", b"123456", b"changeit"])
def test_keys_under_trivial_passphrases_are_opened(word):
    for content in (
        dump(RSA, password=word),
        dump(RSA, Encoding.DER, password=word),
        dump(RSA, form=TRADITIONAL, password=word),
        dump(RSA, form=TRADITIONAL, password=word).replace(b"\n", b"\\n"),
    ):
        found = one(content)
        assert (found.encrypted, found.valid, found.algorithm, found.fingerprint) == (True, True, "RSA", fingerprint(RSA))


def test_pkcs12_under_a_trivial_passphrase_is_opened():
    form = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(2048)
    content = pkcs12.serialize_key_and_certificates(b"n", RSA, CERTIFICATE, None, form.build(b"1234"))
    found = one(content)
    assert (found.container, found.encrypted, found.fingerprint) == ("PKCS#12", True, fingerprint(RSA))


def test_a_dear_key_is_not_tried():
    der = bytearray(dump(RSA, Encoding.DER, password=b"password"))
    at = der.index(bytes.fromhex("2a864886f70d01050c"))
    place = der.index(b"\x02\x02\x08\x00", at)  # 2,048 rounds; the salt before them is random and may end in such a byte
    der[place + 2 : place + 4] = b"\x7f\xff"
    started = time.process_time()
    assert one(bytes(der)).fingerprint is None
    assert time.process_time() - started < 0.5


def test_openvpn_static_keys_are_private():
    body = "\n".join("0123456789abcdef" * 2 for _ in range(16))
    content = f"-----BEGIN OpenVPN Static key V1-----\n{body}\n-----END OpenVPN Static key V1-----\n".encode()
    found = one(content)
    assert (found.container, found.bits, found.private) == ("OpenVPN", 2048, True)


def test_a_certificate_request_shows_its_public_key():
    request = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(RSA, hashes.SHA256())
    found = one(request.public_bytes(Encoding.PEM))
    assert (found.private, found.fingerprint, found.comment) == (False, fingerprint(RSA), "certificate request")


def test_factors_that_do_not_fit_are_not_called_valid():
    numbers = RSA.private_numbers()
    der = bytearray(dump(RSA, Encoding.DER, TRADITIONAL))
    prime = numbers.p.to_bytes(128, "big")
    at = der.index(prime)
    der[at + 5] ^= 1
    facts = inspect(FILLER + bytes(der))
    assert all(not key.valid for key in facts.keys)


@pytest.mark.parametrize(
    ("data", "end"),
    [(b"\x30\x00", 2), (b"\x30\x03abc", 5), (b"\x30\x81\x80" + bytes(128), 131), (b"\x30\x80abc", None), (b"\x30", None)],
)
def test_der_lengths(data, end):
    assert der_end(data, 0) == end


@pytest.mark.parametrize("data", [b"\x30\x84\xff\xff\xff\xff", b"\x30\x82\xff\xffabc", b"\x30\x85\0\0\0\0\1a", b"\x30\x05abcd"])
def test_der_lengths_that_lie_are_refused(data):
    assert der_end(data, 0) is None
