"""Every banner of the catalogue is executed on its own samples, by the engine that scans firmware."""

import re
import tomllib
from importlib import resources

import pytest

from fwcheck.inspection.catalogue import banner_hits, load

ENTRIES = tomllib.loads(resources.files("fwcheck.inspection").joinpath("banners.toml").read_text())["banner"]
IDS = [entry["id"] for entry in ENTRIES]
UNBOUNDED = re.compile(r"(?<!\\)[*+](?!\?)|\{\d+,\}")
LOOKED_AT = {
    "elf": "elf",
    "raw": "binary",
    "program": "elf",
    "binary": "binary",
    "any": "binary",
    "text": "text",
    "config": "text",
}


@pytest.fixture(scope="module")
def catalogue():
    return load()


def hits(catalogue, entry, sample):
    content = b"\0" + sample.encode("latin-1") + b"\0"
    kind = LOOKED_AT[entry.get("where", "any")]
    return [hit for hit in banner_hits(catalogue, catalogue.patterns.scan(content), kind) if hit.component == entry["component"]]


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_an_entry_reads_a_version_from_each_positive_sample(catalogue, entry):
    assert entry["positive"]
    for sample in entry["positive"]:
        assert hits(catalogue, entry, sample), sample


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_an_entry_is_silent_on_each_negative_sample(entry):
    assert entry["negative"]
    pattern = re.compile(entry["pattern"].encode())
    for sample in entry["negative"]:
        assert not pattern.search(sample.encode("latin-1")), sample


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_an_entry_is_bounded_and_finds_what_it_reads(entry):
    bare = re.sub(r"\[(?:\\.|[^\]\\])*\]", "x", entry["pattern"])
    assert not UNBOUNDED.search(re.sub(r"\(\?[a-zA-Z]+\)", "", bare)), "unbounded repetition"
    if "find" in entry:
        for sample in entry["positive"]:
            match = re.search(entry["pattern"].encode(), b"\0" + sample.encode("latin-1") + b"\0")
            assert re.search(entry["find"].encode(), match[0]), sample


def test_hyperscan_takes_every_pattern(catalogue):
    if not catalogue.patterns.native:
        pytest.skip("hyperscan does not run on this processor")
    assert catalogue.patterns._unfit == []


def test_ids_are_unique_and_names_are_lower_case():
    assert len(set(IDS)) == len(IDS)
    for entry in ENTRIES:
        assert entry["component"] == entry["component"].lower()


@pytest.mark.parametrize(
    "content",
    [
        b"needs OpenSSL 1.0.2 or later\0",
        b"\0Linux version 2.4.18\0<td>Linux version 2.4.18</td>",
        b"is deprecated since Samba 3.0.23.\0",
        b"User-Agent: curl/7.47.0\0User-Agent: libcurl/7.47.0 zlib/1.2.8\0",
        b"Directive '%s' is deprecated in PHP 5.3 and greater\0Apache 2.0 Handler\0",
        b"OpenSSH_2.5.0p1*,OpenSSH_2.5.1p1*\0OpenSSH_6.6.1*\0",
        b"/usr/src/dnsmasq-2.71/src/dnsmasq.c\0/build/zlib-1.2.8/inflate.c\0",
    ],
)
def test_versions_that_a_program_quotes_of_others_are_no_banner(catalogue, content):
    assert banner_hits(catalogue, catalogue.patterns.scan(content), "elf") == []
