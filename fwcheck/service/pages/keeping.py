"""Forms for what products keep: files that go along with images, a policy, a baseline; and the policy for all."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from litestar import Request, Response, get, post
from litestar.datastructures import UploadFile

from fwcheck.service import attachments, gating, nouns, scans
from fwcheck.service.api.scans import ScanId
from fwcheck.service.api.security import needs
from fwcheck.service.context import Context
from fwcheck.service.pages.routes import Asking, at, check_mark, form, page, to
from fwcheck.service.problems import Problem
from fwcheck.service.receiving import label
from fwcheck.service.tables import Product
from fwcheck.service.tokens import Role

_FORM = (9 << 20) + (1 << 16)  # bytes of a form with a file
_ID = 32  # characters of an id


@post("/products/{name:str}/files", status_code=303, include_in_schema=False, **needs(Role.AUDITOR, page=True))
async def keep(request: Asking, context: Context, name: str) -> Response[None]:
    """Keeps a file for a product."""
    if int(request.headers.get("content-length") or _FORM + 1) > _FORM:
        raise Problem(413, "Content Too Large", f"a file may have {max(attachments.LIMITS.values())} bytes")
    fields = await request.form()
    check_mark(request, context, str(fields.get("mark", "")))
    kind, file = fields.get("kind"), fields.get("file")
    if kind not in attachments.ALONG or not isinstance(file, UploadFile):
        raise Problem(400, "Bad Request", "choose what the file is, and the file")
    content = await file.read()

    def enter() -> None:
        sent = attachments.check(kind, label(file.filename, kind), content)
        with context.database.write() as session:
            kept = attachments.keep(session, request.user, scans.product(session, request.user, name), sent)
        context.tell(request, attachments.told(kept))

    await to_thread.run_sync(enter)
    return to(at(name, "#files"))


@post("/products/{name:str}/files/{file:str}/end", status_code=303, include_in_schema=False, **needs(Role.AUDITOR, page=True))
async def end(request: Asking, context: Context, name: str, file: str) -> Response[None]:
    """It counts no longer."""
    await form(request, context)

    def enter() -> None:
        with context.database.write() as session:
            row = attachments.end(session, scans.product(session, request.user, name), file)
            context.tell(request, f"{row.kind} {row.name} {row.sha256[:16]} ended")

    await to_thread.run_sync(enter)
    return to(at(name, "#files"))


@post("/products/{name:str}/baseline", status_code=303, include_in_schema=False, **needs(Role.AUDITOR, page=True))
async def choose(request: Asking, context: Context, name: str) -> Response[None]:
    """Chooses the baseline of a product."""
    chosen = (await form(request, context)).get("baseline", "")

    def enter() -> None:
        with context.database.write() as session:
            product = scans.product(session, request.user, name)
            if chosen == gating.NONE:
                product.baseline = None
                context.tell(request, "baseline none")
                return
            released = chosen == gating.RELEASED
            wanted = nouns.NewBaseline(released=released, scan=None if released else chosen[:_ID])
            now_it_is = gating.choose(session, product, wanted)
            context.tell(request, f"baseline {now_it_is.kind} {now_it_is.version or ''}".strip())

    await to_thread.run_sync(enter)
    return to(at(name, "#asked"))


@post("/scans/{scan:str}/release", status_code=303, include_in_schema=False, **needs(Role.AUDITOR, page=True))
async def release(request: Asking, context: Context, scan: ScanId) -> Response[None]:
    """Marks a version as one that went out, or as one that did not."""
    out = (await form(request, context)).get("out") == "true"

    def enter() -> None:
        with context.database.write() as session:
            gating.release(session, request.user, scan, out=out)

    await to_thread.run_sync(enter)
    return to(f"/scans/{scan}")


@get("/policy", include_in_schema=False, **needs(Role.UPLOADER, page=True))
async def policy_for_all(request: Asking, context: Context) -> Response[str]:
    """The policy for all products that keep none of their own."""
    return await to_thread.run_sync(_policy_page, request, context, None)


@post("/policy", status_code=200, include_in_schema=False, **needs(Role.ADMIN, page=True))
async def keep_policy_for_all(request: Asking, context: Context) -> Response[Any]:
    """Takes another one, or none."""
    return await _policy(request, context, None)


@get("/products/{name:str}/policy", include_in_schema=False, **needs(Role.UPLOADER, page=True))
async def policy(request: Asking, context: Context, name: str) -> Response[str]:
    """The policy of a product, else the one for all."""
    return await to_thread.run_sync(_policy_page, request, context, name)


@post("/products/{name:str}/policy", status_code=200, include_in_schema=False, **needs(Role.AUDITOR, page=True))
async def keep_policy(request: Asking, context: Context, name: str) -> Response[Any]:
    """Takes another one, or none."""
    return await _policy(request, context, name)


async def _policy(request: Asking, context: Context, name: str | None) -> Response[Any]:
    fields = await form(request, context)
    text = fields.get("text", "").replace("\r\n", "\n")

    def enter() -> None:
        with context.database.write() as session:
            product = scans.product(session, request.user, name) if name is not None else None
            if fields.get("end"):
                row = attachments.end(session, product, fields["end"])
                context.tell(request, f"policy {row.name} {row.sha256[:16]} ended")
                return
            kept = attachments.keep(session, request.user, product, attachments.check("policy", "policy.toml", text.encode()))
            context.tell(request, attachments.told(kept))

    try:
        await to_thread.run_sync(enter)
    except Problem as problem:
        if problem.status != 400:
            raise
        return await to_thread.run_sync(_policy_page, request, context, name, text, problem)
    return to(at(name, "/policy") if name is not None else "/policy")


def _policy_page(
    request: Request[Any, Any, Any], context: Context, name: str | None, text: str | None = None, problem: Problem | None = None
) -> Response[str]:
    with context.database.read() as session:
        product: Product | None = scans.product(session, request.user, name) if name is not None else None
        held = gating.policy(session, product)
    mine = held if held is not None and held.of == ("product" if name is not None else "server") else None
    shown = text if text is not None else (held.text if held is not None else "")
    may = request.user.role >= (Role.AUDITOR if name is not None else Role.ADMIN)
    status = problem.status if problem is not None else 200
    return page(request, "policy", status, product=name, held=held, mine=mine, text=shown, problem=problem, may=may)


KEEPING = [keep, end, choose, release, policy_for_all, keep_policy_for_all, policy, keep_policy]
