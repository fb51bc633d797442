"""Alpine packages: three gzip members read as one tree, the data hash recomputed, the signature told."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.alpine_apk import FORMATS
from fwcheck.extraction.source import Memory

(APK,) = FORMATS


def segment(files: dict[str, bytes], end: bool = False) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            archive.addfile(info, io.BytesIO(data))
        length = archive.offset
    return gzip.compress(out.getvalue()[: length + 1024 * end], mtime=0)


def apk(signed: bool = True, hashed: bool = True) -> bytes:
    data = segment({"usr/bin/hello": b"\x7fELF hello"}, end=True)
    info = b"# made by hand\npkgname = hello\npkgver = 1.2-r3\narch = armv7\nlicense = MIT\n"
    info += b"datahash = " + hashlib.sha256(data).hexdigest().encode() + b"\n" if hashed else b""
    control = segment({".PKGINFO": info, ".post-install": b"#!/bin/sh\n"})
    head = segment({".SIGN.RSA.a@example.net.rsa.pub": b"\x11" * 256}) if signed else b""
    return head + control + data


def seeds() -> list[bytes]:
    return [apk(), apk(signed=False), apk(signed=False, hashed=False)]


def test_one_tree_and_what_protects_it() -> None:
    data = apk()
    container = APK.open(Memory(data + b"behind"), 0)
    assert (container.size, container.problems) == (len(data), [])
    assert container.detail == {
        "package": "hello", "version": "1.2-r3", "architecture": "armv7", "licence": "MIT", "scripts": "post-install",
        "integrity": "signature",
        "integrity_detail": "RSA signature of key a@example.net.rsa.pub (not verified); SHA-256 of the data right",
    }  # fmt: skip
    entries = {entry.path: entry for entry in container.entries}
    assert list(entries) == ["/.SIGN.RSA.a@example.net.rsa.pub", "/.PKGINFO", "/.post-install", "/usr/bin/hello"]
    assert entries["/usr/bin/hello"].open().read(0, 10) == b"\x7fELF hello"
    assert entries["/usr/bin/hello"].mode == 0o755


def test_an_unsigned_package() -> None:
    container = APK.open(Memory(b"rubbish!" + apk(signed=False)), 8)
    assert (container.detail["integrity"], container.detail["integrity_detail"]) == ("hash", "SHA-256 of the data right")
    assert APK.open(Memory(apk(signed=False, hashed=False)), 0).detail["integrity"] == "none"


def test_a_changed_data_member_is_told() -> None:
    data = apk().replace(segment({"usr/bin/hello": b"\x7fELF hello"}, end=True), segment({"usr/bin/hello": b"evil"}, end=True))
    container = APK.open(Memory(data), 0)
    assert container.problems == ["the SHA-256 of the data member is wrong"]
    assert "wrong" in str(container.detail["integrity_detail"])


def test_a_cut_data_member_leaves_the_rest() -> None:
    container = APK.open(Memory(apk()[:-20]), 0)
    assert [entry.path for entry in container.entries][-1] == "/.post-install"
    assert any("member 3" in line for line in container.problems)


@pytest.mark.parametrize("name", [".SIGN.RSA.key", "etc/passwd"])
def test_other_streams_are_no_packages(name: str) -> None:
    with pytest.raises(FormatError):
        APK.open(Memory(segment({name: b""}, end=True)), 0)
