"""Shell scripts parsed: the POSIX shell grammar with the ksh and bash forms that firmware scripts use.

Source: POSIX.1-2017, Shell Command Language (XCU chapter 2); ``[[ ]]``, ``function``, ``$'..'``, ``<<<`` and ``&>`` as in bash.
A shell runs a script line by line, so what stands before a syntax error counts: :func:`parse` returns it, with the line of the
error. Time is linear in the text (times the nesting depth for backquotes); nesting deeper than ``DEPTH_LIMIT`` is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from fwcheck.device.shell.lexer import NAME, PLAIN, Lexer, ShellSyntaxError
from fwcheck.device.shell.tree import (
    UNKNOWN,
    AndOr,
    Case,
    Command,
    For,
    Function,
    Group,
    If,
    Literal,
    Loop,
    Parameter,
    Pipeline,
    Redirect,
    Script,
    Sequence,
    Simple,
    Word,
)

SIZE_LIMIT = 1 << 20

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\[[^\]\n]*\])?\+?=", re.ASCII)
_REDIRECT = re.compile(r"(\d*)(<<<|<<-|<<|<>|<&|>&|>>|>\||&>>|&>|<|>)")
_FUNCTION = re.compile(r"([^\s;&|<>()$`\"'\\=]+)[ \t]*\([ \t]*\)")
_RESERVED = frozenset(("then", "else", "elif", "fi", "do", "done", "esac", "}", "in"))


@lru_cache(maxsize=256)
def parse(text: str) -> Script:
    """The script as far as it can be understood; never raises."""
    if len(text) > SIZE_LIMIT:
        return Script(error="the script is longer than 1 MiB")
    parser = Parser(text.replace(UNKNOWN, " "))
    script = Script()
    try:
        parser.program(script.body)
    except ShellSyntaxError as error:
        script.error = str(error)
    return script


def parse_word(text: str) -> Word | None:
    """One word without splitting at blanks, as between double quotes; None when it does not parse."""
    parser = Parser(text.replace(UNKNOWN, " "))
    try:
        return Word(parser.here_parts(), text)
    except ShellSyntaxError:
        return None


_ENDS = frozenset((" ", "\t", "\n", ";", ""))
_REDIRECTS = frozenset("<>&0123456789")


class Parser(Lexer):
    """The grammar of commands."""

    def program(self, body: Sequence) -> None:
        """Appends to ``body`` as it goes, so that what precedes an error is kept."""
        self.newlines()
        while self.at < len(self.text):
            self.item(body)
            self.newlines()

    def sequence(self, *ends: str) -> Sequence:
        """A list up to (not including) one of the reserved words or operators ``ends``."""
        self.enter()
        body = Sequence([])
        self.newlines()
        while not self.at_end(ends):
            if self.at >= len(self.text):
                raise self.fail(f"{ends[0]!r} is missing")
            self.item(body)
            self.newlines()
        self.depth -= 1
        return body

    def at_end(self, ends: tuple[str, ...]) -> bool:
        word = self.reserved()
        return any(word == end if end[0].isalpha() or end == "}" else self.text.startswith(end, self.at) for end in ends)

    def reserved(self) -> str:
        """The plain word that begins here, as a reserved word would."""
        found = PLAIN.match(self.text, self.at)
        if found is None:
            return ""
        after = self.text[found.end() : found.end() + 1]
        return "" if after and after in "$`\"'\\" else found.group()

    def item(self, body: Sequence) -> None:
        begin, line = self.at, self.line()
        entry = AndOr(line, [("", self.pipeline())])
        body.items.append(entry)
        while True:
            self.blanks()
            op = self.peek(2)
            if op not in ("&&", "||"):
                break
            self.at += 2
            self.newlines()
            entry.parts.append((op, self.pipeline()))
        entry.raw = self.text[begin : self.at].strip()
        if self.peek() == "&" and self.peek(2) != "&&":
            entry.background = True
            self.at += 1
        elif self.peek() == ";" and self.peek(2) != ";;":
            self.at += 1
        elif (
            self.at < len(self.text)
            and self.peek() not in "\n)"
            and self.peek(2) not in (";;", ";&")
            and self.reserved() not in _RESERVED  # closes what stands around a compound command: "( ... ) done"
        ):
            raise self.fail(f"unexpected {self.peek()!r}")

    def pipeline(self) -> Pipeline:
        self.blanks()
        begin, negated = self.at, False
        while self.reserved() == "!":
            negated = not negated
            self.at += 1
            self.blanks()
        commands = [self.command()]
        self.blanks()
        while self.peek() == "|" and self.peek(2) != "||":
            self.at += 2 if self.peek(2) == "|&" else 1
            self.newlines()
            commands.append(self.command())
            self.blanks()
        return Pipeline(commands, negated, self.text[begin : self.at].strip())

    def command(self) -> Command:
        self.blanks()
        line, word = self.line(), self.reserved()
        if self.peek() == "(":
            return self.parenthesis(line)
        if word in _COMPOUND:
            self.at += len(word)
            self.enter()
            result = _COMPOUND[word](self, line)
            self.depth -= 1
            return result
        if word in _RESERVED:
            raise self.fail(f"unexpected {word!r}")
        if found := _FUNCTION.match(self.text, self.at):
            self.at = found.end()
            return self.function_body(line, found.group(1))
        return self.simple(line)

    def parenthesis(self, line: int) -> Command:
        if self.peek(2) == "((" and (end := self.double_parenthesis_end()) >= 0:
            expression = self.text[self.at + 2 : end]
            self.at = end + 2
            words = [Word([Literal("((")], "(("), Word([Literal(expression, quoted=True)], expression)]
            return Simple(line, [], words, self.redirects())
        self.at += 1
        body = self.sequence(")")
        self.at += 1
        return Group(line, body, subshell=True, redirects=self.redirects())

    def function_body(self, line: int, name: str) -> Function:
        self.newlines()
        self.enter()
        body = self.command()
        self.depth -= 1
        return Function(line, name, body)

    def expect(self, word: str) -> None:
        self.newlines()
        if self.reserved() != word:
            raise self.fail(f"{word!r} is missing")
        self.at += len(word)

    def brace_group(self, line: int) -> Command:
        body = self.sequence("}")
        self.at += 1
        return Group(line, body, subshell=False, redirects=self.redirects())

    def if_command(self, line: int) -> Command:
        branches: list[tuple[Sequence, Sequence, str]] = []
        otherwise = None
        while True:
            begin = self.at
            condition = self.sequence("then")
            raw = self.text[begin : self.at].strip().rstrip(";").strip()
            self.at += len("then")
            body = self.sequence("elif", "else", "fi")
            branches.append((condition, body, raw))
            word = self.reserved()
            self.at += len(word)
            if word == "elif":
                continue
            if word == "else":
                otherwise = self.sequence("fi")
                self.at += len("fi")
            return If(line, branches, otherwise, self.redirects())

    def while_command(self, line: int, *, until: bool = False) -> Command:
        begin = self.at
        condition = self.sequence("do")
        raw = self.text[begin : self.at].strip().rstrip(";").strip()
        self.at += len("do")
        body = self.sequence("done")
        self.at += len("done")
        return Loop(line, condition, body, until, raw, self.redirects())

    def until_command(self, line: int) -> Command:
        return self.while_command(line, until=True)

    def for_command(self, line: int) -> Command:
        self.blanks()
        words: list[Word] | None = None
        if self.peek(2) == "((":
            end = self.double_parenthesis_end()
            if end < 0:
                raise self.fail("for (( without ))")
            self.at = end + 2
            name, words = "_", [Word([Parameter("\0for")], "((...))")]
        else:
            found = NAME.match(self.text, self.at)
            if found is None:
                raise self.fail("for without a name")
            name, self.at = found.group(), found.end()
            self.newlines()
            if self.reserved() == "in":
                self.at += 2
                words = []
                self.blanks()
                while self.peek() not in ("", "\n", ";", "&"):
                    words.append(self.word())
                    self.blanks()
        self.blanks()
        if self.peek() == ";":
            self.at += 1
        self.newlines()
        opening = self.reserved()
        if opening not in ("do", "{"):
            raise self.fail("for without do")
        self.at += len(opening)
        closing = "done" if opening == "do" else "}"
        body = self.sequence(closing)
        self.at += len(closing)
        return For(line, name, words, body, self.redirects())

    def case_command(self, line: int) -> Command:
        self.blanks()
        subject = self.word()
        self.expect("in")
        arms: list[tuple[list[Word], Sequence]] = []
        self.newlines()
        while self.reserved() != "esac":
            if self.peek() == "(":
                self.at += 1
            patterns = []
            while True:
                self.blanks()
                patterns.append(self.word())
                self.blanks()
                if self.peek() != "|":
                    break
                self.at += 1
            if self.peek() != ")":
                raise self.fail("')' is missing after a case pattern")
            self.at += 1
            body = self.sequence(";;", ";&", "esac")
            if self.peek() == ";":
                self.at += 3 if self.peek(3) == ";;&" else 2
            arms.append((patterns, body))
            self.newlines()
        self.at += len("esac")
        return Case(line, subject, arms, self.redirects())

    def function_command(self, line: int) -> Command:
        self.blanks()
        found = PLAIN.match(self.text, self.at)
        if found is None:
            raise self.fail("function without a name")
        self.at = found.end()
        self.blanks()
        if self.peek() == "(":
            self.at += 1
            self.blanks()
            if self.peek() != ")":
                raise self.fail("')' is missing")
            self.at += 1
        return self.function_body(line, found.group())

    def double_bracket(self, line: int) -> Command:
        words = [Word([Literal("[[")], "[[")]
        while True:
            self.newlines()
            if self.reserved() == "]]":
                self.at += 2
                return Simple(line, [], words, self.redirects())
            if self.at >= len(self.text):
                raise self.fail("']]' is missing")
            operator = next((op for op in ("&&", "||", "(", ")", "<", ">") if self.text.startswith(op, self.at)), "")
            if operator:
                self.at += len(operator)
                words.append(Word([Literal(operator)], operator))
            else:
                words.append(self.word(pattern=bool(words) and words[-1].raw == "=~"))

    def simple(self, line: int) -> Simple:
        command = Simple(line, [], [], [])
        while True:
            self.blanks()
            here = self.peek()
            if here in ("", "\n", ";", ")") or (here in "&|" and self.peek(2) != "&>"):
                break
            plain = PLAIN.match(self.text, self.at)  # most words are plain: no part of them has to be looked at
            if plain and self.text[plain.end() : plain.end() + 1] in _ENDS and (command.words or "=" not in plain.group()):
                command.words.append(Word([Literal(plain.group())], plain.group()))
                self.at = plain.end()
            elif redirect := self.redirect():
                command.redirects.append(redirect)
            elif not command.words and (found := _ASSIGNMENT.match(self.text, self.at)):
                self.at = found.end()
                value = self.assigned()
                if found.group(2) or self.text[found.end() - 2] == "+":
                    value = Word([Parameter("\0array")], value.raw)
                command.assignments.append((found.group(1), value))
            elif here == "(" and command.words:
                raise self.fail("unexpected '('")
            else:
                command.words.append(self.word())
        if not (command.words or command.assignments or command.redirects):
            raise self.fail(f"a command is missing before {self.peek(8)!r}")
        return command

    def assigned(self) -> Word:
        begin = self.at
        if self.peek() == "(":  # an array, whose elements are not followed
            self.at += 1
            self.newlines()
            while self.peek() != ")":
                if self.at >= len(self.text):
                    raise self.fail("')' is missing")
                self.word()
                self.newlines()
            self.at += 1
            return Word([Parameter("\0array")], self.text[begin : self.at])
        if self.peek() in ("", " ", "\t", "\n", ";", "&", "|", ")", "\r"):
            return Word([], "")
        return self.word()

    def redirects(self) -> list[Redirect]:
        found: list[Redirect] = []
        self.blanks()
        while redirect := self.redirect():
            found.append(redirect)
            self.blanks()
        return found

    def redirect(self) -> Redirect | None:
        if self.text[self.at : self.at + 1] not in _REDIRECTS:
            return None
        found = _REDIRECT.match(self.text, self.at)
        if found is None or self.text.startswith(("<(", ">("), self.at):
            return None
        self.at = found.end()
        self.blanks()
        op, descriptor = found.group(2), int(found.group(1)) if found.group(1) and len(found.group(1)) < 6 else None
        if op in ("<<", "<<-"):
            begin = self.at
            word = self.word()
            delimiter = "".join(part.text for part in word.parts if isinstance(part, Literal))
            quoted = any(mark in self.text[begin : self.at] for mark in "'\"\\")
            redirect = Redirect("<<", Word([], ""), descriptor)
            self.pending.append((redirect, delimiter, quoted, op == "<<-"))
            return redirect
        return Redirect(op, self.word(), descriptor)

    def here_document(self, redirect: Redirect, delimiter: str, *, quoted: bool, strip: bool) -> None:
        begin, lines = self.at, []
        line = self.line()
        while self.at < len(self.text):
            end = self.text.find("\n", self.at)
            end = len(self.text) if end < 0 else end
            row = self.text[self.at : end]
            self.at = min(end + 1, len(self.text))
            row = row.lstrip("\t") if strip else row
            if row.rstrip("\r") == delimiter:
                break
            lines.append(row + "\n")
        text = "".join(lines)
        if quoted:
            redirect.target = Word([Literal(text, quoted=True)], text)
            return
        inner = Parser(text, line, self.depth)
        inner.enter()
        redirect.target = Word(inner.here_parts(), self.text[begin : self.at])


_COMPOUND: dict[str, Callable[[Parser, int], Command]] = {
    "{": Parser.brace_group,
    "if": Parser.if_command,
    "while": Parser.while_command,
    "until": Parser.until_command,
    "for": Parser.for_command,
    "select": Parser.for_command,
    "case": Parser.case_command,
    "function": Parser.function_command,
    "[[": Parser.double_bracket,
}
