"""The commands do on a real terminal's terms what the contract says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "samples"
INSECURE, REPAIRED = SAMPLES / "router-insecure.bin", SAMPLES / "router-repaired.bin"


def fwcheck(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fwcheck", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_gate_fails_the_insecure_router_and_passes_its_twin() -> None:
    failed = fwcheck("scan", INSECURE, "--min-tier", "STAR-1", "--no-cache")
    assert failed.returncode == 1
    assert "gate: STAR-1 is refuted by S1.1-02" in failed.stderr
    passed = fwcheck("scan", REPAIRED, "--min-tier", "STAR-1", "--no-cache")
    assert (passed.returncode, passed.stderr) == (0, "")


def test_json_to_standard_output_is_json_and_nothing_else() -> None:
    done = fwcheck("scan", INSECURE, "--format", "json", "--no-cache")
    report = json.loads(done.stdout)
    assert done.stderr == ""
    assert report["tier"]["target"] == "STAR-1"
    assert [row["id"] for row in report["tiers"][0]["criteria"]] == [f"S1.1-{number:02}" for number in range(1, 17)]


def test_several_reports_become_files_named_after_the_image(tmp_path: Path) -> None:
    done = fwcheck("scan", INSECURE, REPAIRED, "--format", "json,html,markdown", "--output", tmp_path / "out", "--no-cache")
    assert done.returncode == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {f"{image.name}.{suffix}" for image in (INSECURE, REPAIRED) for suffix in ("json", "html", "md")}


def test_several_reports_without_a_place_are_bad_usage() -> None:
    assert fwcheck("scan", INSECURE, "--format", "json,html").returncode == 2
    assert fwcheck("scan", INSECURE, "--format", "papyrus").returncode == 2


def test_one_bad_image_does_not_stop_the_others(tmp_path: Path) -> None:
    done = fwcheck("scan", tmp_path / "missing", INSECURE, "--format", "json", "--output", tmp_path, "--no-cache")
    assert done.returncode == 2
    assert (tmp_path / "router-insecure.bin.json").exists()


def test_the_gate_of_an_earlier_report_decides_like_the_scan(tmp_path: Path) -> None:
    fwcheck("scan", INSECURE, REPAIRED, "--format", "json", "--output", tmp_path, "--no-cache")
    assert fwcheck("gate", tmp_path / "router-insecure.bin.json", "--min-tier", "STAR-1").returncode == 1
    assert fwcheck("gate", tmp_path / "router-repaired.bin.json", "--min-tier", "STAR-1").returncode == 0
    (tmp_path / "broken.json").write_text('{"schema_version": 7}')
    broken = fwcheck("gate", tmp_path / "broken.json", "--min-tier", "STAR-1")
    assert broken.returncode == 2
    assert len(broken.stderr.strip().splitlines()) == 1


def test_the_tree_names_every_node_with_the_keys_of_the_contract() -> None:
    nodes = json.loads(fwcheck("tree", INSECURE, "--format", "json", "--no-cache").stdout)["nodes"]
    keys = {"chain", "path", "kind", "size", "mode", "uid", "gid", "mtime", "target", "sha256", "format", "offset"}
    assert all(keys <= set(node) for node in nodes)
    by_path = {node["path"]: node for node in nodes if node["path"].startswith("/")}
    assert by_path["/bin/sh"]["target"] == "busybox"
    assert by_path["/etc/shadow"]["mode"] == 0o644
    assert len(by_path["/etc/shadow"]["sha256"]) == 64
    assert by_path["/dev/console"]["kind"] == "device"
    shown = fwcheck("tree", INSECURE, "--no-cache").stdout
    assert [line.split()[0] for line in shown.splitlines()[-3:]] == ["65536", "bytes", "entropy"]


def test_cat_gives_the_bytes_of_a_node() -> None:
    assert fwcheck("cat", INSECURE, "/etc/inittab").stdout.startswith("::sysinit:/etc/init.d/rcS\n")
    missing = fwcheck("cat", INSECURE, "/etc/nothing")
    assert missing.returncode == 2
    assert len(missing.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["ACC-002", "UPD-002", "S1.1-08", "s1.1-02"])
def test_explain_tells_why_and_what_to_do(name: str) -> None:
    done = fwcheck("explain", name)
    assert done.returncode == 0
    assert done.stdout.startswith(name.upper())
    assert len(done.stdout) > 200


def test_explain_refuses_what_it_does_not_know() -> None:
    assert fwcheck("explain", "XYZ-1").returncode == 2


def test_help_comes_without_heavy_imports() -> None:
    code = "import sys; from fwcheck.cli.main import parser; parser().format_help(); print(*sorted(sys.modules))"
    loaded = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    assert not loaded & {"lief", "hyperscan", "yara", "cryptography", "rich", "jinja2", "msgspec"}


def test_the_bill_of_materials_is_cyclonedx() -> None:
    bom = json.loads(fwcheck("sbom", INSECURE, "--no-cache").stdout)
    assert bom["bomFormat"] == "CycloneDX"
    assert {("busybox", "1.19.4"), ("openssl", "1.0.1e")} <= {(each["name"], each.get("version")) for each in bom["components"]}


def test_the_knowledge_tells_its_date(tmp_path: Path) -> None:
    assert fwcheck("db", "info").stdout.startswith("knowledge as of 20")
    assert fwcheck("db", "build", tmp_path / "nowhere", tmp_path / "out").returncode == 2


def test_published_data_is_imported_and_used(tmp_path: Path) -> None:
    (tmp_path / "kev.csv").write_text("cveID,dateAdded\nCVE-2026-0001,2026-10-02\n")
    told = fwcheck("db", "import", "--database", tmp_path / "own.sqlite", tmp_path / "kev.csv").stdout
    assert told.startswith("read 1 KEV records; rows changed: ")
    assert fwcheck("db", "import", "--database", tmp_path / "own.sqlite", tmp_path / "kev.csv").stdout.startswith(
        "read 1 KEV records; nothing changed"
    )
    assert "own.sqlite" in fwcheck("db", "info", "--database", tmp_path / "own.sqlite").stdout


def test_data_that_cannot_be_read_is_one_line_and_status_2(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    own = ("--database", tmp_path / "own.sqlite")
    for arguments in (["import", tmp_path / "broken.json"], ["import", tmp_path / "absent"], ["info"]):
        done = fwcheck("db", *arguments, *own)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1


def test_a_statement_sets_a_vulnerability_aside_and_a_bad_one_is_one_line(tmp_path: Path) -> None:
    statement = {
        "vulnerability": {"name": "CVE-2014-0160"},
        "products": [{"@id": "pkg:generic/openssl@1.0.1e"}],
        "status": "not_affected",
        "justification": "vulnerable_code_not_present",
    }
    document = {"@context": "https://openvex.dev/ns/v0.2.0", "statements": [statement]}
    (tmp_path / "own.vex.json").write_text(json.dumps(document))
    bom = json.loads(fwcheck("sbom", INSECURE, "--no-cache", "--vex", tmp_path / "own.vex.json").stdout)
    (found,) = [each for each in bom["vulnerabilities"] if each["id"] == "CVE-2014-0160"]
    assert found["analysis"] == {"state": "not_affected", "detail": "own.vex.json: vulnerable_code_not_present"}
    for option in ("--vex", "--database"):
        done = fwcheck("scan", INSECURE, option, INSECURE)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
