"""Update paths through compiled programs: what their imports and texts say of writing flash and of checking first.

A program is read from outside: a signature is believed only when it both imports a function that verifies one and speaks of
signatures; without any telling text the answer stays unknown. That a crypto library is linked says nothing.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from fwcheck.device._update_scripts import Verified
from fwcheck.device.firmware import FileSystem
from fwcheck.model import Evidence, Facts, Node, UpdatePath

_VERIFIES = re.compile(
    r"RSA_verify\w*|RSA_public_decrypt|EVP_(?:Digest)?Verify(?:Final)?|EVP_PKEY_verify|ECDSA_(?:do_)?verify|DSA_(?:do_)?verify|CMS_verify|PKCS7_verify"
    r"|mbedtls_(?:pk|rsa|ecdsa)\w*_verify\w*|rsa_\w*verify\w*|pk_verify|wc_(?:RsaSSL_Verify\w*|ecc_verify_hash\w*|ed25519_verify\w*)"
    r"|crypto_sign\w*(?:verify|open)\w*|ed25519_verify\w*|ecdsa_verify\w*|uECC_verify|gnutls_pubkey_verify\w*|gpgme_op_verify|rsaVerify\w*"
)
_LIBRARY = re.compile(
    r"^lib(?:ssl|crypto|mbed\w*|polarssl|gnutls|wolfssl|nettle|gcrypt|curl|c|uClibc|iwinfo|blkid|fstools|nvram)[-.\d]"
)
# Programs that write what they are told to: their callers decide.
_FLASHERS = frozenset(
    {"mtd", "busybox", "flashcp", "nandwrite", "sysupgrade", "swupdate", "rauc", "mtd_debug", "ubiupdatevol", "fw_setenv"}
)
_SINK, _HASH, _CHECKSUM, _SIGNATURE = "updater-flash-writer", "updater-hash", "updater-checksum", "updater-signature"


def program_paths(fs: FileSystem) -> Iterator[UpdatePath]:
    """One update path for each program or vendor library that writes software images."""
    for node, facts in fs.files():
        name = posixpath.basename(node.path)
        if facts.elf is None or facts.elf.type not in ("executable", "shared") or _LIBRARY.match(name) or name in _FLASHERS:
            continue
        if any(hit.rule == _SINK for hit in facts.yara):
            yield _judged(fs, node, facts)


def _judged(fs: FileSystem, node: Node, facts: Facts) -> UpdatePath:
    hits = {hit.rule: hit for hit in reversed(facts.yara)}
    assert facts.elf is not None
    verifier = next((name for name in facts.elf.imports if _VERIFIES.fullmatch(name)), "")

    def shown(rule: str) -> Evidence:
        return fs.evidence(node.path, hits[rule].text, offset=hits[rule].offset)

    verified: Verified
    evidence = [shown(_SINK)]
    if _SIGNATURE in hits and verifier:
        verified, detail = "signature", f"imports {verifier} and speaks of signatures"
        evidence.append(shown(_SIGNATURE))
    elif _SIGNATURE in hits or verifier:
        verified, detail = "unknown", f"imports {verifier}" if verifier else "speaks of signatures, no verifier seen"
        evidence += [shown(_SIGNATURE)] if _SIGNATURE in hits else []
    elif _HASH in hits:
        verified, detail = "hash", "speaks of a hash, no signature verifier"
        evidence.append(shown(_HASH))
    elif _CHECKSUM in hits:
        verified, detail = "checksum", "speaks of a checksum, no signature verifier"
        evidence.append(shown(_CHECKSUM))
    else:
        verified, detail = "unknown", "compiled program without telling text"
    return UpdatePath(
        source=_source(node.path),
        sink="flash",
        verified=verified,
        mechanism=node.path,
        detail=detail,
        root=fs.label,
        evidence=tuple(evidence),
    )


def _source(path: str) -> str:
    name = posixpath.basename(path)
    if re.search(r"(?i)http|web|cgi|boa|goahead|uhttpd|luci", name) or "/cgi" in path or "/www/" in path:
        return "web upload"
    if re.search(r"(?i)cwmp|tr069|tr-069", name):
        return "TR-069"
    return "tftp or ftp" if "tftp" in name else "program"
