"""Structured logs: one line of JSON on standard error for each thing that happened. Secrets are never given to it."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from typing import Any


def log(event: str, **facts: Any) -> None:
    """Tells that something happened."""
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, "process": os.getpid(), **facts}
    # ASCII alone: a path with a line separator of Unicode in it must not look like two lines.
    sys.stderr.write(json.dumps(line, default=str) + "\n")
    sys.stderr.flush()
