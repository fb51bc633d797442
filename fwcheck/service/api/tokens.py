"""Tokens: who may do what, for administrators."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Request, delete, get, post
from litestar.params import Parameter
from sqlalchemy import select

from fwcheck.service import nouns, tokens
from fwcheck.service.api.security import needs
from fwcheck.service.context import Context
from fwcheck.service.problems import Problem, unknown
from fwcheck.service.tables import Grant, Token, now
from fwcheck.service.tokens import Principal, Role

_NAME = 100


class Tokens(Controller):
    """Tokens and what they may do."""

    path = "/api/v1/tokens"
    tags = ("tokens",)

    @get(sync_to_thread=True, operation_id="tokens", **needs(Role.ADMIN))
    def listed(self, context: Context) -> list[nouns.Token]:
        """All tokens, without their secrets."""
        with context.database.read() as session:
            grants: dict[str, list[str]] = {}
            for grant in session.scalars(select(Grant).order_by(Grant.product)):
                grants.setdefault(grant.token_id, []).append(grant.product)
            return [_shown(token, grants.get(token.id, [])) for token in session.scalars(select(Token).order_by(Token.created))]

    @post(sync_to_thread=True, operation_id="issue_token", **needs(Role.ADMIN))
    def issue(self, context: Context, data: nouns.NewToken) -> nouns.IssuedToken:
        """A new token; its secret is in this answer and nowhere else."""
        if not 0 < len(data.name) <= _NAME or not data.name.isprintable():
            raise Problem(400, "Bad Request", f"name: 1 to {_NAME} printable characters")
        if data.role.upper() not in Role.__members__:
            raise Problem(400, "Bad Request", f"role: one of {', '.join(role.word for role in Role)}")
        if data.expires is not None and (data.expires.tzinfo is None or data.expires <= now()):
            raise Problem(400, "Bad Request", "expires: a time to come, with its zone")
        if len(data.products) > 1000 or any(not 0 < len(product) <= _NAME for product in data.products):
            raise Problem(400, "Bad Request", "products: at most 1000 names")
        with context.database.write() as session:
            token, secret = tokens.issue(session, data.name, Role[data.role.upper()], tuple(data.products), data.expires)
            return nouns.IssuedToken(token=_shown(token, data.products), secret=secret)

    @delete("/{token:str}", status_code=204, sync_to_thread=True, operation_id="revoke_token", **needs(Role.ADMIN))
    def revoke(
        self,
        request: Request[Principal, None, Any],
        context: Context,
        token: Annotated[str, Parameter(pattern="^[0-9a-f]{12}$")],
    ) -> None:
        """Ends a token at once. The one that asks cannot end itself."""
        if token == request.user.token:
            raise Problem(409, "Conflict", "a token cannot revoke itself")
        with context.database.write() as session:
            held = session.get(Token, token)
            if held is None:
                raise unknown("token")
            held.revoked = held.revoked or now()


def _shown(token: Token, products: list[str]) -> nouns.Token:
    return nouns.Token(
        id=token.id, name=token.name, role=token.role, products=products, created=token.created, expires=token.expires,
        revoked=token.revoked, used=token.used, signed_on=token.subject is not None,
    )  # fmt: skip
