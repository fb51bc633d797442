"""An import as a whole: every file, or nothing.

All files are read into a copy of the knowledge file, in one transaction; only when the last one was good does the copy take the
place of the old file. Whatever breaks in between, the old one stands as it was.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fwcheck.vulnerabilities.imports.documents import BadDocument, UnknownDocument, documents
from fwcheck.vulnerabilities.imports.feeds import Feeds
from fwcheck.vulnerabilities.imports.rebase import rebase, shipped
from fwcheck.vulnerabilities.store import INDEXES, SCHEMA_VERSION, Writer, stamp


class Imported(NamedTuple):
    """What an import read and changed, for people."""

    records: Counter[str]  # by kind
    changed: Counter[str]  # rows by table
    unlike: int  # records that could not be understood
    rebased: bool = False  # the file was brought up to a newer shipped one


def run(files: Sequence[Path], target: Path) -> Imported:
    """Imports files into the knowledge file at ``target``, which begins as the shipped one.

    Raises BadDocument for a file that cannot be read, and OSError where the target cannot be written; both leave it as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target):
        part = target.with_name(target.name + ".part")
        try:
            _begin(target, part)
            imported = _into(part, files)
            if imported.changed or imported.rebased or not target.exists():
                _settle(part, target)
        finally:
            part.unlink(missing_ok=True)
    return imported


def _into(part: Path, files: Sequence[Path]) -> Imported:
    base = sqlite3.connect(part, isolation_level=None)
    try:
        base.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-65536;" + INDEXES)
        if dict(base.execute("SELECT key, value FROM meta")).get("schema") != SCHEMA_VERSION:
            raise BadDocument(f"{part.with_suffix('')}: is of another release of fwcheck: move it away and import again")
        base.execute("BEGIN")
        writer, feeds = Writer(base), Feeds()
        rebased = rebase(base, writer)
        for file in files:
            _file(file, feeds, writer)
        if feeds.catalogue is not None:
            writer.exploited_alone(feeds.catalogue)
        stamp(base)
        base.execute("COMMIT")
    except sqlite3.Error as error:
        raise BadDocument(f"{part.with_suffix('')}: is no knowledge file, or is damaged: {error}") from error
    finally:
        base.close()
    return Imported(feeds.read, writer.changed, feeds.unlike, rebased)


def _file(file: Path, feeds: Feeds, writer: Writer) -> None:
    """Every document of one file. Archives of feeds hold other files beside them, which are passed over."""
    before = feeds.read.total()
    for document in documents(file):
        try:
            writer.write(feeds.items(document))
        except UnknownDocument:
            if document.name == str(file):
                raise
    if feeds.read.total() == before:
        raise UnknownDocument(f"{file}: holds no document that is known here")


def _begin(target: Path, part: Path) -> None:
    """The copy to work on: of the file that is there, else of the shipped one."""
    if target.exists():
        shutil.copyfile(target, part)
        return
    digest, raw = shipped()
    part.write_bytes(raw)
    with contextlib.closing(sqlite3.connect(part)) as base, base:
        base.execute("INSERT OR REPLACE INTO meta VALUES ('base', ?)", (digest,))


def _settle(part: Path, target: Path) -> None:
    with part.open("rb") as stream:
        os.fsync(stream.fileno())
    part.replace(target)


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    """One import at a time: of two at once, the second waits for the first."""
    with target.with_name(target.name + ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
