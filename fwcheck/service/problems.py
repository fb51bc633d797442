"""Errors as the API tells them: RFC 9457 problem details."""

from __future__ import annotations

from typing import Any

import msgspec

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """A request that cannot be fulfilled: its status, a title that is the same for all of its kind, and what is wrong here."""

    def __init__(self, status: int, title: str, detail: str = "", headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = headers or {}
        self.more = more

    def body(self, instance: str) -> bytes:
        """The document."""
        said = {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail, "instance": instance}
        return msgspec.json.encode({key: value for key, value in {**said, **self.more}.items() if value not in ("", None)})


class ProblemDocument(msgspec.Struct, kw_only=True):
    """The document that tells what went wrong (RFC 9457)."""

    title: str
    status: int
    type: str = "about:blank"
    detail: str = ""
    instance: str = ""


def unknown(what: str) -> Problem:
    """Not there, or not for this one: both look the same."""
    return Problem(404, "Not Found", f"there is no such {what}, or the token does not see it")
