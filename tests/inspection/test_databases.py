"""Databases: tables of users and settings are read; whatever else a database holds is neither evaluated nor believed."""

import random
import sqlite3
import time

import pytest

from fwcheck.inspection.databases import LIMIT, read_tables
from fwcheck.inspection.inspect import inspect

USERS = (
    "CREATE TABLE users(id INTEGER PRIMARY KEY, username TEXT, password TEXT, picture BLOB)",
    "INSERT INTO users VALUES(3, 'admin', 'changeit', x'00ff')",
)


def database(*statements: str, page: int = 1024, journal: bytes = b"") -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute(f"PRAGMA page_size = {page}")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    raw = bytearray(connection.serialize())
    connection.close()
    if journal:
        raw[18:20] = journal
    return bytes(raw)


def test_users_are_read_with_their_row_numbers():
    (table,) = read_tables(database(*USERS)).tables
    assert (table.name, table.columns, table.numbers) == ("users", ("id", "username", "password", "picture"), (3,))
    assert table.rows == (("3", "admin", "changeit", "00ff"),)


@pytest.mark.parametrize(
    "statements",
    [
        ("PRAGMA encoding = 'UTF-16le'", *USERS),
        (USERS[0].replace("INTEGER PRIMARY KEY", "INTEGER"), USERS[1]),
        ("CREATE TABLE users(id INT, username TEXT PRIMARY KEY, password TEXT, picture BLOB) WITHOUT ROWID", USERS[1]),
        (
            "CREATE TABLE users(id, username, password, picture, all_of_it AS (username || password))",
            "INSERT INTO users VALUES(3, 'admin', 'changeit', x'00ff')",
        ),
        (
            *USERS,
            "CREATE INDEX i ON users(username, password)",
            "CREATE TRIGGER t AFTER INSERT ON users BEGIN DELETE FROM users; END",
        ),
    ],
)
def test_every_kind_of_table_is_read(statements):
    (table,) = read_tables(database(*statements)).tables
    assert table.rows[0][:3] == ("3", "admin", "changeit")


def test_a_database_with_a_write_ahead_log_is_read():
    assert read_tables(database(*USERS, journal=b"\2\2")).tables[0].rows[0][1] == "admin"


def test_settings_are_read_and_other_tables_are_not():
    raw = database(
        "CREATE TABLE config(key TEXT, value TEXT)",
        "INSERT INTO config VALUES('admin_password', 'changeit')",
        "CREATE TABLE song(id INTEGER, artist TEXT, title TEXT)",
        "INSERT INTO song VALUES(1, 'a', 'b')",
    )
    assert [table.name for table in read_tables(raw).tables] == ["config"]


def test_rows_columns_and_values_are_bounded():
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
    raw = database(
        "CREATE TABLE user(name TEXT, password TEXT)",
        f"INSERT INTO user {many} SELECT 'user' || i, hex(zeroblob(2000)) FROM n",
        *(f"CREATE TABLE user{number}(name, password)" for number in range(40)),
        *(f"INSERT INTO user{number} VALUES('a', 'b')" for number in range(40)),
    )
    found = read_tables(raw)
    assert len(found.tables) <= 16
    assert len(found.tables[0].rows) <= 64
    assert max(len(value) for row in found.tables[0].rows for value in row) <= 256


def test_a_large_database_is_a_gap():
    assert read_tables(b"SQLite format 3\0" + bytes(LIMIT)).problems
    assert any("sqlite" in each for each in inspect(database(*USERS)[:700]).problems)


ENDLESS = (
    "WITH RECURSIVE n(name, password) AS (SELECT 1, 2 UNION ALL SELECT name + 1, password FROM n) SELECT name, password FROM n"
)


@pytest.mark.parametrize(
    "schema",
    [
        "UPDATE sqlite_master SET type = 'table', rootpage = 2 WHERE type = 'view'",
        "UPDATE sqlite_master SET type = 'table' WHERE type = 'view'",
        "UPDATE sqlite_master SET name = 'users', tbl_name = 'users' WHERE type = 'table'",
        "UPDATE sqlite_master SET sql = 'CREATE TABLE user(name, password) AS SELECT 1' WHERE type = 'table'",
        "UPDATE sqlite_master SET sql = 'CREATE VIRTUAL TABLE t USING fts5(name, password)' WHERE type = 'table'",
        "UPDATE sqlite_master SET rootpage = 1 WHERE type = 'table'",
        "UPDATE sqlite_master SET rootpage = 99999 WHERE type = 'table'",
    ],
)
def test_a_view_is_never_evaluated_whatever_the_schema_calls_it(schema):
    raw = database(
        "CREATE TABLE t(name TEXT, password TEXT)",
        "INSERT INTO t VALUES('a', 'b')",
        f"CREATE VIEW users AS {ENDLESS}",
        "PRAGMA writable_schema = ON",
        schema,
    )
    begin = time.process_time()
    found = read_tables(raw)
    assert time.process_time() - begin < 0.5
    assert all(len(table.rows) <= 1 for table in found.tables)


def test_a_computed_column_is_never_computed():
    slow = "hex(zeroblob(400000)) GLOB '*0*0*0*0*0*0*1'"
    raw = database("CREATE TABLE users(name TEXT, password TEXT)", "INSERT INTO users VALUES('a', 'b')")
    with_it = f"CREATE TABLE users(name TEXT, password TEXT, note AS ({slow}))"
    changed = database(with_it, "INSERT INTO users(name, password) VALUES('a', 'b')")
    begin = time.process_time()
    assert read_tables(changed).tables[0].rows == read_tables(raw).tables[0].rows
    assert time.process_time() - begin < 0.5


def test_mutated_and_truncated_databases_never_raise():
    generator = random.Random(4)
    raw = database(*USERS, "CREATE TABLE config(key, value)", "INSERT INTO config VALUES('a', hex(zeroblob(3000)))", page=512)
    for size in range(0, len(raw), 97):
        read_tables(raw[:size])
    for _ in range(400):
        changed = bytearray(raw)
        for _ in range(generator.randrange(1, 12)):
            changed[generator.randrange(16, len(changed))] = generator.randrange(256)
        read_tables(bytes(changed))


def test_a_page_that_leads_back_to_itself_ends():
    raw = bytearray(database("CREATE TABLE users(name, password)", "INSERT INTO users VALUES('a', 'b')", page=512))
    raw[512] = 5  # an interior page of the table's tree, its only child itself
    raw[515:517] = b"\0\0"
    raw[520:524] = (2).to_bytes(4, "big")
    begin = time.process_time()
    assert read_tables(bytes(raw)).problems
    assert time.process_time() - begin < 0.5


def test_the_rows_of_any_content_are_those_of_its_facts():
    facts = inspect(database(*USERS))
    assert facts.kind == "sqlite"
    assert facts.tables[0].rows[0][1] == "admin"
