"""Figures for Prometheus (text format 0.0.4): what this process answered, and where the installation's scans stand."""

from __future__ import annotations

import threading
from collections import Counter

from sqlalchemy import func, select

from fwcheck.service.database import Database
from fwcheck.service.tables import Delivery, Scan, now

_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)


class Metrics:
    """Counts answers by route; a route is its pattern, so that no name becomes a label."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, str, int]] = Counter()
        self._within: Counter[tuple[str, float]] = Counter()
        self._seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one."""
        with self._lock:
            self._answers[method, route, status] += 1
            self._seconds[route] = self._seconds.get(route, 0.0) + seconds
            for bound in _BUCKETS:
                if seconds <= bound:
                    self._within[route, bound] += 1

    def text(self, database: Database, free: int) -> str:
        """All figures; ``free`` is the bytes that the store has room for."""
        lines = ["# TYPE fwcheck_requests_total counter"]
        with self._lock:
            answers, within, seconds = dict(self._answers), dict(self._within), dict(self._seconds)
        lines += [
            f'fwcheck_requests_total{{method="{method}",route="{route}",status="{status}"}} {count}'
            for (method, route, status), count in sorted(answers.items())
        ]
        lines.append("# TYPE fwcheck_request_seconds histogram")
        for route in sorted(seconds):
            count = sum(value for (_, held, _), value in answers.items() if held == route)
            lines += [
                f'fwcheck_request_seconds_bucket{{route="{route}",le="{bound:g}"}} {within.get((route, bound), 0)}'
                for bound in _BUCKETS
            ]
            lines += [
                f'fwcheck_request_seconds_bucket{{route="{route}",le="+Inf"}} {count}',
                f'fwcheck_request_seconds_sum{{route="{route}"}} {seconds[route]:.6f}',
                f'fwcheck_request_seconds_count{{route="{route}"}} {count}',
            ]
        return "\n".join([*lines, *_standing(database, free)]) + "\n"


def _standing(database: Database, free: int) -> list[str]:
    with database.read() as session:
        states = dict(session.execute(select(Scan.state, func.count()).group_by(Scan.state)).all())
        oldest = session.scalar(select(func.min(Scan.created)).where(Scan.state == "queued"))
        retried = session.scalar(select(func.count()).select_from(Scan).where(Scan.tries > 1)) or 0
        waiting = session.scalar(select(func.count()).select_from(Delivery).where(Delivery.state == "waiting")) or 0
    return [
        "# TYPE fwcheck_scans gauge",
        *(f'fwcheck_scans{{state="{state}"}} {states.get(state, 0)}' for state in ("queued", "running", "done", "failed")),
        "# TYPE fwcheck_oldest_queued_seconds gauge",
        f"fwcheck_oldest_queued_seconds {(now() - oldest).total_seconds() if oldest else 0:.3f}",
        "# TYPE fwcheck_scans_retried gauge",
        f"fwcheck_scans_retried {retried}",
        "# TYPE fwcheck_webhooks_waiting gauge",
        f"fwcheck_webhooks_waiting {waiting}",
        "# TYPE fwcheck_store_free_bytes gauge",
        f"fwcheck_store_free_bytes {free}",
    ]
