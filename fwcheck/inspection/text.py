"""Text of scripts and configuration files: bounded, decoded the same way every time."""

from __future__ import annotations

LIMIT = 256 << 10  # bytes: larger texts are data, not configuration
PAGE_LIMIT = 16 << 10  # bytes: web pages, style sheets and the like
_LIST_LIMIT = 16 << 20  # bytes: lists of installed packages
_LISTS = (b"Package: ", b"C:Q1")  # how dpkg, opkg and apk begin theirs
_LIST_MARK = 9
_FIELD_LIMIT = 256  # bytes: a value in a field of fixed length, filled up with NULs

_CONFIGURATION = frozenset({"script", "text", "json", "xml", "pem", "php"})
_PAGES = frozenset({"html", "css", "javascript", "svg"})
TEXTUAL = _CONFIGURATION | _PAGES
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


def is_left_out(kind: str, size: int) -> bool:
    """Whether a configuration file or script of ``size`` bytes is over the limit, so that its text is not read."""
    return kind in _CONFIGURATION and size > LIMIT


def text_of(content: bytes | memoryview, kind: str) -> str | None:
    """The decoded text of a content of this kind, None when the kind is no text or the content is over its limit.

    UTF-8 (UTF-16 with a byte-order mark), else Latin-1, so that every byte stays one character. The byte-order mark is dropped,
    line ends are kept as they are. In Latin-1 and ASCII text a character's index is its byte offset. A short value that is filled
    up with NULs (settings of flash images) is text without these.
    """
    if kind == "binary" and len(content) <= _FIELD_LIMIT:
        value = bytes(content).rstrip(b"\0")
        return value.decode() if value.isascii() and value.decode().isprintable() and value else None
    limit = LIMIT if kind in _CONFIGURATION else PAGE_LIMIT if kind in _PAGES else -1
    if limit == LIMIT and bytes(content[:_LIST_MARK]).startswith(_LISTS):
        limit = _LIST_LIMIT
    if len(content) > limit:
        return None
    raw = bytes(content)
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return raw[len(mark) :].decode(encoding, "replace")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
