"""Coverage-guided fuzzing of everything that extraction does, with atheris: ``make fuzz``.

usage: python -m fuzz.guided [CORPUS_DIR] [libFuzzer options]

The corpus begins with the seeds of all formats. What is raised other than by quota is a crash; libFuzzer writes the image to
``crash-*``: minimised (``-minimize_crash=1``) it belongs into ``tests/fuzz/crashers``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["fwcheck.extraction"]):
    from support.seeds import seeds

    from fuzz.mutate import LIMITS
    from fwcheck.extraction.errors import ExtractionError
    from fwcheck.extraction.explore import Explorer
    from fwcheck.extraction.source import Memory

MEMBERS = 200
PIECE = 1 << 20


def one(data: bytes) -> None:
    """Explores an image and reads the beginning of its members."""
    found = Explorer(LIMITS.metered(len(data))).explore(Memory(data), ("fuzz",), 1)
    for gap in found.gaps:
        if "the parser failed" in gap.reason:
            raise AssertionError(f"{gap.node}: {gap.reason}")
    for item in found.items[:MEMBERS]:
        try:
            content = item.content()
            if content is not None:
                content.peek(0, PIECE)
        except ExtractionError:
            continue


def main() -> None:
    """Writes the seeds into the corpus directory and lets libFuzzer go."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    for name, every in seeds().items():
        for number, data in enumerate(every):
            (folder / f"{name}-{number}").write_bytes(data)
    options = [each for each in sys.argv[1:] if each.startswith("-")]
    atheris.Setup([sys.argv[0], str(folder), "-max_len=1048576", "-timeout=10", "-rss_limit_mb=1024", *options], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
