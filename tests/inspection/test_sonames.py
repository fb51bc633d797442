"""Releases that stand alone in a library count by the library's recorded name, and only when there is one of them."""

import pytest

from fwcheck.device.products import products
from fwcheck.inspection import catalogue, sonames
from fwcheck.model import ElfFacts


def elf(soname):
    return ElfFacts(
        machine="arm", bits=32, endian="little", type="shared", soname=soname, stripped=True, nx=True, pie=None, relro="full",
        canary=True, fortify=False,
    )  # fmt: skip


def read(soname, content, known=()):
    return [(hit.component, hit.version) for hit in sonames.read(content, elf(soname), frozenset(known))]


@pytest.mark.parametrize(
    ("soname", "content", "wanted"),
    [
        ("libsodium.so.23", b"_sodium_malloc\0\x001.0.18\0\0\0", [("libsodium", "1.0.18")]),
        ("libtasn1.so.6", b"\xf8\xff\xf8\xff4.19.0\0\0\x01\x1b\x03", [("libtasn1", "4.19.0")]),  # right behind a table
        ("libmp3lame.so.0", b"\0\0\xf0E3.100\0", [("lame", "3.100")]),  # the table's last byte looks like a letter
        ("libpcre2-8.so.0", b"\x80\x18\x8010.42 2022-12-11\0", [("pcre2", "10.42")]),
        ("libzstd.so.1", b"\0v1.5.4\0and again\x001.5.4\0", [("zstandard", "1.5.4")]),
        ("libsodium.so.23", b"\x001.0.18\0\x001.0.17\0", []),  # two of them: nobody knows which
        ("libjansson.so.4", b"\0GLIBC_2.14\0", []),  # a version of something else
        ("libzstd.so.1", b"needs zstd 1.5.4\0", []),
        ("libother.so.1", b"\x001.5.4\0", []),
        ("libzstd.so.1.evil", b"\x001.5.4\0", []),
        (None, b"\x001.5.4\0", []),
    ],
)
def test_a_release_alone_is_told_by_the_recorded_name(soname, content, wanted):
    assert read(soname, content) == wanted


def test_a_banner_of_the_project_goes_before():
    assert read("libzstd.so.1", b"\x001.5.4\0", known=["zstandard"]) == []


def test_no_file_is_no_library():
    assert list(sonames.read(b"\x001.5.4\0", None, frozenset())) == []


def test_the_names_are_those_of_the_catalogue():
    banners = {entry.component for entry in catalogue.builtin().banners.values()}
    alone = {component for component, _, _ in sonames.libraries()} - banners - set(products())
    assert sorted(alone) == [
        *("libassuan", "libestr", "libfastjson", "libgpiod", "libsodium", "pkcs11-helper", "s-lang", "svt-av1", "twolame"),
    ]


def test_hostile_content_costs_little():
    assert read("liblzo2.so.2", b"\0" + b"2." * (1 << 20)) == []
    assert read("libwebsockets.so.19", (b"\x004.3.2-" + b"a" * 60) * 20_000) == []
