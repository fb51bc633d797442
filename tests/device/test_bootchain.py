"""The boot chain: loaders, kernels and roots, and what protects each."""

from support.trees import Link, firmware_of

from fwcheck.device.bootchain import boot_chain
from fwcheck.device.firmware import Firmware
from fwcheck.model import BannerHit, Coverage, Facts, Image, Node, NodeKind

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


def test_an_image_without_anything_known_has_no_chain():
    assert boot_chain(firmware_of({"/readme.txt": "x"})) == ()
