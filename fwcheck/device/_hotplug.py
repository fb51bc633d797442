"""OpenWrt's hotplug scripts: the LAN comes up on every boot, all other events may or may not occur.

Source: OpenWrt package/base-files (sbin/hotplug-call), netifd's and procd's event variables.
"""

from __future__ import annotations

from fwcheck.device._graph import Boot
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.world import World
from fwcheck.model import Node, NodeKind

_EVENT = ("ACTION", "DEVICENAME", "INTERFACE", "DEVICE", "BUTTON", "SEEN", "DEVTYPE", "DEVPATH", "PRODUCT", "SUBSYSTEM")


def follow(boot: Boot, world: World) -> None:
    """Follows every hotplug script, under the condition that its event occurs."""
    network = any(run.name == "netifd" and not run.conditions for run in world.runs)
    for node in boot.root.glob("/etc/hotplug.d/*/*")[:64]:
        event = node.path.split("/")[3]
        if event == "iface" and network:
            _event(boot, world, node, {"ACTION": "ifup", "INTERFACE": "lan", "DEVICE": "br-lan"}, "")
            _event(boot, world, node, {"ACTION": "ifup", "INTERFACE": "wan"}, "the WAN interface comes up")
        else:
            _event(boot, world, node, {}, f"a hotplug event of class {event} occurs")


def _event(boot: Boot, world: World, node: Node, values: dict[str, str], condition: str) -> None:
    text = boot.disk.text(node.path)
    if not text or UNKNOWN in text or node.kind is not NodeKind.FILE:
        return
    shell = Shell(world, boot.root, node.path, [node.path.split("/")[3]])
    shell.variables |= dict.fromkeys(_EVENT, UNKNOWN) | values
    world.conditions.extend([condition] if condition else [])
    try:
        world.bounded(node.path, shell.place, lambda: shell.process(lambda: shell.read(text)))
    finally:
        world.conditions.clear()
        world.residuals.clear()
