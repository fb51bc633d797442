"""Every secret shape is executed on its own examples; what is secret is never shown."""

import pytest

from fwcheck.inspection.catalogue import applies, builtin, load, secret_hits
from fwcheck.inspection.inspect import inspect
from fwcheck.inspection.quoting import mask, printable

CATALOGUE = builtin()
ENTRIES = list(CATALOGUE.secrets.values())
KIND = {"any": "text", "elf": "elf", "text": "html", "config": "text", "program": "script", "binary": "binary", "raw": "binary"}


def hits(entry, text):
    content = text.encode("latin-1")
    return [hit for hit in secret_hits(CATALOGUE, CATALOGUE.patterns.scan(content), KIND[entry.where]) if hit.rule == entry.id]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_a_shape_is_found_in_its_positive_examples_and_masked(entry):
    assert entry.positive
    for text in entry.positive:
        found = hits(entry, text)
        assert found, text
        for hit in found:
            assert hit.meta["description"] == entry.description
            assert ("****" in hit.text) == entry.secret
            if entry.secret:
                match = CATALOGUE.patterns.scan(text.encode("latin-1")).matches[f"secret:{entry.id}"][0]
                secret = (match.groupdict().get("secret") or b"").decode("latin-1")
                assert len(secret) < 5 or secret not in hit.text.replace(hit.meta.get("name", "-"), "")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_a_shape_is_silent_on_its_negative_examples(entry):
    assert entry.negative
    for text in entry.negative:
        assert not hits(entry, text), text


def test_a_word_typed_twice_is_masked_twice():
    (hit,) = [
        hit
        for hit in inspect(b"#!/bin/sh\n(echo topsecret; echo topsecret) | passwd root\n").patterns
        if hit.rule == "passwd-literal"
    ]
    assert "topsecret" not in hit.text


def test_offsets_point_at_the_match():
    content = b"# settings\nlan=1\nhttp_passwd=admin\n"
    (hit,) = inspect(content).patterns
    assert content[hit.offset :].startswith(b"http_passwd")


def test_hits_are_bounded():
    facts = inspect(b"".join(b"user%d_password=value%d\n" % (n, n) for n in range(5000)))
    assert 0 < len(facts.patterns) <= 256


@pytest.mark.parametrize(
    ("where", "kind", "expected"),
    [
        ("any", "png", True),
        ("elf", "elf", True),
        ("elf", "text", False),
        ("config", "html", False),
        ("config", "json", True),
        ("text", "css", True),
        ("program", "script", True),
        ("program", "xml", False),
        ("binary", "elf", True),
        ("binary", "text", False),
    ],
)
def test_entries_look_where_they_say(where, kind, expected):
    assert applies(where, kind) is expected


@pytest.mark.parametrize(("secret", "shown"), [("", "****"), ("abc", "****"), ("abcdefgh", "ab****"), ("a" * 60, "aaaa****")])
def test_a_mask_keeps_little_and_no_length(secret, shown):
    assert mask(secret) == shown


def test_shown_bytes_are_one_printable_line():
    assert printable(b"a\x1b[31mb\r\n\0c\xff") == "a [31mb   c\N{REPLACEMENT CHARACTER}"
    assert len(printable(b"x" * 999)) == 120


def test_a_catalogue_with_a_fault_names_the_entry(monkeypatch):
    from fwcheck.inspection import catalogue

    files = catalogue.data_files()
    monkeypatch.setattr(
        catalogue, "data_files", lambda: {**files, "banners.toml": b'[[banner]]\nid="b1"\ncomponent="c"\npattern="x"\n'}
    )
    with pytest.raises(ValueError, match="b1"):
        load()
