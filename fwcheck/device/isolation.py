"""Isolation: what keeps one program of the device from the rest, and whether started services use it.

Sources: systemd.exec(5) (sandboxing), OpenWrt procd (``procd_add_jail``, ``capabilities``, ``seccomp``, ujail), selinux config(5)
(SELINUX=), Android (sepolicy), AppArmor (apparmor.d(5)), capabilities(7).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from fwcheck.device import _systemd
from fwcheck.device.boot import Boot, boots
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Evidence, Location, NodeKind, Service, Trait

# Directives of systemd.exec(5) that confine, and values that mean "no".
_SANDBOX = (
    "NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "PrivateNetwork", "PrivateUsers",
    "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectProc",
    "RestrictNamespaces",
    "RestrictAddressFamilies", "RestrictSUIDSGID", "MemoryDenyWriteExecute", "LockPersonality", "SystemCallFilter",
    "CapabilityBoundingSet", "DynamicUser", "RootDirectory", "RootImage", "AppArmorProfile", "SELinuxContext",
)  # fmt: skip
_OFF = ("no", "false", "0", "off")
_JAIL = re.compile(r"^[ \t]*procd_add_jail\s+(\S{1,64})", re.MULTILINE)
_LIMITED = re.compile(r"^[ \t]*procd_set_param\s+(seccomp|capabilities|no_new_privs|user)\s+(\S{1,128})", re.MULTILINE)
_PERMISSIVE = re.compile(r"(?:^|\s)(selinux=0|enforcing=0|androidboot\.selinux=(?:permissive|disabled))(?=\s|$)")
_SHOWN = 8
State = Literal["yes", "no", "unknown"]


def isolation(firmware: Firmware, services: Iterable[Service]) -> tuple[Trait, ...]:
    """The measures that are in force, switched off, or in the image without a sign of either."""
    held = tuple(services)
    return tuple(
        trait
        for boot in boots(firmware)
        if boot.root.is_root
        for trait in (*_users(boot, held), *_units(boot), *_procd(boot), *_selinux(firmware, boot), *_apparmor(boot))
    )


def _trait(root: FileSystem, name: str, state: State, detail: str, evidence: Iterable[Evidence]) -> Trait:
    return Trait(name=name, state=state, detail=detail, root=root.label, evidence=tuple(evidence)[:_SHOWN])


def _users(boot: Boot, services: tuple[Service, ...]) -> Iterator[Trait]:
    own = [
        each
        for each in services
        if each.root == boot.root.label and each.enabled == "yes" and each.user not in ("", "root", "0") and "\0" not in each.user
    ]
    if own:
        names = ", ".join(sorted({f"{each.name} as {each.user}" for each in own}))
        yield _trait(boot.root, "users of their own", "yes", names[:200], (each.evidence[0] for each in own if each.evidence))


def _units(boot: Boot) -> Iterator[Trait]:
    """The sandboxes of the units that the boot starts."""
    if boot.kind != "systemd":
        return
    proofs: list[Evidence] = []
    told: list[str] = []
    for name in _started_units(boot):
        unit = _systemd.load(boot.disk, name)
        rows = [
            (key, held)
            for key in _SANDBOX
            if unit is not None and (held := unit.values("Service", key)) and held[-1][0].lower() not in _OFF
        ]
        if unit is not None and rows:
            key, held = rows[0]
            proofs.append(boot.root.evidence(held[-1][1], f"{key}={held[-1][0]}", line=held[-1][2]))
            told.append(f"{name} ({len(rows)})")
    if told:
        yield _trait(boot.root, "systemd sandbox", "yes", ", ".join(told)[:200], proofs)


def _started_units(boot: Boot) -> list[str]:
    """Names of the service units whose files started something."""
    paths = dict.fromkeys(run.place.path for run in boot.runs if run.place.path.endswith(".service"))
    return [path.rpartition("/")[2] for path in paths][:256]


def _procd(boot: Boot) -> Iterator[Trait]:
    if boot.kind != "procd":
        return
    scripts = dict.fromkeys(run.place.path for run in boot.runs if run.manner == "procd")
    jails: list[Evidence] = []
    limits: list[Evidence] = []
    for path in list(scripts)[:256]:
        text = boot.root.text(path) or ""
        for pattern, rows in ((_JAIL, jails), (_LIMITED, limits)):
            found = pattern.search(text)
            if found and not (
                pattern is _LIMITED and found.group(2).strip("\"'") in ("root", "1", "0") and found.group(1) == "user"
            ):
                rows.append(boot.root.evidence(path, found.group().strip(), line=text.count("\n", 0, found.start(1)) + 1))
    if jails:
        jail = boot.root.exists("/sbin/ujail")
        detail = f"{len(jails)} services" if jail else f"{len(jails)} services ask for it, ujail is not in the image"
        yield _trait(boot.root, "procd jail", "yes" if jail else "no", detail, jails)
    if limits:
        yield _trait(boot.root, "procd limits", "yes", f"{len(limits)} services", limits)


def _selinux(firmware: Firmware, boot: Boot) -> Iterator[Trait]:
    root = boot.root
    text = root.text("/etc/selinux/config") or ""
    mode = re.search(r"^[ \t]*SELINUX[ \t]*=[ \t]*(\w+)", text, re.MULTILINE)
    policy = next((node.path for node in root.glob("/etc/selinux/*/policy/policy.*")), "") or next(
        (
            path
            for path in ("/sepolicy", "/vendor/etc/selinux/precompiled_sepolicy", "/etc/selinux/plat_sepolicy.cil")
            if root.exists(path)
        ),
        "",
    )
    if not mode and not policy:
        return
    override = _override(firmware)
    proofs = (
        [root.evidence("/etc/selinux/config", mode.group().strip(), line=text.count("\n", 0, mode.start(1)) + 1)] if mode else []
    )
    proofs += [root.evidence(policy, "policy")] if policy else []
    word = override.text if override else mode.group(1).lower() if mode else ""
    state: State = (
        "yes" if word == "enforcing" and policy else "no" if override or word in ("permissive", "disabled") else "unknown"
    )
    yield _trait(root, "SELinux", state, word or "a policy is in the image", (override, *proofs) if override else proofs)


def _override(firmware: Firmware) -> Evidence | None:
    """The word of a kernel command line that takes SELinux out of force."""
    for node in firmware.nodes:
        for key, held in node.detail.items():
            if (
                isinstance(held, str)
                and ("arg" in key.lower() or "cmdline" in key.lower())
                and (found := _PERMISSIVE.search(held[:4096]))
            ):
                return Evidence(location=Location(chain=node.chain, path=node.path, offset=node.offset), text=found.group(1))
    return None


def _apparmor(boot: Boot) -> Iterator[Trait]:
    root = boot.root
    profiles = [
        node
        for node in root.children("/etc/apparmor.d")
        if node.kind is NodeKind.FILE and re.search(r"^[ \t]*(?:profile\s|/\S+\s.*\{)", root.text(node.path) or "", re.MULTILINE)
    ]
    if not profiles:
        return
    loads = next((run for run in boot.runs if "apparmor" in run.name or "apparmor" in run.place.path), None)
    proofs = [root.evidence(profiles[0].path, f"{len(profiles)} profiles")]
    proofs += [loads.place.fs.evidence(loads.place.path, " ".join(loads.shown), line=loads.place.line or None)] if loads else []
    sure = loads is not None and not loads.conditions
    yield _trait(root, "AppArmor", "yes" if sure else "unknown", f"{len(profiles)} profiles", proofs)
