"""What each page shows. Reading needs a session or a token; what changes something needs the mark of the session's forms, too."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import msgspec
from anyio import to_thread
from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.params import Parameter

from fwcheck.gate import Demands, evaluate, exit_status
from fwcheck.gate.demands import Tier
from fwcheck.language.told import told
from fwcheck.model import Report
from fwcheck.reports.registry import FORMATS, Lang
from fwcheck.service import attachments, gating, nouns, scans, searching, visits, waivers
from fwcheck.service.api.scans import ScanId
from fwcheck.service.api.security import OPEN, PAGE, needs
from fwcheck.service.context import Context
from fwcheck.service.pages.plot import HEIGHT, WIDTH, plot
from fwcheck.service.pages.render import LANGUAGES, POLICY, STATIC, render, static
from fwcheck.service.problems import Problem
from fwcheck.service.receiving import receive
from fwcheck.service.tokens import Principal, Role

Asking = Request[Principal, str, Any]
_TOP = 12  # findings on the page of a scan
_REPORT = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; sandbox allow-scripts"
_SEVERITIES = ("critical", "high", "medium", "low", "info")


def language(request: Request[Any, Any, Any]) -> Lang:
    """The one that was chosen, else the one that the browser asks for."""
    chosen = request.cookies.get("fwcheck_lang", "")
    if chosen not in LANGUAGES:
        chosen = "ja" if request.headers.get("accept-language", "").lower().startswith("ja") else "en"
    return "ja" if chosen == "ja" else "en"


def page(request: Request[Any, Any, Any], template: str, status: int = 200, **values: Any) -> Response[str]:
    """A page with what all of them have."""
    user = request.scope.get("user")
    cookie = request.cookies.get(visits.COOKIE, "")
    context: Context = request.app.state.context
    said = {"user": user, "auditor": _may(user, Role.AUDITOR), "here": request.url.path}
    said |= {"oidc": context.settings.oidc_issuer and (context.settings.oidc_name or "OpenID Connect"), **values}
    text = render(template, language(request), mark=visits.mark(context, cookie) if user is not None else "", **said)
    policy = POLICY
    if context.provider is not None:  # signing out may lead there, and browsers hold forms to the policy on the way
        parts = urlsplit(context.settings.oidc_issuer)
        policy = POLICY.replace("form-action 'self'", f"form-action 'self' {parts.scheme}://{parts.netloc}")
    return Response(text, status_code=status, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": policy})


def _may(user: Principal | None, role: Role) -> bool:
    return user is not None and user.role >= role


def at(product: str, place: str = "") -> str:
    """The address of the page of a product."""
    return f"/products/{quote(product, safe='')}{place}"


def to(path: str) -> Response[None]:
    """Goes on elsewhere."""
    return Response(None, status_code=303, headers={"Location": path})


async def form(request: Asking, context: Context) -> dict[str, str]:
    """The fields of a small form of this session."""
    if int(request.headers.get("content-length") or 0) > 1 << 16:
        raise Problem(413, "Content Too Large", "a form may have 64 KiB")
    fields = {key: value for key, value in (await request.form()).items() if isinstance(value, str)}
    check_mark(request, context, fields.pop("mark", ""))
    return fields


def check_mark(request: Asking, context: Context, sent: str) -> None:
    """Raises Problem for a form that this session was not given."""
    if request.auth == "cookie" and not visits.marked(context, request.cookies.get(visits.COOKIE, ""), sent):
        raise Problem(403, "Forbidden", "the form is not of this session: load the page again")


@get("/static/{name:str}", opt=OPEN, sync_to_thread=False, include_in_schema=False)
def files(name: str) -> Response[bytes]:
    """Style and script; their address changes with their content."""
    if name not in STATIC:
        raise Problem(404, "Not Found")
    return Response(static(name), media_type=STATIC[name], headers={"Cache-Control": "public, max-age=31536000, immutable"})


@get("/sign-in", opt=OPEN | PAGE, sync_to_thread=False, include_in_schema=False)
def sign_in_page(request: Request[Any, Any, Any]) -> Response[str]:
    """The form for a token."""
    return page(request, "sign-in", problem="")


@post("/sign-in", opt=OPEN | PAGE, status_code=303, include_in_schema=False)
async def sign_in(request: Request[Any, Any, Any], context: Context) -> Response[Any]:
    """Begins a session."""
    client = request.client.host if request.client else ""
    if context.failures.empty(client):
        return page(request, "sign-in", 429, problem="slow_down")
    site = request.headers.get("sec-fetch-site", "same-origin")
    if int(request.headers.get("content-length") or 0) > 4096 or site not in {"same-origin", "none"}:
        raise Problem(403, "Forbidden", "sign in from the page of this service")
    presented = str((await request.form()).get("token", "")).strip()
    principal = await to_thread.run_sync(context.tokens.check, presented)
    if principal is None:
        context.failures.take(client)
        return page(request, "sign-in", 401, problem="token_bad")
    value = await to_thread.run_sync(visits.begin, context, principal)
    return Response(None, status_code=303, headers={"Location": "/"}, cookies=[session_cookie(request, value)])


def session_cookie(request: Request[Any, Any, Any], value: str) -> Cookie:
    """The cookie of a session: for our pages alone, and out of reach of scripts."""
    secure = request.url.scheme == "https"
    return Cookie(
        key=visits.COOKIE, value=value, httponly=True, samesite="lax", secure=secure, max_age=3600 * visits.HOURS, path="/"
    )  # fmt: skip


def home(request: Request[Any, Any, Any], context: Context) -> str:
    """The address of the service as browsers know it, without a slash at its end."""
    return (context.settings.public_url or str(request.base_url)).rstrip("/")


@post("/sign-out", opt=PAGE | {"role": Role.UPLOADER}, status_code=303, include_in_schema=False)
async def sign_out(request: Asking, context: Context) -> Response[None]:
    """Ends the session."""
    await form(request, context)
    await to_thread.run_sync(visits.end, context, request.cookies.get(visits.COOKIE, ""))
    gone = Cookie(key=visits.COOKIE, value="", max_age=0, path="/")
    elsewhere = None
    if context.provider is not None and await to_thread.run_sync(context.tokens.signed_on, request.user.token):
        elsewhere = await to_thread.run_sync(context.provider.leaving, f"{home(request, context)}/sign-in")
    return Response(None, status_code=303, headers={"Location": elsewhere or "/sign-in"}, cookies=[gone])


@get("/language/{lang:str}", opt=OPEN, sync_to_thread=False, include_in_schema=False)
def choose(lang: str, back: str = "/") -> Response[None]:
    """Remembers a language."""
    if lang not in LANGUAGES:
        raise Problem(404, "Not Found")
    inside = (
        back if back.startswith("/") and not back.startswith(("//", "/\\")) and back.isprintable() and back.isascii() else "/"
    )
    cookie = Cookie(key="fwcheck_lang", value=lang, samesite="lax", max_age=31536000, path="/")
    return Response(None, status_code=303, headers={"Location": inside}, cookies=[cookie])


@get("/", sync_to_thread=True, include_in_schema=False, **needs(Role.UPLOADER, page=True))
def products(request: Asking, context: Context, cursor: str | None = None) -> Response[str]:
    """All products, and where to drop an image."""
    with context.database.read() as session:
        found = scans.products(session, request.user, cursor, 100)
    return page(request, "products", products=found, targets=scans.TARGETS)


@post("/upload", status_code=303, include_in_schema=False, **needs(Role.UPLOADER, page=True))
async def upload(request: Asking, context: Context) -> Response[None]:
    """An image from a browser without script."""

    def accept(fields: dict[str, str]) -> None:
        check_mark(request, context, fields.pop("mark", ""))
        scans.order(fields, whole=False)

    length = request.headers.get("content-length", "")
    settings = context.settings
    arriving = await receive(
        request.stream(), request.headers.get("content-type", ""), int(length) if length.isdigit() else None, context.store,
        settings.max_image, settings.reserve, accept,
    )  # fmt: skip

    def enter() -> nouns.Scan:
        try:
            received = arriving.finish()
            scan = scans.submit(context, request.user, scans.order(received.fields), received)
            context.tell(request, scans.noted(scan, received))
            return scan
        finally:
            arriving.abandon()

    scan = await to_thread.run_sync(enter)
    return to(f"/scans/{scan.id}")


@get("/products/{name:str}", sync_to_thread=True, include_in_schema=False, **needs(Role.UPLOADER, page=True))
def product(request: Asking, context: Context, name: str, cursor: str | None = None) -> Response[str]:
    """A product: how its levels went, its versions, its waivers."""
    with context.database.read() as session:
        history = scans.history(session, request.user, name, cursor, 50)
        held = scans.product(session, request.user, name)
        rows = [waivers.shown(row) for row in waivers.of(session, held.id)]
        more: dict[str, Any] = {
            "files": [each for each in attachments.kept(session, held) if each.kind != "policy"],
            "policy": gating.policy(session, held),
            "baseline": gating.baseline(session, held),
        }
    drawn = plot(history.items)
    more |= {"plot": drawn, "width": WIDTH, "height": HEIGHT, "targets": scans.TARGETS, "kinds": attachments.ALONG}
    return page(request, "product", history=history, waivers=rows, **more)


@post("/products/{name:str}/waivers", status_code=303, include_in_schema=False, **needs(Role.AUDITOR, page=True))
async def waive(request: Asking, context: Context, name: str) -> Response[None]:
    """A new waiver."""
    fields = await form(request, context)
    back = fields.pop("back", "")
    try:
        wanted = nouns.NewWaiver(
            reason=fields.get("reason", ""), expires=date.fromisoformat(fields.get("expires", "")), owner=fields.get("owner", ""),
            rule=fields.get("rule", ""), fingerprint=fields.get("fingerprint", ""), path=fields.get("path", ""),
        )  # fmt: skip
    except ValueError as error:
        raise Problem(400, "Bad Request", "expires: a day") from error

    def enter() -> None:
        with context.database.write() as session:
            waivers.add(session, request.user, scans.product(session, request.user, name), wanted)

    await to_thread.run_sync(enter)
    return to(f"/scans/{back}" if len(back) == 32 and back.isalnum() else at(name, "#waivers"))


@post("/products/{name:str}/waivers/{waiver:str}/end", status_code=303, include_in_schema=False, **needs(Role.AUDITOR, page=True))
async def end_waiver(request: Asking, context: Context, name: str, waiver: str) -> Response[None]:
    """Its findings count again."""
    await form(request, context)

    def enter() -> None:
        with context.database.write() as session:
            waivers.end(session, scans.product(session, request.user, name), waiver)

    await to_thread.run_sync(enter)
    return to(at(name, "#waivers"))


@get("/scans/{scan:str}", sync_to_thread=True, include_in_schema=False, **needs(Role.UPLOADER, page=True))
def scan_page(request: Asking, context: Context, scan: ScanId) -> Response[str]:
    """Where a scan stands, and what came of it."""
    with context.database.read() as session:
        row, product, image = scans.find(session, request.user, scan)
        shown = scans.shown(row, product, image)
        before = scans.previous(session, row)
        server = gating.asked(session, product, row)
        given = attachments.of_scan(session, row.id)
    values: dict[str, Any] = {"report": None, "standing": None, "gate": None, "findings": [], "server": server, "given": given}
    if row.state == "done" and row.report is not None:
        judged = gating.judged(context, row, server=server)
        level = evaluate(judged, Demands(min_tier=msgspec.convert(row.judged, Tier)))
        report, lang = told(judged, language(request)), language(request)
        level = told(msgspec.structs.replace(judged, gate=level), lang).gate
        values |= {"report": report, "standing": level, "gate": report.gate, "findings": _worst(report)}
        values |= {"level_exit": exit_status(level), "gate_exit": exit_status(report.gate)}
    formats = [name for name, each in FORMATS.items() if each.suffix is not None and name != "html"]
    return page(request, "scan", scan=shown, before=before, formats=formats, today=date.today(), **values)  # noqa: DTZ011


def _worst(report: Report) -> list[Any]:
    adverse = [each for each in report.findings if each.verdict in {"violation", "concern"}]
    adverse.sort(key=lambda each: (each.waived, _SEVERITIES.index(each.severity.value), each.rule))
    return adverse[:_TOP]


@get("/scans/{scan:str}/report", sync_to_thread=True, include_in_schema=False, **needs(Role.UPLOADER, page=True))
def report(request: Asking, context: Context, scan: ScanId) -> Response[str | bytes]:
    """The report as a page of its own, in a sandbox: it is made from what stands in an image."""
    with context.database.read() as session:
        row, _, _ = scans.find(session, request.user, scan)
    text = FORMATS["html"].render(gating.judged(context, row), lang=language(request))
    return Response(text, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": _REPORT})


@get("/scans/{scan:str}/comparison", sync_to_thread=True, include_in_schema=False, **needs(Role.UPLOADER, page=True))
def comparison(
    request: Asking, context: Context, scan: ScanId, old: Annotated[str | None, Parameter(pattern="^[0-9a-f]{32}$")] = None
) -> Response[str]:
    """What changed since another version."""
    with context.database.read() as session:
        row, product, image = scans.find(session, request.user, scan)
        shown = scans.shown(row, product, image)
        history = scans.history(session, request.user, product.name, None, 100)
    change = scans.comparison(context, request.user, scan, old, language(request))
    groups = [
        (name, getattr(change, name)) for name in ("verdicts", "findings", "components", "services", "accounts", "coverage")
    ]
    others = [each for each in history.items if each.id != scan and each.report_url]
    return page(request, "comparison", scan=shown, change=change, groups=groups, others=others, old=old)


@get("/search", sync_to_thread=True, include_in_schema=False, **needs(Role.AUDITOR, page=True))
def search(request: Asking, context: Context, q: Annotated[str, Parameter(max_length=300)] = "") -> Response[str]:
    """Which products carry it."""
    text, hits = q.strip(), None
    if text:
        asked: dict[str, str | None] = {"component": None, "version": None, "vulnerability": None, "key": None}
        plain = text.lower().replace(":", "")
        if plain.startswith("cve-"):
            asked["vulnerability"] = text
        elif len(plain) == 64 and not set(plain) - set("0123456789abcdef"):
            asked["key"] = plain
        else:
            asked["component"], _, version = text.partition(" ")
            asked["version"] = version.strip() or None
        with context.database.read() as session:
            hits = searching.search(session, request.user, **asked)
    return page(request, "search", q=text, hits=hits)


PAGES = [
    files, sign_in_page, sign_in, sign_out, choose, products, upload, product, waive, end_waiver, scan_page, report, comparison,
    search,
]  # fmt: skip
