"""Products and the history of their versions."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Request, get
from litestar.params import Parameter

from fwcheck.service import nouns, scans
from fwcheck.service.api.security import needs
from fwcheck.service.context import Context
from fwcheck.service.tokens import Principal, Role

Cursor = Annotated[str | None, Parameter(query="cursor", max_length=100, description="`next` of the page before.")]
Limit = Annotated[int, Parameter(query="limit", ge=1, le=200)]


class Products(Controller):
    """Products and the history of their versions."""

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
