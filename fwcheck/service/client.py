"""The client of the service, with the standard library alone: a release job needs nothing but the base install."""

from __future__ import annotations

import http.client
import json
import secrets
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

_PIECE = 256 << 10
RESUMED = 8 << 20  # bytes from which an upload is sent so that it can go on after a broken connection
_TIMEOUT = 60.0
_GATHERING = 900.0  # for the request that makes a scan of an upload: the service reads all of its bytes
_RETRIES = 6  # of one request, over about a minute
_LOST = {404, 410}  # statuses after which an upload has to be begun again
_PASSING = {408, 425, 429, 500, 502, 503, 504}  # statuses after which the same request may succeed

Along = Sequence[tuple[str, str, bytes]]  # what each file is, its name, its content


class ServiceError(Exception):
    """The service refused, or could not be reached: one line. ``status`` is that of HTTP, 0 when there was no answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as values."""
        return json.loads(self.body)


class Client:
    """Talks to one service. ``retry`` is told (seconds, why) before each wait."""

    def __init__(
        self, server: str, token: str, authority: Path | None = None, retry: Callable[[float, str], None] | None = None
    ) -> None:
        parts = urlsplit(server)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ServiceError(f"{server}: is not the address of a service (https://...)")
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._base = parts.path.rstrip("/")
        self._token = token
        self._retry = retry
        self._trust = ssl.create_default_context(cafile=str(authority) if authority else None) if self._secure else None

    def get(self, path: str, **query: object) -> Answer:
        """One page; waits and asks again when that may help."""
        given = {key: value for key, value in query.items() if value is not None}
        return self._patiently(lambda: self._once("GET", path + ("?" + urlencode(given) if given else "")))

    def upload(
        self, image: Path, fields: dict[str, str], sent: Callable[[int, int], None], files: Sequence[tuple[str, Path]] = ()
    ) -> dict[str, Any]:
        """Sends an image; gives the scan that it became. ``files`` go along with it: what each is, and where."""
        along = [(kind, path.name, path.read_bytes()) for kind, path in files]
        size = image.stat().st_size
        key = {"Idempotency-Key": secrets.token_hex(16)}  # a request whose answer was lost is sent again without doing more
        if size >= RESUMED:
            fields = {**fields, "upload": self._whole(image, size, sent)}
            boundary = secrets.token_hex(24)
            form = _fields(boundary, fields) + _files(boundary, along) + f"--{boundary}--\r\n".encode()
            kind = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Content-Length": str(len(form))}
            entered: dict[str, Any] = self._patiently(
                lambda: self._once("POST", "/api/v1/scans", {**kind, **key}, lambda: iter((form,)), _GATHERING)
            ).json()
            return entered

        def attempt() -> Answer:
            boundary = secrets.token_hex(24)
            head, tail = _form(boundary, fields, along, image.name)
            headers = {
                "Content-Type": f"multipart/form-data; boundary={boundary}",
                "Content-Length": str(len(head) + size + len(tail)),
                **key,
            }
            return self._once("POST", "/api/v1/scans", headers, lambda: _body(head, image, tail, size, sent))

        found: dict[str, Any] = self._patiently(attempt).json()
        return found

    def _whole(self, image: Path, size: int, sent: Callable[[int, int], None]) -> str:
        """The id of a finished upload. One that the service has lost is begun again, once."""
        try:
            return self._in_parts(image, size, sent)
        except ServiceError as error:
            if error.status not in _LOST:
                raise
            if self._retry is not None:
                self._retry(0.0, str(error))
            return self._in_parts(image, size, sent)

    def _in_parts(self, image: Path, size: int, sent: Callable[[int, int], None]) -> str:
        """Sends the bytes and gives the upload's id; after a broken connection it goes on where the service is."""
        said = json.dumps({"name": image.name, "size": size}).encode()
        kind = {"Content-Type": "application/json", "Content-Length": str(len(said))}
        upload = self._patiently(lambda: self._once("POST", "/api/v1/uploads", kind, lambda: iter((said,)))).json()
        url, offset, failed = str(upload["url"]), 0, 0
        while offset < size:
            before = offset
            try:
                answer = self._once(
                    "PATCH",
                    f"{url}?offset={offset}",
                    {"Content-Type": "application/octet-stream", "Content-Length": str(size - offset)},
                    lambda at=offset: _body(b"", image, b"", size, sent, at),  # type: ignore[misc]
                )
                why = "" if answer.status < 400 else _reason(answer)
                if why and answer.status not in _PASSING | {409}:
                    raise ServiceError(why, answer.status)
            except (OSError, http.client.HTTPException) as error:
                why = f"{self._host}: {getattr(error, 'strerror', None) or error or type(error).__name__}"
            offset = int(self.get(url).json()["offset"])
            failed = 0 if offset > before else failed + 1
            if failed > _RETRIES:
                raise ServiceError(why or "the service takes no more bytes")
            if offset < size:
                wait = min(30.0, 0.5 * 2**failed)
                if self._retry is not None:
                    self._retry(wait, f"{why}; {offset} of {size} bytes have arrived")
                time.sleep(wait)
        return str(upload["id"])

    def _patiently(self, attempt: Callable[[], Answer]) -> Answer:
        for number in range(_RETRIES + 1):
            wait = min(30.0, 0.5 * 2**number) * (0.75 + secrets.randbelow(500) / 1000)
            try:
                answer = attempt()
            except (OSError, http.client.HTTPException) as error:
                why = f"{self._host}: {getattr(error, 'strerror', None) or error or type(error).__name__}"
                if number == _RETRIES or isinstance(error, ssl.SSLCertVerificationError):
                    raise ServiceError(why) from error
            else:
                if answer.status < 400:
                    return answer
                why = _reason(answer)
                if number == _RETRIES or answer.status not in _PASSING:
                    raise ServiceError(why, answer.status)
                asked = answer.headers.get("retry-after", "")
                wait = max(wait, min(120.0, float(asked))) if asked.isdigit() else wait
            if self._retry is not None:
                self._retry(wait, why)
            time.sleep(wait)
        raise AssertionError

    def _once(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: Callable[[], Iterator[bytes]] | None = None,
        wait: float = _TIMEOUT,
    ) -> Answer:
        connection: http.client.HTTPConnection
        if self._secure:
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=wait, context=self._trust)
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=wait)
        sending = {"Authorization": f"Bearer {self._token}", "User-Agent": "fwcheck", "Connection": "close", **(headers or {})}
        try:
            try:
                connection.request(method, quote(self._base + path, safe="/?&=%+~-._"), body() if body else None, sending)
            except (BrokenPipeError, ConnectionResetError):
                # The service may have refused before it read all: its answer tells why.
                if body is None:
                    raise
            response = connection.getresponse()
            return Answer(response.status, {key.lower(): value for key, value in response.getheaders()}, response.read())
        finally:
            connection.close()


def _fields(boundary: str, fields: dict[str, str]) -> bytes:
    head = f"--{boundary}\r\nContent-Disposition: form-data; name="
    return "".join(f'{head}"{key}"\r\n\r\n{value}\r\n' for key, value in fields.items()).encode(errors="replace")


def _head(boundary: str, field: str, name: str) -> bytes:
    safe = "".join("_" if letter in '"\\\r\n' or not letter.isprintable() else letter for letter in name)
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{safe}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode(errors="replace")


def _files(boundary: str, files: Along) -> bytes:
    return b"".join(_head(boundary, field, name) + content + b"\r\n" for field, name, content in files)


def _form(boundary: str, fields: dict[str, str], files: Along, name: str) -> tuple[bytes, bytes]:
    head = _fields(boundary, fields) + _files(boundary, files) + _head(boundary, "image", name)
    return head, f"\r\n--{boundary}--\r\n".encode()


def _body(head: bytes, image: Path, tail: bytes, size: int, sent: Callable[[int, int], None], offset: int = 0) -> Iterator[bytes]:
    yield head
    done = offset
    with image.open("rb") as file:
        file.seek(offset)
        while piece := file.read(_PIECE):
            yield piece
            done += len(piece)
            sent(done, size)
    yield tail


def _reason(answer: Answer) -> str:
    try:
        problem = json.loads(answer.body)
        return f"{problem['title']}: {problem['detail']}" if problem.get("detail") else str(problem["title"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP status {answer.status}"
