"""What a command of a script does to software on its way to flash: brings it in, checks it, unpacks it, writes it.

Sources: the manual pages of openssl-dgst(1), openssl-cms(1), openssl-pkeyutl(1), gpgv(1), usign and signify(1), sha256sum(1),
mkimage(1), flashcp, nandwrite, ubiupdatevol (mtd-utils), dd(1), wget(1), curl(1); command lines of swupdate, RAUC, Mender, and of
mtd and sysupgrade in OpenWrt.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
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

    action: Literal["unpack", "set", "restart", "receive"]
    what: str


Command = Sink | Check | Digest | Fetch | Other

DEVICE = re.compile(r"/dev/(?:mtd|nand|mmcblk|by-name|block/|disk/|ubi)")
_RUNNERS = {  # programs that run the command behind them, and their options that take a word
    **dict.fromkeys(("nohup", "command", "builtin", "busybox", "toybox", "time", "setsid", "chrt"), ""),
    "sudo": "ugCp", "exec": "a", "nice": "n", "ionice": "cn", "env": "uC", "stdbuf": "ioe",
}  # fmt: skip
_VENDOR = re.compile(r"fwupdater?|fw_?upgrade|fw_update|sysupdate|upgrade_?fw|flash_?write|mtdwrite|updater|rtk_?upgrade")
_SUBJECT = r"(?:fw|img|image|firmware|sig|signature|rsa|pkg|package)"
_VENDOR_CHECK = re.compile(rf"(?:\w+_)?{_SUBJECT}_?(?:verify|check)\w*|(?:verify|check)_?{_SUBJECT}\w*")
_UPDATE_DIRECTORY = re.compile(r"/(?:update|upgrade|ota|firmware)[^/]*/")
_REMOVABLE = re.compile(r"^/(?:mnt|media|run/media|tmp/(?:sd|usb|mnt)|sdcard|udisk|usb)\b")
_SOFTWARE = re.compile(r"(?i)updat|upgrad|firmw|\bota|rootfs|\bfw|_fw")
_SETTINGS = re.compile(r"(?i)conf|backup|settings|sysupgrade|overlay")
# Partitions that hold settings, not software.
_NO_SOFTWARE = re.compile(r"(?i)nvram|config\d?|cfg\d?|rootfs_data|user_?data|u-?boot-?env|env|art|factory|log|data")
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


def understand(words: Sequence[str]) -> Command | None:
    """What a command means for an update, None where nothing is known; ``words`` as :func:`words_of` gives them."""
    if not words:
        return None
    name, rest = words[0], words[1:]
    reader = _READERS.get(name)
    if reader is not None:
        return reader(name, rest)
    if name.endswith(("sum", "sum.sh")) and name in _SUMS:
        return _sum(name, rest)
    if _VENDOR.fullmatch(name) and rest:
        return Sink("vendor updater", _last(rest))
    if _VENDOR_CHECK.fullmatch(posixpath.splitext(name)[0]) and rest:
        return Check("vendor", _last(rest))
    return None


def runs_foreign(path: str) -> bool:
    """Whether a program lies where only a removable medium can have brought it."""
    return bool(_REMOVABLE.match(path))


def _plain(rest: Sequence[str]) -> list[str]:
    return [word for word in rest if _ARGUMENT.match(word)]


def _last(rest: Sequence[str]) -> str:
    plain = _plain(rest)
    return plain[-1] if plain else ""


def _after(rest: Sequence[str], *options: str) -> str:
    """The word behind an option, or joined to it by ``=``."""
    for at, word in enumerate(rest):
        if word in options and at + 1 < len(rest):
            return rest[at + 1]
        for option in options:
            if option.startswith("--") and word.startswith(f"{option}="):
                return word[len(option) + 1 :]
    return ""


def _short(rest: Sequence[str], letter: str) -> bool:
    """Whether a bundle of one-letter options holds one."""
    return any(re.match(r"-[A-Za-z]+$", word) and letter in word for word in rest)


# --------------------------------------------------------------------------- checks

_SUMS: Mapping[str, Kind] = {
    **dict.fromkeys(("md5sum", "sha1sum", "sha224sum", "sha256sum", "sha384sum", "sha512sum", "b2sum", "sha3sum"), "hash"),
    **dict.fromkeys(("cksum", "sum", "crc32", "crc32sum", "crc16"), "checksum"),
}  # fmt: skip


def _sum(name: str, rest: Sequence[str]) -> Command:
    if "--check" in rest or (_SUMS[name] == "hash" and _short(rest, "c")):
        return Check(_SUMS[name], _last(rest))
    return Digest(_SUMS[name], _last(rest))


def _openssl(_name: str, rest: Sequence[str]) -> Command | None:
    verb = rest[0] if rest else ""
    options = rest[1:]
    if verb == "dgst" and ("-verify" in options or "-prverify" in options):
        return Check("signature", _last(options))
    if verb in ("dgst", "md5", "sha1", "sha224", "sha256", "sha384", "sha512"):
        return None if "-sign" in options or "-hmac" in options else Digest("hash", _last(options))
    if verb in ("cms", "smime") and "-verify" in options:
        flaws = {"-noverify": "any certificate is accepted (-noverify)", "-nosigs": "the signature is not looked at (-nosigs)"}
        flaw = next((flaws[word] for word in options if word in flaws), "")
        return Check("signature", _after(options, "-content", "-in"), flaw)
    if verb == "pkeyutl" and "-verify" in options:
        return Check("signature", _after(options, "-in"))
    if (verb == "rsautl" and ("-verify" in options or "-pubin" in options)) or (
        verb == "pkeyutl" and "-verifyrecover" in options
    ):
        return Digest("signature", _after(options, "-in"), recovered=True)
    return None


def _gpg(name: str, rest: Sequence[str]) -> Command | None:
    if name in ("gpgv", "gpgv2") or "--verify" in rest:
        return Check("signature", _last(rest))
    return None


def _signify(_name: str, rest: Sequence[str]) -> Command | None:
    if "-V" in rest or _short(rest, "V"):
        return Check("signature", _after(rest, "-m"))
    return None


def _verifier(_name: str, rest: Sequence[str]) -> Command:
    return Check("signature", _last(rest))


def _mkimage(_name: str, rest: Sequence[str]) -> Command | None:
    return Check("checksum", _last(rest)) if "-l" in rest else None


def _veritysetup(_name: str, rest: Sequence[str]) -> Command | None:
    return Check("hash", rest[1] if len(rest) > 1 else "") if rest[:1] == ["verify"] else None


# --------------------------------------------------------------------------- sinks


_HARMLESS = frozenset({"--test", "--help", "-h", "-T", "-b", "-l", "-r", "--create-backup", "--restore-backup", "--list-backup"})


def _sysupgrade(_name: str, rest: Sequence[str]) -> Command | None:
    if not _plain(rest) or not _HARMLESS.isdisjoint(rest):
        return None
    forced = "-F" in rest or "--force" in rest
    return Sink("sysupgrade --force" if forced else "sysupgrade", _last(rest))


def _mtd(_name: str, rest: Sequence[str]) -> Command | None:
    words = list(rest)
    while words and words[0] not in ("write", "erase", "unlock", "refresh", "verify", "fixtrx", "jffs2write", "dump"):
        words = words[1:]
    if words[:1] != ["write"] or (len(words) > 2 and _NO_SOFTWARE.fullmatch(words[2])):
        return None
    return Sink("mtd write", words[1] if len(words) > 1 else "")


def _mtd_write(_name: str, rest: Sequence[str]) -> Command | None:
    plain = [word for word in _plain(rest) if word != "write"]
    return Sink("mtd write", plain[0]) if plain else None


def _mtd_debug(_name: str, rest: Sequence[str]) -> Command | None:
    return Sink("mtd write", rest[-1]) if rest[:1] == ["write"] and len(rest) > 2 else None


def _flashcp(_name: str, rest: Sequence[str]) -> Command | None:
    plain = _plain(rest)
    return Sink("flashcp", plain[0]) if len(plain) > 1 else None


def _nandwrite(_name: str, rest: Sequence[str]) -> Command | None:
    plain = _plain(rest)
    return Sink("nandwrite", plain[-1] if len(plain) > 1 else "") if plain else None


def _ubiupdatevol(_name: str, rest: Sequence[str]) -> Command | None:
    return None if "-t" in rest or not _plain(rest) else Sink("ubi volume", _last(rest))


def _dd(_name: str, rest: Sequence[str]) -> Command | None:
    settings = dict(word.split("=", 1) for word in rest if "=" in word)
    if not DEVICE.match(settings.get("of", "")) or re.match(r"/dev/(?:zero|u?random)", settings.get("if", "")):
        return None
    return Sink("raw write to flash", settings.get("if", ""))


def _swupdate(name: str, rest: Sequence[str]) -> Command | None:
    if not rest or any(word in ("-h", "--help", "--version") for word in rest):
        return None
    return Sink("swupdate", _after(rest, "-i", "--image") or (_last(rest) if name != "swupdate" else ""))


def _rauc(_name: str, rest: Sequence[str]) -> Command | None:
    return Sink("rauc", _last(rest)) if rest[:1] == ["install"] else None


def _mender(_name: str, rest: Sequence[str]) -> Command | None:
    if any(word.lstrip("-") in ("install", "rootfs") for word in rest[:2]):
        return Sink("mender", _last(rest))
    return None


def _copy(_name: str, rest: Sequence[str]) -> Command | None:
    """Out of a directory of updates, into the root."""
    plain = _plain(rest)
    if len(plain) > 1 and plain[-1].startswith("/") and any(_UPDATE_DIRECTORY.search(word) for word in plain[:-1]):
        return Sink("file copy", plain[0])
    return None


def _tar(_name: str, rest: Sequence[str]) -> Command | None:
    mode = next((word for word in rest if re.match(r"-?[A-Za-z]*x|--extract|--get", word)), "")
    if not mode:
        return None
    what = _after(rest, "-f", "--file") or next((word for word in _plain(rest) if word != mode), "")
    where = _after(rest, "-C", "--directory")
    over_root = where == "/" and _SOFTWARE.search(posixpath.basename(what)) and not _SETTINGS.search(what)
    return Sink("unpacked over the root", what) if over_root else Other("unpack", what)


def _unpacker(_name: str, rest: Sequence[str]) -> Command:
    return Other("unpack", _last(rest))


_INSTALLS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("opkg", "ipkg"), ("install",)),
    "dpkg": ("-i", "--install"),
    "rpm": ("-U", "-i", "-Uvh", "-ivh", "--install", "--upgrade"),
}


def _packages(name: str, rest: Sequence[str]) -> Command | None:
    """A package file; one from a feed takes the feed's own way."""
    package = _last(rest)
    return Sink("package of its own", package) if "/" in package and any(word in _INSTALLS[name] for word in rest) else None


# --------------------------------------------------------------------------- the rest


def _fetch(name: str, rest: Sequence[str]) -> Command | None:
    plain = _plain(rest)
    address = next((word for word in plain if "://" in word), "") or (plain[-1] if plain else "")
    unchecked = next((word for word in rest if word in ("--no-check-certificate", "--insecure")), "")
    if not unchecked and name == "curl" and _short(rest, "k"):
        unchecked = "-k"
    target = _after(rest, "-O", "-o", "--output", "--output-document", "-P")
    flaw = f"the server's certificate is not checked ({unchecked})" if unchecked else ""
    scheme = address.partition("://")[0] if "://" in address else ""
    if scheme in ("http", "ftp", "tftp"):
        return Fetch(address, "plain", target, flaw)
    if scheme == "https" or unchecked:
        return Fetch(address, "unchecked" if unchecked else "authenticated", target, flaw)
    return Fetch(address, "unknown", target)


def _plain_fetch(name: str, rest: Sequence[str]) -> Command | None:
    if not rest or (name == "tftp" and not any(word.startswith("-") and "g" in word for word in rest)):
        return None
    return Fetch(
        next((word for word in reversed(list(rest)) if word and not word.startswith("-")), ""), "plain", _after(rest, "-l")
    )


def _secure_copy(_name: str, rest: Sequence[str]) -> Command | None:
    remote = next((word for word in _plain(rest) if re.match(r"[^/]+:", word)), "")
    return Fetch(remote, "unknown", _last(rest)) if remote else None


def _set(name: str, rest: Sequence[str]) -> Command | None:
    return Other("set", " ".join([name, *rest][:3])) if rest else None


def _restart(name: str, _rest: Sequence[str]) -> Command:
    return Other("restart", name)


_READERS: Mapping[str, Callable[[str, Sequence[str]], Command | None]] = {
    "openssl": _openssl,
    **dict.fromkeys(("gpg", "gpg2", "gpgv", "gpgv2"), _gpg),
    **dict.fromkeys(("usign", "signify", "signify-openbsd", "minisign", "ucert"), _signify),
    **dict.fromkeys(("ecdsaverify", "fit_check_sign", "futility"), _verifier),
    **dict.fromkeys(("mkimage", "dumpimage"), _mkimage),
    "veritysetup": _veritysetup,
    "sysupgrade": _sysupgrade,
    "mtd": _mtd,
    **dict.fromkeys(("mtd_write", "flashw"), _mtd_write),
    "mtd_debug": _mtd_debug,
    "flashcp": _flashcp,
    "nandwrite": _nandwrite,
    "ubiupdatevol": _ubiupdatevol,
    "dd": _dd,
    **dict.fromkeys(("swupdate", "swupdate-client"), _swupdate),
    "rauc": _rauc,
    **dict.fromkeys(("mender", "mender-update"), _mender),
    "cp": _copy,
    **dict.fromkeys(("tar", "bsdtar"), _tar),
    **dict.fromkeys(("unzip", "gunzip", "zcat", "xz", "unxz", "unlzma", "bunzip2", "zstd"), _unpacker),
    **dict.fromkeys(("cpio", "unsquashfs", "7z", "7zr"), _unpacker),
    **dict.fromkeys(("opkg", "ipkg", "dpkg", "rpm"), _packages),
    **dict.fromkeys(("wget", "curl", "uclient-fetch", "aria2c"), _fetch),
    **dict.fromkeys(("tftp", "ftpget", "ftp", "ncftpget"), _plain_fetch),
    **dict.fromkeys(("scp", "rsync", "sftp"), _secure_copy),
    **dict.fromkeys(("fw_setenv", "fw_setsys", "bootenv", "efibootmgr", "grub-editenv"), _set),
    **dict.fromkeys(("reboot", "poweroff", "halt"), _restart),
}  # fmt: skip


def written_device(target: str) -> bool:
    """Whether a redirection goes to flash."""
    return bool(DEVICE.match(target)) and UNKNOWN not in target[:9]
