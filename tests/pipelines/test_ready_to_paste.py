"""What is there to be pasted into pipelines works: the action, the GitLab and Jenkins jobs, the hook, the container's recipe."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "samples" / "planted" / "account-empty-password.bin"
BASH = shutil.which("bash")
needs_bash = pytest.mark.skipif(BASH is None, reason="needs bash")
SCHEMAS = files("check_jsonschema") / "builtin_schemas" / "vendor"


def yaml(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def block(page: str, language: str, number: int = 0) -> str:
    """A fenced block of a how-to."""
    text = (ROOT / "docs" / "how-to" / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[number]


def valid(document: object, schema: str) -> None:
    held = json.loads((SCHEMAS / schema).read_text("utf-8"))
    jsonschema.validators.validator_for(held)(held).validate(document)


def stub(path: Path) -> None:
    """The fwcheck command of this tree under another name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} -m fwcheck "$@"\n')
    path.chmod(0o755)


def shell(script: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A step as a runner starts it: bash that ends at the first error."""
    assert BASH is not None
    home = {"PATH": os.environ["PATH"], "HOME": str(cwd), "XDG_CACHE_HOME": str(cwd / "cache")}
    command = [BASH, "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=cwd, env={**home, **environment}, capture_output=True, text=True, timeout=300, check=False)


class TestAction:
    action = yaml((ROOT / "action.yml").read_text("utf-8"))
    steps: ClassVar = {each.get("name"): each for each in action["runs"]["steps"]}

    def test_it_is_an_action_by_the_schema_and_every_step_parses(self) -> None:
        valid(self.action, "github-actions.json")
        for step in self.steps.values():
            assert ("uses" in step) or step["shell"] == "bash"
            if "run" in step and BASH:
                subprocess.run([BASH, "-n", "-c", step["run"]], check=True)

    def test_no_input_is_part_of_a_script_and_each_is_used(self) -> None:
        text = (ROOT / "action.yml").read_text("utf-8")
        assert not [step["run"] for step in self.steps.values() if "${{" in step.get("run", "")]
        assert {name for name in self.action["inputs"] if f"inputs.{name}" not in text} == set()
        for path in re.findall(r"\$GITHUB_ACTION_PATH/([\w./-]+)", text):
            assert (ROOT / path).exists()

    def scan(self, tmp_path: Path, **inputs: str) -> tuple[subprocess.CompletedProcess[str], dict[str, str], str]:
        stub(tmp_path / "runner" / "fwcheck" / "bin" / "fwcheck")
        values = {name: str(held.get("default", "")) for name, held in self.action["inputs"].items()}
        values.update({name.replace("_", "-"): value for name, value in inputs.items()})
        step = self.steps["Scan"]
        given = {name: values[re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", r"\1", held)] for name, held in step["env"].items()}
        out, summary = tmp_path / "out.txt", tmp_path / "summary.md"
        done = shell(
            step["run"],
            tmp_path,
            **given,
            RUNNER_TEMP=str(tmp_path / "runner"),
            GITHUB_OUTPUT=str(out),
            GITHUB_STEP_SUMMARY=str(summary),
        )
        told = dict(line.split("=", 1) for line in out.read_text().splitlines())
        return done, told, summary.read_text() if summary.exists() else ""

    @needs_bash
    @pytest.mark.parametrize(("min_tier", "status"), [("", "0"), ("STAR-1", "1")])
    def test_a_scan_writes_reports_summary_and_status_and_the_gate_step_ends_with_it(self, tmp_path, min_tier, status) -> None:
        image = tmp_path / "router $(touch pwned).bin"
        shutil.copy(SAMPLE, image)
        done, told, summary = self.scan(tmp_path, image=f"{image.name}\n", min_tier=min_tier)
        assert done.returncode == 0, done.stderr
        assert told == {"status": status, "reports": "fwcheck-reports"}
        written = {path.name.removeprefix(f"{image.name}.") for path in (tmp_path / "fwcheck-reports").iterdir()}
        assert written == {"json", "html", "sarif", "junit.xml", "md"}
        assert summary.startswith("# router")
        assert not (tmp_path / "pwned").exists()
        gate = shell(self.steps["Gate"]["run"], tmp_path, STATUS=told["status"])
        assert gate.returncode == int(status)

    @needs_bash
    def test_a_broken_policy_is_status_2_with_its_line_in_the_log(self, tmp_path) -> None:
        (tmp_path / "policy.toml").write_text("[all]\nmin_teir = 1\n")
        done, told, _ = self.scan(tmp_path, image=str(SAMPLE), policy="policy.toml")
        assert told["status"] == "2"
        assert "did you mean min_tier" in done.stderr

    def test_the_workflow_of_the_how_to_is_one_and_uses_inputs_that_exist(self) -> None:
        workflow = yaml(block("github.md", "yaml"))
        valid(workflow, "github-workflows.json")
        (step,) = [each for each in workflow["jobs"]["fwcheck"]["steps"] if "fwcheck@" in each.get("uses", "")]
        assert step["with"].keys() <= self.action["inputs"].keys()


@needs_bash
def test_the_gitlab_job_is_one_by_the_schema_and_leaves_what_its_artifacts_name(tmp_path: Path) -> None:
    whole = yaml(block("gitlab.md", "yaml"))
    valid(whole, "gitlab-ci.json")
    job = whole["fwcheck"]
    stub(tmp_path / "bin" / "fwcheck")
    (tmp_path / "policy.toml").write_text('[all]\nfail_on = "critical"\n')
    (tmp_path / "waivers.toml").write_text("")
    path = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    done = shell("\n".join(job["script"]), tmp_path, IMAGE=str(SAMPLE), **path)
    assert done.returncode == 1, done.stderr
    assert shell("\n".join(job["after_script"]), tmp_path).returncode == 0
    reports = job["artifacts"]["reports"]
    for pattern in reports.values():
        assert list(tmp_path.glob(pattern)), pattern
    assert json.loads((tmp_path / reports["codequality"]).read_text())[0]["check_name"] == "ACC-001"


@needs_bash
def test_the_jenkins_steps_run_and_leave_what_the_post_steps_name(tmp_path: Path) -> None:
    text = block("jenkins.md", "groovy")
    assert text.count("{") == text.count("}")
    install, scan = re.findall(r"sh '''\n(.*?)'''", text, re.DOTALL)
    assert "-m venv .fwcheck" in install
    stub(tmp_path / ".fwcheck" / "bin" / "fwcheck")
    (tmp_path / "policy.toml").write_text('[all]\nmin_tier = "STAR-1"\n')
    (tmp_path / "waivers.toml").write_text("")
    done = shell(scan.replace("\\\\", "\\"), tmp_path, IMAGE=str(SAMPLE))
    assert done.returncode == 1, done.stderr
    for pattern in re.findall(r"(?:testResults: |pattern: )'([^']+)'", text):
        assert list(tmp_path.glob(pattern)), pattern


class TestHook:
    (hook,) = yaml((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))

    def test_the_hook_and_its_use_fit_together(self) -> None:
        use = yaml(block("github.md", "yaml", 1))
        assert [each["id"] for each in use["repos"][0]["hooks"]] == [self.hook["id"]]
        assert self.hook["language"] == "python"

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("policy.toml", True),
            ("release/router-policy.toml", True),
            ("waivers.toml", True),
            ("waivers-2026.toml", True),
            ("product.toml", True),
            ("pyproject.toml", False),
            ("policymaker.toml", False),
            ("byproduct.toml", False),
            ("policy.yaml", False),
        ],
    )
    def test_it_looks_at_the_files_that_are_meant(self, name: str, expected: bool) -> None:
        assert bool(re.search(self.hook["files"], name)) is expected

    def test_it_tells_broken_files_and_expired_waivers(self, tmp_path: Path) -> None:
        waiver = '[[waiver]]\nrule = "NET-001"\nreason = "jig"\nowner = "kim"\nexpires = {}\n'
        texts = {
            "policy.toml": ('[all]\nmin_tier = "STAR-1"\n', 0),
            "router-policy.toml": ("[all]\nmin_teir = 1\n", 2),
            "waivers.toml": (waiver.format("2099-01-01"), 0),
            "old-waivers.toml": (waiver.format("2020-01-01"), 1),
            "product.toml": ((ROOT / "samples" / "product.toml").read_text(), 0),
            "other-product.toml": ("nonsense = 1\n", 2),
            "by-content.toml": (waiver.format("2020-01-01"), 1),
            "broken.toml": ("[", 2),
            "vex.json": ("{}", 2),
        }
        for name, (text, status) in texts.items():
            (tmp_path / name).write_text(text)
            command = [sys.executable, "-m", *self.hook["entry"].split(), str(tmp_path / name)]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
            assert (done.returncode, done.stderr.count("\n")) == (status, int(status > 0)), (name, done)


class TestContainer:
    lines: ClassVar = [
        line for line in (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ").splitlines() if line[:1].isalpha()
    ]
    instructions: ClassVar = [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]

    def test_it_is_slim_runs_as_nobody_and_pins_what_it_installs(self) -> None:
        known = {"ARG", "FROM", "WORKDIR", "RUN", "COPY", "LABEL", "ENV", "USER", "ENTRYPOINT", "CMD"}
        assert {name for name, _ in self.instructions} <= known
        bases = [held for name, held in self.instructions if name == "FROM"]
        assert all("-slim" in base and "latest" not in base for base in bases)
        last = [name for name, _ in self.instructions]
        final = self.instructions[len(last) - 1 - last[::-1].index("FROM") :]
        (user,) = [held for name, held in final if name == "USER"]
        assert int(user.split(":")[0]) > 0
        assert not [held for name, held in final if name == "RUN"]
        assert any("run.lock" in held for name, held in self.instructions if name == "RUN")

    def test_what_it_copies_is_there_and_not_ignored(self) -> None:
        allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
        for name, held in self.instructions:
            if name == "COPY" and "--from" not in held:
                for source in held.split()[:-1]:
                    assert (ROOT / source).exists()
                    assert source.split("/")[0] in allowed


def test_the_wheel_scans_in_an_environment_of_its_own_where_nothing_but_tmp_can_be_written(tmp_path: Path) -> None:
    code = f"from hatchling.build import build_wheel; print(build_wheel({str(tmp_path)!r}))"
    built = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    wheel = tmp_path / built.stdout.strip().splitlines()[-1]
    fresh = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", fresh], check=True)
    packages = next((fresh / "lib").glob("python3.*")) / "site-packages"
    shutil.unpack_archive(wheel, packages, "zip")
    dependencies = Path(jsonschema.__file__).parents[1]
    (packages / "dependencies.pth").write_text(f"{dependencies}\n")  # behind the wheel's own files; an editable install stays out
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": "/nonexistent",
        "XDG_CACHE_HOME": "/proc/none",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [
        fresh / "bin" / "python",
        "-P",
        "-m",
        "fwcheck",
        "scan",
        SAMPLE,
        "--format",
        "json",
        "--quiet",
        "--min-tier",
        "STAR-1",
    ]
    alone = [each for each in (shutil.which("unshare"),) if each and os.geteuid() == 0]
    network = [alone[0], "--net"] if alone and subprocess.run([alone[0], "--net", "true"], check=False).returncode == 0 else []
    done = subprocess.run(
        [*network, *command], cwd="/", env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 1, done.stderr
    assert "ACC-001" in {each["rule"] for each in json.loads(done.stdout)["findings"]}
    where = [fresh / "bin" / "python", "-P", "-c", "import fwcheck; print(fwcheck.__file__)"]
    assert subprocess.run(where, cwd="/", capture_output=True, text=True, check=True).stdout.startswith(str(packages))
