"""The boot chain: loaders, kernels and roots, and what protects each."""

from pathlib import Path

import pytest
from device.test_signatures import mcuboot
from support.signed import EC
from support.trees import Link, firmware_of

from fwcheck.device.bootchain import boot_chain
from fwcheck.device.firmware import Firmware
from fwcheck.model import BannerHit, BootStep, Coverage, Facts, Image, Node, NodeKind
from fwcheck.pipeline import Options, scan

ROOT = {"/bin/busybox": b"\x7fELF", "/sbin/init": Link("/bin/busybox"), "/etc/inittab": "::sysinit:/etc/init.d/rcS\n"}


def test_loader_kernel_and_root_stand_in_order():
    banner = BannerHit(component="u-boot", version="2018.05", offset=3, text="U-Boot 2018.05", pattern="u-boot")
    loader = Facts(sha256="a" * 64, size=9, kind="binary", banners=(banner,))
    kernel = {"integrity": "checksum", "integrity_detail": "data CRC32 right", "name": "Linux-4.9"}
    root = firmware_of(ROOT)
    nodes = [
        *root.nodes,
        Node(chain=("test.bin",), path="0x0", kind=NodeKind.REGION, size=9, sha256="a" * 64),
        Node(chain=("test.bin", "uimage@0x40000"), path="", kind=NodeKind.CONTAINER, format="uimage", detail=kernel),
    ]
    facts = {each.sha256: each for _, each in root.contents()} | {"a" * 64: loader}
    steps = boot_chain(Firmware(root.image, nodes, facts, root.coverage))
    assert [(step.stage, step.verified) for step in steps] == [
        ("boot loader", "unknown"),
        ("kernel", "checksum"),
        ("root file system", "unknown"),
    ]
    assert "2018.05" in steps[0].detail
    assert "Linux-4.9" in steps[1].detail


def test_a_signature_that_nothing_insists_on_verifies_nothing():
    detail = {"integrity": "signature", "integrity_detail": "RSA-3072"}
    node = Node(
        chain=("x.bin", "esp@0x0"), path="", kind=NodeKind.CONTAINER, format="esp", offset=0, detail=detail | {"elf_sha256": "0"}
    )
    *_, step = boot_chain(Firmware(Image(name="x.bin", size=1, sha256="b" * 64, format="esp"), [node], {}, Coverage()))
    assert (step.stage, step.verified, step.evidence[0].location.offset) == ("application", "unknown", 0)
    assert "has to fit" in step.reason


def test_a_root_under_dm_verity_is_told_with_its_line():
    line = f'dm-mod.create="root,,,ro, 0 8192 verity 1 /dev/mmcblk0p2 /dev/mmcblk0p2 4096 4096 8192 8193 sha256 {"ab" * 32} -"'
    (step,) = boot_chain(firmware_of({**ROOT, "/boot/cmdline.txt": f"console=ttyS0\n{line}\n"}))
    assert (step.verified, step.evidence[0].location.line) == ("hash", 2)


def test_a_signature_over_the_root_hash_is_told_and_not_taken_for_demanded():
    held = "ab" * 32
    line = f'root=/dev/dm-0 dm-mod.create="root,,,ro, 0 8192 verity 1 /dev/sda2 /dev/sda3 4096 4096 8192 8193 sha256 {held} -"'
    root = firmware_of({**ROOT, "/boot/cmdline.txt": line + "\n"})
    tree = node_of("dm-verity", "dm-verity@0x0", root_hash=held, integrity_detail="right")
    signature = node_of("verity-signature", "verity-signature@0x0", root_hash=held)
    (step,) = boot_chain(Firmware(root.image, [*root.nodes, tree, signature], dict(root._facts), root.coverage))
    assert (step.verified, "a signature over it is in the image (not verified)" in step.reason) == ("hash", True)


def test_an_image_without_anything_known_has_no_chain():
    assert boot_chain(firmware_of({"/readme.txt": "x"})) == ()


# --------------------------------------------------------------------------- microcontrollers


def node_of(format: str, *chain: str, size: int = 0, offset: int = 0, **detail: str | int) -> Node:
    return Node(chain=("x.bin", *chain), path="", kind=NodeKind.CONTAINER, format=format, size=size, offset=offset, detail=detail)


def steps_of(*nodes: Node) -> list[BootStep]:
    return list(boot_chain(Firmware(Image(name="x.bin", size=1, sha256="b" * 64, format="esp"), nodes, {}, Coverage())))


HASHED = {"chip": "ESP32", "integrity": "hash", "integrity_detail": "checksum byte, SHA-256 right"}


def test_an_esp32_starts_from_rom_over_its_loader_to_the_application():
    table = node_of(
        "esp-partition-table", "esp-partition-table@0x8000", encrypted_partitions="nvs_keys ota_0", table="nvs data/nvs"
    )
    steps = steps_of(
        node_of("esp", "esp@0x1000", size=26_000, offset=0x1000, **HASHED),
        table,
        node_of(
            "esp", "esp-partition-table@0x8000", "factory", "esp@0x0", size=900_000, elf_sha256="0", project="lamp", **HASHED
        ),
    )
    assert [(step.stage, step.verified) for step in steps] == [
        ("boot ROM", "unknown"),
        ("boot loader", "hash"),
        ("application", "hash"),
    ]
    assert steps[0].starts == "boot loader ESP32 boot loader"
    assert "marked as encrypted: nvs_keys ota_0" in steps[2].reason
    assert "'lamp'" in steps[2].detail


@pytest.mark.parametrize(
    ("detail", "size", "stage"),
    [
        ({"boot_loader_version": 1, "idf_version": "v5.2"}, 26_000, "boot loader"),
        ({}, 26_000, "boot loader"),
        ({}, 400_000, "application"),
        ({"elf_sha256": "0"}, 26_000, "application"),
    ],
)
def test_an_esp_image_is_a_loader_or_an_application(detail: dict[str, str | int], size: int, stage: str):
    steps = steps_of(node_of("esp", "esp@0x0", size=size, **HASHED, **detail))
    assert steps[-1].stage == stage


def test_a_trailer_of_mcuboot_is_told():
    image = node_of("mcuboot", "mcuboot@0x0", integrity="signature", integrity_detail="RSA-2048 (not verified)", version="1.2.0")
    trailer = node_of("mcuboot-trailer", "mcuboot-trailer@0x1000", swap_type="test", image_ok="unset")
    (step,) = steps_of(image, trailer)
    assert (step.verified, step.checked_by) == ("unknown", "MCUboot")
    assert "swap_type test" in step.reason


@pytest.mark.parametrize(("signed", "verified"), [(True, "unknown"), (False, "hash")])
def test_what_imgtool_makes(signed: bool, verified: str, tmp_path: Path):
    path = tmp_path / "app.bin"
    path.write_bytes(mcuboot(EC if signed else None, tmp_path))
    device = scan(path, Options(jobs=1)).device
    assert [(step.stage, step.verified) for step in device.boot_chain] == [("application", verified)]


def test_hostile_nodes_give_steps_of_bounded_length():
    long = "x" * 100_000
    held = {"integrity": "signature", "integrity_detail": long, "name": long, "table": long}
    formats = ("uimage", "fit", "esp", "mcuboot", "imx-ivt", "android-boot", "android-vbmeta", "trx")
    nodes = [node_of(name, f"{name}@0x{number:x}", **held) for number, name in enumerate(formats)]
    for step in steps_of(*nodes):
        assert max(map(len, (step.detail, step.reason, step.starts, *(each.text for each in step.evidence)))) <= 600
