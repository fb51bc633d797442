"""Published data fetched over the network into a directory, to be imported like what was carried there.

Only https is spoken (http with this machine itself alone), redirects included; sizes are bounded; nothing of an answer is trusted
but its bytes, which the import checks like any file.
"""

from __future__ import annotations

import datetime as dt
import http.client
import ssl
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from fwcheck.vulnerabilities.imports.documents import BadDocument

_FIRST_YEAR = 2002
_LIMIT = 2 << 30  # bytes of one answer
_TIMEOUT = 60.0  # seconds without a byte
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of ``sources.toml``."""

    url: str
    default: bool


@cache
def sources() -> dict[str, Source]:
    """Every source that is known, by name."""
    text = resources.files("fwcheck.vulnerabilities.imports").joinpath("sources.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, Source])


def addresses(names: Sequence[str], year: int | None = None) -> list[str]:
    """The addresses of sources by name; without a name, of those that are fetched by default."""
    unknown = [name for name in names if name not in sources()]
    if unknown:
        raise BadDocument(f"{unknown[0]}: no such source; there are {', '.join(sources())}")
    chosen = [each for name, each in sources().items() if name in names or (not names and each.default)]
    last = year if year is not None else dt.datetime.now(dt.UTC).year
    return [address for each in chosen for address in _expanded(each.url, last)]


def _expanded(url: str, last: int) -> Iterator[str]:
    if "{year}" in url:
        yield from (url.replace("{year}", str(year)) for year in range(_FIRST_YEAR, last + 1))
    else:
        yield url


def fetch(urls: Sequence[str], directory: Path) -> Iterator[Path]:
    """Each answer as a file of the directory. Raises BadDocument where one cannot be had."""
    opener = urllib.request.build_opener(_OnlySafe())
    for number, url in enumerate(urls):
        check(url)
        target = directory / f"{number:03}" / (urlsplit(url).path.rpartition("/")[2] or "document")
        target.parent.mkdir()
        _one(opener, url, target)
        yield target


def check(url: str) -> None:
    """Raises BadDocument for an address that is not to be asked."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise BadDocument(f"{url}: is no address: {error}") from error
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOCAL):
        raise BadDocument(f"{url}: only https is spoken")
    if not host:
        raise BadDocument(f"{url}: names no host")


class _OnlySafe(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        try:
            check(newurl)
        except BadDocument:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _one(opener: urllib.request.OpenerDirector, url: str, target: Path) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "fwcheck", "Accept-Encoding": "identity"})  # noqa: S310  # checked
    size = 0
    try:
        with opener.open(request, timeout=_TIMEOUT) as answer, target.open("wb") as stream:
            announced = answer.headers.get("Content-Length")
            while chunk := answer.read(1 << 20):
                size += len(chunk)
                if size > _LIMIT:
                    raise BadDocument(f"{url}: more than {_LIMIT >> 30} GiB")
                stream.write(chunk)
    except urllib.error.HTTPError as error:
        error.close()
        raise BadDocument(f"{url}: the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ssl.SSLError, ValueError) as error:
        if isinstance(error, BadDocument):
            raise
        reason = getattr(error, "reason", None) or error
        text = str(getattr(reason, "strerror", None) or reason or type(reason).__name__).splitlines()[0]
        raise BadDocument(f"{url}: cannot be fetched: {text}") from error
    if announced is not None and announced.isdigit() and size < int(announced):
        raise BadDocument(f"{url}: the answer ends in the middle")
