"""i.MX boot images: IVT with its pieces, and AHAB containers whose image hashes are recomputed."""

from __future__ import annotations

import hashlib
import shutil
import struct
import subprocess

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.imx import FORMATS
from fwcheck.extraction.source import Memory

IVT, AHAB = FORMATS
CODE = b"\x1f\x20\x03\xd5" * 300
DCD = bytes.fromhex("d2001040cc000c04020e0774000c0000")
START = 0x177FF000
needs_mkimage = pytest.mark.skipif(shutil.which("mkimage") is None, reason="mkimage is not installed")


def ivt(csf: bytes = b"", length: int = 0) -> bytes:
    here = START + 0x400
    image = struct.pack("<3I", START, length or 0x400 + 0x1000 + len(csf), 0) + DCD
    image = image.ljust(0x400 - 32, b"\0") + CODE
    head = struct.pack("<4s7I", b"\xd1\0\x20\x40", here + 0x400, 0, here + 44, here + 32, here, here + 0x1000 if csf else 0, 0)
    return (head + image).ljust(0x1000, b"\0") + csf


def ahab(images=((CODE, 1),), signed: bool = False) -> bytes:
    table, body = b"", b""
    block = 16 + 128 * len(images)
    for data, kind in images:
        digest = {0: hashlib.sha256, 1: hashlib.sha384, 2: hashlib.sha512}[kind](data).digest()
        place = 0x2000 + len(body) if len(data) else 0
        table += struct.pack("<IIQQII64s32x", place, len(data), 0x80000000, 0x80000000, 3 | kind << 8, 0, digest)
        body += data
    signature = struct.pack("<BHBHHHHI", 0, 16, 0x90, 0, 16 if signed else 0, 32 if signed else 0, 0, 0)
    head = struct.pack("<BHBIHBBHH", 0, block + 16, 0x87, 0x11 if signed else 0x10, 2, 1, len(images), block, 0)
    return (head + table + signature).ljust(0x2000, b"\0") + body


def seeds() -> list[bytes]:
    return [ivt(), ivt(b"\xd4\x00\x50\x40" + bytes(200)), ahab(), ahab(((CODE, 0), (CODE[::-1], 2)), signed=True)]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


def test_the_pieces_of_an_ivt_image_are_given():
    container = IVT.open(Memory(b"?" * 4 + ivt() + b"tail"), 4)
    assert contents(container) == {"dcd": DCD, "image": CODE.ljust(0x800 + 0x400, b"\0")}
    assert (container.size, container.problems, container.detail["integrity"]) == (0x1000, [], "none")
    assert (container.detail["entry_point"], container.detail["hab_version"]) == ("0x177ff800", "4.0")


def test_a_command_sequence_is_a_signature_and_room_for_one_is_not():
    csf = b"\xd4\x00\x50\x40" + bytes(200)
    container = IVT.open(Memory(ivt(csf)), 0)
    assert (container.detail["integrity"], contents(container)["csf"]) == ("signature", csf)
    container = IVT.open(Memory(ivt(csf)[:0x1000]), 0)
    assert (container.detail["integrity_detail"], container.problems) == ("room for a HAB signature, none there", [])


def test_a_cut_image_is_told_and_nonsense_refused():
    assert IVT.open(Memory(ivt()[:0x900]), 0).problems
    with pytest.raises(FormatError):
        IVT.open(Memory(ivt(length=0x300)), 0)


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_images_of_an_ahab_container_are_given_with_their_hash(kind):
    image = ahab(((CODE, kind),))
    container = AHAB.open(Memory(b"?" * 4 + image + b"tail"), 4)
    assert contents(container) == {"container-0-image-0": CODE}
    assert (container.size, container.problems) == (len(image), [])
    assert (container.detail["integrity"], container.detail["integrity_detail"]) == ("hash", "image hashes right")


def test_two_containers_are_one_image():
    first, second = bytearray(ahab()), ahab(((CODE[::-1], 0),))
    first[0x400 : 0x400 + 0xA0] = second[:0xA0]
    struct.pack_into("<I", first, 0x410, 0x4000 - 0x400)
    image = bytes(first).ljust(0x4000, b"\0") + CODE[::-1]
    container = AHAB.open(Memory(image), 0)
    assert contents(container) == {"container-0-image-0": CODE, "container-1-image-0": CODE[::-1]}
    assert (container.detail["containers"], container.size) == (2, len(image))


def test_a_wrong_hash_is_told_beside_a_right_one_and_refused_alone():
    image = bytearray(ahab(((CODE, 0), (CODE[::-1], 2)), signed=True))
    image[-1] ^= 1
    container = AHAB.open(Memory(image), 0)
    assert container.problems == ["container-0-image-1: wrong hash"]
    assert container.detail["integrity"] == "signature"
    image[0x2000] ^= 1
    with pytest.raises(FormatError):
        AHAB.open(Memory(image), 0)


@needs_mkimage
def test_an_ivt_image_of_the_real_tool_is_read(tmp_path):
    (tmp_path / "code").write_bytes(CODE)
    (tmp_path / "cfg").write_text("IMAGE_VERSION 2\nBOOT_FROM sd\nDATA 4 0x020e0774 0x000C0000\nCSF 0x2000\n")
    command = ["mkimage", "-n", "cfg", "-T", "imximage", "-e", "0x17800000", "-d", "code", "out"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    image = (tmp_path / "out").read_bytes()
    container = IVT.open(Memory(image), 0)
    assert (contents(container)["dcd"], contents(container)["image"][: len(CODE)]) == (DCD, CODE)
    assert (container.size, container.problems) == (len(image), [])


@needs_mkimage
def test_a_container_of_the_real_tool_is_read(tmp_path):
    (tmp_path / "code").write_bytes(CODE)
    (tmp_path / "cfg").write_text("BOOT_FROM SD 0x400\nSOC_TYPE IMX8QM\nCONTAINER\nIMAGE A35 code 0x00100000\n")
    command = ["mkimage", "-n", "cfg", "-T", "imx8image", "-e", "0x80000000", "-d", "code", "out"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    container = AHAB.open(Memory((tmp_path / "out").read_bytes()), 0)
    assert contents(container)["container-0-image-0"][: len(CODE)] == CODE
    assert container.detail["integrity_detail"] == "image hashes right"


def test_truncation_anywhere_raises_nothing_else():
    for format, image in ((IVT, ivt()), (AHAB, ahab())):
        for data in truncations(image, 60):
            exercise(format, data)
