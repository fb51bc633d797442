"""The device: every part of the device model, built once from the firmware tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fwcheck.device.accounts import accounts
from fwcheck.device.bootchain import boot_chain
from fwcheck.device.components import components
from fwcheck.device.consoles import consoles
from fwcheck.device.crypto_assets import crypto_assets
from fwcheck.device.firmware import Firmware
from fwcheck.device.hardening import hardening
from fwcheck.device.isolation import isolation
from fwcheck.device.linkage import with_uses
from fwcheck.device.listeners import listeners, with_reach
from fwcheck.device.logs import logs
from fwcheck.device.microcontroller import microcontroller
from fwcheck.device.microcontroller import platform as microcontroller_platform
from fwcheck.device.reset import reset
from fwcheck.device.resilience import resilience
from fwcheck.device.services import services
from fwcheck.device.signatures import PublicKey, image_signatures
from fwcheck.device.storage import storage
from fwcheck.device.updates import update_paths
from fwcheck.model import Device

_SYSTEMS = (
    ("/etc/openwrt_release", "OpenWrt"),
    ("/system/build.prop", "Android"),
    ("/build.prop", "Android"),
    ("/lib/systemd/systemd", "Linux (systemd)"),
    ("/usr/lib/systemd/systemd", "Linux (systemd)"),
    ("/bin/busybox", "Linux (BusyBox)"),
)


def build(firmware: Firmware, update_keys: Sequence[PublicKey] = ()) -> Device:
    """What the device would do when it boots this image as shipped; its signatures are verified with ``update_keys``, too."""
    running = services(firmware)
    ports = listeners(firmware, running)
    running = with_reach(running, ports)
    small = microcontroller(firmware)
    signatures = image_signatures(firmware, update_keys)
    return Device(
        platform=microcontroller_platform(small) or platform(firmware),
        accounts=accounts(firmware),
        services=running,
        listeners=ports,
        consoles=consoles(firmware),
        update_paths=update_paths(firmware, running),
        signatures=signatures,
        boot_chain=boot_chain(firmware, signatures),
        components=with_uses(firmware, components(firmware), running, ports),
        crypto=crypto_assets(firmware),
        microcontroller=small,
        hardening=hardening(firmware, running, ports),
        isolation=isolation(firmware, running),
        storage=storage(firmware),
        reset=reset(firmware),
        logging=logs(firmware),
        resilience=resilience(firmware),
    )


def platform(firmware: Firmware) -> str:
    """System and processor in words, e.g. ``OpenWrt on mips (32 bit, big endian)``; ``unknown`` when nothing tells."""
    elves = [facts.elf for _, facts in firmware.contents() if facts.elf is not None]
    machines = Counter(f"{elf.machine} ({elf.bits} bit, {elf.endian} endian)" for elf in elves)
    system = next((name for fs in firmware.roots() for path, name in _SYSTEMS if fs.is_root and fs.exists(path)), "")
    if not system and any(fs.is_root for fs in firmware.roots()):
        system = "Linux"
    machine = min(machines, key=lambda each: (-machines[each], each)) if machines else ""
    return " on ".join(part for part in (system, machine) if part) or "unknown"
