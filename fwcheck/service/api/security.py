"""Who is asking, and whether they may: a bearer token or a session on every route that does not say otherwise."""

from __future__ import annotations

from math import ceil
from typing import Any

from anyio import to_thread
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult

from fwcheck.service import visits
from fwcheck.service.context import Context
from fwcheck.service.problems import Problem
from fwcheck.service.tokens import Principal, Role

OPEN: dict[str, Any] = {"exclude_from_auth": True}  # for routes that everybody may ask
PAGE: dict[str, Any] = {"page": True}  # for routes that people look at: they check the mark of their forms themselves
MARK = "x-fwcheck-mark"
_READING = {"GET", "HEAD", "OPTIONS"}


class Authentication(AbstractAuthenticationMiddleware):
    """Finds out who sent a request; without a good token or session it is not answered."""

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        context: Context = connection.app.state.context
        header, cookie = connection.headers.get("authorization"), connection.cookies.get(visits.COOKIE, "")
        if header is not None or not cookie:
            principal, how = await self._bearer(connection, context, header or ""), "bearer"
        else:
            principal, how = await self._visitor(connection, context, cookie), "cookie"
        if wait := context.requests.take(principal.token):
            raise _slower(wait)
        return AuthenticationResult(user=principal, auth=how)

    async def _bearer(self, connection: ASGIConnection[Any, Any, Any, Any], context: Context, header: str) -> Principal:
        client = connection.client.host if connection.client else ""
        if wait := context.failures.empty(client):
            raise _slower(wait)
        scheme, _, presented = header.partition(" ")
        principal = None
        if scheme.lower() == "bearer" and presented:
            principal = await to_thread.run_sync(context.tokens.check, presented.strip())
        if principal is None:
            if header:  # who sends nothing guesses nothing
                context.failures.take(client)
            raise Problem(401, "Unauthorized", "a valid bearer token is needed", headers={"WWW-Authenticate": "Bearer"})
        return principal

    async def _visitor(self, connection: ASGIConnection[Any, Any, Any, Any], context: Context, cookie: str) -> Principal:
        principal = await to_thread.run_sync(visits.whose, context, cookie)
        if principal is None:
            raise Problem(401, "Unauthorized", "the session has ended: sign in again")
        handler = connection.scope.get("route_handler")
        marks_itself = handler is not None and handler.opt.get("page")
        changes = str(connection.scope.get("method")) not in _READING
        if changes and not marks_itself and not visits.marked(context, cookie, connection.headers.get(MARK, "")):
            raise Problem(403, "Forbidden", f"a session has to send {MARK}")
        return principal


def _slower(wait: float) -> Problem:
    return Problem(429, "Too Many Requests", "asked too often", headers={"Retry-After": str(ceil(wait))})


def needs(role: Role, *, page: bool = False) -> Any:
    """The route's option and guard: this role or one above it."""
    return {"guards": [_guard], "opt": {"role": role, **(PAGE if page else {})}}


def _guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    needed: Role = handler.opt["role"]
    if connection.user.role < needed:
        raise Problem(403, "Forbidden", f"this needs the role {needed.word}")
