"""VEX documents: what somebody who knows the product says of a CVE in it.

Formats: OpenVEX 0.2 (``statements``), CycloneDX (``vulnerabilities[].analysis``), CSAF 2.0 (``product_status``). All give
the same four states; only "not affected" and "fixed" set a vulnerability aside, and the reason goes with it into the report.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from fwcheck.vulnerabilities.store import Statement

_STATES = {
    "not_affected": "not_affected",
    "false_positive": "not_affected",
    "fixed": "fixed",
    "resolved": "fixed",
    "resolved_with_pedigree": "fixed",
    "affected": "affected",
    "exploitable": "affected",
    "under_investigation": "under_investigation",
    "in_triage": "under_investigation",
}
_CSAF = {
    "known_not_affected": "not_affected",
    "fixed": "fixed",
    "first_fixed": "fixed",
    "known_affected": "affected",
    "under_investigation": "under_investigation",
}
_LIMIT = 64 << 20  # bytes of a document
_BYTE = re.compile(r"\(byte (\d+)\)")  # as msgspec says where a JSON text breaks
_REASON = 400  # characters kept of a reason
_DEPTH = 16  # branches of a product tree


class NotVex(ValueError):
    """A document that is none of the three; ``line`` is where, as far as that can be told."""

    def __init__(self, words: str, line: int | None = None) -> None:
        super().__init__(words)
        self.line = line

    def of(self, name: str) -> str:
        """The message with the file in front of it: ``vex.json:3: ...``."""
        return f"{name}:{self.line}: {self}" if self.line is not None else f"{name}: {self}"


def read(path: Path) -> list[Statement]:
    """Every statement of the document in a file. Raises NotVex, in one sentence, for one that cannot be read."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(_LIMIT + 1)
    except OSError as error:
        raise NotVex(f"{path}: {error.strerror}") from error
    if len(raw) > _LIMIT:
        raise NotVex(f"{path}: has more than {_LIMIT >> 20} MiB")
    try:
        return parse(raw, path.name)
    except NotVex as error:
        raise NotVex(error.of(str(path))) from error


def parse(raw: bytes, name: str) -> list[Statement]:
    """Every statement of the document in these bytes. ``name`` is what reports call it. Raises NotVex, in one sentence."""
    try:
        document = msgspec.json.decode(raw)
        return statements(document if isinstance(document, dict) else {}, name)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        place = _BYTE.search(str(error))
        line = raw.count(b"\n", 0, int(place[1])) + 1 if place else None
        raise NotVex(f"is no JSON: {error}", line) from error
    except (AttributeError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise NotVex(f"is no VEX document as it should be: {type(error).__name__}") from error


def statements(document: Mapping[str, Any], name: str) -> list[Statement]:
    """Every statement of a document. ``name`` is what reports call it. Raises NotVex, or what a broken document leads to."""
    if document.get("bomFormat") == "CycloneDX":
        return list(dict.fromkeys(_cyclonedx(document, name)))
    if "openvex" in str(document.get("@context", "")):
        return list(dict.fromkeys(_openvex(document, name)))
    if isinstance(document.get("document"), dict) and "vulnerabilities" in document:
        return list(dict.fromkeys(_csaf(document, name)))
    raise NotVex("is no OpenVEX, CycloneDX or CSAF document")


def _openvex(document: Mapping[str, Any], name: str) -> Iterator[Statement]:
    for each in document["statements"]:
        vulnerability = each["vulnerability"]
        found = vulnerability if isinstance(vulnerability, str) else vulnerability.get("name") or vulnerability["@id"]
        cve = str(found).rsplit("/", 1)[-1]
        state = _STATES.get(str(each.get("status", "")))
        reason = _text(each.get("justification"), each.get("impact_statement") or each.get("status_notes"))
        for product in each.get("products", []) or [""]:
            inner = product.get("subcomponents", []) if isinstance(product, dict) else []
            for one in inner or [product]:
                if state and (text := _product(one)):
                    yield Statement(cve, text, "", state, reason, name)


def _product(product: object) -> str:
    """What an OpenVEX product is identified by."""
    if isinstance(product, str):
        return product
    if not isinstance(product, dict):
        return ""
    identifiers = product.get("identifiers") or {}
    return str(identifiers.get("purl") or identifiers.get("cpe23") or product.get("@id") or "")


def _cyclonedx(document: Mapping[str, Any], name: str) -> Iterator[Statement]:
    parts: dict[str, str] = {}
    for each in document.get("components", []):
        if "bom-ref" in each:
            version = f"@{each['version']}" if each.get("version") else ""
            parts[str(each["bom-ref"])] = str(each.get("purl") or f"{each.get('name', '')}{version}")
    for each in document.get("vulnerabilities", []):
        analysis = each.get("analysis") or {}
        state = _STATES.get(str(analysis.get("state", "")))
        reason = _text(analysis.get("justification"), analysis.get("detail"))
        for target in each.get("affects", []):
            reference = str(target["ref"])
            product = parts.get(reference) or reference.rpartition("#")[2]
            if state and product:
                yield Statement(str(each["id"]), product, "", state, reason, name)


def _csaf(document: Mapping[str, Any], name: str) -> Iterator[Statement]:
    products = _tree(document.get("product_tree") or {})
    for each in document["vulnerabilities"]:
        cve = str(each.get("cve") or "")
        reasons = _csaf_reasons(each)
        for key, listed in (each.get("product_status") or {}).items():
            state = _CSAF.get(key)
            for number in listed if state and cve else ():
                for product in products.get(str(number), ()):
                    yield Statement(cve, product, "", str(state), reasons.get(str(number), ""), name)


def _csaf_reasons(vulnerability: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for kind, field in (("flags", "label"), ("threats", "details")):
        for each in vulnerability.get(kind) or []:
            if kind == "flags" or each.get("category") == "impact":
                for number in each.get("product_ids") or []:
                    found.setdefault(str(number), []).append(str(each.get(field, "")))
    return {number: _text(*texts) for number, texts in found.items()}


def _tree(tree: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Package URL, CPE or name of every product by its number; of a product in another, the inner one's."""
    found: dict[str, tuple[str, ...]] = {}

    def add(product: Mapping[str, Any]) -> None:
        helper = product.get("product_identification_helper") or {}
        text = helper.get("purl") or helper.get("cpe") or product.get("name") or ""
        found[str(product["product_id"])] = (str(text),) if text else ()

    pending = [(branch, 0) for branch in tree.get("branches") or []]
    while pending:
        branch, depth = pending.pop()
        if "product" in branch:
            add(branch["product"])
        if depth < _DEPTH:
            pending += [(inner, depth + 1) for inner in branch.get("branches") or []]
    for product in tree.get("full_product_names") or []:
        add(product)
    for relation in tree.get("relationships") or []:
        inner = found.get(str(relation.get("product_reference")), ())
        found[str(relation["full_product_name"]["product_id"])] = inner
    return found


def _text(*parts: object) -> str:
    return ": ".join(" ".join(str(part).split()) for part in parts if part)[:_REASON]
