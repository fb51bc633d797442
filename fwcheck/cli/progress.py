"""A progress line on a terminal, and nothing when standard error is a pipe."""

from __future__ import annotations

import sys
import time
from typing import Any, Self

_EVERY = 0.08  # seconds between redraws


class Progress:
    """Use as a context manager; call with (stage, done, total)."""

    def __init__(self, name: str, quiet: bool) -> None:
        self._name = name
        self._shown = not quiet and sys.stderr.isatty()
        self._bar: Any = None
        self._task: Any = None
        self._last = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if not self._shown or (now - self._last < _EVERY and done != total):
            return
        self._last = now
        if self._bar is None:
            self._begin()
        self._bar.update(self._task, description=stage, completed=done, total=total)
        self._bar.refresh()

    def _begin(self) -> None:
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415
        from rich.progress import Progress as Bar  # noqa: PLC0415

        columns = (
            TextColumn(self._name),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
        )
        # No refresh thread: worker processes are forked while the bar is up, and a fork copies no threads.
        self._bar = Bar(*columns, console=Console(stderr=True), auto_refresh=False, transient=True)
        self._bar.start()
        self._task = self._bar.add_task("")
