"""Mender artifacts: an independent writer and mender-artifact; hashes are recomputed down to the payload files."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import lzma
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.mender import FORMATS
from fwcheck.extraction.source import Memory

(MENDER,) = FORMATS
ROOTFS = b"rootfs " * 400
INFO = {
    "payloads": [{"type": "rootfs-image"}],
    "artifact_provides": {"artifact_name": "release-1"},
    "artifact_depends": {"device_type": ["board", "board-b"]},
}


def tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def artifact(signature: bytes | None = None, payload: bytes = ROOTFS, suffix: str = ".gz") -> bytes:
    pack = {".gz": lambda data: gzip.compress(data, mtime=0), ".xz": lzma.compress, "": bytes}[suffix]
    version = b'{"format":"mender","version":3}'
    header = pack(tar({"header-info": json.dumps(INFO).encode(), "scripts/ArtifactInstall_Enter_01": b"#!/bin/sh\n"}))
    hashes = {"data/0000/rootfs.ext4": ROOTFS, f"header.tar{suffix}": header, "version": version}
    manifest = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in hashes.items()).encode()
    files = {"version": version, "manifest": manifest}
    files |= {"manifest.sig": base64.b64encode(signature)} if signature else {}
    return tar({**files, f"header.tar{suffix}": header, f"data/0000.tar{suffix}": pack(tar({"rootfs.ext4": payload}))})


def seeds() -> list[bytes]:
    return [artifact(), artifact(b"\x55" * 256, suffix=".xz"), artifact(suffix="")]


@pytest.mark.parametrize("suffix", [".gz", ".xz", ""])
def test_header_payloads_and_hashes(suffix: str) -> None:
    data = artifact(suffix=suffix)
    container = MENDER.open(Memory(b"rubbish!" + data), 8)
    assert (container.problems, container.detail) == (
        [],
        {
            "format_version": "3", "artifact_name": "release-1", "device_type": "board, board-b", "payload_type": "rootfs-image",
            "scripts": "ArtifactInstall_Enter_01", "integrity": "hash", "integrity_detail": "SHA-256 of 3 files right",
        },
    )  # fmt: skip
    assert len(data.rstrip(b"\0")) < container.size <= len(data)
    entries = {entry.path: entry for entry in container.entries}
    assert {path: entry.role for path, entry in entries.items()} == {
        "/version": "file", "/manifest": "file", "header.tar": "part", "data/0000.tar": "part",
    }  # fmt: skip
    assert entries["data/0000.tar"].open().read(0, entries["data/0000.tar"].size) == tar({"rootfs.ext4": ROOTFS})


@pytest.mark.parametrize(
    ("length", "words"), [(256, "RSA-2048 signature"), (64, "ECDSA P-256 signature"), (70, "signature of 70 bytes")]
)
def test_a_signature_is_told_by_its_kind(length: int, words: str) -> None:
    detail = MENDER.open(Memory(artifact(b"\x55" * length)), 0).detail
    assert (detail["integrity"], str(detail["integrity_detail"]).split(" over ")[0]) == ("signature", words)


def test_a_changed_payload_is_told() -> None:
    container = MENDER.open(Memory(artifact(payload=b"evil")), 0)
    assert container.problems == ["data/0000/rootfs.ext4: the SHA-256 is not the one in the manifest"]
    assert container.detail["integrity_detail"] == "SHA-256 of 2 files right, of 1 wrong"


def test_a_payload_that_does_not_unpack_is_told() -> None:
    data = artifact()
    at = data.rindex(b"\x1f\x8b\x08")
    container = MENDER.open(Memory(data[: at + 10] + b"\xff" * 20 + data[at + 30 :]), 0)
    assert any("data/0000.tar.gz cannot be unpacked" in line for line in container.problems)


@pytest.mark.parametrize(
    "data", [tar({"version": b"1.0"}), tar({"version": b'{"format":"mender"}'}), b"version" + bytes(505), artifact()[:300]]
)
def test_other_archives_are_no_artifacts(data: bytes) -> None:
    with pytest.raises(FormatError):
        MENDER.open(Memory(data), 0)


@pytest.mark.parametrize("signed", [False, True])
def test_what_mender_artifact_writes(signed: bool, tmp_path: Path) -> None:
    if shutil.which("mender-artifact") is None or shutil.which("openssl") is None:
        pytest.skip("mender-artifact or openssl is not installed")
    (tmp_path / "rootfs.bin").write_bytes(ROOTFS)
    command = [
        "mender-artifact",
        "write",
        "module-image",
        "-T",
        "script",
        "-t",
        "board",
        "-n",
        "r-1",
        "-f",
        "rootfs.bin",
        "-o",
        "x",
    ]
    if signed:
        subprocess.run(
            ["openssl", "genrsa", "-traditional", "-out", "k.pem", "2048"], cwd=tmp_path, check=True, capture_output=True
        )
        command += ["-k", "k.pem"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    container = MENDER.open(Memory((tmp_path / "x").read_bytes()), 0)
    assert (container.problems, container.detail["artifact_name"], container.detail["payload_type"]) == ([], "r-1", "script")
    expected = "RSA-2048 signature over the manifest (not verified); " if signed else ""
    assert container.detail["integrity_detail"] == f"{expected}SHA-256 of 3 files right"
