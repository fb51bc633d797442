"""Components of which only a range of releases is known: a program whose banner was stripped, told by its texts.

Where a file says the version itself, or a version that is known from elsewhere in the image lies in the range, the range adds
evidence to that version and no component of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from fwcheck.device.firmware import Firmware
from fwcheck.device.products import Product, cpe, products, purl
from fwcheck.model import Component, ComponentFile, Evidence, Location, Node, ReleaseSpan

_EVIDENCE = 64  # places shown of one component
Digests = Mapping[tuple[tuple[str, ...], str], str]


def with_spans(firmware: Firmware, known: Sequence[Component], digests: Digests) -> tuple[Component, ...]:
    """The components, with those of which only a range is known, by name."""
    held = list(known)
    for (name, told), places in _spans(firmware).items():
        evidence = tuple(Evidence(location=_place(node, span), text=span.text) for node, span in places)
        fitting = [at for at, each in enumerate(held) if each.name == name and _fits(each, places[0][1])]
        if fitting:
            at = fitting[0]
            held[at] = msgspec.structs.replace(held[at], evidence=(*held[at].evidence, *evidence)[:_EVIDENCE])
            continue
        held = [
            each
            for each in held
            if each.name != name or each.version is not None or each.version_range is not None or each.package
        ]
        held.append(_component(name, told, evidence, [node for node, _ in places], digests))
    return tuple(sorted(held, key=lambda each: (each.name, each.version or "", each.version_range or "", each.purl or "")))


def written(span: ReleaseSpan) -> str:
    """A range as it is shown: ``>=7.59.0 <7.66.0``."""
    return " ".join([f">={span.first}"] * bool(span.first) + [f"<{span.before}"] * bool(span.before))


def _spans(firmware: Firmware) -> dict[tuple[str, str], list[tuple[Node, ReleaseSpan]]]:
    found: dict[tuple[str, str], list[tuple[Node, ReleaseSpan]]] = {}
    for node, facts in firmware.contents():
        own_word = {hit.component for hit in facts.banners}
        for span in facts.spans:
            if span.component not in own_word:
                found.setdefault((span.component, written(span)), []).append((node, span))
    return found


def _fits(component: Component, span: ReleaseSpan) -> bool:
    return component.version is not None and span.holds(component.version)


def _bare(component: Component) -> bool:
    """Whether it is a name and nothing more: the range says as much and more."""
    return component.version is None and component.version_range is None and component.package is None


def _component(name: str, told: str, evidence: tuple[Evidence, ...], nodes: Sequence[Node], digests: Digests) -> Component:
    product = products().get(name, Product())
    files = dict.fromkeys((node.chain, node.path) for node in nodes)
    return Component(
        name=name,
        version_range=told,
        purl=purl("generic", name, None),
        cpe=cpe(name, None),
        confidence="tentative",
        evidence=evidence[:_EVIDENCE],
        type="application" if product.network in ("server", "client") else "library",
        license=product.license,
        files=tuple(ComponentFile(path=path, sha256=digests[chain, path]) for chain, path in files if (chain, path) in digests),
    )


def _place(node: Node, span: ReleaseSpan) -> Location:
    return Location(chain=node.chain, path=node.path, offset=span.offset)
