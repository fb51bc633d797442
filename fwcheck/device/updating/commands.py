"""What a command of a script does to software on its way to flash: brings it in, checks it, unpacks it, writes it.

Sources: the manual pages of openssl-dgst(1), openssl-cms(1), openssl-pkeyutl(1), gpgv(1), usign and signify(1), sha256sum(1),
mkimage(1), flashcp, nandwrite, ubiupdatevol (mtd-utils), dd(1), wget(1), curl(1); command lines of swupdate, RAUC, Mender, and of
mtd and sysupgrade in OpenWrt.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from fwcheck.device.shell.tree import UNKNOWN

Kind = Literal["signature", "hash", "checksum", "vendor"]  # "vendor": a program of the image that is named like a check
Transport = Literal["authenticated", "unchecked", "plain", "unknown"]


class Sink(NamedTuple):
    """Writes software; ``what`` is the file that is written, where it can be told."""

    name: str
    what: str = ""


class Check(NamedTuple):
    """Succeeds when the software is the expected one. ``always`` names why it says nothing although it succeeds."""

    kind: Kind
    what: str = ""
    flaw: str = ""


class Digest(NamedTuple):
    """Writes a digest (or, ``recovered``, the digest that a signature holds), which somebody has to compare."""

    kind: Kind
    what: str = ""
    recovered: bool = False


class Fetch(NamedTuple):
    """Brings something in over a network."""

    address: str
    transport: Transport
    target: str = ""
    flaw: str = ""


class Other(NamedTuple):
    """A step that is told and not judged."""

    action: Literal["set", "restart", "receive"]
    what: str


class Unpack(NamedTuple):
    """Takes an archive apart in the directory ``where``, "" for the present one; what was brought in writes if over the root."""

    what: str
    where: str = ""


Command = Sink | Check | Digest | Fetch | Unpack | Other

DEVICE = re.compile(r"/dev/(?:mtd|nand|mmcblk|by-name|block/|disk/|ubi)")
_RUNNERS = {  # programs that run the command behind them, and their options that take a word
    **dict.fromkeys(("nohup", "command", "builtin", "busybox", "toybox", "time", "setsid", "chrt"), ""),
    "sudo": "ugCp", "exec": "a", "nice": "n", "ionice": "cn", "env": "uC", "stdbuf": "ioe",
}  # fmt: skip
SHELLS = frozenset({"sh", "ash", "bash", "dash", "ksh"})
REMOVABLE = re.compile(r"/(?:mnt|media|run/media|tmp/(?:sd|usb|mnt)|sdcard|udisk|usb)\b")
_ARGUMENT = re.compile(r"^[^-]")


def words_of(fields: Sequence[str]) -> list[str]:
    """The command without the programs that only run it, with its bare name first."""
    words = list(fields)
    for _ in range(6):
        name = posixpath.basename(words[0]) if words else ""
        takes = _RUNNERS.get(name)
        if name == "timeout":
            words = _behind_options(words[1:], "sk")[1:]
        elif takes is not None and len(words) > 1:
            words = _behind_options(words[1:], takes)
            while words and name == "env" and re.match(r"\w+=", words[0]):
                words = words[1:]
        else:
            break
    return [posixpath.basename(words[0]), *words[1:]] if words else []


def _behind_options(words: list[str], takes: str) -> list[str]:
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if len(words[at]) == 2 and words[at][1] in takes else 1
    return words[at:]


def runs_foreign(path: str) -> bool:
    """Whether a program lies where only a removable medium can have brought it."""
    return bool(REMOVABLE.match(path))


def operands(rest: Sequence[str]) -> list[str]:
    """The words that are no options."""
    return [word for word in rest if _ARGUMENT.match(word)]


def last(rest: Sequence[str]) -> str:
    """The last of them."""
    plain = operands(rest)
    return plain[-1] if plain else ""


def after(rest: Sequence[str], *options: str) -> str:
    """The word behind an option, or joined to it by ``=``."""
    for at, word in enumerate(rest):
        if word in options and at + 1 < len(rest):
            return rest[at + 1]
        for option in options:
            if option.startswith("--") and word.startswith(f"{option}="):
                return word[len(option) + 1 :]
    return ""


def short(rest: Sequence[str], letter: str) -> bool:
    """Whether a bundle of one-letter options holds one."""
    return any(re.match(r"-[A-Za-z]+$", word) and letter in word for word in rest)


def written_device(target: str) -> bool:
    """Whether a redirection goes to flash."""
    return bool(DEVICE.match(target)) and UNKNOWN not in target[:9]
