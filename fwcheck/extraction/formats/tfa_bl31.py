"""The resident monitor of Trusted Firmware-A (BL31) as raw AArch64 code (trusted-firmware-a, bl31/aarch64/bl31_entrypoint.S).

It begins by keeping its four arguments, ``mov x20, x0`` to ``mov x23, x3``, and holds its version (``v2.8(release):...``), the
time it was built (``Built : ...``) and messages that begin with ``BL31: ``. There is no header: it claims the source up to its
filling.
"""

from __future__ import annotations

import re
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._parts import code
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_START: Final = bytes.fromhex("f40300aaf50301aaf60302aaf70303aa")
_LARGEST: Final = 2 << 20
_FILLING: Final = 4096
_VERSION = re.compile(rb"(v\d{1,3}\.\d{1,3}(?:\.\d{1,3})?\((?:release|debug)\)):([\x21-\x7e]{0,80})\x00")
_BUILT = re.compile(rb"Built : ([\x20-\x7e]{8,60})\x00")


class TfaBl31(Format):
    """BL31 at the beginning of a source."""

    name = "tfa-bl31"
    title = "TF-A resident monitor (BL31, AArch64)"
    specification = "trusted-firmware-a bl31/aarch64/bl31_entrypoint.S"
    category = "executable"
    reads = "version, kind and time of the build, extent without filling, at the beginning of a source"
    not_read = "BL1 and BL2, builds whose reset vector is their entry, builds without a version"
    signatures = (Signature(pattern=b"".join(b"\\x%02x" % byte for byte in _START), width=16, anywhere=False),)
    priority = 60

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        data = source.peek(offset, _LARGEST)
        version, built = _VERSION.search(data), _BUILT.search(data)
        if not data.startswith(_START) or version is None or (built is None and b"BL31: " not in data):
            raise FormatError("no BL31 of Trusted Firmware-A")
        ends = [data.rstrip(filling) for filling in (b"\0", b"\xff")]
        shortest = min(len(each) for each in ends)
        size = shortest + -shortest % 16 if len(data) - shortest >= _FILLING else len(data)
        detail: dict[str, str | int] = {"version": version[1].decode("ascii"), "build": version[2].decode("ascii")}
        if built is not None:
            detail["built"] = built[1].decode("ascii")
        detail |= {"integrity": "none", "integrity_detail": "no check of its own"}
        return Container(format=self.name, size=size, entries=[code(source, "bl31", offset, size)], detail=detail)


FORMATS = (TfaBl31(),)
