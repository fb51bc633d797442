"""The links of the boot chain on flash images made with the tools that vendors use: mkimage, dtc, mkenvimage, veritysetup."""

from __future__ import annotations

import random
import re
import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from extraction.formats.test_uboot import LDR, code
from support.signed import certificate, rsa_of

from fwcheck.model import BootStep, Report
from fwcheck.pipeline import Options, scan

TOOLS = {"mkimage": "u-boot-tools", "dtc": "device-tree-compiler", "mkenvimage": "u-boot-tools", "mksquashfs": "squashfs-tools"}
MISSING = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

KERNEL = b"Linux version 5.10.110 (build@host) (gcc 10.2.1) #1 SMP Mon Mar 1 00:00:00 UTC 2021\0" + code(9000, 3)
ENVIRONMENT = {
    "bootdelay": "1",
    "bootcmd": "sf probe; sf read 0x82000000 0x90000 0x40000; bootm 0x82000000",
    "baudrate": "115200",
}
TEXTS = b"Verifying Hash Integrity ... \0Bad Data CRC\n\0Failed to verify required signature '%s'\n\0"
UNSIGNED_LOADER = TEXTS[: TEXTS.index(b"Failed")]
ITS = """/dts-v1/;
/ {{
    description = "signed"; #address-cells = <1>;
    images {{
        kernel-1 {{
            description = "kernel"; data = /incbin/("kernel.bin"); type = "kernel"; arch = "arm"; os = "linux";
            compression = "none"; load = <0x8000>; entry = <0x8000>;
            hash-1 {{ algo = "sha256"; }};
        }};
    }};
    configurations {{
        default = "conf-1";
        conf-1 {{ kernel = "kernel-1"; {signature} }};
    }};
}};
"""
SIGNATURE = 'signature-1 { algo = "sha256,rsa2048"; key-name-hint = "dev"; sign-images = "kernel"; };'


def run(directory: Path, *command: object) -> str:
    done = subprocess.run([str(each) for each in command], cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout


def fit(directory: Path, *, signature: str = SIGNATURE, required: bool = True) -> tuple[bytes, bytes]:
    """A FIT image made by mkimage, and the loader's own tree with the key that signed it."""
    (directory / "kernel.bin").write_bytes(KERNEL)
    key = rsa_of(2048)
    (directory / "dev.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    (directory / "dev.crt").write_bytes(certificate(key).public_bytes(Encoding.PEM))
    (directory / "fit.its").write_text(ITS.format(signature=signature))
    (directory / "control.dts").write_text('/dts-v1/; / { model = "board"; compatible = "vendor,board"; };')
    run(directory, "dtc", "-O", "dtb", "-p", "0x1000", "-o", "control.dtb", "control.dts")
    run(directory, "mkimage", "-f", "fit.its", "fit.itb")
    if signature:
        run(directory, "mkimage", "-F", "-k", ".", "-K", "control.dtb", *(["-r"] if required else []), "fit.itb")
    return (directory / "fit.itb").read_bytes(), (directory / "control.dtb").read_bytes()


def legacy(directory: Path) -> bytes:
    (directory / "kernel.bin").write_bytes(KERNEL)
    options = ["-A", "arm", "-O", "linux", "-T", "kernel", "-C", "none", "-a", "0x8000", "-e", "0x8000", "-n", "Linux-5.10.110"]
    run(directory, "mkimage", *options, "-d", "kernel.bin", "uImage")
    return (directory / "uImage").read_bytes()


def stored(directory: Path, values: Mapping[str, str]) -> bytes:
    (directory / "env.txt").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    run(directory, "mkenvimage", "-s", "0x4000", "-o", "env.bin", "env.txt")
    return (directory / "env.bin").read_bytes()


def root(directory: Path) -> bytes:
    tree = directory / "tree"
    for name in ("bin", "sbin", "etc", "lib", "dev", "proc", "usr"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    (tree / "bin/sh").write_bytes(b"\x7fELF" + bytes(60))
    (tree / "sbin/init").write_bytes(b"\x7fELF" + bytes(60))
    (tree / "lib/noise").write_bytes(random.Random(5).randbytes(40_000))  # several blocks of a hash tree
    (tree / "etc/inittab").write_text("::sysinit:/etc/init.d/rcS\n")
    run(directory, "mksquashfs", "tree", "root.sqfs", "-noappend", "-all-root", "-comp", "gzip", "-quiet", "-no-progress")
    return (directory / "root.sqfs").read_bytes()


def uboot(texts: bytes = TEXTS) -> bytes:
    head = struct.pack("<I", 0xEA0000B8) + LDR * 7 + struct.pack("<8I", *range(0x4A000060, 0x4A000068)) + b"\x01\xf0\x20\xe3" * 4
    return (head + code(8000) + b"U-Boot 2021.07 (Mar 01 2022 - 10:00:00)\0" + texts).ljust(0x6000, b"\7")


def flash(parts: Mapping[int, bytes]) -> bytes:
    image = bytearray(b"\xff" * max(at + len(part) for at, part in parts.items()))
    for at, part in parts.items():
        image[at : at + len(part)] = part
    return bytes(image)


def report(directory: Path, image: bytes) -> Report:
    path = directory / "flash.bin"
    path.write_bytes(image)
    return scan(path, Options(jobs=1))


def chain(directory: Path, parts: Mapping[int, bytes]) -> tuple[BootStep, ...]:
    return report(directory, flash(parts)).device.boot_chain


def stage(steps: tuple[BootStep, ...], name: str) -> BootStep:
    return next(step for step in steps if step.stage == name)


def layout(loader: bytes, tree: bytes, environment: bytes, kernel: bytes, rest: bytes = b"") -> dict[int, bytes]:
    return {0: loader + tree, 0x40000: environment, 0x90000: kernel, 0xE0000: rest}


# --------------------------------------------------------------------------- FIT


class TestFit:
    def test_a_demanded_key_that_fits_verifies_the_kernel(self, tmp_path: Path) -> None:
        image, tree = fit(tmp_path)
        steps = chain(tmp_path, layout(uboot(), tree, stored(tmp_path, ENVIRONMENT), image, root(tmp_path)))
        assert [step.stage for step in steps] == ["boot loader", "kernel", "root file system"]
        kernel = stage(steps, "kernel")
        assert (kernel.verified, kernel.checked_by[:6]) == ("signature", "U-Boot")
        assert "demands" in kernel.reason
        assert "bootm 0x82000000 after sf read" in steps[0].starts

    @pytest.mark.parametrize(
        ("what", "reason"),
        [
            ("verify", "verify=n"),
            ("code", "no sign of CONFIG_FIT_SIGNATURE"),
            ("unsigned", "would be refused"),
            ("changed", "would be refused"),
            ("optional", "does not say that its key is required"),
            ("keyless", "no loader of the image demands"),
            ("inside", "no loader of the image demands"),
        ],
    )
    def test_whatever_breaks_the_demand_leaves_it_unknown(self, what: str, reason: str, tmp_path: Path) -> None:
        image, tree = fit(tmp_path, required=what != "optional")
        values, loader, rest = dict(ENVIRONMENT), uboot(), b""
        if what == "verify":
            values["verify"] = "no"
        elif what == "code":
            loader = uboot(UNSIGNED_LOADER)
        elif what == "unsigned":
            _, tree = fit(tmp_path)
            image, _ = fit(tmp_path, signature="")
        elif what == "changed":
            at = image.index(KERNEL) + 100
            image = image[:at] + bytes([image[at] ^ 1]) + image[at + 1 :]
        elif what == "keyless":
            tree = b""
        elif what == "inside":  # the tree that demands the key belongs to another loader, U-Boot's own demands nothing
            run(tmp_path, "dtc", "-O", "dtb", "-o", "plain.dtb", "control.dts")
            rest, tree = tree, (tmp_path / "plain.dtb").read_bytes()
        kernel = stage(chain(tmp_path, layout(loader, tree, stored(tmp_path, values), image, rest)), "kernel")
        assert (kernel.verified, reason in kernel.reason) == ("unknown", True), kernel.reason

    def test_a_hash_alone_is_a_hash(self, tmp_path: Path) -> None:
        image, _ = fit(tmp_path, signature="")
        kernel = stage(chain(tmp_path, layout(uboot(), b"", stored(tmp_path, ENVIRONMENT), image)), "kernel")
        assert (kernel.verified, "compute it anew" in kernel.reason) == ("hash", True)


# --------------------------------------------------------------------------- legacy images and raw kernels


class TestLegacy:
    def test_a_legacy_image_has_a_checksum(self, tmp_path: Path) -> None:
        steps = chain(tmp_path, layout(uboot(), b"", stored(tmp_path, ENVIRONMENT), legacy(tmp_path)))
        kernel = stage(steps, "kernel")
        assert (kernel.verified, kernel.checked_by) == ("checksum", "U-Boot (bootm)")
        assert "Linux 5.10.110" in kernel.detail
        assert kernel.evidence[1].text.startswith("bootcmd=")
        assert "waits 1 s for a key" in steps[0].reason

    def test_verify_leaves_the_sum_of_the_header(self, tmp_path: Path) -> None:
        values = {**ENVIRONMENT, "verify": "n"}
        kernel = stage(chain(tmp_path, layout(uboot(), b"", stored(tmp_path, values), legacy(tmp_path))), "kernel")
        assert "header alone" in kernel.reason

    def test_a_check_of_the_rom_in_front_of_it_is_told(self, tmp_path: Path) -> None:
        values = {
            **ENVIRONMENT,
            "bootcmd": "sf read 0x82000000 0x90000 0x40000; hab_auth_img 0x82000000 0x40000 && bootm 0x82000000",
        }
        kernel = stage(chain(tmp_path, layout(uboot(), b"", stored(tmp_path, values), legacy(tmp_path))), "kernel")
        assert (kernel.verified, "hab_auth_img" in kernel.reason) == ("unknown", True)


# --------------------------------------------------------------------------- dm-verity


@pytest.mark.skipif(shutil.which("veritysetup") is None, reason="cryptsetup-bin is not installed")
class TestVerity:
    def tree(self, directory: Path) -> tuple[bytes, str]:
        """A root file system with its hash tree behind it, made by veritysetup; and the root hash."""
        raw = root(directory)
        raw += bytes(-len(raw) % 4096)
        (directory / "verity.img").write_bytes(raw + bytes(4096 * 16))
        blocks, offset = len(raw) // 4096, len(raw)
        command = (
            "veritysetup",
            "format",
            f"--data-blocks={blocks}",
            f"--hash-offset={offset}",
            "--salt=5a",
            "verity.img",
            "verity.img",
        )
        said = run(directory, *command)
        return (directory / "verity.img").read_bytes(), re.search(r"Root hash:\s+([0-9a-f]{64})", said)[1]  # type: ignore[index]

    def arguments(self, root_hash: str, more: str = "") -> str:
        table = f"verity 1 /dev/mtdblock3 /dev/mtdblock3 4096 4096 5 6 sha256 {root_hash} 5a{more}"
        return f'console=ttyS0 root=/dev/dm-0 dm-mod.create="vroot,,,ro,0 40 {table}"'

    def test_the_root_hash_of_the_command_line_is_the_one_of_the_tree(self, tmp_path: Path) -> None:
        image, root_hash = self.tree(tmp_path)
        values = {**ENVIRONMENT, "bootargs": self.arguments(root_hash)}
        found = stage(
            chain(tmp_path, layout(uboot(), b"", stored(tmp_path, values), legacy(tmp_path), image)), "root file system"
        )
        assert (found.verified, found.checked_by) == ("hash", "kernel (dm-verity)")
        assert "root of the hash tree in the image" in found.reason

    def test_another_root_hash_is_told(self, tmp_path: Path) -> None:
        image, _ = self.tree(tmp_path)
        values = {**ENVIRONMENT, "bootargs": self.arguments("ab" * 32)}
        found = stage(
            chain(tmp_path, layout(uboot(), b"", stored(tmp_path, values), legacy(tmp_path), image)), "root file system"
        )
        assert "no hash tree of the image has this root" in found.reason

    def test_a_tree_that_nothing_asks_for_verifies_nothing(self, tmp_path: Path) -> None:
        image, _ = self.tree(tmp_path)
        values = {**ENVIRONMENT, "bootargs": "console=ttyS0 root=/dev/mtdblock3 rootfstype=squashfs"}
        found = stage(
            chain(tmp_path, layout(uboot(), b"", stored(tmp_path, values), legacy(tmp_path), image)), "root file system"
        )
        assert (found.verified, "nothing in the image asks for it" in found.reason) == ("unknown", True)

    def test_corruption_that_is_ignored_verifies_nothing(self, tmp_path: Path) -> None:
        image, root_hash = self.tree(tmp_path)
        values = {**ENVIRONMENT, "bootargs": self.arguments(root_hash, " 1 ignore_corruption")}
        found = stage(
            chain(tmp_path, layout(uboot(), b"", stored(tmp_path, values), legacy(tmp_path), image)), "root file system"
        )
        assert (found.verified, "ignore_corruption" in found.reason) == ("unknown", True)
