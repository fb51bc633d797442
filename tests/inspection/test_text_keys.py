"""Secret keys in texts: JSON web keys, name servers' keys, age identities, OpenPGP. Public halves and examples are none."""

from __future__ import annotations

import base64
import json
import secrets
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from fwcheck.inspection.inspect import inspect
from fwcheck.model import KeyFact

RSA = rsa.generate_private_key(65537, 2048).private_numbers()
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def text(value: int | bytes) -> str:
    raw = value if isinstance(value, bytes) else value.to_bytes((value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def web_keys() -> dict[str, dict[str, str]]:
    point = EC.public_key().public_numbers()
    public = RSA.public_numbers
    return {
        "RSA": {"kty": "RSA", "n": text(public.n), "e": text(public.e), "d": text(RSA.d), "kid": "unit"},
        "EC": {
            "kty": "EC",
            "crv": "P-256",
            "x": text(point.x),
            "y": text(point.y),
            "d": text(EC.private_numbers().private_value),
        },
        "Ed25519": {
            "crv": "Ed25519",
            "kty": "OKP",
            "x": text(ED.public_key().public_bytes_raw()),
            "d": text(ED.private_bytes_raw()),
        },
        "HMAC": {"kty": "oct", "k": text(bytes(range(64, 96)))},
    }


def private(content: bytes | str) -> list[KeyFact]:
    facts = inspect(content.encode() if isinstance(content, str) else content)
    assert facts.problems == ()
    return [each for each in facts.keys if each.private]


@pytest.mark.parametrize("name", ["RSA", "EC", "Ed25519", "HMAC"])
def test_json_web_keys_with_their_private_part(name: str) -> None:
    held = web_keys()[name]
    for content in (json.dumps(held), json.dumps({"keys": [held]}, indent=2), f"var key = {json.dumps(held)};"):
        (key,) = private(content)
        assert (key.container, key.algorithm, key.encrypted, key.valid) == ("JWK", name, False, True)
        assert content[key.offset] == "{"
        assert bool(key.fingerprint) == (name != "HMAC")


def test_json_web_keys_that_hold_no_secret() -> None:
    held = web_keys()
    for each in held.values():
        each.pop("d", None)
    held["HMAC"]["k"] = text(b"k" * 32)
    assert private(json.dumps({"keys": list(held.values())})) == []
    wrong = {**web_keys()["EC"], "d": text(5)}
    assert private(json.dumps([wrong, {"kty": "EC", "d": 7}, {"kty": "RSA"}, {"kty": "oct", "k": []}])) == []
    assert private('{"kty":"EC","crv":') == []


AGE = "AGE-SECRET-KEY-16JVFV2563V2HJYSTKESD8PX5EXJRLJFGXPY4QT603SUSCMY66LTS2A92Z7"


def test_age_identities() -> None:
    (key,) = private(f"# created: 2026-11-28\n{AGE}\n")
    assert (key.container, key.algorithm, key.valid) == ("age", "X25519", True)
    assert private(AGE.replace("JVF", "JVG")) == []  # its checksum no longer fits


@pytest.mark.parametrize(
    ("number", "fields", "algorithm"),
    [
        ("13 (ECDSAP256SHA256)", {"PrivateKey": EC.private_numbers().private_value.to_bytes(32, "big")}, "EC"),
        ("15 (ED25519)", {"PrivateKey": ED.private_bytes_raw()}, "Ed25519"),
        ("163 (HMAC_SHA256)", {"Key": bytes(range(32))}, "HMAC"),
        (
            "8 (RSASHA256)",
            {"Modulus": RSA.public_numbers.n, "PublicExponent": RSA.public_numbers.e, "PrivateExponent": RSA.d},
            "RSA",
        ),
    ],
)
def test_keys_of_signed_zones(number: str, fields: dict[str, int | bytes], algorithm: str) -> None:
    rows = [
        f"{name}: {base64.b64encode(value if isinstance(value, bytes) else value.to_bytes(256, 'big').lstrip(bytes(1))).decode()}"
        for name, value in fields.items()
    ]
    content = "\n".join(["Private-key-format: v1.3", f"Algorithm: {number}", *rows, "Created: 20260101000000", ""])
    (key,) = private(content)
    assert (key.container, key.algorithm, key.valid) == ("DNSSEC", algorithm, True)
    assert private("\n".join(["Private-key-format: v1.3", f"Algorithm: {number}", "Created: 20260101000000", ""])) == []


def tsig(secret: bytes, head: str = "") -> str:
    return f'{head}key "update" {{\n\talgorithm hmac-sha256;\n\tsecret "{base64.b64encode(secret).decode()}";\n}};\n'


def test_secrets_of_name_servers() -> None:
    (key,) = private(tsig(bytes(range(100, 132))))
    assert (key.container, key.algorithm, key.bits, key.comment) == ("TSIG", "HMAC", 256, "update")
    assert private(tsig(b"strong enough for a man but made for a woman\n")) == []  # the example of the manual
    assert private(tsig(bytes(32))) == []
    assert private(tsig(bytes(range(32)), head="// ")) == []


def packet(secret: bytes, tag: int = 5) -> bytes:
    def number(value: int) -> bytes:
        return value.bit_length().to_bytes(2, "big") + value.to_bytes((value.bit_length() + 7) // 8, "big")

    body = b"\4" + bytes(4) + b"\1" + number(RSA.public_numbers.n) + number(RSA.public_numbers.e) + secret
    return bytes((0x80 | tag << 2 | 1,)) + len(body).to_bytes(2, "big") + body


@pytest.mark.parametrize(
    ("secret", "found"),
    [
        (b"\0" + bytes(300), [(False, True)]),
        (b"\xfe\x09\x03\x08" + bytes(300), [(True, False)]),
        (b"\xff\x00\x65\x00GNU\1", []),  # the secret part is on a card
    ],
)
def test_openpgp_keys_binary_and_armoured(secret: bytes, found: list[tuple[bool, bool]]) -> None:
    armour = base64.encodebytes(packet(secret)).decode()
    text = f"-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: 1\n\n{armour}=abcd\n-----END PGP PRIVATE KEY BLOCK-----\n"
    for content in (packet(secret), text.encode()):
        keys = private(content)
        assert [(each.encrypted, each.valid) for each in keys] == found
        assert {(each.container, each.algorithm, each.bits) for each in keys} <= {("OpenPGP", "RSA", 2048)}
    assert private(packet(b"", tag=6)) == []


def test_hostile_texts_end_soon() -> None:
    pieces = (
        b'{"kty":"RSA",' * 80_000,
        b'"kty":"oct"' + b"{" * 1_000_000,
        b'key x {algorithm hmac-md5;\nsecret "' + b"A" * 1_000_000,
        b"Private-key-format: v1.3\nAlgorithm: 8\n" + b"A: \n" * 250_000,
        b"PuTTY-User-Key-File-2: ssh-rsa\nEncryption: none\n" * 20_000,
        b"\x95\x04\x00\x04" * 250_000,
        secrets.token_bytes(1 << 20),
    )
    for piece in pieces:
        started = time.process_time()
        inspect(piece)
        assert time.process_time() - started < 5
