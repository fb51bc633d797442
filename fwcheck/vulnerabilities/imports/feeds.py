"""What a document is, by what stands in it, and the facts it holds.

NVD 2.0 feeds and pages (``vulnerabilities[].cve``), CVE List v5 records, CISA's KEV (JSON, CSV), FIRST's EPSS (CSV), OSV records,
endoflife.date (both interfaces and the release data), CSAF 2.0, OpenVEX and CycloneDX VEX. The name of a file counts only where
the format itself does not say what it is about (the first interface of endoflife.date).
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import msgspec

from fwcheck.device.products import by_cpe, products
from fwcheck.vulnerabilities.imports import osv
from fwcheck.vulnerabilities.imports.documents import BadDocument, Document, UnknownDocument
from fwcheck.vulnerabilities.imports.elements import elements
from fwcheck.vulnerabilities.sources import cve5, nvd, releases
from fwcheck.vulnerabilities.sources.facts import AsOf, Ending, Exploited, Likely, Place, Release
from fwcheck.vulnerabilities.store import Item, Said
from fwcheck.vulnerabilities.vex import NotVex, statements

_HEAD = 1 << 16
_WHOLE = 64 << 20  # bytes of a document that is not read element by element
_DATE = re.compile(rb'"timestamp"\s*:\s*"(\d{4}-\d\d-\d\d)')
_RELEASED = re.compile(rb'"dateReleased"\s*:\s*"(\d{4}-\d\d-\d\d)')
_DAY = re.compile(r"^\d{4}-\d\d-\d\d$")
_CVE = re.compile(r"^CVE-\d{4}-\d{4,12}$")
_MODEL = re.compile(r"score_date:(\d{4}-\d\d-\d\d)")
# A CVE that names one of these is about a package of it, not about the system as such.
_DISTRIBUTIONS = frozenset({"alpine_linux", "debian_linux", "ubuntu_linux"})
_WRONG = (AttributeError, TypeError, KeyError, ValueError, IndexError, RecursionError)  # what a record of another shape leads to


class Feeds:
    """Reads documents into facts and counts what it read."""

    def __init__(self) -> None:
        self.read: Counter[str] = Counter()  # records by kind
        self.unlike = 0  # records that could not be understood
        self.catalogue: list[str] | None = None  # every CVE of a KEV catalogue, when one was read

    @cached_property
    def _components(self) -> dict[str, str]:
        return {pair: name for pair, name in by_cpe().items() if name not in _DISTRIBUTIONS}

    @cached_property
    def _web(self) -> frozenset[str]:
        return frozenset(name for name, product in products().items() if product.network == "web")

    @cached_property
    def _calendars(self) -> dict[str, tuple[str, ...]]:
        named = {product.lifecycle: (name,) for name, product in products().items() if product.lifecycle}
        return named | {"sqlite": ("sqlite",), "openwrt": ("openwrt", "lede")}

    def items(self, document: Document) -> Iterator[Item]:
        """The facts of one document. Raises BadDocument where it is none that is known, or broken."""
        head = document.stream.peek(_HEAD)[:_HEAD] if isinstance(document.stream, io.BufferedReader) else b""
        text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        if not text:
            raise BadDocument(f"{document.name}: is empty")
        if text[:1] in (b"{", b"["):
            streamed = self._streamed(head)
            yield from self._elements(document, streamed, head) if streamed else self._whole(document)
        elif text.startswith((b"#model_version", b"cve,epss")):
            yield from self._epss(document)
        elif b"cveID" in text.split(b"\n", 1)[0]:
            yield from self._kev_table(document)
        else:
            raise UnknownDocument(f"{document.name}: is no feed or document that is known here")

    # ------------------------------------------------------------------ feeds of many records

    def _streamed(self, head: bytes) -> str:
        if b'"vulnerabilities"' not in head:
            return ""
        if b'"NVD_CVE"' in head or (b'"resultsPerPage"' in head and b'"cve"' in head):
            return "NVD"
        return "KEV" if b'"cveID"' in head or b'"catalogVersion"' in head else ""

    def _elements(self, document: Document, kind: str, head: bytes) -> Iterator[Item]:
        date = (_DATE if kind == "NVD" else _RELEASED).search(head)
        good = bad = 0
        listed: list[str] = []
        for raw in elements(document.stream, document.name):
            try:
                record = msgspec.json.decode(raw)
                found = list(self._nvd(record) if kind == "NVD" else self._kev(record))
            except _WRONG:
                bad += 1
                continue
            good += 1
            listed += [each.cve for each in found if isinstance(each, Exploited)]
            yield from found
        if bad and not good:
            raise BadDocument(f"{document.name}: none of its {bad} records is one of {kind}")
        self.read[f"{kind} records"] += good
        self.unlike += bad
        if kind == "KEV":
            self.catalogue = [*(self.catalogue or []), *listed]
        if date:
            yield AsOf("NVD" if kind == "NVD" else "CISA KEV", date[1].decode())

    def _nvd(self, record: Any) -> Iterator[Item]:
        held = record["cve"]
        cve = held["id"]
        if not isinstance(cve, str) or not _CVE.match(cve):
            raise ValueError(cve)
        rejected = held.get("vulnStatus") == "Rejected"
        yield Said("NVD", cve, () if rejected else tuple(nvd.record_facts(cve, record, self._components, self._web)))

    @staticmethod
    def _kev(record: Any) -> Iterator[Item]:
        cve, since = record["cveID"], record["dateAdded"]
        if not _CVE.match(cve) or not _DAY.match(since):
            raise ValueError(cve)
        yield Exploited(cve, since)

    # ------------------------------------------------------------------ tables

    def _rows(self, document: Document, first: str, readers: Callable[[dict[str, str]], Item]) -> Iterator[Item]:
        text = io.TextIOWrapper(document.stream, "utf-8-sig", errors="replace", newline="")
        good = bad = 0
        try:
            head = text.readline(4096)
            if head.startswith("#"):
                if found := _MODEL.search(head):
                    yield AsOf("EPSS", found[1])
                head = text.readline(4096)
            for row in csv.DictReader(text, fieldnames=next(csv.reader([head]))):
                try:
                    yield readers(row)
                    good += 1
                except _WRONG:
                    bad += 1
        except (csv.Error, StopIteration) as error:
            raise BadDocument(f"{document.name}: is no table: {error}") from error
        finally:
            text.detach()
        if not good:
            raise BadDocument(f"{document.name}: has no row that can be read")
        self.read[f"{first} records"] += good
        self.unlike += bad

    def _epss(self, document: Document) -> Iterator[Item]:
        def read(row: dict[str, str]) -> Item:
            probability = float(row["epss"])
            if not _CVE.match(row["cve"]) or not 0 <= probability <= 1:
                raise ValueError(row["cve"])
            return Likely(row["cve"], probability)

        yield from self._rows(document, "EPSS", read)

    def _kev_table(self, document: Document) -> Iterator[Item]:
        listed: list[str] = []
        for item in self._rows(document, "KEV", lambda row: next(self._kev(row))):
            if isinstance(item, Exploited):
                listed.append(item.cve)
            yield item
        self.catalogue = [*(self.catalogue or []), *listed]

    # ------------------------------------------------------------------ documents of one record

    def _whole(self, document: Document) -> Iterator[Item]:
        raw = document.stream.read(_WHOLE + 1)
        if len(raw) > _WHOLE:
            raise BadDocument(f"{document.name}: more than {_WHOLE >> 20} MiB in one document")
        try:
            value = msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise BadDocument(f"{document.name}: is no JSON: {str(error).splitlines()[0]}") from error
        found = self._kind(value)
        if found is None:
            raise UnknownDocument(f"{document.name}: is no feed or document that is known here")
        kind, read = found
        try:
            items = list(read(value, document.name))
        except (*_WRONG, NotVex) as error:
            raise BadDocument(f"{document.name}: is no {kind} as it should be: {type(error).__name__}") from error
        self.read[f"{kind} records"] += 1
        yield from items

    def _kind(self, value: Any) -> tuple[str, Callable[[Any, str], Iterator[Item]]] | None:
        if isinstance(value, list):
            if value and all(isinstance(each, dict) and "cycle" in each for each in value):
                return "endoflife.date", self._cycles
            return None
        if not isinstance(value, dict):
            return None
        if value.get("dataType") == "CVE_RECORD" or "cveMetadata" in value:
            return "CVE List", self._cve5
        if "affected" in value and "id" in value and "modified" in value:
            return "OSV", lambda record, _: osv.record_facts(record, self._web)
        if "releases" in value and "versions" in value:
            return "endoflife.date", self._release_data
        if "result" in value and "schema_version" in value:
            return "endoflife.date", self._products
        if "document" in value or value.get("bomFormat") == "CycloneDX" or "openvex" in str(value.get("@context", "")):
            return "VEX", lambda record, name: iter(statements(record, _short(name)))
        if "vulnerabilities" in value and isinstance(value["vulnerabilities"], list) and not value["vulnerabilities"]:
            return "NVD", lambda _record, _name: iter(())  # an empty page
        return None

    def _cve5(self, record: Any, _: str) -> Iterator[Item]:
        cve = str(record["cveMetadata"]["cveId"])
        if not _CVE.match(cve):
            raise ValueError(cve)
        publisher = cve5.publisher(record)
        facts = tuple(cve5.record_facts(record, self._components, publisher))
        for source in dict.fromkeys((publisher, *(fact.source for fact in facts if not isinstance(fact, Place)))):
            yield Said(source, cve, tuple(fact for fact in facts if isinstance(fact, Place) or fact.source == source))
        date = str(record["cveMetadata"].get("dateUpdated", ""))[:10]
        if _DAY.match(date):
            yield AsOf(publisher, date)

    # ------------------------------------------------------------------ calendars

    def _cycles(self, cycles: Any, name: str) -> Iterator[Item]:
        for component in self._calendars.get(_stem(name), ()):
            for each in cycles:
                yield from _branch(
                    component, str(each["cycle"]), each.get("eol"), each.get("latest"), each.get("latestReleaseDate")
                )

    def _release_data(self, record: Any, name: str) -> Iterator[Item]:
        for component in self._calendars.get(_stem(name), ()):
            yield from releases.record_facts(component, record)

    def _products(self, record: Any, _: str) -> Iterator[Item]:
        result = record["result"]
        for product in result if isinstance(result, list) else [result]:
            for component in self._calendars.get(str(product["name"]), ()):
                for each in product.get("releases", []):
                    latest: Mapping[str, Any] = each.get("latest") or {}
                    yield from _branch(component, str(each["name"]), each.get("eolFrom"), latest.get("name"), latest.get("date"))


def _branch(component: str, branch: str, ended: object, latest: object, date: object) -> Iterator[Ending | Release]:
    if isinstance(ended, str) and _DAY.match(ended):
        yield Ending(component, branch, ended, "endoflife.date")
    if isinstance(latest, str) and isinstance(date, str) and _DAY.match(date):
        yield Release(component, latest, date)


def _stem(name: str) -> str:
    return _short(name).removesuffix(".json").lower()


def _short(name: str) -> str:
    return re.split(r"[/\\:]\s*", name)[-1].removesuffix(".gz").removesuffix(".xz")
