"""An upload while it arrives: multipart/form-data read piece by piece, the image straight into the store.

Memory stays the same however large the image is; nothing of it is looked at here. The name that a client gives is a label.
"""

from __future__ import annotations

import errno
import re
from collections.abc import AsyncIterable, Callable

import msgspec
from anyio import to_thread
from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser, parse_options_header

from fwcheck.service import attachments
from fwcheck.service.attachments import ALONG, ALTOGETHER, MOST, Sent
from fwcheck.service.problems import Problem
from fwcheck.service.storage import Folder, Staged

_PIECE = 1 << 20  # bytes that are handed on at once
_FIELD = 64 << 10  # bytes of one field that is not the image
_FIELDS = 16 + len(ALONG) * MOST
_OVERHEAD = (1 << 20) + ALTOGETHER  # bytes of a request beside its image
_LABEL = re.compile(r"[^\w.,+@=~() -]")


class Received(msgspec.Struct, kw_only=True):
    """A whole upload."""

    fields: dict[str, str]
    name: str
    staged: Staged
    files: tuple[Sent, ...] = ()


class Form:
    """The parts of a request as they arrive. ``accept`` is called with the fields so far when the image begins."""

    def __init__(self, content_type: str, store: Folder, limit: int, accept: Callable[[dict[str, str]], None]) -> None:
        kind, options = parse_options_header(content_type)
        if kind != "multipart/form-data" or not options.get("boundary"):
            raise Problem(415, "Unsupported Media Type", "an upload is multipart/form-data with a boundary")
        try:
            self._parser = PushMultipartParser(options["boundary"], max_segment_count=_FIELDS)
        except MultipartError as error:
            raise Problem(400, "Bad Request", str(error)) from error
        self._store = store
        self._limit = limit
        self._accept = accept
        self._segment: MultipartSegment | None = None
        self._text = bytearray()
        self.fields: dict[str, str] = {}
        self.files: list[Sent] = []
        self.name = ""
        self.staged: Staged | None = None

    def feed(self, piece: bytes) -> None:
        """Takes the next bytes of the request; none at its end."""
        try:
            for event in self._parser.parse(piece):
                self._take(event)
        except ParserLimitReached as error:
            raise Problem(413, "Content Too Large", str(error)) from error
        except (MultipartError, UnicodeDecodeError) as error:
            raise Problem(400, "Bad Request", f"the form cannot be read: {error}") from error
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise full() from error
            raise

    def _take(self, event: MultipartSegment | bytearray | bytes | None) -> None:
        if isinstance(event, MultipartSegment):
            self._begin(event)
        elif event is None:
            self._end()
        elif self._image:
            assert self.staged is not None
            if self.staged.size + len(event) > self._limit:
                raise Problem(413, "Content Too Large", f"an image may have {self._limit} bytes", limit=self._limit)
            self.staged.write(bytes(event))
        else:
            self._text += event
            name = self._segment.name if self._segment is not None else ""
            limit = attachments.LIMITS[name] if name in ALONG else _FIELD
            if len(self._text) > limit:
                raise Problem(413, "Content Too Large", f"{label(name) if name in ALONG else 'a field'} may have {limit} bytes")

    @property
    def _image(self) -> bool:
        return self._segment is not None and self._segment.name == "image"

    def _begin(self, segment: MultipartSegment) -> None:
        self._segment = segment
        self._text.clear()
        if not self._image:
            return
        if self.staged is not None:
            raise Problem(400, "Bad Request", "one image is taken at a time")
        self._accept(self.fields)
        self.name = label(segment.filename or "")
        self.staged = self._store.stage()

    def _end(self) -> None:
        assert self._segment is not None
        for kind in ALONG:
            if self._segment.name == kind:
                self._attach(kind, self._segment.filename or "", bytes(self._text))
                break
        else:
            if not self._image:
                self.fields[self._segment.name] = self._text.decode()
        self._segment = None

    def _attach(self, kind: attachments.Along, name: str, content: bytes) -> None:
        """A file that goes along with the image; what browsers send for a field that was left empty is none."""
        if not name and not content:
            return
        sent = attachments.check(kind, label(name, kind), content)
        alike = [each for each in self.files if each.kind == kind]
        if len(alike) >= (1 if kind in attachments.SINGLE else MOST):
            raise Problem(400, "Bad Request", f"{kind}: too many of them")
        if any(each.name == sent.name for each in alike):
            raise Problem(400, "Bad Request", f"{kind}: two of them are called {sent.name}")
        if sum(len(each.content) for each in self.files) + len(content) > ALTOGETHER:
            raise Problem(413, "Content Too Large", f"all files beside the image may have {ALTOGETHER} bytes together")
        self.files.append(sent)

    def abandon(self) -> None:
        """Nothing of what has arrived is wanted."""
        if self.staged is not None:
            self.staged.abandon()

    def finish(self, staged: Callable[[str], tuple[str, Staged]] | None = None) -> Received:
        """Everything has arrived; raises Problem when it is not whole. ``staged`` gives the image that the field upload names."""
        self.feed(b"")
        if self.staged is None and staged is not None and "upload" in self.fields:
            name, image = staged(self.fields["upload"])
            return Received(fields=self.fields, name=name, staged=image, files=tuple(self.files))
        if self.staged is None:
            raise Problem(400, "Bad Request", "the field image is missing")
        if self.staged.size == 0:
            raise Problem(400, "Bad Request", "the image is empty")
        try:
            self.staged.finish()
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise full() from error
            raise
        return Received(fields=self.fields, name=self.name, staged=self.staged, files=tuple(self.files))


async def receive(
    stream: AsyncIterable[bytes],
    content_type: str,
    length: int | None,
    store: Folder,
    limit: int,
    reserve: int,
    accept: Callable[[dict[str, str]], None],
) -> Form:
    """Reads the whole request; what it raises leaves nothing behind."""
    if length is not None and length > limit + _OVERHEAD:
        raise Problem(413, "Content Too Large", f"an image may have {limit} bytes", limit=limit)
    if await to_thread.run_sync(store.free) < (length or 0) + reserve:
        raise full()
    form = Form(content_type, store, limit, accept)
    try:
        pieces = bytearray()
        async for piece in stream:
            pieces += piece
            if len(pieces) >= _PIECE:
                await to_thread.run_sync(form.feed, bytes(pieces))
                pieces.clear()
        if pieces:
            await to_thread.run_sync(form.feed, bytes(pieces))
    except BaseException:
        form.abandon()
        raise
    return form


def full() -> Problem:
    """There is no room."""
    return Problem(507, "Insufficient Storage", "the disk of the service is full", headers={"Retry-After": "600"})


def label(name: str, otherwise: str = "image.bin") -> str:
    """What a client calls its file, as a label: no folders, nothing that a terminal or a page would act on."""
    last = re.split(r"[/\\]", name)[-1]
    return _LABEL.sub("_", last)[:100].strip(" .") or otherwise
