"""Update paths through compiled programs: what their calls, imports and texts say of writing flash and of checking first.

A signature is believed only where the code was followed: the verifying call stands on every way to the writing call, and its
result decides (``Facts.guards``). A verifier that is merely there, or linked, says nothing. ``none`` is said only of a program
that writes what it was given while nothing in it, nor in the vendor's libraries it needs, speaks of a check.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fwcheck.device._update_calls import about_software, call_text, steps_of, transport_of
from fwcheck.device._update_scripts import Verified
from fwcheck.device.firmware import FileSystem
from fwcheck.model import CallFact, Evidence, Facts, Node, PatternHit, UpdatePath

_VERIFIES = re.compile(
    r"RSA_verify\w*|RSA_public_decrypt|EVP_(?:Digest)?Verify(?:Final)?|EVP_PKEY_verify|ECDSA_(?:do_)?verify|DSA_(?:do_)?verify|CMS_verify|PKCS7_verify"
    r"|mbedtls_(?:pk|rsa|ecdsa)\w*_verify\w*|rsa_\w*verify\w*|pk_verify|wc_(?:RsaSSL_Verify\w*|ecc_verify_hash\w*|ed25519_verify\w*)"
    r"|crypto_sign\w*(?:verify|open)\w*|ed25519_verify\w*|ecdsa_verify\w*|uECC_verify|gnutls_pubkey_verify\w*|gpgme_op_verify|rsaVerify\w*"
)
# Names of functions that check something, whatever it is.
_CHECKS = re.compile(
    r"(?i).*(?:verif|signature|check_?sum|crc\d*|md5|sha1|sha\d{3}|digest|rsa_|ecdsa|ed25519|check_?(?:image|firmware|fw|file|header|valid)"
    r"|(?:image|firmware|fw|header)_?(?:check|valid)|valid\w*(?:image|firmware|fw)).*"
)
_LIBRARY = re.compile(
    r"^lib(?:ssl|crypto|mbed\w*|polarssl|gnutls|wolfssl|nettle|gcrypt|curl|c|uClibc|iwinfo|blkid|fstools|nvram)[-.\d]"
)
# Programs that write what they are told to: their callers decide.
_FLASHERS = frozenset(
    {"mtd", "mtd_write", "busybox", "toybox", "flashcp", "nandwrite", "sysupgrade", "swupdate", "rauc", "mtd_debug", "fwtool",
     "ubiupdatevol", "fw_setenv", "fw_printenv", "flash_erase", "flash_eraseall", "flash_unlock", "nandtest", "ubiformat", "dd",
     "ModemManager", "mmcli", "qmicli", "mbimcli", "qmi-firmware-update"}
)  # fmt: skip
_SINK, _HASH, _CHECKSUM, _SIGNATURE = "updater-flash-writer", "updater-hash", "updater-checksum", "updater-signature"
_SPEAKS = frozenset({_HASH, _CHECKSUM, _SIGNATURE})
# A write of this shape is one of software, whatever else the program does.
_SOFTWARE = re.compile(
    r"(?i)\b(?:mtd|mtd_write)\s.*write|flashcp|nandwrite|ubiupdatevol|sysupgrade|swupdate|rauc|mender|firmware|\bfw|upgrade|image|rootfs|kernel"
)
# Functions through which a program gets at a device or starts another program; vendors' own names that speak of flash.
_REACHES = re.compile(
    r"(?i)_*f?open(?:64|at|_2)?\w*$|p?write(?:64|v)?$|ioctl$|system$|popen$|exec\w*$|posix_spawn\w*$|mmap(?:64)?$|s?send\w*$"
    r"|g_\w*(?:spawn|subprocess|file|output)|\w*(?:system|flash|mtd|exec|cmd|upgrade|firmware|burn)"
)
_TOOLS = ("sysupgrade", "swupdate", "rauc", "mender", "flashcp", "nandwrite", "ubiupdatevol", "mtd_write", "mtd_debug", "mtd")


def program_paths(fs: FileSystem) -> Iterator[UpdatePath]:
    """One update path for each program or vendor library that writes software images."""
    for node, facts in fs.files():
        name = posixpath.basename(node.path)
        if facts.elf is None or facts.elf.type not in ("executable", "shared") or _LIBRARY.match(name) or name in _FLASHERS:
            continue
        program = _Program(fs, node, facts, {hit.rule: shown for hit, shown in _hits(fs, node, facts)}, _by_role(facts.calls))
        if program.is_updater:
            yield _judged(program)


def _hits(fs: FileSystem, node: Node, facts: Facts) -> Iterator[tuple[PatternHit, Evidence]]:
    for hit in reversed(facts.yara):
        if hit.rule.startswith("updater-"):
            yield hit, fs.evidence(node.path, hit.text, offset=hit.offset)


def _by_role(calls: Iterable[CallFact]) -> dict[str, list[CallFact]]:
    found: dict[str, list[CallFact]] = {}
    for call in calls:
        if call.role:
            found.setdefault(call.role, []).append(call)
    return found


class _Program(NamedTuple):
    """A program with what is known of it."""

    fs: FileSystem
    node: Node
    facts: Facts
    hits: dict[str, Evidence]  # first hit of each rule on updaters
    roles: dict[str, list[CallFact]]

    @property
    def brings(self) -> bool:
        """Whether it is seen to bring something in."""
        return "receive" in self.roles or "fetch" in self.roles

    @property
    def is_updater(self) -> bool:
        """It speaks of writing software, or calls something that does, with what it brought in."""
        if _SINK in self.hits:
            return self.can_write
        writes = self.roles.get("write", ())
        software = any(_SOFTWARE.search(_texts(call)) for call in writes)
        return bool(writes) and ("receive" in self.roles or (software and self.brings))

    @property
    def can_write(self) -> bool:
        """Whether it can reach a device at all: a library of messages opens nothing and starts nothing."""
        imports = self.facts.elf.imports if self.facts.elf is not None else ()
        return not imports or any(_REACHES.match(name) for name in imports)


def _texts(call: CallFact) -> str:
    return " ".join([call.function, *(each for each in call.arguments if isinstance(each, str))])


def _judged(program: _Program) -> UpdatePath:
    fs, node, facts = program.fs, program.node, program.facts
    verified, detail, shown = _verified(program)
    dedicated = _DEDICATED.search(posixpath.basename(node.path)) is not None
    steps = steps_of(fs, node, facts, dedicated=dedicated)
    written = next((step.evidence for step in steps if step.action == "write" and step.evidence is not None), None)
    first = program.hits.get(_SINK) or written
    return UpdatePath(
        source=_source(program),
        sink=_sink(program.roles.get("write", ())),
        verified=verified,
        mechanism=node.path,
        detail=detail,
        root=fs.label,
        steps=steps,
        transport=transport_of(facts, dedicated=dedicated),
        evidence=tuple(each for each in (first, *shown) if each is not None),
    )


_DEDICATED = re.compile(r"(?i)updat|upgrad|fota|(?:^|[_.-])ota|ota(?:[_.-]|$)|firmware|sysup")


def _verified(program: _Program) -> tuple[Verified, str, list[Evidence]]:
    """The weakest check on the way, why, and further evidence of it."""
    facts, hits = program.facts, program.hits
    assert facts.elf is not None
    verifies = program.roles.get("verify", [])
    verifier = next((call.function for call in verifies), "") or next(
        (name for name in facts.elf.imports if _VERIFIES.fullmatch(name)), ""
    )
    spoken = [hits[_SIGNATURE]] if _SIGNATURE in hits else []
    guarded = _guarded(program)
    if guarded is not None:
        return "signature", f"{guarded.function} decides on every way to the write", [_shown(program, guarded), *spoken]
    if verifier and _useless(program):
        weaker = _weaker(program)
        if weaker is None and ("compare" in program.roles or _SUMS.intersection(facts.check_words)):
            weaker = (
                "unknown",
                f"{verifier} does not keep it from writing; whether a checksum does is open",
                [],
            )
        return weaker or ("none", f"{verifier} does not keep it from writing: {_reason(program)}", [_shown(program, verifies[0])])
    if spoken or verifier:
        detail = f"{'calls' if verifies else 'imports'} {verifier}; whether it decides is open"
        return "unknown", detail if verifier else "speaks of signatures, no verifier seen", spoken
    return _weaker(program) or _unspoken(program)


def _weaker(program: _Program) -> tuple[Verified, str, list[Evidence]] | None:
    if _HASH in program.hits:
        return "hash", "speaks of a hash, no signature verifier", [program.hits[_HASH]]
    if _CHECKSUM in program.hits:
        return "checksum", "speaks of a checksum, no signature verifier", [program.hits[_CHECKSUM]]
    return None


def _unspoken(program: _Program) -> tuple[Verified, str, list[Evidence]]:
    """Of a program that speaks of no check: none where nothing could be one, else unknown."""
    facts = program.facts
    if not facts.calls:
        return "unknown", "compiled program without telling text", []
    if not program.roles.get("write"):
        return "unknown", "how it writes was not seen", []
    if not program.brings:
        return "unknown", "where it takes the software from was not seen", []
    sink = _sink(program.roles["write"])
    if sink in _CHECKING:
        return "unknown", f"hands over to {sink}", []
    if not any(_SOFTWARE.search(_texts(call)) for call in program.roles["write"]):
        return "unknown", "whether what it writes is software was not seen", []
    hint = _hint(program)
    if hint:
        return "unknown", f"no check seen, but {hint}", []
    return "none", "no verifier, hash or checksum in it or in the libraries it needs", []


_CHECKING = frozenset({"sysupgrade", "swupdate", "rauc", "mender", "vendor updater"})


def _hint(program: _Program) -> str:
    """What could be a check in a program or in the vendor's libraries that it needs; "" when there is nothing."""
    facts, fs = program.facts, program.fs
    assert facts.elf is not None
    if "compare" in program.roles:
        return f"calls {program.roles['compare'][0].function}"
    if facts.check_words:
        return f"speaks of {', '.join(facts.check_words[:3])}"
    name = next((each for each in (*facts.elf.imports, *facts.elf.exports) if _CHECKS.fullmatch(each)), "")
    if name:
        return f"has {name}"
    for needed in facts.elf.needed:
        if _FOREIGN.match(needed):
            continue
        library = next((found for path in _PLACES if (found := fs.facts(f"{path}/{needed}")) is not None), None)
        if library is None or library.elf is None:
            return f"needs {needed}, which is not at hand"
        if any(hit.rule in _SPEAKS for hit in library.yara) or any(call.role in ("verify", "compare") for call in library.calls):
            return f"needs {needed}, which speaks of checks"
        name = next((each for each in (*library.elf.imports, *library.elf.exports) if _CHECKS.fullmatch(each)), "")
        if name:
            return f"needs {needed}, which has {name}"
    return ""


_PLACES = ("/lib", "/usr/lib", "/usr/local/lib", "/lib64", "/usr/lib64", "/system/lib", "/opt/lib", "/app/lib", "/home/lib")
# Libraries that no vendor puts a check of images into.
_FOREIGN = re.compile(
    r"lib(?:c|m|dl|rt|pthread|util|uClibc|nsl|resolv|crypt|stdc\+\+|gcc_s|z|ncurses\w*|readline|curl|pcap|json-c|xml2|sqlite3|ubox|ubus|uci"
    r"|blobmsg_json|ssl|crypto|musl\S*|c-[\d.]+)[-.]\S*|ld[-.]\S*"
)


def _guarded(program: _Program) -> CallFact | None:
    """The check that guards the writes; None when one of them is not guarded."""
    writes = {call.offset for call in program.roles.get("write", ())}
    guards = [guard for guard in program.facts.guards if guard.state == "guards"]
    if not writes or not writes <= {guard.write for guard in guards}:
        return None
    return next((call for call in program.roles.get("verify", ()) if call.offset == guards[0].check), None)


def _useless(program: _Program) -> bool:
    """Whether all checks are known not to keep the program from writing."""
    verifies = program.roles.get("verify", [])
    dead = {guard.check for guard in program.facts.guards if guard.state == "behind"}
    dead |= {call.offset for call in verifies if call.result_used is False and call.function not in _BY_CONTENT}
    alive = {guard.check for guard in program.facts.guards if guard.state in ("guards", "passable")}
    return bool(verifies) and {call.offset for call in verifies} <= dead - alive


_SUMS = frozenset({"crc", "checksum", "check sum", "md5"})
# What they give back is a length: the check is the comparison of what they made readable.
_BY_CONTENT = frozenset({"RSA_public_decrypt", "EVP_PKEY_verify_recover", "wc_RsaSSL_Verify", "gpgme_op_verify"})


def _reason(program: _Program) -> str:
    behind = any(guard.state == "behind" for guard in program.facts.guards)
    return "it stands behind the write" if behind else "its result is not looked at"


def _shown(program: _Program, call: CallFact) -> Evidence:
    return program.fs.evidence(program.node.path, call_text(call), offset=call.offset)


def _sink(writes: Iterable[CallFact]) -> str:
    """What the writing call is, by the tool in its command line; ``flash`` where there is none."""
    for call in writes:
        line = _texts(call)
        for tool in _TOOLS:
            if re.search(rf"(?:^|[\s/;&|]){tool}\s", line):
                return "mtd write" if tool.startswith("mtd") else "ubi volume" if tool == "ubiupdatevol" else tool
        if re.search(r"\bdd\s.*of=|\bcat\s.*>", line):
            return "raw write to flash"
    return "flash"


def _source(program: _Program) -> str:
    path = program.node.path
    name = posixpath.basename(path)
    if re.search(r"(?i)http|web|cgi|boa|goahead|uhttpd|luci", name) or "/cgi" in path or "/www/" in path:
        return "web upload"
    if re.search(r"(?i)cwmp|tr069|tr-069", name):
        return "TR-069"
    dedicated = _DEDICATED.search(name) is not None
    fetched = " ".join(_texts(call) for call in program.roles.get("fetch", ()) if dedicated or about_software(call))
    if "tftp" in name or re.search(r"\b(?:tftp|ftpget)\s|\bftp://", fetched):
        return "tftp or ftp"
    if any(call.function != "fopen" and not call.function.startswith("open") for call in program.roles.get("receive", ())):
        return "web upload"
    return "http download" if fetched else "program"
