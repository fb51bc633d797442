"""How the programs of an update are read: what their words say of what they check, bring in or write.

Sources: the manual pages named in :mod:`fwcheck.device.updating.commands`; of unzip(1), cpio(1), apt-get(8), opkg, apk(8),
rpm(8), ubiformat (mtd-utils), flashrom(8), bmaptool(1), dfu-util(1), stm32flash(1), ostree(1), fwupdmgr(1).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from fwcheck.device.updating.commands import (
    DEVICE,
    Check,
    Command,
    Digest,
    Fetch,
    Kind,
    Other,
    Sink,
    Unpack,
    after,
    last,
    operands,
    runs_foreign,
    short,
)

_UPDATE_DIRECTORY = re.compile(r"/(?:update|upgrade|ota|firmware)[^/]*/")
_SOFTWARE = re.compile(r"(?i)updat|upgrad|firmw|\bota|rootfs|\bfw|_fw")
_SETTINGS = re.compile(r"(?i)conf|backup|settings|sysupgrade|overlay")
# Partitions that hold settings, not software.
_NO_SOFTWARE = re.compile(r"(?i)nvram|config\d?|cfg\d?|rootfs_data|user_?data|u-?boot-?env|env|art|factory|log|data")


# --------------------------------------------------------------------------- checks

_SUMS: Mapping[str, Kind] = {
    **dict.fromkeys(("md5sum", "sha1sum", "sha224sum", "sha256sum", "sha384sum", "sha512sum", "b2sum", "sha3sum"), "hash"),
    **dict.fromkeys(("cksum", "sum", "crc32", "crc32sum", "crc16"), "checksum"),
}  # fmt: skip


def _sum(name: str, rest: Sequence[str]) -> Command:
    if "--check" in rest or (_SUMS[name] == "hash" and short(rest, "c")):
        return Check(_SUMS[name], last(rest))
    return Digest(_SUMS[name], last(rest))


def _openssl(_name: str, rest: Sequence[str]) -> Command | None:
    verb = rest[0] if rest else ""
    options = rest[1:]
    if verb == "dgst" and ("-verify" in options or "-prverify" in options):
        return Check("signature", last(options))
    if verb in ("dgst", "md5", "sha1", "sha224", "sha256", "sha384", "sha512"):
        return None if "-sign" in options or "-hmac" in options else Digest("hash", last(options))
    if verb in ("cms", "smime") and "-verify" in options:
        flaws = {"-noverify": "any certificate is accepted (-noverify)", "-nosigs": "the signature is not looked at (-nosigs)"}
        flaw = next((flaws[word] for word in options if word in flaws), "")
        return Check("signature", after(options, "-content", "-in"), flaw)
    if verb == "pkeyutl" and "-verify" in options:
        return Check("signature", after(options, "-in"))
    if (verb == "rsautl" and ("-verify" in options or "-pubin" in options)) or (
        verb == "pkeyutl" and "-verifyrecover" in options
    ):
        return Digest("signature", after(options, "-in"), recovered=True)
    return None


def _gpg(name: str, rest: Sequence[str]) -> Command | None:
    if name in ("gpgv", "gpgv2") or "--verify" in rest:
        return Check("signature", last(rest))
    return None


def _signify(_name: str, rest: Sequence[str]) -> Command | None:
    if "-V" in rest or short(rest, "V"):
        return Check("signature", after(rest, "-m"))
    return None


def _verifier(_name: str, rest: Sequence[str]) -> Command:
    return Check("signature", last(rest))


def _mkimage(_name: str, rest: Sequence[str]) -> Command | None:
    return Check("checksum", last(rest)) if "-l" in rest else None


def _veritysetup(_name: str, rest: Sequence[str]) -> Command | None:
    return Check("hash", rest[1] if len(rest) > 1 else "") if rest[:1] == ["verify"] else None


# --------------------------------------------------------------------------- sinks


_HARMLESS = frozenset({"--test", "--help", "-h", "-T", "-b", "-l", "-r", "--create-backup", "--restore-backup", "--list-backup"})


def _sysupgrade(_name: str, rest: Sequence[str]) -> Command | None:
    if not operands(rest) or not _HARMLESS.isdisjoint(rest):
        return None
    forced = "-F" in rest or "--force" in rest
    return Sink("sysupgrade --force" if forced else "sysupgrade", last(rest))


def _mtd(_name: str, rest: Sequence[str]) -> Command | None:
    words = list(rest)
    while words and words[0] not in ("write", "erase", "unlock", "refresh", "verify", "fixtrx", "jffs2write", "dump"):
        words = words[1:]
    if words[:1] != ["write"] or (len(words) > 2 and _NO_SOFTWARE.fullmatch(words[2])):
        return None
    return Sink("mtd write", words[1] if len(words) > 1 else "")


def _mtd_write(_name: str, rest: Sequence[str]) -> Command | None:
    plain = [word for word in operands(rest) if word != "write"]
    return Sink("mtd write", plain[0]) if plain else None


def _mtd_debug(_name: str, rest: Sequence[str]) -> Command | None:
    return Sink("mtd write", rest[-1]) if rest[:1] == ["write"] and len(rest) > 2 else None


def _flashcp(_name: str, rest: Sequence[str]) -> Command | None:
    plain = operands(rest)
    return Sink("flashcp", plain[0]) if len(plain) > 1 else None


def _nandwrite(_name: str, rest: Sequence[str]) -> Command | None:
    plain = operands(rest)
    return Sink("nandwrite", plain[-1] if len(plain) > 1 else "") if plain else None


def _ubiupdatevol(_name: str, rest: Sequence[str]) -> Command | None:
    return None if "-t" in rest or not operands(rest) else Sink("ubi volume", last(rest))


def _dd(_name: str, rest: Sequence[str]) -> Command | None:
    settings = dict(word.split("=", 1) for word in rest if "=" in word)
    if not DEVICE.match(settings.get("of", "")) or re.match(r"/dev/(?:zero|u?random)", settings.get("if", "")):
        return None
    return Sink("raw write to flash", settings.get("if", ""))


def _ubiformat(_name: str, rest: Sequence[str]) -> Command | None:
    image = after(rest, "-f", "--flash-image")
    return Sink("ubi volume", image) if image else None


def _flashrom(_name: str, rest: Sequence[str]) -> Command | None:
    image = after(rest, "-w", "--write")
    return Sink("flashrom", image) if image else None


def _bmaptool(_name: str, rest: Sequence[str]) -> Command | None:
    plain = operands(rest)
    return Sink("raw write to flash", plain[1]) if len(plain) > 2 and plain[0] == "copy" and DEVICE.match(plain[-1]) else None


_TO_A_PART: Mapping[str, tuple[str, ...]] = {  # tools that write the firmware of another chip, and the words that make them write
    "dfu-util": ("-D", "--download"),
    "stm32flash": ("-w",),
    "st-flash": ("write",),
    "avrdude": ("-U",),
    "esptool": ("write_flash", "write-flash"),
    "esptool.py": ("write_flash", "write-flash"),
    "bossac": ("-w", "--write"),
    "openocd": ("-c",),
    "nrfutil": ("dfu",),
    "mcumgr": ("upload",),
}


def _another_chip(name: str, rest: Sequence[str]) -> Command | None:
    told = any(word in rest for word in _TO_A_PART[name]) and (name != "openocd" or any("program" in word for word in rest))
    return Sink("firmware of another chip", last(rest)) if told else None


_ORDERS: Mapping[str, tuple[tuple[str, ...], ...]] = {  # tools that check by themselves, and the words of an order to install
    "ostree": (("admin", "upgrade"), ("admin", "deploy"), ("admin", "switch")),
    "rpm-ostree": (("upgrade",), ("rebase",), ("deploy",)),
    "fwupdmgr": (("install",), ("update",), ("local-install",), ("reinstall",)),
    "fwupdtool": (("install",), ("install-blob",), ("update",)),
    "update_engine_client": (("--update",), ("-update",)),
    "snap": (("refresh",), ("install",)),
    "casync": (("extract",),),
}
_ORDERED = {"rpm-ostree": "ostree", "fwupdmgr": "fwupd", "fwupdtool": "fwupd", "update_engine_client": "update_engine"}


def _order(name: str, rest: Sequence[str]) -> Command | None:
    plain = tuple(rest) if name == "update_engine_client" else tuple(operands(rest))
    told = next((words for words in _ORDERS[name] if plain[: len(words)] == words), None)
    return None if told is None else Sink(_ORDERED.get(name, name), plain[len(told)] if len(plain) > len(told) else "")


def _swupdate(name: str, rest: Sequence[str]) -> Command | None:
    if not rest or any(word in ("-h", "--help", "--version") for word in rest):
        return None
    return Sink("swupdate", after(rest, "-i", "--image") or (last(rest) if name != "swupdate" else ""))


def _rauc(_name: str, rest: Sequence[str]) -> Command | None:
    return Sink("rauc", last(rest)) if rest[:1] == ["install"] else None


def _mender(_name: str, rest: Sequence[str]) -> Command | None:
    if any(word.lstrip("-") in ("install", "rootfs") for word in rest[:2]):
        return Sink("mender", last(rest))
    return None


def _copy(_name: str, rest: Sequence[str]) -> Command | None:
    """Out of a directory of updates, into the root."""
    plain = operands(rest)
    if len(plain) > 1 and plain[-1].startswith("/") and any(_UPDATE_DIRECTORY.search(word) for word in plain[:-1]):
        return Sink("file copy", plain[0])
    return None


def _tar(_name: str, rest: Sequence[str]) -> Command | None:
    mode = next((word for word in rest if re.match(r"-?[A-Za-z]*x|--extract|--get", word)), "")
    if not mode:
        return None
    where = after(rest, "-C", "--directory")
    what = after(rest, "-f", "--file") or next((word for word in operands(rest) if word not in (mode, where)), "")
    return unpacked(what, where)


def _unzip(_name: str, rest: Sequence[str]) -> Command:
    where = after(rest, "-d")
    return unpacked(next((word for word in operands(rest) if word != where), ""), where)


def _cpio(_name: str, rest: Sequence[str]) -> Command | None:
    return unpacked("", after(rest, "-D", "--directory")) if short(rest, "i") or "--extract" in rest else None


def unpacked(what: str, where: str) -> Sink | Unpack:
    """An archive taken apart: over the root it is a write, if it is software by its name or its place."""
    software = _SOFTWARE.search(posixpath.basename(what)) or runs_foreign(what)
    over_root = where == "/" and software and not _SETTINGS.search(what)
    return Sink("unpacked over the root", what) if over_root else Unpack(what, where)


def _unpacker(_name: str, rest: Sequence[str]) -> Command:
    return Unpack(last(rest), ".")


_INSTALLS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("opkg", "ipkg"), ("install",)),
    "dpkg": ("-i", "--install"),
    **dict.fromkeys(("apt-get", "apt"), ("install",)),
    "apk": ("add",),
    "rpm": ("-U", "-i", "-Uvh", "-ivh", "--install", "--upgrade"),
}


THE_FEED = "the feed"  # what a package manager brings up to date
_FEEDS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("opkg", "ipkg", "apk"), ("upgrade",)),
    **dict.fromkeys(("apt-get", "apt", "aptitude"), ("upgrade", "dist-upgrade", "full-upgrade", "safe-upgrade")),
    **dict.fromkeys(("dnf", "yum", "zypper", "tdnf"), ("upgrade", "update", "dup", "distro-sync")),
}


def _feed(name: str, rest: Sequence[str]) -> Command | None:
    """All packages of a feed brought up to date: the package manager checks by itself."""
    simulated = not {"-s", "--simulate", "--dry-run", "--noaction", "--just-print", "--download-only"}.isdisjoint(rest)
    verb = next(iter(operands(rest)), "")
    if verb in _FEEDS[name] and not simulated:
        return Sink("apt" if name in ("apt-get", "aptitude") else name, THE_FEED)
    return _packages(name, rest) if name in _INSTALLS else None


def _packages(name: str, rest: Sequence[str]) -> Command | None:
    """A package file; one from a feed takes the feed's own way."""
    package = last(rest)
    own = "/" in package and (name not in ("apt-get", "apt") or package.endswith(".deb"))
    return Sink("package of its own", package) if own and any(word in _INSTALLS[name] for word in rest) else None


# --------------------------------------------------------------------------- the rest


def _fetch(name: str, rest: Sequence[str]) -> Command | None:
    plain = operands(rest)
    address = next((word for word in plain if "://" in word), "") or (plain[-1] if plain else "")
    unchecked = next((word for word in rest if word in ("--no-check-certificate", "--insecure")), "")
    if not unchecked and name == "curl" and short(rest, "k"):
        unchecked = "-k"
    target = _target(name, rest, address)
    flaw = f"the server's certificate is not checked ({unchecked})" if unchecked else ""
    scheme = address.partition("://")[0] if "://" in address else ""
    if scheme in ("http", "ftp", "tftp"):
        return Fetch(address, "plain", target, flaw)
    if scheme == "https" or unchecked:
        return Fetch(address, "unchecked" if unchecked else "authenticated", target, flaw)
    return Fetch(address, "unknown", target)


def _target(name: str, rest: Sequence[str], address: str) -> str:
    """The file that is written; without a name of its own, that at the end of the address. curl and ``-O -`` write none."""
    named = posixpath.basename(address.partition("://")[2].partition("?")[0])
    if name == "curl":
        return after(rest, "-o", "--output") or (named if short(rest, "O") or "--remote-name" in rest else "")
    target = after(rest, "--output-document", "-o" if name == "aria2c" else "-O")
    for at, word in enumerate(rest):
        if name != "aria2c" and (bundle := re.match(r"-[A-Za-z]*?O(.*)$", word)):  # "-qO- URL", "-qO FILE URL"
            target = bundle[1] or (rest[at + 1] if at + 1 < len(rest) else "")
    if target:
        return "" if target == "-" else target
    return posixpath.join(after(rest, "-P", "--directory-prefix"), named)


def _plain_fetch(name: str, rest: Sequence[str]) -> Command | None:
    if not rest or (name == "tftp" and not any(word.startswith("-") and "g" in word for word in rest)):
        return None
    return Fetch(
        next((word for word in reversed(list(rest)) if word and not word.startswith("-")), ""), "plain", after(rest, "-l")
    )


def _secure_copy(_name: str, rest: Sequence[str]) -> Command | None:
    remote = next((word for word in operands(rest) if re.match(r"[^/]+:", word)), "")
    return Fetch(remote, "unknown", last(rest)) if remote else None


def _set(name: str, rest: Sequence[str]) -> Command | None:
    return Other("set", " ".join([name, *rest][:3])) if rest else None


def _restart(name: str, _rest: Sequence[str]) -> Command:
    return Other("restart", name)


# --------------------------------------------------------------------------- the table


class Tool(NamedTuple):
    """How a program is read; it can write where ``writes`` is told: in a text that holds one of these words, if any are named."""

    read: Callable[[str, Sequence[str]], Command | None]
    writes: tuple[str, ...] | None = None
    brings: bool = False  # over a network: what it brought can be run, or unpacked over the root


TOOLS: Mapping[str, Tool] = {
    "openssl": Tool(_openssl),
    **dict.fromkeys(("gpg", "gpg2", "gpgv", "gpgv2"), Tool(_gpg)),
    **dict.fromkeys(("usign", "signify", "signify-openbsd", "minisign", "ucert"), Tool(_signify)),
    **dict.fromkeys(("ecdsaverify", "fit_check_sign", "futility"), Tool(_verifier)),
    **dict.fromkeys(("mkimage", "dumpimage"), Tool(_mkimage)),
    "veritysetup": Tool(_veritysetup),
    **dict.fromkeys(_SUMS, Tool(_sum)),
    "sysupgrade": Tool(_sysupgrade, ()),
    "mtd": Tool(_mtd, ("write",)),
    **dict.fromkeys(("mtd_write", "flashw"), Tool(_mtd_write, ())),
    "mtd_debug": Tool(_mtd_debug, ("write",)),
    "flashcp": Tool(_flashcp, ()),
    "nandwrite": Tool(_nandwrite, ()),
    "ubiupdatevol": Tool(_ubiupdatevol, ()),
    "ubiformat": Tool(_ubiformat, ("-f", "--flash-image")),
    "dd": Tool(_dd, ("/dev/",)),
    "flashrom": Tool(_flashrom, ()),
    "bmaptool": Tool(_bmaptool, ("copy",)),
    **dict.fromkeys(_TO_A_PART, Tool(_another_chip, ())),
    **dict.fromkeys(("swupdate", "swupdate-client"), Tool(_swupdate, ())),
    "rauc": Tool(_rauc, ("install",)),
    **dict.fromkeys(("mender", "mender-update"), Tool(_mender, ("install", "rootfs"))),
    **dict.fromkeys(_ORDERS, Tool(_order, ())),
    "cp": Tool(_copy, ("/update", "/upgrade", "/ota", "/firmware")),
    **dict.fromkeys(("tar", "bsdtar"), Tool(_tar, ("-C", "--directory"))),
    "unzip": Tool(_unzip, ("-d",)),
    "cpio": Tool(_cpio, ("-D", "--directory")),
    **dict.fromkeys(("gunzip", "zcat", "xz", "unxz", "unlzma", "bunzip2", "zstd", "unsquashfs", "7z", "7zr"), Tool(_unpacker)),
    **dict.fromkeys(_FEEDS, Tool(_feed, ("upgrade", "update", "install", "add", "dup", "distro-sync"))),
    **dict.fromkeys(("dpkg", "rpm"), Tool(_packages, ())),
    **dict.fromkeys(("wget", "curl", "uclient-fetch", "aria2c"), Tool(_fetch, None, brings=True)),
    **dict.fromkeys(("tftp", "ftpget", "ftp", "ncftpget"), Tool(_plain_fetch, None, brings=True)),
    **dict.fromkeys(("scp", "rsync", "sftp"), Tool(_secure_copy, None, brings=True)),
    **dict.fromkeys(("fw_setenv", "fw_setsys", "bootenv", "efibootmgr", "grub-editenv"), Tool(_set)),
    **dict.fromkeys(("reboot", "poweroff", "halt"), Tool(_restart)),
}  # fmt: skip
