"""Which ways bring new software to the device, and what each of them checks."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from fwcheck.device._update_containers import container_paths
from fwcheck.device._update_microcontrollers import microcontroller_paths
from fwcheck.device._update_programs import program_paths
from fwcheck.device._update_scripts import STRENGTH, script_paths
from fwcheck.device._update_tools import tool_paths
from fwcheck.device.firmware import Firmware
from fwcheck.model import UpdatePath

_MOST = 200


def update_paths(firmware: Firmware) -> tuple[UpdatePath, ...]:
    """Every update path that was seen: the image's own container first, then each file system's tools, scripts and programs.

    ``verified`` is ``signature`` only where a verifier, something to verify with, and a decision on its result stand on the path;
    ``unknown`` where the code cannot be judged.
    """
    found = [*container_paths(firmware), *microcontroller_paths(firmware)]
    for fs in firmware.filesystems:
        tools = list(tool_paths(fs))
        found += tools
        found += _resolved(script_paths(fs), tools)
        found += program_paths(fs)
    return tuple(_once(found))[:_MOST]


def _resolved(scripts: Iterable[UpdatePath], tools: list[UpdatePath]) -> list[UpdatePath]:
    """A script that hands over to a known tool is at least as well checked as the tool."""
    by_name = {each.mechanism: each for each in tools}
    return [_with_tool(path, by_name.get(path.sink)) for path in scripts]


def _with_tool(path: UpdatePath, tool: UpdatePath | None) -> UpdatePath:
    if tool is None or STRENGTH[tool.verified] <= STRENGTH[path.verified]:
        return path
    return msgspec.structs.replace(
        path,
        verified=tool.verified,
        detail=f"{path.detail}; {tool.mechanism}: {tool.detail}",
        evidence=(*path.evidence, *tool.evidence[:1]),
    )


def _once(found: Iterable[UpdatePath]) -> list[UpdatePath]:
    """The same mechanism in two partitions (A/B) with the same answer, once."""
    once: dict[tuple[str, ...], UpdatePath] = {}
    for path in found:
        key = (path.source, path.sink, path.mechanism, path.verified, path.detail)
        if (first := once.get(key)) is None:
            once[key] = path
        else:
            once[key] = msgspec.structs.replace(first, evidence=(*first.evidence, *path.evidence)[:8])
    return list(once.values())
