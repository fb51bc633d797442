"""Second opinions: what another extractor opens joins the tree under its name, whatever that program does meanwhile."""

from __future__ import annotations

import io
import json
import random
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fwcheck.cli.main import main
from fwcheck.extraction.source import Mapped
from fwcheck.model import Node, NodeKind
from fwcheck.opinions import binwalk, child, unblob
from fwcheck.opinions.ask import Region, Unavailable, ask, chosen
from fwcheck.opinions.opinion import Claim, Opinion

NOISE = random.Random(3).randbytes(6000)


class Other(Opinion):
    """An extractor that runs ``code`` with the region and the directory as arguments."""

    name = "other"

    def __init__(self, code: str, *claims: tuple[str, int, int, str | None]) -> None:
        self.code = code
        self.said = claims

    def version(self) -> str | None:
        return "1.0"

    def arguments(self, region: Path, folder: Path) -> list[str]:
        return [sys.executable, "-c", self.code, str(region), str(folder)]

    def claims(self, folder: Path) -> list[Claim]:
        return [
            Claim(format=name, offset=offset, size=size, folder=folder / where if where else None)
            for name, offset, size, where in self.said
        ]


@pytest.fixture
def region(tmp_path: Path) -> Region:
    path = tmp_path / "image.bin"
    path.write_bytes(NOISE)
    node = Node(chain=("image.bin",), path="0x0", kind=NodeKind.REGION, size=len(NOISE), format="unknown", offset=0)
    return Region(node, Mapped.open(path), 1)


WRITES = """
import os, sys
region, folder = sys.argv[1:]
os.makedirs(folder + "/x/etc")
open(folder + "/x/etc/passwd", "w").write("root::0:0:root:/:/bin/sh\\n")
os.symlink("/etc/shadow", folder + "/x/link")
open(folder + "/x/first", "wb").write(open(region, "rb").read(8))
"""


def test_what_it_opened_is_read_and_marked(region: Region) -> None:
    with ask([Other(WRITES, ("strange", 100, 200, "x"))], [region]) as found:
        items = {item.node.path: item for item in found.items}
        assert found.items[0].node.chain == ("image.bin", "0x0", "strange@0x64")
        content = items["/etc/passwd"].content()
        assert content is not None
        assert content.read(0, content.size) == b"root::0:0:root:/:/bin/sh\n"
        first = items["/first"].content()
        assert first is not None
        assert first.read(0, 8) == NOISE[:8]
        assert (items["/link"].node.kind, items["/link"].node.target) == (NodeKind.SYMLINK, "/etc/shadow")
        assert items["/link"].open is None
        assert {item.node.detail["origin"] for item in found.items} == {"other 1.0"}
        assert [(begin, size) for begin, size, _ in found.paints] == [(100, 200)]


def test_claims_that_lie_are_left_out(region: Region) -> None:
    lies = [("a", -1, 10, None), ("b", 0, 10**12, None), ("c", 5990, 11, None), ("d", 0, 0, None)]
    with ask([Other("pass", *lies)], [region]) as found:
        assert (found.items, found.paints) == ([], [])


def test_the_second_is_asked_when_the_first_finds_nothing(region: Region) -> None:
    with ask([Other("pass"), Other(WRITES, ("late", 0, 10, "x"))], [region]) as found:
        assert found.items[0].node.format == "late"
    with ask([Other(WRITES, ("early", 0, 10, "x")), Other(WRITES, ("late", 0, 10, "x"))], [region]) as found:
        assert {item.node.format for item in found.items if item.node.kind is NodeKind.CONTAINER} == {"early"}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit(3)", "ended with status 3"),
        ("import os; os.abort()", "ended with status -6"),
        (
            "import sys; open(sys.argv[2] + '/big', 'wb').write(bytes(40 << 20)); import time; time.sleep(30)",
            "wrote more than 8 MiB",
        ),
        ("import time; time.sleep(60)", "took too long"),
        ("import os, time; os.fork(); time.sleep(60)", "took too long"),
    ],
)
def test_what_goes_wrong_is_a_gap(region: Region, monkeypatch: pytest.MonkeyPatch, code: str, reason: str) -> None:
    run: Callable[..., str | None] = child.run
    monkeypatch.setattr("fwcheck.opinions.ask.run", lambda arguments, folder: run(arguments, folder, seconds=1.5, disk=8 << 20))
    begun = time.monotonic()
    with ask([Other(code)], [region]) as found:
        assert [gap.reason for gap in found.gaps] == [f"second opinion of other: {reason}"]
    assert time.monotonic() - begun < 20


def test_an_allocation_beyond_the_limit_fails(region: Region) -> None:
    with ask([Other("bytearray(3 << 30)")], [region]) as found:
        assert [gap.reason for gap in found.gaps] == ["second opinion of other: ended with status 1"]


def test_nothing_is_left_behind(region: Region, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    with ask([Other(WRITES, ("x", 0, 10, "x"))], [region]):
        assert list(scratch.iterdir())
    assert not list(scratch.iterdir())


def test_an_opinion_that_is_not_there_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unblob, "_program", lambda: None)
    image = tmp_path / "x"
    image.write_bytes(NOISE)
    assert main(["tree", str(image), "--second-opinion", "unblob", "--quiet", "--no-cache"]) == 2
    assert "fwcheck[unblob]" in capsys.readouterr().err
    with pytest.raises(Unavailable):
        chosen(["nobody"])


@pytest.mark.parametrize("text", ["", "[]]", '[{"task": 1}]', '{"a": 1}'])
def test_a_report_of_unblob_that_is_none(tmp_path: Path, text: str, region: Region) -> None:
    (tmp_path / "report.json").write_text(text)

    class Broken(Other):
        def claims(self, folder: Path) -> list[Claim]:
            return unblob.OPINION.claims(tmp_path)

    with ask([Broken("pass")], [region]) as found:
        assert found.items == []
        assert len(found.gaps) == 1


def test_a_report_of_binwalk_is_understood(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    rows = [["zip", 10, 20, str(tmp_path / "files")], ["crc32", 0, 4, None], ["elf", 50, 8, "/etc"]]
    (tmp_path / "report.json").write_text(json.dumps(rows))
    assert [(claim.format, claim.offset, claim.size, claim.folder) for claim in binwalk.OPINION.claims(tmp_path)] == [
        ("zip", 10, 20, (tmp_path / "files").resolve()),
        ("elf", 50, 8, None),
    ]


def test_unblob_itself_opens_a_region(region: Region, tmp_path: Path) -> None:
    if unblob.OPINION.version() is None:
        pytest.skip("unblob is not installed (the extra of that name)")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo("etc/motd")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"hello"))
    path = tmp_path / "mixed.bin"
    path.write_bytes(NOISE + stream.getvalue())
    with ask([unblob.OPINION], [Region(region.node, Mapped.open(path), 1)]) as found:
        contents = {item.node.path: item.content() for item in found.items if item.open is not None}
        motd = contents["/etc/motd"]
        assert motd is not None
        assert motd.read(0, motd.size) == b"hello"
        assert found.items[0].node.chain[-1] == f"tar@0x{len(NOISE):x}"
