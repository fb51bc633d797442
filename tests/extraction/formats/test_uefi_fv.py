"""Firmware volumes: every section comes out under its file's name, packed ones unpacked; variables are files."""

from __future__ import annotations

import struct
from pathlib import Path
from uuid import UUID

import pytest
from support import uefi_images as uefi

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats.uefi_fv import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Mapped, Memory

FV = FORMATS[0]
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"
ONE, TWO, THREE = (UUID(int=0x1234567890ABCDEF << 32 | number) for number in range(3))
GLOBAL = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
SECURITY = UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
ENABLE = UUID("f0a30bc7-af08-4556-99c4-001009c93a44")
CODE = b"".join(b"push %d; call 0x%x\n" % (i % 16, i * 7919 % 65536) for i in range(150))


def driver(body: bytes = CODE, name: str = "TestDxe") -> bytes:
    version = uefi.section(0x14, struct.pack("<H", 1) + "1.7".encode("utf-16-le") + b"\0\0")
    return uefi.joined(uefi.section(0x13, b"\x06\x08"), uefi.section(0x10, body), uefi.named(name), version)


def plain() -> bytes:
    return uefi.volume([uefi.file(ONE, 7, driver()), uefi.file(TWO, 1, b"raw data " * 9, checked=True)], name=THREE)


def packed(method: str) -> bytes:
    wrap = {
        "lzma": uefi.with_lzma,
        "efi-standard": uefi.with_efi,
        "tiano": lambda body: uefi.guided(uefi.TIANO, uefi.efi(body, 5)),
        "crc32": uefi.with_crc32,
    }[method]
    return uefi.volume([uefi.file(ONE, 7, wrap(driver()))])


def store() -> bytes:
    return uefi.nvram(
        uefi.variable("PK", GLOBAL, b"certificate " * 9)
        + uefi.variable("Lang", GLOBAL, b"old", 0x3C)
        + uefi.variable("db", SECURITY, b"list")
        + uefi.variable("SecureBootEnable", ENABLE, b"\1")
        + uefi.variable("../up/x", TWO, b"data")
    )


def seeds() -> list[bytes]:
    nested = uefi.volume([uefi.file(THREE, 0x0B, uefi.with_lzma(uefi.joined(uefi.section(0x17, plain()))))], 3)
    return [plain(), packed("lzma"), packed("efi-standard"), packed("tiano"), nested, store()]


def contents(container) -> dict[str, bytes]:
    opened = [(entry.path, entry.open()) for entry in container.entries]
    return {path: source.read(0, source.size) for path, source in opened}


def test_sections_stand_under_the_name_of_their_file():
    image = plain()
    container = FV.open(Memory(b"\x5a" * 24 + image + b"after"), 24)
    found = contents(container)
    assert container.size == len(image)
    assert found["/TestDxe/pe32"] == CODE
    assert found["/TestDxe/dxe-depex"] == b"\x06\x08"
    assert found[f"/{TWO}"] == b"raw data " * 9
    assert container.detail["volume_guid"] == str(THREE)
    assert not container.problems
    entries = {entry.path: entry for entry in FV.open(Memory(image), 0).entries}
    assert entries["/TestDxe/pe32"].detail["version"] == "1.7"
    assert entries["/TestDxe/pe32"].detail["type"] == "DXE driver"
    assert image[entries["/TestDxe/pe32"].offset :].startswith(CODE)


@pytest.mark.parametrize("method", ["lzma", "efi-standard", "tiano", "crc32"])
def test_packed_sections_are_unpacked_on_the_way(method):
    container = FV.open(Memory(packed(method)), 0)
    found = contents(container)
    assert found[f"/TestDxe/{method}/pe32"] == CODE
    assert not container.problems


def test_a_tiano_stream_under_the_standard_name_is_read():
    body = uefi.section(1, struct.pack("<IB", len(driver()), 1) + uefi.efi(driver(), 5))
    assert contents(FV.open(Memory(uefi.volume([uefi.file(ONE, 7, body)])), 0))["/TestDxe/efi-standard/pe32"] == CODE


def test_large_files_of_ffs3_and_large_sections_are_read():
    body = uefi.joined(uefi.section(0x10, CODE, large=True), uefi.named("Large"))
    container = FV.open(Memory(uefi.volume([uefi.file(ONE, 7, body, large=True, checked=True)], 3)), 0)
    assert contents(container)["/Large/pe32"] == CODE
    assert container.detail["file_system"] == "FFS3"
    assert not container.problems


def test_files_of_one_name_are_told_apart():
    image = uefi.volume([uefi.file(ONE, 7, driver(b"one" * 9)), uefi.file(TWO, 7, driver(b"two" * 9))])
    found = contents(FV.open(Memory(image), 0))
    assert (found["/TestDxe/pe32"], found[f"/TestDxe.{TWO}/pe32"]) == (b"one" * 9, b"two" * 9)


def test_wrong_checksums_are_told():
    image = bytearray(plain())
    at = image.index(b"raw data ")
    image[at] ^= 0xFF
    container = FV.open(Memory(image), 0)
    list(container.entries)
    assert any("wrong checksum" in problem for problem in container.problems)
    hurt = bytearray(packed("crc32"))
    hurt[hurt.index(CODE[:20])] ^= 1
    container = FV.open(Memory(hurt), 0)
    list(container.entries)
    assert any("CRC32" in problem for problem in container.problems)


def test_a_broken_file_leaves_the_rest_to_be_searched():
    image = bytearray(plain())
    at = image.index(TWO.bytes_le)
    image[at + 20] ^= 0x55
    container = FV.open(Memory(image), 0)
    found = contents(container)
    assert found["/TestDxe/pe32"] == CODE
    assert any(path.startswith("rest-") for path in found)
    assert container.problems


def test_variables_are_files_and_secure_boot_is_told():
    container = FV.open(Memory(store()), 0)
    found = contents(container)
    assert found["/global/PK"] == b"certificate " * 9
    assert found["/image-security/db"] == b"list"
    assert found[f"/{TWO}/..?up?x"] == b"data"
    assert "/global/Lang" not in found
    detail = container.detail
    assert (detail["variables"], detail["deleted_variables"], detail["secure_boot_keys"]) == (4, 1, "PK, db")
    assert (detail["platform_key"], detail["secure_boot"]) == ("enrolled", "on")


def test_certificates_of_keys_are_files_and_test_keys_are_told():
    kind, owner = UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072"), UUID(int=9)
    certificates = [b"\x30\x82 CN=DO NOT TRUST - AMI Test PK", b"\x30\x82 another certificate"]
    lists = b"".join(
        kind.bytes_le + struct.pack("<III", 28 + 16 + len(each), 0, 16 + len(each)) + owner.bytes_le + each
        for each in certificates
    )
    container = FV.open(Memory(uefi.nvram(uefi.variable("PK", GLOBAL, lists) + uefi.variable("KEK", GLOBAL, lists[:-9]))), 0)
    found = contents(container)
    assert [found["/global/PK.0.der"], found["/global/PK.1.der"]] == certificates
    assert found["/global/PK"] == lists
    assert container.detail["test_keys"] == "KEK, PK"
    assert "test_keys" not in FV.open(Memory(store()), 0).detail


def test_a_cut_volume_is_told():
    image = plain()[:-300]
    container = FV.open(Memory(image), 0)
    list(container.entries)
    assert container.size == len(image)
    assert container.problems


def test_wrong_headers_are_refused():
    image = bytearray(plain())
    image[0x20] ^= 1
    with pytest.raises(FormatError):
        FV.open(Memory(image), 0)


@pytest.mark.corpus
def test_a_real_image_gives_its_drivers():
    path = CORPUS / "deb-ovmf_OVMF_CODE_4M.fd"
    if not path.exists():
        pytest.skip("the shared corpus is not here")
    found = Explorer(Limits()).explore(Mapped.open(path), ("image",), 0)
    paths = {item.node.path for item in found.items}
    assert {"/PeiCore/pe32", "/DxeCore/pe32", "/Shell/pe32", "/SecureBootConfigDxe/pe32", "/Tcg2Dxe/pe32"} <= paths
    assert len([path for path in paths if path.endswith("/pe32")]) >= 100
    assert not [gap for gap in found.gaps if "no section" in gap.reason or "no file" in gap.reason]
