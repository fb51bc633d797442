"""Update paths through known update systems, read from their own settings.

OpenWrt sysupgrade (``/lib/upgrade/fwtool.sh`` of base-files), opkg, apk, APT, SWUpdate, RAUC, Mender, OSTree, Android recovery.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Literal

from fwcheck.device._update_scripts import Verified
from fwcheck.device.firmware import FileSystem
from fwcheck.model import Evidence, UpdatePath

_SIGNATURE_REQUIRED = re.compile(r"^[ \t]*(?:export[ \t]+)?REQUIRE_IMAGE_SIGNATURE=[\"']?1", re.MULTILINE)
_METADATA_REQUIRED = re.compile(r"^[ \t]*(?:export[ \t]+)?REQUIRE_IMAGE_METADATA=[\"']?1", re.MULTILINE)

_RAUC_SLOT = re.compile(r"^[ \t]*\[slot\.(\w+)\.\d+\]", re.MULTILINE)
# SWUpdate: ``-N``, ``--no-downgrading`` and ``no-downgrading`` refuse versions below the one they name (swupdate(1)).
_NEWER = (r"^[^#]*no-downgrading\s*[=\s]\s*[\"\w$]", r"^(?:\w*=|[^#=]*\bswupdate\b)[^#]*\s-N\s+\S", r"^\w*ARGS\w*=[^#]*\s-N\s+\S")
_LONGEST = 1024  # characters of a line of settings that is looked at


def tool_paths(fs: FileSystem) -> Iterator[UpdatePath]:
    """The update systems of one file system."""
    for read in (_sysupgrade, _opkg, _apk, _apt, _swupdate, _rauc, _mender, _ostree, _android):
        yield from read(fs)


def _path(
    fs: FileSystem,
    source: str,
    sink: str,
    verified: Verified,
    mechanism: str,
    detail: str,
    *evidence: Evidence,
    slots: str = "",
    rollback: Literal["protected", "unknown"] = "unknown",
    automatic: Literal["yes", "unknown"] = "unknown",
) -> UpdatePath:
    return UpdatePath(
        source=source,
        sink=sink,
        verified=verified,
        mechanism=mechanism,
        detail=detail,
        root=fs.label,
        slots=slots,
        rollback=rollback,
        automatic=automatic,
        evidence=evidence,
    )


def _line(fs: FileSystem, path: str, shape: str) -> Evidence | None:
    """The first line of a file that a pattern fits, as evidence."""
    find = re.compile(shape).search
    for number, line in enumerate((fs.text(path) or "").splitlines(), 1):
        if len(line) <= _LONGEST and find(line):
            return fs.evidence(path, line, line=number)
    return None


# --------------------------------------------------------------------------- OpenWrt


def _sysupgrade(fs: FileSystem) -> Iterator[UpdatePath]:
    """Signatures are only demanded with REQUIRE_IMAGE_SIGNATURE=1 and ucert; metadata carries a CRC32 over the image."""
    node = fs.resolve("/sbin/sysupgrade")
    text = fs.text("/sbin/sysupgrade")
    if node is None or text is None:
        return
    parts = {"/sbin/sysupgrade": text}
    parts |= {each.path: held for each in fs.children("/lib/upgrade") if (held := fs.text(each.path)) is not None}
    if (validator := fs.text("/usr/libexec/validate_firmware_image")) is not None:
        parts["/usr/libexec/validate_firmware_image"] = validator
    required = next((path for path, held in parts.items() if _SIGNATURE_REQUIRED.search(held)), None)
    metadata = next((path for path, held in parts.items() if _METADATA_REQUIRED.search(held)), None)
    where = _line(fs, "/sbin/sysupgrade", r"^.*(?:check_image|image_check|validate_firmware_image).*$") or fs.evidence(node.path)
    if required is not None and fs.exists("/usr/bin/ucert"):
        proof = _line(fs, required, _SIGNATURE_REQUIRED.pattern)
        yield _path(
            fs, "local file or web upload", "mtd write", "signature", "sysupgrade", "image signature required, ucert checks it",
            *((proof,) if proof else ()), where,
        )  # fmt: skip
    elif metadata is not None and fs.exists("/usr/bin/fwtool"):
        proof = _line(fs, metadata, _METADATA_REQUIRED.pattern)
        yield _path(
            fs, "local file or web upload", "mtd write", "checksum", "sysupgrade",
            "image metadata with CRC32 required; a signature is not", *((proof,) if proof else ()), where,
        )  # fmt: skip
    else:
        some = any("md5sum" in held and "md5_img" in held for held in parts.values())
        detail = "format and board are checked, no signature" + (" (an MD5 inside the image on some boards)" if some else "")
        yield _path(fs, "local file or web upload", "mtd write", "none", "sysupgrade", detail, where)


def _opkg(fs: FileSystem) -> Iterator[UpdatePath]:
    files = ["/etc/opkg.conf", *(node.path for node in fs.children("/etc/opkg") if node.path.endswith(".conf"))]
    held = [path for path in files if fs.text(path)]
    if not held or not any(fs.exists(path) for path in ("/bin/opkg", "/usr/bin/opkg", "/usr/bin/opkg-cl", "/usr/bin/opkg-key")):
        return
    on = next(
        (
            each
            for path in held
            if (each := _line(fs, path, r"^[ \t]*option[ \t]+check_signature(?:[ \t]+(?:1|true|yes))?[ \t]*$"))
        ),
        None,
    )
    off = next(
        (each for path in held if (each := _line(fs, path, r"^[ \t]*option[ \t]+check_signature[ \t]+(?:0|false|no)\b"))), None
    )
    keys = [node for node in fs.children("/etc/opkg/keys") if node.size]
    feed = next((each for path in held if (each := _line(fs, path, r"^[ \t]*src(?:/gz)?[ \t]+\S+[ \t]+\S+"))), None)
    more = (feed,) if feed else ()
    if on and not off and keys and fs.exists("/usr/bin/usign"):
        detail = f"package lists signed (usign, {len(keys)} keys)"
        yield _path(fs, "package feed", "package manager", "signature", "opkg", detail, on, fs.evidence(keys[0].path), *more)
    elif off or not on:
        where = off or feed or fs.evidence(held[0])
        yield _path(
            fs, "package feed", "package manager", "hash", "opkg", "package lists not signed: hashes come with them", where, *more
        )
    else:
        yield _path(
            fs,
            "package feed",
            "package manager",
            "unknown",
            "opkg",
            "signatures asked for, but no usign or no keys in the image",
            on,
            *more,
        )


def _apk(fs: FileSystem) -> Iterator[UpdatePath]:
    """apk-tools refuses untrusted indexes unless called with --allow-untrusted."""
    keys = [node for node in fs.children("/etc/apk/keys") if node.size]
    if fs.exists("/etc/apk") and any(fs.exists(path) for path in ("/sbin/apk", "/usr/bin/apk", "/bin/apk")) and keys:
        yield _path(
            fs,
            "package feed",
            "package manager",
            "signature",
            "apk",
            f"signed index, {len(keys)} keys",
            fs.evidence(keys[0].path),
        )


def _apt(fs: FileSystem) -> Iterator[UpdatePath]:
    lists = ["/etc/apt/sources.list", *(node.path for node in fs.children("/etc/apt/sources.list.d"))]
    held = [path for path in lists if _line(fs, path, r"^\s*(?:deb\s|URIs:)")]
    if not held or not fs.exists("/usr/bin/apt-get"):
        return
    trusted = next(
        (each for path in held if (each := _line(fs, path, r"^\s*deb\s+\[[^\]]*trusted=yes.*$|^\s*Trusted:\s*yes"))), None
    )
    if trusted:
        yield _path(fs, "package feed", "package manager", "hash", "apt", "feed marked as trusted without a signature", trusted)
    else:
        first = _line(fs, held[0], r"^\s*(?:deb\s|URIs:).*$") or fs.evidence(held[0])
        periodic = _unattended(fs)
        yield _path(
            fs,
            "package feed",
            "package manager",
            "signature",
            "apt",
            "Release files signed",
            first,
            *((periodic,) if periodic else ()),
            automatic="yes" if periodic else "unknown",
        )


def _unattended(fs: FileSystem) -> Evidence | None:
    """APT's own timer installs updates where unattended-upgrades is there and switched on."""
    if not fs.exists("/usr/bin/unattended-upgrade"):
        return None
    settings = ["/etc/apt/apt.conf", *sorted(node.path for node in fs.children("/etc/apt/apt.conf.d"))]
    told = [each for path in settings if (each := _line(fs, path, r"^\s*APT::Periodic::Unattended-Upgrade\s+\"")) is not None]
    return told[-1] if told and re.search(r'"[1-9a-z]', told[-1].text) else None  # the last one counts


# --------------------------------------------------------------------------- image updaters


def _program(fs: FileSystem, *names: str) -> str | None:
    for name in names:
        for folder in ("/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"):
            if fs.exists(f"{folder}/{name}"):
                return f"{folder}/{name}"
    return None


def _swupdate(fs: FileSystem) -> Iterator[UpdatePath]:
    """SWUpdate checks signatures when a public key or certificate is given (-k, ``public-key-file``)."""
    program = _program(fs, "swupdate")
    if program is None:
        return
    files = ["/etc/swupdate.cfg", "/etc/swupdate/swupdate.cfg", "/etc/default/swupdate", "/usr/lib/swupdate/swupdate.sh"]
    for folder in (
        "/etc/swupdate/conf.d",
        "/usr/lib/swupdate/conf.d",
        "/etc/init.d",
        "/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/etc/systemd/system",
    ):
        files += [node.path for node in fs.children(folder) if folder.endswith("conf.d") or "swupdate" in node.path]
    shapes = (r"^[^#]*public-key-file\s*=", r"^(?:\w*=|[^#=]*\bswupdate\b)[^#]*\s-k\s+\S", r"^\w*ARGS\w*=[^#]*[\s\"']-k\s+\S")
    key = next((each for path in files for shape in shapes if (each := _line(fs, path, shape))), None)
    where = fs.evidence(program)
    newer = next((each for path in files for shape in _NEWER if (each := _line(fs, path, shape))), None)
    if key is not None:
        told = (key, where) if newer is None else (key, where, newer)
        rollback: Literal["protected", "unknown"] = "unknown" if newer is None else "protected"
        yield _path(
            fs, "update bundle", "swupdate", "signature", "swupdate", "public key configured", *told, rollback=rollback
        )  # fmt: skip
        return
    facts = fs.facts(program)
    imports = facts.elf.imports if facts is not None and facts.elf is not None else ()
    if any(name.startswith(("CMS_verify", "EVP_DigestVerify", "wc_", "mbedtls_pk_verify")) for name in imports):
        detail = "built with signature checks, but no key was seen in its settings"
        yield _path(fs, "update bundle", "swupdate", "unknown", "swupdate", detail, where)
    else:
        yield _path(
            fs, "update bundle", "swupdate", "hash", "swupdate", "no public key configured, no verifier in the program", where
        )


def _rauc(fs: FileSystem) -> Iterator[UpdatePath]:
    """RAUC installs only bundles that its keyring verifies."""
    path = next((each for each in ("/etc/rauc/system.conf", "/usr/lib/rauc/system.conf") if fs.text(each)), None)
    if path is None:
        return
    keyring = _line(fs, path, r"^\s*(?:path|directory)\s*=.*$") if _line(fs, path, r"^\s*\[keyring\]") else None
    verified: Verified = "signature" if keyring else "unknown"
    detail = "keyring configured" if keyring else "no keyring in system.conf"
    text = fs.text(path) or ""
    names = Counter(hit[1] for hit in _RAUC_SLOT.finditer(text) if hit[1] not in ("bootloader", "recovery"))
    slots = "" if not names else "A/B" if max(names.values()) > 1 else "single"
    least = _line(fs, path, r"^\s*min-bundle-version\s*=\s*\S")
    told = (keyring or fs.evidence(path), *((least,) if least else ()))
    kept: Literal["protected", "unknown"] = "protected" if least and keyring else "unknown"
    yield _path(fs, "update bundle", "rauc", verified, "rauc", detail, *told, slots=slots, rollback=kept)


def _mender(fs: FileSystem) -> Iterator[UpdatePath]:
    for path in ("/etc/mender/mender.conf", "/var/lib/mender/mender.conf", "/usr/share/mender/mender.conf"):
        if fs.text(path) is None:
            continue
        slots = "A/B" if _line(fs, path, r'"RootfsPartB"\s*:\s*"[^"]') else ""
        key = _line(fs, path, r'^.*"ArtifactVerifyKeys?"\s*:\s*(?:"[^"]+|\[\s*"?[^\]\s]).*$')
        if key is not None:
            yield _path(
                fs, "http download", "mender", "signature", "mender", "artifact verification key configured", key, slots=slots
            )
        else:
            yield _path(
                fs,
                "http download",
                "mender",
                "hash",
                "mender",
                "no ArtifactVerifyKey: checksums only",
                fs.evidence(path),
                slots=slots,
            )
        return


def _ostree(fs: FileSystem) -> Iterator[UpdatePath]:
    for path in (
        "/ostree/repo/config",
        "/sysroot/ostree/repo/config",
        *(node.path for node in fs.children("/etc/ostree/remotes.d")),
    ):
        if not _line(fs, path, r'^\s*\[remote\s+"'):
            continue
        off = _line(fs, path, r"^\s*(?:gpg-verify|sign-verify)\s*=\s*false")
        on = _line(fs, path, r"^\s*(?:gpg-verify|sign-verify)\s*=\s*(?:true|ed25519)")
        yield _path(
            fs, "http download", "ostree", "hash" if off and not on else "signature", "ostree",
            "commit signatures off" if off and not on else "commit signatures checked", on or off or fs.evidence(path),
        )  # fmt: skip
        return


def _android(fs: FileSystem) -> Iterator[UpdatePath]:
    """Android's recovery and update_engine take packages signed by a certificate of otacerts.zip."""
    for path in ("/system/etc/security/otacerts.zip", "/etc/security/otacerts.zip"):
        if fs.exists(path):
            yield _path(
                fs, "http download", "recovery", "signature", "Android OTA", "certificates for packages", fs.evidence(path)
            )
            return
