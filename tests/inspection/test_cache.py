"""The facts cache: the same facts as inspection, and never an error, whatever happened to its file."""

import hashlib
import os
import random
import sqlite3
import stat
import threading
import time

import pytest

from fwcheck.inspection import cache as cache_module
from fwcheck.inspection import catalogue
from fwcheck.inspection.cache import WORTHWHILE, FactsCache
from fwcheck.inspection.inspect import inspect
from fwcheck.inspection.preload import preload

SCRIPT = b"#!/bin/sh\nhttp_passwd=admin\n" + b"# filler line\n" * 2000
NOISE = random.Random(1).randbytes(40_000)
PROGRAM = NOISE + b"\0wget http://upd:w0lfram@fw.maker.net/a\0" + NOISE


def _database() -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE users(name, password)")
    connection.execute("INSERT INTO users VALUES('admin', 'secret-of-admin')")
    connection.executemany("INSERT INTO users VALUES(?, ?)", [(f"user{number}", "x" * 500) for number in range(60)])
    connection.commit()
    return connection.serialize()


DATABASE = _database()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def calls(monkeypatch):
    seen = []

    def counted(content, sha256=None):
        seen.append(len(content))
        return inspect(content, sha256)

    monkeypatch.setattr(cache_module, "inspect", counted)
    return seen


@pytest.mark.parametrize("content", [SCRIPT, NOISE, DATABASE, PROGRAM])
def test_cached_facts_equal_inspected_ones_text_included(folder, calls, content):
    first = FactsCache.open(folder)
    assert first.inspect(content) == inspect(content)
    first.close()
    assert FactsCache.open(folder).inspect(memoryview(content)) == inspect(content)
    assert len(calls) == 1


def test_texts_and_tables_are_never_written(folder):
    cache = FactsCache.open(folder)
    cache.inspect(SCRIPT)
    cache.inspect(DATABASE)
    assert {hit.secret for hit in cache.inspect(PROGRAM).patterns} >= {"w0lfram"}
    cache.close()
    written = b"".join(path.read_bytes() for path in folder.iterdir())
    assert b"filler line" not in written
    assert b"passwd=admin" not in written
    assert b"secret-of-admin" not in written
    assert b"w0lfram" not in written
    assert hashlib.sha256(DATABASE).hexdigest().encode() in written
    assert hashlib.sha256(SCRIPT).hexdigest().encode() in written


def test_another_version_sees_nothing(folder, calls):
    first = FactsCache.open(folder, "1")
    first.inspect(NOISE)
    first.close()
    FactsCache.open(folder, "2").inspect(NOISE)
    assert len(calls) == 2


def test_small_contents_are_not_kept(folder):
    cache = FactsCache.open(folder)
    content = b"x" * (WORTHWHILE - 1)
    cache.inspect(content)
    cache.flush()
    assert cache.get(hashlib.sha256(content).hexdigest()) is None


def test_facts_with_problems_are_not_kept(folder):
    cache = FactsCache.open(folder)
    broken = b"\x7fELF" + b"\xff" * WORTHWHILE
    assert cache.inspect(broken).problems
    cache.flush()
    assert cache.get(hashlib.sha256(broken).hexdigest()) is None


def test_folder_and_file_belong_to_the_user_alone(folder):
    FactsCache.open(folder).close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "facts.sqlite").stat().st_mode) == 0o600


def test_a_folder_that_others_can_write_to_is_not_used(folder):
    folder.mkdir()
    folder.chmod(0o777)
    cache = FactsCache.open(folder)
    assert not cache.usable
    assert cache.inspect(NOISE) == inspect(NOISE)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("damage", ["text", "cut", "zeros", "schema", "folder"])
def test_a_damaged_file_is_made_anew_or_done_without(folder, damage):
    cache = FactsCache.open(folder)
    cache.inspect(NOISE)
    cache.close()
    path = folder / "facts.sqlite"
    if damage == "text":
        path.write_bytes(b"this is no database" * 500)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "zeros":
        path.write_bytes(path.read_bytes()[:100] + bytes(len(path.read_bytes()) - 100))
    elif damage == "schema":
        path.unlink()
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE facts (x)")
        other.close()
    else:
        path.unlink()
        path.mkdir()
    again = FactsCache.open(folder)
    assert again.inspect(NOISE) == inspect(NOISE)
    again.close()


def test_rows_that_are_no_facts_are_not_believed(folder):
    cache = FactsCache.open(folder)
    facts = cache.inspect(NOISE)
    cache.flush()
    other = cache_module.msgspec.structs.replace(facts, sha256="0" * 64)
    for data in (
        b"",
        b"\xc1",
        b"\x80",
        cache_module.msgspec.msgpack.encode({"sha256": 1}),
        cache_module.msgspec.msgpack.encode(other),
    ):
        with sqlite3.connect(folder / "facts.sqlite") as writer:
            writer.execute("UPDATE facts SET data = ?", (data,))
        writer.close()
        assert cache.get(facts.sha256) is None
        assert cache.inspect(NOISE) == facts
        cache.flush()


def test_a_lock_held_by_another_costs_the_entry_and_little_time(folder):
    cache = FactsCache.open(folder)
    holder = sqlite3.connect(folder / "facts.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    assert cache.inspect(NOISE) == inspect(NOISE)
    cache.flush()
    assert time.monotonic() - begun < 3
    holder.execute("ROLLBACK")
    holder.close()
    assert cache.usable


def test_many_writers_share_one_file(folder):
    contents = [random.Random(seed).randbytes(WORTHWHILE) for seed in range(40)]

    def work(part):
        cache = FactsCache.open(folder)
        for content in part:
            cache.inspect(content)
        cache.close()

    threads = [threading.Thread(target=work, args=(contents[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cache = FactsCache.open(folder)
    held = [cache.get(hashlib.sha256(content).hexdigest()) for content in contents]
    assert sum(facts is not None for facts in held) >= 30


def test_pruning_drops_what_was_unused_for_longest(folder, monkeypatch):
    cache = FactsCache.open(folder)
    for day, seed in ((100, 1), (120, 2), (129, 3)):
        monkeypatch.setattr(cache_module, "_today", lambda day=day: day)
        cache.put(inspect(random.Random(seed).randbytes(20_000)))
        cache.flush()
    monkeypatch.setattr(cache_module, "_today", lambda: 131)
    held = lambda: [row[0] for row in cache._connection.execute("SELECT used FROM facts ORDER BY used")]  # noqa: E731
    cache.prune()
    assert held() == [120, 129]
    size = cache._connection.execute("SELECT MAX(LENGTH(data)) FROM facts").fetchone()[0]
    cache.prune(limit=int(1.5 * size))
    assert held() in ([129], [])
    cache.close()


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path):
    (tmp_path / "file").write_text("x")
    cache = FactsCache.open(tmp_path / "file" / "cache")
    assert not cache.usable
    assert cache.inspect(b"abc") == inspect(b"abc")
    cache.flush()
    cache.prune()
    cache.close()


def test_the_pattern_database_is_kept_and_used(folder, monkeypatch):
    if not catalogue.builtin().patterns.native:
        pytest.skip("hyperscan does not run on this processor")
    built = catalogue.builtin.__wrapped__
    preload(folder)
    (kept,) = folder.glob("patterns-*.db")
    fresh = built()
    monkeypatch.setattr(catalogue, "builtin", lambda: fresh)
    preload(folder)
    assert fresh.patterns.scan(SCRIPT).matches
    kept.write_bytes(os.urandom(100))
    again = built()
    monkeypatch.setattr(catalogue, "builtin", lambda: again)
    preload(folder)
    assert again.patterns.scan(SCRIPT).matches
    assert len(kept.read_bytes()) > 100
