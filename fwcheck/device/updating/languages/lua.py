"""Lua 5.1 to 5.4, brought into the small form. Source: the reference manuals of Lua; nodes are named as in tree-sitter-lua."""

from __future__ import annotations

import re
from functools import cache

import tree_sitter_lua
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
    Leave,
    Logic,
    Member,
    Name,
    Not,
    Return,
    Statement,
    Truths,
    While,
)  # fmt: skip
from fwcheck.device.updating.languages.reading import Reader
from fwcheck.device.updating.state import Value

_TRUTHS = Truths(
    true=Value("\2true", truth=True),
    false=Value("\2false", truth=False),
    nil=Value("\2nil", truth=False),
    zero_is_false=False,
    empty_is_false=False,
)
_COMPARES = {"==": "=", "~=": "!=", "<": "-lt", "<=": "-le", ">": "-gt", ">=": "-ge"}
_ESCAPES = re.compile(r"\\(n|t|\"|'|\\|\n)")


@cache
def grammar() -> Language:
    """The grammar, loaded once."""
    return Language(tree_sitter_lua.language())


def read(text: str) -> form.Program:
    """A Lua script in the small form."""
    return _Lua(text, grammar()).program


class _Lua(Reader):
    language = "lua"
    truths = _TRUTHS

    def value(self, node: Node) -> Expression | None:
        match node.type:
            case "string":
                return self.constant(_unescaped(self.text(node.child_by_field_name("content"))))
            case "number":
                return self.number(self.text(node))
            case "nil" | "true" | "false":
                return Constant(getattr(_TRUTHS, node.type))
            case "identifier":
                return self.variable(self.text(node))
            case "parenthesized_expression" | "expression_list":
                inner = self.named(node)
                return self.expression(inner[0]) if len(inner) == 1 else Items([("", self.expression(each)) for each in inner])
            case "dot_index_expression" | "bracket_index_expression":
                return self._index(node)
            case "function_call":
                return self._call(node)
            case "function_definition":
                return self.closure(self._function(node, ""))
            case "table_constructor":
                return Items([self._field(each) for each in self.named(node)])
            case "unary_expression":
                inside = self.expression(node.child_by_field_name("operand"))
                return Not(inside) if self._operator(node) == "not" else form.Opaque([inside])
            case "binary_expression":
                return self._binary(node)
            case _:
                return None

    def _operator(self, node: Node) -> str:
        operator = node.child_by_field_name("operator")
        return operator.type if operator is not None else ""

    def _binary(self, node: Node) -> Expression | None:
        operator = self._operator(node)
        if operator == "..":
            return self.joined(node, frozenset({".."}))
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        if operator in _COMPARES:
            return Compare(_COMPARES[operator], self.expression(left), self.expression(right))
        if operator == "%":  # of LuCI: a text with places, and its values
            values = self.expression(right)
            places = [value for _, value in values.items] if isinstance(values, Items) else [values]
            return Call(self.line(node), "%", [self.expression(left), *places])
        if operator in ("and", "or"):
            return self._logic(operator, self.expression(left), self.expression(right))
        return None

    @staticmethod
    def _logic(operator: str, left: Expression, right: Expression) -> Expression:
        if operator == "or" and isinstance(left, Logic) and left.op == "and":
            return Choice(left.left, left.right, right) if isinstance(left.right, Constant) else Logic("or", left, right)
        return Logic("and" if operator == "and" else "or", left, right)

    def _index(self, node: Node) -> Expression:
        table = self.expression(node.child_by_field_name("table"))
        field = node.child_by_field_name("field")
        if node.type == "bracket_index_expression" and field is not None and field.type != "string":
            return Member(table, "[]") if field.type == "number" else form.Opaque([table, self.expression(field)])
        name = self.text(field).strip("\"'")
        if isinstance(table, Name) and table.dotted:
            dotted = f"{table.dotted}.{name}"
            self.program.mentioned.add(name)
            return Name(f"{table.key}.{name}", dotted)
        return Member(table, name)

    def _field(self, node: Node) -> tuple[str, Expression]:
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        return self.text(name).strip("\"'[]"), self.expression(value)

    def _call(self, node: Node) -> Expression:
        target = node.child_by_field_name("name")
        given = self.named(node.child_by_field_name("arguments"))
        arguments = [self.expression(each) for each in given]
        named = dict(each.items) if len(arguments) == 1 and isinstance(each := arguments[0], Items) else {}
        named = {key: value for key, value in named.items() if key}
        if target is not None and target.type == "method_index_expression":
            method = self.text(target.child_by_field_name("method"))
            receiver = self.expression(target.child_by_field_name("table"))
            if isinstance(receiver, Name) and receiver.dotted and f"{receiver.dotted}.{method}" in self.program.functions:
                return Call(self.line(node), f"{receiver.dotted}.{method}", [receiver, *arguments], named)
            return Call(self.line(node), f".{method}", arguments, named, receiver)
        made = self.called(self.expression(target), node, arguments, named)
        if made.name == "require" and given and isinstance(arguments[0], Constant):
            module = arguments[0].value.text
            self.program.imports[module] = module
            return Name(f"\1module.{module}", module)
        return made

    def _function(self, node: Node, name: str, *, method: bool = False) -> Define:
        parameters = node.child_by_field_name("parameters")
        names = [self.text(each) for each in self.named(parameters) if each.type == "identifier"]
        if method:
            names = ["self", *names]
        return self.function(node, name, names, lambda: self.block(node.child_by_field_name("body")), method=False)

    def statement(self, node: Node) -> list[Statement] | None:
        line = self.line(node)
        match node.type:
            case "variable_declaration":
                inner = self.named(node)
                if inner and inner[0].type == "assignment_statement":
                    return [self._assignment(inner[0], local=True)]
                return [Assign(line, [self._target(each, local=True) for each in self._names(node)], [Constant(_TRUTHS.nil)])]
            case "assignment_statement":
                return [self._assignment(node, local=False)]
            case "function_declaration":
                return self._declaration(node)
            case "if_statement":
                return [self._if(node)]
            case "while_statement":
                asked = self.expression(node.child_by_field_name("condition"))
                return [While(line, asked, self._scoped(node.child_by_field_name("body")))]
            case "repeat_statement":
                body = self._scoped(node.child_by_field_name("body"))
                return [While(line, Not(self.expression(node.child_by_field_name("condition"))), body, first=True)]
            case "for_statement":
                return [self._for(node)]
            case "do_statement":
                return self._scoped(node.child_by_field_name("body"))
            case "return_statement":
                inner = self.named(node)
                values = [self.expression(each) for each in (self.named(inner[0]) if inner else [])]
                return [Return(line, values[0] if values else None)]
            case "break_statement":
                return [Leave(line, "break")]
            case "goto_statement":
                self.program.broken = True
                return []
            case "function_call":
                return [Do(line, self.expression(node))]
            case _:
                return [] if node.type in ("label_statement", "empty_statement", "hash_bang_line") else None

    def _scoped(self, node: Node | None) -> list[Statement]:
        self.scopes.append({})
        try:
            return self.block(node)
        finally:
            self.scopes.pop()

    def _names(self, node: Node) -> list[Node]:
        """The names of a list of variables, without their attributes."""
        lists = [each for each in self.named(node) if each.type == "variable_list"]
        return [each for each in self.named(lists[0] if lists else node) if each.type != "attribute"]

    def _target(self, node: Node, *, local: bool) -> Expression:
        if local and node.type == "identifier":
            name = self.text(node)
            return Name(self.declare(name))
        return self.expression(node)

    def _assignment(self, node: Node, *, local: bool) -> Assign:
        children = self.named(node)
        values = [self.expression(each) for each in (self.named(children[-1]) if len(children) > 1 else [])]
        targets = [self._target(each, local=local) for each in self._names(node)]
        made = self.assign(node, targets, values)
        for target, value in zip(targets, values, strict=False):
            if isinstance(target, Name) and target.dotted and isinstance(value, form.Closure):
                self.program.functions.setdefault(target.dotted, self.program.functions[value.name])
        return made

    def _declaration(self, node: Node) -> list[Statement]:
        name = node.child_by_field_name("name")
        local = node.child(0) is not None and self.text(node).startswith("local")
        if local and name is not None:
            key = self.declare(self.text(name))
            made = self._function(node, self.text(name))
            self.aliases[key] = made.name
            return [made]
        method = name is not None and name.type == "method_index_expression"
        return [self._function(node, self.text(name).replace(":", "."), method=method)]

    def _if(self, node: Node) -> If:
        branches = [
            (self.expression(node.child_by_field_name("condition")), self._scoped(node.child_by_field_name("consequence")))
        ]
        otherwise: list[Statement] = []
        for each in node.children_by_field_name("alternative"):
            if each.type == "elseif_statement":
                asked = self.expression(each.child_by_field_name("condition"))
                branches.append((asked, self._scoped(each.child_by_field_name("consequence"))))
            else:
                otherwise = self._scoped(each.child_by_field_name("body"))
        return If(self.line(node), branches, otherwise)

    def _for(self, node: Node) -> Statement:
        clause = node.child_by_field_name("clause")
        self.scopes.append({})
        try:
            parts = self.named(clause)
            over: Expression = form.Opaque([self.expression(each) for each in parts if each.type != "variable_list"])
            if clause is not None and clause.type == "for_numeric_clause":
                over = form.Opaque([self.expression(each) for each in parts[1:]])
                targets: list[Expression] = [Name(self.declare(self.text(parts[0])))] if parts else []
            else:
                targets = [Name(self.declare(self.text(each))) for each in self.named(parts[0])] if parts else []
            return Each(self.line(node), targets, over, self.block(node.child_by_field_name("body")))
        finally:
            self.scopes.pop()


def _unescaped(text: str) -> str:
    return _ESCAPES.sub(lambda hit: {"n": "\n", "t": "\t"}.get(hit[1], hit[1]), text)
