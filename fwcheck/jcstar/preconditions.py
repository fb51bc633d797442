"""Whether a device has what a criterion is about: where it is missing the criterion seems not to apply, or silence means nothing.

That a criterion does not apply is always a suggestion that a person confirms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fwcheck.jcstar.catalogue import Subject
from fwcheck.model import Device


def absent(precondition: str, device: Device) -> str:
    """Why the precondition does not hold, in words; empty when it holds or cannot be told."""
    return _ABSENT[precondition](device)


def _no_network_password(device: Device) -> str:
    if device.listeners or not device.services:
        return ""
    if any(account.password in {"hash", "empty"} and account.login is not False for account in device.accounts):
        return ""
    for service in device.services:
        off = service.enabled == "no" or service.reachable in {"no", "loopback"}
        if not off and service.authentication in {"password", "unknown"}:
            return ""
    return "no account with a usable password and no service that asks for one over a network"


_ABSENT: Mapping[str, Callable[[Device], str]] = {"network_password": _no_network_password}


def unseen(subject: Subject, device: Device) -> str:
    """Why nothing can be said on a subject, in words; empty when the device shows one."""
    seen, words = _SUBJECTS[subject]
    return "" if seen(device) else words


def _offers(device: Device) -> bool:
    return any(each.reachable_from != "local" for each in device.listeners) or any(
        each.enabled == "yes" and each.present and each.protocol and each.reachable not in {"no", "loopback"}
        for each in device.services
    )


def _asks(device: Device) -> bool:
    return any(
        each.enabled == "yes" and each.present and each.authentication in {"password", "key"} and each.reachable != "loopback"
        for each in device.services
    )


def _logs_in(device: Device) -> bool:
    usable = any(each.password in {"hash", "empty"} and each.login is not False for each in device.accounts)
    return usable or _asks(device) or any(each.authenticated for each in device.consoles)


_SUBJECTS: Mapping[Subject, tuple[Callable[[Device], bool], str]] = {
    "network_service": (_offers, "no service that answers on a network could be followed"),
    "login": (_logs_in, "no login could be followed"),
    "network_login": (_asks, "no login over a network could be followed"),
    "update_path": (
        lambda device: any(each.source != "container" for each in device.update_paths),
        "no way for new software could be followed",
    ),
    "component": (lambda device: any(each.version for each in device.components), "no component with a version was recognised"),
    "hardening": (lambda device: bool(device.hardening), "no started program could be looked at"),
}
