"""Writes the tables of the documentation that are made from the code.

usage: python docs/generate.py [--check]        --check: exit status 1 when a table on disk is stale
"""

from __future__ import annotations

import sys
from pathlib import Path

from fwcheck.extraction.registry import registered

HERE = Path(__file__).resolve().parent
_INTRODUCTION = """# Formats

Made from the code by `python docs/generate.py`; a test fails when this page is stale.

Every format is read in-process. Its parser validates the header before it claims bytes, and the claim is exact: what follows is
searched on its own.

"""


def formats() -> str:
    """The table of formats, by category and name."""
    rows = sorted((each.category, each.name, each.title, each.specification) for each in registered())
    lines = ["| category | name in reports | what | layout after |", "|---|---|---|---|"]
    lines += [f"| {category} | `{name}` | {title} | {source} |" for category, name, title, source in rows]
    return _INTRODUCTION + "\n".join(lines) + "\n"


TABLES = {"formats.md": formats}


def main() -> int:
    stale = 0
    for name, make in TABLES.items():
        path = HERE / name
        wanted = make()
        if not path.exists() or path.read_text(encoding="utf-8") != wanted:
            stale += 1
            if "--check" not in sys.argv:
                path.write_text(wanted, encoding="utf-8")
                print(f"wrote {path.name}")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
