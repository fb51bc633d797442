"""Signing in and out by the identity provider, where the installation has one."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from litestar import Request, Response, get
from litestar.datastructures import Cookie

from fwcheck.service import oidc, visits
from fwcheck.service.api.security import OPEN, PAGE
from fwcheck.service.context import Context
from fwcheck.service.log import log
from fwcheck.service.pages.routes import home, page, session_cookie, to
from fwcheck.service.problems import unknown

_TRY = "fwcheck_try"  # cookie of a sign-in that was begun
_PATH = "/sign-in/oidc"


@get(_PATH, opt=OPEN | PAGE, status_code=303, include_in_schema=False)
async def begin(request: Request[Any, Any, Any], context: Context) -> Response[Any]:
    """Goes to the provider."""
    provider, client = _provider(context), _client(request)
    if context.failures.empty(client) or context.requests.take(f"sign-in {client}"):
        return page(request, "sign-in", 429, problem="slow_down")
    try:
        cookie, address = await to_thread.run_sync(provider.begin, _back(request, context))
    except oidc.SignInError as error:
        return _failed(request, error)
    secure = request.url.scheme == "https"
    held = Cookie(key=_TRY, value=cookie, httponly=True, samesite="lax", secure=secure, max_age=60 * oidc.MINUTES, path=_PATH)
    return Response(None, status_code=303, headers={"Location": address}, cookies=[held])


@get(f"{_PATH}/back", opt=OPEN | PAGE, status_code=303, include_in_schema=False)
async def back(request: Request[Any, Any, Any], context: Context) -> Response[Any]:
    """Comes back from the provider, with a code or without."""
    provider, client = _provider(context), _client(request)
    if context.failures.empty(client):
        return page(request, "sign-in", 429, problem="slow_down")
    answer = {name: values[0] for name in ("code", "state", "iss", "error") if (values := request.query_params.getall(name, []))}
    cookie = request.cookies.get(_TRY, "")[:300]

    def enter() -> str:
        claims = provider.finish(cookie, answer, _back(request, context))
        with context.database.write() as session:
            token = oidc.enter(session, context.settings, claims)
        principal = context.tokens.holder(token.id)
        if principal is None:
            raise oidc.SignInError(f"{token.id} does not count", "oidc_no_role")
        log("signed in", token=token.id, role=token.role)
        return visits.begin(context, principal)

    try:
        value = await to_thread.run_sync(enter)
    except oidc.SignInError as error:
        if error.word != "oidc_away":
            context.failures.take(client)
        answered: Response[Any] = _failed(request, error)
    else:
        answered = to("/")
        answered.set_cookie(session_cookie(request, value))
    answered.set_cookie(Cookie(key=_TRY, value="", max_age=0, path=_PATH))  # a try is good for one answer
    return answered


def _provider(context: Context) -> oidc.Provider:
    if context.provider is None:
        raise unknown("page")
    return context.provider


def _failed(request: Request[Any, Any, Any], error: oidc.SignInError) -> Response[str]:
    log("sign-in failed", reason=str(error)[:300])
    return page(request, "sign-in", 503 if error.word == "oidc_away" else 401, problem=error.word)


def _back(request: Request[Any, Any, Any], context: Context) -> str:
    return f"{home(request, context)}{_PATH}/back"


def _client(request: Request[Any, Any, Any]) -> str:
    return request.client.host if request.client else ""


SIGNING_IN = [begin, back]
