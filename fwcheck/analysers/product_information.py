"""What the image tells the user of the product: model, where to report a weakness, how to update, when support ends.

Everything here can only speak for a criterion: the vendor's web site and manual decide, and the housing has a label.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import rules_of
from fwcheck.device import configuration
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Device, Evidence, Finding, Location, NodeKind

RULES = rules_of(__name__)
_INFORMATION = RULES["INF-001"]

_DISCLOSURE, _UPDATE, _MODEL, _SUPPORT = ("S1.1-05",), ("S1.1-07",), ("S1.1-10",), ("S1.1-16",)
_CONTACT = re.compile(r"^[ \t]*Contact:[ \t]*\S", re.IGNORECASE | re.MULTILINE)
_UPDATE_PAGE = re.compile(
    r"(?i)/[^/]*(?:upgrade|firmware|fw_?up|flashops|softup|software_?update|ota_?update)[^/]*\.(?:html?|asp|php|cgi|lua|js|shtml|jst|gch|ut)$"
)
_WEB = re.compile(r"(?i)/(?:www\w*|web\w*|htdocs|html|httpd|home/httpd|luci|cgi-bin)/")
_MODEL_TAG = re.compile(r"<(modelName|modelNumber|ModelName)>\s*([^<%$\s][^<%$]{1,60}?)\s*</", re.IGNORECASE)
_RELEASES = ("/etc/os-release", "/usr/lib/os-release")
_ADDRESSES = ("support_url", "bug_report_url", "bug_url")


def analyse(firmware: Firmware, _device: Device) -> Iterable[Finding]:
    """Findings that speak for criteria on information."""
    return once(_findings(firmware))


def _findings(firmware: Firmware) -> Iterator[Finding]:
    for fs in firmware.filesystems:
        yield from _files(fs)
        yield from _release(fs)
    for node in firmware.nodes:
        model = node.detail.get("model") if node.kind is NodeKind.CONTAINER and node.format in ("fdt", "fit") else None
        if isinstance(model, str) and len(model) > 2:
            where = Evidence(location=Location(chain=node.chain, path=node.path, offset=node.offset), text=f"model = {model}")
            yield _say(where, "model of the device tree", f"The device tree names the model: {model}", _MODEL, tentative=True)


def _files(fs: FileSystem) -> Iterator[Finding]:
    pages: list[str] = []
    model = False
    for node, facts in fs.files():
        if node.path.endswith("/.well-known/security.txt") or node.path.endswith("/security.txt"):
            if facts.text is not None and (found := _CONTACT.search(facts.text)):
                line = facts.text.count("\n", 0, found.end()) + 1
                where = fs.evidence(node.path, facts.text.splitlines()[line - 1], line=line)
                yield _say(where, "security.txt", "The device says where to report a weakness (security.txt)", _DISCLOSURE)
        elif _UPDATE_PAGE.search(node.path) and _WEB.search(node.path):
            pages.append(node.path)
        elif not model and facts.text is not None and "odelN" in facts.text and (tag := _MODEL_TAG.search(facts.text)):
            model = True
            where = fs.evidence(node.path, tag.group(), line=facts.text.count("\n", 0, tag.start()) + 1)
            yield _say(where, "model in a description", f"A description for the network names the model: {tag.group(2)}", _MODEL)
    if pages:
        where = fs.evidence(pages[0], "page of the web interface")
        others = tuple(fs.evidence(path, "page of the web interface") for path in pages[1:8])
        yield _say(where, "update page", "The web interface has a page for updates", _UPDATE, witnesses=others)


def _release(fs: FileSystem) -> Iterator[Finding]:
    """os-release(5)."""
    path = next((path for path in _RELEASES if fs.exists(path)), "")
    for each in configuration.assignments(fs, path) if path else []:
        where = fs.evidence(path, each.text, line=each.line)
        if each.key == "pretty_name" and each.value:
            yield _say(where, "name of the release", f"The image names what it is: {each.value[:80]}", _MODEL, tentative=True)
        elif each.key == "support_end" and each.value:
            yield _say(where, "end of support", f"The image names the end of support: {each.value[:40]}", _SUPPORT)
        elif each.key in _ADDRESSES and each.value:
            yield _say(
                where, each.key, f"The image names an address for support: {each.value[:100]}", _DISCLOSURE, tentative=True
            )


def _say(
    where: Evidence,
    cause: str,
    title: str,
    criteria: tuple[str, ...],
    *,
    tentative: bool = False,
    witnesses: tuple[Evidence, ...] = (),
) -> Finding:
    return _INFORMATION.finding(
        where, cause, title=title[:200], criteria=criteria, confidence="tentative" if tentative else "firm", witnesses=witnesses
    )
