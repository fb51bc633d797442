"""Images made to unpack to far more than anybody can hold: how long fwcheck takes to stop at its quota, and how much memory.

usage: python benchmarks/bombs.py [--only NAME,NAME] [--folder DIR]

Each bomb is written to a temporary folder, scanned by a fresh process, and must end within ten seconds with a recorded gap, or be
read whole where it is smaller than the quotas.
"""

from __future__ import annotations

import argparse
import bz2
import io
import json
import lzma
import resource
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import zstandard

SECONDS = 10.0
GIB = 1 << 30


def _gzip(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([*(packer.compress(bytes(1 << 24)) for _ in range(size >> 24)), packer.flush()])


def _zip(names: int, size: int) -> bytes:
    """Members that all share one packed stream, as local headers nobody checks allow."""
    packed = zlib.compress(bytes(size), 9)[2:-4]
    crc, out, central = zlib.crc32(bytes(size)), io.BytesIO(), b""
    head = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 8, 0, 0, crc, len(packed), size, 1, 0) + b"a"
    out.write(head + packed)
    for number in range(names):
        name = b"f%06d" % number
        central += struct.pack(
            "<4sBBHHHHHIIIHHHHHII", b"PK\1\2", 20, 3, 20, 0, 8, 0, 0, crc, len(packed), size, len(name), 0, 0, 0, 0, 0, 0
        ) + name  # fmt: skip
    at = out.tell()
    out.write(central + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, names & 0xFFFF, names & 0xFFFF, len(central), at, 0))
    return out.getvalue()


def _nest(depth: int, width: int) -> bytes:
    """Zips in zips, each layer holding the one below many times."""
    inner = _gzip(1 << 28)
    for _ in range(depth):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(width):
                archive.writestr(f"{number}.zip", inner)
        inner = stream.getvalue()
    return inner


def _quine() -> bytes:
    """A gzip stream that unpacks to a tar that holds gzip streams, eleven deep, each of them ten times."""
    inner = b"end"
    for _ in range(11):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for number in range(10):
                info = tarfile.TarInfo(f"{number}.tar.gz")
                info.size = len(inner)
                archive.addfile(info, io.BytesIO(inner))
        inner = zlib.compress(stream.getvalue(), 9)
        inner = b"\x1f\x8b\x08\0\0\0\0\0\0\3" + inner[2:-4] + struct.pack("<II", zlib.crc32(stream.getvalue()), stream.tell())
    return inner


def _tool(folder: Path, make: Callable[[Path, Path], list[str]], size: int) -> bytes | None:
    tree, image = folder / "tree", folder / "made.img"
    tree.mkdir()
    with (tree / "big").open("wb") as stream:
        stream.truncate(size)
    command = make(tree, image)
    if shutil.which(command[0], path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
        return None
    subprocess.run(command, check=True, capture_output=True)
    return image.read_bytes()


def _sparse() -> bytes:
    """An Android sparse image that fills two tebibytes with one pattern."""
    head = struct.pack("<IHHHHIIII", 0xED26FF3A, 1, 0, 28, 12, 4096, 1 << 29, 1, 0)
    return head + struct.pack("<HHII", 0xCAC2, 0, 1 << 29, 16) + b"\xde\xad\xbe\xef"


def _many(count: int) -> bytes:
    """Members without content and with long names."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for number in range(count):
            archive.addfile(tarfile.TarInfo(f"{'d' * 40}/{number}"))
    return stream.getvalue()


BOMBS: dict[str, Callable[[Path], bytes | None]] = {
    "gzip, 3 GiB of zeros": lambda _: _gzip(3 * GIB),
    "gzip in gzip, 16 GiB": lambda _: _gzip_twice(),
    "xz, 3 GiB": lambda _: b"".join([lzma.compress(bytes(GIB), preset=1)] * 3),
    "bzip2, 3 GiB": lambda _: b"".join([bz2.compress(bytes(256 << 20))] * 12),
    "zstd, 16 GiB": lambda _: _zstd(16 * GIB),
    "lz4, 8 GiB": lambda _: b"".join([lz4.frame.compress(bytes(GIB))] * 8),
    "zip, 20,000 members share 64 MiB": lambda _: _zip(20_000, 64 << 20),
    "zip in zip, four deep, ten wide": lambda _: _nest(4, 10),
    "tar.gz in tar.gz, eleven deep, ten wide": lambda _: _quine(),
    "tar, 150,000 members": lambda _: _many(150_000),
    "squashfs, 64 GiB of zeros": lambda folder: _tool(
        folder, lambda tree, image: ["mksquashfs", str(tree), str(image), "-comp", "gzip", "-quiet", "-no-progress"], 64 * GIB
    ),
    "ext4, a sparse file of 1 TiB": lambda folder: _tool(
        folder, lambda tree, image: ["mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(image), "64M"], 1 << 40
    ),
    "erofs, lz4, 4 GiB": lambda folder: _tool(
        folder, lambda tree, image: ["mkfs.erofs", "-zlz4hc", str(image), str(tree)], 4 * GIB
    ),
    "android sparse, 2 TiB": lambda _: _sparse(),
}


def _gzip_twice() -> bytes:
    return zlib.compress(_gzip(16 * GIB), 9, 31)


def _zstd(size: int) -> bytes:
    packer = zstandard.ZstdCompressor(level=3).compressobj()
    return b"".join([*(packer.compress(bytes(1 << 26)) for _ in range(size >> 26)), packer.flush()])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--folder", type=Path, help="keep the bombs here, and use those that are there")
    options = parser.parse_args()
    slow = 0
    with tempfile.TemporaryDirectory(prefix="fwcheck-bombs-") as name:
        for number, (title, make) in enumerate(BOMBS.items()):
            if options.only and not any(word in title for word in options.only.split(",")):
                continue
            image = (options.folder or Path(name)) / f"{number}.bin"
            if not image.exists():
                folder = Path(name, str(number))
                folder.mkdir()
                data = make(folder)
                if data is None:
                    print(f"{title:42} its tool is not installed")
                    continue
                image.write_bytes(data)
                shutil.rmtree(folder)
            slow += _report(title, image)
    return 1 if slow else 0


def _report(title: str, image: Path) -> bool:
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "fwcheck", "scan", str(image), "--format", "json", "--no-cache"],
        capture_output=True, check=False, timeout=600,
    )  # fmt: skip
    seconds = time.monotonic() - begun
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
    if done.returncode not in {0, 1, 3}:
        print(f"{title:42} ended with {done.returncode}: {done.stderr[-200:].decode(errors='replace')}")
        return True
    gaps = json.loads(done.stdout)["coverage"]["gaps"]
    told = gaps[0]["reason"][:90] if gaps else "read whole"
    print(
        f"{title:42} {image.stat().st_size / 1e6:8.2f} MB  {seconds:6.1f} s  {peak >> 20:5} MiB (largest process)  {told}",
        flush=True,
    )
    return seconds > SECONDS


if __name__ == "__main__":
    sys.exit(main())
