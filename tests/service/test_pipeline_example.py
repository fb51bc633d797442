"""The script of a release job, from the build's image to the status that stops the release or lets it pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.serving import INSECURE, REPAIRED, ROOT, Served

pytestmark = pytest.mark.parametrize(
    "served", ["embedded"], indirect=True, scope="session"
)  # what is outside makes no difference

SCRIPT = ROOT / "examples" / "pipeline" / "release-gate.sh"


@pytest.mark.parametrize(("image", "status"), [(INSECURE, 1), (REPAIRED, 0)], ids=["insecure", "repaired"])
def test_the_release_stops_or_goes_on(served: Served, tmp_path: Path, image: Path, status: int) -> None:
    command = tmp_path / "fwcheck"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fwcheck "$@"\n')
    command.chmod(0o755)
    token = served.issue("uploader", ("sample camera",))
    environment = {
        **served.environment, "FWCHECK": str(command), "FWCHECK_SERVER": served.url, "FWCHECK_TOKEN": token,
        "PRODUCT": "sample camera", "REPORTS": str(tmp_path / "reports"),
    }  # fmt: skip
    done = subprocess.run(
        [str(SCRIPT), str(image), "1.0"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == status, done.stderr
    assert ("is refuted" in done.stderr) == (status == 1)
    written = {path.name.removeprefix(f"{image.name}.") for path in (tmp_path / "reports").iterdir()}
    assert written == {"json", "html", "sarif", "cdx.json", "junit.xml"}
