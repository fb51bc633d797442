"""The configuration a Linux kernel was built with: ``IKCFG_ST``, a gzip member, ``IKCFG_ED`` (Linux kernel/configs.c)."""

from __future__ import annotations

import re

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats import gzip
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_BEGIN, _END = b"IKCFG_ST", b"IKCFG_ED"
_TITLE = re.compile(rb"# (?:Linux/(?P<arch>\S+) (?P<version>\S+) Kernel Configuration|Linux kernel version: (?P<old>\S+))")
_CONFIG_LIMIT = Limits(bytes_stream=4 << 20, ratio_floor=4 << 20)  # the largest are 300 KB


class IkConfig(Format):
    """Kernel configuration inside a kernel image; its text is the file ``config``."""

    name = "ikconfig"
    title = "Linux kernel configuration in the kernel (IKCONFIG)"
    specification = "Linux kernel/configs.c"
    category = "firmware"
    reads = "the gzip member between the two marks, its CRC32; version and architecture from the first lines"
    signatures = (Signature(pattern=rb"IKCFG_ST\x1f\x8b\x08", width=11),)
    priority = 15

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        if source.peek(offset, 8) != _BEGIN:
            raise FormatError("no IKCFG_ST mark")
        inner = gzip.FORMATS[0].open(source, offset + 8, _CONFIG_LIMIT)
        (packed,) = inner.entries
        assert packed.open is not None
        text = packed.open()
        if limits.meter is not None:
            limits.meter.add(text.size)
        size = 8 + inner.size
        problems = list(inner.problems)
        if source.peek(offset + size, 8) == _END:
            size += 8
        else:
            problems.append("no IKCFG_ED mark behind the configuration")
        head = text.peek(0, 4096)
        title = _TITLE.search(head)
        if b"CONFIG_" not in head:
            raise FormatError("no kernel configuration behind IKCFG_ST")
        detail: dict[str, str | int] = {"options": text.read(0, text.size).count(b"\nCONFIG_")}
        if title is not None:
            detail["version"] = (title["version"] or title["old"]).decode("latin-1")
            if title["arch"]:
                detail["architecture"] = title["arch"].decode("latin-1")
        right = not inner.problems
        detail |= {"integrity": "checksum", "integrity_detail": f"CRC32 {'right' if right else 'wrong'}"}
        entry = Entry(path="config", size=text.size, open=lambda: text, locality=offset)
        return Container(format=self.name, size=size, entries=[entry], detail=detail, problems=problems)


FORMATS = (IkConfig(),)
