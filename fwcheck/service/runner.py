"""One scan from its claim to its end: a child process reads the image, this one watches it and keeps what it says.

The child is believed as little as the image: its report is checked against the model before it is kept.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
import zstandard
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from fwcheck.model import Report
from fwcheck.reports.json import read
from fwcheck.service import attachments, hooks
from fwcheck.service.children import Children
from fwcheck.service.database import Database, away
from fwcheck.service.jobs import Job, Said
from fwcheck.service.log import log
from fwcheck.service.queue import Claimed, Lost, Queue
from fwcheck.service.searching import INDEX, index
from fwcheck.service.settings import Settings
from fwcheck.service.storage import Folder, image_key, report_key
from fwcheck.service.tables import Product, Scan

_TELL = 0.5  # seconds between two notes of progress in the database
_POLL = 0.25
_PATIENCE = 120.0  # seconds that a result waits for a database that does not answer
_TROUBLE = 30.0  # seconds before a scan is taken up again that a full disk or an object store has stopped
_LINE = 1 << 16  # bytes of one line from the child
_REPORT = 512 << 20  # bytes of a report
Result = TypeVar("Result")
Ending = Literal["report", "refused", "crashed", "late", "stopped"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a child ended."""

    ending: Ending
    reason: str = ""
    report: bytes = b""


class Runner:
    """Does claimed scans one after the other. ``stopping`` tells whether the worker is to end, ``killed`` whether at once."""

    def __init__(self, settings: Settings, database: Database, store: Folder, queue: Queue) -> None:
        self._settings = settings
        self._database = database
        self._store = store
        self._queue = queue
        self._children = Children(
            cache=str(settings.data.resolve() / "cache") if settings.cache else None,
            knowledge=str(settings.knowledge.resolve()) if settings.knowledge else None,
        )

    def close(self) -> None:
        """Ends the process that has everything loaded."""
        self._children.close()

    def run(self, held: Claimed, expired: Callable[[], bool] = lambda: False) -> Ending:
        """Does one scan. ``expired``: whether the time that running scans get when a worker stops is over."""
        try:
            return self._run(held, expired)
        except Lost:
            return "stopped"  # somebody else has it: nothing of ours counts
        except Exception as error:
            if not _ours(error):
                raise
            log("trouble", scan=held.id, error=type(error).__name__, number=getattr(error, "errno", None))
            with contextlib.suppress(Lost):
                self._insist(lambda: self._queue.give_back(held, _TROUBLE))
            return "stopped"

    def _insist(self, action: Callable[[], Result]) -> Result:
        """The database may be away for a while: what was worked for is not thrown away for that.

        An action that was done without our hearing of it is told by Lost when it is done again: its claim is gone.
        """
        until, wait = time.monotonic() + max(_PATIENCE, self._settings.lease), 0.1
        while True:
            try:
                return action()
            except DBAPIError as error:
                if not away(error) or time.monotonic() > until:
                    raise
                log("database", error=type(error.orig).__name__)
            time.sleep(wait)
            wait = min(2.0, 2 * wait)

    def _run(self, held: Claimed, expired: Callable[[], bool]) -> Ending:
        if not self._store.holds(image_key(held.sha256)) and held.tries <= self._settings.tries:
            self._insist(lambda: self._queue.again(held, "the image was not in the store"))
            return "crashed"
        if held.tries > self._settings.tries:
            outcome = self._give_up(held, held.problem or "its worker was lost each time that it was read")
        else:
            outcome = self._attempt(held, expired, "")
            if outcome.ending == "crashed" and held.tries < self._settings.tries:
                reason = outcome.reason
                self._insist(lambda: self._queue.again(held, reason))
                return "crashed"
            if outcome.ending in {"crashed", "late"}:
                outcome = self._give_up(held, outcome.reason)
        if outcome.ending == "stopped":
            self._insist(lambda: self._queue.give_back(held))
        elif outcome.ending == "report":
            self._keep(held, outcome.report)
        else:
            self._insist(lambda: self._refuse(held, outcome.reason))
        return outcome.ending

    def _refuse(self, held: Claimed, reason: str) -> None:
        with self._database.write() as session:
            self._queue.finish(session, held, state="failed", problem=reason[:1000])
            self._announce(session, held)

    def _give_up(self, held: Claimed, why: str) -> Outcome:
        """A report that says why there is no better one."""
        outcome = self._attempt(held, lambda: False, f"the image was not read: {why}")
        if outcome.ending != "report":
            return Outcome(ending="refused", reason=why)
        return outcome

    def _attempt(self, held: Claimed, expired: Callable[[], bool], unread: str) -> Outcome:
        scratch = self._settings.data / "scratch"
        scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=scratch) as folder, self._image(held, unread) as image:
            given = self._given(held, Path(folder))
            job = Job(
                image=str(image.resolve()),
                folder=str(Path(folder).resolve()),
                name=held.name,
                size=held.size,
                sha256=held.sha256,
                target=held.target,
                jobs=self._settings.jobs,
                cache=self._children.cache,
                knowledge=self._children.knowledge,
                memory=self._settings.scan_memory,
                sandbox=self._settings.sandbox,
                unread=unread,
                declaration=next(iter(given["declaration"]), None),
                vex=given["vex"],
                update_keys=given["update_key"],
            )
            return self._watch(held, job, Path(folder), expired)

    def _given(self, held: Claimed, folder: Path) -> dict[str, tuple[str, ...]]:
        """The files that the scan is made with, by kind, laid out in the child's folder. Their names are labels."""
        paths: dict[str, list[str]] = {kind: [] for kind in attachments.ALONG}
        with self._database.read() as session:
            for number, each in enumerate(attachments.of_scan(session, held.id)):
                path = Path("given") / str(number) / each.name
                (folder / path).parent.mkdir(parents=True)
                (folder / path).write_bytes(attachments.content(session, each.sha256))
                paths[each.kind].append(str(path))
        return {kind: tuple(held) for kind, held in paths.items()}

    def _image(self, held: Claimed, unread: str) -> AbstractContextManager[Path]:
        """The file with the image; none is needed when it is not read any more."""
        return contextlib.nullcontext(Path("unread")) if unread else self._store.local(image_key(held.sha256))

    def _watch(self, held: Claimed, job: Job, folder: Path, expired: Callable[[], bool]) -> Outcome:
        with (folder / "errors").open("wb") as errors:
            child = self._children.start(job, errors.fileno())
        try:
            outcome = self._listen(held, child.output, expired)
        finally:
            status = child.end()
        if outcome.ending == "report":
            return self._checked(held, folder)
        if outcome.ending == "crashed":
            return msgspec.structs.replace(outcome, reason=_how(status))
        return outcome

    def _listen(self, held: Claimed, output: int, expired: Callable[[], bool]) -> Outcome:
        until = time.monotonic() + self._settings.scan_seconds
        told, said, buffer = 0.0, Said(stage="starting"), b""
        renewing = min(_TELL, self._settings.lease / 3)
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while True:
                if time.monotonic() - told > renewing:
                    told = time.monotonic()
                    self._renew(held, said)
                if time.monotonic() > until:
                    return Outcome(ending="late", reason=f"it took longer than {self._settings.scan_seconds:g} seconds")
                if expired():
                    return Outcome(ending="stopped")
                if not selector.select(_POLL):
                    continue
                piece = os.read(output, 1 << 16)
                *lines, buffer = (buffer + piece).split(b"\n")
                for line in lines:
                    said = _parsed(line) or said
                if said.end:
                    return Outcome(ending="report" if said.end == "report" else "refused", reason=said.reason[:1000])
                if not piece or len(buffer) > _LINE:
                    return Outcome(ending="crashed")

    def _renew(self, held: Claimed, said: Said) -> None:
        """A sign of life. While the database is away there is none to be given: whether the claim still holds shows later."""
        try:
            self._queue.renew(held, said.stage, said.done, said.total)
        except DBAPIError as error:
            if not away(error):
                raise
            log("database", error=type(error.orig).__name__)

    def _checked(self, held: Claimed, folder: Path) -> Outcome:
        """The report, when it is one on this image."""
        path = folder / "report"
        try:
            if path.is_symlink() or path.stat().st_size > _REPORT:
                return Outcome(ending="crashed", reason="its report was too large")
            content = path.read_bytes()
            report = read(content)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return Outcome(ending="crashed", reason=f"its report could not be used: {type(error).__name__}")
        if report.image.sha256 != held.sha256:
            return Outcome(ending="crashed", reason="its report was on another image")
        return Outcome(ending="report", report=content)

    def _keep(self, held: Claimed, content: bytes) -> None:
        report, key = read(content), report_key(held.id)
        self._store.put(key, zstandard.compress(content, 9))
        self._insist(lambda: self._finish(held, key, report))

    def _finish(self, held: Claimed, key: str, report: Report) -> None:
        with self._database.write() as session:
            self._queue.finish(session, held, state="done", report=key, problem="", indexed=INDEX, **summary(report))
            index(session, key, report)
            self._announce(session, held)

    def _announce(self, session: Session, held: Claimed) -> None:
        scan, product = session.execute(
            select(Scan, Product).join(Product, Product.id == Scan.product_id).where(Scan.id == held.id)
        ).one()
        hooks.enter(session, scan, product.name)


def _ours(error: Exception) -> bool:
    """Whether the trouble is a full disk, or a store or a database that does not answer: nothing of the image, and it passes."""
    if isinstance(error, DBAPIError):
        return away(error)
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in {"botocore", "boto3", "s3transfer"}


def summary(report: Report) -> dict[str, str | int | None]:
    """What the tables hold of a report."""
    adverse = sum(not each.waived and each.verdict in {"violation", "concern"} for each in report.findings)
    return {
        "highest": report.tier.highest_not_refuted,
        "score": report.tier.score,
        "judged": report.tier.target,
        "rules": report.tool.rules_digest,
        "knowledge": report.tool.database_date,
        "findings": adverse,
        "components": len(report.components),
    }


def _parsed(line: bytes) -> Said | None:
    try:
        return msgspec.json.decode(line, type=Said)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _how(status: int | None) -> str:
    """How the child ended, in words for the report. What it wrote to standard error is for the log alone."""
    if status is not None and status < 0:
        with contextlib.suppress(ValueError):
            return f"its worker ended with {signal.Signals(-status).name}"
    return f"its worker ended with status {status}"
