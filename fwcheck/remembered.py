"""Reports of images that were scanned before, so that an unchanged image is not read again.

A report is found again by everything that decides it: the bytes of the image and its name, the code of this package, what is
installed beside it, the vulnerability database, and the options with the content of their files. Waivers, baselines and gates are
not among them: they are held against the report anew. What must not lie on a disk (passwords, secrets that findings mask) is left
out of what is kept, and a report that limits of time, memory or a crash have cut is not kept at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import msgspec

from fwcheck.model import Report

_MOST = 64  # reports
_LARGEST = 64 << 20  # bytes of one
_NEVER = (
    "not read:",
    "interrupted",
    "memory",
    "second",
    "time",
    "crash",
    "died",
    "worker",
)  # reasons of gaps that another run might not have


class Remembered:
    """The reports in a cache directory. Nothing here fails a scan: what cannot be read or written is not there."""

    def __init__(self, folder: Path, key: str) -> None:
        self._place = folder / "reports" / f"{key}.msgpack"

    def get(self) -> Report | None:
        """The report, without secrets."""
        try:
            content = self._place.read_bytes()
            os.utime(self._place)
            return msgspec.msgpack.decode(content, type=Report)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def put(self, report: Report) -> None:
        """Keeps the report, where another run would give the same."""
        if any(word in gap.reason for gap in report.coverage.gaps for word in _NEVER):
            return
        try:
            content = msgspec.msgpack.encode(_without_secrets(report))
        except UnicodeEncodeError:  # names that are no text
            return
        if len(content) > _LARGEST:
            return
        with contextlib.suppress(OSError):
            self._place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=self._place.parent, prefix=".", delete=False) as file:
                file.write(content)
            Path(file.name).replace(self._place)
            self._tidy()

    def _tidy(self) -> None:
        held = sorted(self._place.parent.glob("*.msgpack"), key=lambda path: path.stat().st_mtime)
        for path in held[:-_MOST]:
            path.unlink(missing_ok=True)


def key(image: str, name: str, options: Iterable[object], files: Iterable[Path], database: str) -> str:
    """What a report is found again by. ``image``: the digest of its bytes. Raises OSError when a file cannot be read."""
    digest = hashlib.sha256()
    for part in (image, name, database, code(), *map(repr, options)):
        digest.update(part.encode(errors="backslashreplace") + b"\0")
    for path in files:
        digest.update(str(path).encode(errors="backslashreplace") + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def code() -> str:
    """A digest that changes with the files of this package and with what is installed beside its libraries."""
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for folder, _, names in sorted(os.walk(package)):
        for name in sorted(names):
            if name.endswith((".pyc", ".pyo")):
                continue
            state = os.stat(f"{folder}/{name}")  # noqa: PTH116  # a path object for each file costs more than its state
            digest.update(f"{folder}/{name} {state.st_size} {state.st_mtime_ns}\0".encode(errors="backslashreplace"))
    libraries = Path(msgspec.__file__).parents[1]
    for beside in (libraries, package.parent / "rules" / "yara"):
        with contextlib.suppress(OSError):
            digest.update(f"{beside} {beside.stat().st_mtime_ns}\0".encode(errors="backslashreplace"))
    return digest.hexdigest()


def _without_secrets(report: Report) -> Report:
    replace = msgspec.structs.replace
    findings = tuple(replace(each, secret="") if each.secret else each for each in report.findings)
    accounts = tuple(replace(each, secret="", plain="") for each in report.device.accounts)
    return replace(report, findings=findings, device=replace(report.device, accounts=accounts))
