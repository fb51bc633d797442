"""Archives made to break out of the directory they are written to. Each attempt is listed; none may leave a trace outside."""

from __future__ import annotations

import io
import json
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fwcheck.cli.main import main

PLANTED = b"planted by the archive"
OUT = "out"


def tar(*members: tuple[str, bytes | None, dict[str, object]]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data, more in members:
            info = tarfile.TarInfo(name)
            for key, value in more.items():
                setattr(info, key, value)
            info.size = len(data) if data is not None else 0
            archive.addfile(info, io.BytesIO(data or b""))
    return stream.getvalue()


def file(name: str, **more: object) -> tuple[str, bytes | None, dict[str, object]]:
    return name, PLANTED, more


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[str, bytes | None, dict[str, object]]:
    return name, None, {"type": kind, "linkname": target}


def device(name: str, kind: bytes, major: int = 1, minor: int = 3) -> tuple[str, bytes | None, dict[str, object]]:
    return name, None, {"type": kind, "devmajor": major, "devminor": minor, "mode": 0o666}


def zipped(*names: str, link_to: str | None = None) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, PLANTED)
        if link_to is not None:
            info = zipfile.ZipInfo("l")
            info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, link_to)
            archive.writestr("l/planted", PLANTED)
    return stream.getvalue()


def cpio(*members: tuple[bytes, bytes, int]) -> bytes:
    out = b""
    for number, (name, data, mode) in enumerate([*members, (b"TRAILER!!!", b"", 0)], 1):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name + b"\0"
        out += bytes(-len(out) % 4) + data
        out += bytes(-len(out) % 4)
    return out


def _chain_of_links() -> bytes:
    # s means "here": a/b/c/s/s/s/../../../.. is a/b/c/../../../.. to the kernel, and a/b/c/.. to a reader of names.
    return tar(
        link("a/b/c/s", "."),
        link("a/b/c/out", "s/s/s/../../../../../planted"),
        file("a/b/c/out"),
        link("a/b/c/up", "s/s/../../../.."),
    )


ATTEMPTS: dict[str, Callable[[Path], bytes]] = {
    "a name that climbs": lambda _: tar(file("../planted"), file("../../planted"), file("a/../../../planted")),
    "an absolute name": lambda outside: tar(file(f"{outside}/planted"), file("/tmp/fwcheck-planted")),
    "a file through a link that climbs": lambda _: tar(link("l", ".."), file("l/planted"), link("m", "../.."), file("m/planted")),
    "a file through an absolute link": lambda outside: tar(link("l", str(outside)), file("l/planted")),
    "a file over a link to a file": lambda outside: tar(link("canary", f"{outside}/canary"), file("canary")),
    "a link over a directory, then a file in it": lambda outside: tar(file("d/x"), link("d", str(outside)), file("d/planted")),
    "a hard link to outside": lambda outside: tar(link("h", f"{outside}/canary", tarfile.LNKTYPE), file("h")),
    "a chain of links": lambda _: _chain_of_links(),
    "links in a circle": lambda _: tar(link("a", "b"), link("b", "a"), file("a/planted"), link("self", "self"), file("self/x")),
    "devices and pipes": lambda _: tar(*map(device, ("null", "sda", "p"), (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE))),
    "setuid and world-writable": lambda _: tar(file("su", mode=0o7777), ("dir", None, {"type": tarfile.DIRTYPE, "mode": 0o7777})),
    "a directory nobody may enter": lambda _: tar(("d", None, {"type": tarfile.DIRTYPE, "mode": 0}), file("d/inside")),
    "names that a terminal reads": lambda _: tar(file("\x1b]0;title\x07"), file("new\nline"), file("back\\..\\..\\slash")),
    "names of every length": lambda _: tar(file("n" * 255), file("n" * 4000), file(("d" * 200 + "/") * 15 + "f")),
    "directories without end": lambda _: tar(file("d/" * 1500 + "f")),
    "a name that is not UTF-8": lambda _: cpio((b"caf\xe9/\xff\xfe", PLANTED, 0o100644)),
    "dots, and nothing": lambda _: cpio((b".", b"", 0o40755), *((name, PLANTED, 0o100644) for name in (b"..", b"...", b"a/./b"))),
    "a NUL in a name": lambda _: cpio((b"a\0/../../planted", PLANTED, 0o100644)),
    "the manifest's name": lambda _: tar(file("manifest.json"), file("../manifest.json")),
    "a zip that climbs": lambda _: zipped("../planted", "..\\planted", "/planted", "C:/planted"),
    "a file through a zip's link": lambda outside: zipped(link_to=str(outside)),
    "a cpio's link": lambda outside: cpio((b"l", os.fsencode(outside), 0o120777), (b"l/planted", PLANTED, 0o100644)),
    "an archive in an archive": lambda _: tar(
        ("in/../../x.tar", tar(file("../../../planted"), link("l", "/"), file("l/planted")), {})
    ),
    "two entries of one name": lambda _: tar(file("a"), file("a"), ("a", None, {"type": tarfile.DIRTYPE}), file("a/b")),
}  # fmt: skip


def everything(root: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(root):
        yield from (Path(folder, name) for name in (*names, *files))


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_nothing_is_written_outside(tmp_path: Path, attempt: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "canary").write_bytes(b"untouched")
    image = tmp_path / "image.bin"
    image.write_bytes(ATTEMPTS[attempt](outside))
    work = tmp_path / "work"
    work.mkdir()

    status = main(["extract", str(image), "-o", str(work / OUT), "--quiet"])

    assert status in {0, 2}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.bin", "outside", "work"]
    assert [path.name for path in work.iterdir()] == [OUT]
    assert [(path.name, path.read_bytes()) for path in outside.iterdir()] == [("canary", b"untouched")]
    assert not Path("/tmp/fwcheck-planted").exists()
    root = (work / OUT).resolve()
    for path in everything(work / OUT):
        mode = path.lstat().st_mode
        assert stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode), path
        if stat.S_ISLNK(mode):
            assert path.is_symlink()
            assert (target := os.path.realpath(path)) == str(root) or target.startswith(f"{root}{os.sep}"), path
        else:
            assert stat.S_IMODE(mode) & ~0o755 == 0, path
        assert path.name.isprintable()
    manifest = json.loads((work / OUT / "manifest.json").read_text())
    for entry in manifest["nodes"]:
        if entry["kind"] == "file":
            assert "written" in entry or entry.get("reason"), entry


def test_every_attempt_wrote_what_it_could(tmp_path: Path) -> None:
    """The attempts are no empty archives: nearly all of their planted files are found inside the directory."""
    found = {}
    for number, (attempt, make) in enumerate(ATTEMPTS.items()):
        image = tmp_path / f"{number}.bin"
        image.write_bytes(make(tmp_path / "nowhere"))
        main(["extract", str(image), "-o", str(tmp_path / str(number)), "--quiet"])
        files = [path for path in everything(tmp_path / str(number)) if path.is_file() and not path.is_symlink()]
        found[attempt] = sum(path.read_bytes() == PLANTED for path in files)
    without = {"devices and pipes", "directories without end"}
    assert {attempt for attempt, count in found.items() if not count} == without
