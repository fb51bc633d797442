"""Allwinner TOC0 images that mkimage signs: certificate, key item, and the firmware."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.signed import STRANGER, fingerprint, flipped, only, pem, report, rsa_of, rules
from support.signing import key as rsa_key

ROOT, FIRMWARE = rsa_key(), rsa_of(2048)
CODE = b"\x1f\x20\x03\xd5" * 600


def toc0(directory: Path, *, own: bool) -> bytes:
    """``own``: the firmware has a key of its own, for which the root key vouches."""
    for name, key in (("root_key.pem", ROOT), ("fw_key.pem", FIRMWARE if own else ROOT)):
        form = PrivateFormat.TraditionalOpenSSL
        (directory / name).write_bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))
    (directory / "code").write_bytes(CODE)
    command = ["mkimage", "-T", "sunxi_toc0", "-A", "arm", "-d", "code", "out"]
    subprocess.run(command, cwd=directory, check=True, capture_output=True)
    return (directory / "out").read_bytes()


@pytest.mark.skipif(shutil.which("mkimage") is None, reason="mkimage is not installed")
@pytest.mark.parametrize("own", [True, False])
def test_what_mkimage_signs(*, own: bool, tmp_path: Path) -> None:
    image = toc0(tmp_path, own=own)
    signature = only(report(image, tmp_path, pem(ROOT)))
    assert (signature.scheme, signature.state) == ("Allwinner TOC0", "valid")
    assert signature.key == fingerprint(FIRMWARE if own else ROOT)
    assert only(report(image, tmp_path, pem(FIRMWARE))).state == ("valid" if own else "unverified")
    assert only(report(image, tmp_path, pem(STRANGER))).state == "unverified"
    changed = report(flipped(image, image.index(CODE) + 5), tmp_path, pem(ROOT))
    assert only(changed).state == "invalid"
    assert "UPD-011" in rules(changed)
    # a key that the root key did not vouch for
    at = image.index(FIRMWARE.public_key().public_numbers().n.to_bytes(256, "big")) if own else 0
    if own:
        assert only(report(flipped(image, at + 600), tmp_path, pem(ROOT))).state != "valid"
