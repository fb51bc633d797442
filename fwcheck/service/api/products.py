"""Products, the history of their versions, and their waivers."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Request, delete, get, post
from litestar.params import Parameter

from fwcheck.service import nouns, scans, waivers
from fwcheck.service.api.security import needs
from fwcheck.service.context import Context
from fwcheck.service.tokens import Principal, Role

Cursor = Annotated[str | None, Parameter(query="cursor", max_length=100, description="`next` of the page before.")]
Limit = Annotated[int, Parameter(query="limit", ge=1, le=200)]


class Products(Controller):
    """Products, the history of their versions, and their waivers."""

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
        waiver: Annotated[str, Parameter(pattern="^[0-9a-f]{32}$")],
    ) -> None:
        """Its findings count again."""
        with context.database.write() as session:
            waivers.end(session, scans.product(session, request.user, name), waiver)
