"""Permissions and isolation: files anybody may change, programs that run with their owner's rights, services that run as root.

It proves permission bits as the image stores them. On a read-only file system nobody changes a file, and where every program
runs as root nobody needs to: so a bit counts by what it lets somebody do. Images whose bits were lost in packing say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from posixpath import basename

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import rules_of
from fwcheck.device import configuration
from fwcheck.device.boot import boots
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Device, Finding, Node, NodeKind, Service, Severity

RULES = rules_of(__name__)
_WRITABLE = RULES["FS-001"]
_RUN_BY_ROOT = RULES["FS-004"]
_SETUID = RULES["FS-005"]
_CAPABILITIES = RULES["FS-006"]
_AS_ROOT = RULES["FS-007"]
_ISOLATED = RULES["FS-009"]
_NOT_ENFORCED = RULES["HRD-003"]

_READ_ONLY = frozenset({"squashfs", "cramfs", "romfs", "erofs", "iso9660", "cpio", "initramfs"})  # or in memory
_SHARED = re.compile(r"/(?:tmp|var|run|dev|proc|sys|mnt|media|opt/tmp|data/local/tmp)(?:/|$)")
# Programs that systems install with their owner's rights on purpose (Debian, Buildroot, Yocto).
_USUAL = frozenset({
    "su", "sudo", "sudoedit", "doas", "passwd", "ping", "ping6", "traceroute", "traceroute6", "traceroute6.iputils", "mount",
    "umount", "chsh", "chfn", "newgrp", "sg", "gpasswd", "login", "crontab", "at", "pppd", "polkit-agent-helper-1", "pkexec",
    "ssh-keysign", "dbus-daemon-launch-helper", "fusermount", "fusermount3", "unix_chkpwd", "wall", "write", "bsd-write",
    "expiry", "chage", "ssh-agent", "utempter", "mount.nfs", "mount.cifs", "umount.nfs", "ntfs-3g", "exim4", "sendmail",
    "postdrop", "postqueue", "arping", "clockdiff", "mtr-packet", "newuidmap", "newgidmap", "pam_timestamp_check", "bwrap",
    "busybox", "busybox.suid", "busybox.nosuid", "tinylogin", "dumpcap", "vlock", "unix2_chkpwd", "Xorg.wrap", "screen",
    "lockdev", "netreport", "usernetctl", "staprun", "kismet_capture",
})  # fmt: skip
_INTERPRETERS = frozenset({
    "sh", "bash", "ash", "dash", "ksh", "zsh", "python", "python2", "python3", "perl", "lua", "php", "node", "find", "vi",
    "vim", "nmap", "gdb", "cp", "dd", "tar", "cat", "env", "nc", "awk", "gawk", "sed", "less", "more", "chmod", "chown",
    "tcpdump", "socat", "strace",
})  # fmt: skip
_POWERFUL = re.compile(
    r"cap_(?:sys_admin|dac_override|dac_read_search|setuid|setgid|sys_module|sys_ptrace|sys_rawio|chown|fowner|all)\b"
)
_DROPS = re.compile(r"(?:^|\s)(?:-u|--user|--username|-U|--chuid)[= ]?[a-z_][\w-]{1,30}(?=\s|$)")
_WEB = ("http", "https")
_CONFIGURED = ("lighttpd", "nginx", "boa", "mini_httpd", "thttpd", "uhttpd")  # what these run as stands in settings alone
_USER_KEYS = ("server.username", "user", "username")
_SHOWN = 12


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on permissions and isolation."""
    return once(_findings(firmware, device))


def _findings(firmware: Firmware, device: Device) -> Iterator[Finding]:
    run = _executed(firmware)
    for root in firmware.roots():
        if root.is_root:
            yield from _modes(root, run, device)
            yield from _as_root(root, device)
    for fs in firmware.filesystems:
        yield from _capabilities(fs)
    yield from _measures(device)


def _executed(firmware: Firmware) -> set[tuple[tuple[str, ...], str]]:
    """Scripts and programs that the boot runs, always or under a condition, as root."""
    found: set[tuple[tuple[str, ...], str]] = set()
    for boot in boots(firmware):
        for run in boot.runs:
            found.add((run.place.fs.chain, run.place.path))
            if run.found is not None and run.user in ("", "root", "0"):
                found.add((run.found.fs.chain, run.found.node.path))
    return found


# --------------------------------------------------------------------------- permission bits


def _modes(root: FileSystem, run: set[tuple[tuple[str, ...], str]], device: Device) -> Iterator[Finding]:
    files = [node for node in root.nodes.values() if node.kind is NodeKind.FILE]
    if len({node.mode for node in files}) < 2 and len(files) > 1:
        return  # one mode for all: the bits were lost in packing
    open_files = sorted((node for node in files if node.mode & 0o002), key=lambda node: node.path)
    lost = len(open_files) * 2 > len(files)
    writable = root.format not in _READ_ONLY
    others = any(
        each.root == root.label and each.enabled == "yes" and each.user not in ("", "root", "0") for each in device.services
    )
    doors = [node for node in root.nodes.values() if node.kind is NodeKind.DIRECTORY and node.mode & 0o1002 == 0o002]
    doors = sorted(
        (node for node in doors if not _SHARED.match(node.path) and root.children(node.path)), key=lambda node: node.path
    )
    run_by_root = [node for node in open_files if (root.chain, node.path) in run and writable and not lost]
    run_by_root += [
        node
        for node in doors
        if writable and not lost and any((root.chain, each.path) in run for each in root.children(node.path))
    ]
    if run_by_root:
        yield _RUN_BY_ROOT.finding(
            root.evidence(run_by_root[0].path, _bits(run_by_root[0])),
            f"writable and run {' '.join(node.path for node in run_by_root)}"[:300],
            title=f"Anybody may change what root runs: {run_by_root[0].path}" + _more(run_by_root),
            severity=Severity.HIGH if others else Severity.MEDIUM,
            witnesses=tuple(root.evidence(node.path, _bits(node)) for node in run_by_root[1:_SHOWN]),
        )
    rest = [node for node in (*open_files, *doors) if node not in run_by_root and not _SHARED.match(node.path)]
    if rest:
        counts = writable and (others or not lost)
        yield _WRITABLE.finding(
            root.evidence(rest[0].path, _bits(rest[0])),
            "world-writable" if lost else f"world-writable {' '.join(node.path for node in rest)}"[:300],
            title=f"{len(rest)} files or directories may be changed by anybody",
            verdict="concern" if counts else "info",
            severity=Severity.MEDIUM if counts and others else Severity.LOW if counts else Severity.INFO,
            confidence="tentative" if lost else "certain",
            witnesses=tuple(root.evidence(node.path, _bits(node)) for node in rest[1:_SHOWN]),
            explanation=""
            if writable
            else "The file system is read-only: the bits would matter on a writable copy of these files.",
        )
    yield from _setuid(root, files)


def _more(nodes: list[Node]) -> str:
    return f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""


def _bits(node: Node) -> str:
    return f"mode {node.mode:04o}, owner {node.uid}:{node.gid}"


def _setuid(root: FileSystem, files: list[Node]) -> Iterator[Finding]:
    marked = [node for node in files if node.mode & 0o4000 and node.mode & 0o111 and node.uid == 0]
    programs = sum(node.mode & 0o111 != 0 for node in files)
    if len(marked) * 3 > programs and len(marked) > 3:
        return  # the bits mean nothing here
    for node in sorted(marked, key=lambda node: node.path):
        name = basename(node.path)
        facts = root.facts_of(node)
        if facts is None or facts.kind not in ("elf", "script"):
            continue  # the bit does nothing on data
        where = root.evidence(node.path, _bits(node))
        script = facts.kind == "script"
        if script or re.sub(r"[\d.]+$", "", name) in _INTERPRETERS or name in _INTERPRETERS:
            what = "script (Linux ignores the bit there)" if script else "program that runs anything for anybody"
            yield _SETUID.finding(
                where,
                f"setuid {node.path}",
                title=f"{node.path} runs as root for everybody: a {what}",
                severity=Severity.LOW if script else Severity.HIGH,
                verdict="info" if script else "concern",
            )
    rest = [node for node in marked if basename(node.path) not in _USUAL | _INTERPRETERS and _is_elf(root, node)]
    if rest:
        names = ", ".join(basename(node.path) for node in rest[:6])
        yield _SETUID.finding(
            root.evidence(rest[0].path, _bits(rest[0])),
            f"setuid {' '.join(node.path for node in rest)}"[:300],
            title=f"{len(rest)} programs beyond the usual run as root for everybody: {names}",
            witnesses=tuple(root.evidence(node.path, _bits(node)) for node in rest[1:_SHOWN]),
        )


def _is_elf(root: FileSystem, node: Node) -> bool:
    facts = root.facts_of(node)
    return facts is not None and facts.kind == "elf"


def _capabilities(fs: FileSystem) -> Iterator[Finding]:
    held = [(node, str(node.detail["security.capability"])) for node in fs.nodes.values() if "security.capability" in node.detail]
    for node, words in sorted(held, key=lambda each: each[0].path)[:64]:
        if _POWERFUL.search(words.lower()) or words.lower().startswith("="):
            yield _CAPABILITIES.finding(
                fs.evidence(node.path, words),
                f"capabilities {node.path}",
                title=f"{node.path} has the powers of root: {words[:80]}",
            )


# --------------------------------------------------------------------------- services


def _as_root(root: FileSystem, device: Device) -> Iterator[Finding]:
    """FS-007: a web server that keeps root's rights counts; what else listens as root is told with it."""
    ports = {each.service for each in device.listeners}
    own = [each for each in device.services if each.root == root.label and each.enabled == "yes" and each.evidence]
    own = [each for each in own if each.user in ("", "root", "0") and each.reachable != "loopback" and each.program]
    web = [each for each in own if each.protocol in _WEB and not _steps_down(root, each)]
    listening = [each for each in own if each not in web and each.name in ports]
    if not web:
        return
    names = ", ".join(sorted({each.name for each in web}))
    yield _AS_ROOT.finding(
        web[0].evidence[0],
        f"as root {names}",
        title=f"The web server runs as root: {names}",
        witnesses=tuple(each.evidence[0] for each in (*web[1:], *listening))[:_SHOWN],
    )


def _steps_down(root: FileSystem, service: Service) -> bool:
    """Whether arguments, configuration or, for a server without a known one, its imports give it a user of its own."""
    if _DROPS.search(f" {service.arguments}"):
        return True
    for path in _configurations(service):
        settings = (*configuration.assignments(root, path), *configuration.keywords(root, path))
        named = [each.value.split()[0].strip(";\"'") for each in settings if each.key in _USER_KEYS and each.value.split()]
        if named:
            return named[-1] not in ("root", "0")
    if service.name in _CONFIGURED:
        return service.name == "nginx"  # its workers run as nobody unless told otherwise
    facts = root.facts(service.program)
    return facts is not None and facts.elf is not None and bool({"setuid", "setresuid", "setreuid"} & set(facts.elf.imports))


def _configurations(service: Service) -> list[str]:
    named = [word for word in re.findall(r"/[\w./-]{1,128}", service.arguments) if word.endswith((".conf", ".cfg"))]
    top = service.name
    usual = [f"/etc/{top}.conf", f"/etc/{top}/{top}.conf"]
    return [*named, *usual]


# --------------------------------------------------------------------------- measures


def _measures(device: Device) -> Iterator[Finding]:
    for trait in device.isolation:
        if not trait.evidence:
            continue
        if trait.state == "yes":
            yield _ISOLATED.finding(
                trait.evidence[0],
                f"isolation {trait.name}",
                title=f"Isolation in use: {trait.name} ({trait.detail})"[:200],
                witnesses=trait.evidence[1:],
            )
        elif trait.state == "no":
            yield _NOT_ENFORCED.finding(
                trait.evidence[0],
                f"not enforced {trait.name}",
                title=f"{trait.name} is in the image and not in force: {trait.detail}"[:200],
                witnesses=trait.evidence[1:],
            )
