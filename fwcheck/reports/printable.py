"""Text from images made safe to show: names and evidence are an attacker's choice.

Escape sequences could drive a terminal, bidirectional controls could reorder what a reader sees, and bytes that are no UTF-8
reach Python as lone surrogates, which no encoder takes. All of them are shown as escapes.
"""

from __future__ import annotations

import re
from typing import Any

# C0 and C1 controls, line and paragraph separators, bidirectional controls (Unicode 15, UAX #9), zero-width and byte order
# marks; U+FFFE and U+FFFF, which XML does not allow.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def plain(text: str) -> str:
    """The text on one line, with everything unsafe shown as an escape."""
    return text if text.isprintable() else _UNSAFE.sub(_escape, text)  # nothing unsafe is printable


def encodable(value: Any) -> Any:
    """The same plain values with lone surrogates shown as escapes, so that UTF-8 can carry them."""
    if isinstance(value, str):
        return _SURROGATE.sub(_escape, value)
    if isinstance(value, dict):
        return {encodable(key): encodable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [encodable(each) for each in value]
    return value


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte that Python's surrogateescape handler carried here
        return f"\\x{code - 0xDC00:02x}"
    return {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}.get(code) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
