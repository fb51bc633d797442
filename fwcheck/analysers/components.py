"""Component versions with known vulnerabilities or without support.

It proves which version the image carries and what is published against it. It cannot see fixes that a vendor or a distribution
took over without a new version, nor whether the weak part is compiled in: a version refutes no criterion by itself.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from typing import Literal

from fwcheck.analysers.rule import rules_of
from fwcheck.device.firmware import Firmware
from fwcheck.device.products import products
from fwcheck.model import Component, Device, Evidence, Finding, Location, Service, Severity, Vulnerability

_CRITICAL, _HIGH = 9.0, 7.0  # CVSS 3.1, table 14
_NAMED = 5  # vulnerabilities named in the evidence
_PROGRAMS = {  # programs whose name is not their project's
    "openssh": ("sshd",),
    "samba": ("smbd", "nmbd"),
    "ppp": ("pppd",),
    "net-snmp": ("snmpd",),
    "bluez": ("bluetoothd",),
    "avahi": ("avahi-daemon",),
    "minidlna": ("minidlnad",),
    "ntp": ("ntpd",),
    "http_server": ("httpd", "apache2"),
    "strongswan": ("charon", "starter", "ipsec"),
    "goahead": ("goahead", "webs"),
    "bind": ("named",),
    "transmission": ("transmission-daemon",),
}

RULES = rules_of(__name__)
_VULNERABLE = RULES["CVE-001"]
_ENDED = RULES["CVE-002"]


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:  # noqa: ARG001  # the shape all analysers share
    """At most one finding of each rule per component version."""
    seen: set[tuple[str, str, str | None]] = set()
    for component in device.components:
        for rule, finding in _of(component, device):
            key = (rule, component.name, component.version)
            if key not in seen:
                seen.add(key)
                yield finding


def _of(component: Component, device: Device) -> Iterator[tuple[str, Finding]]:
    if component.version is None:
        return
    if component.vulnerabilities and (finding := _vulnerable(component, device)) is not None:
        yield _VULNERABLE.id, finding
    if component.end_of_life is not None:
        yield _ENDED.id, _ended(component)


def _vulnerable(component: Component, device: Device) -> Finding | None:
    network = _network(component)
    exploited = [each for each in component.vulnerabilities if each.known_exploited]
    worst = max((each.score or 0.0 for each in component.vulnerabilities), default=0.0)
    if not exploited and worst < (_HIGH if network in ("server", "client") else _CRITICAL):
        return None
    runs = next((each for each in device.services if each.enabled == "yes" and _runs(each, component)), None)
    severity = Severity.HIGH if exploited and runs is not None else Severity.MEDIUM
    state = f"; {runs.name} is started by default ({runs.started_by})" if runs is not None else ""
    reach = network == "server" and component.name != "linux_kernel"
    return _VULNERABLE.finding(
        _where(component, f"{_listed(component.vulnerabilities)}{state}"),
        f"{component.name} {component.version}",
        title=f"{component.name} {component.version} has known vulnerabilities"
        + (", some known to be exploited" if exploited else ""),
        severity=severity,
        confidence=_confidence(component),
        criteria=("S1.1-09", "S1.1-13") if reach else None,
        witnesses=component.evidence[1:],
        refuted_by=_BACKPORTS if component.package is not None else "",
    )


_BACKPORTS = (
    "The distribution took the fixes over into this package version (its changelog or advisories say so), or the weak part "
    "is not built in or cannot be reached."
)


def _ended(component: Component) -> Finding:
    small = _network(component) in ("", "web")
    return _ENDED.finding(
        _where(component, f"upstream support ended on {component.end_of_life} at the latest"),
        f"{component.name} {component.version}",
        title=f"{component.name} {component.version}: support ended on {component.end_of_life}",
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


def _runs(service: Service, component: Component) -> bool:
    names = _PROGRAMS.get(component.name, (component.name,))
    if posixpath.basename(service.program) in names:
        return True
    return bool(service.program) and any(each.location.path == service.program for each in component.evidence)


def _where(component: Component, statement: str) -> Evidence:
    first = component.evidence[0] if component.evidence else Evidence(location=Location())
    return Evidence(location=first.location, text=f"{first.text}: {statement}" if first.text else statement)


def _listed(vulnerabilities: tuple[Vulnerability, ...]) -> str:
    named = [_named(each) for each in vulnerabilities[:_NAMED]]
    rest = len(vulnerabilities) - len(named)
    return ", ".join(named) + (f" and {rest} more" if rest else "")


def _named(vulnerability: Vulnerability) -> str:
    marks = [f"CVSS {vulnerability.score}"] if vulnerability.score is not None else []
    marks += ["known to be exploited"] if vulnerability.known_exploited else []
    marks += [f"fixed in {vulnerability.fixed_in}"] if vulnerability.fixed_in else []
    return vulnerability.id + (f" ({', '.join(marks)})" if marks else "")
