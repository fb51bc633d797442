"""When a criterion seems not to apply: its subject is missing from the device. Always a suggestion that a person confirms."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
