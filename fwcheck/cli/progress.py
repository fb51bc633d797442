"""One line about what is going on, on a terminal that can redraw it; nothing where standard error is a pipe, a file or dumb."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from typing import Self

from fwcheck.reports.printable import plain

_EVERY = 0.1  # seconds between redraws
_RATE_AFTER = 1.0  # seconds of a stage before its rate means anything
_BAR = 24
_CLEAR, _HIDE, _REVEAL = "\r\x1b[2K", "\x1b[?25l", "\x1b[?25h"


class Progress:
    """Use as a context manager; call with (stage, done, total)."""

    def __init__(self, name: str, quiet: bool) -> None:
        self._name = plain(name)
        self._shown = not quiet and sys.stderr.isatty() and os.environ.get("TERM", "") not in {"", "dumb"}
        self._colour = "NO_COLOR" not in os.environ
        self._begun = self._stage_begun = time.monotonic()
        self._stage = ""
        self._last = 0.0
        self._drawn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            self._write(_CLEAR + _REVEAL)
            self._drawn = False

    def __call__(self, stage: str, done: int, total: int) -> None:
        if not self._shown:
            return
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._stage_begun = stage, now
        elif now - self._last < _EVERY:
            return
        self._last = now
        columns = shutil.get_terminal_size((80, 24)).columns
        self._write(("" if self._drawn else _HIDE) + _CLEAR + self._line(done, total, now, columns))
        self._drawn = True

    def _line(self, done: int, total: int, now: float, columns: int) -> str:
        """As much as fits: the stage always, then how far, the rate and the time, then a bar and the name."""
        counted = total > 1
        told = f"{done:,}/{total:,}" if counted else ""
        seconds = now - self._stage_begun
        rate = f"{done / seconds:,.0f}/s" if counted and done and seconds > _RATE_AFTER else ""
        clock = f"{int(now - self._begun) // 60}:{int(now - self._begun) % 60:02}"
        facts = "  ".join(filter(None, (told, rate, clock)))
        room = columns - 1 - len(self._stage) - len(facts) - 2
        if room < 0:
            return self._stage[: columns - 1]
        bar = ""
        if counted and room > _BAR + 4:
            full = _BAR * done // total
            bar = "  " + self._painted("━" * full, "32") + self._painted("━" * (_BAR - full), "2")
            room -= _BAR + 2
        name = self._name if len(self._name) + 2 <= room else f"{self._name[: max(0, room - 3)]}…" if room > 8 else ""
        return f"{name}{'  ' if name else ''}{self._stage}{bar}  {facts}"

    def _painted(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour and text else text

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text.encode(sys.stderr.encoding or "ascii", "replace").decode(sys.stderr.encoding or "ascii"))
            sys.stderr.flush()
