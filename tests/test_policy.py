"""Policies, baselines and waivers: read strictly, held against a report, every reason with what to do next."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest
from support.reports import MIB, coverage_of, device_of, finding_of, findings_of_router, report_of

from fwcheck.declaration import Declaration, Product
from fwcheck.gate import Baseline, BrokenFile, Demands, Policy, Waivers, evaluate, exit_status
from fwcheck.gate.waivers import fits, resettled
from fwcheck.judging import Gates
from fwcheck.model import Component, Severity, Vulnerability

TODAY = dt.date(2026, 11, 28)


@pytest.fixture
def policy(tmp_path):
    def read(text: str) -> Policy:
        path = tmp_path / "policy.toml"
        path.write_text(text, "utf-8")
        return Policy.read(path)

    return read


@pytest.fixture
def waivers(tmp_path):
    def read(text: str) -> Waivers:
        path = tmp_path / "waivers.toml"
        path.write_text(text, "utf-8")
        return Waivers.read(path)

    return read


def entry(**more: object) -> str:
    values = {"reason": "test jig", "owner": "kim", "expires": dt.date(2027, 1, 31), **more}
    rows = (f"{key} = {value}" if isinstance(value, dt.date) else f'{key} = "{value}"' for key, value in values.items() if value)
    return "[[waiver]]\n" + "\n".join(rows) + "\n"


class TestPolicyFile:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('[all]\nmin_teir = "STAR-1"', "unknown key min_teir in all; did you mean min_tier"),
            ('[al]\nmin_tier = "STAR-1"', "unknown key al; did you mean all"),
            ("[tier.STAR-2]\nmin_score = 101", "tier, min_score"),
            ("[tier.STAR-7]\nmin_score = 1", "STAR-7"),
            ("[type.toaster]\nmin_score = 1", "toaster"),
            ('[all]\nfail_on = "info"', "fail_on"),
            ('[all]\nmin_score = "80"', "min_score"),
            ('[all]\nforbidden_rules = ["NET-999"]', "there is no rule NET-999"),
            ('[all]\nforbidden_rules = ["NTE-*"]', "there is no rule NTE-*"),
            ('[all.verdicts]\n"S9.9-99" = "support"', "there is no criterion S9.9-99"),
            ('[all.verdicts]\n"S1.1-08" = []', "accepts no verdict"),
            ('[all.verdicts]\n"S1.1-08" = "violation"', "verdicts"),
            ("[all\n", "policy.toml"),
            ("\x00", "policy.toml"),
        ],
    )
    def test_what_is_no_policy_is_one_line_that_names_the_key(self, policy, text, words):
        with pytest.raises(BrokenFile) as error:
            policy(text)
        assert words in str(error.value)
        assert "\n" not in str(error.value)

    def test_a_file_of_any_size_or_depth_is_refused_in_one_line(self, policy, tmp_path):
        for text in ("#" * (2 << 20), "x = " + "[" * 100_000):
            with pytest.raises(BrokenFile):
                policy(text)
        with pytest.raises(BrokenFile, match="No such file"):
            Policy.read(tmp_path / "none.toml")

    def test_parts_add_up_and_none_loosens_another(self, policy):
        held = policy(
            '[all]\nmin_score = 50\nfail_on = "critical"\nmax_database_age_days = 30\n'
            '[all.verdicts]\n"S1.1-08" = ["support", "concern"]\n'
            '[type.router]\nmin_score = 40\nfail_on = "low"\nmax_database_age_days = 90\n'
            '[type.router.verdicts]\n"S1.1-08" = "support"\n'
            '[type.sensor]\nmin_tier = "STAR-4"\n[tier.STAR-1]\nmin_score = 70\n[tier.STAR-2]\nmin_score = 99\n'
        )
        router = msgspec.structs.replace(device_of(), declared=Declaration(product=Product(type="router")))
        demands = held.demands(report_of(device=router))
        assert (demands.min_score, demands.fail_on, demands.max_database_age_days, demands.min_tier) == (70, "low", 30, None)
        assert demands.verdicts == {"S1.1-08": ("support",)}
        assert held.demands(report_of(device=router, target="STAR-2")).min_score == 99
        assert list(held.notes(report_of(device=router))) == []
        assert "--product" in next(held.notes(report_of()))


class TestPolicyHeld:
    @staticmethod
    def ask(report, held, **more):
        return evaluate(report, policy=held, today=TODAY, **more)

    @pytest.mark.parametrize(
        ("demand", "words"),
        [
            ('min_tier = "STAR-1"', "Remove it from the image."),
            ("min_score = 99", "mend these first"),
            ('fail_on = "high"', "2 findings at high or worse"),
            ('forbidden_rules = ["NET-*"]', "1 finding of NET-*, which the policy forbids"),
            ("no_known_exploited = true", "busybox 1.30.1 is known to be exploited (CVE-2018-1000517): update or remove it"),
            ("no_end_of_life = true", "openssl 1.0.2u is out of support since 2019-12-31: update it"),
            ("max_database_age_days = 30", "fwcheck db update"),
        ],
    )
    def test_a_demand_that_is_not_met_fails_and_says_what_to_do(self, policy, demand, words):
        gate = self.ask(report_of(), policy(f"[all]\n{demand}\n"))
        assert exit_status(gate) == 1
        assert any(words in reason for reason in gate.reasons)
        assert gate.asked[0].startswith("policy policy.toml: ")

    def test_a_clean_image_meets_all_of_it(self, policy):
        held = policy(
            '[all]\nmin_tier = "STAR-1"\nmin_score = 10\nfail_on = "low"\nforbidden_rules = ["NET-*"]\n'
            "no_known_exploited = true\n"
            "no_end_of_life = true\nmax_component_age_days = 100\nmin_coverage = 90\nmax_database_age_days = 100\n"
        )
        parts = (Component(name="busybox", version="1.37.0", released="2026-11-01"),)
        gate = self.ask(report_of([], coverage_of(), msgspec.structs.replace(device_of(), components=parts)), held)
        assert gate.passed, gate.reasons
        assert len(gate.asked) == 9

    def test_the_age_of_components(self, policy):
        parts = (Component(name="old", version="1", released="2020-01-01"), Component(name="unknown", version="1"))
        report = report_of([], coverage_of(), msgspec.structs.replace(device_of(), components=parts))
        gate = self.ask(report, policy("[all]\nmax_component_age_days = 365\n"))
        (reason,) = gate.reasons
        assert reason.startswith("old 1 was released 2523 days ago (2020-01-01), more than 365: update it")
        assert any("release date of 1 component is not known" in note for note in gate.notes)

    def test_verdicts_by_criterion_or_pattern(self, policy):
        report = report_of([finding_of("UPD-003", "S1.1-08", verdict="concern", severity=Severity.MEDIUM)], coverage_of())
        (reason,) = self.ask(report, policy('[all.verdicts]\n"S1.1-08" = ["support", "not-observed"]\n')).reasons
        assert reason.startswith("S1.1-08 ")
        assert "is concern, not support or not-observed" in reason
        assert reason.endswith("To do: Remove it from the image.")
        several = self.ask(report, policy('[all.verdicts]\n"S1.1-*" = "support"\n')).reasons
        assert len(several) == 16
        assert any("To do: give the document: " in each for each in several)

    def test_too_little_coverage_for_the_policy_is_undecided(self, policy):
        held = policy("[all]\nmin_coverage = 95\n")
        gate = self.ask(report_of([], coverage_of(unknown=MIB)), held)
        assert exit_status(gate) == 3
        assert "the policy asks for 95 %" in gate.reasons[0]
        assert self.ask(report_of([], coverage_of()), held).passed

    def test_a_policy_that_asks_nothing_of_this_image_holds(self, policy):
        gate = self.ask(report_of(), policy('[tier.STAR-4]\nfail_on = "low"\n'))
        assert gate.passed
        assert gate.asked == ("policy policy.toml: nothing for this image",)


class TestBaseline:
    @staticmethod
    def against(new, old, **demands):
        return evaluate(new, Demands(**demands), baseline=Baseline(old, "old.json"), today=TODAY)

    @pytest.mark.parametrize("demands", [{}, {"fail_on": "low"}, {"min_tier": "STAR-1"}, {"min_score": 100}])
    def test_the_same_image_passes_whatever_it_holds(self, demands):
        assert self.against(report_of(), report_of(), **demands).passed
        assert not evaluate(report_of(), Demands(**demands or {"fail_on": "low"}), today=TODAY).passed

    @pytest.mark.parametrize("demands", [{}, {"fail_on": "low"}, {"min_tier": "STAR-1"}, {"min_score": 100}])
    def test_only_what_is_new_fails_and_is_named_alone(self, demands):
        new = finding_of(
            "ACC-001", "S1.1-02", "S1.1-03", severity=Severity.CRITICAL, title="Account admin has no password", cause="admin"
        )
        gate = self.against(report_of((*findings_of_router(), new)), report_of(), **demands)
        assert exit_status(gate) == 1
        told = " ".join(gate.reasons)
        assert "NET-001" not in told
        if "min_score" not in demands:
            assert "ACC-001" in told

    def test_what_has_become_graver_or_was_waived_then_is_new(self):
        mild = finding_of("NET-001", "S1.1-13", severity=Severity.LOW, verdict="concern")
        grave = msgspec.structs.replace(mild, severity=Severity.HIGH, verdict="violation")
        waived = msgspec.structs.replace(grave, waived=True)
        assert not self.against(report_of([grave]), report_of([mild])).passed
        assert not self.against(report_of([grave]), report_of([waived])).passed
        assert self.against(report_of([mild]), report_of([grave])).passed
        assert self.against(report_of([waived]), report_of([])).passed

    def test_support_and_information_are_never_new(self):
        extra = [finding_of("INF-009", verdict=each, severity=Severity.INFO, cause=each) for each in ("support", "info")]
        assert self.against(report_of((*findings_of_router(), *extra)), report_of()).passed

    def test_a_vulnerability_that_is_exploited_since_is_new(self, policy):
        def image(exploited: bool):
            found = (Vulnerability(id="CVE-2026-1", known_exploited=exploited),)
            ended = "2026-01-01" if exploited else None
            part = Component(name="curl", version="8.0", vulnerabilities=found, end_of_life=ended)
            return report_of([], coverage_of(), msgspec.structs.replace(device_of(), components=(part,)))

        held = policy("[all]\nno_known_exploited = true\nno_end_of_life = true\n")
        for old, reasons in ((image(exploited=False), 2), (image(exploited=True), 0)):
            gate = evaluate(image(exploited=True), policy=held, baseline=Baseline(old, "old.json"), today=TODAY)
            assert len(gate.reasons) == reasons

    def test_a_baseline_of_other_rules_is_told_when_something_is_new(self):
        old = report_of([])
        old = msgspec.structs.replace(old, tool=msgspec.structs.replace(old.tool, rules_digest="0" * 64))
        assert any("other rules" in note for note in self.against(report_of(), old).notes)
        assert self.against(report_of([]), old).notes == ()

    def test_findings_are_marked(self):
        old = Baseline(report_of([finding_of("NET-001", "S1.1-13")]), "old.json")
        told = {each.rule: each.baseline for each in old.marked(findings_of_router())}
        assert told["NET-001"] == "new"  # another cause
        assert told["INF-001"] == ""
        assert {each.baseline for each in Baseline(report_of(), "x").marked(findings_of_router())} == {"known", "new", ""}


class TestWaivers:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (entry(rule="NET-001", owner=""), "waiver 1: missing key `owner`"),
            (entry(rule="NET-001") + entry(rule="NET-001", expires=""), "waiver 2: missing key `expires`"),
            (entry(rule="NET-001", reason="  "), "reason"),
            (entry(), "neither a rule nor a fingerprint"),
            (entry(rule="NET-01"), "there is no rule NET-01"),
            (entry(rule="NET-001", pth="/x"), "unknown key pth in waiver 1; did you mean path"),
            (entry(rule="NET-001", path="etc/shadow"), "has to begin with /"),
            (entry(rule="NET-001", path="/" + "*a" * 20), "stars"),
            (entry(fingerprint="abc"), "fingerprint"),
            (entry(rule="NET-001", expires="soon"), "expires"),
        ],
    )
    def test_what_is_no_waiver_is_one_line(self, waivers, text, words):
        with pytest.raises(BrokenFile) as error:
            waivers(text)
        assert words in str(error.value)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        ("path", "pattern", "expected"),
        [
            ("/etc/shadow", "/etc/shadow", True),
            ("/etc/shadow", "/etc/*", True),
            ("/etc/ssl/key.pem", "/etc/*", False),
            ("/etc/ssl/key.pem", "/etc/**", True),
            ("/etc/ssl/key.pem", "**/key.pem", True),
            ("/etc/ssl/key.pem", "/etc/**/key.pem", True),
            ("/etc/key.pem", "/etc/**/key.pem", True),
            ("/etc/ssl/a/b/key.pem", "/**/ssl/**/*.pem", True),
            ("/etc/ssl/key.pem", "/etc/ssl/key", False),
            ("/etc/Shadow", "/etc/shadow", False),
            ("/etc/ssh_host_rsa_key", "/etc/ssh_host_???_key", True),
            ("0x1c0000", "0x*", True),
            ("", "/etc/**", False),
        ],
    )
    def test_paths(self, path, pattern, expected):
        assert fits(path, pattern) is expected

    def test_hostile_paths_are_compared_in_no_time(self):
        assert not fits("/" + "a/" * 20_000, "/**/a/**/a/**/b")
        assert not fits("/" + "a" * 4000, "/*a*a*a*a*a*a*b")

    def test_a_waived_finding_fails_no_gate_and_says_why(self, waivers):
        held = waivers(entry(rule="NET-001", path="/etc/init.d/*"))
        settled = held.settle(findings_of_router(), TODAY)
        (waived,) = [each for each in settled.findings if each.rule == "NET-001"]
        assert waived.waived
        assert waived.waiver is not None
        assert (waived.waiver.reason, waived.waiver.owner, waived.waiver.expires) == ("test jig", "kim", "2027-01-31")
        assert settled.notes == settled.expired == ()
        gate = evaluate(report_of(settled.findings), Demands(fail_on="high"), settled=settled, today=TODAY)
        assert not any("NET-001" in reason for reason in gate.reasons)

    def test_a_fingerprint_and_a_path_both_have_to_fit(self, waivers):
        finding = findings_of_router()[0]
        assert waivers(entry(fingerprint=finding.fingerprint)).settle([finding], TODAY).findings[0].waived
        assert not waivers(entry(fingerprint=finding.fingerprint, path="/x")).settle([finding], TODAY).findings[0].waived
        assert not waivers(entry(fingerprint=finding.fingerprint, rule="NET-001")).settle([finding], TODAY).findings[0].waived

    def test_support_is_never_waived(self, waivers):
        settled = waivers(entry(rule="INF-001")).settle(findings_of_router(), TODAY)
        assert not any(each.waived for each in settled.findings if each.rule == "INF-001")
        assert "matches no finding" in settled.notes[0]

    def test_an_expired_one_fails_by_itself_and_its_last_day_still_counts(self, waivers):
        held = waivers(entry(rule="NET-001", expires=TODAY))
        assert held.settle(findings_of_router(), TODAY).expired == ()
        settled = held.settle(findings_of_router(), TODAY + dt.timedelta(1))
        assert not any(each.waived for each in settled.findings)
        gate = evaluate(report_of(settled.findings), settled=settled, today=TODAY)
        assert exit_status(gate) == 1
        (reason,) = gate.reasons
        assert "owner kim" in reason
        assert "expired on 2026-11-28: NET-001" in reason

    def test_an_expired_one_beside_a_valid_one_is_told_alone(self, waivers):
        held = waivers(entry(rule="NET-001", expires=dt.date(2020, 1, 1)) + entry(rule="NET-001"))
        settled = held.settle(findings_of_router(), TODAY)
        assert settled.expired == ()
        assert "remove it" in settled.notes[0]
        assert any(each.waived for each in settled.findings)

    def test_one_that_matches_nothing_and_one_that_ends_soon_are_told(self, waivers):
        held = waivers(entry(rule="NET-002") + entry(rule="NET-001", expires=TODAY + dt.timedelta(10)))
        unused, soon = held.settle(findings_of_router(), TODAY).notes
        assert "waiver 1 (NET-002, owner kim) matches no finding: remove it" in unused
        assert "waiver 2" in soon
        assert "expires on 2026-12-08" in soon

    def test_a_report_keeps_its_waivers_until_they_expire(self, waivers):
        settled = waivers(entry(rule="NET-001")).settle(findings_of_router(), TODAY)
        assert resettled(settled.findings, dt.date(2027, 1, 31)).findings == settled.findings
        later = resettled(settled.findings, dt.date(2027, 2, 1))
        assert not any(each.waived for each in later.findings if each.rule == "NET-001")
        assert "the waiver of kim expired on 2027-01-31" in later.expired[0]


def test_waivers_on_an_earlier_report_change_its_levels(waivers):
    held = "".join(entry(rule=each.rule) for each in findings_of_router() if each.verdict == "violation")
    gates = Gates(waivers=waivers(held), demands=Demands(min_tier="STAR-1"), today=TODAY)
    before = report_of()
    assert before.tiers[0].refuted
    after = gates.again(before, {each.rule for each in before.findings})
    assert not after.tiers[0].refuted
    assert after.tier.score > before.tier.score
    assert after.gate.passed
    back = Gates(demands=Demands(min_tier="STAR-1"), today=dt.date(2028, 1, 1)).again(after, {"NET-001"})
    assert back.tiers[0].refuted
    assert exit_status(back.gate) == 1
