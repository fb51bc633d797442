"""``fwcheck completion``: what a shell needs to complete command lines, made from the parser itself."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

SHELLS = ("bash", "zsh", "fish")


class Word(NamedTuple):
    """An option of a command."""

    names: tuple[str, ...]
    what: str
    choices: tuple[str, ...]  # of its value
    value: bool  # whether it takes one
    directory: bool  # whether that is a directory


class Command(NamedTuple):
    """A command with its options."""

    name: str
    what: str
    words: tuple[Word, ...]
    choices: tuple[str, ...]  # of its first argument


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser("completion", help="completion of command lines for a shell")
    command.add_argument("shell", choices=SHELLS, help="the shell")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the script; exit status 0."""
    from fwcheck.cli.main import parser  # noqa: PLC0415

    print({"bash": bash, "zsh": zsh, "fish": fish}[options.shell](list(known(parser()))), end="")
    return 0


def known(top: argparse.ArgumentParser) -> Iterator[Command]:
    """Every command of the parser."""
    (table,) = [each for each in top._actions if isinstance(each, argparse._SubParsersAction)]
    what = {each.dest: each.help or "" for each in table._choices_actions}
    for name, command in table.choices.items():
        positional = [each for each in command._actions if not each.option_strings]
        choices = tuple(str(each) for each in (positional[0].choices or ())) if positional else ()
        yield Command(name, what.get(name, ""), tuple(_words(command)), choices)


def _words(command: argparse.ArgumentParser) -> Iterator[Word]:
    for each in command._actions:
        if each.option_strings:
            text = (each.help or "").replace("%(default)s", str(each.default)).replace("%%", "%")
            takes = each.nargs != 0
            directory = takes and each.type is Path and each.metavar == "DIR"
            yield Word(tuple(each.option_strings), text, tuple(map(str, each.choices or ())), takes, directory)


def bash(commands: list[Command]) -> str:
    """A function for bash's ``complete -F`` (bash(1), "Programmable Completion")."""
    lines = [
        "# Completion of fwcheck for bash. Made by: fwcheck completion bash",
        "_fwcheck() {",
        "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} options= first=",
        "  COMPREPLY=()",
        '  if [ "$COMP_CWORD" -eq 1 ]; then',
        f"    mapfile -t COMPREPLY < <(compgen -W '{' '.join(each.name for each in commands)} --help --version' -- \"$word\")",
        "    return",
        "  fi",
        '  case "${COMP_WORDS[1]} $before" in',
    ]
    for command in commands:
        for word in command.words:
            patterns = " | ".join(f"'{command.name} {name}'" for name in word.names)
            if word.choices:
                values = " ".join(word.choices)
                lines.append(f"    {patterns}) mapfile -t COMPREPLY < <(compgen -W '{values}' -- \"$word\"); return ;;")
            elif word.directory:
                lines.append(f'    {patterns}) mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;')
            elif word.value:
                lines.append(f'    {patterns}) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;')
    lines += ["  esac", '  case "${COMP_WORDS[1]}" in']
    for command in commands:
        options = " ".join(name for word in command.words for name in word.names)
        lines.append(f"    {command.name}) options='{options}' first='{' '.join(command.choices)}' ;;")
    lines += [
        "  esac",
        '  if [ "${word:0:1}" = - ]; then mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")',
        '  elif [ -n "$first" ]; then mapfile -t COMPREPLY < <(compgen -W "$first" -- "$word")',
        '  else mapfile -t COMPREPLY < <(compgen -f -- "$word"); fi',
        "}",
        "complete -o filenames -F _fwcheck fwcheck",
    ]
    return "\n".join(lines) + "\n"


def zsh(commands: list[Command]) -> str:
    """A completion function for zsh's ``_arguments`` (zshcompsys(1))."""
    lines = ["#compdef fwcheck", "# Completion of fwcheck for zsh. Made by: fwcheck completion zsh", "_fwcheck() {"]
    lines += ["  local -a commands", "  commands=("]
    lines += [f"    {_quoted(f'{each.name}:{each.what}')}" for each in commands]
    lines += ["  )", "  if (( CURRENT == 2 )); then", "    _describe command commands", "    return", "  fi"]
    lines += ["  local command=$words[2]", "  shift words", "  (( CURRENT-- ))", "  case $command in"]
    for command in commands:
        lines.append(f"    {command.name}) _arguments \\")
        for word in command.words:
            action = (
                f":value:({' '.join(word.choices)})"
                if word.choices
                else ":directory:_files -/"
                if word.directory
                else ":value:_files"
            )
            for name in word.names:
                lines.append(f"      {_quoted(f'*{name}[{_bare(word.what)}]' + (action if word.value else ''))} \\")
        lines.append(
            f"      {_quoted(f'*:argument:({chr(32).join(command.choices)})' if command.choices else '*:file:_files')} ;;"
        )
    lines += ["  esac", "}", '_fwcheck "$@"']
    return "\n".join(lines) + "\n"


def fish(commands: list[Command]) -> str:
    """Lines of fish's ``complete`` (fish's documentation, "Writing your own completions")."""
    lines = [
        "# Completion of fwcheck for fish. Made by: fwcheck completion fish",
        "complete -c fwcheck -f -n __fish_use_subcommand",
    ]
    for command in commands:
        lines.append(f"complete -c fwcheck -f -n __fish_use_subcommand -a {command.name} -d {_quoted(command.what)}")
        inside = f"complete -c fwcheck -n '__fish_seen_subcommand_from {command.name}'"
        for word in command.words:
            flags = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in word.names)
            values = f" -x -a {_quoted(' '.join(word.choices))}" if word.choices else " -r" if word.value else ""
            lines.append(f"{inside} {flags}{values} -d {_quoted(word.what)}")
        if command.choices:
            lines.append(f"{inside} -f -a {_quoted(' '.join(command.choices))}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "’") + "'"


def _bare(text: str) -> str:
    """A description without what ``_arguments`` would read as its own marks."""
    return text.replace("[", "(").replace("]", ")").replace(":", ",")
