#!/usr/bin/env python3
"""Sets up a private environment beside this file and runs the project in it.

usage: python3 dev.py demo              scan the committed samples
       python3 dev.py test [PYTEST...]  run the tests
       python3 dev.py check             lint, format, types and the site of the documentation
       python3 dev.py docs [DIR]        the documentation as a site (default: site/)
       python3 dev.py fuzz [IMAGES]     break images: so many mutated ones (20,000), then coverage-guided until interrupted
       python3 dev.py run ARG...        the fwcheck command itself

Needs nothing but Python 3.11 or later with pip. The environment lives in ``.venv`` and is built once per lock file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
LOCKS = {"run": HERE / "requirements" / "run.lock", "dev": HERE / "requirements" / "dev.lock"}
SITE = ["mkdocs", "build", "--strict", "--quiet"]
# Programs that build the images of the tests: Debian package to one program of it.
TOOLS = {
    "squashfs-tools": "mksquashfs",
    "e2fsprogs": "mke2fs",
    "erofs-utils": "mkfs.erofs",
    "android-sdk-libsparse-utils": "img2simg",
    "mkbootimg": "mkbootimg",
    "cryptsetup-bin": "cryptsetup",
    "partclone": "partclone.extfs",
    "u-boot-tools": "mkimage",
    "arm-trusted-firmware-tools": "fiptool",
    "device-tree-compiler": "dtc",
    "mtd-utils": "mkfs.jffs2",
    "cpio": "cpio",
    "zip": "zip",
    "lz4": "lz4",
    "zstd": "zstd",
    "lzop": "lzop",
    "lzip": "lzip",
    "ncompress": "compress",
    "coreboot-utils": "cbfstool",
    "xz-utils": "xz",
    "bzip2": "bzip2",
    "fdisk": "sfdisk",
    "gdisk": "sgdisk",
    "genext2fs": "genext2fs",
    "dosfstools": "mkfs.fat",
    "mtools": "mcopy",
    "exfatprogs": "mkfs.exfat",
    "xorriso": "xorriso",
    "genisoimage": "genisoimage",
    "f2fs-tools": "mkfs.f2fs",
    "btrfs-progs": "mkfs.btrfs",
    "xfsprogs": "mkfs.xfs",
    "ntfs-3g": "mkfs.ntfs",
    "udftools": "mkudffs",
    "jfsutils": "mkfs.jfs",
    "genromfs": "genromfs",
    "qemu-utils": "qemu-img",
    "openssl": "openssl",
    "age": "age",
    "gnupg": "gpg",
    "openssh-client": "ssh-keygen",
    "srecord": "srec_cat",
    "dfu-util": "dfu-suffix",
    "binutils": "ar",
    "dpkg": "dpkg-deb",
    "rpm": "rpmbuild",
    "rauc": "rauc",
    "mender-artifact": "mender-artifact",
    "casync": "casync",
    "ostree": "ostree",
    "gcab": "gcab",
    "7zip": "7zz",
    "jlha-utils": "jlha",
    "arj": "arj",
    "arc": "arc",
    "libarchive-tools": "bsdtar",
    "redis-server": "redis-server",
    "rabbitmq-server": "rabbitmq-server",
    "postgresql": "pg_ctlcluster",
    "chromium": "chromium",
    "zsh": "zsh",
    "fish": "fish",
}


def say(text: str) -> None:
    print(f"dev: {text}", file=sys.stderr, flush=True)


def install(kind: str) -> None:
    """Builds the environment from the lock file, unless it stands already; the one for tests serves every purpose."""
    if any((ENVIRONMENT / f"{each}.stamp").exists() and _stamp(each) == (ENVIRONMENT / f"{each}.stamp").read_text()
           for each in (kind, "dev")):  # fmt: skip
        return
    if not PYTHON.exists():
        say("making .venv")
        # Debian ships venv without ensurepip: the outer pip installs into the environment instead.
        venv.create(ENVIRONMENT, with_pip=False, clear=True, symlinks=True)
    say(f"installing what {LOCKS[kind].relative_to(HERE)} pins")
    pip = [sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(LOCKS[kind])], check=True)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-e", str(HERE)], check=True)
    (ENVIRONMENT / f"{kind}.stamp").write_text(_stamp(kind))


def _stamp(kind: str) -> str:
    return hashlib.sha256(LOCKS[kind].read_bytes() + (HERE / "pyproject.toml").read_bytes()).hexdigest()


def builders() -> None:
    """Installs the image builders where that is possible; tests whose builder is missing are skipped with a reason."""
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [package for package, program in TOOLS.items() if shutil.which(program) is None]
    if not missing:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"installing {' '.join(missing)}")
        quiet = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, "stdout": subprocess.DEVNULL}
        subprocess.run(["apt-get", "-qq", "update"], check=False, **quiet)  # type: ignore[call-overload]
        fetch = ["apt-get", "-qq", "-y", "--no-install-recommends", "install"]
        if subprocess.run([*fetch, *missing], check=False, **quiet).returncode:  # type: ignore[call-overload]
            # One that this system does not have must not cost all others.
            for package in missing:
                subprocess.run([*fetch, package], check=False, stderr=subprocess.DEVNULL, **quiet)  # type: ignore[call-overload]
    missing = [package for package, program in TOOLS.items() if shutil.which(program) is None]
    if missing:
        say(f"tests that need {' '.join(missing)} will be skipped")


def demo() -> int:
    install("run")
    samples = [HERE / "samples" / name for name in ("router-insecure.bin", "router-repaired.bin")]
    command = [str(PYTHON), "-m", "fwcheck", "scan", *map(str, samples), "--target", "STAR-1"]
    return subprocess.run(command, check=False).returncode


def test(arguments: list[str]) -> int:
    builders()
    install("dev")
    return subprocess.run([str(PYTHON), "-m", "pytest", "-q", "-n", "2", *arguments], cwd=HERE, check=False).returncode


def check() -> int:
    install("dev")
    steps = (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"], SITE)
    return max([subprocess.run([str(PYTHON), "-m", *step], cwd=HERE, check=False).returncode for step in steps])


def docs(arguments: list[str]) -> int:
    install("dev")
    where = ["--site-dir", str(Path(arguments[0]).resolve())] if arguments else []
    return subprocess.run([str(PYTHON), "-m", *SITE, *where], cwd=HERE, check=False).returncode


def fuzz(arguments: list[str]) -> int:
    install("dev")
    python = str(PYTHON)
    where = {**os.environ, "PYTHONPATH": f"{HERE / 'tests'}:{HERE}"}
    count = arguments[0] if arguments else "20000"
    done = subprocess.run(
        [python, "-m", "fuzz.mutate", "--images", count, "--keep", "fuzz-found"], cwd=HERE, env=where, check=False
    )
    if done.returncode or arguments:
        return done.returncode
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--disable-pip-version-check", "atheris"]
    subprocess.run(pip, check=True)
    return subprocess.run([python, "-m", "fuzz.guided", "fuzz-corpus"], cwd=HERE, env=where, check=False).returncode


def main(arguments: list[str]) -> int:
    if sys.version_info < (3, 11):
        say("needs Python 3.11 or later")
        return 2
    command, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if command == "demo":
        return demo()
    if command == "test":
        return test(rest)
    if command == "check":
        return check()
    if command == "docs":
        return docs(rest)
    if command == "fuzz":
        return fuzz(rest)
    if command == "run":
        install("run")
        return subprocess.run([str(PYTHON), "-m", "fwcheck", *rest], check=False).returncode
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
