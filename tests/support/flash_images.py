"""Flash images of routers, made with the tools that vendors use: mkimage, dtc, mkenvimage, mksquashfs."""

from __future__ import annotations

import gzip
import random
import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from extraction.formats.test_uboot import LDR, code

from fwcheck.model import BootStep, Report
from fwcheck.pipeline import Options, scan
from support.signed import certificate, rsa_of

TOOLS = {"mkimage": "u-boot-tools", "dtc": "device-tree-compiler", "mkenvimage": "u-boot-tools", "mksquashfs": "squashfs-tools"}
MISSING = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
needs_tools = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

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
            description = "kernel"; data = /incbin/("kernel.bin"); {kind}; arch = "arm";
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


KIND = 'type = "kernel"; os = "linux"'


def fit(
    directory: Path, *, signature: str = SIGNATURE, required: bool = True, content: bytes = KERNEL, kind: str = KIND
) -> tuple[bytes, bytes]:
    """A FIT image made by mkimage, and the loader's own tree with the key that signed it."""
    (directory / "kernel.bin").write_bytes(content)
    key = rsa_of(2048)
    (directory / "dev.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    (directory / "dev.crt").write_bytes(certificate(key).public_bytes(Encoding.PEM))
    (directory / "fit.its").write_text(ITS.format(signature=signature, kind=kind))
    (directory / "control.dts").write_text('/dts-v1/; / { model = "board"; compatible = "vendor,board"; };')
    run(directory, "dtc", "-O", "dtb", "-p", "0x1000", "-o", "control.dtb", "control.dts")
    run(directory, "mkimage", "-f", "fit.its", "fit.itb")
    if signature:
        run(directory, "mkimage", "-F", "-k", ".", "-K", "control.dtb", *(["-r"] if required else []), "fit.itb")
    return (directory / "fit.itb").read_bytes(), (directory / "control.dtb").read_bytes()


def legacy(directory: Path, kernel: bytes = KERNEL) -> bytes:
    (directory / "kernel.bin").write_bytes(kernel)
    options = ["-A", "arm", "-O", "linux", "-T", "kernel", "-C", "none", "-a", "0x8000", "-e", "0x8000", "-n", "Linux-5.10.110"]
    run(directory, "mkimage", *options, "-d", "kernel.bin", "uImage")
    return (directory / "uImage").read_bytes()


def stored(directory: Path, values: Mapping[str, str]) -> bytes:
    (directory / "env.txt").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    run(directory, "mkenvimage", "-s", "0x4000", "-o", "env.bin", "env.txt")
    return (directory / "env.bin").read_bytes()


def root(directory: Path, files: Mapping[str, bytes] | None = None) -> bytes:
    tree = directory / "tree"
    for name in ("bin", "sbin", "etc", "lib", "dev", "proc", "usr"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    (tree / "bin/sh").write_bytes(b"\x7fELF" + bytes(60))
    (tree / "sbin/init").write_bytes(b"\x7fELF" + bytes(60))
    (tree / "lib/noise").write_bytes(random.Random(5).randbytes(40_000))  # several blocks of a hash tree
    (tree / "etc/inittab").write_text("::sysinit:/etc/init.d/rcS\n")
    for name, content in (files or {}).items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)
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


def ikconfig(*lines: str) -> bytes:
    """What a kernel with CONFIG_IKCONFIG carries."""
    head = "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/arm 5.10.110 Kernel Configuration\n#\nCONFIG_MMU=y\n"
    return b"IKCFG_ST" + gzip.compress((head + "\n".join(lines) + "\n").encode(), mtime=0) + b"IKCFG_ED"
