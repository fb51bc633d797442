"""Ranges of releases from texts: what is there and what is missing bounds them, never a version of its own."""

from __future__ import annotations

import pytest

from fwcheck.inspection import traits
from fwcheck.inspection.catalogue import builtin
from fwcheck.model import ElfFacts, release_order

CURL = ["Failed sending data to the peer", "Timeout was reached", "Requested range was not delivered by the server"]
CURL_MARKS = [mark.text for trait in traits.traits() if trait.component == "curl" for mark in trait.marks]
SSL = ["dane cannot override mtype full", "no ciphers specified"]


def content(*texts: str) -> bytes:
    return b"\x7fELF\0" + b"".join(text.encode() + b"\0" for text in texts)


def spans(raw: bytes, elf: ElfFacts | None = None) -> list[tuple[str, str, str]]:
    seen = builtin().patterns.scan(raw).seen
    found = traits.read(raw, seen, elf)
    assert found == traits.read(raw, None, elf), "without hyperscan it is the same"
    return [(each.component, each.first, each.before) for each in found]


def library(*exports: str, soname: str = "") -> ElfFacts:
    return ElfFacts(machine="mips", bits=32, endian="big", type="shared", soname=soname or None, exports=tuple(sorted(exports)))


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ([*CURL, *CURL_MARKS], ("curl", "8.8.0", "")),
        ([*CURL, *CURL_MARKS[: CURL_MARKS.index("An authentication function returned an error")]], ("curl", "7.59.0", "7.66.0")),
        (CURL, ("curl", "", "7.19.0")),
        ([*SSL, "binder does not verify"], ("openssl", "1.1.1", "1.1.1l")),
        ([*SSL, "binder does not verify", "ocsp callback failure"], ("openssl", "1.1.1i", "3.0.0")),
        (SSL, ("openssl", "", "1.1.1")),
        (
            ["unclosed token", "junk after document element", "XML declaration not well-formed", "invalid argument"],
            ("libexpat", "2.2.1", "2.3.0"),
        ),
        (["_VERSION", "attempt to compare two %s values", "Lua 5.1"], ("lua", "5.1", "5.2")),
        (["%s: applet not found\n", "\tBusyBox is a multi-call binary that combines many common Unix\n",
          "BusyBox is copyrighted by many authors between 1998-2012.\nLicensed"], ("busybox", "1.20.0", "1.28.0")),
        (["Premature kexdh_init message received", "ssh-ed25519"], ("dropbear", "2020.79", "")),
        (["TLS-RSA-WITH-AES-128-CBC-SHA", "TLS-ECDHE-RSA-WITH-AES-128-CBC-SHA", "TLS-RSA-WITH-RC4-128-SHA"],
         ("mbed_tls", "", "3.0.0")),
    ],
)  # fmt: skip
def test_texts_bound_the_release(texts, told):
    assert spans(content(*texts)) == [told]


@pytest.mark.parametrize(
    "texts",
    [
        CURL[1:],  # the part is not linked in
        ["Premature kexdh_init message received"],  # what depends on the build says nothing by its absence
        ["_VERSION", "attempt to compare two %s values", "Lua 5.1", "LuaJIT 2.1.0"],
        ["_VERSION", "attempt to compare two %s values", "Lua 5.1", "Lua 5.3"],  # two projects, or neither
        ["invalid stored block lengths", "invalid bit length repeat", "incorrect length check"],  # the kernel's own copy
        ["GLIBC_PRIVATE", "GLIBC_2.17"],  # a program that needs the library
    ],
)
def test_nothing_is_told_where_the_texts_do_not_decide(texts):
    assert spans(content(*texts)) == []


def test_symbols_of_a_whole_library_bound_its_release():
    raw = content("inflateUndermine")
    every = ("inflateUndermine", "gzungetc", "get_crc_table", "inflateGetHeader", "inflateMark", "gzoffset", "deflatePending")
    assert spans(raw, library(*every)) == [("zlib", "1.2.5.1", "1.2.5.2")]
    assert spans(raw, library(*every, "inflateResetKeep", "inflateGetDictionary")) == [("zlib", "1.2.7.1", "1.2.9")]
    assert spans(raw, library("inflateUndermine")) == [], "a library cut down to what is needed lacks more than its release does"
    assert spans(raw, None) == []


def test_versions_of_symbols_count_in_the_library_itself_alone():
    names = [f"GLIBC_2.{minor}" for minor in (*range(4, 19), *range(22, 31))]
    raw = content("GLIBC_PRIVATE", *names)
    assert spans(raw, library("malloc", soname="libc.so.6")) == [("glibc", "2.30", "2.32")]
    assert spans(raw, library("malloc", soname="libfoo.so.6")) == []
    # A port that began late lacks the old ones.
    late = content("GLIBC_PRIVATE", *[f"GLIBC_2.{minor}" for minor in range(27, 31)])
    assert spans(late, library("malloc", soname="libc.so.6")) == [("glibc", "2.30", "2.32")]


def test_the_evidence_names_what_tells_it():
    (span,) = traits.read(content(*SSL, "binder does not verify"), None, None)
    assert span.text == 'error texts of libssl: "binder does not verify" is there, "ocsp callback failure" is not'
    assert span.offset == 5


def test_the_table_is_in_order_and_says_where_it_is_from():
    for trait in traits.traits():
        assert trait.anchors
        assert trait.source
        assert trait.component == trait.component.lower()
        since = [release_order(mark.since) for mark in trait.marks if mark.since]
        assert since == sorted(since), trait.component
        for mark in trait.marks:
            assert bool(mark.text) != bool(mark.symbol)
            assert mark.since or mark.before
            assert not mark.absent or release_order(mark.absent) >= release_order(mark.since)


def test_a_megabyte_of_anchors_is_read_fast():
    raw = content(*[text for trait in traits.traits() for text in trait.anchors] * 2000)
    assert len(raw) > 1 << 20
    traits.read(raw, None, None)


def test_the_applets_of_a_multi_call_program_are_those_that_stand_in_it():
    raw = b"\x7fELF\0BusyBox v1.22.1 (2020-01-01)\0[\0[[\0ash\0awk\0netstat\0xudhcpc\0"
    assert traits.parts(raw, {"busybox"}) == ("busybox:awk", "busybox:netstat", "busybox:udhcpc")  # too many rather than too few
    assert traits.parts(raw, {"zlib"}) == ()
