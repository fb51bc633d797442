"""Uploads, their status, reports and gates."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import msgspec
from anyio import sleep, to_thread
from litestar import Controller, Request, Response, delete, get, post, put
from litestar.openapi.spec import OpenAPIMediaType, Operation, Reference, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.params import Parameter
from litestar.response import ServerSentEvent, ServerSentEventMessage

from fwcheck.difference import Difference
from fwcheck.gate import Demands
from fwcheck.gate.demands import Level, Tier
from fwcheck.reports.registry import FORMATS, Lang
from fwcheck.service import attachments, gating, nouns, scans, uploads
from fwcheck.service.api.security import needs
from fwcheck.service.context import Context
from fwcheck.service.problems import Problem
from fwcheck.service.receiving import receive
from fwcheck.service.tokens import Principal, Role

_TYPES = {
    "sarif": "application/sarif+json", "cyclonedx": "application/vnd.cyclonedx+json", "spdx": "application/spdx+json",
}  # fmt: skip
_ENDINGS = {
    "json": "application/json", "html": "text/html; charset=utf-8", "xml": "application/xml",
    "md": "text/markdown; charset=utf-8", "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}  # fmt: skip
_LOOK = 0.5  # seconds between two looks at a scan whose progress is told
_SILENCE = 15.0  # seconds after which proxies would take the stream for dead


def _media_type(format: str) -> str:
    """The type of a report's format; others than these follow from its suffix."""
    ending = str(FORMATS[format].suffix).rsplit(".", 1)[-1]
    return _TYPES.get(format) or _ENDINGS.get(ending, "application/octet-stream")


ScanId = Annotated[str, Parameter(pattern="^[0-9a-f]{32}$", description="The id that the upload was answered with.")]


@dataclass
class _Upload(Operation):
    """The body of an upload, which the framework does not read itself."""

    def __post_init__(self) -> None:
        text = Schema(type=OpenAPIType.STRING, min_length=1, max_length=100)
        file = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        properties: dict[str, Reference | Schema] = {
            "product": text,
            "version": text,
            "target": Schema(type=OpenAPIType.STRING, enum=list(scans.TARGETS)),
            "fresh": Schema(type=OpenAPIType.STRING, enum=["true", "false"], description="scan again what was scanned before"),
            "urgency": Schema(type=OpenAPIType.STRING, enum=["gate", "audit"], description="gates wait less than audits"),
            "declaration": Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY, description="product.toml"),
            "vex": Schema(type=OpenAPIType.ARRAY, items=file, description="OpenVEX, CycloneDX or CSAF documents"),
            "update_key": Schema(type=OpenAPIType.ARRAY, items=file, description="public keys that updates are signed for"),
            "image": Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY, description="after all other fields"),
            "upload": Schema(type=OpenAPIType.STRING, description="instead of the image: the id of a finished upload"),
        }
        schema = Schema(type=OpenAPIType.OBJECT, properties=properties, required=["product", "version"])
        self.request_body = RequestBody(content={"multipart/form-data": OpenAPIMediaType(schema=schema)}, required=True)


class Scans(Controller):
    """Scans of uploaded images."""

    path = "/api/v1/scans"
    tags = ("scans",)

    @post(status_code=202, operation_class=_Upload, operation_id="upload", **needs(Role.UPLOADER))
    async def upload(self, request: Request[Principal, None, Any], context: Context) -> Response[nouns.Accepted]:
        """Takes an image, whatever its size, and queues its scan."""
        principal, settings = request.user, context.settings

        def accept(fields: dict[str, str]) -> None:
            """Refuses what can be refused before the image has arrived."""
            wanted = scans.order(fields, whole=False)
            if wanted.product and not principal.sees(wanted.product):
                raise Problem(403, "Forbidden", "the token has no grant for this product")

        key = request.headers.get("idempotency-key", "")
        if len(key) > 255 or not key.isprintable():
            raise Problem(400, "Bad Request", "Idempotency-Key: at most 255 printable characters")
        length = request.headers.get("content-length", "")
        form = await receive(
            request.stream(),
            request.headers.get("content-type", ""),
            int(length) if length.isdigit() else None,
            context.store,
            settings.max_image,
            settings.reserve,
            accept,
        )

        def enter() -> nouns.Scan:
            try:
                wanted = scans.order(form.fields)
                if wanted.upload and key and (before := scans.answered(context, principal, key, wanted)) is not None:
                    return before  # its answer was lost, and the upload is no more
                received = form.finish(partial(uploads.finish, context, principal))
                wanted = scans.order(received.fields)
                scan = scans.submit(context, principal, wanted, received, key)
                context.tell(request, scans.noted(scan, received))
                received.staged.abandon()  # the store has it; an upload in several requests stays when it is refused
                if wanted.upload:
                    context.store.drop(wanted.upload)
                return scan
            finally:
                form.abandon()

        scan = await to_thread.run_sync(enter)
        accepted = nouns.Accepted(id=scan.id, status_url=scan.status_url, status=scan.status)
        return Response(accepted, status_code=202, headers={"Location": scan.status_url})

    @get("/{scan:str}", sync_to_thread=True, operation_id="scan", **needs(Role.UPLOADER))
    def status(self, request: Request[Principal, None, Any], context: Context, scan: ScanId) -> nouns.Scan:
        """Where a scan stands."""
        with context.database.read() as session:
            return scans.shown(*scans.find(session, request.user, scan))

    @get("/{scan:str}/files", sync_to_thread=True, operation_id="scan_files", **needs(Role.UPLOADER))
    def files(self, request: Request[Principal, None, Any], context: Context, scan: ScanId) -> list[nouns.GivenFile]:
        """The declaration, VEX documents and update keys that the scan was made with."""
        with context.database.read() as session:
            scans.find(session, request.user, scan)
            return [msgspec.convert(each, nouns.GivenFile, from_attributes=True) for each in attachments.of_scan(session, scan)]

    @get("/{scan:str}/report", sync_to_thread=True, operation_id="report", **needs(Role.UPLOADER))
    def report(
        self,
        request: Request[Principal, None, Any],
        context: Context,
        scan: ScanId,
        format: Annotated[str, Parameter(query="format", description="json, html, sarif, ...")] = "json",
        lang: Lang = "en",
    ) -> Response[bytes]:
        """The report in one of the formats of ``fwcheck scan``."""
        if format not in FORMATS or FORMATS[format].suffix is None:
            offered = [name for name, each in FORMATS.items() if each.suffix is not None]
            raise Problem(400, "Bad Request", f"format: one of {', '.join(offered)}")
        with context.database.read() as session:
            row, _, _ = scans.find(session, request.user, scan)
        content = FORMATS[format].render(gating.judged(context, row), lang=lang)
        raw = content if isinstance(content, bytes) else content.encode(errors="backslashreplace")
        headers = {"Content-Disposition": f'attachment; filename="{scan}.{FORMATS[format].suffix}"'}
        return Response(raw, media_type=_media_type(format), headers=headers)

    @get("/{scan:str}/gate", sync_to_thread=True, operation_id="gate", **needs(Role.UPLOADER))
    def gate(
        self,
        request: Request[Principal, None, Any],
        context: Context,
        scan: ScanId,
        min_tier: Tier | None = None,
        min_score: Annotated[int | None, Parameter(ge=0, le=100)] = None,
        fail_on: Level | None = None,
        baseline: Annotated[
            str | None,
            Parameter(
                pattern="^([0-9a-f]{32}|none)$",
                description="Of these demands: fail only on what is new since; none: on everything. Default: the product's.",
            ),
        ] = None,
        lang: Lang = "en",
    ) -> nouns.Gate:
        """Whether the release may pass, by these demands and by what the server asks: 200 either way, with the reasons."""
        demands = Demands(min_tier=min_tier, min_score=min_score, fail_on=fail_on)
        return gating.gate(context, request.user, scan, demands, baseline, lang)

    @put("/{scan:str}/release", sync_to_thread=True, operation_id="release", **needs(Role.AUDITOR))
    def release(self, request: Request[Principal, None, Any], context: Context, scan: ScanId) -> nouns.Scan:
        """Marks the version as one that went out: the baseline of products that chose the newest of these."""
        with context.database.write() as session:
            return gating.release(session, request.user, scan, out=True)

    @delete("/{scan:str}/release", status_code=200, sync_to_thread=True, operation_id="unrelease", **needs(Role.AUDITOR))
    def unrelease(self, request: Request[Principal, None, Any], context: Context, scan: ScanId) -> nouns.Scan:
        """Marks the version as one that did not go out."""
        with context.database.write() as session:
            return gating.release(session, request.user, scan, out=False)

    @get("/{scan:str}/comparison", sync_to_thread=True, operation_id="comparison", **needs(Role.UPLOADER))
    def comparison(
        self,
        request: Request[Principal, None, Any],
        context: Context,
        scan: ScanId,
        old: Annotated[str | None, Parameter(pattern="^[0-9a-f]{32}$", description="Default: the version before.")] = None,
    ) -> Difference:
        """What changed since another scan: findings, verdicts, components, services, accounts."""
        return scans.comparison(context, request.user, scan, old)

    @get("/{scan:str}/events", operation_id="events", **needs(Role.UPLOADER))
    async def events(self, request: Request[Principal, None, Any], context: Context, scan: ScanId) -> ServerSentEvent:
        """The scan each time that something changes (server-sent events), until it is at its end."""
        principal = request.user

        def look() -> nouns.Scan:
            with context.database.read() as session:
                return scans.shown(*scans.find(session, principal, scan))

        first = await to_thread.run_sync(look)  # what may not be seen is told before the stream begins

        async def changes() -> AsyncIterator[ServerSentEventMessage]:
            told, quiet, current = None, 0.0, first
            while True:
                if current != told:
                    told, quiet = current, 0.0
                    yield ServerSentEventMessage(event="scan", data=msgspec.json.encode(current).decode())
                if current.status in {"done", "failed"}:
                    return
                if quiet >= _SILENCE:
                    quiet = 0.0
                    yield ServerSentEventMessage(comment="still here", data=None)
                await sleep(_LOOK)
                quiet += _LOOK
                current = await to_thread.run_sync(look)

        return ServerSentEvent(changes())
