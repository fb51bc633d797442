"""The JSON report: the published contract, checked against ``report.schema.json`` of this package.

Key order is that of the model; the same report gives the same bytes. Passwords and other secrets are left out unless asked for.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Literal

import msgspec

from fwcheck.model import Report
from fwcheck.reports.printable import encodable

_SECRETS = ("secret", "plain")  # of accounts and findings


def render(report: Report, *, lang: Literal["en", "ja"] = "en", show_secrets: bool = False) -> str:  # noqa: ARG001  # one signature for all formats
    """The report as indented JSON with a line feed at its end; keys and values do not depend on the language."""
    values = as_dict(report, show_secrets=show_secrets)
    try:
        content = msgspec.json.encode(values)
    except UnicodeEncodeError:
        content = msgspec.json.encode(encodable(values))
    return msgspec.json.format(content, indent=2).decode() + "\n"


def as_dict(report: Report, *, show_secrets: bool = False) -> dict[str, Any]:
    """The report as plain values. The device's components stand once, at the top level."""
    plain: dict[str, Any] = msgspec.to_builtins(report)
    plain["device"].pop("components", None)
    if not show_secrets:
        for each in (*plain["device"]["accounts"], *plain["findings"]):
            for key in _SECRETS:
                each.pop(key, None)
    return plain


def read(content: bytes | str) -> Report:
    """A report from its JSON form, without the secrets that were left out.

    Raises msgspec.ValidationError or msgspec.DecodeError when it is no report of this schema version.
    """
    report = msgspec.json.decode(content, type=Report)
    return msgspec.structs.replace(report, device=msgspec.structs.replace(report.device, components=report.components))


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the report, as shipped."""
    shipped: dict[str, Any] = msgspec.json.decode((files(__package__) / "report.schema.json").read_bytes())
    return shipped
