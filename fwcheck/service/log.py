"""Structured logs: one line of JSON on standard error for each thing that happened. Secrets are never given to it."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec


def log(event: str, **facts: Any) -> None:
    """Tells that something happened."""
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, "process": os.getpid(), **facts}
    sys.stderr.write(msgspec.json.encode(line).decode() + "\n")
    sys.stderr.flush()
