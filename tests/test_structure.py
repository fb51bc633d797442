"""The house stands as docs/architecture.md draws it: imports run one way, and the wheel carries all data."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "fwcheck"
# Lower rooms first; a room imports itself and what stands before it.
ORDER = (
    "handwritten", "declaration", "model", "extraction", "inspection", "device", "analysers", "quotation", "listing",
    "vulnerabilities", "jcstar", "gate", "difference",
    "fleet", "language", "reports", "judging", "attestation", "remembered",
    "sandbox", "workers", "known", "reading", "writing", "opinions", "assembly", "unpacking", "pipeline", "audit",
    "service", "cli",
)  # fmt: skip
FORBIDDEN = {
    ("inspection", "extraction"), ("device", "extraction"), ("device", "inspection"), ("jcstar", "analysers"),
    ("reports", "analysers"), ("reports", "extraction"), ("vulnerabilities", "extraction"), ("workers", "extraction"),
}  # fmt: skip


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "fwcheck" else [node.module]
        found |= {name.split(".")[1] for name in names if name.startswith("fwcheck.")}
    return found - {"__version__"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downwards(path: Path) -> None:
    room = room_of(path)
    if room in {"__init__", "__main__"}:
        return
    for other in imported_rooms(path):
        assert ORDER.index(other) <= ORDER.index(room), f"{room} imports {other}"
        assert (room, other) not in FORBIDDEN, f"{room} imports {other}"


def test_the_wheel_carries_rules_and_catalogues(tmp_path: Path) -> None:
    code = f"from hatchling.build import build_wheel; print(build_wheel({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    names = set(zipfile.ZipFile(tmp_path / done.stdout.strip().splitlines()[-1]).namelist())
    needed = [
        path.relative_to(ROOT)
        for path in PACKAGE.rglob("*")
        if path.suffix in {".toml", ".txt", ".xz", ".j2", ".css", ".js", ".json"}
    ]
    assert len(needed) >= 10
    assert {str(path) for path in needed} <= names
    assert {f"fwcheck/rules/yara/{path.name}" for path in (ROOT / "rules" / "yara").glob("*.yar")} <= names
    assert "fwcheck/py.typed" in names
