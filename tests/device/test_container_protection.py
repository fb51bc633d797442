"""What a container says of its protection is what is judged: a table over the seeds of all formats."""

from __future__ import annotations

import re

import pytest
from support.seeds import LIMITS, places, seeds

from fwcheck.analysers import updates as judge
from fwcheck.device._update_containers import PLAIN, container_paths
from fwcheck.device.firmware import Firmware
from fwcheck.extraction.format import Container, Format
from fwcheck.extraction.source import Memory
from fwcheck.model import Coverage, Device, Image, Node, NodeKind

# No wrapping that an updater looks at: what they hold may be the update, or the whole flash.
_HOLDERS = {"file system", "stream", "disk image", "partition table", "flash"}
_CIPHERS = {"encryption"}  # their checks are of headers, or need the key
_SUM = re.compile(r"(?i)checksum|CRC|\bsums?\b|Adler|XXH|Fletcher|cksum")
_HASH = re.compile(r"(?i)SHA|MD5|hash|digest|HMAC|verity|tree agrees")
_SIGNATURE = re.compile(r"(?i)signature|signed|certificate|authentication|CMS|\bcert\d")
_UNSIGNED = re.compile(
    r"(?i)\b(?:no|not|without a) (?:\w+ )?(?:signature|signed|certificates?|Authenticode signature|HAB signature)[^,;]*"
)
_OPEN = re.compile(
    r"(?i)not verified|cannot be|can't|told by itself|valid|right|wrong|cut off|signed for|without a usable key|encrypted"
)


def opened() -> list[tuple[str, Format, Container]]:
    found: dict[tuple[str, ...], tuple[str, Format, Container]] = {}
    for name in sorted(seeds()):
        for data, each, offset in places(name):
            container = each.open(Memory(data), offset, LIMITS)
            said = str(container.detail.get("integrity")), str(container.detail.get("integrity_detail"))
            found.setdefault((container.format, *said), (name, each, container))
    return list(found.values())


EVERY = opened()
EACH = pytest.mark.parametrize(
    ("each", "container"),
    [(each, container) for _, each, container in EVERY],
    ids=[f"{one[2].format}-{n}" for n, one in enumerate(EVERY)],
)


@EACH
def test_the_words_are_those_of_the_kind(each: Format, container: Container) -> None:
    kind, words = container.detail.get("integrity"), str(container.detail.get("integrity_detail", ""))
    assert kind in {None, "none", "checksum", "hash", "signature"}
    plain = _UNSIGNED.sub("", words)
    if kind == "checksum":
        assert _SUM.search(words) or each.category in _CIPHERS, words
        assert not _SIGNATURE.search(plain), words
    elif kind == "hash":
        assert _HASH.search(words), words
        assert not _SIGNATURE.search(plain), words
    elif kind == "signature":
        assert _SIGNATURE.search(plain), words
        assert _OPEN.search(words), f"{words}: whether it was verified is not said"
    elif kind == "none":
        assert not _SIGNATURE.search(plain) or "none of" in words or "says what is signed" in words or "could only" in words, (
            words
        )
    if any(block.role == "update" for block in container.signatures):
        assert kind == "signature"


@EACH
def test_what_it_says_is_what_is_judged(each: Format, container: Container) -> None:
    """A checksum or a bare hash is named as such (UPD-003), a signature never is; holders are no wrapping."""
    chain = ("x.bin", f"{each.name}@0x0")
    node = Node(chain=chain, path="", kind=NodeKind.CONTAINER, size=64, format=container.format, detail=container.detail)
    image = Image(name="x.bin", size=64, sha256="0" * 64, format=container.format)
    firmware = Firmware(image, [node], {}, Coverage(bytes_total=64, bytes_explained=64))
    paths = list(container_paths(firmware))
    kind = container.detail.get("integrity")
    if each.category in _HOLDERS:
        assert container.format in PLAIN
        assert paths == []
    elif container.format in PLAIN or kind is None:
        assert paths == [] or container.format == "openwrt-metadata"
    else:
        assert {path.verified for path in paths} == {kind}
        rules = {found.rule for found in judge.analyse(firmware, Device(update_paths=tuple(paths)))}
        assert ("UPD-003" in rules) is (kind in {"none", "checksum", "hash"})
        assert ("UPD-005" in rules) is (kind == "signature")


@pytest.mark.parametrize(
    ("regions", "wanted"),
    [([40_000], ["signature"]), ([40_000, 30_000], ["signature"]), ([40_000, 200_000], [])],
)
def test_an_image_in_records_is_measured_without_their_text(regions: list[int], wanted: list[str]) -> None:
    outer = ("a.hex", "intel-hex@0x0")
    signed = {"integrity": "signature", "integrity_detail": "ECDSA P-256 signature"}
    nodes = [Node(chain=outer, path="", kind=NodeKind.CONTAINER, format="intel-hex", size=sum(regions) * 3)]
    nodes += [Node(chain=outer, path=f"0x{at}", kind=NodeKind.REGION, size=size) for at, size in enumerate(regions)]
    inner = (*outer, "0x0", "mcuboot@0x0")
    nodes.append(Node(chain=inner, path="", kind=NodeKind.CONTAINER, format="mcuboot", size=regions[0], detail=signed))
    image = Image(name="a.hex", size=sum(regions) * 3, sha256="0" * 64, format="intel-hex")
    firmware = Firmware(image, nodes, {}, Coverage(bytes_total=1, bytes_explained=1))
    assert [each.verified for each in container_paths(firmware)] == wanted
