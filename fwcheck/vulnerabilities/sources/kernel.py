"""Kernel CVEs by the stable release of each stream that fixed them.

A stream that received a fix was affected from its first release up to it; streams that did not are left unsaid.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fwcheck.vulnerabilities.sources.facts import Affected, json_members

FILE = "linux-kernel-cves-2024-04.tar.xz"


def read(sources: Path) -> Iterator[Affected]:
    """One range per CVE and stream."""
    for name, record in json_members(sources / FILE):
        if not name.endswith("stream_fixes.json") or not isinstance(record, dict):
            continue
        for cve, streams in sorted(record.items()):
            for stream, fix in sorted(streams.items()):
                fixed = str(fix.get("fixed_version", ""))
                if fixed.startswith(f"{stream}."):
                    yield Affected("linux_kernel", cve, stream, True, fixed, False, "Linux stable")
