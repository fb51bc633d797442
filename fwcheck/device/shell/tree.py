"""What a parsed shell script is made of: words with their parts, commands, lists."""

from __future__ import annotations

from dataclasses import dataclass, field

UNKNOWN = "\0"  # stands in a value for text that only the running device knows


@dataclass(slots=True)
class Literal:
    """Plain text; ``quoted`` text is neither split nor taken as a pattern."""

    text: str
    quoted: bool = False


@dataclass(slots=True)
class Parameter:
    """``$name`` and ``${name op argument}``; ``op`` is "" or one of ``- = ? + # ## % %% / // length substring other``."""

    name: str
    quoted: bool = False
    op: str = ""
    colon: bool = False
    argument: Word | None = None


@dataclass(slots=True)
class CommandSubstitution:
    """``$(...)`` and backquotes; ``opaque`` for process substitution, whose value nobody can tell."""

    body: Sequence
    quoted: bool = False
    opaque: bool = False


@dataclass(slots=True)
class Arithmetic:
    """``$((...))`` with its expression as a word."""

    expression: Word
    quoted: bool = False


@dataclass(slots=True)
class Word:
    """One word: its parts, and the text as it stands in the script."""

    parts: list[Literal | Parameter | CommandSubstitution | Arithmetic]
    raw: str = ""


@dataclass(slots=True)
class Redirect:
    """``[n]op target``; a here-document has ``op`` "<<" and its text as target."""

    op: str
    target: Word
    descriptor: int | None = None


@dataclass(slots=True)
class Simple:
    """Assignments, words and redirections."""

    line: int
    assignments: list[tuple[str, Word]]
    words: list[Word]
    redirects: list[Redirect]


@dataclass(slots=True)
class Pipeline:
    """``a | b``; a single command is a pipeline of one."""

    commands: list[Command]
    negated: bool
    raw: str = ""


@dataclass(slots=True)
class AndOr:
    """``a && b || c``: pipelines with the operator before each (the first has "")."""

    line: int
    parts: list[tuple[str, Pipeline]]
    background: bool = False
    raw: str = ""


@dataclass(slots=True)
class Sequence:
    """Commands one after the other."""

    items: list[AndOr]


@dataclass(slots=True)
class If:
    """``if``: (condition, body) pairs and the ``else`` body."""

    line: int
    branches: list[tuple[Sequence, Sequence, str]]
    otherwise: Sequence | None
    redirects: list[Redirect]


@dataclass(slots=True)
class Loop:
    """``while`` and ``until``."""

    line: int
    condition: Sequence
    body: Sequence
    until: bool
    raw: str
    redirects: list[Redirect]


@dataclass(slots=True)
class For:
    """``for name in words``; ``words`` None means the positional parameters."""

    line: int
    name: str
    words: list[Word] | None
    body: Sequence
    redirects: list[Redirect]


@dataclass(slots=True)
class Case:
    """``case word in``: (patterns, body) pairs."""

    line: int
    subject: Word
    arms: list[tuple[list[Word], Sequence]]
    redirects: list[Redirect]


@dataclass(slots=True)
class Group:
    """``{ ...; }``, or a subshell ``( ... )``."""

    line: int
    body: Sequence
    subshell: bool
    redirects: list[Redirect]


@dataclass(slots=True)
class Function:
    """A function definition: nothing runs yet."""

    line: int
    name: str
    body: Command


Command = Simple | If | Loop | For | Case | Group | Function


@dataclass(slots=True)
class Script:
    """What could be parsed; ``error`` names the line and reason when the rest could not."""

    body: Sequence = field(default_factory=lambda: Sequence([]))
    error: str = ""
