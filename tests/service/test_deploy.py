"""What is written about running the service names settings, roles and routes that there are."""

from __future__ import annotations

import re

import yaml
from support.serving import ROOT

from fwcheck.reports.registry import FORMATS
from fwcheck.service.api.scans import _media_type
from fwcheck.service.settings import PREFIX, Settings

DEPLOY = [ROOT / "deploy" / "compose.yaml", ROOT / "deploy" / "kubernetes" / "fwcheck.yaml"]


def test_every_setting_is_described() -> None:
    table = (ROOT / "docs" / "service.md").read_text(encoding="utf-8").split("## Settings")[1].split("\nTLS:")[0]
    described = set(re.findall(r"`(\w+)`", table))
    assert {name for name in Settings.__struct_fields__ if name != "cache"} <= described


def test_manifests_are_sound_and_set_what_there_is() -> None:
    for path in DEPLOY:
        text = path.read_text(encoding="utf-8")
        documents = list(yaml.safe_load_all(text))
        assert all(documents)
        named = {name.removeprefix(PREFIX).lower() for name in re.findall(r"\bFWCHECK_[A-Z0-9_]+\b", text)}
        assert named
        assert named <= set(Settings.__struct_fields__), path


def test_every_format_that_is_a_file_has_a_type() -> None:
    for name, each in FORMATS.items():
        if each.suffix is not None:
            assert _media_type(name) != "application/octet-stream", name
