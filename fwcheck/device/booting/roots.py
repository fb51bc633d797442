"""Initial RAM and root file systems: what the kernel, its command line or a script in the initial RAM file system verify.

dm-verity verifies each block against a root hash. It is as good as the place that the root hash comes from: a command line, a
script, a file. Sources: Linux admin-guide/device-mapper/verity.rst and dm-init.rst, kernel-command-line(7) and
systemd-veritysetup-generator(8), veritysetup(8), ABI/testing/ima_policy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from fwcheck.device._update_scripts import Verified
from fwcheck.device.booting import avb
from fwcheck.device.booting.context import Context, here
from fwcheck.device.booting.loaders import Link
from fwcheck.device.firmware import FileSystem
from fwcheck.model import BootStep, Evidence, Node, NodeKind

INITRAMFS, ROOT = 11, 12
_MAPPED = re.compile(
    r"dm-mod\.create=\"?[^\"\n]{0,600}\bverity\b|\bdm=\"?[^\"\n]{0,600}\bverity\b|(?:^|\s)(?:roothash|usrhash)=[0-9a-f]{32,128}"
)
_HASH = re.compile(r"\b[0-9a-f]{40,128}\b")
_SETUP = re.compile(
    r"^[^#\n]{0,400}?\b(?:veritysetup[ \t]+(?:open|create|format)\b|dmsetup[ \t]+create\b[^\n]{0,400}\bverity\b)[^\n]{0,400}",
    re.MULTILINE,
)
_SIGNED_ROOT = re.compile(r"--root-hash-signature|root_hash_sig_key_desc|(?:^|\s)roothashsig=")
_LOOSE = re.compile(r"\bignore_corruption\b|--ignore-corruption\b")
_IMA = re.compile(r"(?:^|\s)ima_(?:policy|appraise|appraise_tcb)(?:=(\S{1,60}))?(?=\s|$)")
_DIRECT = re.compile(
    r"(?:^|\s)root=(/dev/(?:mtdblock|mmcblk|sd|ubiblock|vd|nvme|ram)\S{0,40}|mtd:\S{1,40}|ubi\d\S{0,40}|31:\d{2}|3[0-9a-f]{3})(?=\s|$)"
)
_CHECKERS = ("DM_VERITY", "IMA_APPRAISE", "FS_VERITY", "DM_INTEGRITY")
_SCRIPT = 256 << 10
_LINES = 16 << 10  # characters of a file with command lines
_MOST = 24
_TABLE = 1600  # characters of a dm-verity table on a command line


class _Proof(NamedTuple):
    verified: Verified
    checker: str
    reason: str
    evidence: tuple[Evidence, ...]


def roots(context: Context, kernels: list[Link]) -> list[Link]:
    """The root file systems; those inside a kernel are initial RAM file systems and share its check."""
    found = []
    for fs in context.roots[:_MOST]:
        holder = next(
            (link for link in kernels if fs.chain[: len(link.node.chain)] == link.node.chain and fs.format == "cpio"), None
        )
        if holder is not None or fs.format == "cpio":
            found.append(Link(INITRAMFS, _node(context, fs), _initramfs(fs, holder)))
        else:
            found.append(Link(ROOT, _node(context, fs), _root(context, fs)))
    return found


def _node(context: Context, fs: FileSystem) -> Node:
    return next(
        (node for node in context.containers if node.chain == fs.chain), Node(chain=fs.chain, path="", kind=NodeKind.CONTAINER)
    )


def _initramfs(fs: FileSystem, holder: Link | None) -> BootStep:
    where = here(Node(chain=fs.chain, path="", kind=NodeKind.CONTAINER), f"{fs.format} archive")
    if holder is None:
        reason = "an archive without a check of its own; what loads it is not told"
        return BootStep(stage="initramfs", detail=f"{fs.format} archive", reason=reason, evidence=(where,))
    return BootStep(
        stage="initramfs",
        detail=f"{fs.format} archive inside the kernel",
        verified=holder.step.verified,
        checked_by=holder.step.checked_by,
        reason="it is a part of what holds the kernel and is checked with it",
        evidence=(where,),
    )


def _root(context: Context, fs: FileSystem) -> BootStep:
    where = here(_node(context, fs), fs.format)
    name = avb.partition_of(("", *fs.chain[1:]))
    proof = next((each for each in _proofs(context, fs)), None)
    if proof is None:
        proof = _unseen(context)
    return BootStep(
        stage="root file system",
        detail=f"{fs.format} in {name}" if name else fs.format,
        verified=proof.verified,
        checked_by=proof.checker,
        reason=proof.reason,
        evidence=(*proof.evidence, where)[:6],
    )


def _proofs(context: Context, fs: FileSystem) -> Iterator[_Proof]:
    if (found := avb.partition(context, fs)) is not None:
        yield _Proof(*found)
    yield from _command_lines(context, fs)
    yield from _scripts(context, fs)
    yield from _measured(context)
    yield from _trees(context, fs)


# --------------------------------------------------------------------------- dm-verity


def _tree_nodes(context: Context, fs: FileSystem) -> list[Node]:
    """Hash trees that may belong to a root: in the same partition or beside it."""
    return [
        node
        for node in context.formats.get("dm-verity", ())
        if node.chain[:-1] == fs.chain[:-1] or len(node.chain) <= len(fs.chain)
    ]


def _against(context: Context, fs: FileSystem, text: str) -> tuple[str, tuple[Evidence, ...]]:
    """Whether a root hash that is named is the one of a tree in the image."""
    named = set(_HASH.findall(text.lower()))
    for node in _tree_nodes(context, fs):
        root = str(node.detail.get("root_hash", ""))
        if root and root in named:
            said = f"; it is the root of the hash tree in the image ({node.detail.get('integrity_detail', '')})"
            signed, proofs = _root_signature(context, root)
            return said + signed, (here(node, f"root {root}"), *proofs)
    if named and any(node.detail.get("root_hash") for node in _tree_nodes(context, fs)):
        return "; no hash tree of the image has this root", ()
    return "", ()


def _root_signature(context: Context, root: str) -> tuple[str, tuple[Evidence, ...]]:
    """A signature over this root hash in a partition of its own, and what became of verifying it."""
    for node in context.formats.get("verity-signature", ()):
        if node.detail.get("root_hash") == root:
            states = ", ".join(dict.fromkeys(f"{each.state}: {each.reason}" for each in context.signatures(node)))
            return f"; a signature over it is in the image ({states or 'not verified'})", (here(node, f"signature over {root}"),)
    return "", ()


def _command_lines(context: Context, fs: FileSystem) -> Iterator[_Proof]:
    """A command line that sets dm-verity up before the root is mounted."""
    lines = [(line.text, line.source, Evidence(location=line.location, text=line.text[:240])) for line in context.command_lines]
    lines += _vbmeta_lines(context)
    for path in ("/boot/cmdline.txt", "/boot/extlinux/extlinux.conf", "/etc/fstab", "/etc/veritytab"):
        text = (fs.text(path) or "")[:_LINES]
        if hit := _MAPPED.search(text):
            lines.append(
                (
                    text[hit.start() : hit.start() + _TABLE],
                    path,
                    fs.evidence(path, hit[0], line=text.count("\n", 0, hit.start()) + 1),
                )
            )
    for text, source, proof in lines:
        if not (hit := _MAPPED.search(text[:8192])):
            continue
        if context.configuration is not None and context.configuration.off("DM_VERITY"):
            yield _Proof("unknown", "kernel", f"the {source} asks for dm-verity, but the kernel was built without it", (proof,))
            continue
        if _LOOSE.search(text):
            yield _Proof("unknown", "kernel (dm-verity)", "set up, but ignore_corruption lets changed blocks through", (proof,))
            continue
        if direct := _DIRECT.search(text):
            yield _Proof(
                "unknown",
                "",
                f"dm-verity is set up by the {source}, but the root is mounted past it ({direct[0].strip()})",
                (proof,),
            )
            continue
        named = text[hit.start() : hit.start() + _TABLE]
        matched, more = _against(context, fs, named)
        if not _HASH.search(named.lower()):
            yield _Proof(
                "unknown", "kernel (dm-verity)", f"dm-verity is set up by the {source}, but its root hash is not told", (proof,)
            )
            continue
        signed = _SIGNED_ROOT.search(text) is not None and _roots_signed(context)
        said = f"dm-verity with the root hash of the {source}{matched}"
        if signed:
            yield _Proof(
                "signature", "kernel (dm-verity)", f"{said}; the kernel demands a signature over the root hash", (proof, *more)
            )
        else:
            yield _Proof("hash", "kernel (dm-verity)", f"{said}; it is as trustworthy as what carries it", (proof, *more))


def _roots_signed(context: Context) -> bool:
    """Whether the kernel takes signed root hashes alone (``dm_verity.require_signatures=1``)."""
    held = context.configuration is not None and context.configuration.on("DM_VERITY_VERIFY_ROOTHASH_SIG")
    return held and any(re.search(r"\bdm_verity\.require_signatures=(?:1|[yY])", line.text) for line in context.command_lines)


def _vbmeta_lines(context: Context) -> list[tuple[str, str, Evidence]]:
    return [
        (str(node.detail["cmdline"]), "command line in vbmeta", here(node, str(node.detail["cmdline"])))
        for node in context.formats.get("android-vbmeta", ())
        if node.detail.get("cmdline") and node.detail.get("flags", "none") == "none"
    ]


def _scripts(context: Context, fs: FileSystem) -> Iterator[_Proof]:
    """A script of an initial RAM file system, or of a boot partition, that sets dm-verity up."""
    for other in context.firmware.filesystems:
        if other.format != "cpio" and other.is_root:
            continue
        for node, facts in other.files():
            text = facts.text[:_SCRIPT] if facts.text is not None and "verity" in facts.text else ""
            hit = next((each for each in _SETUP.finditer(text) if "veritysetup format" not in each[0]), None) if text else None
            if hit is not None:
                proof = other.evidence(node.path, hit[0], line=text.count("\n", 0, hit.end()) + 1)
                yield _set_up(context, fs, hit[0], text, proof)
                return


def _set_up(context: Context, fs: FileSystem, line: str, text: str, proof: Evidence) -> _Proof:
    """One script line that sets dm-verity up: it counts where it names the root of the tree that is here."""
    if _LOOSE.search(line):
        return _Proof("unknown", "initramfs", "dm-verity with ignore_corruption lets changed blocks through", (proof,))
    if re.search(r"\|\|[ \t]*(?:true|:)", line):
        return _Proof("unknown", "initramfs", "dm-verity is set up, but its failure is passed over", (proof,))
    matched, more = _against(context, fs, text)
    reason = f"a script sets dm-verity up{matched}; whether every way to the root goes through it is not followed"
    return _Proof("hash" if more else "unknown", "initramfs (veritysetup)", reason, (proof, *more))


def _trees(context: Context, fs: FileSystem) -> Iterator[_Proof]:
    for node in context.formats.get("dm-verity", ()):
        if node.chain[:-1] == fs.chain[:-1]:
            words = str(node.detail.get("integrity_detail", ""))
            reason = f"a hash tree stands beside it ({words}), but nothing in the image asks for it"
            yield _Proof("unknown", "", reason, (here(node, f"dm-verity: {words}"),))
            return


# --------------------------------------------------------------------------- IMA, and nothing


def _measured(context: Context) -> Iterator[_Proof]:
    configuration = context.configuration
    for line in context.command_lines:
        hit = _IMA.search(line.text)
        if hit is None or (configuration is not None and not configuration.on("IMA_APPRAISE")):
            continue
        proof = Evidence(location=line.location, text=line.text[:240])
        words = hit[0].strip()
        if re.search(r"ima_appraise=(?:off|log|fix)", line.text):
            yield _Proof("unknown", "kernel (IMA)", f"{line.source}: appraisal of files is not enforced", (proof,))
        else:
            yield _Proof(
                "unknown", "kernel (IMA)", f"{words}: files are appraised as the policy says, which is not followed", (proof,)
            )
        return


def _unseen(context: Context) -> _Proof:
    """No check was seen; ``none`` where the kernel that mounts it has none, and no loader of the image looks at it."""
    line = next((each for each in context.command_lines if _DIRECT.search(each.text)), None)
    hit = _DIRECT.search(line.text) if line is not None else None
    if line is None or hit is None:
        return _Proof("unknown", "", "no integrity check seen", ())
    mounted = f"mounted as it is ({hit[0].strip()})"
    where = Evidence(location=line.location, text=line.text[:240])
    if _unable(context) and context.configuration is not None:
        reason = f"{mounted} by a kernel that was built without dm-verity and IMA; the loader starts the kernel alone"
        return _Proof(
            "none", "kernel", reason, (where, here(context.configuration.node, "no CONFIG_DM_VERITY, no CONFIG_IMA_APPRAISE"))
        )
    return _Proof("unknown", "", f"{mounted}: no integrity check seen", (where,))


def _unable(context: Context) -> bool:
    """Whether neither the kernel nor the commands of the loader can look at the root file system."""
    configuration, walk = context.configuration, context.walk
    if configuration is None or walk is None or not walk.complete or not walk.starts or walk.checks:
        return False
    if any(root.format == "cpio" for root in context.roots):
        return False  # what an initial RAM file system does before it mounts the root is not followed
    able = any(configuration.options.get(name, "n") != "n" for name in _CHECKERS)
    return not able and all(each.command == "bootm" for each in walk.starts)
