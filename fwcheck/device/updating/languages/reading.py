"""What the readers of all languages share: parsing within bounds, scopes, and the walk over a syntax tree.

The trees are those of tree-sitter and its grammars for Lua, PHP, Python and Perl; names of nodes are theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import process_time
from typing import ClassVar

from tree_sitter import Language, Node, Parser, Point

from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.updating.form import (
    Assign,
    Call,
    Closure,
    Constant,
    Define,
    Do,
    Expression,
    Include,
    Inside,
    Items,
    Join,
    Name,
    Opaque,
    Program,
    Statement,
    Truths,
)  # fmt: skip
from fwcheck.device.updating.state import Value

_NODE_LIMIT = 60_000
_DEPTH_LIMIT = 90
_SECONDS = 1.5  # of the processor: what the grammars cannot read costs them the square of its length
_SOURCE_LIMIT = 200_000
_UNREAD_LIMIT = 10_000


class Reader:
    """Brings one script into the form; a subclass for each language says what its nodes mean."""

    language: ClassVar[str]
    truths: ClassVar[Truths]
    separator: ClassVar[str] = "."  # between the parts of a dotted name

    def __init__(self, text: str, grammar: Language) -> None:
        self.source = text.encode()
        self.program = Program(self.language, self.truths)
        self.scopes: list[dict[str, str]] = [{}]  # names to keys, innermost last
        self.frames: list[str] = [""]  # what the keys of the function's own variables begin with
        self.aliases: dict[str, str] = {}  # keys to the dotted names that they stand for
        self.inside = [Inside(self.program.texts, self.program.called)]  # of the functions around, innermost last
        self._count = 0
        self._depth = 0
        self._nodes = 0
        tree = parsed(self.source, grammar)
        if tree is None:
            self.program.broken, self.program.unread = True, text
            return
        self.program.broken = tree.has_error
        self.program.body = self.block(tree)

    # --------------------------------------------------------------------- nodes

    def text(self, node: Node | None) -> str:
        """The text of a node."""
        return "" if node is None else self.source[node.start_byte : node.end_byte].decode(errors="replace")

    @staticmethod
    def line(node: Node) -> int:
        """The line of a node."""
        return int(node.start_point[0]) + 1

    @staticmethod
    def named(node: Node | None) -> list[Node]:
        """The children that mean something."""
        return [] if node is None else [each for each in node.named_children if "comment" not in each.type]

    def _enter(self) -> bool:
        self._nodes += 1
        if self._depth >= _DEPTH_LIMIT or self._nodes > _NODE_LIMIT:
            self.program.broken, self.program.deep = True, True
            return False
        return True

    def _lost(self, node: Node) -> None:
        """A part of which the grammar could make nothing."""
        if node.type == "ERROR" and len(self.program.unread) < _UNREAD_LIMIT:
            self.program.unread += f"{self.text(node)[:_UNREAD_LIMIT]}\n"

    def expression(self, node: Node | None) -> Expression:
        """An expression; what nobody knows is looked at for its parts."""
        if node is None or not self._enter():
            return Opaque([])
        self._depth += 1
        try:
            self._lost(node)
            made = self.value(node)
            if made is None:
                made = Opaque([self.expression(each) for each in self.named(node)])
            self._note(made)
            return made
        finally:
            self._depth -= 1

    def _note(self, made: Expression) -> None:
        """What is written and called, to tell quickly whether a script is worth following."""
        inside = self.inside[-1]
        texts = inside.texts
        match made:
            case Constant() | Join():
                texts.add(_written(made))
            case Items():
                texts.add(" ".join(_written(each) for _, each in made.items[:32]))
            case Name():
                inside.names |= {made.key, made.dotted}
            case Call():
                inside.called.add(made.name.replace(":", ".").rpartition(".")[2])
                inside.names.add(made.name)
                texts.add(" ".join(_written(each) for each in made.arguments[:32]))

    def block(self, node: Node | None) -> list[Statement]:
        """The statements of a block."""
        return self.statements(self.named(node))

    def statements(self, nodes: Iterable[Node]) -> list[Statement]:
        """Statements one after the other."""
        out: list[Statement] = []
        for each in nodes:
            out += self.one(each)
        return out

    def one(self, node: Node | None) -> list[Statement]:
        """One statement; what nobody knows is looked at as an expression, a block for its statements."""
        if node is None or not self._enter():
            return []
        self._depth += 1
        try:
            self._lost(node)
            made = self.statement(node)
        finally:
            self._depth -= 1
        if made and isinstance(made[-1], Include):
            self.inside[-1].includes = True
        return made if made is not None else [Do(self.line(node), self.expression(node))]

    def value(self, node: Node) -> Expression | None:
        """An expression of the language; None where it is not known."""
        raise NotImplementedError

    def statement(self, node: Node) -> list[Statement] | None:
        """A statement of the language; None where it is not known."""
        raise NotImplementedError

    # --------------------------------------------------------------------- names

    def key(self, name: str) -> str:
        """Where the value of a variable is kept."""
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return f"\1.{name}"

    def declare(self, name: str) -> str:
        """A variable of the present scope."""
        self._count += 1
        made = f"{self.frames[-1] or chr(1)}{self._count}.{name}"
        self.scopes[-1][name] = made
        return made

    def dotted(self, name: str) -> str:
        """The full name of what a name stands for: imports and aliases undone."""
        key = self.key(name)
        return self.aliases.get(key) or (name if key == f"\1.{name}" else "")

    def variable(self, name: str) -> Name:
        """A variable by its name."""
        self.program.mentioned.add(name)
        made = Name(self.key(name), self.dotted(name))
        self.inside[-1].names |= {made.key, made.dotted}
        return made

    def called(self, target: Expression, node: Node, arguments: list[Expression], named: dict[str, Expression]) -> Call:
        """A call of what an expression names."""
        if isinstance(target, Name) and target.dotted:
            return Call(self.line(node), target.dotted, arguments, named)
        return Call(self.line(node), "", arguments, named, callee=target)

    def function(
        self, node: Node, name: str, parameters: Iterable[str], body: Callable[[], list[Statement]], *, method: bool = False
    ) -> Define:
        """A function with a scope of its own."""
        self._count += 1
        name = name or f"\1closure{self._count}"
        scope = f"\1f{self._count}."
        self.frames.append(scope)
        self.scopes.append({})
        self.inside.append(Inside())
        try:
            keys = [self.declare(each) for each in parameters]
            made = Define(self.line(node), name, keys, body(), scope, method, self.inside[-1])
        finally:
            self.scopes.pop()
            self.frames.pop()
            self._around(self.inside.pop())
        self.program.functions.setdefault(name, made)
        return made

    def _around(self, inner: Inside) -> None:
        """What stands in a function stands in those around it, too."""
        outer = self.inside[-1]
        outer.texts |= inner.texts
        outer.called |= inner.called
        outer.names |= inner.names
        outer.includes = outer.includes or inner.includes

    def closure(self, made: Define) -> Closure:
        """A function as a value."""
        self.program.mentioned.add(made.name)
        return Closure(made.name)

    def constant(self, text: str, *, truth: bool | None = None) -> Constant:
        """A text or number of the script."""
        if text.isidentifier():
            self.program.mentioned.add(text)
        return Constant(Value(text, truth=truth))

    def number(self, text: str) -> Constant:
        """A number; zero is false in some languages."""
        plain = text.replace("_", "").strip()
        zero = plain.lstrip("-+0.") == "" and "0" in plain
        return Constant(Value("0" if zero else plain, truth=not (zero and self.truths.zero_is_false)))

    def joined(self, node: Node, operators: frozenset[str]) -> Expression:
        """A chain of joined texts, however long, without going deeper for each of its parts."""
        parts: list[Node] = []
        at: Node | None = node
        while at is not None and at.type == node.type and (op := at.child_by_field_name("operator")) is not None:
            if op.type not in operators:
                break
            right = at.child_by_field_name("right")
            if right is not None:
                parts.append(right)
            at = at.child_by_field_name("left")
        if at is not None:
            parts.append(at)
        return Join([self.expression(each) for each in reversed(parts)])

    def assign(self, node: Node, targets: list[Expression], values: list[Expression]) -> Assign:
        """An assignment; a variable that is given a function or module by its name stands for it."""
        for target, value in zip(targets, values, strict=False):
            if isinstance(target, Name):
                self.alias(target.key, value)
        return Assign(self.line(node), targets, values)

    def alias(self, key: str, value: Expression) -> None:
        """What a variable stands for after an assignment."""
        if isinstance(value, Name) and value.dotted and key != f"\1.{value.dotted}":  # "local os = os" is os
            self.aliases[key] = value.dotted
        elif isinstance(value, Closure):
            self.aliases[key] = value.name
        else:
            self.aliases.pop(key, None)


def _written(expression: Expression) -> str:
    """The text of an expression as far as it stands there."""
    if isinstance(expression, Constant):
        return expression.value.text[:400]
    if isinstance(expression, Join):
        return "".join(_written(each) for each in expression.parts[:64])[:1000]
    return UNKNOWN


def parsed(source: bytes, grammar: Language) -> Node | None:
    """The syntax tree of a text; None where it is too long, or takes the parser too long."""
    if len(source) > _SOURCE_LIMIT:
        return None
    until = process_time() + _SECONDS

    def read(offset: int, _point: Point) -> bytes:
        return source[offset : offset + 65_536]

    try:
        tree = Parser(grammar).parse(read, progress_callback=lambda _offset, _error: process_time() > until)
    except ValueError:  # stopped
        return None
    return tree.root_node
