"""Component versions with known vulnerabilities or without support.

It proves which version the image carries and what is published against it. It cannot see fixes that a vendor or a distribution
took over without a new version, nor whether the weak part is compiled in: a version refutes no criterion by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from fwcheck.analysers._exposure import Exposed, exposure, using
from fwcheck.analysers.rule import rules_of
from fwcheck.device.firmware import Firmware
from fwcheck.device.products import products
from fwcheck.model import Component, Device, Evidence, Finding, Location, Severity, Vulnerability

_CRITICAL, _HIGH = 9.0, 7.0  # CVSS 3.1, table 14
_LIKELY = 0.5  # EPSS: more likely than not within 30 days
_SHOWN = 0.1  # EPSS that is worth a word
_NAMED = 5  # vulnerabilities named in the evidence
RULES = rules_of(__name__)
_VULNERABLE = RULES["CVE-001"]
_ENDED = RULES["CVE-002"]
_SET_ASIDE = RULES["CVE-003"]


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """At most one finding of each rule per component version, what matters most for a release first."""
    exposed = exposure(firmware, device)
    maintained = frozenset(each.evidence[0].location.chain for each in device.components if each.package and each.evidence)
    seen: set[tuple[str, str, str]] = set()
    ranked = sorted(device.components, key=lambda each: _rank(each, exposed))
    for component in ranked:
        for rule, finding in _of(component, exposed, maintained):
            key = (rule, component.name, component.release)
            if key not in seen:
                seen.add(key)
                yield finding


def _rank(component: Component, exposed: Sequence[Exposed]) -> tuple[bool, bool, float, float]:
    """Known to be exploited, then used by a service that answers, then score, then probability."""
    listed = component.vulnerabilities
    return (
        not any(each.known_exploited for each in listed),
        using(component, exposed) is None,
        -max((each.weight for each in listed), default=0.0),
        -max((each.epss or 0.0 for each in listed), default=0.0),
    )


def _of(
    component: Component, exposed: Sequence[Exposed], maintained: Collection[tuple[str, ...]]
) -> Iterator[tuple[str, Finding]]:
    if component.version is None:
        if component.version_range is None:
            return
        # Of a range, what affects every release of it; of the rest nobody knows.
        sure = tuple(each for each in component.vulnerabilities if each.status == "affected")
        component = msgspec.structs.replace(component, vulnerabilities=sure)
    places = {each.location.chain for each in component.evidence}
    if component.package is None and places and places <= set(maintained):
        # Built by a distribution, though under no package of its own name: its fixes come without a new version, too.
        component = msgspec.structs.replace(component, package="")
    if component.vulnerabilities and (finding := _vulnerable(component, exposed)) is not None:
        yield _VULNERABLE.id, finding
    if component.end_of_life is not None:
        yield _ENDED.id, _ended(component)
    if any(each.ground != "architecture" for each in component.set_aside):
        yield _SET_ASIDE.id, _aside(component)


def _vulnerable(component: Component, exposed: Sequence[Exposed]) -> Finding | None:
    network = _network(component)
    service = using(component, exposed)
    exploited = [each for each in component.vulnerabilities if each.known_exploited]
    worst = max((each.weight for each in component.vulnerabilities), default=0.0)
    likely = max((each.epss or 0.0 for each in component.vulnerabilities), default=0.0) >= _LIKELY
    bound = _HIGH if network in ("server", "client") or service is not None else _CRITICAL
    if not exploited and not likely and worst < bound:
        return None
    grave = exploited or ((likely or worst >= _CRITICAL) and component.package is None)
    state = f"; {service.told}" if service is not None else ""
    reach = network == "server" and service is not None  # what is not started is no interface
    return _VULNERABLE.finding(
        _where(component, f"{_listed(component.vulnerabilities)}{state}"),
        f"{component.name} {component.release}",
        everywhere=True,
        title=f"{component.name} {component.release} has known vulnerabilities"
        + (", some known to be exploited" if exploited else ""),
        severity=Severity.HIGH if grave and service is not None else Severity.MEDIUM,
        confidence=_confidence(component),
        criteria=("S1.1-09", "S1.1-13") if reach else None,
        witnesses=component.evidence[1:],
        refuted_by=_BACKPORTS if component.package is not None else "",
    )


def _aside(component: Component) -> Finding:
    """What a statement, a distribution or a configuration rules out; of the last the number is told, the report lists each."""
    reasons: dict[str, list[str]] = {}
    for each in component.set_aside:
        if each.ground in ("statement", "distribution", "absent"):
            reasons.setdefault(each.reason, []).append(each.id)
    told = [f"{_some(ids)}: {reason}" for reason, ids in reasons.items()]
    by_configuration = [each for each in component.set_aside if each.ground == "configuration"]
    if by_configuration:
        told.insert(0, f"{len(by_configuration)} by the kernel's configuration, such as {by_configuration[0].id}: "
                    f"{by_configuration[0].reason}")  # fmt: skip
    rest = f"; {len(told) - _NAMED} reasons more in the JSON report" if len(told) > _NAMED else ""
    return _SET_ASIDE.finding(
        _where(component, "; ".join(told[:_NAMED]) + rest),
        f"{component.name} {component.release}",
        everywhere=True,
        title=f"{component.name} {component.release}: {len(component.set_aside)} known vulnerabilities do not count",
        confidence=_confidence(component),
    )


def _some(ids: Sequence[str]) -> str:
    rest = len(ids) - _NAMED
    return ", ".join(ids[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


_BACKPORTS = (
    "The distribution took the fixes over into this package version (its changelog or advisories say so), or the weak part "
    "is not built in or cannot be reached."
)


def _ended(component: Component) -> Finding:
    small = _network(component) in ("", "web")
    return _ENDED.finding(
        _where(component, f"upstream support ended on {component.end_of_life} at the latest"),
        f"{component.name} {component.release}",
        everywhere=True,
        title=f"{component.name} {component.release}: support ended on {component.end_of_life}",
        severity=Severity.LOW if small else Severity.MEDIUM,
        confidence=_confidence(component),
        witnesses=component.evidence[1:],
    )


def _network(component: Component) -> str:
    product = products().get(component.name)
    return product.network if product is not None else ""


def _confidence(component: Component) -> Literal["certain", "firm", "tentative"]:
    """Never certain: the version is, what was changed in it is not. A distribution's package may carry fixes of its own."""
    return "tentative" if component.package is not None or component.confidence == "tentative" else "firm"


def _where(component: Component, statement: str) -> Evidence:
    first = component.evidence[0] if component.evidence else Evidence(location=Location())
    return Evidence(location=first.location, text=f"{first.text}: {statement}" if first.text else statement)


def _listed(vulnerabilities: tuple[Vulnerability, ...]) -> str:
    named = [_named(each) for each in vulnerabilities[:_NAMED]]
    rest = len(vulnerabilities) - len(named)
    return ", ".join(named) + (f" and {rest} more" if rest else "")


def _named(vulnerability: Vulnerability) -> str:
    marks = [f"CVSS {vulnerability.score}"] if vulnerability.score is not None else []
    marks += [f"called {vulnerability.severity}"] if vulnerability.severity else []
    marks += ["known to be exploited"] if vulnerability.known_exploited else []
    marks += [f"EPSS {vulnerability.epss:.0%}"] if vulnerability.epss is not None and vulnerability.epss >= _SHOWN else []
    marks += [f"fixed in {vulnerability.fixed_in}"] if vulnerability.fixed_in else []
    return vulnerability.id + (f" ({', '.join(marks)})" if marks else "")
