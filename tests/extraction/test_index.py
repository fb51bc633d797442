"""The kept index says what the formats say, is believed only while it fits them, and never gets in the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fwcheck.extraction import index as module
from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.index import Deferred, prepare
from fwcheck.extraction.registry import registered
from fwcheck.extraction.source import Memory


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "index.bin"
    monkeypatch.setattr(module, "_places", lambda _stamp: [path])
    module.load.cache_clear()
    yield path
    module.load.cache_clear()


def test_deferred_formats_say_what_the_real_ones_say(place: Path) -> None:
    module.load()
    module.load.cache_clear()
    kept, formats = module.load()
    assert place.exists()
    assert all(isinstance(each, Deferred) for each in formats)
    assert len(kept.rows) == len(registered())
    for each, real in zip(formats, registered(), strict=True):
        assert each.real() is real  # type: ignore[attr-defined]
        assert (each.name, each.category, each.priority) == (real.name, real.category, real.priority)
        assert each.signatures == tuple(real.signatures)


def test_a_deferred_format_opens_like_the_real_one() -> None:
    row = next(row for row in prepare(registered()).rows if row.name == "romfs")
    with pytest.raises(FormatError):
        Deferred(row).open(Memory(b"no romfs" * 10), 0)


@pytest.mark.parametrize("damage", [b"", b"rubbish", b"\x94\xa1x\x90\x90\xc0"])
def test_a_damaged_index_is_made_anew(place: Path, damage: bytes) -> None:
    place.write_bytes(damage)
    place.chmod(0o600)
    assert module.load()[0].rows
    assert module._read(place, module._stamp()) is not None


def test_an_index_that_others_may_write_is_not_believed(place: Path) -> None:
    module.load()
    place.chmod(0o666)
    assert module._read(place, module._stamp()) is None


def test_a_change_of_any_format_makes_it_stale(place: Path) -> None:
    module.load()
    assert module._read(place, "another stamp") is None
    before = module._stamp()
    path = Path(module.formats.__path__[0]) / "trx.py"
    real = path.stat().st_mtime_ns
    os.utime(path, ns=(real, real + 1))
    try:
        assert module._stamp() != before
    finally:
        os.utime(path, ns=(real, real))


def test_nothing_can_be_kept_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_places", lambda _stamp: [tmp_path / "file" / "index.bin"])
    (tmp_path / "file").write_bytes(b"no directory")
    module.load.cache_clear()
    assert len(module.load()[1]) == len(registered())
    module.load.cache_clear()


def test_a_scan_imports_only_what_it_meets() -> None:
    code = (
        "import sys; from fwcheck.extraction.identify import signatures; signatures(); "
        "print(sum(name.startswith('fwcheck.extraction.formats.') for name in sys.modules))"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert int(runs[-1]) == 0


def test_a_database_of_another_processor_is_made_anew(place: Path) -> None:
    kept, _ = module.load()
    place.write_bytes(module.msgspec.msgpack.encode(module.msgspec.structs.replace(kept, database=b"for another machine")))
    assert module._read(place, kept.stamp) is None
    module.load.cache_clear()
    assert module.load()[0].database == kept.database
