"""What a call does on the way of an update: brings software in, checks it, writes it, tells the boot loader, restarts.

Roles are decided by what stands in the call: its function, its command line or path, its numbers. Tools by their manual pages
(mtd-utils, BusyBox, OpenWrt's mtd, U-Boot's fw_setenv, OpenSSL); ioctl numbers as ``<mtd/mtd-abi.h>`` and ``<mtd/ubi-user.h>``
build them, with the direction bits of either layout (MIPS and PowerPC have a write bit of their own).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from functools import cache
from importlib import resources

_ERASE_OR_WRITE = frozenset({0x4D02, 0x4D14, 0x4D18, 0x4D03, 0x4D15, 0x4F00})  # MEMERASE, MEMERASE64, MEMWRITE, OOB, UBI_IOCVOLUP
_FLASH_PATH = re.compile(r"/dev/(?:mtd|nand|mmcblk\d|block/|disk/by-|ubi\d|flash|ar7100_flash)[\w./-]*|/dev/mtd/\d+|/dev/caldata")
_INCOMING = re.compile(
    r"(?i)/(?:tmp|var|mnt|ram|data)/(?:[\w.%-]*/)*[\w.%-]*(?:fw|firm|image|upgrad|updat|ota|rootfs|kernel|sysup|post|upload)[\w.%-]*"
)
_NO_IMAGE = re.compile(
    r"(?i)\.(?:pid|log|lock|txt|conf|cfg|xml|json|sock|status|stat|html?|sh|ini)\b|status|version|progress|_log|result|mode$|flag"
)
_WRITERS = re.compile(
    r"(?i)mtd_?(?:write|erase|flash)(?!_?(?:protect|config|cfg|mac|nvram|uid|opts))\w*"
    r"|(?:flash|burn|write|upgrade|update|program)_?(?:firmware|fw|image|img|kernel|rootfs|system|flash|mtd)(?:_?(?:to)?_?(?:flash|mtd|image|file))?"
    r"|(?:firmware|fw|image|kernel|rootfs|sys|flash)_?(?:upgrade|update|burn|flash|write)(?:_?(?:image|file|flash|mtd))?"
)
# Partitions of settings: what is written there is no software.
_SETTINGS = re.compile(
    r"(?i)(?:^|[\s/_-])(?:nvram|config\w*|conf|cfg|factory|env|u-?boot[-_]?env|rootfs_data|user\w*|data|mac|art|log)[\"']?\s*(?:&|;|\d?>|$)"
)
_HANDLER = re.compile(
    r"(?i)(?:POST\s|GET\s)?[\w./-]*(?:upgrad|firmware|fw_?up|sysup|ota_?up)[\w./-]*\.(?:cgi|asp|php|html?)"
    r"|/?(?:goform|cgi-bin|boafrm|apply)/\w*(?:upgrad|firmware|fw_?up|sysup)\w*"
)
_COMMAND_ARGUMENTS = ("execl", "execlp", "execle", "execv", "execvp", "execve")
_READS, _URL, _SKIP_PEER = 3, 10002, (64, 81)

Arguments = tuple[str | int | None, ...]


def role_of(function: str, group: str, arguments: Arguments) -> str:
    """The role of a call: fetch, receive, unpack, verify, compare, write, set, restart, or "" for none."""
    found = _BY_GROUP.get(group)
    return found(function, arguments) if found is not None else ""


def writes_by_name(function: str) -> bool:
    """Whether the name of a function says that it writes software or flash."""
    return len(function) < 48 and _WRITERS.fullmatch(function) is not None


def table_bytes() -> bytes:
    """The command lines as they are stored: part of the facts' version."""
    return resources.files("fwcheck.inspection").joinpath("call_roles.toml").read_bytes()


@cache
def _commands() -> tuple[tuple[str, tuple[str, ...], re.Pattern[str]], ...]:
    data = tomllib.loads(table_bytes().decode())
    start, flash = data["start"], data["flash"]
    return tuple(
        (each["role"], tuple(each["words"]), re.compile(each["line"].replace("<start>", start).replace("<flash>", flash)))
        for each in data["command"]
    )


@cache
def _any_word() -> re.Pattern[str]:
    return re.compile("|".join(sorted({re.escape(word) for _, words, _ in _commands() for word in words})))


def command_role(line: str) -> str:
    """The role of a command line."""
    if not _any_word().search(line):
        return ""
    found = next((role for role, words, shape in _commands() if any(map(line.__contains__, words)) and shape.search(line)), "")
    return "" if found == "write" and _SETTINGS.search(line) else found


def _command(function: str, arguments: Arguments) -> str:
    texts = [each for each in arguments if isinstance(each, str)]
    if function in _COMMAND_ARGUMENTS:
        line = " ".join([*texts[:1], *texts[2:]])
        return command_role(texts[-1] if "-c" in texts[:-1] else line)
    return next((role for text in texts if (role := command_role(text))), "")


def _file(function: str, arguments: Arguments) -> str:
    path = arguments[0] if arguments else None
    if not isinstance(path, str) or not _written(function, arguments):
        return ""
    if _FLASH_PATH.fullmatch(path):
        return "write"
    return "receive" if _INCOMING.fullmatch(path) and not _NO_IMAGE.search(path) else ""


def _written(function: str, arguments: Arguments) -> bool:
    """Whether a file is opened to be written."""
    mode = arguments[1] if len(arguments) > 1 else None
    if function.startswith("fopen"):
        return isinstance(mode, str) and any(each in mode for each in "wa+")
    return function.startswith("open") and isinstance(mode, int) and mode & _READS in (1, 2)


def _device(function: str, arguments: Arguments) -> str:
    if function == "reboot":
        return "restart"
    number = arguments[1] if len(arguments) > 1 else None
    return "write" if isinstance(number, int) and number & 0xFFFF in _ERASE_OR_WRITE and number >> 29 & 7 else ""


def _options(_: str, arguments: Arguments) -> str:
    return "fetch" if len(arguments) > 2 and arguments[1] in (_URL, *_SKIP_PEER) and arguments[2] is not None else ""


def _compare(_: str, arguments: Arguments) -> str:
    """A name of a handler that the program compares a request with."""
    return "receive" if any(isinstance(each, str) and _HANDLER.fullmatch(each.strip()) for each in arguments) else ""


def _environment(function: str, arguments: Arguments) -> str:
    return "receive" if function != "getenv" or arguments[:1] in (("CONTENT_LENGTH",), ("CONTENT_TYPE",)) else ""


_BY_GROUP: dict[str, Callable[[str, Arguments], str]] = {
    "command": _command,
    "files": _file,
    "device": _device,
    "options": _options,
    "compare": _compare,
    "request": _environment,
    "verify": lambda function, _: "" if function == "X509_verify_cert" else "verify",
    "digest": lambda *_: "compare",
    "write": lambda *_: "write",
    "download": lambda *_: "fetch",
}


# Words that speak of checks. A program that has one is not said to check nothing.
_CHECK_WORDS = (
    b"signature", b"signed", b"verif", b"checksum", b"check sum", b"crc", b"md5", b"sha1", b"sha256", b"sha512", b"sha-", b"rsa",
    b"ecdsa", b"ed25519", b"digest", b"magic", b"pubkey", b"public key", b"invalid image", b"image header",
)  # fmt: skip
_TEXT = re.compile(rb"[\x20-\x7e]{5,}")
_SHORT = 3  # letters of words that stand in others
_LARGEST = 16 << 20  # bytes that are looked through


def check_words(content: bytes) -> tuple[str, ...]:
    """Which of the words that speak of checks stand in the texts of a program, each inside at least five readable characters."""
    low = content[:_LARGEST].lower()
    return tuple(word.decode() for word in _CHECK_WORDS if _stands_in_text(low, word))


def _stands_in_text(low: bytes, word: bytes) -> bool:
    at = low.find(word)
    for _ in range(64):
        if at < 0:
            return False
        around = low[max(at - 8, 0) : at + len(word) + 8]
        inside = (
            len(word) == _SHORT and low[at - 1 : at].isalpha() and low[at + _SHORT : at + _SHORT + 1].isalpha()
        )  # "universal"
        if not inside and any(word in each and len(each) > len(word) + 1 for each in _TEXT.findall(around)):
            return True
        at = low.find(word, at + 1)
    return True
