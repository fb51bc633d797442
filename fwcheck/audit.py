"""Many images, one after the other, with nothing lost: each in a process of its own, each result on disk before the next.

The directory of an audit holds ``reports/`` (one set of reports for each image), ``.audit/entries/`` (one small file for each
result, written last and in one step: it is there, or the image has yet to be read) and the pages about all of them. A run that
was ended, however hard, goes on where it was: an image whose bytes and name are those of a result is not read again, unless what
else decides the result has changed (``asked_of``): options, the content of the files that are given, rules, knowledge, version.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import multiprocessing
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatch
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

import msgspec

from fwcheck import __version__
from fwcheck.extraction.limits import Limits
from fwcheck.fleet import Entry, entry
from fwcheck.pipeline import InputError, Options, Progress, check, knowledge_digest, prepare, read_gates, rules_digest, scan
from fwcheck.reports.registry import Lang, named

# Names of files that lie beside images and are none: notes, checksums, detached signatures, tables, pictures.
NO_IMAGES = (
    *(
        "*.txt",
        "*.md",
        "*.rst",
        "*.pdf",
        "*.doc",
        "*.docx",
        "*.odt",
        "*.rtf",
        "*.htm",
        "*.html",
        "*.csv",
        "*.tsv",
        "*.xls",
        "*.xlsx",
    ),
    *(
        "*.json",
        "*.xml",
        "*.toml",
        "*.yaml",
        "*.yml",
        "*.asc",
        "*.sig",
        "*.md5",
        "*.sha1",
        "*.sha256",
        "*.sha512",
        "*.png",
        "*.jpg",
    ),
    *("*SUMS", "README", "LICENSE", "COPYING", "CHANGELOG", "Thumbs.db"),
)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_EXTRA = 120.0  # seconds that a scan may take beyond the time for its contents: the structure, the later stages, the reports
_POLL = 0.1  # seconds between looks whether the user wants it to end
_EVERY = 0.05  # seconds between two messages about progress


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """An image to be looked at and the name that it goes by."""

    path: Path
    label: str


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is done with every image."""

    options: Options
    formats: tuple[str, ...]
    lang: Lang = "en"
    show_secrets: bool = False


def targets(given: Sequence[Path], without: Path, exclude: Sequence[str] = ()) -> tuple[list[Target], list[str]]:
    """The images in the folders and among the files that were given, and the labels of files that were left out by their names.

    Links are not followed, hidden files and the directory ``without`` are passed over. A file that is given by its name is taken
    whatever it is called. Raises InputError for a path that is not there.
    """
    found: dict[str, Target] = {}
    left_out: list[str] = []
    several = sum(path.is_dir() for path in given) > 1
    for path in given:
        if not path.exists():
            raise InputError(f"{path}: No such file or directory")
        if not path.is_dir():
            _take(found, path, path.name)
            continue
        for each in _files(path, without.absolute()):
            label = each.relative_to(path).as_posix()
            if any(fnmatch(each.name, pattern) for pattern in (*NO_IMAGES, *exclude)):
                left_out.append(label)
            else:
                _take(found, each, f"{path.absolute().name}/{label}" if several else label)
    return list(found.values()), left_out


def _take(found: dict[str, Target], path: Path, label: str) -> None:
    """Keeps names apart: the second of a name gets its folder in front, and a number when that is taken, too."""
    if any(each.path.absolute() == path.absolute() for each in found.values() if each.path.name == path.name):
        return
    name, number = label, 1
    if name in found:
        name = f"{path.absolute().parent.name}/{label}"
    while name in found:
        number += 1
        name = f"{label} ({number})"
    found[name] = Target(path=path, label=name)


def _files(directory: Path, without: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(directory):
        here = Path(place)
        folders[:] = sorted(each for each in folders if not each.startswith(".") and (here / each).absolute() != without)
        for name in sorted(names):
            path = here / name
            if not name.startswith(".") and path.is_file() and not path.is_symlink():
                yield path


Asked = dict[str, str]  # what a result depends on beside the image: its name in words, and a digest or the value itself


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A result on disk, and what it was made with."""

    entry: Entry
    asked: Asked


class Store:
    """The directory of one audit. Only one process may use it at a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._entries = directory / ".audit" / "entries"
        try:
            self._entries.mkdir(parents=True, exist_ok=True)
            (directory / "reports").mkdir(exist_ok=True)
            self._lock = _locked(directory / ".audit" / "lock")
            self.salt = self._made_salt()
        except BlockingIOError as error:
            raise InputError(f"{directory}: another audit is at work there") from error
        except OSError as error:
            raise InputError(f"{directory}: {error.strerror}") from error

    def _made_salt(self) -> bytes:
        """The key of the marks, made once, readable by its owner alone."""
        path = self.directory / ".audit" / "salt"
        with contextlib.suppress(FileNotFoundError):
            held = path.read_bytes()
            if len(held) == 32:
                return held
        fresh = os.urandom(32)
        put(path, fresh, mode=0o600)
        return fresh

    def find(self, key: str) -> Kept | None:
        """The result of an earlier run; None when there is none that can be used."""
        try:
            held = msgspec.json.decode((self._entries / f"{key}.json").read_bytes(), type=Kept)
        except (OSError, msgspec.MsgspecError):
            return None
        return held if all((self.directory / name).exists() for name in held.entry.reports.values()) else None

    def keep(self, key: str, result: Entry, asked: Asked) -> None:
        """Writes a result: from now on the image counts as read. One that was there for the same image is replaced."""
        put(self._entries / f"{key}.json", msgspec.json.encode(Kept(entry=result, asked=asked)))

    def close(self) -> None:
        """Lets others in."""
        self._lock.close()


def _locked(path: Path) -> IO[str]:
    """A file that this process alone holds; raises BlockingIOError when another does."""
    with contextlib.ExitStack() as stack:
        lock = stack.enter_context(path.open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        stack.pop_all()
        return lock


def put(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Writes a file in one step: whoever looks sees the old one, or the whole new one."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with open(descriptor, "wb") as stream:  # noqa: PTH123  # a descriptor, not a path
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def asked_of(job: Job) -> Asked:
    """Everything but the image that a result depends on, each under a name that can be told.

    Files count by name and content, wherever they lie. Raises InputError when one of them is broken.
    """
    given = job.options
    files = {
        "the product file": given.product,
        "the policy": given.policy,
        "the waivers": given.waivers,
        "the baseline": given.baseline,
    }
    empty: dict[str, Any] = dict.fromkeys(("cache", "product", "policy", "waivers", "baseline", "database"))
    options = msgspec.structs.replace(given, **empty, jobs=0, limits=Limits(), update_keys=(), vex=())
    what = [msgspec.to_builtins(options, enc_hook=str), given.limits.published_keys, job.show_secrets]
    return {
        "fwcheck's version": __version__,
        "the rules": rules_digest(),
        "the vulnerability data": knowledge_digest(given.database),
        "the options": hashlib.sha256(msgspec.json.encode(what)).hexdigest(),
        "the report formats": ",".join(job.formats),
        "the language": job.lang,
        **{name: _named(path) for name, path in files.items() if path is not None},
        **({"the VEX files": _digests(given.vex)} if given.vex else {}),
        **({"the update keys": _digests(given.update_keys)} if given.update_keys else {}),
        **({"the date": dated} if (dated := read_gates(given).dated()) else {}),
    }


def differing(old: Asked, new: Asked) -> list[str]:
    """What is not the same in both, in their order."""
    return [name for name in dict.fromkeys((*new, *old)) if old.get(name) != new.get(name)]


def key_of(target: Target) -> str:
    """What makes an image the same: its bytes and its name. Raises OSError."""
    return hashlib.sha256(msgspec.json.encode([_digest(target.path), target.label])).hexdigest()[:32]


def _named(path: Path) -> str:
    try:
        return f"{path.name} {_digest(path)}"
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def _digests(paths: Sequence[Path]) -> str:
    return hashlib.sha256("\n".join(map(_named, paths)).encode(errors="backslashreplace")).hexdigest()


def _digest(path: Path) -> str:
    """SHA-256 of a file; raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# --------------------------------------------------------------------------- one image


class Interrupted(Exception):
    """The user has ended the audit; everything that was finished is on disk."""


def _never() -> bool:
    return False


def _silent(_names: list[str], _count: int) -> None:
    return None


def read(target: Target, job: Job, store: Store, progress: Progress, stopped: Callable[[], bool] = _never) -> Entry:
    """Scans one image in a child process. Whatever happens to the child, there is a result that says so.

    Raises Interrupted once ``stopped`` says so. It is asked rather than raised by a signal: an exception in the middle of a fork
    would be lost.
    """
    context: Any = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(target, job, store.directory, store.salt, there))
    child.start()
    there.close()
    until = time.monotonic() + job.options.limits.seconds_image + _EXTRA
    try:
        result = _listen(here, until, progress, stopped)
    finally:
        if child.is_alive() and (not here.poll() or time.monotonic() > until):
            child.kill()
        child.join()
        here.close()
    if result is not None:
        return result
    if time.monotonic() > until:
        return _failed(target, f"took longer than {job.options.limits.seconds_image + _EXTRA:g} s")
    code = child.exitcode
    how = f"signal {-code}" if code is not None and code < 0 else f"status {code}"
    return _failed(target, f"its scan ended with {how}" + (" (out of memory?)" if code == -signal.SIGKILL else ""))


def _listen(pipe: Connection, until: float, progress: Progress, stopped: Callable[[], bool]) -> Entry | None:
    """Passes the child's progress on until its result comes; None when it ended without one or took too long."""
    while time.monotonic() < until:
        if stopped():
            raise Interrupted
        if not pipe.poll(_POLL):
            continue
        try:
            told = pipe.recv_bytes()
        except (EOFError, OSError):
            return None
        if told[:1] == b"P":
            progress(*msgspec.msgpack.decode(told[1:], type=tuple[str, int, int]))
        else:
            return msgspec.msgpack.decode(told[1:], type=Entry)
    return None


def _failed(target: Target, reason: str) -> Entry:
    size = target.path.stat().st_size if target.path.exists() else 0
    return Entry(label=target.label, state="failed", reason=reason, size=size)


def _child(target: Target, job: Job, directory: Path, salt: bytes, pipe: Connection) -> None:
    """The scan of one image, its reports and its result. It ends when the audit ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    said = 0.0

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said > _EVERY or done == total:
            said = now
            pipe.send_bytes(b"P" + msgspec.msgpack.encode((stage, done, total)))

    try:
        report = scan(target.path, job.options, progress)
        names: dict[str, str] = {}
        for name in job.formats:
            each = named(name)
            file = f"reports/{file_name(target.label)}-{report.image.sha256[:12]}.{each.suffix}"
            content = each.render(report, lang=job.lang, show_secrets=job.show_secrets)
            put(directory / file, content if isinstance(content, bytes) else content.encode(errors="backslashreplace"))
            names[name] = file
        result = entry(report, target.label, salt, names)
    except InputError as error:
        result = _failed(target, str(error).removeprefix(f"{target.path}: "))
    except MemoryError:
        result = _failed(target, "needs more memory than there is")
    except Exception as error:  # noqa: BLE001  # a defect on one image must not lose the others
        result = _failed(target, f"{type(error).__name__}: {error}")
    with contextlib.suppress(BrokenPipeError):
        pipe.send_bytes(b"R" + msgspec.msgpack.encode(result))
    pipe.close()
    os._exit(0)


def file_name(label: str) -> str:
    """A name for report files: the label's last part with nothing in it that a shell, a browser or another system minds."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", label.rsplit("/", 1)[-1])[:100].lstrip("._-") or "image"


# --------------------------------------------------------------------------- all images


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one image: its result, and whether an earlier run had it already."""

    entry: Entry
    known: bool


def run(
    wanted: Sequence[Target],
    job: Job,
    store: Store,
    progress: Callable[[Target, int], Progress],
    *,
    changes: Callable[[list[str], int], object] = _silent,
    retry: bool = False,
    stopped: Callable[[], bool] = _never,
) -> Iterator[Step]:
    """Goes through the images in their order; results that are there already come first, and at once.

    ``changes`` is told once what has changed since earlier results were made, and how many images are read again for it.
    ``progress`` gives what is called with the stages of an image, by the image and how many are done. ``retry``: images that
    failed before are tried again. Raises Interrupted once ``stopped`` says so.
    """
    todo: list[tuple[Target, str | None]] = []
    again = 0
    changed: dict[str, None] = {}
    done = 0
    check(job.options)
    asked = asked_of(job)
    for target in wanted:
        if stopped():
            raise Interrupted
        try:
            key: str | None = key_of(target)
        except OSError:
            key = None  # the scan says what is wrong with it
        held = store.find(key) if key is not None else None
        if held is not None and held.asked != asked:
            again += 1
            changed.update(dict.fromkeys(differing(held.asked, asked)))
        elif held is not None and not (retry and held.entry.state == "failed"):
            done += 1
            yield Step(entry=held.entry, known=True)
            continue
        todo.append((target, key))
    if again:
        changes(list(changed), again)
    if todo:
        prepare(job.options)
    for target, key in todo:
        result = read(target, job, store, progress(target, done), stopped)
        if key is not None:
            store.keep(key, result, asked)
        done += 1
        yield Step(entry=result, known=False)
