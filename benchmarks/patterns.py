"""How fast the scan for secrets and banners is: MB/s of one core, and the part of what hyperscan alone would reach.

usage: python benchmarks/patterns.py [FILE ...]

Without files, Python sources (text) and shared libraries (binary) of this machine are taken, up to 24 MiB of each. Process
time is measured, so other work on the machine does not count. Beside it: the same bytes through hyperscan with one plain
expression (the floor), through Python's ``re`` (where hyperscan does not run), and through detect-secrets where it is installed.
"""

from __future__ import annotations

import contextlib
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from fwcheck.inspection import catalogue

MOST = 24 << 20
PIECE = 1 << 20
SMALL = 1 << 20  # bytes given to the slow ones


def _taken(paths: list[Path]) -> bytes:
    held = bytearray()
    for path in paths:
        if path.is_file() and not path.is_symlink():
            held += path.read_bytes()[: MOST - len(held)]
        if len(held) >= MOST:
            break
    return bytes(held)


def _rate(content: bytes, scan: Callable[[bytes], object]) -> float:
    started = time.process_time()
    for at in range(0, len(content), PIECE):
        scan(content[at : at + PIECE])
    return len(content) / 1e6 / max(time.process_time() - started, 1e-9)


def _floor() -> Callable[[bytes], object] | None:
    with contextlib.suppress(ImportError):
        import hyperscan  # noqa: PLC0415

        database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        database.compile(expressions=[rb"AKIA[A-Z2-7]{16}"], ids=[0], elements=1, flags=[0])
        return lambda piece: database.scan(piece, match_event_handler=lambda *_: None)
    return None


def _detect_secrets() -> Callable[[bytes], object] | None:
    with contextlib.suppress(ImportError):
        whole, settings = import_module("detect_secrets"), import_module("detect_secrets.settings")

        def scan(piece: bytes) -> object:
            with tempfile.NamedTemporaryFile(suffix=".conf") as file, settings.default_settings():
                file.write(piece)
                file.flush()
                collection = whole.SecretsCollection()
                return collection.scan_file(file.name)

        return scan
    return None


def main() -> int:
    """Prints one line for each kind of content."""
    given = [Path(name) for name in sys.argv[1:]]
    contents = {"given": _taken(given)} if given else {
        "text": _taken(sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))),
        "binary": _taken(sorted(Path("/usr/lib").rglob("*.so*"))),
    }  # fmt: skip
    patterns = catalogue.builtin().patterns
    slow = catalogue.load(catalogue.key_shapes(), native=False).patterns
    patterns.scan(b"warm")
    for name, content in contents.items():
        ours = _rate(content, patterns.scan)
        print(f"{name}: {len(content) / 1e6:.0f} MB, {ours:.0f} MB/s per core", end="")
        if (floor := _floor()) is not None:
            least = _rate(content, floor)
            print(f"; hyperscan with one expression {least:.0f} MB/s ({ours / least:.2f} of it)", end="")
        print(f"; with re alone {_rate(content[: SMALL // 4], slow.scan):.2f} MB/s", end="")
        if (other := _detect_secrets()) is not None:
            print(f"; detect-secrets {_rate(content[:SMALL], other):.2f} MB/s", end="")
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
