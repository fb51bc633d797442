"""The report. Field names are those of the published JSON (``fwcheck/reports/report.schema.json``)."""

from __future__ import annotations

from fwcheck.model.device import Component, Device
from fwcheck.model.judgement import Finding, GateResult, TierSummary, TierVerdict
from fwcheck.model.tree import Coverage
from fwcheck.model.value import Value

SCHEMA_VERSION = "1.0"


class Tool(Value, frozen=True, kw_only=True):
    """What made the report."""

    name: str
    version: str
    rules_digest: str
    database_date: str | None = None
    database_digest: str = ""  # SHA-256 of the knowledge file, hexadecimal


class Image(Value, frozen=True, kw_only=True):
    """The image that was analysed."""

    name: str
    size: int
    sha256: str
    format: str


class Leaf(Value, frozen=True, kw_only=True, array_like=True):
    """A file of a branch, as an array: path, mode as ``ls -l`` shows it, size, target of a link."""

    path: str
    mode: str
    size: int
    target: str = ""


class Branch(Value, frozen=True, kw_only=True):
    """A container of the image and what is listed of it: its path says where it lies, ``fwcheck tree`` tells everything."""

    chain: tuple[str, ...]
    format: str = ""
    size: int = 0
    offset: int | None = None
    leaves: tuple[Leaf, ...] = ()
    more: int = 0  # nodes that are not listed here


class Report(Value, frozen=True, kw_only=True):
    """The whole result; its JSON form is the published contract."""

    schema_version: str
    tool: Tool
    image: Image
    coverage: Coverage
    device: Device
    components: tuple[Component, ...]
    findings: tuple[Finding, ...]
    tiers: tuple[TierVerdict, ...]
    tier: TierSummary
    gate: GateResult
    tree: tuple[Branch, ...] = ()
    timing: dict[str, float]
