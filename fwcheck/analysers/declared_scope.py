"""Statements on what the product is and is not, held against the image; and statements that are against a criterion themselves.

It proves that the image shows the subject of what is said not to apply; whether it matters to the product, a person has to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers._product_types import kinds
from fwcheck.analysers.rule import rules_of
from fwcheck.declaration import Declaration
from fwcheck.device.firmware import Firmware
from fwcheck.model import Device, Evidence, Finding, Location, Service, UpdatePath

RULES = rules_of(__name__)
_UNUSUAL = RULES["DEC-012"]
_SUBJECT = RULES["DEC-017"]
_ADMITTED = RULES["DEC-018"]
_UPDATED = RULES["DEC-019"]
_NO_IP = RULES["DEC-020"]
_ASKED = RULES["DEC-021"]

_NETWORK = frozenset({"web upload", "http download", "tftp or ftp", "TR-069"})
_OF_A_SYSTEM = frozenset({"", "system", "ubus", "serial", "wireless"})  # protocols of programs that no network speaks to


def analyse(_firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on scope; without a declaration, nothing."""
    declared = device.declared
    if declared is None:
        return ()
    found = [*_unusual(declared, device), *_subjects(declared, device), *_admitted(declared), *_unconnected(declared, device)]
    return once([*found, *_updated(declared, device), *_asked(declared, device)])


def _reached(device: Device) -> Iterator[tuple[Service, int | None]]:
    """Started services with a port that others can reach."""
    started = {each.name: each for each in device.services if each.enabled == "yes" and each.present}
    for listener in device.listeners:
        service = started.get(listener.service)
        if service is not None and service.reachable not in ("loopback", "no") and listener.reachable_from != "local":
            yield service, listener.port


def _where(evidence: tuple[Evidence, ...], device: Device) -> Evidence:
    return evidence[0] if evidence else Evidence(location=Location(), text=device.platform)


def _unusual(declared: Declaration, device: Device) -> Iterator[Finding]:
    """DEC-012: only where the maker lists no services; a list is held against the ports by DEC-002."""
    kind = kinds()[declared.product.type]
    if declared.services is not None or not kind.expected:
        return
    for service, port in _reached(device):
        if service.protocol and service.protocol not in kind.expected and service.protocol not in _OF_A_SYSTEM:
            title = f"Declared: {declared.product.type}. {service.name} ({service.protocol}, port {port or '?'}) is reachable"
            yield _UNUSUAL.finding(
                _where(service.evidence, device), f"unusual: {service.name} {service.protocol}", title=title[:200]
            )


# --------------------------------------------------------------------------- what is said not to apply


def _logins(device: Device) -> Iterator[tuple[str, Evidence]]:
    for service, port in _reached(device):
        if service.authentication in ("password", "key", "certificate"):
            yield f"{service.name} asks for a login on port {port or '?'}", _where(service.evidence, device)


def _updates(device: Device, wanted: Callable[[UpdatePath], bool]) -> Iterator[tuple[str, Evidence]]:
    for path in device.update_paths:
        if wanted(path):
            yield f"{path.mechanism or path.sink} takes software by {path.source}", _where(path.evidence, device)


def _network(device: Device) -> Iterator[tuple[str, Evidence]]:
    for service, port in _reached(device):
        yield f"{service.name} is reachable on port {port or '?'}", _where(service.evidence, device)


def _secrets(device: Device) -> Iterator[tuple[str, Evidence]]:
    for account in device.accounts:
        if account.password == "hash":
            yield f"a password of {account.name} is stored", _where(account.evidence, device)
    for asset in device.crypto:
        if asset.kind == "private-key":
            yield f"a private key ({asset.algorithm}) is stored", _where(asset.evidence, device)


_SUBJECTS: dict[str, Callable[[Device], Iterable[tuple[str, Evidence]]]] = {
    "S1.1-01": _network,
    **dict.fromkeys(("S1.1-02", "S1.1-03", "S1.1-04"), _logins),
    **dict.fromkeys(("S1.1-06", "S1.1-07"), lambda device: _updates(device, lambda path: path.source != "container")),
    "S1.1-08": lambda device: _updates(device, lambda path: path.source in _NETWORK),
    "S1.1-11": _secrets,
    "S1.1-12": _network,
    "S1.1-13": _network,
}


def _subjects(declared: Declaration, device: Device) -> Iterator[Finding]:
    """DEC-017: the first thing of each criterion that is said not to apply and has its subject in the image."""
    for criterion in declared.not_applicable:
        for shown, where in _SUBJECTS[criterion](device) if criterion in _SUBJECTS else ():
            title = f"Declared: {criterion} does not apply. In the image, {shown}"
            yield _SUBJECT.finding(where, f"not applicable: {criterion}", title=title[:200], criteria=(criterion,))
            break


# --------------------------------------------------------------------------- what is said against the product itself


def _admitted(declared: Declaration) -> Iterator[Finding]:
    """DEC-018: statements that a criterion excludes."""
    updates, data = declared.updates, declared.data
    common = declared.credentials.first_password == "common"
    for holds, key, said, criterion in (
        (common, "credentials.first_password", "the first password is the same in all units", "S1.1-02"),
        (updates.method == "none", "updates.method", "the software cannot be updated", "S1.1-06"),
        (updates.signed is False, "updates.signed", "updates are not signed", "S1.1-08"),
        (updates.encrypted_transport is False, "updates.encrypted_transport", "updates travel without encryption", "S1.1-12"),
        (data.factory_reset is False, "data.factory_reset", "users cannot erase what is stored", "S1.1-15"),
        (data.logging is False, "data.logging", "no events are logged", "FWC3-03"),
    ):
        if holds:
            where = Evidence(location=Location(), text=f"product.toml: {key}")
            yield _ADMITTED.finding(where, f"admitted: {key}", title=f"Declared: {said}", criteria=(criterion,))


def _unconnected(declared: Declaration, device: Device) -> Iterator[Finding]:
    """DEC-020."""
    if declared.use.ip:
        return
    for service, port in _reached(device):
        title = f"Declared: no communication over IP. {service.name} is reachable on port {port or '?'}"
        yield _NO_IP.finding(_where(service.evidence, device), f"declared no IP: {service.name}", title=title[:200])


def _updated(declared: Declaration, device: Device) -> Iterator[Finding]:
    """DEC-019: ways for software beside a statement that there are none, or that the device goes them by itself."""
    method = declared.updates.method
    ways = [path for path in device.update_paths if path.source != "container"]
    if method == "none":
        for shown, where in _updates(device, lambda path: path.source in _NETWORK):
            yield _UPDATED.finding(where, "declared no updates", title=f"Declared: no updates. {shown}"[:200])
    elif method == "automatic" and ways and all(path.automatic == "no" for path in ways):
        title = "Declared: automatic updates. By the shipped default, no way of updating is started by the device itself"
        yield _UPDATED.finding(_where(ways[0].evidence, device), "declared automatic", title=title, criteria=("S1.1-07",))


def _asked(declared: Declaration, device: Device) -> Iterator[Finding]:
    """DEC-021."""
    if declared.credentials.first_password != "none":
        return
    for service, port in _reached(device):
        if service.authentication == "password":
            title = f"Declared: no password. {service.name} asks for one on port {port or '?'}"
            yield _ASKED.finding(_where(service.evidence, device), f"declared no password: {service.name}", title=title[:200])
