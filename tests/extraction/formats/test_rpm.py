"""RPM packages: an independent writer and rpmbuild; every digest is told right or wrong."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.rpm import FORMATS
from fwcheck.extraction.source import Memory

(RPM,) = FORMATS
INT32, STRING, BINARY, STRINGS = 4, 6, 7, 8
PAYLOAD = gzip.compress(b"070701 no archive" * 20, mtime=0)


def header(values: list[tuple[int, int, object]]) -> bytes:
    index = store = b""
    for tag, kind, value in values:
        if kind == INT32:
            store += bytes(-len(store) % 4)
            data, count = struct.pack(">I", value), 1
        else:
            data, count = (value, len(value)) if kind == BINARY else (value.encode() + b"\0", 1)
        index += struct.pack(">IIII", tag, kind, len(store), count)
        store += data
    return b"\x8e\xad\xe8\x01" + bytes(4) + struct.pack(">II", len(values), len(store)) + index + store


def rpm(payload: bytes = PAYLOAD, size: bool = True, signed: bool = False) -> bytes:
    main = header([
        (1000, STRING, "hello"), (1001, STRING, "1.2"), (1002, STRING, "3"), (1022, STRING, "armv7hl"), (1024, STRING, "true"),
        (1124, STRING, "cpio"), (1125, STRING, "gzip"), (5092, STRINGS, hashlib.sha256(payload).hexdigest()), (5093, INT32, 8),
    ])  # fmt: skip
    values = [
        (269, STRING, hashlib.sha1(main).hexdigest()),
        (273, STRING, hashlib.sha256(main).hexdigest()),
        (1004, BINARY, hashlib.md5(main + payload).digest()),
    ]
    values += [(1000, INT32, len(main) + len(payload))] if size else []
    values += [(268, BINARY, b"\x89" * 70)] if signed else []
    signature = header(values)
    lead = b"\xed\xab\xee\xdb\3\0\0\0\0\1" + b"hello-1.2-3".ljust(66, b"\0") + b"\0\1\0\5" + bytes(16)
    return lead + signature + bytes(-len(signature) % 8) + main + payload


def seeds() -> list[bytes]:
    return [rpm(), rpm(size=False, signed=True)]


def test_headers_payload_and_digests() -> None:
    data = rpm()
    container = RPM.open(Memory(b"rubbish!" + data + b"behind"), 8)
    assert (container.size, container.problems) == (len(data), [])
    assert container.detail == {
        "type": "binary", "package": "hello", "version": "1.2", "release": "3", "architecture": "armv7hl", "compressor": "gzip",
        "scripts": "post", "integrity": "hash",
        "integrity_detail": "SHA-256 of the header right; SHA-1 of the header right; MD5 of header and payload right; "
        "digest of the payload right",
    }  # fmt: skip
    entries = {entry.path: entry for entry in container.entries}
    assert {path: entry.role for path, entry in entries.items()} == {
        "signature": "meta", "header": "meta", "payload.cpio.gzip": "part",
    }  # fmt: skip
    assert entries["payload.cpio.gzip"].open().read(0, len(PAYLOAD)) == PAYLOAD


def test_a_signature_is_told() -> None:
    container = RPM.open(Memory(rpm(signed=True)), 0)
    assert container.detail["integrity"] == "signature"
    assert str(container.detail["integrity_detail"]).startswith("signature: RSA over the header (not verified); SHA-256")


def test_a_changed_payload_and_a_changed_header_are_told() -> None:
    data = bytearray(rpm())
    data[-1] ^= 1
    container = RPM.open(Memory(data), 0)
    assert container.problems == ["MD5 of header and payload is wrong", "digest of the payload is wrong"]
    data = rpm().replace(b"armv7hl", b"armv6hl")
    assert "SHA-256 of the header is wrong" in RPM.open(Memory(data), 0).problems


def test_without_a_length_the_payload_goes_to_the_end() -> None:
    data = rpm(size=False)
    container = RPM.open(Memory(data), 0)
    assert container.size == len(data)
    assert any("how long" in line for line in container.problems)


def test_a_cut_package_is_told() -> None:
    data = rpm()[:-10]
    container = RPM.open(Memory(data), 0)
    assert container.size == len(data)
    assert any("of which" in line for line in container.problems)


@pytest.mark.parametrize("at", [4, 96, 97, 79])
def test_a_damaged_lead_or_header_is_no_package(at: int) -> None:
    data = bytearray(rpm())
    data[at] = 0xEE
    with pytest.raises(FormatError):
        RPM.open(Memory(data), 0)


@pytest.mark.parametrize(
    ("macro", "suffix"), [("w9.gzdio", "gzip"), ("w6.xzdio", "xz"), ("w9.bzdio", "bzip2"), ("w3.zstdio", "zstd")]
)
def test_what_rpmbuild_writes(macro: str, suffix: str, tmp_path: Path) -> None:
    if shutil.which("rpmbuild") is None:
        pytest.skip("rpmbuild is not installed")
    spec = "Name: hello\nVersion: 1.2\nRelease: 3\nSummary: s\nLicense: MIT\nBuildArch: noarch\n%description\nx\n%install\n"
    spec += "mkdir -p %{buildroot}/usr/bin\necho hello > %{buildroot}/usr/bin/hello\n%files\n/usr/bin/hello\n"
    (tmp_path / "x.spec").write_text(spec)
    command = ["rpmbuild", "-bb", "--define", f"_topdir {tmp_path}", "--define", f"_binary_payload {macro}", "x.spec"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    data = (tmp_path / "RPMS/noarch/hello-1.2-3.noarch.rpm").read_bytes()
    container = RPM.open(Memory(data + b"behind"), 0)
    assert (container.size, container.problems) == (len(data), [])
    assert (container.detail["package"], container.detail["compressor"]) == ("hello", suffix)
    assert "wrong" not in str(container.detail["integrity_detail"])
    assert [entry.path for entry in container.entries][2] == f"payload.cpio.{suffix}"
