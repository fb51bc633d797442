"""Tables of SQLite databases that hold users or settings: their rows, read without believing anything the database says.

The content is a copy in memory. Only tables that lie in the file are read, by name of their stored columns: views, triggers,
virtual tables and computed columns are never evaluated (an authoriser refuses them, whatever the schema calls them), and the work
of the virtual machine is counted. Source of the layout: https://www.sqlite.org/fileformat2.html; of the precautions:
https://www.sqlite.org/security.html.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from fwcheck.model import Table

LIMIT = 32 << 20  # bytes of a database that is read
_MAGIC = b"SQLite format 3\0"
_VERSIONS = slice(18, 20)  # of the header: how it is written and read; 2 is a write-ahead log, which a copy in memory cannot have
_TABLES = 256  # tables of the schema that are looked at
_KEPT = 16  # tables that are kept
_USERS, _SETTINGS = 64, 512  # rows of a table
_COLUMNS = 24
_TEXT = 256  # characters of a value
_BYTES = 4 << 20  # of all values read
_STEPS = 2000  # thousands of instructions of the virtual machine
_VALUE = 1 << 20  # bytes of one row
_LIMITS = (
    (sqlite3.SQLITE_LIMIT_LENGTH, _VALUE),
    (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 64 << 10),
    (sqlite3.SQLITE_LIMIT_COLUMN, 256),
    (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 32),
    (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 2),
    (sqlite3.SQLITE_LIMIT_VDBE_OP, 4096),
    (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
    (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1),
    (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 8),
    (sqlite3.SQLITE_LIMIT_FUNCTION_ARG, 4),
)
_ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ})
_SECRET = re.compile(r"(?i)pass|pwd|psw|hash|digest|secret|(?:^|_)pw(?:_|$)|md5|sha\d")
_PEOPLE = re.compile(r"(?i)user|account|login|admin|auth|operator|member|credential|people|person|usr")
_NAMED = re.compile(
    r"(?i)(?:.*_)?(?:key|name|param(?:eter)?|option|item|attr(?:ibute)?|field|setting|property|variable|var)(?:_?name)?"
)
_VALUED = re.compile(r"(?i)(?:.*_)?(?:value|val|data|content|setting_?value)")


class Read(NamedTuple):
    """What came out of a database: its tables of users and settings, and what could not be read, in words."""

    tables: tuple[Table, ...] = ()
    problems: tuple[str, ...] = ()


def read_tables(content: bytes | memoryview) -> Read:
    """The tables of users and settings of a SQLite database, bounded in every respect. Never raises for any bytes."""
    if len(content) > LIMIT:
        return Read(problems=(f"sqlite: {len(content)} bytes are too many to be read as a database",))
    if bytes(content[: len(_MAGIC)]) != _MAGIC or len(content) < 512:
        return Read(problems=("sqlite: cut off in the header",))
    tables: list[Table] = []
    problems: list[str] = []
    try:
        with contextlib.closing(opened(content)) as connection:
            for table in _wanted(connection, problems):
                tables.append(table)
                if len(tables) >= _KEPT:
                    break
    except (sqlite3.Error, ValueError, MemoryError, OverflowError) as error:
        problems.append(f"sqlite: {error}"[:200])
    return Read(tuple(tables), tuple(dict.fromkeys(problems))[:4])


def opened(content: bytes | memoryview) -> sqlite3.Connection:
    """A connection to a copy of the content that can do nothing but read tables."""
    copy = bytearray(content)
    copy[_VERSIONS] = b"\x01\x01"
    connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=0)
    try:
        for which, limit in _LIMITS:
            connection.setlimit(which, limit)
        connection.deserialize(bytes(copy))
        for pragma in ("trusted_schema = OFF", "query_only = ON", "cell_size_check = ON", "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        connection.text_factory = lambda raw: raw[: 4 * _TEXT].decode("utf-8", "replace")[:_TEXT]
        left = [_STEPS]

        def count() -> int:
            left[0] -= 1
            return left[0] < 0

        connection.set_progress_handler(count, 1000)
        connection.set_authorizer(_authorise)
    except BaseException:
        connection.close()
        raise
    return connection


def _authorise(action: int, what: str | None, _second: str | None, _database: str | None, source: str | None) -> int:
    """Reading of tables alone; ``source`` names the view or trigger that wants to read."""
    allowed = action in _ALLOWED or (action == sqlite3.SQLITE_PRAGMA and what == "table_xinfo")
    return sqlite3.SQLITE_OK if allowed and source is None else sqlite3.SQLITE_DENY


def _wanted(connection: sqlite3.Connection, problems: list[str]) -> Iterator[Table]:
    """The tables whose columns look like those of users or of settings. A broken table costs itself."""
    schema = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0 LIMIT ?", (_TABLES,)
    ).fetchall()
    left = _BYTES
    for (name,) in schema:
        if not isinstance(name, str) or not 0 < len(name) < 128 or name.lower().startswith("sqlite_") or not name.isprintable():
            continue
        try:
            columns = _columns(connection, name)
            rows = _rows_wanted(name, columns)
            if not rows:
                continue
            table = _read(connection, name, columns, rows, left)
        except (sqlite3.Error, ValueError, OverflowError) as error:
            problems.append(f"sqlite: table {name[:40]}: {error}"[:200])
            continue
        left -= sum(len(value) for row in table.rows for value in row if value)
        if table.rows:
            yield table
        if left <= 0:
            problems.append("sqlite: more than can be kept, tables are missing")
            return


def _columns(connection: sqlite3.Connection, table: str) -> tuple[str, ...]:
    """Names of the stored columns: computed and hidden ones have a mark in the last field."""
    return tuple(row[1] for row in connection.execute(f"PRAGMA table_xinfo({_quoted(table)})") if not row[6])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _rows_wanted(name: str, columns: tuple[str, ...]) -> int:
    """How many rows are read: of users some, of settings by name and value more, of anything else none."""
    secret = any(_SECRET.search(each) for each in columns)
    if secret and (_PEOPLE.search(name) or any(_PEOPLE.search(each) or each.lower() in ("name", "email") for each in columns)):
        return _USERS
    pair = any(_NAMED.fullmatch(each) for each in columns) and any(_VALUED.fullmatch(each) for each in columns)
    return _SETTINGS if pair and len(columns) <= 8 else 0


def _read(connection: sqlite3.Connection, name: str, columns: tuple[str, ...], limit: int, left: int) -> Table:
    """The first rows. Rows of tables without row numbers are counted instead."""
    kept = columns[:_COLUMNS]
    listed = ", ".join(_quoted(each) for each in kept)
    query = f"{listed} FROM {_quoted(name)} NOT INDEXED LIMIT {limit}"
    try:
        cursor = connection.execute(f"SELECT rowid, {query}")
    except sqlite3.OperationalError:
        cursor = connection.execute(f"SELECT NULL, {query}")
    numbers: list[int] = []
    rows: list[tuple[str | None, ...]] = []
    for place, row in enumerate(cursor, 1):
        values = tuple(_text(value) for value in row[1:])
        left -= sum(len(value) for value in values if value)
        numbers.append(row[0] if isinstance(row[0], int) else place)
        rows.append(values)
        if left <= 0:
            break
    return Table(name=name, columns=kept, numbers=tuple(numbers), rows=tuple(rows))


def _text(value: object) -> str | None:
    """A value as text: bytes that read as text are it, others (a digest) in hexadecimal."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        short = value[:_TEXT]
        try:
            plain = short.decode("ascii")
        except UnicodeDecodeError:
            return short[: _TEXT // 2].hex()
        return plain if plain.isprintable() else short[: _TEXT // 2].hex()
    return str(value)[:_TEXT]
