"""The history of a product as a drawing: a line of scores, bars of findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fwcheck.service.nouns import Scan

WIDTH, HEIGHT = 720.0, 180.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 34.0, 10.0, 12.0, 26.0
_SHOWN = 40


class Point(NamedTuple):
    """One version: where it stands, how high its bar is, and what to say of it."""

    x: float
    y: float
    bar: float
    width: float
    scan: Scan


class Plot(NamedTuple):
    """What the template draws."""

    points: list[Point]
    line: str
    base: float
    rules: list[tuple[float, int]]


def plot(newest_first: Sequence[Scan]) -> Plot | None:
    """The finished versions, the oldest at the left; None when there are fewer than two."""
    scans = [each for each in newest_first if each.status == "done" and each.score is not None][:_SHOWN][::-1]
    if len(scans) < 2:
        return None
    inner, tall = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    step = inner / len(scans)
    most = max(1, *(each.findings or 0 for each in scans))
    base = _TOP + tall

    def high(score: int) -> float:
        return round(base - tall * score / 100, 1)

    points = [
        Point(
            x=round(_LEFT + step * (at + 0.5), 1), y=high(each.score or 0), scan=each,
            bar=round(tall * 0.9 * (each.findings or 0) / most, 1), width=round(min(28.0, step * 0.5), 1),
        )
        for at, each in enumerate(scans)
    ]  # fmt: skip
    line = " ".join(f"{point.x},{point.y}" for point in points)
    return Plot(points=points, line=line, base=base, rules=[(high(score), score) for score in (0, 50, 100)])
