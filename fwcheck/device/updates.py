"""Which ways bring new software to the device, and what each of them checks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from fwcheck.device._update_containers import container_paths
from fwcheck.device._update_loaders import loader_paths
from fwcheck.device._update_microcontrollers import microcontroller_paths
from fwcheck.device._update_programs import program_paths
from fwcheck.device._update_scripts import STRENGTH, script_paths
from fwcheck.device._update_tools import tool_paths
from fwcheck.device.boot import boots
from fwcheck.device.firmware import Firmware
from fwcheck.device.shell.world import Place
from fwcheck.device.updating.outline import checking, outlined
from fwcheck.model import Service, UpdatePath

_MOST = 200
_DEDICATED = re.compile(r"(?i)up(?:date|grade)|f?ota(?![a-z])|firmware|^fw|swupdate|mender|rauc")
_CRONTAB = re.compile(r"/etc/(?:crontabs/|cron\.d/|crontab$)|/var/spool/cron/")
_SENT = frozenset({"web upload", "local file or web upload", "container"})


def update_paths(firmware: Firmware, services: Sequence[Service] = ()) -> tuple[UpdatePath, ...]:
    """Every update path that was seen: the image's own container first, then each file system's tools, scripts and programs.

    ``services``: what the shipped default starts; a path that one of them takes is ``automatic``.
    ``verified`` is ``signature`` only where a verifier, something to verify with, and a decision on its result stand on the path;
    ``unknown`` where the code cannot be judged.
    """
    found = [*container_paths(firmware), *microcontroller_paths(firmware), *loader_paths(firmware)]
    for fs in firmware.filesystems:
        tools = list(tool_paths(fs))
        found += tools
        found += _resolved(script_paths(fs), tools)
        found += program_paths(fs)
    run = [(boot.root.label, boot.world.followed) for boot in boots(firmware) if boot.world is not None]
    return tuple(_started(outlined(each), services, run) for each in _once(found)[:_MOST])


def _started(path: UpdatePath, services: Sequence[Service], run: Sequence[tuple[str, Mapping[str, Place]]] = ()) -> UpdatePath:
    """Whether boot or cron run the program or script of a path by default; what somebody sends in is not.

    A daemon that does other things, too, may wait for a request: only a script, or a program named after updates, counts.
    """
    if path.source in _SENT or not path.mechanism.startswith("/"):
        return path
    if _CRONTAB.match(path.mechanism):
        daemon = next((each for each in services if each.enabled == "yes" and each.name in ("crond", "cron")), None)
        return path if daemon is None else msgspec.structs.replace(path, automatic="yes")
    place = next((held for root, scripts in run if root in ("", path.root) and (held := scripts.get(path.mechanism))), None)
    if place is not None:
        shown = place.fs.evidence(place.path, f"starts {path.mechanism}", line=place.line or None)
        return msgspec.structs.replace(path, automatic="yes", evidence=(*path.evidence, shown))
    script = any(step.evidence is not None and step.evidence.location.line is not None for step in path.steps)
    if not script and not _DEDICATED.search(path.mechanism.rsplit("/", 1)[-1]):
        return path
    starts = [each for each in services if each.enabled == "yes" and _names(each, path)]
    if not starts:
        return path
    return msgspec.structs.replace(path, automatic="yes", evidence=(*path.evidence, *starts[0].evidence[:1]))


def _names(service: Service, path: UpdatePath) -> bool:
    return service.root in ("", path.root) and (service.program == path.mechanism or path.mechanism in service.arguments.split())


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
        steps=(*path.steps, checking(tool, tool.evidence[0] if tool.evidence else None, "yes", "")) if path.steps else (),
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
