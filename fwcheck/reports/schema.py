"""Makes ``report.schema.json`` from the model: ``python -m fwcheck.reports.schema`` writes it anew.

Objects may hold more keys than the schema names, so that the report can grow; every key named here is always present, save
the password fields that a report leaves out.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from fwcheck.model import SCHEMA_VERSION, Report

_OPTIONAL = {"Account": {"secret", "plain"}, "Finding": {"secret"}}
_ABSENT = {"Device": {"components"}}
_BOUNDS: dict[str, dict[str, dict[str, Any]]] = {
    "TierVerdict": {"score": {"minimum": 0, "maximum": 100}, "decidable": {"minimum": 0}, "total": {"minimum": 1}},
    "TierSummary": {"score": {"minimum": 0, "maximum": 100}},
    "Image": {"sha256": {"pattern": "^[0-9a-f]{64}$"}, "size": {"minimum": 0}},
    "Coverage": {
        name: {"minimum": 0}
        for name in ("bytes_total", "bytes_explained", "bytes_padding", "bytes_unknown", "bytes_encrypted", "files")
    },
    "Listener": {"port": {"minimum": 0, "maximum": 65535}},
}


def build() -> dict[str, Any]:
    """The schema as plain values."""
    schema = msgspec.json.schema(Report)
    definitions: dict[str, Any] = schema["$defs"]
    for name, definition in definitions.items():
        properties = definition.get("properties")
        if properties is None:
            continue
        for key in _ABSENT.get(name, ()):
            del properties[key]
        for key, bounds in _BOUNDS.get(name, {}).items():
            properties[key].update(bounds)
        for each in properties.values():
            each.pop("default", None)
        definition["required"] = [key for key in properties if key not in _OPTIONAL.get(name, ())]
    definitions["Report"]["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:fwcheck:report:{SCHEMA_VERSION}",
        "title": "fwcheck report",
        **schema,
    }


def text() -> str:
    """The schema as it is shipped."""
    return msgspec.json.format(msgspec.json.encode(build()), indent=2).decode() + "\n"


if __name__ == "__main__":
    Path(str(files(__package__) / "report.schema.json")).write_text(text(), encoding="utf-8")
