"""Names of archive and file-system members: decoded without loss, and kept inside the root they belong to."""

from __future__ import annotations

PROBLEMS = 100  # lines kept per container: a hostile archive may break every one of its members


def decoded(raw: bytes | memoryview) -> str:
    """A stored name as text; bytes that are not UTF-8 survive as surrogate escapes."""
    return bytes(raw).decode("utf-8", "surrogateescape")


def member_path(name: str) -> tuple[str, bool]:
    """The absolute, normalised path of a stored name, and whether the name tried to leave its root.

    ``.`` and empty parts vanish, ``..`` goes up but never above the root, a NUL ends the name.
    """
    name, _, rest = name.partition("\0")
    parts: list[str] = []
    escapes = bool(rest)
    for part in name.split("/"):
        if part == "..":
            escapes = True
            if parts:
                parts.pop()
        elif part and part != ".":
            parts.append(part)
    return "/" + "/".join(parts), escapes


def device_name(mode: int, major: int, minor: int) -> str | None:
    """What a node of this POSIX ``mode`` is, as :class:`fwcheck.model.Node` says it; None for what is no special file."""
    return {
        0o020000: f"c {major}:{minor}",
        0o060000: f"b {major}:{minor}",
        0o010000: "fifo",
        0o140000: "socket",
    }.get(mode & 0o170000)


def note(problems: list[str], line: str) -> None:
    """Adds a line to a container's problems, up to a bound that keeps a hostile image from filling memory."""
    if len(problems) < PROBLEMS:
        problems.append(line)
