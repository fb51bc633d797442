"""Builds the sample images: an insecure router, its repaired twin, and one image for each planted weakness.

Their contents are our own, packed by the real tools.

usage: python3 samples/build.py [DIRECTORY]        (default: beside this file)

Needs mksquashfs, mkimage, mkenvimage, dtc and mkfs.jffs2 (Debian: squashfs-tools u-boot-tools device-tree-compiler mtd-utils).
The programs inside are small ELF files written by ``elf.py``: they hold the strings and imports that the real programs of these
versions hold, and no code.
Keys and passwords are made for these samples and used nowhere else.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from contents import COMMON, INSECURE, REPAIRED, Tree, signing_key  # noqa: E402
from planted import BOOT, PLANTED, Plant  # noqa: E402

FLASH = 0x10000  # bytes of the sample flash
CONTROL = 0x2000  # the device tree of the boot loader itself
ENVIRONMENT = 0x4000
KERNEL_AT = 0x8000
_DIRECTORIES = (
    *("bin", "sbin", "etc/init.d", "lib", "usr/bin", "usr/sbin", "usr/lib", "www"),
    *("dev", "proc", "sys", "tmp", "var", "overlay"),
)
EPOCH = 1_700_000_000  # every date inside: a rebuild gives the same bytes where the tools allow it


def main() -> int:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    target.mkdir(parents=True, exist_ok=True)
    for name, kernel, boot, tree, key in (
        (
            "router-insecure.bin",
            "3.10.14",
            "bootdelay=3\nbootargs=console=ttyS0,115200 root=/dev/mtdblock3\nbootcmd=bootm 0x8000\n",
            INSECURE,
            "",
        ),
        ("router-repaired.bin", "6.12.57", BOOT, REPAIRED, "required"),
    ):
        (target / name).write_bytes(image(kernel, boot, {**COMMON, **tree}, key))
        print(target / name)
    (target / "planted").mkdir(exist_ok=True)
    for plant in PLANTED:
        place = target / "planted" / f"{plant.name}.bin"
        place.write_bytes(planted(plant))
        print(place)
    return 0


def planted(plant: Plant) -> bytes:
    """The image of one weakness: environment and kernel first where it asks for them, then the root file system."""
    with tempfile.TemporaryDirectory(prefix="fwcheck-sample-") as name:
        work = Path(name)
        tree = plant.contents(COMMON)
        root = _jffs2(work, tree) if plant.writable else _squashfs(work, tree)
        if not plant.boot:
            return root
        packed, control = _fit(work, plant.kernel, plant.key) if plant.key else (_uimage(work, plant.kernel), b"")
        return _environment(work, plant.boot) + control + packed + bytes(-len(packed) % 0x1000) + root


def image(kernel: str, boot: str, tree: Tree, key: str = "") -> bytes:
    """The loader's own tree where it has a key, environment, kernel, root file system: laid out as in a small NOR flash."""
    with tempfile.TemporaryDirectory(prefix="fwcheck-sample-") as name:
        work = Path(name)
        flash = bytearray(b"\xff" * FLASH)
        _put(flash, ENVIRONMENT, _environment(work, boot))
        packed, control = _fit(work, kernel, key) if key else (_uimage(work, kernel), b"")
        _put(flash, CONTROL, control)
        _put(flash, KERNEL_AT, packed)
        root = _squashfs(work, tree)
        _put(flash, (KERNEL_AT + len(packed) + 0xFFF) & ~0xFFF, root)
        return bytes(flash)


def _put(flash: bytearray, offset: int, data: bytes) -> None:
    if offset + len(data) > len(flash):
        raise SystemExit(f"sample does not fit: {offset + len(data)} of {len(flash)} bytes")
    flash[offset : offset + len(data)] = data


def _environment(work: Path, text: str) -> bytes:
    (work / "env.txt").write_text(text)
    _run("mkenvimage", "-s", "0x2000", "-o", work / "env.bin", work / "env.txt")
    return (work / "env.bin").read_bytes()


def _kernel(work: Path, version: str) -> None:
    """``kernel.gz``: what stands in for a kernel."""
    banner = f"Linux version {version} (build@sample) (gcc version 12.2.0) #1 Tue Nov 14 22:13:20 UTC 2023\0"
    body = b"\x27\xbd\xff\xe0" * 2048 + banner.encode() + b"\x03\xe0\x00\x08\0\0\0\0" * 1024
    (work / "kernel.gz").write_bytes(gzip.compress(body, mtime=EPOCH))


def _uimage(work: Path, version: str) -> bytes:
    _kernel(work, version)
    _run("mkimage", "-A", "mips", "-O", "linux", "-T", "kernel", "-C", "gzip", "-a", "0x80000000", "-e", "0x80000000",
         "-n", f"Linux-{version}", "-d", work / "kernel.gz", work / "uImage")  # fmt: skip
    return (work / "uImage").read_bytes()


ITS = """/dts-v1/;
/ {
    description = "Linux-VERSION"; #address-cells = <1>;
    images { kernel-1 {
        description = "Linux-VERSION"; data = /incbin/("kernel.gz"); type = "kernel"; arch = "mips"; os = "linux";
        compression = "gzip"; load = <0x80000000>; entry = <0x80000000>; hash-1 { algo = "sha256"; };
    }; };
    configurations { default = "conf-1"; conf-1 {
        kernel = "kernel-1"; signature-1 { algo = "sha256,rsa2048"; key-name-hint = "sample"; sign-images = "kernel"; };
    }; };
};
"""


def _fit(work: Path, version: str, key: str) -> tuple[bytes, bytes]:
    """The kernel in a signed FIT image, and the boot loader's own device tree with the public half of the key.

    ``key``: ``required``, or ``optional``, which an unsigned image passes as well.
    """
    _kernel(work, version)
    secret = signing_key(2048)
    form = PrivateFormat.TraditionalOpenSSL
    (work / "sample.key").write_bytes(secret.private_bytes(Encoding.PEM, form, NoEncryption()))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sample")])
    begin = datetime.fromtimestamp(EPOCH, UTC)
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(secret.public_key()).serial_number(1)
    signed = built.not_valid_before(begin).not_valid_after(begin + timedelta(days=7000)).sign(secret, hashes.SHA256())
    (work / "sample.crt").write_bytes(signed.public_bytes(Encoding.PEM))
    (work / "kernel.its").write_text(ITS.replace("VERSION", version))
    (work / "control.dts").write_text('/dts-v1/; / { model = "Sample Router SR-100"; compatible = "sample,router"; };')
    _run("dtc", "-I", "dts", "-O", "dtb", "-p", 0x1000, "-o", work / "control.dtb", work / "control.dts")
    _run("mkimage", "-f", work / "kernel.its", "-k", work, "-K", work / "control.dtb", *(["-r"] if key == "required" else []),
         work / "kernel.itb")  # fmt: skip
    return (work / "kernel.itb").read_bytes(), (work / "control.dtb").read_bytes()


def _laid_out(root: Path, tree: Tree) -> list[tuple[str, int]]:
    """Writes the tree below ``root``; gives paths and modes of its files, which only the packing tool sets."""
    for directory in _DIRECTORIES:
        (root / directory).mkdir(parents=True, exist_ok=True)
    files = []
    for path, (mode, content) in sorted(tree.items()):
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            place.symlink_to(content)
        else:
            place.write_bytes(content)
            files.append((path, mode))
    return files


def _jffs2(work: Path, tree: Tree) -> bytes:
    root = work / "root"
    table = [f"{path} f {mode:o} 0 0 - - - - -\n" for path, mode in _laid_out(root, tree)]
    (work / "table").write_text("".join(table) + "/dev/console c 600 0 0 5 1 - - -\n")
    for each in (root, *root.rglob("*")):
        os.utime(each, (EPOCH, EPOCH), follow_symlinks=False)
    _run("mkfs.jffs2", "-r", root, "-o", work / "root.jffs2", "-l", "-e", 8192, "-U", "-f", "-D", work / "table")
    return (work / "root.jffs2").read_bytes()


def _squashfs(work: Path, tree: Tree) -> bytes:
    root = work / "root"
    modes = [f"{path.lstrip('/')} m {mode:o} 0 0\n" for path, mode in _laid_out(root, tree)]
    (work / "modes").write_text("".join(modes) + "dev/console c 600 0 0 5 1\n")
    fixed = ("-all-root", "-no-xattrs", "-noappend", "-no-progress", "-mkfs-time", EPOCH, "-all-time", EPOCH)
    _run("mksquashfs", root, work / "root.squashfs", "-comp", "xz", "-b", 131072, *fixed, "-pf", work / "modes")
    return (work / "root.squashfs").read_bytes()


def _run(program: str, *arguments: object) -> None:
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise SystemExit(f"{program} is needed to build the samples")
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH), "LC_ALL": "C"}
    if program == "mksquashfs":
        del environment["SOURCE_DATE_EPOCH"]  # mksquashfs refuses it beside its own time options
    subprocess.run([found, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, env=environment)


if __name__ == "__main__":
    sys.exit(main())
