"""Perl brought into the small form. Source: perldoc (perlsyn, perlop, perlfunc); names of nodes are those of tree-sitter-perl."""

from __future__ import annotations

import ctypes
import re
from functools import cache

import tree_sitter_perl
from tree_sitter import Language, Node

from fwcheck.device.updating import form
from fwcheck.device.updating.form import (
    Assign,
    Assigned,
    Call,
    Choice,
    Compare,
    Constant,
    Do,
    Each,
    Expression,
    Guarded,
    If,
    Include,
    Items,
    Join,
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
    true=Value("1", truth=True),
    false=Value("0", truth=False),
    nil=Value("", truth=False),
    zero_is_false=True,
    empty_is_false=True,
)
_COMPARES = {
    "==": "=", "eq": "=", "!=": "!=", "ne": "!=", "<": "-lt", "<=": "-le", ">": "-gt", ">=": "-ge",
}  # fmt: skip
_ESCAPES = re.compile(r"\\([nt\"\\$@])")
_STRINGS = frozenset({"interpolated_string_literal", "string_literal", "command_string", "heredoc_content"})
_CALLS = frozenset(
    {"function_call_expression", "ambiguous_function_call_expression", "func1op_call_expression", "func0op_call_expression"}
)
_KEYS = frozenset({"autoquoted_bareword", "string_literal", "interpolated_string_literal"})
_MOST_ARGUMENTS = 9
_CAPSULE = b"tree_sitter.Language"  # kept here: a capsule does not copy its name
ERROR = "\1.$@"  # where the error of an eval is kept
STATUS = "\1.$?"  # and the status of the last command


@cache
def grammar() -> Language:
    """The grammar, loaded once."""
    language = tree_sitter_perl.language()
    if isinstance(language, int):  # an address; the library wants it in a capsule
        make = ctypes.pythonapi.PyCapsule_New
        make.restype, make.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        language = make(language, _CAPSULE, None)
    return Language(language)


def read(text: str) -> form.Program:
    """A Perl script in the small form."""
    return _Perl(text, grammar()).program


class _Perl(Reader):
    language = "perl"
    truths = _TRUTHS

    def __init__(self, text: str, grammar: Language) -> None:
        self._shifted: list[int] = []  # for each function around: how many of its arguments were taken off
        super().__init__(text, grammar)

    def value(self, node: Node) -> Expression | None:
        match node.type:
            case kind if kind in _STRINGS:
                return self._string(node) if kind != "command_string" else Call(self.line(node), "qx", [self._string(node)])
            case "number":
                return self.number(self.text(node))
            case "bareword" | "autoquoted_bareword" | "filehandle":
                return self._word(node)
            case "undef_expression":
                return Constant(_TRUTHS.nil)
            case "scalar" | "array" | "hash":
                return self._variable(node)
            case "variable_declaration" | "localization_expression":
                return self._declared(node)
            case "parenthesized_expression" | "expression_statement" | "refgen_expression" | "amper_deref_expression":
                inner = self.named(node)
                return self.expression(inner[0]) if len(inner) == 1 else Items([("", self.expression(each)) for each in inner])
            case "list_expression" | "anonymous_array_expression" | "anonymous_hash_expression":
                return self._list(node)
            case "unary_expression":
                inside = self.expression(node.child_by_field_name("operand"))
                return Not(inside) if self._operator(node) in ("!", "not") else form.Opaque([inside])
            case "binary_expression" | "lowprec_logical_expression" | "equality_expression" | "relational_expression":
                return self._binary(node)
            case "conditional_expression":
                parts = [self.expression(node.child_by_field_name(name)) for name in ("condition", "consequent", "alternative")]
                return Choice(parts[0], parts[1], parts[2])
            case "assignment_expression":
                value = self.expression(node.child_by_field_name("right"))
                return Assigned(self.expression(node.child_by_field_name("left")), value)
            case "hash_element_expression" | "array_element_expression":
                return self._element(node)
            case "readline_expression":
                return Call(self.line(node), "perl read", [self.expression(each) for each in self.named(node)])
            case _:
                return self._call(node)

    def _operator(self, node: Node) -> str:
        operator = node.child_by_field_name("operator")
        return operator.type if operator is not None else ""

    def _string(self, node: Node) -> Expression:
        """Texts with the variables in them: what stands between those is no node of its own."""
        content = node.child_by_field_name("content") or (node if node.type == "heredoc_content" else None)
        if content is None:
            return self.constant("")
        plain = node.type == "string_literal"
        parts: list[Expression] = []
        at = content.start_byte
        for each in self.named(content):
            if each.type in ("escape_sequence", "heredoc_end") or plain:
                continue
            parts += [self._piece(at, each.start_byte), self.expression(each)]
            at = each.end_byte
        parts.append(self._piece(at, content.end_byte))
        return self.constant(parts[0].value.text) if len(parts) == 1 and isinstance(parts[0], Constant) else Join(parts)

    def _piece(self, start: int, end: int) -> Constant:
        return Constant(Value(_ESCAPES.sub(_plain, self.source[start:end].decode(errors="replace"))))

    def _word(self, node: Node) -> Expression:
        text = self.text(node)
        if text.isupper() and node.type != "autoquoted_bareword":
            return Name(f"\1.*{text}")  # a handle
        return self.constant(text)

    def _name(self, node: Node) -> str:
        inner = next((each for each in self.named(node) if each.type == "varname"), None)
        sigil = {"scalar": "$", "array": "@", "hash": "%"}.get(node.type, "")
        return sigil + (self.text(inner) if inner is not None else "")

    def _variable(self, node: Node) -> Expression:
        name = self._name(node)
        if name == "@_" and self._shifted:
            return Items([("", self._argument(at)) for at in range(self._shifted[-1], _MOST_ARGUMENTS)])
        if len(name) < 2:
            return form.Opaque([self.expression(each) for each in self.named(node)])
        return Name(self.key(name))

    def _argument(self, at: int) -> Name:
        return Name(f"{self.frames[-1]}argument.{at}")

    def _declared(self, node: Node) -> Expression:
        """``my $x``, ``my ($x, @y)``."""
        inner = [each for each in self.named(node) if each.type in ("scalar", "array", "hash")]
        local = node.type == "variable_declaration" and not self.text(node).startswith("our")
        made: list[Expression] = [Name(self.declare(self._name(each)) if local else self.key(self._name(each))) for each in inner]
        if node.child_by_field_name("variable") is not None and len(made) == 1:
            return made[0]
        return Items([("", each) for each in made])

    def _list(self, node: Node) -> Expression:
        """A list; ``a => 1`` names what comes behind it."""
        items: list[tuple[str, Expression]] = []
        children = self.named(node)
        if len(children) == 1 and children[0].type == "list_expression":
            children = self.named(children[0])
        key = ""
        for each in children:
            following = each.next_sibling
            if each.type in _KEYS and following is not None and following.type == "=>":
                key = self.text(each).strip("\"'")
                continue
            items.append((key, self.expression(each)))
            key = ""
        return Items(items)

    def _binary(self, node: Node) -> Expression | None:
        operator = self._operator(node)
        if operator == ".":
            return self.joined(node, frozenset({"."}))
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        if operator in _COMPARES:
            return Compare(_COMPARES[operator], self.expression(left), self.expression(right))
        if operator in ("&&", "and", "||", "or"):
            return Logic("and" if operator in ("&&", "and") else "or", self.expression(left), self.expression(right))
        return None

    def _element(self, node: Node) -> Expression:
        parts = self.named(node)
        key = self.text(node.child_by_field_name("key") or node.child_by_field_name("index")).strip("\"'")
        container = node.child_by_field_name("hash") or node.child_by_field_name("array")
        if container is not None and container.type == "container_variable":
            name = self.text(container).lstrip("$")
            if name == "_" and self._shifted and key.isdecimal():
                return self._argument(min(int(key[:3]), 99))
            sigil = "%" if node.type.startswith("hash") else "@"
            return Member(Name(self.key(f"{sigil}{name}")), f"[{key[:60]}]")
        return Member(self.expression(parts[0]), f"[{key[:60]}]") if parts else form.Opaque([])

    # --------------------------------------------------------------------- calls

    def _call(self, node: Node) -> Expression | None:
        line = self.line(node)
        match node.type:
            case kind if kind in _CALLS:
                return self._function_call(node)
            case "function":
                return Call(line, self.text(node).lstrip("&"), [])
            case "method_call_expression":
                return self._method(node)
            case "eval_expression":
                inner = self.named(node)
                if inner and inner[0].type == "block":
                    return Guarded(self.block(inner[0]), ERROR)
                return Call(line, "eval", [self.expression(each) for each in inner])
            case "do_expression":
                inner = self.named(node)
                if inner and inner[0].type == "block":
                    return Guarded(self.block(inner[0]), catches=False)
                return Call(line, "do", [self.expression(each) for each in inner])
            case "require_expression":
                return Call(line, "require", [self.expression(each) for each in self.named(node)])
            case "return_expression" | "loopex_expression" | "postfix_conditional_expression":
                return Guarded(self.one(node), catches=False)
            case "anonymous_subroutine_expression":
                return self.closure(self._sub(node, ""))
            case _:
                return None

    def _given(self, node: Node, field: str = "arguments") -> tuple[list[Expression], dict[str, Expression]]:
        """Arguments, those behind ``=>`` by their names."""
        held = [each for each in node.children_by_field_name(field) if each.is_named]
        if not held:
            return [], {}
        made = (
            self._list(held[0]) if held[0].type in ("list_expression", "parenthesized_expression") else self.expression(held[0])
        )
        items = made.items if isinstance(made, Items) else [("", made)]
        named = {key: value for key, value in items if key}
        return [value for key, value in items if not key], named

    def _function_call(self, node: Node) -> Expression:
        line = self.line(node)
        target = node.child_by_field_name("function")
        name = self.text(target).lstrip("&")
        if node.type.startswith("func"):
            plain = [each for each in self.named(node) if each != target]
            if node.type != "function_call_expression":
                if name == "shift" and self._shifted and (not plain or self.text(plain[0]) == "@_"):
                    self._shifted[-1] += 1
                    return self._argument(self._shifted[-1] - 1)
                if name == "defined" and plain and plain[0].type not in ("scalar", "hash_element_expression"):
                    return self.expression(plain[0])
                return Call(line, name, [self.expression(each) for each in plain])
        arguments, named = self._given(node)
        handle = next((each for each in self.named(node) if each.type == "indirect_object"), None)
        if name in ("print", "printf", "say", "syswrite"):
            return self._print(line, name, handle, node, arguments)
        if name == "open":
            return Call(line, "perl open", arguments, named)
        if name == "sysopen":
            return Call(line, "perl open", [arguments[0], Constant(Value("+>")), *arguments[1:2]] if arguments else [])
        return Call(line, name, arguments, named)

    def _print(self, line: int, name: str, handle: Node | None, node: Node, arguments: list[Expression]) -> Expression:
        """``print $handle data``, ``print HANDLE data``; without a handle it only speaks."""
        if name == "syswrite" and arguments:
            return Call(line, "perl print", arguments)
        if handle is not None:
            inner = next(iter(self.named(handle)), handle)
            return Call(line, "perl print", [self._handle(inner), *arguments])
        inside = node.child_by_field_name("arguments")
        if inside is not None and inside.type == "ambiguous_function_call_expression":
            called = inside.child_by_field_name("function")
            if self.text(called).isupper():
                return Call(line, "perl print", [Name(f"\1.*{self.text(called)}"), *self._given(inside)[0]])
        return Call(line, "print", arguments)

    def _handle(self, node: Node) -> Expression:
        if node.type == "block":
            inner = self.named(node)
            node = self.named(inner[0])[0] if inner and self.named(inner[0]) else node
        return (
            Name(f"\1.*{self.text(node)}")
            if node.type in ("filehandle", "bareword", "indirect_object")
            else self.expression(node)
        )

    def _method(self, node: Node) -> Expression:
        arguments, named = self._given(node)
        invocant, method = node.child_by_field_name("invocant"), self.text(node.child_by_field_name("method"))
        if invocant is not None and invocant.type in ("bareword", "package"):
            kind = self.text(invocant)
            self.program.imports[kind] = kind
            return Call(self.line(node), f"{kind}:{method}", arguments, named)
        return Call(self.line(node), f".{method}", arguments, named, self.expression(invocant))

    # --------------------------------------------------------------------- statements

    def statement(self, node: Node) -> list[Statement] | None:
        line = self.line(node)
        match node.type:
            case "expression_statement":
                return [each for inner in self.named(node) for each in self.one(inner)]
            case "assignment_expression":
                return self._assignment(node)
            case "postfix_conditional_expression":
                return [self._postfix(node)]
            case "postfix_for_expression" | "postfix_loop_expression":
                inner = self.named(node)
                return [Each(line, [], self.expression(node.child_by_field_name("list")), self.one(inner[0]) if inner else [])]
            case "conditional_statement":
                return [self._if(node)]
            case "loop_statement" | "cstyle_for_statement":
                return self._while(node)
            case "for_statement":
                variable = node.child_by_field_name("variable")
                name = self._name(variable) if variable is not None and variable.type == "scalar" else "$_"
                over = self.expression(node.child_by_field_name("list"))
                self.scopes.append({})
                target = Name(self.declare(name))
                body = self.block(node.child_by_field_name("block"))
                self.scopes.pop()
                return [Each(line, [target], over, body)]
            case "subroutine_declaration_statement" | "method_declaration_statement":
                return [self._sub(node, self.text(node.child_by_field_name("name")))]
            case "return_expression":
                inner = self.named(node)
                return [Return(line, self.expression(inner[0]) if inner else Constant(_TRUTHS.nil))]
            case "loopex_expression":
                return [Leave(line, "continue" if self.text(node).startswith("next") else "break")]
            case "block_statement" | "block":
                self.scopes.append({})
                held = self.statements(
                    each for one in self.named(node) for each in ([one] if one.type != "block" else self.named(one))
                )
                self.scopes.pop()
                return held
            case "use_statement":
                module = self.text(node.child_by_field_name("module"))
                self.program.imports[module] = module
                return []
            case "require_expression":
                inner = self.named(node)
                return [Include(line, self.expression(inner[0]))] if inner else []
            case "package_statement" | "data_section" | "eof_marker" | "pod" | "heredoc_content":
                return []
            case _:
                return None

    def _assignment(self, node: Node) -> list[Statement]:
        value = self.expression(node.child_by_field_name("right"))
        target = self.expression(node.child_by_field_name("left"))
        operator = self._operator(node)
        if operator not in ("=", ""):
            value = Join([target, value])
        if isinstance(target, Items):
            targets = [each for _, each in target.items]
            values: list[Expression] = [each for _, each in value.items] if isinstance(value, Items) else [value]
            return [Assign(self.line(node), targets, values[: len(targets)] if len(values) > 1 else values)]
        return [self.assign(node, [target], [value])]

    def _asked(self, node: Node, *words: str) -> Expression:
        asked = self.expression(node.child_by_field_name("condition"))
        turned = any(child.type in words for child in node.children if not child.is_named)
        return Not(asked) if turned else asked

    def _postfix(self, node: Node) -> If:
        inner = self.named(node)
        return If(self.line(node), [(self._asked(node, "unless"), self.one(inner[0]) if inner else [])], [])

    def _if(self, node: Node) -> If:
        branches = [(self._asked(node, "unless"), self._inner(node))]
        otherwise: list[Statement] = []
        at: Node | None = node
        for _ in range(200):
            at = next((each for each in self.named(at) if each.type in ("elsif", "else")), None)
            if at is None:
                break
            if at.type == "else":
                otherwise = self._inner(at)
                break
            branches.append((self.expression(at.child_by_field_name("condition")), self._inner(at)))
        return If(self.line(node), branches, otherwise)

    def _inner(self, node: Node) -> list[Statement]:
        self.scopes.append({})
        try:
            return self.block(node.child_by_field_name("block"))
        finally:
            self.scopes.pop()

    def _while(self, node: Node) -> list[Statement]:
        asked = self._asked(node, "until")
        begun = node.child_by_field_name("initialiser")
        return [*(self.one(begun) if begun is not None else []), While(self.line(node), asked, self._inner(node))]

    def _sub(self, node: Node, name: str) -> form.Define:
        self._shifted.append(0)
        try:
            made = self.function(node, name, (), lambda: self.block(node.child_by_field_name("body")))
        finally:
            self._shifted.pop()
        made.parameters = [f"{made.scope}argument.{at}" for at in range(_MOST_ARGUMENTS)]
        if made.body and isinstance(made.body[-1], Do):
            made.body[-1] = Return(made.body[-1].line, made.body[-1].value)
        return made


def _plain(hit: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t"}.get(hit[1], hit[1])
