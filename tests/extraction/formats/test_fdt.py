"""Device trees and FIT images: what dtc and mkimage write is read, hashes are recomputed, signatures are told."""

from __future__ import annotations

import hashlib
import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.formats.fdt import FORMATS, DeviceTree
from fwcheck.extraction.source import Mapped, Memory

FDT = FORMATS[0]
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"
KERNEL = random.Random(1).randbytes(5001)
RAMDISK = b"ramdisk" * 999

BOARD = """/dts-v1/;
/memreserve/ 0x1000 0x2000;
/ {
    model = "Test Board";
    compatible = "vendor,board", "vendor,soc";
    #address-cells = <1>;
    chosen { bootargs = "console=ttyS0,115200 init=/sbin/init"; stdout-path = "serial0:115200n8"; };
    config { bootdelay = <0>; bootcmd = "run"; bootsecure = <1>; };
    signature { key-dev { required = "conf"; algo = "sha256,rsa2048"; key-name-hint = "dev"; rsa,num-bits = <2048>; }; };
    cpus { cpu@0 { reg = <0 7>; empty; }; };
};
"""

FIT = """/dts-v1/;
/ {
    description = "Test FIT"; #address-cells = <1>;
    images {
        kernel-1 {
            description = "Linux"; data = /incbin/("kernel"); type = "kernel"; arch = "arm64"; os = "linux";
            compression = "gzip"; load = <0x80000000>; entry = <0x80080000>;
            hash-1 { algo = "sha256"; }; hash-2 { algo = "crc32"; };
        };
        ramdisk-1 {
            description = "initrd"; data = /incbin/("ramdisk"); type = "ramdisk"; arch = "arm64"; os = "linux";
            compression = "none"; hash-1 { algo = "sha1"; };
        };
    };
    configurations {
        default = "conf-1";
        conf-1 { description = "boot"; kernel = "kernel-1"; ramdisk = "ramdisk-1"; SIGNATURE };
    };
};
"""
SIGNATURE = 'signature-1 { algo = "sha256,rsa2048"; key-name-hint = "dev"; sign-images = "kernel", "ramdisk"; };'


def blob(tree: dict) -> bytes:
    """A device tree of version 17 as the specification describes it: nodes are dictionaries, properties bytes."""
    strings = b""

    def node(name: str, content: dict) -> bytes:
        nonlocal strings
        out = struct.pack(">I", 1) + name.encode() + b"\0"
        out += bytes(-len(out) % 4)
        for key, value in content.items():
            if isinstance(value, dict):
                out += node(key, value)
                continue
            out += struct.pack(">III", 3, len(value), len(strings)) + value + bytes(-len(value) % 4)
            strings += key.encode() + b"\0"
        return out + struct.pack(">I", 2)

    structure = node("", tree) + struct.pack(">I", 9)
    head = (0xD00DFEED, 56 + len(structure) + len(strings), 56, 56 + len(structure), 40, 17, 16, 0, len(strings), len(structure))
    return struct.pack(">10I", *head) + bytes(16) + structure + strings


def seeds() -> list[bytes]:
    kernel = b"kernel" * 40
    image = {
        "description": b"Linux\0", "type": b"kernel\0", "arch": b"arm64\0", "os": b"linux\0", "compression": b"none\0",
        "hash-1": {"algo": b"sha256\0", "value": hashlib.sha256(kernel).digest()},
    }  # fmt: skip
    configuration = {"default": b"conf\0", "conf": {"kernel": b"kernel-1\0"}}
    board = {"model": b"Board\0", "compatible": b"vendor,board\0", "chosen": {"bootargs": b"console=ttyS0\0"}}
    inside = {"images": {"kernel-1": {**image, "data": kernel}}, "configurations": configuration}
    outside = {**image, "data-offset": bytes(4), "data-size": struct.pack(">I", len(kernel))}
    tree = blob({"images": {"kernel-1": outside}, "configurations": configuration})
    tree += bytes(-len(tree) % 4)
    return [blob(board), blob(inside), tree + kernel]


@pytest.mark.parametrize(("number", "form"), [(0, "fdt"), (1, "fit"), (2, "fit")])
def test_trees_of_an_independent_writer_are_read(number, form):
    image = seeds()[number]
    container = FDT.open(Memory(b"1234" + image), 4)
    assert (container.format, container.size, container.problems) == (form, len(image), [])
    assert [entry.open().read(0, entry.size) for entry in container.entries] == ([] if form == "fdt" else [b"kernel" * 40])


def run(folder: Path, *command: str) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    subprocess.run(command, check=True, capture_output=True, cwd=folder)


@pytest.fixture(scope="module")
def board(tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("dtb")
    (folder / "board.dts").write_text(BOARD)
    run(folder, "dtc", "-q", "-O", "dtb", "-o", "board.dtb", "board.dts")
    return (folder / "board.dtb").read_bytes()


def fit(folder: Path, *arguments: str, signature: str = "") -> bytes:
    (folder / "kernel").write_bytes(KERNEL)
    (folder / "ramdisk").write_bytes(RAMDISK)
    (folder / "fit.its").write_text(FIT.replace("SIGNATURE", signature))
    run(folder, "mkimage", "-f", "fit.its", *arguments, "fit.itb")
    return (folder / "fit.itb").read_bytes()


@pytest.fixture(scope="module")
def inline(tmp_path_factory) -> bytes:
    return fit(tmp_path_factory.mktemp("fit"))


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


class TestDeviceTree:
    def test_facts_of_a_plain_tree_are_told(self, board):
        container = FDT.open(Memory(b"u-boot" * 10 + board + b"more"), 60)
        detail = container.detail
        assert (container.format, container.size, list(container.entries)) == ("fdt", len(board), [])
        assert detail["model"] == "Test Board"
        assert detail["compatible"] == "vendor,board, vendor,soc"
        assert detail["bootargs"] == "console=ttyS0,115200 init=/sbin/init"
        assert detail["stdout_path"] == "serial0:115200n8"
        assert detail["verified_boot_keys"] == "dev (sha256,rsa2048, required=conf)"
        assert (detail["u-boot,bootdelay"], detail["u-boot,bootcmd"], detail["u-boot,bootsecure"]) == ("0", "run", "1")

    def test_nodes_and_typed_properties_are_read(self, board):
        tree = DeviceTree(Memory(board), 0)
        cpu = tree.node("/cpus/cpu@0")
        assert (cpu.path, cpu.name, cpu.number("reg"), "empty" in cpu, cpu.raw("empty")) == ("/cpus/cpu@0", "cpu@0", 7, True, b"")
        assert (cpu.number("none"), cpu.raw("none"), cpu.texts("none")) == (None, None, [])
        assert tree.node("/").texts("compatible") == ["vendor,board", "vendor,soc"]
        assert tree.node("/cpus/cpu@1") is None
        assert [node.path for node in tree.root.walk()][:3] == ["/", "/chosen", "/config"]

    def test_zero_room_behind_the_blocks_belongs_to_the_tree_and_other_bytes_do_not(self, board):
        padded = bytearray(board + bytes(500))
        padded[4:8] = struct.pack(">I", len(padded))
        assert FDT.open(Memory(padded), 0).size == len(padded)
        padded[-100] = 1
        assert FDT.open(Memory(padded), 0).size == len(board)

    def test_a_size_beyond_the_source_is_told_and_claims_nothing_behind(self, board):
        lying = bytearray(board + b"hsqs" * 100)
        lying[4:8] = b"\xff\xff\xff\xff"
        container = FDT.open(Memory(lying), 0)
        assert container.size == len(board)
        assert container.problems

    def test_deep_nesting_is_refused(self):
        structure = struct.pack(">II", 1, 0) * 5000 + struct.pack(">I", 2) * 5000 + struct.pack(">I", 9)
        header = struct.pack(">10I", 0xD00DFEED, 56 + len(structure), 56, 56 + len(structure), 40, 17, 16, 0, 0, len(structure))
        with pytest.raises(FormatError):
            FDT.open(Memory(header + bytes(16) + structure), 0)


class TestFit:
    def test_images_configurations_and_hashes_are_read(self, inline):
        container = FDT.open(Memory(b"\0" * 512 + inline + b"tail"), 512)
        detail = container.detail
        assert (container.format, container.size, container.problems) == ("fit", len(inline), [])
        assert contents(container) == {"kernel-1": KERNEL, "ramdisk-1": RAMDISK}
        kernel = next(iter(container.entries)).detail
        assert (kernel["type"], kernel["arch"], kernel["os"], kernel["compression"]) == ("kernel", "arm64", "linux", "gzip")
        assert (kernel["load"], kernel["entry"], kernel["hashes"]) == ("0x80000000", "0x80080000", "sha256 right, crc32 right")
        assert (detail["default_configuration"], detail["integrity"]) == ("conf-1", "hash")
        assert detail["configurations"] == "conf-1: kernel=kernel-1 ramdisk=ramdisk-1"

    @pytest.mark.parametrize("arguments", [["-E"], ["-E", "-p", "0x2000"], ["-E", "-B", "0x200"]])
    def test_data_behind_the_tree_are_found(self, tmp_path, arguments):
        image = fit(tmp_path, *arguments)
        container = FDT.open(Memory(b"\0" * 256 + image + b"tail"), 256)
        assert contents(container) == {"kernel-1": KERNEL, "ramdisk-1": RAMDISK}
        assert (container.problems, container.detail["integrity"]) == ([], "hash")
        assert len(image) - (0x200 if "-B" in arguments else 4) <= container.size <= len(image)

    def test_an_image_without_bytes_is_a_slot_left_empty(self):
        """binman writes them for what the build had not (no TEE, no firmware of the power controller), placed at the very end."""
        slot = {"data-offset": struct.pack(">I", len(KERNEL)), "data-size": bytes(4)}
        image = {"data-offset": bytes(4), "data-size": struct.pack(">I", len(KERNEL))}
        tree = blob({"images": {"kernel-1": image, "tee-1": slot}, "configurations": {}})
        container = FDT.open(Memory(tree + bytes(-len(tree) % 4) + KERNEL), 0)
        assert (contents(container), container.problems) == ({"kernel-1": KERNEL}, [])
        assert (container.detail["images"], container.detail["empty_images"]) == (1, "tee-1")

    def test_a_changed_byte_is_told_by_every_hash(self, inline):
        hurt = bytearray(inline)
        hurt[hurt.index(KERNEL) + 77] ^= 1
        container = FDT.open(Memory(hurt), 0)
        assert [problem for problem in container.problems if "kernel-1" in problem] == [
            "image kernel-1: wrong sha256",
            "image kernel-1: wrong crc32",
        ]
        assert next(iter(container.entries)).detail["hashes"] == "sha256 wrong, crc32 wrong"

    def test_a_signature_slot_without_value_is_no_signature(self, tmp_path):
        container = FDT.open(Memory(fit(tmp_path, signature=SIGNATURE)), 0)
        assert container.detail["integrity"] == "hash"

    def test_a_signed_configuration_is_told_with_its_key(self, tmp_path):
        (tmp_path / "keys").mkdir()
        subject = ["-subj", "/CN=test", "-days", "30", "-out", "keys/dev.crt"]
        run(tmp_path, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "keys/dev.key", *subject)
        container = FDT.open(Memory(fit(tmp_path, "-k", "keys", signature=SIGNATURE)), 0)
        assert container.detail["integrity"] == "signature"
        assert container.detail["signed_configurations"] == "conf-1: sha256,rsa2048 by key 'dev'"

    def test_data_outside_the_source_are_told(self, tmp_path):
        image = fit(tmp_path, "-E")
        container = FDT.open(Memory(image[: -len(RAMDISK) // 2]), 0)
        assert contents(container)["kernel-1"] == KERNEL
        assert any("ramdisk-1" in problem for problem in container.problems)

    def test_many_images_of_the_same_data_are_read_once(self):
        names = [f"i{number:03d}" for number in range(200)]
        strings = b"data-offset\0data-size\0"
        structure = struct.pack(">II", 1, 0) + struct.pack(">I8s", 1, b"images\0\0")
        for name in names:
            structure += struct.pack(">I8s", 1, name.encode().ljust(8, b"\0"))
            structure += struct.pack(">6I", 3, 4, 0, 0, 3, 4) + struct.pack(">III", 12, 100_000, 2)
        structure += struct.pack(">III", 2, 2, 9)
        total = 40 + 16 + len(structure) + len(strings)
        header = struct.pack(">10I", 0xD00DFEED, total, 56, 56 + len(structure), 40, 17, 16, 0, len(strings), len(structure))
        image = header + bytes(16) + structure + strings + bytes(2) + KERNEL * 20
        container = FDT.open(Memory(image), 0)
        assert sum(entry.size for entry in container.entries) <= 2 * len(image)
        assert container.problems


def test_truncation_anywhere_raises_nothing_else(board, inline):
    for image in (board, inline):
        for length in {*range(0, 200, 3), *range(200, len(image), 97)}:
            try:
                container = FDT.open(Memory(image[:length]), 0)
            except FormatError:
                continue
            assert container.size <= length


@pytest.mark.fuzz
def test_mutations_raise_nothing_else(board, inline):
    randomness = random.Random(9)
    head = inline[:400]
    for number in range(3000):
        image = bytearray(board if number % 2 else inline)
        for _ in range(randomness.randint(1, 6)):
            image[randomness.randrange(len(board) if number % 2 else len(head))] = randomness.choice([0, 1, 2, 3, 9, 255, 4])
        try:
            container = FDT.open(Memory(image), 0)
            assert container.size <= len(image)
            contents(container)
        except ExtractionError:
            continue


@pytest.mark.corpus
def test_the_three_images_of_a_real_fit_are_found():
    path = CORPUS / "fmt-fit_fit.itb"
    if not path.exists():
        pytest.skip("the shared corpus is not here")
    container = FDT.open(Mapped.open(path), 0)
    assert [entry.path for entry in container.entries] == ["kernel", "fdt", "rootfs"]
