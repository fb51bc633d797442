"""Who is asking, and whether they may: bearer tokens on every route that does not say otherwise."""

from __future__ import annotations

from math import ceil
from typing import Any

from anyio import to_thread
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult

from fwcheck.service.context import Context
from fwcheck.service.problems import Problem
from fwcheck.service.tokens import Role

OPEN = {"exclude_from_auth": True}  # for routes that everybody may ask


class Authentication(AbstractAuthenticationMiddleware):
    """Finds out who sent a request; without a good token it is not answered."""

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        context: Context = connection.app.state.context
        client = connection.client.host if connection.client else ""
        if wait := context.failures.empty(client):
            raise _slower(wait)
        scheme, _, presented = connection.headers.get("authorization", "").partition(" ")
        principal = None
        if scheme.lower() == "bearer" and presented:
            principal = await to_thread.run_sync(context.tokens.check, presented.strip())
        if principal is None:
            context.failures.take(client)
            raise Problem(401, "Unauthorized", "a valid bearer token is needed", headers={"WWW-Authenticate": "Bearer"})
        if wait := context.requests.take(principal.token):
            raise _slower(wait)
        return AuthenticationResult(user=principal, auth=None)


def _slower(wait: float) -> Problem:
    return Problem(429, "Too Many Requests", "asked too often", headers={"Retry-After": str(ceil(wait))})


def needs(role: Role) -> Any:
    """The route's option and guard: this role or one above it."""
    return {"guards": [_guard], "opt": {"role": role}}


def _guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    needed: Role = handler.opt["role"]
    if connection.user.role < needed:
        raise Problem(403, "Forbidden", f"this needs the role {needed.word}")
