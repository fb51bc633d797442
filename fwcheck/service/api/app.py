"""The ASGI application."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ASGIApp
from sqlalchemy.exc import DBAPIError

from fwcheck import __version__
from fwcheck.service.api.operation import Webhooks, accesses, health, metrics, ready, search
from fwcheck.service.api.outside import Outside
from fwcheck.service.api.products import Products, ServerPolicy
from fwcheck.service.api.scans import Scans
from fwcheck.service.api.security import Authentication
from fwcheck.service.api.tokens import Tokens
from fwcheck.service.api.uploads import Uploads
from fwcheck.service.context import Context
from fwcheck.service.database import away
from fwcheck.service.log import log
from fwcheck.service.pages.keeping import KEEPING
from fwcheck.service.pages.routes import PAGES, page
from fwcheck.service.pages.signing_in import SIGNING_IN
from fwcheck.service.problems import MEDIA_TYPE, Problem


def application(context: Context) -> ASGIApp:
    """The service of one installation."""
    app = Litestar(
        route_handlers=[
            health,
            ready,
            metrics,
            accesses,
            search,
            Scans,
            Uploads,
            Products,
            ServerPolicy,
            Tokens,
            Webhooks,
            *PAGES,
            *KEEPING,
            *SIGNING_IN,
        ],
        dependencies={"context": Provide(lambda: context, sync_to_thread=False)},
        middleware=[Authentication],
        exception_handlers={Problem: _problem, HTTPException: _refused, DBAPIError: _away, Exception: _defect},
        openapi_config=OpenAPIConfig(
            title="fwcheck",
            version=__version__,
            description="Uploads of firmware images, their reports and gates.",
            path="/schema",
            render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"], media_type="application/json")],  # type: ignore[arg-type]
            components=Components(security_schemes={"token": SecurityScheme(type="http", scheme="bearer")}),
            security=[{"token": []}],
        ),
        state=State({"context": context}),
        request_max_body_size=None,
        pdb_on_exception=False,
        debug=False,
        logging_config=None,
    )
    return Outside(app, context)


def _answer(request: Request[Any, Any, Any], problem: Problem) -> Response[Any]:
    handler = request.scope.get("route_handler")
    if handler is not None and handler.opt.get("page"):
        if problem.status == 401:
            return Response(None, status_code=303, headers={"Location": "/sign-in"})
        return page(request, "problem", problem.status, problem=problem)
    return Response(problem.body(request.url.path), status_code=problem.status, media_type=MEDIA_TYPE, headers=problem.headers)


def _problem(request: Request[Any, Any, Any], problem: Problem) -> Response[Any]:
    return _answer(request, problem)


def _refused(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """What the framework itself refuses, without the values that were sent."""
    fields = [
        {"name": str(each.get("key", "")), "reason": str(each.get("message", ""))[:300]}
        for each in (error.extra if isinstance(error.extra, list) else [])
        if isinstance(each, dict)
    ]
    titles = {400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed", 413: "Content Too Large"}
    title = titles.get(error.status_code, "Request Refused")
    detail = "; ".join(f"{each['name']}: {each['reason']}" for each in fields)
    problem = Problem(error.status_code, title, detail, headers=dict(error.headers or {}))
    return _answer(request, problem)


def _away(request: Request[Any, Any, Any], error: DBAPIError) -> Response[Any]:
    """The database does not answer: that passes, and the client may ask again."""
    if not away(error):
        return _defect(request, error)
    log("database", error=type(error.orig).__name__)
    return _answer(request, Problem(503, "Service Unavailable", "the database does not answer", headers={"Retry-After": "5"}))


def _defect(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """A defect of ours: told in the log, not to the client."""
    log("defect", path=request.url.path, error=type(error).__name__, text=str(error)[:500])
    return _answer(request, Problem(500, "Internal Server Error", "the service has a defect; its log tells more"))
