"""Facts kept between runs, by content: one SQLite file that many processes share, and that nobody has to trust or to miss.

Whatever is wrong with the file (locked, damaged, of another owner), the content is simply inspected again. Texts and tables are
never written: they are made again from the content. Small contents are not kept, looking them up costs as much as reading them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
import weakref
from pathlib import Path

import msgspec

from fwcheck.inspection.databases import read_tables
from fwcheck.inspection.inspect import INSPECTOR_VERSION, inspect, secret_patterns
from fwcheck.inspection.text import text_of
from fwcheck.model import Facts

WORTHWHILE = 512  # bytes: smaller contents are inspected as fast as they are found here
LIMIT = 256 << 20  # bytes of the file; above it the entries unused for longest go
UNUSED_DAYS = 30
_NAME = "facts.sqlite"
_BATCH = 32  # entries written in one transaction
_DELAY = 0.2  # seconds an entry waits at most for others, while entries come in
_BUSY = 0.25  # seconds to wait for another process's transaction
_DAY = 86400
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (
    sha256 TEXT NOT NULL, version TEXT NOT NULL, used INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (sha256, version)
) WITHOUT ROWID
"""


class FactsCache:
    """The cache in one directory. Every method works, and does nothing, when there is no usable file behind it."""

    def __init__(self, connection: sqlite3.Connection | None, version: str = INSPECTOR_VERSION) -> None:
        self._connection = connection
        if connection is not None:
            weakref.finalize(self, connection.close)
        self._version = version
        self._pending: list[tuple[str, str, int, bytes]] = []
        self._since = 0.0
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Facts)

    @classmethod
    def open(cls, directory: Path, version: str = INSPECTOR_VERSION) -> FactsCache:
        """Opens or makes the cache in ``directory`` (made with mode 0700); of ``version`` by default this inspector's."""
        try:
            if not usable(directory):
                return cls(None, version)
            path = directory / _NAME
            try:
                connection = _connect(path)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                # Damaged: processes that have it open keep their copy, everybody else starts anew.
                for name in (_NAME, f"{_NAME}-wal", f"{_NAME}-shm"):
                    (directory / name).unlink(missing_ok=True)
                connection = _connect(path)
        except (OSError, sqlite3.Error):
            return cls(None, version)
        return cls(connection, version)

    @property
    def usable(self) -> bool:
        """Whether there is a file behind it."""
        return self._connection is not None

    def inspect(self, content: bytes | memoryview, sha256: str | None = None) -> Facts:
        """The facts of a content: from the cache when they are there, else by inspection, and then kept.

        ``sha256`` is the content's own, in hexadecimal, where the caller has it already.
        """
        if self._connection is None or len(content) < WORTHWHILE:
            return inspect(content, sha256)
        digest = sha256 or hashlib.sha256(content).hexdigest()
        facts = self.get(digest)
        if facts is not None and facts.size == len(content):
            return _completed(facts, content)
        facts = inspect(content, digest)
        self.put(facts)
        return facts

    def get(self, sha256: str) -> Facts | None:
        """The facts kept for a content, without text and tables; None when there are none."""
        if self._connection is None:
            return None
        try:
            row = self._connection.execute(
                "SELECT data, used FROM facts WHERE sha256 = ? AND version = ?", (sha256, self._version)
            ).fetchone()
            if row is None:
                return None
            facts = self._decoder.decode(row[0])
        except (sqlite3.Error, msgspec.MsgspecError, UnicodeDecodeError, TypeError):
            return None
        if facts.sha256 != sha256:
            return None
        if row[1] != _today():
            self._add(sha256, row[0])
        return facts

    def note(self, key: str, version: str) -> bytes | None:
        """What another stage has kept under a key of its own; None when there is nothing."""
        if self._connection is None:
            return None
        try:
            row = self._connection.execute(
                "SELECT data, used FROM facts WHERE sha256 = ? AND version = ?", (key, version)
            ).fetchone()
        except sqlite3.Error:
            return None
        if row is None or not isinstance(row[0], bytes):
            return None
        if row[1] != _today():
            self._add(key, row[0], version)
        return row[0]

    def put_note(self, key: str, version: str, data: bytes) -> None:
        """Keeps what another stage wants to find again. ``key`` must not look like the digest of a content."""
        if self._connection is not None:
            self._add(key, data, version)

    def put(self, facts: Facts) -> None:
        """Keeps facts, without text and tables. Facts with problems are not kept: another run may read what was not read."""
        if self._connection is not None and not facts.problems:
            self._add(facts.sha256, self._encoder.encode(_without_secrets(facts)))

    def flush(self) -> None:
        """Writes what waits to be written; entries that cannot be written now are dropped."""
        pending, self._pending = self._pending, []
        if self._connection is None or not pending:
            return
        try:
            with self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?)", pending)
        except sqlite3.OperationalError:
            return  # locked, or the disk is full
        except sqlite3.Error:
            self.close()

    def prune(self, limit: int = LIMIT) -> None:
        """Removes entries unused for a month, and the longest unused ones while the entries exceed ``limit`` bytes."""
        if self._connection is None:
            return
        with contextlib.suppress(sqlite3.Error), self._connection:
            self._connection.execute("DELETE FROM facts WHERE used < ?", (_today() - UNUSED_DAYS,))
            total = self._connection.execute("SELECT COALESCE(SUM(LENGTH(data)), 0) FROM facts").fetchone()[0]
            if total > limit:
                self._connection.execute(
                    "DELETE FROM facts WHERE (sha256, version) IN (SELECT sha256, version FROM (SELECT sha256, version, "
                    "SUM(LENGTH(data)) OVER (ORDER BY used DESC, sha256, version) AS kept FROM facts) WHERE kept > ?)",
                    (limit // 2,),
                )

    def close(self) -> None:
        """Writes what waits and gives the file back; the cache is unusable from then on."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                if self._pending:
                    with connection:
                        connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?)", self._pending)
            self._pending = []
            connection.close()

    def _add(self, key: str, data: bytes, version: str | None = None) -> None:
        now = time.monotonic()
        if not self._pending:
            self._since = now
        self._pending.append((key, version or self._version, _today(), data))
        if len(self._pending) >= _BATCH or now - self._since > _DELAY:
            self.flush()


def _without_secrets(facts: Facts) -> Facts:
    """What may be written: no text, no rows, nothing that a pattern has masked."""
    patterns = tuple(msgspec.structs.replace(hit, secret="") if hit.secret else hit for hit in facts.patterns)
    return msgspec.structs.replace(facts, text=None, tables=(), patterns=patterns)


def _completed(facts: Facts, content: bytes | memoryview) -> Facts:
    """Facts as kept, with what was left out made again from the content."""
    tables = read_tables(content).tables if facts.kind == "sqlite" else ()
    patterns = secret_patterns(content, facts.kind) if facts.patterns else ()
    return msgspec.structs.replace(facts, text=text_of(content, facts.kind), tables=tables, patterns=patterns)


def _today() -> int:
    return int(time.time()) // _DAY


def usable(directory: Path) -> bool:
    """Makes the directory (mode 0700) and tells whether nobody else can write into it: what a stranger left is not believed."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
    except OSError:
        return False
    mine = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    return mine and not status.st_mode & 0o022


def _connect(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600, exist_ok=True)
    connection = sqlite3.connect(path, timeout=_BUSY, check_same_thread=False)
    try:
        # Without waiting for the disk: after a power cut entries may be missing, and a damaged file is made anew.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(_SCHEMA)
        connection.execute("SELECT sha256, version, used, data FROM facts LIMIT 1").fetchone()
        pages = connection.execute("PRAGMA page_count").fetchone()[0] * connection.execute("PRAGMA page_size").fetchone()[0]
    except BaseException:
        connection.close()
        raise
    if pages > LIMIT:
        FactsCache(connection).prune()
        with contextlib.suppress(sqlite3.Error):
            connection.execute("VACUUM")
    return connection
