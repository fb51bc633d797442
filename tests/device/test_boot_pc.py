"""Links of PC-like devices: EFI programs in a system partition, UEFI firmware with its keys, coreboot."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from extraction.formats import test_uefi_fv
from support import uefi_images as uefi
from support.flash_images import report, stage
from support.kernel_images import pe
from support.signed import certificate, rsa_of

from fwcheck.device.bootchain import boot_chain
from fwcheck.device.firmware import Firmware
from fwcheck.model import Coverage, Image, Node, NodeKind

MKFS = shutil.which("mkfs.vfat", path="/usr/sbin:/sbin:/usr/bin")


@pytest.mark.skipif(MKFS is None or shutil.which("mcopy") is None, reason="dosfstools, mtools")
def test_programs_of_an_efi_partition_stand_in_order_and_prove_nothing_alone(tmp_path: Path) -> None:
    for name, content in {
        "EFI/BOOT/BOOTX64.EFI": pe([(b".text", b"shim" * 300)], signed="sha256"),
        "EFI/BOOT/grubx64.efi": pe([(b".text", b"grub" * 300)]),
        "EFI/debian/grub.cfg": b'set superusers="root"\nset check_signatures=enforce\n',
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    image = tmp_path / "esp.img"
    image.write_bytes(bytes(4 << 20))
    subprocess.run([str(MKFS), "-F", "12", str(image)], check=True, capture_output=True)
    subprocess.run(["mcopy", "-i", str(image), "-s", str(tmp_path / "EFI"), "::/"], check=True, capture_output=True)
    steps = report(tmp_path, image.read_bytes()).device.boot_chain
    assert [step.detail.rpartition("/")[2] for step in steps] == ["BOOTX64.EFI", "grubx64.efi"]
    assert {step.verified for step in steps} == {"unknown"}
    assert "check_signatures=enforce" in steps[1].reason
    assert "no Authenticode signature" in steps[1].reason
    assert steps[0].starts.startswith("boot loader GRUB (EFI)")


def of_nodes(*nodes: Node) -> Firmware:
    return Firmware(Image(name="bios.bin", size=1, sha256="0" * 64, format="x"), nodes, {}, Coverage())


def container(format: str, name: str = "", **detail: str | int) -> Node:
    chain = ("bios.bin", f"{name or format}@0x0")
    return Node(chain=chain, path="", kind=NodeKind.CONTAINER, format=format, offset=0, detail=detail)


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ({"platform_key": "enrolled", "secure_boot_keys": "PK, KEK, db", "secure_boot": "on"}, "Secure Boot switched on"),
        ({"platform_key": "not enrolled: setup mode", "secure_boot_keys": "none"}, "not enrolled: setup mode"),
        ({"platform_key": "enrolled", "secure_boot_keys": "PK", "test_keys": "PK"}, "test keys in PK"),
    ],
)
def test_firmware_says_what_its_nvram_says_of_secure_boot(detail: dict[str, str], said: str) -> None:
    store = container("uefi-fv", "nvram", authenticated="yes", **detail)
    step = stage(boot_chain(of_nodes(container("uefi-fv"), store)), "boot loader")
    assert (step.detail, step.verified, said in step.reason) == ("UEFI firmware", "unknown", True)


def test_blocks_of_vboot_are_told_and_prove_nothing() -> None:
    steps = boot_chain(of_nodes(container("cbfs"), container("fmap", areas="RO_SECTION, GBB, VBLOCK_A, FW_MAIN_A")))
    assert (steps[0].detail, steps[0].verified) == ("coreboot", "unknown")
    assert "GBB, VBLOCK_A" in steps[0].reason


def test_an_enrolled_test_key_is_critical(tmp_path: Path) -> None:
    """The platform key of reference firmware whose private half became public: its subject says that it must not be trusted."""
    x509_list, owner, vendor = UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072"), UUID(int=9), test_uefi_fv.GLOBAL
    held = certificate(rsa_of(2048), "DO NOT TRUST - AMI Test PK").public_bytes(Encoding.DER)
    signatures = x509_list.bytes_le + struct.pack("<III", 28 + 16 + len(held), 0, 16 + len(held)) + owner.bytes_le + held
    found = report(tmp_path, uefi.nvram(uefi.variable("PK", vendor, signatures)))
    assert ("UPD-006", "critical") in {(each.rule, each.severity.value) for each in found.findings}
    assert "test keys in PK" in stage(found.device.boot_chain, "boot loader").reason
