"""Microcontroller images: secrets in the settings that are flashed into every unit, brokers and updates without encryption.

It proves what the image holds. Whether settings are written anew for each unit on the production line, and whether code is used
that is linked in, it cannot say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import mask, rules_of
from fwcheck.device.firmware import Firmware
from fwcheck.device.microcontroller import is_microcontroller, said, stored_secrets
from fwcheck.model import Device, Finding, Severity

RULES = rules_of(__name__)
_SECRET = RULES["FS-020"]
_BROKER = RULES["NET-020"]
_UPDATE = RULES["UPD-013"]
_UNVERIFIED = RULES["TLS-024"]
_LOCKS = RULES["DBG-022"]
_CRASH = RULES["DBG-023"]


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on images of microcontrollers; none for others."""
    if not is_microcontroller(firmware):
        return ()
    return once((*_secrets(firmware), *_endpoints(device), *_options(firmware)))


def _secrets(firmware: Firmware) -> Iterator[Finding]:
    for each in stored_secrets(firmware):
        offset = None if each.line else each.node.offset
        yield _SECRET.finding(
            each.place.evidence(each.node.path, f"{each.name}={mask(each.value)}", offset=offset, line=each.line),
            f"stored secret: {each.name}",
            title=f"The settings shipped hold a secret: {each.name}" + (" (erased, still readable)" if each.erased else ""),
            verdict="concern" if each.erased else "violation",
            severity=Severity.MEDIUM if each.erased else Severity.HIGH,
            secret=each.value,
        )


_IN_CLEAR = {
    "endpoint in clear": (_BROKER, "Endpoint without encryption"),
    "update address in clear": (_UPDATE, "Update address in clear"),
}


def _endpoints(device: Device) -> Iterator[Finding]:
    for trait in device.microcontroller:
        if trait.name in _IN_CLEAR and trait.evidence:
            rule, words = _IN_CLEAR[trait.name]
            yield rule.finding(trait.evidence[0], f"address: {trait.detail}", title=f"{words}: {trait.detail}"[:160])


_OPTIONS = {
    "mcu-verify-module-off": (_UNVERIFIED, "The radio module is told to verify no server", Severity.HIGH),
    "mcu-verify-ota-waived": (_UNVERIFIED, "Updates are taken from servers that nothing verifies", Severity.HIGH),
    "mcu-debug-unlocked": (_LOCKS, "The boot loader leaves JTAG on", Severity.MEDIUM),
    "mcu-rom-unlocked": (_LOCKS, "The boot loader leaves ROM functions on that get round its protection", Severity.MEDIUM),
    "mcu-console-gdb": (_CRASH, "A crash opens a debugger on the serial line", Severity.MEDIUM),
    "mcu-console-dump": (_CRASH, "A crash prints memory on the serial line", Severity.LOW),
}


def _options(firmware: Firmware) -> Iterator[Finding]:
    """Texts that only a build with a risky option holds."""
    told = said(firmware)
    for id, (rule, title, severity) in _OPTIONS.items():
        if held := told.get(id):
            yield rule.finding(
                held[0].evidence,
                f"option: {id}",
                title=title,
                severity=severity,
                witnesses=tuple(each.evidence for each in held[1:]),
            )
