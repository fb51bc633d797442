"""Resilience: what brings the device back after a crash, a power cut or a failed update.

Sources: Linux watchdog API and watchdog(8), procd (watchdog), systemd-system.conf(5) (RuntimeWatchdogSec=), systemd.service(5)
(Restart=), U-Boot boot count and redundant environment, RAUC system.conf, ESP-IDF ota_data, Android A/B slots, MCUboot.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Literal

from fwcheck.device import configuration
from fwcheck.device.boot import Boot, boots
from fwcheck.device.firmware import Firmware
from fwcheck.device.storage import mounts
from fwcheck.model import Evidence, Location, Node, NodeKind, Trait

State = Literal["yes", "no", "unknown"]
_SAFE = ("jffs2", "ubifs", "yaffs", "yaffs2", "ext3", "ext4", "f2fs", "btrfs", "littlefs", "logfs")  # logs or journals
_BOOT_COUNT = (
    "bootcount",
    "bootlimit",
    "altbootcmd",
    "upgrade_available",
    "BOOT_ORDER",
    "BOOT_A_LEFT",
    "rauc_slot",
    "mender_boot_part",
)
_SHOWN = 6


def resilience(firmware: Firmware) -> tuple[Trait, ...]:
    """Measures in force ("yes") or in the image without a sign that they are used ("unknown")."""
    found: list[Trait] = []
    for boot in boots(firmware):
        if boot.root.is_root:
            found += [*_watchdog(boot), *_supervision(boot), *_file_systems(boot), *_rauc(boot)]
    return (*found, *_slots(firmware), *_microcontroller(firmware))


def _row(root: str, name: str, state: State, detail: str, proofs: list[Evidence]) -> Trait:
    return Trait(name=name, state=state, detail=detail[:160], root=root, evidence=tuple(proofs[:_SHOWN]))


def _watchdog(boot: Boot) -> Iterator[Trait]:
    root = boot.root
    for run in boot.runs:
        if run.name in ("watchdog", "watchdogd", "wd_keepalive", "wdtd") and run.present is not False:
            proof = run.place.fs.evidence(run.place.path, " ".join(run.shown), line=run.place.line or None)
            yield _row(root.label, "watchdog", "unknown" if run.conditions else "yes", " ".join(run.shown), [proof])
            return
    if boot.kind == "procd":
        yield _row(
            root.label,
            "watchdog",
            "yes",
            "procd feeds /dev/watchdog",
            [root.evidence("/sbin/procd", "procd feeds /dev/watchdog")],
        )
        return
    if boot.kind == "systemd":
        for path in ("/etc/systemd/system.conf", *configuration.files(root, "/etc/systemd/system.conf.d", ".conf")):
            for each in configuration.assignments(root, path):
                if each.key in ("runtimewatchdogsec", "runtimewatchdog") and each.value not in ("", "0", "off", "infinity"):
                    yield _row(root.label, "watchdog", "yes", each.text, [root.evidence(path, each.text, line=each.line)])
                    return
    started = {run.found.node.path for run in boot.runs if run.found is not None and not run.conditions}
    hits = [
        (node.path, root.evidence(node.path, hit.text, offset=hit.offset))
        for node, facts in root.files()
        if facts.kind == "elf" and not node.path.endswith(".ko")
        for hit in facts.yara
        if hit.rule == "recovery-watchdog" and not node.path.endswith("/busybox")
    ]
    if hits:
        hits.sort(key=lambda hit: (hit[0] not in started, hit[0]))
        yield _row(root.label, "watchdog", "unknown", f"{hits[0][0]} can feed one", [proof for _, proof in hits])


def _supervision(boot: Boot) -> Iterator[Trait]:
    """Started programs that are started again when they end."""
    held: dict[str, Evidence] = {}
    for run in boot.runs:
        again = run.manner == "respawn"
        if run.manner == "procd":
            again = "respawn" in (boot.root.text(run.place.path) or "")
        if run.manner == "unit":
            text = boot.root.text(run.place.path) or ""
            again = (
                re.search(r"^[ \t]*Restart[ \t]*=[ \t]*(?:always|on-failure|on-abnormal|on-watchdog)", text, re.MULTILINE)
                is not None
            )
        if again and run.present is not False and not run.conditions:
            held.setdefault(run.name, run.place.fs.evidence(run.place.path, " ".join(run.shown), line=run.place.line or None))
    if held:
        yield _row(boot.root.label, "services restarted", "yes", ", ".join(sorted(held)), list(held.values()))


def _file_systems(boot: Boot) -> Iterator[Trait]:
    safe = [mount for mount in mounts(boot) if mount.type in _SAFE]
    if safe:
        state: State = "yes" if any(mount.certain for mount in safe) else "unknown"
        detail = ", ".join(dict.fromkeys(f"{mount.type} on {mount.directory}" for mount in safe))
        yield _row(boot.root.label, "storage that survives a power cut", state, detail, [mount.evidence for mount in safe])
    elif boot.kind == "procd" and boot.root.exists("/sbin/mount_root"):
        proof = boot.root.evidence("/sbin/mount_root", "settings lie on jffs2 or ubifs, mounted by mount_root")
        yield _row(boot.root.label, "storage that survives a power cut", "yes", "jffs2 or ubifs by mount_root", [proof])


def _rauc(boot: Boot) -> Iterator[Trait]:
    path = "/etc/rauc/system.conf"
    slots = re.findall(r"^[ \t]*\[slot\.([\w-]{1,32})\.(\d{1,3})\]", boot.root.text(path) or "", re.MULTILINE)
    twice = [name for name, count in Counter(name for name, _ in slots).items() if count > 1]
    if twice:
        yield _row(
            boot.root.label,
            "two slots",
            "yes",
            f"RAUC slots {', '.join(twice)}",
            [boot.root.evidence(path, f"slots {', '.join(twice)}")],
        )


def _slots(firmware: Firmware) -> Iterator[Trait]:
    """Slots and counters that containers and boot environments show."""
    for node in firmware.nodes:
        if node.kind is not NodeKind.CONTAINER or not node.detail:
            continue
        keys = {key.removeprefix("default_") for key in node.detail}
        counters = sorted(keys & set(_BOOT_COUNT))
        if counters:
            yield _row(
                node.label,
                "two slots",
                "yes" if len(counters) > 1 else "unknown",
                f"boot loader counts: {', '.join(counters)}",
                [_place(node, ", ".join(counters))],
            )
        if node.format == "uboot-env" and node.detail.get("redundant") == "yes":
            yield _row(
                node.label,
                "redundant settings",
                "yes",
                "environment of the boot loader is stored twice",
                [_place(node, "redundant environment")],
            )
        table = str(node.detail.get("table", "")) if node.format == "esp-partition-table" else ""
        slots = sorted(set(re.findall(r"\b(ota_\d{1,2})\b", table)))
        if len(slots) > 1:
            yield _row(node.label, "two slots", "yes", f"partitions {', '.join(slots)}", [_place(node, table)])
    names = [node.path for node in firmware.nodes if node.path.endswith(("_a", "_b")) and "/" not in node.path]
    pairs = sorted({name[:-2] for name in names if f"{name[:-2]}_a" in names and f"{name[:-2]}_b" in names})
    if pairs:
        first = next(node for node in firmware.nodes if node.path == f"{pairs[0]}_a")
        yield _row(
            first.label,
            "two slots",
            "yes",
            f"partitions {', '.join(pairs)} in slots a and b",
            [_place(first, f"{pairs[0]}_a, {pairs[0]}_b")],
        )


def _microcontroller(firmware: Firmware) -> Iterator[Trait]:
    if any(root.is_root for root in firmware.roots()):
        return
    for node, facts in firmware.loose:
        for hit in facts.yara:
            if hit.rule == "recovery-watchdog" and not hit.text.startswith("/dev/"):
                yield _row(node.label, "watchdog", "unknown", hit.text, [_place(node, hit.text, hit.offset)])
                return


def _place(node: Node, text: str, offset: int | None = None) -> Evidence:
    where = Location(chain=node.chain, path=node.path, offset=node.offset if offset is None else offset)
    return Evidence(location=where, text=text[:240])
