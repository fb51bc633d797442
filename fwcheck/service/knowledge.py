"""Which vulnerability database scans are made with, and whether it is still the same."""

from __future__ import annotations

from pathlib import Path

from fwcheck.vulnerabilities.database import user_file


def file_state(knowledge: Path | str | None) -> tuple[object, ...]:
    """Changes when the knowledge file does: what was loaded before is old then."""
    path = Path(knowledge) if knowledge else user_file()
    try:
        status = path.stat()
    except OSError:
        return (str(path),)
    return (str(path), status.st_ino, status.st_size, status.st_mtime_ns)
