"""Everything that scripts may call, put together: a world to follow boot scripts in."""

from __future__ import annotations

from fwcheck.device._disk import Disk
from fwcheck.device.shell import openwrt
from fwcheck.device.shell.commands import _control, _files, _launch, _services, _test, _text
from fwcheck.device.shell.world import Handler, Vocabulary, World

COMMANDS: dict[str, Handler] = {
    **_control.HANDLERS,
    **_test.HANDLERS,
    **_text.HANDLERS,
    **_files.HANDLERS,
    **_launch.HANDLERS,
    **{name: handler for name, handler in _services.HANDLERS.items() if name not in openwrt.HANDLERS},
    **openwrt.HANDLERS,
}
_VOCABULARY = Vocabulary(COMMANDS, openwrt.is_override, {"rc.common": openwrt.rc_common})


def new_world(disk: Disk) -> World:
    """A boot that has not begun."""
    return World(disk, _VOCABULARY)
