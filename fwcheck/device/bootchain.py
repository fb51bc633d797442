"""The boot chain as far as the image shows it, link by link: what starts what, who checks it, and why it is judged as it is.

ROM, loaders, kernel, initial RAM file system, root file system; or ROM, loader and application of a microcontroller.
Whether a chip's ROM or a loader outside the image enforces a check (fuses, keys in its own memory) cannot be seen: a link is
called verified by signature only where something in the image demands it. ``docs/updates.md`` has the list of what proves what.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fwcheck.device.booting.context import Context
from fwcheck.device.booting.efi import firmware_steps
from fwcheck.device.booting.kernels import kernels, modules
from fwcheck.device.booting.loaders import SECURE, Link, loaders
from fwcheck.device.booting.menus import menus
from fwcheck.device.booting.microcontrollers import microcontrollers
from fwcheck.device.booting.roots import roots
from fwcheck.device.firmware import Firmware
from fwcheck.model import BootStep, Evidence, ImageSignature

_MOST = 64


def boot_chain(firmware: Firmware, signatures: Sequence[ImageSignature] = ()) -> tuple[BootStep, ...]:
    """The links in boot order. ``signatures``: those of the image, judged; without them no signature proves anything."""
    context = Context(firmware, signatures)
    links = loaders(context)
    links += [Link(rank, node, step) for rank, node, step in firmware_steps(context)]
    held = kernels(context)
    links += held
    links += menus(context)
    links += roots(context, held)
    links += modules(context)
    links += microcontrollers(context)
    return _chained(context, links)


def _chained(context: Context, links: list[Link]) -> tuple[BootStep, ...]:
    """In boot order, equal links once, each with what it starts."""
    links = sorted(links, key=lambda link: link.rank)
    once: dict[tuple[str, str, str, str], Link] = {}
    for link in links:
        once.setdefault((link.step.stage, link.step.detail, link.step.verified, link.step.reason), link)
    held = list(once.values())[:_MOST]
    return tuple(_starting(context, link, held) for link in held)


def _starting(context: Context, link: Link, links: list[Link]) -> BootStep:
    """A link with what it starts: the next rank that is there; of the last loader, the command that does it."""
    following = sorted({each.rank for each in links if each.rank > link.rank and each.step.stage != "kernel modules"})
    targets = [each.step for each in links if following and each.rank == following[0]]
    words = ""
    if targets:
        words = f"{targets[0].stage} {targets[0].detail}" if len(targets) == 1 else f"{targets[0].stage}, one of {len(targets)}"
    words = link.step.starts or words
    evidence = link.step.evidence
    last = link.step.stage == "boot loader" and not any(
        each.step.stage == "boot loader" for each in links if each.rank > link.rank
    )
    if last and link.rank > SECURE and (told := _commanded(context)) is not None:
        words = f"{words}: {told[0]}" if words else told[0]
        evidence = (*evidence, told[1])[:6]
    return msgspec.structs.replace(
        link.step,
        detail=_bounded(link.step.detail, 240),
        reason=_bounded(link.step.reason, 600),
        starts=_bounded(words, 300),
        evidence=evidence,
    )


def _bounded(words: str, most: int) -> str:
    """Words of an image on one line of at most so many characters."""
    line = " ".join(words[: 4 * most].split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _commanded(context: Context) -> tuple[str, Evidence] | None:
    """The command of U-Boot's environment that starts what comes next; the whole of bootcmd where it is not understood."""
    walk, environment = context.walk, context.environment
    if walk is None or environment is None:
        return None
    if not walk.starts:
        vendor = f" ({walk.unknown[0]} is a command of the vendor)" if walk.unknown else ""
        return f"bootcmd of the {environment.words}: {environment.values['bootcmd'][:120]}{vendor}", environment.evidence(
            "bootcmd"
        )
    start = walk.starts[0]
    load = f" after {start.load}" if start.load else ""
    more = f", and {len(walk.starts) - 1} more ways" if len(walk.starts) > 1 else ""
    where = f"line {start.at} of {start.file.name}" if start.file and start.at else f"{start.variable} of the {environment.words}"
    return f"{start.line}{load} ({where}){more}", context.place(start)
