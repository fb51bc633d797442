"""Reads and decompresses every file of an image once and throws the bytes away: what a scan cannot be faster than on one core."""

from __future__ import annotations

import sys
from pathlib import Path

from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Mapped

if __name__ == "__main__":
    source = Mapped.open(Path(sys.argv[1]))
    items = Explorer(Limits()).explore(source, ("image",), 1).items
    total = 0
    for item in sorted(items, key=lambda each: each.locality):
        content = item.content()
        total += content.size if content is not None and content.view(0, content.size) is not None else 0
    print(total)
