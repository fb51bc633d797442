"""What this machine can hold the processes of images to, told to those who run the service."""

from __future__ import annotations

from fwcheck import sandbox
from fwcheck.service.log import log
from fwcheck.service.settings import Settings


def confinement(settings: Settings) -> str:
    """In one word: ``off``, ``whole``, or ``partial`` where the kernel lacks something; the log of each worker names it."""
    if settings.sandbox == "off":
        return "off"
    return "whole" if sandbox.probe().whole else "partial"


def sandboxed(settings: Settings) -> bool:
    """Tells it in the log, with what is missing; whether that is enough for a worker to begin."""
    found, state = sandbox.probe(), confinement(settings)
    if state == "off":
        log("sandbox", state=state)
        return True
    log("sandbox", state=state, landlock=found.landlock, seccomp=found.seccomp, gaps=found.gaps)
    return found.whole or settings.sandbox != "required"
