"""Notes, attributes and module information, from bytes laid out as their specifications say."""

import struct

import pytest

from fwcheck.inspection.elf_notes import remarks


def note(owner: bytes, kind: int, body: bytes, order: str = "<") -> bytes:
    pad = lambda data: data + bytes(-len(data) % 4)  # noqa: E731
    return struct.pack(order + "III", len(owner) + 1, len(body), kind) + pad(owner + b"\0") + pad(body)


def of_section(name: str, data: bytes, little: bool = True):
    return remarks(data, {name: (0, len(data), 1)}, [], little=little)


def test_build_id_and_abi_are_read_in_both_orders():
    for order, little in (("<", True), (">", False)):
        data = note(b"GNU", 3, bytes.fromhex("00ff11"), order) + note(b"GNU", 1, struct.pack(order + "4I", 0, 3, 2, 0), order)
        said = remarks(data, {}, [(0, len(data))], little=little)
        assert said["build_id"] == "00ff11"
        assert said["notes"] == ("GNU ABI linux 3.2.0",)


def test_a_note_that_lies_about_its_size_ends_the_reading():
    data = note(b"GNU", 3, b"\1\2\3\4") + struct.pack("<III", 4, 0xFFFFFFF0, 3) + b"GNU\0"
    assert remarks(data, {}, [(0, len(data))], little=True)["build_id"] == "01020304"


def arm(pairs: bytes, vendor: bytes = b"aeabi") -> bytes:
    scope = b"\x01" + struct.pack("<I", 5 + len(pairs)) + pairs
    body = vendor + b"\0" + scope
    return b"A" + struct.pack("<I", 4 + len(body)) + body


def test_arm_attributes_are_put_into_words():
    pairs = b"\x05" + b"7-A\0" + b"\x06\x0a" + b"\x0a\x04" + b"\x1c\x01"
    assert of_section(".ARM.attributes", arm(pairs))["attributes"] == ("CPU 7-A", "ARM v7", "FP VFPv3-D16", "hard-float calls")


def test_mips_and_riscv_attributes_are_put_into_words():
    assert of_section(".gnu.attributes", arm(b"\x04\x03", b"gnu"))["attributes"] == ("MIPS FP soft",)
    assert of_section(".riscv.attributes", arm(b"\x05rv64gc\0", b"riscv"))["attributes"] == ("arch rv64gc",)


@pytest.mark.parametrize("cut", range(1, 24))
def test_cut_attributes_are_left_out(cut):
    data = arm(b"\x05" + b"7-A\0" + b"\x06\x0a")[:cut]
    assert isinstance(of_section(".ARM.attributes", data)["attributes"], tuple)


def test_modinfo_keeps_the_first_of_each_key():
    said = of_section(".modinfo", b"license=GPL\0parm=x:int\0license=MIT\0nonsense\0author=A\0")
    assert said["modinfo"] == {"license": "GPL", "author": "A"}


def test_a_section_without_bytes_says_nothing():
    assert remarks(b"A" * 64, {".comment": (0, 64, 8)}, [], little=True)["comment"] == ()
