"""What is around every answer: headers that browsers obey, the audit log, figures, and one line in the log."""

from __future__ import annotations

import secrets
import time
from typing import Any

from anyio import CancelScope, to_thread
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from fwcheck.service.context import Context
from fwcheck.service.log import log

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_POLICY = b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_UNNOTED = {"/health", "/ready", "/metrics"}  # what machines ask every few seconds
_READING = {"GET", "HEAD", "OPTIONS"}


class Outside:
    """Wraps the application."""

    def __init__(self, app: Any, context: Context) -> None:
        self._app: ASGIApp = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        begun, status = time.monotonic(), 0
        mark = secrets.token_hex(8)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _headers(list(message.get("headers", ())), mark)
                await self._note(scope, status, mark)
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            self._tell(scope, status, mark, time.monotonic() - begun)
            if not status:
                with CancelScope(shield=True):
                    await self._note(scope, 499, mark)  # whoever asked went away

    async def _note(self, scope: Scope, status: int, mark: str) -> None:
        """The access is in the audit log before it is answered, when it may have changed something."""
        if scope["path"] in _UNNOTED:
            return
        user, client, method = scope.get("user"), scope.get("client"), str(scope.get("method"))
        lasting = method not in _READING and user is not None
        facts = {
            "token_id": getattr(user, "token", None), "name": getattr(user, "name", ""), "client": client[0] if client else "",
            "method": method[:10], "path": scope["path"][:500], "status": status, "request": mark,
            "what": str(scope.get("fwcheck.what", ""))[:500],
        }  # fmt: skip

        def note() -> None:
            self._context.audit.note(lasting=lasting, **facts)

        if lasting:
            await to_thread.run_sync(note)
        else:
            note()

    def _tell(self, scope: Scope, status: int, mark: str, seconds: float) -> None:
        user, client, method = scope.get("user"), scope.get("client"), str(scope.get("method"))
        handler = scope.get("route_handler")
        route = scope.get("path_template") or (min(handler.paths, key=len) if handler is not None else "none")
        self._context.metrics.answered(method, str(route), status, seconds)
        log(
            "request", id=mark, method=method, path=scope["path"], status=status, seconds=round(seconds, 4),
            token=getattr(user, "token", None), client=client[0] if client else None,
        )  # fmt: skip


def _headers(given: list[tuple[bytes, bytes]], mark: str) -> list[tuple[bytes, bytes]]:
    names = {name.lower() for name, _ in given}
    more = [pair for pair in _HEADERS if pair[0] not in names]
    if b"content-security-policy" not in names:
        more.append((b"content-security-policy", _POLICY))
    if b"cache-control" not in names:
        more.append((b"cache-control", b"no-store"))
    return [*given, *more, (b"x-request-id", mark.encode())]
