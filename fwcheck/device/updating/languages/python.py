"""Python 2 and 3, brought into the small form. Source: the language reference; names of nodes are those of tree-sitter-python."""

from __future__ import annotations

import re
from functools import cache

import tree_sitter_python
from tree_sitter import Language, Node

from fwcheck.device.updating import form
from fwcheck.device.updating.form import (
    Assign,
    Call,
    Choice,
    Compare,
    Constant,
    Define,
    Do,
    Each,
    Expression,
    If,
    Items,
    Join,
    Leave,
    Logic,
    Member,
    Name,
    Not,
    Raise,
    Return,
    Statement,
    Truths,
    Try,
    While,
)  # fmt: skip
from fwcheck.device.updating.languages.reading import Reader
from fwcheck.device.updating.state import Value

_TRUTHS = Truths(
    true=Value("1", truth=True),
    false=Value("0", truth=False),
    nil=Value("\2None", truth=False),
    zero_is_false=True,
    empty_is_false=True,
)
_COMPARES = {"==": "=", "!=": "!=", "<>": "!=", "is": "=", "is not": "!=", "<": "-lt", "<=": "-le", ">": "-gt", ">=": "-ge"}
_ESCAPES = re.compile(r"\\([nt\"'\\\n])")


@cache
def grammar() -> Language:
    """The grammar, loaded once."""
    return Language(tree_sitter_python.language())


def read(text: str) -> form.Program:
    """A Python script in the small form."""
    return _Python(text, grammar()).program


class _Python(Reader):
    language = "python"
    truths = _TRUTHS

    def value(self, node: Node) -> Expression | None:
        match node.type:
            case "string" | "concatenated_string":
                return self._string(node)
            case "integer" | "float":
                return self.number(self.text(node))
            case "true" | "false" | "none":
                return Constant({"true": _TRUTHS.true, "false": _TRUTHS.false, "none": _TRUTHS.nil}[node.type])
            case "identifier":
                return self.variable(self.text(node))
            case "attribute":
                return self._attribute(node)
            case "call":
                return self._call(node)
            case "parenthesized_expression" | "await" | "list_splat" | "keyword_separator":
                return self.expression(next(iter(self.named(node)), None))
            case "not_operator":
                return Not(self.expression(node.child_by_field_name("argument")))
            case "boolean_operator":
                op = node.child_by_field_name("operator")
                left = self.expression(node.child_by_field_name("left"))
                right = self.expression(node.child_by_field_name("right"))
                return Logic("and" if op is not None and op.type == "and" else "or", left, right)
            case "comparison_operator":
                return self._comparison(node)
            case "conditional_expression":
                parts = [*self.named(node), None, None, None]
                then, asked, otherwise = parts[:3]
                return Choice(self.expression(asked), self.expression(then), self.expression(otherwise))
            case "binary_operator":
                return self._operation(node)
            case "list" | "tuple" | "expression_list" | "pattern_list" | "tuple_pattern" | "list_pattern" | "set":
                return Items([("", self.expression(each)) for each in self.named(node)])
            case "dictionary":
                return Items([self._pair(each) for each in self.named(node)])
            case "subscript":
                return self._subscript(node)
            case "lambda":
                names = [
                    self.text(each) for each in self.named(node.child_by_field_name("parameters")) if each.type == "identifier"
                ]
                body = node.child_by_field_name("body")
                return self.closure(self.function(node, "", names, lambda: [Return(self.line(node), self.expression(body))]))
            case "named_expression":
                name = node.child_by_field_name("name")
                return form.Assigned(self.expression(name), self.expression(node.child_by_field_name("value")))
            case _:
                return None

    # --------------------------------------------------------------------- expressions

    def _string(self, node: Node) -> Expression:
        parts: list[Expression] = []
        for each in self.named(node):
            match each.type:
                case "string":
                    parts.append(self._string(each))
                case "string_content":
                    if not each.named_child_count:
                        parts.append(Constant(Value(_unescaped(self.text(each)))))
                    else:
                        parts.append(Constant(Value(_unescaped(self.text(each).replace("{{", "{").replace("}}", "}")))))
                case "interpolation":
                    parts.append(self.expression(each.child_by_field_name("expression")))
        if all(isinstance(each, Constant) for each in parts):
            return self.constant("".join(each.value.text for each in parts if isinstance(each, Constant)))
        return Join(parts)

    def _attribute(self, node: Node) -> Expression:
        inside = self.expression(node.child_by_field_name("object"))
        name = self.text(node.child_by_field_name("attribute"))
        self.program.mentioned.add(name)
        if name == "files" and isinstance(inside, Name | Member) and (_last(inside) == "request"):
            return Call(self.line(node), "request.files", [])
        if isinstance(inside, Name) and inside.dotted:
            return Name(f"{inside.key}.{name}", f"{inside.dotted}.{name}")
        return Member(inside, name)

    def _call(self, node: Node) -> Expression:
        arguments: list[Expression] = []
        named: dict[str, Expression] = {}
        for each in self.named(node.child_by_field_name("arguments")):
            if each.type == "keyword_argument":
                named[self.text(each.child_by_field_name("name"))] = self.expression(each.child_by_field_name("value"))
            else:
                arguments.append(self.expression(each))
        target = node.child_by_field_name("function")
        if target is not None and target.type == "attribute":
            return self._method(node, target, arguments, named)
        return self.called(self.expression(target), node, arguments, named)

    def _method(self, node: Node, target: Node, arguments: list[Expression], named: dict[str, Expression]) -> Expression:
        """``a.b(...)``: a function of a module where ``a`` is one, else a method of a value."""
        receiver = self.expression(target.child_by_field_name("object"))
        name = self.text(target.child_by_field_name("attribute"))
        if isinstance(receiver, Name) and self._is_module(receiver.dotted):
            return Call(self.line(node), f"{receiver.dotted}.{name}", arguments, named)
        return Call(self.line(node), f".{name}", arguments, named, receiver)

    def _is_module(self, dotted: str) -> bool:
        return bool(dotted) and any(dotted == each or dotted.startswith(f"{each}.") for each in self.program.imports.values())

    def _comparison(self, node: Node) -> Expression | None:
        parts = self.named(node)
        operators = " ".join(each.type for each in node.children_by_field_name("operators"))
        if len(parts) != 2 or operators not in _COMPARES:
            return None
        return Compare(_COMPARES[operators], self.expression(parts[0]), self.expression(parts[1]))

    def _operation(self, node: Node) -> Expression | None:
        op = node.child_by_field_name("operator")
        if op is not None and op.type == "+":
            return self.joined(node, frozenset({"+"}))
        if op is None or op.type not in ("%", "/"):
            return None
        left = self.expression(node.child_by_field_name("left"))
        right = self.expression(node.child_by_field_name("right"))
        if op.type == "/":  # a path of pathlib, or a division that nobody asks for here
            return Join([left, Constant(Value("/")), right])
        values = [value for _, value in right.items] if isinstance(right, Items) else [right]
        return Call(self.line(node), "%", [left, *values])

    def _pair(self, node: Node) -> tuple[str, Expression]:
        if node.type != "pair":
            return "", self.expression(node)
        key = self.text(node.child_by_field_name("key")).strip("\"'")
        return key, self.expression(node.child_by_field_name("value"))

    def _subscript(self, node: Node) -> Expression:
        inside = self.expression(node.child_by_field_name("value"))
        index = self.text(node.child_by_field_name("subscript")).strip("\"'")
        return Member(inside, f"[{index[:60]}]")

    # --------------------------------------------------------------------- statements

    def statement(self, node: Node) -> list[Statement] | None:
        line = self.line(node)
        match node.type:
            case "expression_statement":
                return [each for inner in self.named(node) for each in self.one(inner)]
            case "assignment":
                return self._assignment(node)
            case "augmented_assignment":
                left = self.expression(node.child_by_field_name("left"))
                return [Assign(line, [left], [Join([left, self.expression(node.child_by_field_name("right"))])])]
            case "import_statement" | "import_from_statement" | "future_import_statement":
                self._import(node)
                return []
            case "if_statement":
                return [self._if(node)]
            case "while_statement":
                body = self.block(node.child_by_field_name("body"))
                return [While(line, self.expression(node.child_by_field_name("condition")), body), *self._else(node)]
            case "for_statement":
                over = self.expression(node.child_by_field_name("right"))
                target = self._stored(node.child_by_field_name("left"))
                return [Each(line, [target], over, self.block(node.child_by_field_name("body"))), *self._else(node)]
            case "try_statement":
                return [self._try(node)]
            case "with_statement":
                return self._with(node)
            case "return_statement":
                inner = self.named(node)
                return [Return(line, self.expression(inner[0]) if inner else None)]
            case "raise_statement":
                inner = self.named(node)
                value = self.expression(inner[0]) if inner else None
                leaves = isinstance(value, Call) and value.name in ("SystemExit", "exit")
                return [Leave(line, "exit")] if leaves else [Raise(line, value)]
            case "break_statement" | "continue_statement":
                return [Leave(line, "break" if node.type == "break_statement" else "continue")]
            case "assert_statement":
                inner = self.named(node)
                return [If(line, [(Not(self.expression(inner[0])), [Raise(line, None)])], [])] if inner else []
            case "function_definition" | "class_definition" | "decorated_definition":
                return self._definition(node)
            case "global_statement" | "nonlocal_statement":
                for each in self.named(node):
                    self.scopes[-1][self.text(each)] = f"\1.{self.text(each)}"
                return []
            case "block" | "module":
                return self.block(node)
            case "pass_statement" | "delete_statement":
                return []
            case "exec_statement" | "print_statement":
                called = "exec" if node.type == "exec_statement" else "print"
                return [Do(line, Call(line, called, [self.expression(each) for each in self.named(node)]))]
            case "match_statement":
                self.program.broken = True
                return None
            case _:
                return None

    def _else(self, node: Node) -> list[Statement]:
        other = node.child_by_field_name("alternative")
        return self.block(other.child_by_field_name("body")) if other is not None else []

    def _stored(self, node: Node | None) -> Expression:
        """The target of an assignment: a name is the function's own, unless it is told to be another's."""
        if node is not None and node.type == "identifier":
            name = self.text(node)
            if len(self.scopes) > 1 and name not in self.scopes[-1]:
                return Name(self.declare(name))
            return Name(self.key(name))
        if node is not None and node.type in ("pattern_list", "tuple_pattern", "list_pattern", "tuple", "expression_list"):
            return Items([("", self._stored(each)) for each in self.named(node)])
        return self.expression(node)

    def _assignment(self, node: Node) -> list[Statement]:
        right = node.child_by_field_name("right")
        left = node.child_by_field_name("left")
        if right is None:
            return []
        if right.type == "assignment":
            inner = self._assignment(right)
            first = inner[-1] if inner else None
            value = first.targets[0] if isinstance(first, Assign) else form.Opaque([])
            return [*inner, Assign(self.line(node), [self._stored(left)], [value])]
        value = self.expression(right)
        target = self._stored(left)
        if isinstance(target, Items) and isinstance(value, Items) and len(target.items) == len(value.items):
            return [self.assign(node, [each for _, each in target.items], [each for _, each in value.items])]
        if isinstance(target, Items):
            return [Assign(self.line(node), [each for _, each in target.items], [value])]
        return [self.assign(node, [target], [value])]

    def _import(self, node: Node) -> None:
        module = self.text(node.child_by_field_name("module_name"))
        for each in node.children_by_field_name("name"):
            name = self.text(each.child_by_field_name("name") if each.type == "aliased_import" else each)
            alias = self.text(each.child_by_field_name("alias")) if each.type == "aliased_import" else ""
            dotted = f"{module}.{name}".lstrip(".") if module else name
            self.program.imports[alias or name] = dotted
            shown = alias or (name if module else name.partition(".")[0])
            target = dotted if alias or module else shown
            self.program.imports.setdefault(shown, target)
            key = f"\1module.{shown}"
            self.scopes[-1][shown] = key
            self.aliases[key] = target

    def _if(self, node: Node) -> If:
        branches = [(self.expression(node.child_by_field_name("condition")), self.block(node.child_by_field_name("consequence")))]
        otherwise: list[Statement] = []
        for each in node.children_by_field_name("alternative"):
            if each.type == "elif_clause":
                asked = self.expression(each.child_by_field_name("condition"))
                branches.append((asked, self.block(each.child_by_field_name("consequence"))))
            else:
                otherwise = self.block(each.child_by_field_name("body"))
        return If(self.line(node), branches, otherwise)

    def _try(self, node: Node) -> Try:
        handlers: list[list[Statement]] = []
        otherwise: list[Statement] = []
        last: list[Statement] = []
        for each in self.named(node)[1:]:
            body = next((inner for inner in reversed(self.named(each)) if inner.type == "block"), None)
            match each.type:
                case "except_clause" | "except_group_clause":
                    handlers.append(self.block(body))
                case "else_clause":
                    otherwise = self.block(body)
                case "finally_clause":
                    last = self.block(body)
        return Try(self.line(node), self.block(node.child_by_field_name("body")), handlers, otherwise, last)

    def _with(self, node: Node) -> list[Statement]:
        out: list[Statement] = []
        items = [item for clause in self.named(node) if clause.type == "with_clause" for item in self.named(clause)]
        for item in items:
            value = item.child_by_field_name("value")
            if value is not None and value.type == "as_pattern":
                parts = self.named(value)
                target = next(iter(self.named(parts[1])), parts[1]) if len(parts) > 1 else None
                out.append(self.assign(item, [self._stored(target)], [self.expression(parts[0])]))
            else:
                out += [Do(self.line(item), self.expression(value))]
        return [*out, *self.block(node.child_by_field_name("body"))]

    def _definition(self, node: Node, *, inside: bool = False) -> list[Statement]:
        if node.type == "decorated_definition":
            definition = node.child_by_field_name("definition")
            if definition is None:
                return []
            self.program.mentioned.add(self.text(definition.child_by_field_name("name")))
            out: list[Statement] = []
            for each in self.named(node):
                if each.type == "decorator":
                    out.append(Do(self.line(each), self.expression(next(iter(self.named(each)), None))))
            return [*out, *self._definition(definition, inside=inside)]
        if node.type == "class_definition":
            body = self.named(node.child_by_field_name("body"))
            kept: list[Statement] = []
            for each in body:
                told = each.type in ("function_definition", "decorated_definition", "class_definition")
                kept += self._definition(each, inside=True) if told else self.one(each)
            return kept
        return [self._function(node, method=inside)]

    def _function(self, node: Node, *, method: bool) -> Define:
        names: list[str] = []
        for each in self.named(node.child_by_field_name("parameters")):
            inner = each if each.type == "identifier" else each.child_by_field_name("name") or next(iter(self.named(each)), None)
            if inner is not None and inner.type == "identifier":
                names.append(self.text(inner))
        name = self.text(node.child_by_field_name("name"))
        return self.function(node, name, names, lambda: self.block(node.child_by_field_name("body")), method=method)


def _last(expression: Name | Member) -> str:
    if isinstance(expression, Member):
        return expression.name
    return (expression.dotted or expression.key).rpartition(".")[2]


def _unescaped(text: str) -> str:
    return _ESCAPES.sub(lambda hit: {"n": "\n", "t": "\t", "\n": ""}.get(hit[1], hit[1]), text)
