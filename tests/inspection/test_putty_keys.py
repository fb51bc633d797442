"""PuTTY's files, as puttygen writes them, and the format of SSH-1."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from fwcheck.inspection.inspect import inspect

OPEN_2 = b"""PuTTY-User-Key-File-2: ssh-ed25519
Encryption: none
Comment: ed25519-key-20261128
Public-Lines: 2
AAAAC3NzaC1lZDI1NTE5AAAAIEsPGbin7OSNqCMu1GTT0b1z3a+nthtEdc7Mx021
1ryf
Private-Lines: 1
AAAAIMnwY9baGp0QbGNM22xLd3mO+uIJ+DN5BKrjWlzjaY5X
Private-MAC: 8bd68aa99afd9c720f8a47c2d7fceba4259cd127
"""
OPEN_3 = b"""PuTTY-User-Key-File-3: ssh-ed25519
Encryption: none
Comment: ed25519-key-20261128
Public-Lines: 2
AAAAC3NzaC1lZDI1NTE5AAAAIAWPVP5vSYJYRMgpp5XlmkBIdIb50I7xznX7Im5u
RSOC
Private-Lines: 1
AAAAIDBJsBydzbjwWV4f3P0lEB4CMwkAmhmvjTz1z/jQyzkQ
Private-MAC: a020def5503a8169697c91e45b44e7731de66a9450b5dc09c7576e63c8382ec3
"""
SHUT_2 = b"""PuTTY-User-Key-File-2: ssh-ed25519
Encryption: aes256-cbc
Comment: ed25519-key-20261128
Public-Lines: 2
AAAAC3NzaC1lZDI1NTE5AAAAIOLa7xuurFBmDpjeN0SN6GSRyCZw7PMqHEx+h4rc
fc1v
Private-Lines: 1
Op/R75O0gP7lJIiiOL5ScrRlN598OwJ7e/y1wFTpgQfvlrDGjNlb9HNhLQn5hSbs
Private-MAC: 96ae1a655d128fe36a77198db78474d8cd0744d9
"""
SHUT_3 = OPEN_3.replace(b"none", b"aes256-cbc").replace(
    b"Private-Lines", b"Key-Derivation: Argon2id\nArgon2-Memory: 8192\nArgon2-Passes: 13\nPrivate-Lines"
)


@pytest.mark.parametrize(
    ("content", "encrypted", "valid"),
    [
        (OPEN_2, False, True),
        (OPEN_2.replace(b"\n", b"\r\n"), False, True),
        (OPEN_3, False, True),
        (SHUT_2, True, True),  # its passphrase is "password"
        (SHUT_2.replace(b"96ae", b"96af"), True, False),
        (SHUT_3, True, False),
        (OPEN_2.replace(b"AAAAIMnw", b"AAAAIMnx"), False, False),
    ],
)
def test_putty_files(content: bytes, encrypted: bool, valid: bool) -> None:
    (key,) = [each for each in inspect(b"\n" + content).keys if each.private]
    assert (key.offset, key.container, key.algorithm, key.bits) == (1, "PuTTY", "Ed25519", 256)
    assert (key.encrypted, key.valid, key.comment) == (encrypted, valid, "ed25519-key-20261128")
    assert key.fingerprint
    assert key.public


def test_a_head_alone_is_no_key() -> None:
    assert inspect(OPEN_2[:90]).keys == ()
    assert inspect(OPEN_2.replace(b"Private-Lines", b"Other-Lines")).keys == ()


def number(value: int) -> bytes:
    return value.bit_length().to_bytes(2, "big") + value.to_bytes((value.bit_length() + 7) // 8, "big")


@pytest.mark.parametrize(("cipher", "check", "valid"), [(0, b"abab", True), (0, b"abcd", False), (3, b"abab", False)])
def test_keys_of_ssh_1(cipher: int, check: bytes, valid: bool) -> None:
    public = rsa.generate_private_key(65537, 1024).public_key().public_numbers()
    head = b"SSH PRIVATE KEY FILE FORMAT 1.1\n\0" + bytes((cipher,)) + bytes(4) + (1024).to_bytes(4, "big")
    content = head + number(public.n) + number(public.e) + b"\0\0\0\4here" + check + bytes(500)
    (key,) = inspect(content).keys
    assert (key.container, key.algorithm, key.bits, key.comment) == ("SSH-1", "RSA", 1024, "here")
    assert (key.private, key.encrypted, key.valid) == (True, cipher > 0, valid)
    assert inspect(content[:100]).keys == ()
