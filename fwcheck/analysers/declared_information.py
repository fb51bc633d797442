"""What the maker tells users, held against what the image says of itself: model, version, addresses, end of support.

It proves that two statements differ; which of them is right, a person has to say. An image that says nothing contradicts nothing.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import rules_of
from fwcheck.declaration import Declaration
from fwcheck.device import configuration
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Device, Evidence, Finding, Location, Node, NodeKind

RULES = rules_of(__name__)
_VERSION = RULES["DEC-013"]
_MODEL = RULES["DEC-014"]
_ADDRESS = RULES["DEC-015"]
_ENDING = RULES["DEC-016"]

_Subject = Literal["model", "version", "address", "contact", "end"]
# Headers that name the maker's own version or model of the software; versions of mere formats are left out.
_VERSIONED = frozenset({
    "rauc", "swupdate", "esp", "tw-image", "tw-upf", "chk", "dni", "cybertan", "edimax", "gemtek", "dlink-dap", "jcg", "iptime",
    "nec-aterm", "zyxel", "ubnt", "beken-rbl",
})  # fmt: skip
_MODELLED = frozenset({"tw-image", "dni", "cybertan", "edimax", "dlink-dap", "iptime", "zyxel"})
_BOARDS = frozenset({"fdt", "fit", "openwrt-metadata", "rauc"})  # these name a board: they may agree, never contradict
_VERSION_FILES = (
    "/etc/version", "/etc/fw_version", "/etc/fwversion", "/etc/firmware_version", "/etc/firmware-version", "/etc/sw-versions",
    "/etc/sw_version", "/etc/image-version",
)  # fmt: skip
_RELEASES = ("/etc/os-release", "/usr/lib/os-release")
_DESCRIPTION = re.compile(r"<(modelName|modelNumber)>[ \t]*([^<%$\s][^<%$]{1,60}?)[ \t]*</", re.IGNORECASE)
_SECURITY_TXT = re.compile(r"^[ \t]{0,4}(Contact|Policy|Expires):[ \t]*([^\s]{3,300})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_NUMBER = re.compile(r"\d+(?:\.\d+)+")
_DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)")


class _Said(NamedTuple):
    """What the image says on a subject. ``firm``: it is the maker's own word for users, not a board's or a distribution's."""

    subject: _Subject
    value: str
    where: Evidence
    firm: bool = True


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings where the maker's word and the image's differ; without a declaration, nothing."""
    declared = device.declared
    if declared is None:
        return ()
    said = list(_said(firmware))
    return once([*_endings(declared, said), *_version(declared, said), *_models(declared, said), *_addresses(declared, said)])


# --------------------------------------------------------------------------- what the image says


def _said(firmware: Firmware) -> Iterator[_Said]:
    for node in firmware.nodes:
        if node.kind is NodeKind.CONTAINER and node.detail:
            yield from _header(node)
    for fs in firmware.filesystems:
        yield from _release(fs)
        yield from _lines(fs)
        yield from _texts(fs)


def _header(node: Node) -> Iterator[_Said]:
    place = Location(chain=node.chain, path=node.path, offset=node.offset)
    for key in ("model", "device", "compatible", "supported_devices"):
        value = node.detail.get(key)
        if isinstance(value, str) and value and (node.format in _MODELLED or node.format in _BOARDS):
            yield _Said("model", value, Evidence(location=place, text=f"{key} = {value}"), node.format in _MODELLED)
    value = node.detail.get("version")
    if isinstance(value, str) and node.format in _VERSIONED and _NUMBER.search(value):
        yield _Said("version", value, Evidence(location=place, text=f"version = {value}"))


def _release(fs: FileSystem) -> Iterator[_Said]:
    """os-release(5): IMAGE_VERSION and SUPPORT_END are the maker's; VERSION_ID is the distribution's."""
    subjects: dict[str, tuple[_Subject, bool]] = {
        "image_version": ("version", True),
        "version_id": ("version", False),
        "build_id": ("version", False),
        "pretty_name": ("model", False),
        "image_id": ("model", False),
        "support_end": ("end", True),
        "support_url": ("address", False),
        "bug_report_url": ("contact", False),
    }
    path = next((path for path in _RELEASES if fs.exists(path)), "")
    for each in configuration.assignments(fs, path) if path else []:
        if each.key in subjects and each.value:
            subject, firm = subjects[each.key]
            yield _Said(subject, each.value[:300], fs.evidence(path, each.text, line=each.line), firm)


def _lines(fs: FileSystem) -> Iterator[_Said]:
    """Files whose name says that they hold the version, and that are short enough to hold nothing else."""
    for path in _VERSION_FILES:
        text = fs.text(path)
        if text is None or len(text) > 2000:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if _NUMBER.search(line):
                yield _Said("version", line.strip()[:200], fs.evidence(path, line.strip(), line=number))


def _texts(fs: FileSystem) -> Iterator[_Said]:
    """Descriptions of UPnP devices, and security.txt (RFC 9116)."""
    for node, facts in fs.files():
        if facts.text is None:
            continue
        if node.path.endswith("/security.txt"):
            for hit in _SECURITY_TXT.finditer(facts.text[:20_000]):
                if hit[1].lower() != "expires":
                    where = fs.evidence(node.path, hit[0].strip(), line=facts.text.count("\n", 0, hit.start()) + 1)
                    yield _Said("contact" if hit[1].lower() == "contact" else "address", hit[2], where)
        elif "odelN" in facts.text and node.path.endswith(".xml"):
            for hit in _DESCRIPTION.finditer(facts.text[:50_000]):
                yield _Said("model", hit[2], fs.evidence(node.path, hit[0], line=facts.text.count("\n", 0, hit.start()) + 1))


# --------------------------------------------------------------------------- where the two differ


def _plain(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalnum())


def _differing(stated: str, said: Iterable[_Said], subject: _Subject) -> _Said | None:
    """The first firm statement on the subject, when no statement at all agrees; one that holds the other agrees."""
    held = [each for each in said if each.subject == subject]
    wanted = _plain(stated)
    if not wanted or any(
        wanted in _plain(each.value) or (len(_plain(each.value)) > 2 and _plain(each.value) in wanted) for each in held
    ):
        return None
    return next((each for each in held if each.firm), None)


def _version(declared: Declaration, said: list[_Said]) -> Iterator[Finding]:
    """DEC-013: numbers of the version alone are compared, since what stands around them differs from place to place."""
    stated = declared.product.version
    numbers = _NUMBER.search(stated)
    other = _differing(numbers[0] if numbers else stated, said, "version")
    if other is not None:
        title = f"Declared: version {stated[:60]}. The image says {other.value[:80]}"
        yield _VERSION.finding(other.where, "declared version", title=title)


def _models(declared: Declaration, said: list[_Said]) -> Iterator[Finding]:
    """DEC-014."""
    other = _differing(declared.product.model, said, "model")
    if other is not None:
        title = f"Declared: model {declared.product.model[:60]}. The image says {other.value[:80]}"
        yield _MODEL.finding(other.where, "declared model", title=title)


def _addresses(declared: Declaration, said: list[_Said]) -> Iterator[Finding]:
    """DEC-015: where users report weaknesses and find support. Addresses of a distribution say nothing of the product."""
    for stated, subject, criterion in (
        (declared.disclosure.policy_url, "address", "S1.1-05"),
        (declared.disclosure.contact, "contact", "S1.1-05"),
        (declared.support.url, "address", "S1.1-16"),
    ):
        host = _host(stated)
        firm = [each for each in said if each.subject == subject and each.firm]
        if host and firm and all(_host(each.value) != host for each in firm):
            title = f"Declared: {stated[:80]}. The image names {firm[0].value[:80]}"
            yield _ADDRESS.finding(firm[0].where, f"declared {subject}", title=title, criteria=(criterion,))


def _host(address: str) -> str:
    """The registered part of a host, roughly: its last two labels, or three where the second is short."""
    text = re.sub(r"^(?:https?://|mailto:|tel:)", "", address.strip().lower())
    host = re.split(r"[/?#:]", text.rsplit("@", 1)[-1])[0]
    labels = host.split(".")
    if len(labels) < 2 or not all(labels):
        return ""
    return ".".join(labels[-3 if len(labels) > 2 and len(labels[-2]) <= 3 else -2 :])


def _endings(declared: Declaration, said: list[_Said]) -> Iterator[Finding]:
    """DEC-016: the declared period beside the one that is asked for, and beside the end that the image names."""
    stated = declared.support
    if stated.until is None:
        return
    nowhere = Evidence(location=Location(), text=f"support.until = {stated.until}")
    if stated.since is not None and stated.years is not None and stated.until < _later(stated.since, stated.years):
        asked = f"{stated.years} years from {stated.since} end on {_later(stated.since, stated.years)}"
        title = f"Declared: support until {stated.until}. {asked}"
        yield _ENDING.finding(nowhere, "support period asked for", title=title)
    elif stated.since is not None and stated.until <= stated.since:
        title = f"Declared: support until {stated.until}. The first sale is on {stated.since}"
        yield _ENDING.finding(nowhere, "support before sale", title=title)
    for each in said:
        ends = _date(each.value) if each.subject == "end" else None
        if ends is not None and ends != stated.until:
            title = f"Declared: support until {stated.until}. The image says {ends}"
            yield _ENDING.finding(each.where, "support end of the image", title=title)


def _later(day: dt.date, years: int) -> dt.date:
    """The same day so many years later; the last day of February stands for one that is not there."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=min(dt.MAXYEAR, day.year + years), day=28)


def _date(text: str | None) -> dt.date | None:
    hit = _DAY.match(text) if text else None
    try:
        return dt.date(int(hit[1]), int(hit[2]), int(hit[3])) if hit else None
    except ValueError:
        return None
