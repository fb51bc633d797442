"""The end mark of OpenWrt images: DE AD C0 DE where the writable JFFS2 is to begin, with an empty block behind it.

(OpenWrt fs_mark; linux mtdsplit.)
"""

from __future__ import annotations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_MARK = b"\xde\xad\xc0\xde"
_LOOKED = 16


class OpenWrtEnd(Format):
    """End mark behind the root file system of an OpenWrt image."""

    name = "openwrt-eof"
    title = "OpenWrt end-of-file-system mark"
    specification = "OpenWrt fs_mark; linux mtdsplit"
    category = "flash"
    reads = "the mark, alone or repeated"
    signatures = (Signature(pattern=rb"\xde\xad\xc0\xde", width=4),)
    priority = 60

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        end = offset
        while source.peek(end, 4) == _MARK and (end - offset) // 4 < limits.nodes:
            end += 4
        # Anything else than an empty block, or the end, behind it: four bytes that look like the mark by chance.
        if end == offset or source.peek(end, _LOOKED).strip(b"\xff"):
            raise FormatError("not an end mark")
        return Container(format=self.name, size=end - offset, detail={"marks": (end - offset) // 4})


FORMATS = (OpenWrtEnd(),)
