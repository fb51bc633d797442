"""Images that arrive in several requests: who lost the connection asks how far it came, and goes on from there."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterable

from anyio import CancelScope, to_thread
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from fwcheck.service import nouns
from fwcheck.service.context import Context
from fwcheck.service.problems import Problem, unknown
from fwcheck.service.receiving import full, label
from fwcheck.service.storage import Incomplete, Staged
from fwcheck.service.tables import Upload, new_id
from fwcheck.service.tokens import Principal

_OPEN = 100  # uploads that one token may have begun


def begin(context: Context, principal: Principal, wanted: nouns.NewUpload) -> nouns.Upload:
    """A place for an image of this size."""
    limit = context.settings.max_image
    if wanted.size > limit:
        raise Problem(413, "Content Too Large", f"an image may have {limit} bytes", limit=limit)
    if wanted.size <= 0:
        raise Problem(400, "Bad Request", "the image is empty")
    with context.database.write() as session:
        mine = select(func.count()).select_from(Upload).where(Upload.token_id == principal.token)
        if (session.scalar(mine) or 0) >= _OPEN:
            raise Problem(429, "Too Many Requests", "finish or delete an upload first", headers={"Retry-After": "60"})
        # The image's bytes are counted when they come; what others have announced is not reserved.
        if context.store.free() < wanted.size + context.settings.reserve:
            raise full()
        row = Upload(id=new_id(), token_id=principal.token, name=label(wanted.name), size=wanted.size)
        session.add(row)
        context.store.begin(row.id)
        return _shown(row, 0)


def state(context: Context, principal: Principal, id: str) -> nouns.Upload:
    """How far it is."""
    return _shown(*_held(context, principal, id))


async def append(context: Context, principal: Principal, id: str, offset: int, stream: AsyncIterable[bytes]) -> nouns.Upload:
    """Adds bytes at an offset, which has to be where the image ends so far. What came before a broken connection stays."""
    if not context.claim_upload(id):
        raise Problem(409, "Conflict", "another request is writing to this upload", headers={"Retry-After": "1"})
    try:
        row, size = await to_thread.run_sync(_held, context, principal, id)
        if size != offset:
            raise Problem(409, "Conflict", f"the image has {size} bytes so far", offset=size)
        pieces = bytearray()
        try:
            async for piece in stream:
                if size + len(pieces) + len(piece) > row.size:
                    raise Problem(413, "Content Too Large", f"the upload was announced with {row.size} bytes")
                pieces += piece
                if len(pieces) >= context.store.piece:
                    await to_thread.run_sync(_add, context, id, size, bytes(pieces))
                    size += len(pieces)
                    pieces.clear()
        finally:
            if pieces:  # also of a connection that broke
                with CancelScope(shield=True):
                    await to_thread.run_sync(_add, context, id, size, bytes(pieces))
        return _shown(row, size + len(pieces))
    finally:
        context.release_upload(id)


def _add(context: Context, id: str, offset: int, piece: bytes) -> None:
    try:
        context.store.add(id, offset, piece)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise full() from error
        raise


def finish(context: Context, principal: Principal, id: str) -> tuple[str, Staged]:
    """The name and the bytes of an image that has arrived; the upload stays until the scan is entered."""
    row, size = _held(context, principal, id)
    if size != row.size:
        raise Problem(409, "Conflict", f"the image has {size} of {row.size} bytes", offset=size)
    try:
        return row.name, context.store.gathered(id, size)
    except Incomplete as error:
        raise Problem(503, "Service Unavailable", "somebody is writing to this upload", headers={"Retry-After": "2"}) from error


def forget(session: Session, id: str) -> None:
    """It has become a scan, or nobody wants it."""
    session.execute(delete(Upload).where(Upload.id == id))


def cancel(context: Context, principal: Principal, id: str) -> None:
    """Nobody wants it."""
    _held(context, principal, id)
    with context.database.write() as session:
        forget(session, id)
    context.store.drop(id)


def _held(context: Context, principal: Principal, id: str) -> tuple[Upload, int]:
    """The upload, and how many bytes of it are here."""
    with context.database.read() as session:
        row = session.get(Upload, id)
    if row is None or row.token_id != principal.token:
        raise unknown("upload")
    arrived = context.store.arrived(id)
    if arrived is None:
        raise Problem(410, "Gone", "the upload is no longer kept: begin again")
    return row, arrived


def _shown(row: Upload, offset: int) -> nouns.Upload:
    return nouns.Upload(id=row.id, url=f"/api/v1/uploads/{row.id}", size=row.size, offset=offset)
