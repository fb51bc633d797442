"""Text of scripts and configuration: bounded, and the same from the content alone."""

import pytest

from fwcheck.inspection.text import LIMIT, PAGE_LIMIT, text_of


def test_utf8_and_latin1_are_decoded():
    assert text_of("größe\n".encode(), "text") == "größe\n"
    assert text_of("größe\n".encode("latin-1"), "text") == "größe\n"


def test_marks_are_dropped_and_line_ends_kept():
    assert text_of(b"\xef\xbb\xbfa\r\nb", "script") == "a\r\nb"
    assert text_of("\ufeffa\r\nb".encode("utf-16-le"), "text") == "a\r\nb"
    assert text_of("\ufeffab".encode("utf-16-be"), "text") == "ab"


@pytest.mark.parametrize(
    ("kind", "limit"), [("script", LIMIT), ("text", LIMIT), ("xml", LIMIT), ("html", PAGE_LIMIT), ("css", PAGE_LIMIT)]
)
def test_text_over_its_limit_is_left_out(kind, limit):
    assert text_of(b"a" * limit, kind) is not None
    assert text_of(b"a" * (limit + 1), kind) is None


@pytest.mark.parametrize("kind", ["elf", "binary", "png", "empty", "lua-bytecode"])
def test_what_is_no_text_has_none(kind):
    assert text_of(b"\x00\x01\x02abc", kind) is None


def test_in_latin1_text_an_index_is_a_byte_offset():
    content = b"\xe9\xe8 password"
    text = text_of(content, "text")
    assert text.index("password") == content.index(b"password")


def test_a_value_filled_up_with_nuls_is_its_text() -> None:
    assert text_of(b"passphrase" + bytes(55), "binary") == "passphrase"
    assert text_of(bytes(65), "binary") is None
    assert text_of(b"\x01\x02pass" + bytes(60), "binary") is None
    assert text_of(b"passphrase" + bytes(300), "binary") is None
