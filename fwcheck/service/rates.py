"""How often somebody may ask: a bucket for each token, and one for each address that sends bad ones."""

from __future__ import annotations

import time
from collections import OrderedDict
from threading import Lock

_KEPT = 10_000


class Rate:
    """Token buckets by name: ``per_minute`` go in, a full one holds as many as come in ``burst`` seconds, and at least one."""

    def __init__(self, per_minute: float, burst: float = 30.0) -> None:
        self._per_second = per_minute / 60
        self._full = max(1.0, self._per_second * burst)
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()  # name: what is left, when that was so
        self._lock = Lock()

    def take(self, name: str) -> float:
        """0 when it may go on, else the seconds to wait."""
        return self._ask(name, 1.0)

    def empty(self, name: str) -> float:
        """0 when something is left, else the seconds to wait; takes nothing."""
        return self._ask(name, 0.0)

    def _ask(self, name: str, cost: float) -> float:
        now = time.monotonic()
        with self._lock:
            left, then = self._held.pop(name, (self._full, now))
            left = min(self._full, left + (now - then) * self._per_second)
            allowed = left >= 1.0
            self._held[name] = (left - cost if allowed else left, now)
            while len(self._held) > _KEPT:
                self._held.popitem(last=False)
        return 0.0 if allowed else (1.0 - left) / self._per_second
