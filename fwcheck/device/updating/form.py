"""The small form into which Lua, PHP, Python and Perl are brought before they are followed.

Only what decides about a write is kept: calls, values that flow into them, conditions, and what ends a function, a loop or the
program. Names are resolved when a script is read: a variable has one name wherever it is meant (``scope.name``), and the function
of a call its dotted name with imports undone (``subprocess.run``). What a language has beyond that is :class:`Opaque`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from fwcheck.device.updating.state import Value


@dataclass(slots=True)
class Constant:
    """A value that stands in the script."""

    value: Value


@dataclass(slots=True)
class Name:
    """A variable, or what a dotted name means: ``key`` is where its value is kept, ``dotted`` what it is called."""

    key: str
    dotted: str = ""


@dataclass(slots=True)
class Member:
    """An attribute or element of a value."""

    of: Expression
    name: str


@dataclass(slots=True)
class Join:
    """Texts one behind the other."""

    parts: list[Expression]


@dataclass(slots=True)
class Call:
    """A function called by its dotted name, or, with a receiver, a method of a value."""

    line: int
    name: str
    arguments: list[Expression]
    named: dict[str, Expression] = field(default_factory=dict)
    receiver: Expression | None = None
    callee: Expression | None = None  # what is called, where it is neither a name nor a method


@dataclass(slots=True)
class Not:
    """The opposite."""

    of: Expression


@dataclass(slots=True)
class Logic:
    """``and``, ``or``: the second is looked at when the first leaves it open; the value is that of the one that decides."""

    op: Literal["and", "or"]
    left: Expression
    right: Expression


@dataclass(slots=True)
class Compare:
    """Two values compared; operators as those of test(1)."""

    op: str
    left: Expression
    right: Expression


@dataclass(slots=True)
class Choice:
    """``a ? b : c``."""

    asked: Expression
    then: Expression
    otherwise: Expression


@dataclass(slots=True)
class Items:
    """Lists, tuples and tables: values with their keys, "" where they have none."""

    items: list[tuple[str, Expression]]


@dataclass(slots=True)
class Closure:
    """A function without a name of its own, known by one that was made up."""

    name: str


@dataclass(slots=True)
class Assigned:
    """An assignment whose value is used."""

    target: Expression
    value: Expression


@dataclass(slots=True)
class Opaque:
    """Anything else: its parts are looked at, what comes out is unknown."""

    parts: list[Expression]


@dataclass(slots=True)
class Guarded:
    """``eval { ... }``: the value says whether the body got to its end; the language keeps the error in ``error``.

    Without ``catches`` it is statements where a value stands (``x() or return``).
    """

    body: list[Statement]
    error: str = ""
    catches: bool = True


Expression = (
    Constant | Name | Member | Join | Call | Not | Logic | Compare | Choice | Items | Closure | Assigned | Opaque | Guarded
)


@dataclass(slots=True)
class Do:
    """An expression as a statement."""

    line: int
    value: Expression


@dataclass(slots=True)
class Assign:
    """``a, b = x, y``."""

    line: int
    targets: list[Expression]
    values: list[Expression]


@dataclass(slots=True)
class If:
    """Conditions with their bodies, and what is done when none holds."""

    line: int
    branches: list[tuple[Expression, list[Statement]]]
    otherwise: list[Statement]


@dataclass(slots=True)
class While:
    """A loop on a condition; with ``first`` its body comes before it."""

    line: int
    asked: Expression
    body: list[Statement]
    first: bool = False


@dataclass(slots=True)
class Each:
    """A loop over values."""

    line: int
    targets: list[Expression]
    over: Expression
    body: list[Statement]


@dataclass(slots=True)
class Once:
    """A body that ``break`` leaves: the arms of a switch."""

    line: int
    body: list[Statement]


@dataclass(slots=True)
class Return:
    """The end of a function with its value."""

    line: int
    value: Expression | None


@dataclass(slots=True)
class Leave:
    """The end of a loop's turn, of a loop, or of the program."""

    line: int
    kind: Literal["break", "continue", "exit"]


@dataclass(slots=True)
class Raise:
    """An error thrown."""

    line: int
    value: Expression | None


@dataclass(slots=True)
class Try:
    """A body, what catches its errors, and what is done in the end."""

    line: int
    body: list[Statement]
    handlers: list[list[Statement]]
    otherwise: list[Statement]
    last: list[Statement]


@dataclass(slots=True)
class Include:
    """Another script read in at this place."""

    line: int
    path: Expression


@dataclass(slots=True)
class Inside:
    """What stands in a function and the functions in it: tells whether it can lead to anything without following it."""

    texts: set[str] = field(default_factory=set)  # as in a program
    called: set[str] = field(default_factory=set)  # as in a program
    names: set[str] = field(default_factory=set)  # keys and dotted names
    includes: bool = False  # takes in other files


@dataclass(slots=True)
class Define:
    """A function; nothing runs yet."""

    line: int
    name: str
    parameters: list[str]  # keys of its parameters
    body: list[Statement]
    scope: str = ""  # what the keys of its variables begin with
    method: bool = False
    inside: Inside = field(default_factory=Inside)


Statement = Do | Assign | If | While | Each | Once | Return | Leave | Raise | Try | Include | Define


class Truths(NamedTuple):
    """What a language has for true, false and nothing, and whether zero and the empty text count as false."""

    true: Value
    false: Value
    nil: Value
    zero_is_false: bool
    empty_is_false: bool


@dataclass(slots=True)
class Program:
    """A script brought into the form."""

    language: str
    truths: Truths
    body: list[Statement] = field(default_factory=list)
    functions: dict[str, Define] = field(default_factory=dict)  # also those that are defined further inside
    imports: dict[str, str] = field(default_factory=dict)
    mentioned: set[str] = field(default_factory=set)  # names used as values and texts: functions that others may call
    texts: set[str] = field(default_factory=set)  # as they are written, what is put between them unknown
    called: set[str] = field(default_factory=set)  # names of functions and methods
    broken: bool = False  # the grammar could not make sense of a part, or it was too deep or too long
    deep: bool = False  # too deep or too long
    unread: str = ""  # the parts that are meant, as far as they are kept
