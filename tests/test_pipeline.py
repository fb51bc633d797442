"""The whole way: the same image gives the same report, whatever the number of workers and the state of the cache."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import jsonschema
import msgspec
import pytest
from extraction.formats.test_elf_kernel import kernel, newc

from fwcheck.model import Image, Report
from fwcheck.pipeline import LARGEST, InputError, Options, extract, scan, unread
from fwcheck.reading import KERNEL
from fwcheck.reports.json import render, schema

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "samples" / "router-insecure.bin"
CORPUS = ROOT.parent / "shared" / "corpus"


def same(report: Report) -> Report:
    return msgspec.structs.replace(report, timing={})


def test_workers_and_cache_do_not_change_the_report(tmp_path: Path) -> None:
    plain = same(scan(SAMPLE, Options(jobs=1)))
    assert same(scan(SAMPLE, Options(jobs=3))) == plain
    assert same(scan(SAMPLE, Options(jobs=2, cache=tmp_path))) == plain
    assert same(scan(SAMPLE, Options(jobs=2, cache=tmp_path))) == plain


def test_the_report_follows_the_shipped_schema_and_differs_in_timing_alone() -> None:
    first, second = (json.loads(render(scan(SAMPLE, Options()))) for _ in range(2))
    jsonschema.Draft202012Validator(schema()).validate(first)
    differing = {key for key in first if json.dumps(first[key]) != json.dumps(second[key])}
    assert differing <= {"timing"}


def test_progress_ends_where_it_said_it_would() -> None:
    seen: list[tuple[str, int, int]] = []
    scan(SAMPLE, Options(jobs=2), lambda *step: seen.append(step))
    reading = [(done, total) for stage, done, total in seen if stage == "reading contents"]
    assert [done for done, _ in reading] == sorted(done for done, _ in reading)
    assert all(total >= 1 for _, total in reading)


def test_an_input_error_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.bin"):
        extract(tmp_path / "nothing.bin", Options())


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real images is not beside the project")
def test_real_images_account_for_every_byte_and_validate() -> None:
    wanted = {"tplink-wr841nv11-160325", "cam-sannce", "hlk-rm04-183-encrypted", "ucritair-zephyr", "fmt-fit", "rauc-good-bundle"}
    rows = [row for row in json.loads((CORPUS / "manifest.json").read_text()) if row["id"] in wanted]
    assert len(rows) == len(wanted)
    validator = jsonschema.Draft202012Validator(schema())
    for row in rows:
        report = scan(CORPUS / row["path"], Options())
        cover = report.coverage
        parts = cover.bytes_explained + cover.bytes_padding + cover.bytes_unknown + cover.bytes_encrypted
        assert parts == cover.bytes_total == report.image.size
        assert sum(span.length for span in cover.spans) in {0, cover.bytes_total}
        assert all(gap.reason for gap in cover.gaps)
        validator.validate(json.loads(render(report)))


def test_an_image_beyond_any_flash_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.bin"
    with path.open("wb") as stream:
        stream.truncate(LARGEST + 1)
    with pytest.raises(InputError, match=r"larger than 32 GiB"):
        scan(path, Options())


def test_a_kernel_that_lies_as_a_file_is_opened_and_a_program_that_names_one_is_not(tmp_path: Path) -> None:
    archive = newc(("init", "etc", "x" * 200), b"#!/bin/sh\n" * 300)
    image = kernel(archive + bytes(KERNEL))
    path = tmp_path / "root.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in (
            ("boot/vmlinux", image),
            ("bin/tool", image.replace(b"Linux version 4", b"Linux version %")),
            ("boot/small", kernel(archive)),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    firmware = extract(path, Options(jobs=1))
    inside = {node.path: node.chain for node in firmware.nodes if node.path == "/init"}
    assert list(inside) == ["/init"]
    assert inside["/init"][2].endswith("/boot/vmlinux")
    assert [node.path for node in firmware.nodes].count("/boot/vmlinux") == 1
    code = next(node.sha256 for node in firmware.nodes if node.path == "/boot/vmlinux")
    assert [node.path for node in firmware.nodes if node.sha256 == code] == ["/boot/vmlinux"]


LONG = b"# a line that says nothing of the matter\n" * 8000


@pytest.mark.parametrize(
    ("path", "head", "told"),
    [
        ("etc/passwd", b"root::0:0:root:/root:/bin/sh\n", True),
        ("etc/shadow", b"root::0:0:99999:7:::\n", True),
        ("etc/ssh/sshd_config.conf", b"PermitEmptyPasswords yes\n", True),
        ("etc/init.d/S50telnet", b"telnetd -l /bin/sh\n", True),
        ("opt/app/start", b"#!/bin/sh\ntelnetd -l /bin/sh\n", True),
        ("usr/share/words.txt", b"a\nb\n", False),
        ("www/app.js", b"function a() { return 1; }\nvar x = 1;\n", False),
    ],
)
def test_a_configuration_that_is_too_long_to_be_read_is_a_gap(tmp_path: Path, path: str, head: bytes, told: bool) -> None:
    image = tmp_path / "root.tar"
    with tarfile.open(image, "w") as tar:
        for name, content in ((path, head + LONG), (f"short/{path}", head)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    gaps = [(gap.node, gap.bytes) for gap in extract(image, Options(jobs=1)).coverage.gaps if "KiB" in gap.reason]
    assert gaps == ([(f"root.tar › tar@0x0 › /{path}", len(head + LONG))] if told else [])


def test_an_image_that_must_not_be_read_again_is_unread_and_undecided() -> None:
    image = Image(name="camera.bin", size=4096, sha256="0" * 64, format="raw")
    report = unread(image, "its worker ended twice", Options(min_tier="STAR-1"))
    assert (report.coverage.bytes_unknown, report.coverage.gaps[0].reason) == (4096, "its worker ended twice")
    assert (report.gate.passed, report.gate.undecided, report.findings) == (False, True, ())


def test_an_image_can_be_called_otherwise_than_its_file(tmp_path: Path) -> None:
    path = tmp_path / ("0" * 64)
    path.write_bytes(SAMPLE.read_bytes())
    report = scan(path, Options(name="router 1.2.bin"))
    assert report.image.name == "router 1.2.bin"
    assert report.findings[0].location.chain[0] == "router 1.2.bin"
