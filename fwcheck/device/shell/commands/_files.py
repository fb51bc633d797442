"""Commands that change files: what they write is remembered for the scripts after them."""

from __future__ import annotations

import posixpath
from itertools import pairwise

from fwcheck.device._partitions import fstab
from fwcheck.device.shell.patterns import known
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.world import Call, Handler, Status


def _plain(fields: list[str]) -> list[str]:
    return [text for text in fields[1:] if not text.startswith("-")]


def _copy(shell: Shell, call: Call) -> Status:
    names = _plain(call.fields)
    if len(names) < 2:
        return None
    target = shell.absolute(names[-1])
    into = (
        len(names) > 2
        or names[-1].endswith("/")
        or ((found := shell.disk.find(target)) is not None and found.node.kind.value == "directory")
    )
    present: Status = True
    for name in names[:-1]:
        source = shell.absolute(name)
        text = shell.disk.text(source)
        if text is None:
            present = False
            continue
        if known(source):
            end = posixpath.join(target, posixpath.basename(source)) if into else target
            shell.disk.write(end, text, certain=shell.world.certain)
            if call.fields[0] == "mv" and shell.world.certain:
                shell.disk.remove(source)
    return present


def _make(shell: Shell, call: Call) -> Status:
    for name in _plain(call.fields):
        path = shell.absolute(name)
        if shell.disk.exists(path) is not True:
            shell.disk.write(path, UNKNOWN if posixpath.basename(call.fields[0]) == "mkdir" else "", certain=shell.world.certain)
    return True


def _remove(shell: Shell, call: Call) -> Status:
    for name in _plain(call.fields):
        if known(name):
            shell.disk.remove(shell.absolute(name))
    return True


def _mount(shell: Shell, call: Call) -> Status:
    """``mount [-t TYPE] [-o OPTIONS] DEVICE DIRECTORY``, ``mount -a``."""
    kind, names, words = "", list[str](), iter(call.fields[1:])
    for word in words:
        if word == "-t":
            kind = next(words, "")
        elif word == "-o":
            next(words, "")
        elif not word.startswith("-"):
            names.append(word)
        elif word.startswith("-t"):
            kind = word[2:]
        elif word == "-a":
            for entry in fstab(shell.disk.root):
                shell.disk.mount(entry.device, entry.directory, entry.type)
    if len(names) == 1:  # the rest stands in fstab
        for entry in fstab(shell.disk.root):
            if names[0] in (entry.device, entry.directory):
                shell.disk.mount(entry.device, entry.directory, entry.type)
    if names and names[-1].startswith("/"):
        shell.disk.mount(names[-2] if len(names) > 1 else "", shell.absolute(names[-1]), kind)
    return True


def _keygen(shell: Shell, call: Call) -> Status:
    """``dropbearkey``, ``ssh-keygen``, ``openssl``, ``px5g``: the file behind the output option exists afterwards."""
    for option, path in pairwise(call.fields):
        if option in ("-f", "-out", "-keyout") and known(path):
            shell.disk.write(shell.absolute(path), f"generated {UNKNOWN}", certain=shell.world.certain)
    return True


def _tee(shell: Shell, call: Call) -> Status:
    for name in _plain(call.fields):
        shell.disk.write(shell.absolute(name), shell.stdin or UNKNOWN, append="-a" in call.fields, certain=shell.world.certain)
    shell.write(shell.stdin or UNKNOWN)
    return True


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("cp", "mv", "ln"), _copy),
    **dict.fromkeys(("touch", "mkdir"), _make),
    "rm": _remove,
    "mount": _mount,
    "tee": _tee,
    **dict.fromkeys(("dropbearkey", "ssh-keygen", "openssl", "px5g"), _keygen),
}
