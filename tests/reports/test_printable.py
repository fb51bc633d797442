"""Text from images cannot drive a terminal or hide what it says."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from fwcheck.reports.printable import encodable, plain


def test_escape_sequences_are_shown() -> None:
    assert plain("\x1b[2Jgone\r\n") == "\\x1b[2Jgone\\r\\n"


def test_direction_controls_are_shown() -> None:
    assert plain("safe\u202egnp.exe") == "safe\\u202egnp.exe"


def test_bytes_that_are_no_unicode_are_shown() -> None:
    assert plain(b"caf\xe9".decode("utf-8", "surrogateescape")) == "caf\\xe9"


def test_other_scripts_stay() -> None:
    assert plain("設定 › naïve") == "設定 › naïve"


@given(st.text(st.characters(codec=None)))
def test_nothing_invisible_gets_through(text: str) -> None:
    shown = plain(text)
    shown.encode()
    assert not any(unicodedata.category(each) in {"Cc", "Cs", "Zl", "Zp"} for each in shown)


@given(st.recursive(st.text(st.characters(codec=None)), lambda each: st.lists(each) | st.dictionaries(st.text(), each)))
def test_every_nested_text_becomes_encodable(value) -> None:
    repr(encodable(value)).encode()
