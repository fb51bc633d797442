"""Writes the tree out for people who want files: nothing an image says leads outside the directory, or onto another file.

Every path is walked from the directory's own descriptor, one component at a time, never through a symbolic link (``openat`` with
``O_NOFOLLOW``), and every file is made new (``O_EXCL``). Links come last, when no file is written any more; their targets are
rewritten so that they stay inside their own file system: they climb first and then only go down, so that no chain of them leads
out. There are no devices, no setuid, setgid or sticky bits, no write permission for others, and no owner but the one who runs the
program: what the image says of these stands in ``manifest.json``.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import msgspec

from fwcheck.extraction.errors import ExtractionError
from fwcheck.extraction.source import ByteSource
from fwcheck.model import Coverage, Image, Node, NodeKind

MANIFEST = "manifest.json"
INSIDE = ".extracted"  # directory beside a file for what was found inside it
NAME = 180  # bytes of a written name: room for what is added to it below the usual 255
DEEP = 100  # directories above a file
_NAMESAKES = 1000
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ZEROS = bytes(1 << 20)


class CannotWrite(Exception):
    """The directory cannot be used: one line for the user."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the manifest: the node as the image has it, and the file it became."""

    address: str
    kind: str
    written: str | None = None  # path below the directory
    reason: str | None = None  # why nothing was written, or what was changed
    size: int = 0
    sha256: str | None = None
    mode: str | None = None  # octal, with setuid, setgid and sticky bits
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    target: str | None = None
    device: str | None = None
    format: str | None = None
    offset: int | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What ``manifest.json`` holds."""

    image: Image
    coverage: Coverage
    nodes: list[Entry]


class Writer:
    """Writes into one directory, which must not exist yet or be empty. Safe to use from several processes at once."""

    def __init__(self, directory: Path) -> None:
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._root = os.open(directory, _DIRECTORY)
            with os.scandir(self._root) as found:
                used = next(found, None)
        except OSError as error:
            raise CannotWrite(f"{directory}: {error.strerror}") from error
        if used is not None:
            raise CannotWrite(f"{directory}: is not empty")

    def content(self, node: Node, content: ByteSource) -> dict[str, str | int]:
        """Writes the bytes of a file or region; gives ``written`` (the path) or ``not_written`` (the reason) for its detail."""
        where, name = place(node)
        try:
            with self._open(where) as folder:
                written = _new_file(folder.descriptor, name, content, node)
        except (OSError, ExtractionError) as error:
            return {"not_written": _reason(error)}
        return {"written": "/".join([*folder.path, written])}

    def finish(self, nodes: Iterable[Node], image: Image, coverage: Coverage) -> Manifest:
        """Makes directories and links, then the manifest, which is given back too. Call it when all contents are written."""
        every = list(nodes)
        made = {number: self._folder(node) for number, node in enumerate(every) if node.kind is NodeKind.DIRECTORY}
        made |= {number: self._link(node) for number, node in enumerate(every) if node.kind is NodeKind.SYMLINK}
        gaps = {gap.node: gap.reason for gap in coverage.gaps}
        entries = [_entry(node, made.get(number, {}), gaps.get(node.label)) for number, node in enumerate(every)]
        manifest = Manifest(image=image, coverage=coverage, nodes=entries)
        try:
            descriptor = os.open(MANIFEST, _FILE, 0o644, dir_fd=self._root)
            with self._whole(MANIFEST), os.fdopen(descriptor, "wb") as stream:
                stream.write(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        except OSError as error:
            raise CannotWrite(f"{MANIFEST}: {error.strerror}") from error
        return manifest

    @contextlib.contextmanager
    def _whole(self, name: str) -> Iterator[None]:
        """Takes a file away again that could not be written to its end."""
        try:
            yield
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self._root)
            raise

    def _folder(self, node: Node) -> dict[str, str | int]:
        where, name = place(node)
        try:
            with self._open([*where, name]) as folder:
                os.fchmod(folder.descriptor, node.mode & 0o755 | 0o700)
        except OSError as error:
            return {"not_written": _reason(error)}
        return {"written": "/".join(folder.path)}

    def _link(self, node: Node) -> dict[str, str | int]:
        where, name = place(node)
        inside = [part for part in node.path.split("/") if part][:-1]
        target = confined(node.target or "", inside)
        try:
            with self._open(where) as folder:
                written = next(_attempts(lambda each: os.symlink(target, each, dir_fd=folder.descriptor), name))
        except OSError as error:
            return {"not_written": _reason(error)}
        found: dict[str, str | int] = {"written": "/".join([*folder.path, written])}
        return found if target == node.target else {**found, "changed": f"link target written as {target}"}

    @contextlib.contextmanager
    def _open(self, parts: list[str]) -> Iterator[_Folder]:
        """The directory with this path, made where it is missing. Another name is taken where something else stands."""
        if len(parts) > DEEP:
            raise OSError(errno.ENAMETOOLONG, f"deeper than {DEEP} directories")
        descriptor, path = os.dup(self._root), list[str]()
        try:
            for part in parts:
                below, name = _enter(descriptor, part)
                os.close(descriptor)
                descriptor = below
                path.append(name)
            yield _Folder(descriptor, path)
        finally:
            os.close(descriptor)


class _Folder(msgspec.Struct, frozen=True):
    descriptor: int
    path: list[str]


def place(node: Node) -> tuple[list[str], str]:
    """Directories and file name of a node below the output directory, as harmless names.

    What lies inside a file stands beside it in a directory of its own; the image's own name is left out.
    """
    parts: list[str] = []
    for link in node.chain[1:]:
        names = [safe(each) for each in link.split("/") if each] if link.startswith("/") else [safe(link)]
        if link.startswith("/") and names:
            names[-1] += INSIDE
        parts += names
    own = [safe(each) for each in node.path.split("/") if each] if node.path.startswith("/") else [safe(node.path)]
    if not node.path:  # a container's own bytes stand beside the directory of its parts
        return parts[:-1], f"{parts[-1]}.bin" if parts else "image.bin"
    if node.kind is NodeKind.REGION and node.format:
        own[-1] = f"{own[-1]}.{safe(node.format)}"
    whole = [*parts, *own]  # the root directory of a file system is the container's own directory
    return (whole[:-1], whole[-1]) if whole else ([], "image")


def safe(name: str) -> str:
    """One component of a path: percent-encodes what a terminal, a shell or a file system may stumble over, and cuts it to length.

    Reversible unless it was cut; then the digest of the whole name keeps it unique.
    """
    out = "".join(char if char.isprintable() and char not in "/%\\" else _percent(char) for char in name)
    if out.strip(".") == "":
        out = out.replace(".", "%2E") or "%00"
    raw = out.encode()
    if len(raw) <= NAME:
        return out
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return raw[: NAME - 13].decode("utf-8", "ignore") + "~" + digest


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


def confined(target: str, directory: list[str]) -> str:
    """A link target that stays inside the root of its own file system: relative, climbing first, then going down only.

    ``directory``: the components of the link's own directory below that root.
    """
    parts = [] if target.startswith("/") else list(directory)
    for part in PurePosixPath(target).parts:
        if part == "..":
            del parts[-1:]
        elif part not in {"/", "//"}:
            parts.append(part)
    common = 0
    while common < min(len(parts), len(directory)) and parts[common] == directory[common]:
        common += 1
    out = [".."] * (len(directory) - common) + [safe(part) for part in parts[common:]]
    return "/".join(out) or "."


def _enter(descriptor: int, part: str) -> tuple[int, str]:
    for name in _names(f"{part}", "~dir"):
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=descriptor)  # pathlib knows no directory descriptors
        try:
            return os.open(name, _DIRECTORY, dir_fd=descriptor), name
        except OSError as error:
            if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                raise
    raise OSError(errno.EEXIST, "too many namesakes")


def _names(name: str, mark: str = "~") -> Iterator[str]:
    yield name
    for number in range(2, _NAMESAKES):
        yield f"{name}{mark}{number}"


def _attempts(make: object, name: str) -> Iterator[str]:
    """Tries ``make`` with the name, then with numbered ones, until none is there yet; gives the name that was free."""
    assert callable(make)
    for each in _names(name):
        try:
            make(each)
        except FileExistsError:
            continue
        yield each
        return
    raise OSError(errno.EEXIST, "too many namesakes")


def _new_file(folder: int, name: str, content: ByteSource, node: Node) -> str:
    opened: list[int] = []
    written = next(_attempts(lambda each: opened.append(os.open(each, _FILE, 0o600, dir_fd=folder)), name))
    descriptor = opened[0]
    try:
        _copy(descriptor, content)
        os.fchmod(descriptor, (node.mode & 0o755 | 0o600) if node.kind is NodeKind.FILE else 0o644)
        with contextlib.suppress(OverflowError, OSError):
            os.utime(descriptor, (node.mtime, node.mtime))
    except (OSError, ExtractionError):
        with contextlib.suppress(OSError):
            os.unlink(written, dir_fd=folder)  # half a file would pass for a whole one
        raise
    finally:
        os.close(descriptor)
    return written


def _copy(descriptor: int, content: ByteSource) -> None:
    """Zeros become holes, so that a sparse file of the image does not fill the disk."""
    at = 0
    for chunk in content.chunks(len(_ZEROS)):
        size = len(chunk)
        if chunk != memoryview(_ZEROS)[:size]:
            rest = memoryview(chunk)
            while rest:
                done = os.pwrite(descriptor, rest, at + size - len(rest))
                rest = rest[done:]
        at += size
    os.ftruncate(descriptor, at)


def _reason(error: OSError | ExtractionError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _entry(node: Node, made: dict[str, str | int], gap: str | None) -> Entry:
    detail = {**node.detail, **made}
    reason = detail.get("not_written") or detail.get("changed") or gap
    if node.kind is NodeKind.FILE and "written" not in detail and reason is None:
        reason = "a name without a content"
    if node.kind is NodeKind.DEVICE:
        reason = "special files are never made"
    elif node.kind is NodeKind.FILE and node.mode & 0o7022 and "written" in detail:
        reason = f"mode {node.mode:04o} written as {node.mode & 0o755 | 0o600:04o}"
    plain = node.kind in {NodeKind.CONTAINER, NodeKind.REGION}
    return Entry(
        address=node.label, kind=node.kind.value, written=_text(detail.get("written")), reason=_text(reason), size=node.size,
        sha256=node.sha256, mode=None if plain else f"{node.mode:04o}", uid=node.uid, gid=node.gid, mtime=node.mtime,
        target=node.target, device=node.device, format=node.format, offset=node.offset,
    )  # fmt: skip


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)
