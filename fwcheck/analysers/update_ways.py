"""That software can be updated at all: a way that was followed from where software arrives to where it is written.

It proves that the way is in the image, not that it is good: what guards it, and what does not, other rules tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import rules_of
from fwcheck.device.firmware import Firmware
from fwcheck.model import Device, Finding

RULES = rules_of(__name__)
_WAY = RULES["UPD-015"]


def analyse(_firmware: Firmware, device: Device) -> Iterable[Finding]:
    """One finding for each pair of source and sink that a user or the device itself can take."""
    return once(_ways(device))


def _ways(device: Device) -> Iterator[Finding]:
    for path in device.update_paths:
        if path.source == "container" or path.source.startswith("boot loader") or not path.evidence:
            continue  # a container is what is handed over; the loader's commands take its console
        title = f"New software comes by {path.source} and is written by {path.sink}"
        followed = bool(path.steps) or path.verified != "unknown"
        yield _WAY.finding(
            path.evidence[0],
            f"{path.source} {path.sink}",
            title=title[:200],
            confidence="firm" if followed else "tentative",
            witnesses=path.evidence[1:4],
        )
