"""Uploads in several requests."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Request, delete, get, patch, post
from litestar.params import Parameter

from fwcheck.service import nouns, uploads
from fwcheck.service.api.security import needs
from fwcheck.service.context import Context
from fwcheck.service.tokens import Principal, Role

UploadId = Annotated[str, Parameter(pattern="^[0-9a-f]{32}$")]


class Uploads(Controller):
    """Images that arrive piece by piece; `POST /api/v1/scans` with the field `upload` makes a scan of one."""

    path = "/api/v1/uploads"
    tags = ("uploads",)

    @post(sync_to_thread=True, operation_id="begin_upload", **needs(Role.UPLOADER))
    def begin(self, request: Request[Principal, None, Any], context: Context, data: nouns.NewUpload) -> nouns.Upload:
        """A place for an image of a given size."""
        return uploads.begin(context, request.user, data)

    @get("/{upload:str}", sync_to_thread=True, operation_id="upload_state", **needs(Role.UPLOADER))
    def state(self, request: Request[Principal, None, Any], context: Context, upload: UploadId) -> nouns.Upload:
        """How far it is."""
        return uploads.state(context, request.user, upload)

    @patch("/{upload:str}", operation_id="append_upload", **needs(Role.UPLOADER))
    async def append(
        self,
        request: Request[Principal, None, Any],
        context: Context,
        upload: UploadId,
        offset: Annotated[int, Parameter(query="offset", ge=0, le=1 << 50)],
    ) -> nouns.Upload:
        """Adds the bytes of the body; `offset` has to be what the upload holds so far."""
        return await uploads.append(context, request.user, upload, offset, request.stream())

    @delete("/{upload:str}", status_code=204, sync_to_thread=True, operation_id="cancel_upload", **needs(Role.UPLOADER))
    def cancel(self, request: Request[Principal, None, Any], context: Context, upload: UploadId) -> None:
        """Forgets it."""
        uploads.cancel(context, request.user, upload)
