"""Builds each ``.c`` file here for every processor whose compiler is installed, and keeps the programs beside them.

usage: python tests/support/programs/build.py     (Debian: gcc-arm-linux-gnueabihf, gcc-mipsel-linux-gnu, ...)
"""

from __future__ import annotations

import base64
import json
import lzma
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = ("calls", "commands", "guards", "updater")
# Name of a target to compiler and the options that make its code what it is.
TARGETS = {
    "arm": ("arm-linux-gnueabi-gcc", "-marm"),
    "thumb": ("arm-linux-gnueabihf-gcc", "-mthumb"),
    "aarch64": ("aarch64-linux-gnu-gcc",),
    "mips": ("mips-linux-gnu-gcc",),
    "mipsel": ("mipsel-linux-gnu-gcc",),
    "mips64el": ("mips64el-linux-gnuabi64-gcc",),
    "riscv64": ("riscv64-linux-gnu-gcc",),
    "x86": ("i686-linux-gnu-gcc",),
    "x86_64": ("x86_64-linux-gnu-gcc", "-fcf-protection"),
}
LEVELS = ("-O0", "-Os", "-O2")
_LINK = ("-shared", "-fPIC", "-nostdlib", "-fno-builtin", "-fno-asynchronous-unwind-tables", "-fno-stack-protector", "-s")
_SMALL = ("-Wl,--build-id=none", "-Wl,--hash-style=sysv", "-Wl,-z,noseparate-code", "-Wl,-z,max-page-size=4096")


def compiler(target: str) -> str | None:
    """The compiler of a target, None when it is not installed."""
    return shutil.which(TARGETS[target][0])


def build(target: str, level: str, source: str = "calls") -> bytes:
    """The program for one target at one level of optimisation."""
    with tempfile.TemporaryDirectory() as place:
        made = Path(place) / "calls"
        command = [*TARGETS[target], level, *_LINK, *_SMALL, "-o", str(made), str(HERE / f"{source}.c"), "-w"]
        subprocess.run(command, check=True, capture_output=True)
        return made.read_bytes()


def kept(source: str = "calls") -> dict[str, bytes]:
    """The programs that are kept: target and level, as in ``mips -O2``, to content."""
    stored = json.loads((HERE / f"{source}.json").read_text())
    return {name: lzma.decompress(base64.b85decode(text)) for name, text in stored.items()}


def main() -> None:
    for source in SOURCES:
        made = {
            f"{target} {level}": base64.b85encode(lzma.compress(build(target, level, source), preset=9)).decode()
            for target in TARGETS
            for level in LEVELS
            if compiler(target)
        }
        (HERE / f"{source}.json").write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
