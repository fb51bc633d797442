"""Logins that a SQLite database in the image carries: its tables of users, row by row, each with its hash and salt put together.

Settings by name and value (``admin_password`` in one column, its value in the next) are read like lines of a settings file.
Columns as web frameworks and vendors name them: Django ``auth_user``, Rails and Devise ``encrypted_password``, Flask, Grafana's
``user`` with ``salt``, cameras and gateways with ``user``/``passwd``/``level``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from fwcheck.device._settings_records import Value
from fwcheck.device.hashes import classify, is_hash
from fwcheck.model import Table

_NAMES = tuple(
    re.compile(shape, re.IGNORECASE)
    for shape in (
        r"(?:.*_)?user_?name",
        r"(?:.*_)?login(?:_?name)?",
        r"(?:.*_)?(?:user|usr|u_?name|account|admin|operator)",
        r"account_?name|nick_?name|user_?login|.*admin_?name|name|nick",
        r"(?:user_?)?e?-?mail(?:_?address)?",
        r"user_?id|uid|id",
    )
)
_SECRET = re.compile(
    r"(?i)(?:.*_)?(?:user_?)?(?:passw(?:or)?d|passwd|passphrase|pass|pwd|psw|pw)\d?(?:_?(?:hash(?:ed)?|md5|sha\d*|digest|enc(?:rypted)?))?"
    r"|(?:hash(?:ed)?|encrypted|crypted|md5|sha\d*)_?(?:passw(?:or)?d|passwd|pass|pwd|pw)|hash|password_?digest"
)
_HASHED = re.compile(r"(?i)hash|md5|sha\d|digest|encrypted|crypted")
_SALT = re.compile(r"(?i)(?:.*_)?salt")
_OFF = re.compile(r"(?i)(?:is_?)?(?:enabled?|active)|status")
_ON = re.compile(r"(?i)(?:is_?)?(?:disabled?|locked|deleted|blocked)")
_PEOPLE = re.compile(r"(?i)user|account|login|admin|auth|operator|credential|usr|member")
_KEY = re.compile(
    r"(?i)(?:.*_)?(?:key|name|param(?:eter)?|option|item|attr(?:ibute)?|field|setting|property|variable|var)(?:_?name)?"
)
_VALUE = re.compile(r"(?i)(?:.*_)?(?:value|val|data|content)")
_OPAQUE = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}|[0-9a-fA-F]{24,}")


class Row(NamedTuple):
    """A user of a table: name, the stored field, and where it stands. ``hashed``: the field is no password in plain text."""

    table: str
    number: int
    column: str
    name: str
    field: str
    hashed: bool


def users(table: Table) -> Iterator[Row]:
    """The users of a table whose columns have a name and a password; those that are switched off are left out."""
    name = next((found for shape in _NAMES if (found := _column(table, shape)) is not None), None)
    secret = _column(table, _SECRET)
    if name is None or secret is None or not (_PEOPLE.search(table.name) or _PEOPLE.search(table.columns[name])):
        return
    salt = _column(table, _SALT)
    off, on = _column(table, _OFF), _column(table, _ON)
    column = table.columns[secret]
    for number, row in zip(table.numbers, table.rows, strict=False):
        if (off is not None and row[off] in ("0", "false")) or (on is not None and row[on] in ("1", "true")):
            continue
        field = (row[secret] or "").strip()
        if classify(field)[0] == "locked":
            continue
        hashed = is_hash(field) or bool(field and (_HASHED.search(column) or salt is not None or _OPAQUE.fullmatch(field)))
        yield Row(
            table.name, number, column, (row[name] or "").strip(), _salted(field, row[salt] if salt is not None else ""), hashed
        )


def _column(table: Table, shape: re.Pattern[str]) -> int | None:
    return next((place for place, name in enumerate(table.columns) if shape.fullmatch(name)), None)


def _salted(field: str, salt: str | None) -> str:
    """A bare digest together with the salt that stands in another column, in a form of our own (``_digests.py``)."""
    if salt and 0 < len(salt) <= 64 and re.fullmatch(r"(?:[0-9a-fA-F]{2}){16,64}", field):
        return f"{{salted}}{salt}:{field.lower()}"
    return field


def settings(table: Table) -> list[Value]:
    """Names and values of a table of settings."""
    key, value = _column(table, _KEY), _column(table, _VALUE)
    if key is None or value is None or key == value:
        return []
    rows = zip(table.numbers, table.rows, strict=False)
    held = [(number, row[key] or "", row[value] or "") for number, row in rows]
    return [Value(f"{table.name}#", "", name, text, number, place) for place, (number, name, text) in enumerate(held)]
