"""Debian and opkg packages: fields of the control file, members as parts, signatures told."""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.deb import FORMATS
from fwcheck.extraction.source import Memory

DEB, IPK = FORMATS
CONTROL = b"Package: hello\nVersion: 1.2-3\nArchitecture: mips_24kc\nDescription: says hello\n and more\nDepends: libc\n"


def tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def ar(members: dict[str, bytes]) -> bytes:
    out = b"!<arch>\n"
    for name, data in members.items():
        out += b"%-16b%-12d%-6d%-6d%-8o%-10d`\n" % (name.encode(), 0, 0, 0, 0o100644, len(data)) + data + b"\n" * (len(data) % 2)
    return out


CONTROL_TAR = tar({"./control": CONTROL, "./postinst": b"#!/bin/sh\n"})
DATA_TAR = tar({"./usr/bin/hello": b"\x7fELF hello"})


def packed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def deb(**more: bytes) -> bytes:
    return ar({"debian-binary": b"2.0\n", "control.tar.gz": packed(CONTROL_TAR), "data.tar.xz": lzma.compress(DATA_TAR), **more})


def ipk_ar() -> bytes:
    members = {"debian-binary/": b"2.0\n", "data.tar.gz/": packed(DATA_TAR), "control.tar.gz/": packed(CONTROL_TAR)}
    return ar(members)


def ipk() -> bytes:
    members = {"./debian-binary": b"2.0\n", "./data.tar.gz": packed(DATA_TAR), "./control.tar.gz": packed(CONTROL_TAR)}
    return packed(tar(members))


def seeds() -> list[bytes]:
    return [deb(), ipk_ar(), ipk(), deb(_gpgorigin=b"\x89\1")]


def test_members_are_parts_and_fields_are_told() -> None:
    container = DEB.open(Memory(b"rubbish!" + deb() + b"behind"), 8)
    assert (container.size, container.problems) == (len(deb()), [])
    told = {
        key: container.detail[key] for key in ("package", "version", "architecture", "scripts", "integrity", "format_version")
    }
    assert told == {
        "package": "hello", "version": "1.2-3", "architecture": "mips_24kc", "scripts": "postinst", "integrity": "none",
        "format_version": "2.0",
    }  # fmt: skip
    entries = {entry.path: entry for entry in container.entries}
    assert {path: entry.role for path, entry in entries.items()} == {
        "debian-binary": "meta", "control.tar.gz": "part", "data.tar.xz": "part",
    }  # fmt: skip
    assert lzma.decompress(bytes(entries["data.tar.xz"].open().view(0, entries["data.tar.xz"].size))) == DATA_TAR


def test_a_signature_member_is_told() -> None:
    container = DEB.open(Memory(deb(_gpgorigin=b"\x89\1")), 0)
    assert container.detail["integrity"] == "signature"
    assert "_gpgorigin (not verified)" in container.detail["integrity_detail"]


@pytest.mark.parametrize("compressor", ["gzip", "xz", "zstd", "none"])
def test_what_dpkg_deb_writes(compressor: str, tmp_path: Path) -> None:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not installed")
    (tmp_path / "x/DEBIAN").mkdir(parents=True)
    (tmp_path / "x/DEBIAN").chmod(0o755)
    (tmp_path / "x/DEBIAN/control").write_bytes(CONTROL.replace(b"mips_24kc", b"amd64") + b"Maintainer: A <a@example.net>\n")
    (tmp_path / "x/hello").write_bytes(b"hello" * 100)
    done = subprocess.run(
        ["dpkg-deb", "--root-owner-group", f"-Z{compressor}", "-b", "x", "x.deb"], cwd=tmp_path, capture_output=True, check=False
    )
    if done.returncode and b"compression" in done.stderr:
        pytest.skip(f"this dpkg-deb does not write {compressor}")
    data = (tmp_path / "x.deb").read_bytes()
    container = DEB.open(Memory(data + b"behind"), 0)
    assert (container.size, container.problems, container.detail["package"]) == (len(data), [], "hello")
    assert container.detail["maintainer"] == "A <a@example.net>"
    assert [entry.path.split(".tar")[0] for entry in container.entries] == ["debian-binary", "control", "data"]


def test_both_shapes_of_opkg_packages() -> None:
    container = DEB.open(Memory(ipk_ar()), 0)
    assert (container.detail["variant"], container.detail["package"], container.size) == ("ipk", "hello", len(ipk_ar()))
    container = IPK.open(Memory(ipk() + b"behind"), 0)
    assert (container.format, container.size, container.problems) == ("ipk", len(ipk()), [])
    assert (container.detail["version"], container.detail["scripts"]) == ("1.2-3", "postinst")
    entries = {entry.path: entry for entry in container.entries}
    assert {path: entry.role for path, entry in entries.items()} == {
        "debian-binary": "meta", "data.tar.gz": "part", "control.tar.gz": "part",
    }  # fmt: skip
    assert gzip.decompress(bytes(entries["data.tar.gz"].open().view(0, entries["data.tar.gz"].size))) == DATA_TAR


def test_a_broken_control_archive_is_said() -> None:
    data = ar({"debian-binary": b"2.0\n", "control.tar.gz": b"\x1f\x8b\x08" + bytes(40)})
    container = DEB.open(Memory(data), 0)
    assert any("control.tar" in line for line in container.problems)
    assert any("no data.tar" in line for line in container.problems)


@pytest.mark.parametrize(
    "data", [packed(b"plain text"), packed(tar({"./etc/passwd": b""})), packed(tar({"./debian-binary": b"2.0\n"}))]
)
def test_other_gzip_streams_are_no_packages(data: bytes) -> None:
    with pytest.raises(FormatError):
        IPK.open(Memory(data), 0)
