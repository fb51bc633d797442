"""A store of UEFI variables outside a firmware volume: ``$VSS`` of Phoenix and Insyde, as in dumps of older machines."""

from __future__ import annotations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats import _uefi_variables
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource


class VariableStore(Format):
    """``$VSS`` store; its live variables are files."""

    name = "uefi-vss"
    title = "UEFI variable store ($VSS)"
    specification = "EDK II VariableFormat.h, the layout before authenticated variables"
    category = "firmware"
    reads = "live variables with name, vendor and attributes; keys of secure boot are told"
    not_read = "deleted variables; Apple's variant; it has no checksum"
    signatures = (Signature(pattern=rb"\$VSS[\x00-\xff]{3}\x00\x5a\xfe", width=10),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        found = _uefi_variables.store(source, offset)
        if found.authenticated or source.peek(offset, 4) != b"$VSS":
            raise FormatError("not a $VSS store")
        entries = list(_uefi_variables.variables(source, offset, found, limits))
        detail = {**_uefi_variables.describe(found), "integrity": "none", "integrity_detail": "no check"}
        return Container(format=self.name, size=found.size, entries=entries, detail=detail)


FORMATS = (VariableStore(),)
