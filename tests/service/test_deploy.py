"""What is written about running the service names settings, roles and routes that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import jsonschema
import yaml
from support.serving import ROOT

from fwcheck.cli.main import parser
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


def compose() -> dict[str, Any]:
    held: dict[str, Any] = yaml.safe_load(DEPLOY[0].read_text(encoding="utf-8"))
    return held


def containers() -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Of the Kubernetes manifests: the object, its pod, its container."""
    for document in yaml.safe_load_all(DEPLOY[1].read_text(encoding="utf-8")):
        if "template" in document["spec"]:
            pod = document["spec"]["template"]["spec"]
            yield document, pod, *pod["containers"]


def dockerfile() -> dict[str, list[str]]:
    """The arguments of each instruction of the last stage, and all that are copied from the repository."""
    text = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found = {name: held for name, held in found.items() if name == "COPY"}
        found.setdefault(word, []).append(rest)
    return found


def test_the_compose_file_follows_its_specification() -> None:
    schema = json.loads(
        (files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json").read_text(encoding="utf-8")
    )
    jsonschema.validate(compose(), schema)


def test_commands_are_those_of_the_command_line() -> None:
    steps = [json.loads(*dockerfile()["CMD"]), *(compose()["services"][name]["command"] for name in ("server", "worker"))]
    steps += [container["args"] for _, _, container in containers()]
    assert len(steps) == 5
    assert json.loads(*dockerfile()["ENTRYPOINT"]) == ["fwcheck"]
    for step in steps:
        assert parser().parse_args([str(each) for each in step]).run


def test_ports_paths_and_users_are_those_of_the_service() -> None:
    settings = parser().parse_args(["serve"])
    operation = (ROOT / "fwcheck" / "service" / "api" / "operation.py").read_text(encoding="utf-8")
    routes = set(re.findall(r'@get\("(/\w+)", opt=OPEN', operation))
    server = compose()["services"]["server"]
    asked = re.findall(r"http://127\.0\.0\.1:(\d+)(/\w+)", str(server["healthcheck"]["test"]))
    assert asked == [(str(settings.port), "/ready")]
    assert [each.split(":")[-1] for each in server["ports"]] == dockerfile()["EXPOSE"] == [str(settings.port)]
    assert {path for _, path in asked} <= routes
    (user,) = {each.split(":")[0] for each in dockerfile()["USER"]}
    assert re.search(rf"useradd --uid {user} ", str(dockerfile()["RUN"]))
    for document, pod, container in containers():
        assert {pod["securityContext"][name] for name in ("runAsUser", "fsGroup")} == {int(user)}
        for probe in (container[name]["httpGet"] for name in ("readinessProbe", "livenessProbe") if name in container):
            assert probe["path"].split("?")[0] in routes
            assert probe["port"] in {each["name"] for each in container["ports"]}
        assert {each["containerPort"] for each in container.get("ports", [])} <= {settings.port}
        made = [each["metadata"] for each in document["spec"].get("volumeClaimTemplates", [])]
        assert {each["name"] for each in container["volumeMounts"]} == {each["name"] for each in [*pod["volumes"], *made]}


def test_what_is_written_is_on_a_volume() -> None:
    """The root is read-only: data on the volume that the image names, /tmp in memory or on one of its own."""
    data = dict(each.split("=", 1) for each in dockerfile()["ENV"][0].split())["FWCHECK_DATA"]
    assert dockerfile()["VOLUME"] == [data]
    for name in ("server", "worker"):
        service = compose()["services"][name]
        assert (service["read_only"], service["tmpfs"]) == (True, ["/tmp"])
        assert [each.split(":")[-1] for each in service["volumes"]] == [data]
    named = {each.split(":")[0] for service in compose()["services"].values() for each in service.get("volumes", [])}
    assert {each for each in named if not each.startswith("/")} == set(compose()["volumes"])
    for _, _, container in containers():
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert {each["mountPath"] for each in container["volumeMounts"]} == {data, "/tmp"}


def test_who_waits_for_whom() -> None:
    services = compose()["services"]
    for service in services.values():
        for other, how in service.get("depends_on", {}).items():
            assert other in services
            assert how["condition"] != "service_healthy" or "healthcheck" in services[other]


def test_what_the_image_is_made_of_is_there() -> None:
    sources = [each for line in dockerfile()["COPY"] if not line.startswith("--from") for each in line.split()[:-1]]
    assert sources
    for each in sources:
        assert (ROOT / each).exists(), each
    text = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    for lock in re.findall(r"requirements/\S+\.lock", text):
        assert (ROOT / lock).is_file()


def test_every_format_that_is_a_file_has_a_type() -> None:
    for name, each in FORMATS.items():
        if each.suffix is not None:
            assert _media_type(name) != "application/octet-stream", name
