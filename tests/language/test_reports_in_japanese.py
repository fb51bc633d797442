"""No English prose of the tool's own reaches a Japanese report; names, code and evidence of the image stay as they are."""

from __future__ import annotations

import html
import io
import re
from pathlib import Path

import msgspec
import openpyxl
import pytest
from rich.cells import cell_len

from fwcheck.language.japanese import in_japanese
from fwcheck.model import Report
from fwcheck.pipeline import Options, scan
from fwcheck.reports import checklist, markdown, terminal
from fwcheck.reports import html as page
from tests.support.wording import claims

SAMPLES = Path(__file__).parents[2] / "samples"
PLANTED = (
    *("account-fixed-password", "boot-from-network", "debug-hidden-page", "files-service-token", "files-setuid"),
    *("hardening-isolation-not-in-force", "log-in-clear-to-a-server", "network-telnet", "reset-leaves-data"),
    *("transport-authority", "update-check-ignored"),
)
IMAGES = [SAMPLES / "router-insecure.bin", SAMPLES / "router-repaired.bin"]
IMAGES += [SAMPLES / "planted" / f"{name}.bin" for name in PLANTED]
# Words of English sentences; a name, a path or a line of code seldom holds three of them in a row of words.
PROSE = re.compile(
    r"\b(?:the|is|are|was|were|that|which|not|with|without|by|of|from|and|or|for|has|have|can|may|its|this|been)\b"
)


@pytest.fixture(scope="module", params=IMAGES, ids=lambda path: path.stem)
def report(request: pytest.FixtureRequest) -> Report:
    return scan(request.param, Options(jobs=1, min_tier="STAR-1", fail_on="low", min_score=90))


def kept(report: Report) -> list[str]:
    """What stays as the image has it: evidence, places, names."""
    found: set[str] = set()

    def walk(value: object, key: str = "") -> None:
        if isinstance(value, dict):
            for name, each in value.items():
                walk(each, name)
        elif isinstance(value, (list, tuple)):
            for each in value:
                walk(each, key)
        elif isinstance(value, str) and key in KEPT:
            found.update({value, " ".join(value.split())})

    walk(msgspec.to_builtins(report))
    found |= {finding.evidence[:159] for finding in report.findings}
    return sorted(found, key=len, reverse=True)


KEPT = {"text", "evidence", "rows", "path", "program", "arguments", "command", "condition", "name", "node", "chain",
        "what", "mechanism", "file", "label", "license", "purl", "subject", "issuer", "detail", "starts"}  # fmt: skip


def prose(text: str, report: Report) -> list[str]:
    """English sentences of a text: lines with three words of prose or more, once everything of the image is taken out."""
    for each in kept(in_japanese(report)):
        if len(each) > 3:
            text = text.replace(each, " ")
    return [line for line in text.splitlines() if len(PROSE.findall(line)) >= 3]


def test_the_page(report: Report) -> None:
    shown = page.render(report, lang="ja")
    body = re.sub(r"<(style|script)>.*?</\1>", "", shown, flags=re.DOTALL)
    text = html.unescape(re.sub(r"<[^>]*>", "\n", body))
    assert not prose(text, report)
    assert not claims(text)


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal(report: Report, width: int) -> None:
    text = terminal.render(report, lang="ja", width=width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert not prose(terminal.render(report, lang="ja", width=10_000), report)
    assert not claims(text)


def test_the_page_in_markdown(report: Report) -> None:
    text = markdown.render(report, lang="ja").replace("\\", "")
    assert not prose(text, report)


def test_the_checklist(report: Report) -> None:
    book = openpyxl.load_workbook(io.BytesIO(checklist.render(report, lang="ja")))
    assert (book.sheetnames[:2], book.sheetnames[-1]) == (["チェックリスト", "Checklist"], "証拠")
    for sheet in (book[name] for name in book.sheetnames if name != "Checklist"):
        cells = [str(cell) for row in sheet.iter_rows(values_only=True) for cell in row if cell is not None]
        assert not prose("\n".join(cells), report)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_findings_keep_their_fingerprints(report: Report, lang: str) -> None:
    shown = report if lang == "en" else in_japanese(report)
    assert [each.fingerprint for each in shown.findings] == [each.fingerprint for each in report.findings]
