"""Paths of which only the ends and the check are known, told as steps all the same: source, check, write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from fwcheck.model import Evidence, StepAction, UpdatePath, UpdateStep

_FETCHED = ("http download", "tftp or ftp", "package feed", "TR-069", "cloud", "over the air")


def outlined(path: UpdatePath) -> UpdatePath:
    """The path with steps, where its reader gave none."""
    return path if path.steps else msgspec.structs.replace(path, steps=tuple(_outline(path)))


def _outline(path: UpdatePath) -> Iterator[UpdateStep]:
    first = path.evidence[0] if path.evidence else None
    name = path.mechanism or path.sink
    if path.source == "container":
        yield checking(path, first, "unknown", "whether the device looks at it is for its updater or boot loader")
        return
    yield UpdateStep(action="fetch" if path.source in _FETCHED else "receive", what=path.source)
    if path.verified == "unknown":
        yield UpdateStep(action="verify", what=path.detail or name, honoured="unknown", evidence=first)
    elif path.verified != "none":
        yield checking(path, first, "yes", "")
    yield UpdateStep(action="write", what=f"{path.sink} by {name}" if name != path.sink else path.sink, evidence=first)


def checking(path: UpdatePath, where: Evidence | None, honoured: Literal["yes", "unknown"], reason: str) -> UpdateStep:
    """The check that a path rests on, as a step."""
    kind = path.verified
    what = path.detail or f"{kind} by {path.mechanism}"
    if kind == "none" or kind == "unknown":  # noqa: PLR1714 (mypy narrows it so)
        return UpdateStep(action="verify", what=what, honoured="unknown", reason=reason, evidence=where)
    action: StepAction = "verify" if kind == "signature" else "compare"
    return UpdateStep(action=action, what=what, check=kind, honoured=honoured, reason=reason, evidence=where)
