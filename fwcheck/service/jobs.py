"""What a worker and the processes of its images say to each other."""

from __future__ import annotations

import msgspec

from fwcheck.service.settings import Strictness


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """What all jobs of a worker have in common."""

    parent: int  # the worker
    cache: str | None = None
    knowledge: str | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to read, and how."""

    image: str
    folder: str  # where it works; nothing else but the cache is written
    name: str
    size: int
    sha256: str
    target: str | None = None
    jobs: int = 2
    cache: str | None = None
    knowledge: str | None = None
    memory: int = 4 << 30
    sandbox: Strictness = "on"
    unread: str = ""  # why the image is not to be read any more
    declaration: str | None = None  # files in the folder
    vex: tuple[str, ...] = ()
    update_keys: tuple[str, ...] = ()


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line from the child."""

    stage: str = ""
    done: int = 0
    total: int = 0
    end: str = ""  # "report", or "refused" with a reason
    reason: str = ""
