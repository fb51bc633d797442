"""How new software comes in: updaters without a signature check, checks that are switched off, test keys, plain addresses.

It proves what scripts, settings and containers say. What a compiled updater does is only read from its texts and imports, and
stays open where they do not tell. That a way exists does not say that the vendor uses it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from fwcheck.analysers._known import fingerprint_of, signing_test_keys
from fwcheck.analysers._once import once
from fwcheck.analysers.rule import rules_of
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.device.updating.verdict import BEHIND
from fwcheck.model import (
    CertificateFact,
    Device,
    Evidence,
    Facts,
    Finding,
    Location,
    Node,
    NodeKind,
    Severity,
    UpdatePath,
    UpdateStep,
)

RULES = rules_of(__name__)
_NONE = RULES["UPD-001"]
_UNCHECKED = RULES["UPD-002"]
_HASH_ONLY = RULES["UPD-003"]
_OFF = RULES["UPD-004"]
_SIGNED = RULES["UPD-005"]
_TEST_KEY = RULES["UPD-006"]
_PLAIN = RULES["UPD-008"]
_ROLLBACK = RULES["UPD-009"]
_BROKEN = RULES["UPD-011"]
_OTHER_KEY = RULES["UPD-012"]
_IGNORED = RULES["UPD-014"]

_NETWORK = ("web upload", "http download", "tftp or ftp", "local file or web upload", "package feed", "TR-069")
_LOADER = "boot loader"  # its commands need the console, which is a matter of its own
_TOOLS = frozenset({"sysupgrade", "opkg", "apk", "apt", "swupdate", "rauc", "mender", "ostree", "Android OTA"})
_FIRMWARE_ADDRESS = re.compile(
    r"(?i)firmware|fota|[/_.-]ota[/_.?-]|upgrade|/fw[/_.?-]|\.(?:trx|swu|upf|raucb|mender|ipk)\b|\.(?:bin|img)(?:$|[?\s])|update"
)
_NO_ADDRESS = re.compile(
    r"(?i)dyn|ddns|no-?ip|hostname=|myip|nic/update|/update\.php\?|virus|adblock|geoip|w3\.org|openssl\.org|readthedocs|//docs?\.|/docs?/|/wiki/|/latest/|\.html?(?:#|$)|//(?:[\w-]+\.)*github\.|//(?:127\.|localhost|\[::1)|/luci/|/licenses?/"
)
_URL = re.compile(r"(?<![\w])http://[^\s\"'`<>|;)]{4,200}")
_VERSION_CHECK = re.compile(
    r"(?i)down-?grade|roll-?back|newer_?than|min(?:imum)?_?version|version_?compare|compare_?version|secur(?:ity|e)_(?:counter|version)|is_?newer"
)
_TEST_SUBJECT = re.compile(
    r"DO NOT (?:TRUST|SHIP)|emailAddress=android@android\.com|1\.2\.840\.113549\.1\.9\.1=android@android\.com|O=Test Org(?:,|$)"
)
_KEYRINGS = re.compile(r"/(?:rauc|swupdate|mender|ota|opkg|uefi|keyring)[/.]|otacerts|keyring|uefi|efi", re.IGNORECASE)
# What is booted as it stands: the update that brings it may have another wrapping.
_BOOTED = frozenset({
    *("uimage", "fit", "fdt", "android-boot", "android-vendor-boot", "android-dtbo", "zimage", "bzimage", "linux-image"),
    *("efi-zboot", "uki", "opensbi", "tfa-bl31", "fip", "uboot", "barebox", "cfe", "uefi-fv", "option-rom", "lantiq-boot"),
    *("ingenic-spl", "sunxi-egon", "sunxi-uboot", "sunxi-package", "rockchip-idblock", "rockchip-rkns", "imx-ivt", "kwbimage"),
    *("zynq-boot", "socfpga", "mtk-boot", "mtk-gfh", "amlogic", "qnx-startup", "amd-microcode", "intel-microcode"),
})  # fmt: skip
_COMPLETE = 0.05  # share of the image that may stay unread for a statement about absence


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on the ways new software takes."""
    return once(
        (
            *_absent(firmware, device),
            *_paths(device),
            *_signatures(device),
            *_switched_off(firmware, device),
            *_test_keys(firmware),
            *_addresses(firmware, device),
            *_rollback(firmware, device),
        )
    )


def _absent(firmware: Firmware, device: Device) -> Iterator[Finding]:
    """UPD-001, only where a root file system was read and hardly anything of the image stayed dark."""
    roots = [fs for fs in firmware.filesystems if fs.is_root]
    dark = firmware.coverage.bytes_unknown + firmware.coverage.bytes_encrypted
    if not roots or any(_of_the_system(path) for path in device.update_paths) or firmware.coverage.gaps:
        return
    parts = [node for node in firmware.nodes if node.kind is NodeKind.CONTAINER and len(node.chain) == 2]
    if len(parts) < 2 and any(len(fs.chain) == 2 for fs in roots):
        return  # one partition of a device: the updater may stand in another
    if dark <= _COMPLETE * max(1, firmware.coverage.bytes_total):
        yield _NONE.finding(Evidence(location=Location(chain=roots[0].chain), text="no updater seen"), "no updater")


def _of_the_system(path: UpdatePath) -> bool:
    """Whether a user of the running product can take the way."""
    return path.source != "container" and not path.source.startswith(_LOADER)


# --------------------------------------------------------------------------- paths


def _paths(device: Device) -> Iterator[Finding]:
    """UPD-002, UPD-003 and UPD-005. Scripts that only hand over to a tool are witnesses of the tool's finding."""
    through: dict[str, list[Evidence]] = defaultdict(list)
    tools = {path.mechanism: path.verified for path in device.update_paths if path.mechanism in _TOOLS}
    rest: list[UpdatePath] = []
    for path in device.update_paths:
        if path.sink in tools and tools[path.sink] == path.verified and path.mechanism not in _TOOLS:
            through[path.sink] += path.evidence[:1]
        elif path.evidence and not path.source.startswith(_LOADER):
            rest.append(path)
    wrapped = bool(device.microcontroller) and any(
        path.source == "container" and path.verified in ("none", "checksum", "hash") for path in rest
    )  # what the image of a microcontroller is protected by is said once: its updater takes this very image
    writers: dict[str, list[UpdatePath]] = defaultdict(list)
    called = {path.sink for path in device.update_paths if path.source in _NETWORK and path.mechanism not in _TOOLS}
    for path in rest:
        witnesses = (*path.evidence[1:], *through.get(path.mechanism, ()))
        if path.verified == "none" and path.source != "container":
            reached = path.source in _NETWORK and (path.mechanism not in _TOOLS or path.mechanism in called)
            yield _unchecked(path, witnesses, reached=reached)
        elif path.source == "container" and path.verified in ("none", "checksum", "hash"):
            yield _container(path, witnesses)
        elif device.microcontroller and path.verified in ("checksum", "hash"):
            writers[path.sink].append(path)
        elif path.verified in ("checksum", "hash") and path.sink != "package manager":
            yield _weakly_checked(path, witnesses)
        elif path.verified == "signature":
            yield _SIGNED.finding(
                path.evidence[0],
                f"signed: {path.mechanism}",
                title=f"Signature on updates: {path.mechanism}, {path.detail}"[:160],
                witnesses=witnesses,
            )
    for ways in writers.values():
        if not wrapped:
            yield _weak_writer(ways)


def _unchecked(path: UpdatePath, witnesses: tuple[Evidence, ...], *, reached: bool) -> Finding:
    """UPD-002: a violation where something in the image takes software from a network and hands it on unchecked.

    UPD-014 instead, where there is a check and the software is written whatever it says.
    """
    ignored = next((step for step in path.steps if _is_ignored(step) and step.evidence is not None), None)
    if ignored is not None and ignored.evidence is not None:
        return _IGNORED.finding(
            ignored.evidence,
            f"ignored: {path.mechanism}",
            title=f"{path.mechanism} writes software whatever its check says: {ignored.reason}"[:200],
            verdict="violation" if reached else "concern",
            severity=Severity.HIGH if reached else Severity.MEDIUM,
            witnesses=(path.evidence[0], *witnesses),
            explanation=f"{_IGNORED.explanation} Seen: {path.detail}.",
        )
    return _UNCHECKED.finding(
        path.evidence[0],
        f"unchecked: {path.mechanism}",
        title=f"{path.mechanism} writes software without a check ({path.source}, {path.sink})",
        verdict="violation" if reached else "concern",
        severity=Severity.HIGH if reached else Severity.MEDIUM,
        confidence="firm" if reached or path.source in _NETWORK else "tentative",
        witnesses=witnesses,
        explanation=f"{_UNCHECKED.explanation} Seen: {path.detail}.",
    )


def _is_ignored(step: UpdateStep) -> bool:
    """A check that does not stop the write. A digest behind the write tells whether copying went well, no more."""
    return step.honoured == "no" and (step.check == "signature" or step.reason != BEHIND)


def _container(path: UpdatePath, witnesses: tuple[Evidence, ...]) -> Finding:
    boots = path.mechanism in _BOOTED
    word = {"none": "not protected at all", "checksum": "protected by a checksum only", "hash": "protected by a hash only"}
    return _HASH_ONLY.finding(
        path.evidence[0],
        f"container: {path.mechanism} {path.verified}",
        title=f"The image is {word[path.verified]} ({path.mechanism}{f': {path.detail}' if path.detail else ''})"[:200],
        verdict="concern" if boots else "violation",
        confidence="firm" if boots else "certain",
        witnesses=witnesses,
    )


def _weakly_checked(path: UpdatePath, witnesses: tuple[Evidence, ...]) -> Finding:
    return _HASH_ONLY.finding(
        path.evidence[0],
        f"{path.verified} only: {path.mechanism}",
        title=f"{path.mechanism} checks updates by a {path.verified} only ({path.source})",
        verdict="violation" if path.source in _NETWORK else "concern",
        confidence="firm",
        witnesses=witnesses,
        explanation=f"{_HASH_ONLY.explanation} Seen: {path.detail}.",
    )


def _weak_writer(ways: list[UpdatePath]) -> Finding:
    """UPD-003 on what writes the flash of a microcontroller, once for all ways that lead to it."""
    first = ways[0]
    return _HASH_ONLY.finding(
        first.evidence[0],
        f"{first.verified} only: {first.sink}",
        title=f"{first.sink} checks updates by a {first.verified} only ({', '.join(sorted({way.source for way in ways}))})"[:200],
        verdict="concern",
        confidence="firm",
        witnesses=tuple(each for way in ways for each in way.evidence)[1:8],
        explanation=f"{_HASH_ONLY.explanation} Seen: {first.detail}.",
    )


def _signatures(device: Device) -> Iterator[Finding]:
    """UPD-011 and UPD-012: signatures that were verified and do not fit, or that no key given fits."""
    for each in device.signatures:
        if each.state == "invalid":
            update = each.role == "update"  # a program inside may be one that the device never loads
            yield _BROKEN.finding(
                each.evidence[0],
                f"broken signature: {each.scheme} {each.covers.partition(' (')[0]}",
                title=f"{each.scheme} signature over {each.covers}: {each.reason}"[:200],
                verdict="violation" if update else "concern",
                severity=Severity.HIGH if update else Severity.MEDIUM,
                witnesses=each.evidence[1:],
            )
        elif each.state == "unverified" and each.keys_given and each.role == "update":
            yield _OTHER_KEY.finding(
                each.evidence[0],
                f"other key: {each.scheme} {each.covers}",
                title=f"{each.scheme} signature over {each.covers}: {each.reason}"[:200],
            )


# --------------------------------------------------------------------------- switched off


def _switched_off(firmware: Firmware, device: Device) -> Iterator[Finding]:
    """UPD-004: package lists taken unsigned, image checks forced aside, downloads of an updater without certificate check."""
    for path in device.update_paths:
        if path.sink == "package manager" and path.verified == "hash" and path.evidence:
            asked = "check_signature" in path.evidence[0].text or "rusted" in path.evidence[0].text
            yield _OFF.finding(
                path.evidence[0],
                f"package signatures: {path.mechanism}",
                title=f"{path.mechanism} takes packages from unsigned lists",
                confidence="certain" if asked else "firm",
                witnesses=path.evidence[1:],
            )
    updaters = {(path.root, path.mechanism) for path in device.update_paths}
    for fs in firmware.filesystems:
        for node, facts in fs.files():
            yield from _off_in_file(fs, node, facts, updater=(fs.label, node.path) in updaters)


def _off_in_file(fs: FileSystem, node: Node, facts: Facts, *, updater: bool) -> Iterator[Finding]:
    for hit in facts.yara:
        if hit.rule == "update-forced" and facts.kind != "elf":
            yield _OFF.finding(
                fs.evidence(node.path, hit.text, offset=hit.offset),
                f"forced: {node.path}",
                title="Installs with the checks switched off",
                verdict="violation" if updater else "concern",
                confidence="firm" if updater else "tentative",
            )
            break
    if updater:
        for hit in facts.patterns:
            if hit.rule in ("unverified-wget", "unverified-curl"):
                where = fs.evidence(node.path, hit.text, offset=hit.offset)
                yield _OFF.finding(
                    where, f"certificate: {node.path}", title="Updater does not check the server's certificate", confidence="firm"
                )
                break
    if facts.text is not None and "REQUIRE_IMAGE_SIGNATURE=0" in facts.text and not node.path.endswith("fwtool.sh"):
        number = facts.text.count("\n", 0, facts.text.index("REQUIRE_IMAGE_SIGNATURE=0")) + 1
        yield _OFF.finding(fs.evidence(node.path, "REQUIRE_IMAGE_SIGNATURE=0", line=number), "image signature", confidence="firm")


# --------------------------------------------------------------------------- test keys


def _test_keys(firmware: Firmware) -> Iterator[Finding]:
    """UPD-006: key hashes that containers store, fingerprints of keys, and subjects of certificates in update keyrings."""
    known = signing_test_keys()
    for node in firmware.nodes:
        if node.kind is NodeKind.CONTAINER:
            text = " ".join(str(value) for value in node.detail.values()).lower()
            for digest in re.findall(r"\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b", text):
                if digest in known:
                    where = Evidence(
                        location=Location(chain=node.chain, path=node.path, offset=node.offset), text=f"key hash {digest}"
                    )
                    yield _TEST_KEY.finding(
                        where, f"test key: {known[digest]}", title=f"Signed with the published test key {known[digest]}"
                    )
            if owner := next((known[each] for each in _carried(node) if each in known), ""):
                where = Evidence(location=Location(chain=node.chain, path=node.path, offset=node.offset), text=owner)
                yield _TEST_KEY.finding(where, f"test key: {owner}", title=f"Signed with a published test key: {owner}")
                continue
            signer = str(node.detail.get("signer", ""))
            if found := _TEST_SUBJECT.search(signer):
                where = Evidence(location=Location(chain=node.chain, path=node.path, offset=node.offset), text=signer[:160])
                title = "Signed by a certificate that calls itself a test"
                yield _TEST_KEY.finding(where, f"test signer: {found[0]}", title=title, confidence="firm")
    for node, facts in firmware.contents():
        for key in facts.keys:
            if key.fingerprint in known:
                where = Evidence(
                    location=Location(chain=node.chain, path=node.path, offset=key.offset), text=known[key.fingerprint]
                )
                yield _TEST_KEY.finding(where, f"test key: {known[key.fingerprint]}")
        for certificate in facts.certificates:
            if owner := known.get(certificate.key_fingerprint) or _by_serial(certificate):
                where = Evidence(location=Location(chain=node.chain, path=node.path, offset=certificate.offset), text=owner)
                yield _TEST_KEY.finding(where, f"test key: {owner}", title=f"Certificate of the published test key {owner}")
                continue
            found = _TEST_SUBJECT.search(certificate.subject)
            if found and (_KEYRINGS.search(node.path) or "DO NOT" in found[0]):
                where = Evidence(
                    location=Location(chain=node.chain, path=node.path, offset=certificate.offset), text=certificate.subject[:160]
                )
                yield _TEST_KEY.finding(where, f"test certificate: {found[0]}", confidence="firm")


def _carried(node: Node) -> Iterator[str]:
    """Fingerprints of the keys and certificates that came with the signatures of a container."""
    for signature in node.signatures:
        for der in (signature.carried, *signature.chain):
            if der and (fingerprint := fingerprint_of(der)):
                yield fingerprint


def _by_serial(certificate: CertificateFact) -> str:
    """Whose test certificate it is by its serial number, which counts under the name of its publisher alone."""
    return signing_test_keys().get(certificate.serial, "") if "android@android.com" in certificate.subject else ""


# --------------------------------------------------------------------------- addresses


def _addresses(firmware: Firmware, device: Device) -> Iterator[Finding]:
    """UPD-008: package feeds, addresses in updaters, and addresses of firmware in other files (the path is then unknown)."""
    signed = {(path.root, path.mechanism) for path in device.update_paths if path.verified == "signature"}
    updaters = {(path.root, path.mechanism) for path in device.update_paths}
    for path in device.update_paths:
        feed = next((each for each in path.evidence if "http://" in each.text), None)
        if path.source == "package feed" and feed is not None and path.verified != "signature":
            yield _PLAIN.finding(
                feed, f"feed: {path.mechanism}", title=f"{path.mechanism} feeds over plain HTTP without signatures"
            )
    for fs in firmware.filesystems:
        for node, facts in fs.files():
            if (fs.label, node.path) in signed or re.search(r"/opkg/|/apt/|/doc/|/ddns/|/adblock|/licen[cs]e", node.path):
                continue
            where = _address(fs, node, facts, updater=(fs.label, node.path) in updaters)
            if where is not None:
                certain = (fs.label, node.path) in updaters and facts.text is not None
                yield _PLAIN.finding(
                    where,
                    f"address: {node.path}",
                    title="Updates come over plain HTTP" if certain else "Address of updates over plain HTTP",
                    verdict="violation" if certain else "concern",
                    severity=Severity.HIGH if certain else Severity.MEDIUM,
                    confidence="firm" if certain else "tentative",
                )


def _address(fs: FileSystem, node: Node, facts: Facts, *, updater: bool) -> Evidence | None:
    if updater and facts.text is not None:
        for number, line in enumerate(facts.text.splitlines(), 1):
            hit = _URL.search(line)
            if hit is None or _NO_ADDRESS.search(hit[0]) or re.match(r"\s*(?:#|//|--|\*)", line):
                continue
            if _FIRMWARE_ADDRESS.search(hit[0]) or re.search(r"\b(?:wget|curl|uclient-fetch)\b|(?i:url|server|mirror)\s*=", line):
                return fs.evidence(node.path, line.strip(), line=number)
    for found in facts.patterns:
        if found.rule == "plain-update-address" and _FIRMWARE_ADDRESS.search(found.text) and not _NO_ADDRESS.search(found.text):
            return fs.evidence(node.path, found.text, offset=found.offset)
    return None


# --------------------------------------------------------------------------- older versions


def _rollback(firmware: Firmware, device: Device) -> Iterator[Finding]:
    """UPD-009, once: no container counter, no version comparison in a readable updater."""
    if not device.update_paths or not device.update_paths[0].evidence:
        return
    for node in firmware.nodes:
        if node.kind is NodeKind.CONTAINER and _counted(node):
            return
    wrapping = [path for path in device.update_paths if path.source == "container"]
    # What the code of a microcontroller tells of its ways belongs to the one image that they all bring.
    alone = bool(wrapping) if device.microcontroller else len(wrapping) == len(device.update_paths)
    if any(path.rollback == "protected" for path in device.update_paths):
        return
    if alone and any(path.verified == "signature" for path in wrapping):
        return  # the boot loader that checks the signature is not in the image
    readable = False
    for path in device.update_paths:
        if path.mechanism in _TOOLS - {"sysupgrade"}:
            return
        for fs in firmware.filesystems:
            text = (
                fs.text(path.mechanism if path.mechanism.startswith("/") else "/sbin/sysupgrade")
                if fs.label == path.root
                else None
            )
            readable = readable or text is not None
            if text is not None and _VERSION_CHECK.search(text):
                return
    if readable or alone:
        yield _ROLLBACK.finding(device.update_paths[0].evidence[0], "no rollback protection")


def _counted(node: Node) -> bool:
    words = f"{node.detail.get('tlvs', '')} {node.detail.get('rollback_index', '')}".lower()
    return "counter" in words or bool(node.detail.get("secure_version")) or bool(node.detail.get("rollback_index"))
