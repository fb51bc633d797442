"""What the PAM configuration asks of somebody who logs in: stacks with their includes, and whether one opens without a password.

Sources: pam.conf(5), pam.d(5) of Linux-PAM, and the manual pages of its modules.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from fwcheck.device.firmware import FileSystem

Result = Literal["success", "auth_err", "ignore"]

_DIRECTORIES = ("/etc/pam.d", "/usr/lib/pam.d", "/usr/etc/pam.d", "/lib/pam.d")
_MOST_LINES = 512
_MOST_STEPS = 256
_DEPTH = 8
_WORDS: Mapping[str, Mapping[str, str]] = {
    "required": {"success": "ok", "new_authtok_reqd": "ok", "ignore": "ignore", "default": "bad"},
    "requisite": {"success": "ok", "new_authtok_reqd": "ok", "ignore": "ignore", "default": "die"},
    "sufficient": {"success": "done", "new_authtok_reqd": "done", "default": "ignore"},
    "optional": {"success": "ok", "new_authtok_reqd": "ok", "default": "ignore"},
    "binding": {"success": "done", "new_authtok_reqd": "done", "ignore": "ignore", "default": "bad"},
}
# What a module answers to somebody who names an account and knows no password. All others are taken to refuse.
_SUCCEED = frozenset(
    ("permit", "env", "nologin", "shells", "securetty", "keyinit", "limits", "loginuid", "motd", "mail", "lastlog", "issue")
)
_IGNORE = frozenset(
    ("warn", "cap", "group", "faildelay", "echo", "debug", "tally", "tally2", "gnome_keyring", "kwallet", "mount")
)
_PARTS = re.compile(r"-?(\w+)\s+(\[[^\]]{0,256}\]|\w+)\s+(\S+)\s*(.*)")


class Rule(NamedTuple):
    """One line of a stack."""

    type: str
    control: str
    module: str  # without directory and ``pam_`` and ``.so``: "unix"
    arguments: tuple[str, ...]
    path: str
    line: int
    text: str


def services(fs: FileSystem) -> dict[str, str]:
    """The configured services: name to path, as the first directory that has them says."""
    found: dict[str, str] = {}
    for directory in _DIRECTORIES:
        for node in fs.children(directory) if fs.exists(directory) else ():
            found.setdefault(posixpath.basename(node.path), node.path)
    return found


def stack(fs: FileSystem, service: str, type: str = "auth") -> list[Rule]:
    """The rules of one type for a service, with what they include; those of ``other`` when the service has none."""
    held = services(fs)
    path = held.get(service) or held.get("other")
    rules = list(_rules(fs, held, path, type, 0)) if path else list(_of_single_file(fs, service, type))
    return rules[:_MOST_STEPS]


def _rules(fs: FileSystem, held: Mapping[str, str], path: str, type: str, depth: int) -> Iterator[Rule]:
    if depth > _DEPTH:
        return
    for count, rule in enumerate(_lines(fs, path)):
        if count >= _MOST_STEPS:
            return
        if rule.control == "@include" or (rule.type == type and rule.control in ("include", "substack")):
            name = posixpath.basename(rule.arguments[0] if rule.control == "@include" else rule.module)
            if name in held and held[name] != path:
                yield from _rules(fs, held, held[name], type, depth + 1)
            else:  # what is not in the image may ask for anything
                yield Rule(type, "required", f"missing {name}", (), rule.path, rule.line, rule.text)
        elif rule.type == type:
            yield rule


def _lines(fs: FileSystem, path: str) -> Iterator[Rule]:
    text = (fs.text(path) or "").replace("\\\n", "  ")
    for number, line in enumerate(text.splitlines()[:_MOST_LINES], 1):
        bare = line.partition("#")[0].strip()
        if included := re.fullmatch(r"@include\s+(\S+)", bare):
            yield Rule("", "@include", "", (included[1],), path, number, line)
        elif parts := _PARTS.fullmatch(bare):
            yield _rule(parts, path, number, line)


def _of_single_file(fs: FileSystem, service: str, type: str) -> Iterator[Rule]:
    """``/etc/pam.conf``, where each line begins with the name of the service; used where there is no directory."""
    text = fs.text("/etc/pam.conf") or ""
    for number, line in enumerate(text.splitlines()[:_MOST_LINES], 1):
        name, _, rest = line.partition("#")[0].strip().partition(" ")
        if name.lower() == service and (parts := _PARTS.fullmatch(rest.strip())):
            rule = _rule(parts, "/etc/pam.conf", number, line)
            if rule.type == type:
                yield rule


def _rule(parts: re.Match[str], path: str, number: int, line: str) -> Rule:
    control = parts[2] if parts[2].startswith("[") else parts[2].lower()
    if control in ("include", "substack"):
        return Rule(parts[1].lower(), control, parts[3], (), path, number, line)
    module = posixpath.basename(parts[3]).removesuffix(".so").removeprefix("pam_")
    return Rule(parts[1].lower(), control, module, tuple(parts[4].split()), path, number, line)


def opens_without_password(fs: FileSystem, service: str) -> Rule | None:
    """The pam_permit that lets somebody in who names an account and knows no password; None when the stack refuses."""
    decided: Rule | None = None
    failed = False
    skip = 0
    rules = stack(fs, service)
    for rule in rules:
        if skip:
            skip -= 1
            continue
        action = _action(rule, _answer(rule))
        if action.isdecimal():
            skip = int(action)
        elif action in ("ok", "done") and not failed:
            decided = rule if rule.module == "permit" else decided
            if action == "done":
                return decided
        elif action in ("bad", "die"):
            failed = True
            if action == "die":
                return None
        elif action == "reset":
            decided, failed = None, False
    return decided if not failed else None


def _answer(rule: Rule) -> Result:
    if rule.module in _SUCCEED:
        return "success"
    if rule.module in _IGNORE or (rule.module == "faillock" and "preauth" in rule.arguments):
        return "ignore"
    return "auth_err"


def _action(rule: Rule, answer: Result) -> str:
    if rule.control.startswith("["):
        pairs = dict(word.split("=", 1) for word in rule.control[1:-1].lower().split() if "=" in word)
        return pairs.get(answer, pairs.get("default", "ignore" if answer == "ignore" else "bad"))
    table = _WORDS.get(rule.control, _WORDS["required"])
    return table.get(answer, table.get("default", "bad"))
