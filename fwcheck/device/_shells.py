"""Whether a login shell lets its account in: by name, by where its links lead, and by what a script in its place does."""

from __future__ import annotations

import posixpath
import re

from fwcheck.device.firmware import FileSystem
from fwcheck.device.hashes import allows_login
from fwcheck.model import NodeKind

_LINKS = 8
_MOST_LINES = 40
# Lines of a script that turns people away: words on the terminal, a pause, a note in the log, and the end.
_REFUSING = re.compile(
    r"\s*(?:#.*|echo\b[^|;&`$(]*|printf\b[^|;&`$(]*|sleep\s+\d+|logger\b[^|;&`$(]*|cat\s+/etc/\S+|exit(?:\s+\d+)?|:|true|false)?\s*;?\s*"
)


def shell_lets_in(fs: FileSystem, shell: str) -> bool | None:
    """Whether the shell of a passwd line opens a session; None when the root file system does not hold it."""
    path = shell or "/bin/sh"
    if not allows_login(path):
        return False
    if not path.startswith("/"):
        return True
    at = path
    for _ in range(_LINKS):
        node = fs.resolve(at, follow=False)
        if node is None:
            # A password file outside a root file system belongs to a tree that is not seen here; and sh comes with busybox.
            return True if not fs.is_root or posixpath.basename(path) in ("sh", "ash", "login") else None
        if node.kind is not NodeKind.SYMLINK or not node.target:
            break
        if not allows_login(node.target):
            return False
        at = posixpath.join(posixpath.dirname(node.path), node.target)
    return not _refuses(fs.text(path))


def _refuses(text: str | None) -> bool:
    if not text or not text.startswith("#!"):
        return False
    lines = text.splitlines()
    return len(lines) <= _MOST_LINES and all(_REFUSING.fullmatch(line[:400]) for line in lines)
