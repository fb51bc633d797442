"""product.toml: read whole or refused with one line; statements change words of a verdict, never its points."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fwcheck.declaration import Declaration, DeclarationError, load
from fwcheck.jcstar.mapper import judge
from fwcheck.model import Coverage, Device, Service
from fwcheck.pipeline import InputError, Options, scan

SAMPLE = Path(__file__).parents[1] / "samples" / "router-repaired.bin"
WHOLE = """
absent = ["telnet"]
[product]
maker = "Example"
type = "router"
target = "STAR-2"
[support]
until = 2031-03-31
[[services]]
name = "https"
port = 443
reason = "administration"
[documents]
"S1.1-07" = "Manual, chapter 4"
[not_applicable]
"S1.1-04" = "no password over a network"
"""


def test_a_whole_declaration_is_read(tmp_path):
    path = tmp_path / "product.toml"
    path.write_text(WHOLE)
    declared = load(path)
    assert (declared.product.target, str(declared.support.until), declared.absent) == ("STAR-2", "2031-03-31", ("telnet",))
    assert declared.services is not None
    assert declared.services[0].port == 443


@pytest.mark.parametrize(
    "text",
    [
        "absent = [",
        "typo = 1",
        '[product]\ntype = "toaster"',
        '[product]\ntarget = "STAR-9"',
        '[support]\nuntil = "soon"',
        '[[services]]\nname = "x"',
        '[[services]]\nname = "x"\nreason = "y"\nport = 70000',
        '[not_applicable]\n"S1.1-04" = " "',
        '[updates]\nsigned = "yes"',
        "\x00",
    ],
)
def test_anything_else_is_one_line(tmp_path, text):
    path = tmp_path / "product.toml"
    path.write_text(text)
    with pytest.raises(DeclarationError) as raised:
        load(path)
    assert "\n" not in str(raised.value)
    assert "product.toml" in str(raised.value)


def test_bytes_that_are_no_text_and_large_files_are_refused(tmp_path):
    path = tmp_path / "product.toml"
    for content in (b"\xff\xfe\x00", b"# " + b"x" * (1 << 20)):
        path.write_bytes(content)
        with pytest.raises(DeclarationError):
            load(path)
    with pytest.raises(DeclarationError):
        load(tmp_path / "missing.toml")


READ = Coverage(bytes_total=100, bytes_explained=100, files=5)
DEVICE = Device(services=(Service(name="httpd", program="/usr/sbin/httpd", enabled="yes", protocol="http"),))
RANK = ("violation", "concern", "not-applicable", "declared", "not-decidable", "not-observed", "support")


def rows(declared):
    tiers = judge((), READ, msgspec.structs.replace(DEVICE, declared=declared))
    return {row.id: row for row in tiers[-1].criteria}, [tier.score for tier in tiers]


def test_a_document_makes_an_undecidable_criterion_declared_and_nothing_more():
    plain, scores = rows(None)
    told, told_scores = rows(Declaration(documents={"S1.1-07": "Manual", "S1.1-13": "Port list"}))
    assert plain["S1.1-07"].verdict == "not-decidable"
    assert told["S1.1-07"].verdict == "declared"
    assert told["S1.1-07"].reason.startswith("Declared, not proven: Manual")
    assert told["S1.1-13"].verdict == plain["S1.1-13"].verdict
    assert told_scores == scores


def test_what_does_not_apply_is_shown_with_its_reason_and_scores_as_before():
    _, scores = rows(None)
    told, told_scores = rows(Declaration(not_applicable={"S1.1-04": "no password login"}))
    assert told["S1.1-04"].verdict == "not-applicable"
    assert "no password login" in told["S1.1-04"].reason
    assert told_scores == scores


IDS = st.sampled_from([f"S1.1-{number:02}" for number in range(1, 17)])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # each judges reports anew, on a busy machine slowly
@given(st.dictionaries(IDS, st.just("a reason"), max_size=16), st.dictionaries(IDS, st.just("a document"), max_size=16))
def test_no_statement_changes_a_score_or_what_is_refuted(absent, documents):
    declared = Declaration(not_applicable=absent, documents=documents)
    before = judge((), READ, DEVICE)
    after = judge((), READ, msgspec.structs.replace(DEVICE, declared=declared))
    assert [(tier.score, tier.refuted) for tier in before] == [(tier.score, tier.refuted) for tier in after]
    assert all(tier.decidable <= other.decidable for tier, other in zip(after, before, strict=True))


def test_a_criterion_that_nobody_asks_is_refused(tmp_path):
    path = tmp_path / "product.toml"
    path.write_text('[documents]\n"S1.1-77" = "Manual"\n')
    with pytest.raises(InputError, match=r"product\.toml:2: no criterion S1\.1-77"):
        scan(SAMPLE, Options(product=path))
