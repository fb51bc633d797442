"""Products, the history of their versions, their waivers, and the files that they keep; and the policy for all."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import to_thread
from litestar import Controller, Request, Response, delete, get, post, put
from litestar.params import Parameter

from fwcheck.service import attachments, gating, nouns, scans, waivers
from fwcheck.service.api.bodies import RawBody, body
from fwcheck.service.api.security import needs
from fwcheck.service.context import Context
from fwcheck.service.problems import unknown
from fwcheck.service.receiving import label
from fwcheck.service.tokens import Principal, Role

Cursor = Annotated[str | None, Parameter(query="cursor", max_length=100, description="`next` of the page before.")]
Id = Annotated[str, Parameter(pattern="^[0-9a-f]{32}$")]
FileName = Annotated[str, Parameter(query="name", max_length=200, description="What reports call the file.")]
Limit = Annotated[int, Parameter(query="limit", ge=1, le=200)]


class Products(Controller):
    """Products, the history of their versions, their waivers, and the files that they keep."""

    path = "/api/v1/products"
    tags = ("products",)

    @get(sync_to_thread=True, operation_id="products", **needs(Role.UPLOADER))
    def listed(
        self, request: Request[Principal, None, Any], context: Context, cursor: Cursor = None, limit: Limit = 50
    ) -> nouns.Products:
        """The products that the token sees, by name."""
        with context.database.read() as session:
            return scans.products(session, request.user, cursor, limit)

    @get("/{name:str}/history", sync_to_thread=True, operation_id="history", **needs(Role.UPLOADER))
    def history(
        self, request: Request[Principal, None, Any], context: Context, name: str, cursor: Cursor = None, limit: Limit = 50
    ) -> nouns.History:
        """The versions of a product, the newest first."""
        with context.database.read() as session:
            return scans.history(session, request.user, name, cursor, limit)

    @get("/{name:str}/waivers", sync_to_thread=True, operation_id="waivers", **needs(Role.UPLOADER))
    def waivers(self, request: Request[Principal, None, Any], context: Context, name: str) -> list[nouns.Waiver]:
        """The waivers that stand, the oldest first."""
        with context.database.read() as session:
            product = scans.product(session, request.user, name)
            return [waivers.shown(row) for row in waivers.of(session, product.id)]

    @post("/{name:str}/waivers", sync_to_thread=True, operation_id="waive", **needs(Role.AUDITOR))
    def waive(self, request: Request[Principal, None, Any], context: Context, name: str, data: nouns.NewWaiver) -> nouns.Waiver:
        """Answers for findings of the product until a date: its gates and reports count them no longer."""
        with context.database.write() as session:
            return waivers.add(session, request.user, scans.product(session, request.user, name), data)

    @delete(
        "/{name:str}/waivers/{waiver:str}", status_code=204, sync_to_thread=True, operation_id="end_waiver", **needs(Role.AUDITOR)
    )
    def end(
        self,
        request: Request[Principal, None, Any],
        context: Context,
        name: str,
        waiver: Id,
    ) -> None:
        """Its findings count again."""
        with context.database.write() as session:
            waivers.end(session, scans.product(session, request.user, name), waiver)

    @get("/{name:str}/files", sync_to_thread=True, operation_id="product_files", **needs(Role.UPLOADER))
    def files(self, request: Request[Principal, None, Any], context: Context, name: str) -> list[nouns.Attachment]:
        """What the product keeps: its declaration, VEX documents, update keys and policy."""
        with context.database.read() as session:
            return attachments.kept(session, scans.product(session, request.user, name))

    @get("/{name:str}/files/{file:str}", sync_to_thread=True, operation_id="product_file", **needs(Role.UPLOADER))
    def file(self, request: Request[Principal, None, Any], context: Context, name: str, file: Id) -> Response[bytes]:
        """One of them as it was given."""
        with context.database.read() as session:
            found, content = attachments.found(session, scans.product(session, request.user, name), file)
        headers = {"Content-Disposition": f'attachment; filename="{found.kind}-{file}"'}
        return Response(content, media_type="application/octet-stream", headers=headers)

    @put(
        "/{name:str}/files/{kind:str}", operation_class=RawBody, operation_id="keep_product_file", status_code=200,
        **needs(Role.AUDITOR),
    )  # fmt: skip
    async def keep(
        self,
        request: Request[Principal, None, Any],
        context: Context,
        name: str,
        kind: Annotated[attachments.Kind, Parameter(description="What the file is.")],
        file_name: FileName = "",
    ) -> nouns.Attachment:
        """Keeps a file for the product, in place of the one that it keeps (of VEX and update keys: of the same name)."""
        scans.check_name(name)
        content = await body(request, attachments.LIMITS[kind])

        def enter() -> nouns.Attachment:
            sent = attachments.check(kind, label(file_name, kind), content)
            with context.database.write() as session:
                kept = attachments.keep(session, request.user, scans.made_for(session, request.user, name), sent)
            context.tell(request, attachments.told(kept))
            return kept

        return await to_thread.run_sync(enter)

    @delete(
        "/{name:str}/files/{file:str}", status_code=204, sync_to_thread=True, operation_id="end_product_file",
        **needs(Role.AUDITOR),
    )  # fmt: skip
    def end_file(self, request: Request[Principal, None, Any], context: Context, name: str, file: Id) -> None:
        """It counts no longer; scans that were made with it stay as they are."""
        with context.database.write() as session:
            row = attachments.end(session, scans.product(session, request.user, name), file)
            context.tell(request, f"{row.kind} {row.name} {row.sha256[:16]} ended")

    @get("/{name:str}/policy", sync_to_thread=True, operation_id="product_policy", **needs(Role.UPLOADER))
    def policy(self, request: Request[Principal, None, Any], context: Context, name: str) -> nouns.Policy:
        """The policy that its scans are held against: its own (a file of the product), else the one for all products."""
        with context.database.read() as session:
            return _there(gating.policy(session, scans.product(session, request.user, name)))

    @get("/{name:str}/baseline", sync_to_thread=True, operation_id="baseline", **needs(Role.UPLOADER))
    def baseline(self, request: Request[Principal, None, Any], context: Context, name: str) -> nouns.Baseline:
        """The version since which only what is new counts in its gates."""
        with context.database.read() as session:
            return gating.baseline(session, scans.product(session, request.user, name))

    @put("/{name:str}/baseline", sync_to_thread=True, operation_id="choose_baseline", **needs(Role.AUDITOR))
    def choose(
        self, request: Request[Principal, None, Any], context: Context, name: str, data: nouns.NewBaseline
    ) -> nouns.Baseline:
        """Chooses it: a scan, a version, or always the newest that was marked as released."""
        with context.database.write() as session:
            chosen = gating.choose(session, scans.product(session, request.user, name), data)
            context.tell(request, f"baseline {chosen.kind} {chosen.version or ''} {chosen.scan or ''}".strip())
            return chosen

    @delete("/{name:str}/baseline", status_code=204, sync_to_thread=True, operation_id="end_baseline", **needs(Role.AUDITOR))
    def end_baseline(self, request: Request[Principal, None, Any], context: Context, name: str) -> None:
        """Everything counts."""
        with context.database.write() as session:
            scans.product(session, request.user, name).baseline = None


class ServerPolicy(Controller):
    """The policy for all products that keep none of their own."""

    path = "/api/v1/policy"
    tags = ("policy",)

    @get(sync_to_thread=True, operation_id="policy", **needs(Role.UPLOADER))
    def shown(self, context: Context) -> nouns.Policy:
        """What it asks."""
        with context.database.read() as session:
            return _there(gating.policy(session, None))

    @put(operation_class=RawBody, operation_id="keep_policy", status_code=200, **needs(Role.ADMIN))
    async def keep(
        self, request: Request[Principal, None, Any], context: Context, file_name: FileName = "policy.toml"
    ) -> nouns.Attachment:
        """Takes another one (policy.toml as the body)."""
        content = await body(request, attachments.LIMITS["policy"])

        def enter() -> nouns.Attachment:
            sent = attachments.check("policy", label(file_name, "policy.toml"), content)
            with context.database.write() as session:
                kept = attachments.keep(session, request.user, None, sent)
            context.tell(request, attachments.told(kept))
            return kept

        return await to_thread.run_sync(enter)

    @delete(status_code=204, sync_to_thread=True, operation_id="end_policy", **needs(Role.ADMIN))
    def end(self, request: Request[Principal, None, Any], context: Context) -> None:
        """Nothing is asked of products that keep no policy."""
        with context.database.write() as session:
            row = attachments.end(session, None, _there(gating.policy(session, None)).file.id)
            context.tell(request, f"policy {row.name} {row.sha256[:16]} ended")


def _there(policy: nouns.Policy | None) -> nouns.Policy:
    if policy is None:
        raise unknown("policy")
    return policy
