"""How much of the image was read, and what that allows a judge to say.

Silence is evidence only where something was read. Two thresholds on the share of unread content (unknown, suspected encrypted
or recorded as a gap, of all bytes that are not padding):

above 1/4   nothing may be called "not observed": a second file system or the updater may stand in the unread part
above 1/2   no positive artefact counts either, and a gate cannot be judged: most of the image was never seen
"""

from __future__ import annotations

import re

from fwcheck.model import Coverage, Device, Value

SILENCE_LIMIT = 0.25
SUPPORT_LIMIT = 0.5
_NEGLIGIBLE = 0.01  # headers, alignment and trailers that nobody names
_SHOWN_GAPS = 3
_SEPARATOR = " › "
# Wording of the image-wide limits of extraction: node count, unpacked bytes, time.
_QUOTA = re.compile(r"more than \d+ (nodes|unpacked bytes)|\b(quota|time limit|deadline|seconds)\b", re.IGNORECASE)


class Extent(Value, frozen=True, kw_only=True):
    """What was read. ``read`` and ``unread`` are shares (0 to 1) of the bytes that are not padding."""

    read: float
    unread: float
    nothing: bool = False  # no file, program, boot step or component came out of the image
    root: bool = False  # a root file system's accounts or start-up were understood
    quota: tuple[str, ...] = ()  # image-wide limits that were hit
    limits: tuple[str, ...] = ()  # what limits every statement, in words

    @property
    def silence_counts(self) -> bool:
        """Whether "looked for and not found" means anything."""
        return not self.nothing and not self.quota and self.unread <= SILENCE_LIMIT

    @property
    def support_counts(self) -> bool:
        """Whether a positive artefact may stand."""
        return not self.nothing and self.unread <= SUPPORT_LIMIT

    @property
    def judgeable(self) -> bool:
        """Whether a gate that holds means anything."""
        return not self.nothing and not self.quota and self.unread <= SUPPORT_LIMIT


def measure(coverage: Coverage, device: Device) -> Extent:
    """The extent of the reading behind ``device``."""
    content = max(0, coverage.bytes_total - coverage.bytes_padding)
    missing = max(coverage.bytes_unknown + coverage.bytes_encrypted, sum(max(0, gap.bytes) for gap in coverage.gaps))
    unread = min(1.0, missing / content) if content else 1.0
    nothing = content == 0 or not (coverage.files or _anything(device))
    quota = tuple(gap.reason for gap in coverage.gaps if _SEPARATOR not in gap.node and _QUOTA.search(gap.reason))
    return Extent(
        read=0.0 if nothing else 1.0 - unread,
        unread=unread,
        nothing=nothing,
        root=bool(device.accounts or device.services or device.consoles),
        quota=quota,
        limits=tuple(_limits(coverage, content, nothing=nothing)),
    )


def _anything(device: Device) -> bool:
    found = (device.accounts, device.services, device.consoles, device.update_paths, device.boot_chain, device.components)
    return any((*found, device.microcontroller))


def _limits(coverage: Coverage, content: int, *, nothing: bool) -> list[str]:
    words: list[str] = []
    if nothing:
        words.append("no file system, program or boot component could be read")
    for count, what in ((coverage.bytes_encrypted, "looks encrypted"), (coverage.bytes_unknown, "is of unknown format")):
        if content and count / content > _NEGLIGIBLE:
            words.append(f"{100 * count / content:.0f} % of the content ({size(count)}) {what}")
    gaps = sorted(coverage.gaps, key=lambda gap: (-gap.bytes, gap.node, gap.reason))
    words += [f"not read: {gap.node}: {gap.reason}" for gap in gaps[:_SHOWN_GAPS]]
    if len(gaps) > _SHOWN_GAPS:
        words.append(f"and {len(gaps) - _SHOWN_GAPS} more gaps")
    return words


def size(count: int) -> str:
    """A number of bytes for people: ``"3.2 MiB"``."""
    if count < 1024:
        return f"{count} B"
    value = count / 1024
    for unit in ("KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
