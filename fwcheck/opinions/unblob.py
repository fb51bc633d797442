"""unblob (https://unblob.org): its program extracts under a Landlock sandbox of its own, and reports what lies where."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from fwcheck.opinions.opinion import Claim, Opinion, below

_REPORT = "report.json"
_FILES = "files"


class Unblob(Opinion):
    """Asked one level deep: what lies deeper is explored here."""

    name = "unblob"

    def version(self) -> str | None:
        program = _program()
        return _version(program) if program else None

    def arguments(self, region: Path, folder: Path) -> list[str]:
        program = _program()
        assert program is not None
        report, log = str(folder / _REPORT), str(folder / "unblob.log")
        options = ["--depth", "1", "--process-num", "1", "--randomness-depth", "0", "--report", report, "--log", log]
        return [program, *options, "--extract-dir", str(folder / _FILES), str(region)]

    def claims(self, folder: Path) -> list[Claim]:
        try:
            tasks = msgspec.json.decode((folder / _REPORT).read_bytes(), type=list[dict[str, Any]])
        except (OSError, msgspec.DecodeError) as error:
            raise ValueError(f"no report: {error}") from error
        places = {str(task["task"]["blob_id"]): str(task["task"]["path"]) for task in tasks if task["task"]["depth"] == 1}
        out = []
        for task in tasks:
            for report in task["reports"] if task["task"]["depth"] == 0 else ():
                if report.get("__typename__") == "ChunkReport":
                    where = places.get(str(report["id"]))
                    out.append(
                        Claim(
                            format=str(report["handler_name"]),
                            offset=int(report["start_offset"]),
                            size=int(report["size"]),
                            folder=below(where, folder) if where else None,
                        )
                    )
        return out


@cache
def _program() -> str | None:
    """The program of this environment, else the one on the PATH."""
    beside = Path(sys.executable).with_name("unblob")
    return str(beside) if beside.exists() else shutil.which("unblob")


@cache
def _version(program: str) -> str | None:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\d+(?:\.\d+)+", done.stdout)
    return found[0] if found else None


OPINION = Unblob()
