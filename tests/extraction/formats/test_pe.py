"""PE and TE: exact extent, the Authenticode digest is recomputed, kernels inside are parts."""

from __future__ import annotations

import gzip
import struct

import pytest
from support.kernel_images import pe, te

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats.pe import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

PE, TE, ZBOOT, UKI = FORMATS
TEXT = b"\x48\x89\xe5\xc3" * 300


def uki() -> bytes:
    return pe([(b".text", TEXT), (b".cmdline", b"quiet ro root=/dev/vda"), (b".linux", b"K" * 1111), (b".initrd", b"I" * 777)])


def zboot(packed: bytes = gzip.compress(b"kernel " * 500, mtime=0)) -> bytes:
    stub = bytearray(b"MZ\0\0zimg" + struct.pack("<II", 1024, len(packed)) + bytes(8) + b"gzip\0\0\0\0" + bytes(32))
    image = pe([(b".text", bytes(512) + packed)], 0xAA64, dos=bytes(stub))
    at = image.index(packed)
    return image[:8] + struct.pack("<I", at) + image[12:]


def seeds() -> list[bytes]:
    return [pe([(b".text", TEXT)], signed="sha256"), pe([(b".text", TEXT)], 0x14C, plus=False), uki(), zboot(), te(TEXT)]


def pieces(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


@pytest.mark.parametrize("plus", [True, False])
def test_the_extent_is_what_the_sections_need(plus):
    image = pe([(b".text", TEXT), (b".data", b"d" * 700)], plus=plus)
    container = PE.open(Memory(b"\0" * 16 + image + b"after" * 9), 16)
    assert container.size == len(image)
    assert pieces(container) == {"image": image}
    assert (container.detail["machine"], container.detail["bits"]) == ("x86-64", 64 if plus else 32)
    assert (container.detail["integrity"], container.problems) == ("none", [])


def test_the_symbols_a_linker_left_belong_to_the_file():
    image = bytearray(pe([(b".text", TEXT)]))
    header = int.from_bytes(image[60:64], "little")
    struct.pack_into("<II", image, header + 12, len(image), 3)
    strings = b"a_name_longer_than_eight\0"
    image += b"S" * 18 * 3 + struct.pack("<I", 4 + len(strings)) + strings
    container = PE.open(Memory(bytes(image) + b"after"), 0)
    assert (container.size, container.problems) == (len(image), [])


@pytest.mark.parametrize("algorithm", ["sha256", "sha1"])
def test_an_authenticode_digest_is_recomputed(algorithm):
    image = pe([(b".text", TEXT)], signed=algorithm)
    container = PE.open(Memory(image + b"after"), 0)
    assert container.size == len(image)
    assert container.detail["integrity"] == "signature"
    assert f"{algorithm} right" in container.detail["integrity_detail"]
    hurt = image.replace(TEXT, TEXT[:-1] + b"!")
    container = PE.open(Memory(hurt), 0)
    assert f"{algorithm} wrong" in container.detail["integrity_detail"]
    assert container.problems


def test_a_unified_kernel_image_gives_its_sections():
    container = UKI.open(Memory(uki()), 0)
    found = pieces(container)
    assert (found["linux"], found["initrd"], found["cmdline"]) == (b"K" * 1111, b"I" * 777, b"quiet ro root=/dev/vda")
    assert container.detail["cmdline"] == "quiet ro root=/dev/vda"
    assert {each.path: each.role for each in container.entries}["linux"] == "part"


def test_a_zboot_image_gives_its_kernel():
    image = zboot()
    container = ZBOOT.open(Memory(image), 0)
    found = pieces(container)
    assert gzip.decompress(found["kernel"]) == b"kernel " * 500
    assert b"".join(found.values()) == image
    assert container.detail["compression"] == "gzip"


def test_the_search_tells_the_kinds_apart():
    plain = pe([(b".text", TEXT)])
    found = Explorer(Limits()).explore(Memory(uki() + zboot() + plain), ("image",), 0)
    chain = [
        item.node.format for item in found.items if len(item.node.chain) == 2 and item.node.format in {"pe", "uki", "efi-zboot"}
    ]
    assert chain == ["uki", "efi-zboot", "pe"]
    assert Explorer(Limits()).announces(uki()[:4096])
    with pytest.raises(FormatError):
        UKI.open(Memory(plain), 0)


def test_a_cut_file_is_told():
    image = pe([(b".text", TEXT), (b".data", b"d" * 7000)])[:-600]
    container = PE.open(Memory(image), 0)
    assert container.problems
    assert container.size <= len(image)


def test_other_mz_files_are_refused():
    for data in (b"MZ" + bytes(200), b"MZ" + bytes(58) + struct.pack("<I", 128) + bytes(64) + b"NE\0\0" + bytes(200)):
        with pytest.raises(FormatError):
            PE.open(Memory(data), 0)


def test_a_terse_image_ends_with_its_section():
    image = te(TEXT)
    container = TE.open(Memory(image + b"after"), 0)
    assert container.size == len(image)
    assert (container.detail["machine"], container.detail["subsystem"]) == ("x86-64", "EFI boot service driver")
    with pytest.raises(FormatError):
        TE.open(Memory(b"VZ" + bytes(60)), 0)


def test_the_stub_cut_off_a_kernel_is_no_file_of_its_own():
    image = pe([(b".text", TEXT * 5)], 0x01C2, plus=False, dos=b"MZ" + bytes(34) + b"\x18\x28\x6f\x01" + bytes(24))
    assert PE.open(Memory(image), 0).size == len(image)
    with pytest.raises(FormatError):
        PE.open(Memory(image[:2000]), 0)
