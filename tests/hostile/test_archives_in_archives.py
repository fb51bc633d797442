"""Archives that hold themselves many times over: each content is opened once where it lies deep, and told where it was met."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

from fwcheck.pipeline import Options, extract


def nest(depth: int, width: int) -> bytes:
    inner = b"the end"
    for _ in range(depth):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for number in range(width):
                info = tarfile.TarInfo(f"{number}.tar.gz")
                info.size = len(inner)
                archive.addfile(info, io.BytesIO(inner))
        inner = gzip.compress(stream.getvalue(), mtime=0)
    return inner


def test_ten_to_the_power_of_eleven_is_a_few_hundred(tmp_path: Path) -> None:
    image = tmp_path / "nest.tar.gz"
    image.write_bytes(nest(11, 10))
    firmware = extract(image, Options(jobs=2))
    assert len(firmware.nodes) < 2000
    assert sum("same_bytes_as" in node.detail for node in firmware.nodes) > 20
    assert any("nested deeper" in gap.reason for gap in firmware.coverage.gaps)


def test_two_slots_with_the_same_archives_are_both_listed(tmp_path: Path) -> None:
    image = tmp_path / "slots.tar"
    package = nest(1, 1)
    with tarfile.open(image, "w") as archive:
        for slot in "ab":
            info = tarfile.TarInfo(f"{slot}/package.tar.gz")
            info.size = len(package)
            archive.addfile(info, io.BytesIO(package))
    nodes = extract(image, Options(jobs=1)).nodes
    inside = [node.chain for node in nodes if node.path == "/0.tar.gz"]
    assert sorted(chain[2] for chain in inside) == ["/a/package.tar.gz", "/b/package.tar.gz"]
