"""Firmware Image Package: all images by name, as fiptool packs them, and certificates of the chain of trust."""

from __future__ import annotations

import shutil
import struct
import subprocess
from uuid import UUID

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.fip import FORMATS
from fwcheck.extraction.source import Memory

FIP = FORMATS[0]
IMAGES = {
    "tb-fw": ("5ff9ec0b-4d22-3e4d-a544-c39d81c73f0a", b"BL2" * 300),
    "soc-fw": ("47d4086d-4cfe-9846-9b95-2950cbbd5a00", b"BL31" * 500),
    "nt-fw": ("d6d0eea7-fcea-d54b-9782-9934f234b6e4", b"U-Boot" * 100),
}
CERTIFICATE = {"tb-fw-cert": ("d6e269ea-5d63-e411-8d8c-9fbabe9956a5", b"0\x82\1\0" + bytes(252))}


def fip(images=IMAGES, flags: int = 0) -> bytes:
    at = 16 + 40 * (len(images) + 1)
    head, body = struct.pack("<IIQ", 0xAA640001, 0x12345678, flags << 32), b""
    for uuid, data in images.values():
        head += UUID(uuid).bytes + struct.pack("<QQQ", at + len(body), len(data), 0)
        body += data
    return head + bytes(16) + struct.pack("<QQQ", at + len(body), 0, 0) + body


def seeds() -> list[bytes]:
    return [fip(), fip(IMAGES | CERTIFICATE, flags=5)]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


def test_images_are_given_by_name():
    container = FIP.open(Memory(b"?" * 7 + fip(flags=5) + b"tail"), 7)
    assert contents(container) == {name: data for name, (_, data) in IMAGES.items()}
    assert (container.size, container.problems, container.detail["platform_flags"]) == (len(fip()), [], "0x0005")
    assert container.detail["integrity"] == "none"


def test_certificates_are_files_and_make_it_signed():
    container = FIP.open(Memory(fip(IMAGES | CERTIFICATE)), 0)
    assert {entry.path: entry.role for entry in container.entries}["tb-fw-cert"] == "file"
    assert container.detail["integrity"] == "signature"
    assert "1 certificates" in container.detail["integrity_detail"]


def test_an_unknown_uuid_is_its_own_name():
    uuid = "01234567-89ab-cdef-0123-456789abcdef"
    assert contents(FIP.open(Memory(fip({"x": (uuid, b"blob")})), 0)) == {uuid: b"blob"}


def test_a_cut_package_is_told():
    container = FIP.open(Memory(fip()[:-700]), 0)
    assert container.size == len(fip()) - 700
    assert list(contents(container)) == ["tb-fw", "soc-fw"]
    assert len(container.problems) == 3


@pytest.mark.parametrize("offset", [0, 1 << 50])
def test_images_that_overlap_the_table_or_lie_nowhere_are_refused(offset):
    image = bytearray(fip())
    image[32:40] = struct.pack("<Q", offset)
    with pytest.raises(FormatError):
        FIP.open(Memory(image), 0)


@pytest.mark.skipif(shutil.which("fiptool") is None, reason="fiptool (arm-trusted-firmware-tools) is not installed")
@pytest.mark.parametrize("align", [1, 512])
def test_packages_of_the_real_tool_are_read(tmp_path, align):
    command = ["fiptool", "create", "--align", str(align)]
    for name, (_, data) in (IMAGES | CERTIFICATE).items():
        (tmp_path / name).write_bytes(data)
        command += [f"--{name}", str(tmp_path / name)]
    subprocess.run([*command, str(tmp_path / "fip.bin")], check=True)
    image = (tmp_path / "fip.bin").read_bytes()
    container = FIP.open(Memory(b"before" + image + b"behind"), 6)
    assert contents(container) == {name: data for name, (_, data) in (IMAGES | CERTIFICATE).items()}
    assert (container.size, container.problems) == (len(image), [])


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(fip(), 60):
        exercise(FIP, data)
