"""PHP brought into the small form. Source: the PHP manual; names of nodes are those of tree-sitter-php."""

from __future__ import annotations

import re
from functools import cache

import tree_sitter_php
from tree_sitter import Language, Node

from fwcheck.device.updating import form
from fwcheck.device.updating.form import (
    Assigned,
    Call,
    Choice,
    Compare,
    Constant,
    Define,
    Do,
    Each,
    Expression,
    If,
    Include,
    Items,
    Join,
    Leave,
    Logic,
    Member,
    Name,
    Not,
    Once,
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
    nil=Value("", truth=False),
    zero_is_false=True,
    empty_is_false=True,
)
_COMPARES = {
    **dict.fromkeys(("==", "==="), "="), **dict.fromkeys(("!=", "!==", "<>"), "!="),
    "<": "-lt", "<=": "-le", ">": "-gt", ">=": "-ge",
}  # fmt: skip
_ESCAPES = re.compile(r"\\([nt\"\\$])")
_INCLUDES = frozenset({"include_expression", "include_once_expression", "require_expression", "require_once_expression"})
_FUNCTIONS = frozenset({"function_definition", "method_declaration"})


@cache
def grammar() -> Language:
    """The grammar, loaded once."""
    return Language(tree_sitter_php.language_php())


def read(text: str) -> form.Program:
    """A PHP script in the small form."""
    return _PHP(text, grammar()).program


class _PHP(Reader):
    language = "php"
    truths = _TRUTHS

    def value(self, node: Node) -> Expression | None:
        match node.type:
            case "string" | "encapsed_string" | "heredoc" | "nowdoc" | "heredoc_body" | "nowdoc_body":
                return self._string(node)
            case "integer" | "float":
                return self.number(self.text(node))
            case "boolean":
                return Constant(_TRUTHS.true if self.text(node).lower() == "true" else _TRUTHS.false)
            case "null":
                return Constant(_TRUTHS.nil)
            case "name" | "qualified_name":
                return self.constant(self.text(node).lstrip("\\"))
            case "variable_name":
                return self._variable(node)
            case "parenthesized_expression" | "error_suppression_expression" | "argument" | "by_ref" | "cast_expression":
                return self.expression(next(reversed(self.named(node)), None))
            case "unary_op_expression":
                inside = self.expression(next(iter(self.named(node)), None))
                operator = node.child_by_field_name("operator") or node.child(0)
                return Not(inside) if operator is not None and operator.type == "!" else form.Opaque([inside])
            case "binary_expression":
                return self._binary(node)
            case "conditional_expression":
                asked = self.expression(node.child_by_field_name("condition"))
                then, otherwise = node.child_by_field_name("body"), node.child_by_field_name("alternative")
                return Choice(asked, self.expression(then) if then is not None else asked, self.expression(otherwise))
            case "assignment_expression" | "reference_assignment_expression":
                return self._assigned(node)
            case "augmented_assignment_expression":
                left = self.expression(node.child_by_field_name("left"))
                right = self.expression(node.child_by_field_name("right"))
                return Assigned(left, Join([left, right]))
            case "array_creation_expression" | "list_literal":
                return Items([self._element(each) for each in self.named(node)])
            case "subscript_expression":
                return self._subscript(node)
            case "member_access_expression" | "nullsafe_member_access_expression" | "scoped_property_access_expression":
                parts = self.named(node)
                return Member(self.expression(parts[0]), self.text(parts[-1])) if parts else None
            case "class_constant_access_expression":
                return self.constant(self.text(node).rpartition("::")[2])
            case _:
                return self._call(node)

    def _call(self, node: Node) -> Expression | None:
        line = self.line(node)
        match node.type:
            case "function_call_expression":
                target = node.child_by_field_name("function")
                arguments = self._arguments(node)
                if target is not None and target.type in ("name", "qualified_name"):
                    return Call(line, self._function_name(self.text(target)), arguments)
                return Call(line, "", arguments, callee=self.expression(target))
            case "member_call_expression" | "nullsafe_member_call_expression":
                receiver = self.expression(node.child_by_field_name("object"))
                return Call(line, f".{self.text(node.child_by_field_name('name'))}", self._arguments(node), {}, receiver)
            case "scoped_call_expression":
                scope, name = self.text(node.child_by_field_name("scope")), self.text(node.child_by_field_name("name"))
                if scope in ("self", "static", "parent") or scope[:1].isupper():
                    own = "self." if scope in ("self", "static", "parent") else ""
                    return Call(line, f"{own or scope.strip(chr(92)).replace(chr(92), '.') + '.'}{name}", self._arguments(node))
                return Call(line, f".{name}", self._arguments(node), {}, self.expression(node.child_by_field_name("scope")))
            case "object_creation_expression":
                parts = self.named(node)
                name = self.text(parts[0]).strip("\\").replace("\\", ".") if parts else ""
                return Call(line, self.program.imports.get(name, name), self._arguments(node))
            case "shell_command_expression":
                return Call(line, "shell_exec", [self._string(node)])
            case "anonymous_function" | "arrow_function" | "anonymous_function_creation_expression":
                return self.closure(self._function(node, ""))
            case "throw_expression":
                return Call(line, "\1throw", [self.expression(each) for each in self.named(node)])
            case "exit_statement" | "print_intrinsic":
                return Call(
                    line, "exit" if node.type == "exit_statement" else "print", [self.expression(e) for e in self.named(node)]
                )
            case "include_expression" | "include_once_expression" | "require_expression" | "require_once_expression":
                return Call(line, "\1include", [self.expression(each) for each in self.named(node)])
            case _:
                return None

    def _function_name(self, name: str) -> str:
        bare = name.strip("\\").rpartition("\\")[2]
        return bare if bare in self.program.functions else bare.lower() if bare.lower() != bare and bare.isupper() else bare

    def _arguments(self, node: Node) -> list[Expression]:
        held = node.child_by_field_name("arguments") or next(
            (each for each in self.named(node) if each.type == "arguments"), None
        )
        return [self.expression(next(reversed(self.named(each)), None)) for each in self.named(held)]

    def _string(self, node: Node) -> Expression:
        parts: list[Expression] = []
        for each in self.named(node):
            if each.type in ("string_content", "escape_sequence", "nowdoc_string"):
                parts.append(Constant(Value(_unescaped(self.text(each)))))
            elif each.type not in ("heredoc_start", "heredoc_end"):
                parts.append(self.expression(each))
        if all(isinstance(each, Constant) for each in parts):
            return self.constant("".join(each.value.text for each in parts if isinstance(each, Constant)))
        return Join(parts)

    def _variable(self, node: Node) -> Expression:
        name = self.text(node).lstrip("$")
        if name in ("_FILES", "HTTP_RAW_POST_DATA"):
            return Call(self.line(node), "$_FILES", [])
        if len(self.frames) > 1 and name not in self.scopes[-1] and not name.startswith("_"):
            self.declare(name)
        return Name(self.key(name))

    def _binary(self, node: Node) -> Expression | None:
        operator = node.child_by_field_name("operator")
        op = operator.type.lower() if operator is not None else ""
        if op == ".":
            return self.joined(node, frozenset({"."}))
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        if op in _COMPARES:
            return Compare(_COMPARES[op], self.expression(left), self.expression(right))
        if op in ("&&", "and", "||", "or"):
            return Logic("and" if op in ("&&", "and") else "or", self.expression(left), self.expression(right))
        return None

    def _assigned(self, node: Node) -> Expression:
        value = self.expression(node.child_by_field_name("right"))
        return Assigned(self.expression(node.child_by_field_name("left")), value)

    def _element(self, node: Node) -> tuple[str, Expression]:
        parts = self.named(node)
        if node.type == "array_element_initializer" and len(parts) == 2:
            return self.text(parts[0]).strip("\"'"), self.expression(parts[1])
        return "", self.expression(parts[-1] if node.type == "array_element_initializer" and parts else node)

    def _subscript(self, node: Node) -> Expression:
        parts = self.named(node)
        inside = self.expression(parts[0]) if parts else form.Opaque([])
        if isinstance(inside, Call):
            return inside
        if len(parts) < 2:
            return Member(inside, "[]")
        key = self.expression(parts[1])
        return Member(inside, f"[{key.value.text[:60]}]") if isinstance(key, Constant) else form.Opaque([inside, key])

    # --------------------------------------------------------------------- statements

    def statement(self, node: Node) -> list[Statement] | None:
        line = self.line(node)
        match node.type:
            case "expression_statement":
                return [each for inner in self.named(node) for each in self.one(inner)]
            case "assignment_expression" | "reference_assignment_expression":
                left = node.child_by_field_name("left")
                value = self.expression(node.child_by_field_name("right"))
                return [self.assign(node, [self.expression(left)], [value])]
            case "if_statement":
                return [self._if(node)]
            case "while_statement" | "do_statement":
                body = self._body(node.child_by_field_name("body"))
                asked = self.expression(node.child_by_field_name("condition"))
                return [While(line, asked, body, first=node.type == "do_statement")]
            case "for_statement":
                begun = [Do(line, self.expression(each)) for each in node.children_by_field_name("initialize")]
                asked = self.expression(node.child_by_field_name("condition"))
                return [*begun, While(line, asked, self._body(node.child_by_field_name("body")))]
            case "foreach_statement":
                parts = [each for each in self.named(node) if each != node.child_by_field_name("body")]
                over = self.expression(parts[0]) if parts else form.Opaque([])
                targets = self.named(parts[1]) if len(parts) > 1 and parts[1].type == "pair" else parts[1:2]
                return [
                    Each(line, [self.expression(each) for each in targets], over, self._body(node.child_by_field_name("body")))
                ]
            case "switch_statement":
                return [self._switch(node)]
            case "try_statement":
                return [self._try(node)]
            case "return_statement":
                inner = self.named(node)
                return [Return(line, self.expression(inner[0]) if inner else None)]
            case "break_statement" | "continue_statement":
                return [Leave(line, "break" if node.type == "break_statement" else "continue")]
            case "exit_statement":
                return [*(Do(line, self.expression(each)) for each in self.named(node)), Leave(line, "exit")]
            case "throw_expression" | "throw_statement":
                inner = self.named(node)
                return [Raise(line, self.expression(inner[0]) if inner else None)]
            case "global_declaration":
                for each in self.named(node):
                    name = self.text(each).lstrip("$")
                    self.scopes[-1][name] = f"\1.{name}"
                return []
            case _:
                return self._outline(node)

    def _outline(self, node: Node) -> list[Statement] | None:
        line = self.line(node)
        if node.type in _FUNCTIONS:
            return [self._function(node, self.text(node.child_by_field_name("name")), method=node.type == "method_declaration")]
        if node.type in _INCLUDES:
            return [Include(line, self.expression(next(iter(self.named(node)), None)))]
        match node.type:
            case "compound_statement" | "colon_block" | "program" | "declaration_list" | "namespace_definition":
                return self.block(node)
            case "class_declaration" | "trait_declaration":
                return self.block(node.child_by_field_name("body"))
            case "interface_declaration" | "property_declaration" | "const_declaration" | "use_declaration":
                return []
            case "namespace_use_declaration":
                for each in re.findall(r"([\w\\]+)(?:\s+as\s+(\w+))?\s*[,;]", self.text(node)[:2000]):
                    dotted = each[0].strip("\\").replace("\\", ".")
                    self.program.imports[each[1] or dotted.rpartition(".")[2]] = dotted
                return []
            case "text" | "php_tag" | "text_interpolation" | "empty_statement" | "named_label_statement":
                return []
            case "goto_statement":
                self.program.broken = True
                return []
            case "echo_statement" | "unset_statement":
                return [Do(line, form.Opaque([self.expression(each) for each in self.named(node)]))]
            case _:
                return None

    def _body(self, node: Node | None) -> list[Statement]:
        return self.one(node) if node is not None else []

    def _if(self, node: Node) -> If:
        branches = [(self.expression(node.child_by_field_name("condition")), self._body(node.child_by_field_name("body")))]
        otherwise: list[Statement] = []
        for each in node.children_by_field_name("alternative"):
            body = self._body(each.child_by_field_name("body"))
            if each.type == "else_if_clause":
                branches.append((self.expression(each.child_by_field_name("condition")), body))
            else:
                otherwise = body
        return If(self.line(node), branches, otherwise)

    def _switch(self, node: Node) -> Once:
        """The arms, each with those that it falls into."""
        subject = self.expression(node.child_by_field_name("condition"))
        arms: list[tuple[Expression | None, list[Statement]]] = []
        for each in self.named(node.child_by_field_name("body")):
            value = each.child_by_field_name("value")
            inner = [one for one in self.named(each) if one != value]
            arms.append((self.expression(value) if value is not None else None, self.statements(inner)))
        branches: list[tuple[Expression, list[Statement]]] = []
        otherwise: list[Statement] = []
        for at, (asked, body) in enumerate(arms[:200]):
            whole = list(body)
            for _, further in arms[at + 1 : at + 20]:
                if whole and isinstance(whole[-1], Leave | Return | Raise):
                    break
                whole += further
            if asked is None:
                otherwise = whole
            else:
                branches.append((Compare("=", subject, asked), whole))
        return Once(self.line(node), [If(self.line(node), branches, otherwise)])

    def _try(self, node: Node) -> Try:
        clauses = self.named(node)[1:]
        handlers = [self._body(each.child_by_field_name("body")) for each in clauses if each.type == "catch_clause"]
        last = [one for each in clauses if each.type == "finally_clause" for one in self._body(each.child_by_field_name("body"))]
        return Try(self.line(node), self._body(node.child_by_field_name("body")), handlers, [], last)

    def _function(self, node: Node, name: str, *, method: bool = False) -> Define:
        parameters = node.child_by_field_name("parameters")
        names = [self.text(each.child_by_field_name("name")).lstrip("$&.") for each in self.named(parameters)]
        used = [each for each in self.named(node) if each.type == "anonymous_function_use_clause"]
        keys = {self.text(each).lstrip("&$"): self.key(self.text(each).lstrip("&$")) for one in used for each in self.named(one)}
        body = node.child_by_field_name("body")

        def read_body() -> list[Statement]:
            self.scopes[-1].update(keys)
            if node.type == "arrow_function":
                return [Return(self.line(node), self.expression(body))]
            return self._body(body)

        return self.function(node, name, ["this", *names] if method else names, read_body, method=method)


def _unescaped(text: str) -> str:
    return _ESCAPES.sub(lambda hit: {"n": "\n", "t": "\t"}.get(hit[1], hit[1]), text)
