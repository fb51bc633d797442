"""The reference of the documentation, made from the code: command line, report, rules."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fwcheck.analysers.registry import rules
from fwcheck.analysers.rule import Rule
from fwcheck.cli.examples import EXAMPLES
from fwcheck.cli.main import parser
from fwcheck.reports.json import schema

_MODEL = Path(__file__).resolve().parents[1] / "fwcheck" / "model"
_FIELD = re.compile(r"^    (\w+): .*?(?:  # (.*))?$")
_CLASS = re.compile(r"^class (\w+)\(")


def cli() -> str:
    """Every command with its arguments, options and examples."""
    top = parser()
    (table,) = [each for each in top._actions if isinstance(each, argparse._SubParsersAction)]
    lines = ["# Command line", "", top.description or "", "", "```", top.epilog or "", "```", ""]
    what = {each.dest: each.help or "" for each in table._choices_actions}
    for name, command in table.choices.items():
        lines += [f"## fwcheck {name}", "", _sentence(what.get(name, "")), ""]
        if command.description:
            lines += [_sentence(command.description), ""]
        lines += _options(command)
        for action in command._actions:
            if isinstance(action, argparse._SubParsersAction):
                for verb, inner in action.choices.items():
                    lines += [f"### fwcheck {name} {verb}", "", *_options(inner)]
        if name in EXAMPLES:
            width = max(len(line) for line, _ in EXAMPLES[name])
            lines += ["```", *(f"{line:{width}}  # {told}" for line, told in EXAMPLES[name]), "```", ""]
    return "\n".join(lines)


def _options(command: argparse.ArgumentParser) -> Iterator[str]:
    yield "| argument | meaning |"
    yield "|---|---|"
    for each in command._actions:
        if isinstance(each, (argparse._HelpAction, argparse._SubParsersAction)):
            continue
        value = "" if each.nargs == 0 else f" {each.metavar or '|'.join(map(str, each.choices or ())) or each.dest.upper()}"
        names = ", ".join(each.option_strings) + value if each.option_strings else str(each.metavar or each.dest)
        default = str(each.default).replace(str(Path.home()), "~")
        yield f"| `{_cell(names)}` | {_cell((each.help or '').replace('%(default)s', default).replace('%%', '%'))} |"
    yield ""


def report() -> str:
    """The keys of the JSON report, object by object, with the comments of the model."""
    notes = _comments()
    definitions: dict[str, Any] = schema()["$defs"]
    lines = ["# Report", "", "The JSON report, schema version 1.0. New keys may be added; keys are not renamed or removed.", ""]
    lines += ["The schema ships with the package (`fwcheck/reports/report.schema.json`).", ""]
    for name in ["Report", *sorted(set(definitions) - {"Report"})]:
        definition = definitions[name]
        lines += [f"## {name}", "", (definition.get("description") or "").split("\n\n")[0].replace("\n", " "), ""]
        if "enum" in definition:
            lines += ["One of " + ", ".join(f"`{each}`" for each in definition["enum"]) + ".", ""]
        if definition.get("properties"):
            lines += ["| key | value | |", "|---|---|---|"]
            for key, value in definition["properties"].items():
                lines.append(f"| `{key}` | {_cell(_kind(value))} | {_cell(notes.get((name, key), ''))} |")
            lines.append("")
    return "\n".join(lines)


def _kind(value: dict[str, Any]) -> str:
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in value:
        return " or ".join(_kind(each) for each in value["anyOf"])
    if "enum" in value:
        return ", ".join(f"`{each}`" for each in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    if value.get("type") == "array":
        return f"list of {_kind(value['items'])}" if isinstance(value.get("items"), dict) else "list"
    if value.get("type") == "object" and isinstance(value.get("additionalProperties"), dict):
        return f"object of {_kind(value['additionalProperties'])}"
    return str(value.get("type", "any"))


def _comments() -> dict[tuple[str, str], str]:
    """What the model's comments say of a field, by class and field."""
    found: dict[tuple[str, str], str] = {}
    name = ""
    for line in (line for path in sorted(_MODEL.glob("*.py")) for line in path.read_text(encoding="utf-8").splitlines()):
        if match := _CLASS.match(line):
            name = match[1]
        elif (match := _FIELD.match(line)) and match[2]:
            found[name, match[1]] = match[2]
    return found


def all_rules() -> str:
    """Every rule by family: what it says, why, how to mend it, what would refute it."""
    lines = ["# Rules", "", "`fwcheck explain ID` tells the same on a terminal, `--lang ja` in Japanese.", ""]
    families: dict[str, list[Rule]] = {}
    for id, rule in sorted(rules().items()):
        families.setdefault(id.partition("-")[0], []).append(rule)
    for family, held in families.items():
        lines += [f"## {family}", ""]
        for rule in held:
            criteria = ", ".join(rule.criteria) or "no criterion"
            lines += [
                f"### {rule.id}: {_plain(rule.title)}",
                "",
                f"*{rule.severity.value}, {rule.verdict}; bears on {criteria}*",
                "",
            ]
            lines += [_plain(rule.explanation), "", f"**To do:** {_plain(rule.remediation)}", ""]
            lines += [f"**What would refute it:** {_plain(rule.refuted_by)}", ""]
    return "\n".join(lines)


def _sentence(text: str) -> str:
    return _plain(text[:1].upper() + text[1:].rstrip(".") + "." if text else "")


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([*_<>\[\]{}$])", r"\\\1", text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


PAGES: dict[str, Callable[[], str]] = {"cli": cli, "report": report, "rules": all_rules}
