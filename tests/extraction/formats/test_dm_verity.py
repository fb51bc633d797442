"""dm-verity superblocks and trees: of veritysetup where it is installed, and laid out here."""

from __future__ import annotations

import hashlib
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.dm_verity import FORMATS
from fwcheck.extraction.source import Memory

(VERITY,) = FORMATS
SALT = bytes(range(20))
DATA = b"".join(struct.pack(">I", number) * 1024 for number in range(200))


def image(data: bytes = DATA) -> tuple[bytes, str]:
    """Superblock and tree of hash type 1, and the root."""
    level, tree = data, b""
    while len(level) > 4096:
        level = b"".join(hashlib.sha256(SALT + level[at : at + 4096]).digest() for at in range(0, len(level), 4096))
        level += bytes(-len(level) % 4096)
        tree = level + tree
    head = struct.pack(
        "<8sII16s32sIIQH6x256s", b"verity", 1, 1, bytes(range(16)), b"sha256", 4096, 4096, len(data) // 4096, len(SALT), SALT
    )
    return head + bytes(4096 - len(head)) + tree, hashlib.sha256(SALT + level).hexdigest()


def seeds() -> list[bytes]:
    data = DATA[: 4096 * 3]
    return [image()[0], data + image(data)[0]]


@pytest.mark.parametrize("before", [b"", DATA, b"R" * 4096 + DATA])
def test_the_root_is_computed_and_the_data_found(before: bytes) -> None:
    made, root = image()
    container = VERITY.open(Memory(before + made + b"T" * 100), len(before))
    assert container.size == len(made)
    assert container.detail["root_hash"] == root
    assert ("all data blocks agree" in str(container.detail["integrity_detail"])) is bool(before)
    assert container.detail["salt"] == SALT.hex()
    assert container.problems == []


def test_what_was_changed_is_told() -> None:
    made, _ = image()
    changed = bytearray(DATA)
    changed[5 * 4096] ^= 1
    container = VERITY.open(Memory(bytes(changed) + made), len(DATA))
    assert "1 of 200 data blocks differ" in str(container.detail["integrity_detail"])
    tree = bytearray(made)
    tree[8192 + 4] ^= 1
    container = VERITY.open(Memory(bytes(tree)), 0)
    assert "1 of 2 checked blocks of the tree differ" in str(container.detail["integrity_detail"])
    assert container.problems


def test_what_is_cut_off_is_told() -> None:
    made, _ = image()
    container = VERITY.open(Memory(made[:-1]), 0)
    assert container.size == len(made) - 1
    assert container.problems
    for data in (made[:500], made[:76] + b"\xff" * 500):
        with pytest.raises(FormatError):
            VERITY.open(Memory(data), 0)


@pytest.mark.parametrize("options", [[], ["--format=0", "--hash=sha1"], ["--hash=sha512", "--hash-block-size=1024"]])
def test_trees_of_veritysetup(tmp_path: Path, options: list[str]) -> None:
    program = shutil.which("veritysetup") or shutil.which("veritysetup", path="/usr/sbin:/sbin")
    if not program:
        pytest.skip("veritysetup is not installed (Debian package cryptsetup-bin)")
    data, tree = tmp_path / "data", tmp_path / "tree"
    data.write_bytes(DATA)
    done = subprocess.run([program, "format", *options, str(data), str(tree)], check=True, capture_output=True, text=True)
    root = next(line.split()[-1] for line in done.stdout.splitlines() if line.startswith("Root hash"))
    container = VERITY.open(Memory(DATA + tree.read_bytes()), len(DATA))
    assert container.detail["root_hash"] == root
    assert "all data blocks agree with it" in str(container.detail["integrity_detail"])
    assert container.problems == []
    assert container.size == tree.stat().st_size
