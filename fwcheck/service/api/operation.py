"""For those who run the service: health, readiness, figures, the audit log, webhooks; and the search across products."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from litestar import Controller, Request, delete, get, post
from litestar.params import Parameter
from sqlalchemy import select

from fwcheck.service import audit, hooks, nouns, searching
from fwcheck.service.api.products import Cursor, Limit
from fwcheck.service.api.security import OPEN, needs
from fwcheck.service.confinement import confinement
from fwcheck.service.context import Context
from fwcheck.service.problems import Problem, unknown
from fwcheck.service.readiness import TAKING
from fwcheck.service.tables import Webhook
from fwcheck.service.tokens import Principal, Role

Word = Annotated[str | None, Parameter(min_length=1, max_length=200)]


@get("/health", opt=OPEN, sync_to_thread=False, operation_id="health", tags=["operation"])
def health() -> dict[str, str]:
    """The process is there."""
    return {"status": "alive"}


@get("/ready", opt=OPEN, sync_to_thread=True, operation_id="ready", tags=["operation"])
def ready(
    context: Context,
    wanted: Annotated[
        Literal["everything", "uploads"],
        Parameter(query="for", description="uploads: whether they can be taken, though the broker be away."),
    ] = "everything",
) -> dict[str, str]:
    """Uploads can be taken and are scanned: database, store and broker answer, there is room. Local workers: their sandbox."""
    found = context.readiness.check()
    bad = [name for name, good in found.items() if not good and (wanted == "everything" or name in TAKING)]
    if bad:
        raise Problem(503, "Service Unavailable", f"not ready: {', '.join(bad)}", headers={"Retry-After": "10"})
    told = {"status": "ready", **{name: "good" if good else "away" for name, good in found.items()}}
    if context.settings.local and context.settings.worker_count:
        told["sandbox"] = confinement(context.settings)
    return told


@get(
    "/metrics",
    sync_to_thread=True,
    media_type="text/plain; version=0.0.4",
    operation_id="metrics",
    tags=["operation"],
    **needs(Role.AUDITOR),
)
def metrics(context: Context) -> str:
    """Figures for Prometheus."""
    return context.metrics.text(context.database, context.store.free())


@get("/api/v1/audit", sync_to_thread=True, operation_id="audit", tags=["operation"], **needs(Role.ADMIN))
def accesses(context: Context, cursor: Cursor = None, limit: Limit = 100) -> nouns.Accesses:
    """Every request and how it was answered, the newest first."""
    with context.database.read() as session:
        return audit.accesses(session, cursor, limit)


@get("/api/v1/search", sync_to_thread=True, operation_id="search", tags=["search"], **needs(Role.AUDITOR))
def search(
    request: Request[Principal, None, Any],
    context: Context,
    component: Word = None,
    version: Word = None,
    vulnerability: Word = None,
    key: Word = None,
) -> nouns.Hits:
    """Which products carry a component, a known vulnerability, or a key (SHA-256 of its public half): one of the three."""
    if sum(each is not None for each in (component, vulnerability, key)) != 1:
        raise Problem(400, "Bad Request", "ask for one of component, vulnerability and key")
    with context.database.read() as session:
        return searching.search(session, request.user, component=component, version=version, vulnerability=vulnerability, key=key)


class Webhooks(Controller):
    """Where endings of scans are told."""

    path = "/api/v1/webhooks"
    tags = ("webhooks",)

    @get(sync_to_thread=True, operation_id="webhooks", **needs(Role.ADMIN))
    def listed(self, context: Context) -> list[nouns.Webhook]:
        """All of them, without their secrets."""
        with context.database.read() as session:
            return [_shown(row) for row in session.scalars(select(Webhook).order_by(Webhook.id))]

    @post(sync_to_thread=True, operation_id="add_webhook", **needs(Role.ADMIN))
    def add(self, context: Context, data: nouns.NewWebhook) -> nouns.AddedWebhook:
        """A new one; the secret that its messages are signed with is in this answer alone."""
        try:
            hooks.check(data.url)
        except (hooks.Refused, ValueError) as error:
            raise Problem(400, "Bad Request", f"url: {error}") from error
        if data.product is not None and not 0 < len(data.product) <= 100:
            raise Problem(400, "Bad Request", "product: 1 to 100 characters")
        with context.database.write() as session:
            row = Webhook(url=data.url, product=data.product)
            session.add(row)
            session.flush()
            return nouns.AddedWebhook(webhook=_shown(row), secret=hooks.secret_of(context.key, row.id))

    @delete("/{webhook:str}", status_code=204, sync_to_thread=True, operation_id="remove_webhook", **needs(Role.ADMIN))
    def remove(self, context: Context, webhook: Annotated[str, Parameter(pattern="^[0-9a-f]{32}$")]) -> None:
        """Nothing is told there any longer."""
        with context.database.write() as session:
            row = session.get(Webhook, webhook)
            if row is None:
                raise unknown("webhook")
            session.delete(row)


def _shown(row: Webhook) -> nouns.Webhook:
    return nouns.Webhook(id=row.id, url=row.url, product=row.product, created=row.created)
