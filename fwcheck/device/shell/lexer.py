"""The lexical half of the shell grammar: positions, quoting, words and their substitutions.

Source: POSIX.1-2017, XCU 2.2 (quoting), 2.3 (token recognition), 2.6 (word expansions); ``$'..'`` and ``<(..)`` as in bash.
"""

from __future__ import annotations

import re

from fwcheck.device.shell.tree import Arithmetic, CommandSubstitution, Literal, Parameter, Redirect, Sequence, Word

DEPTH_LIMIT = 40
Parts = list[Literal | Parameter | CommandSubstitution | Arithmetic]


class ShellSyntaxError(Exception):
    """The text is no shell script that this parser understands, from ``line`` on."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


_BLANK = re.compile(r"(?:[ \t\r]|\\\r?\n)+")
PLAIN = re.compile(r"[^\s;&|<>()$`\"'\\\0]+")
_DOUBLE = re.compile(r"[^\"$`\\]+")
_BRACED = re.compile(r"[^\"'$`\\}]+")
_HEREDOC = re.compile(r"[^$`\\]+")
NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_SPECIAL = "@*#?-$!0123456789"


_BLANKS = frozenset(" \t\\\r")


class Lexer:
    """A text with a position; the grammar is added by its subclass."""

    def __init__(self, text: str, line: int = 1, depth: int = 0) -> None:
        self.text = text
        self.at = 0
        self.depth = depth
        self.first_line = line
        self._counted = (0, line)
        self.pending: list[tuple[Redirect, str, bool, bool]] = []  # here-documents whose text begins on the next line

    # Position

    def line(self) -> int:
        """The line of the present position; counted on from the last call, so linear as a whole."""
        at, line = self._counted
        if self.at < at:
            at, line = 0, self.first_line
        line += self.text.count("\n", at, self.at)
        self._counted = (self.at, line)
        return line

    def fail(self, message: str) -> ShellSyntaxError:
        return ShellSyntaxError(self.line(), message)

    def enter(self) -> None:
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise self.fail("nested too deeply")

    def peek(self, length: int = 1) -> str:
        return self.text[self.at : self.at + length]

    def blanks(self) -> None:
        here = self.text[self.at : self.at + 1]
        if here in _BLANKS:
            if found := _BLANK.match(self.text, self.at):
                self.at = found.end()
            here = self.text[self.at : self.at + 1]
        if here == "#" and (self.at == 0 or self.text[self.at - 1] in " \t\r\n;&|()`"):
            end = self.text.find("\n", self.at)
            self.at = len(self.text) if end < 0 else end

    def newlines(self) -> None:
        self.blanks()
        while self.peek() == "\n":
            self.newline()
            self.blanks()

    def newline(self) -> None:
        self.at += 1
        waiting, self.pending = self.pending, []
        for redirect, delimiter, quoted, strip in waiting:
            self.here_document(redirect, delimiter, quoted=quoted, strip=strip)

    # What the grammar defines

    def sequence(self, *ends: str) -> Sequence:
        """A list of commands up to one of the reserved words or operators ``ends``."""
        raise NotImplementedError

    def program(self, body: Sequence) -> None:
        """All commands of the text, appended to ``body`` one by one."""
        raise NotImplementedError

    def here_document(self, redirect: Redirect, delimiter: str, *, quoted: bool, strip: bool) -> None:
        """Reads the text of a here-document that was announced on the line before."""
        raise NotImplementedError

    def double_parenthesis_end(self, *, lines: bool = False) -> int:
        """Where the ``))`` that closes an arithmetic command stands; -1 when this is a subshell in a subshell.

        An expression may go over several lines where a value is asked for (``lines``).
        """
        level = 0
        for found in re.compile(r"[()\n]").finditer(self.text, self.at, self.at + 4096):
            mark = found.group()
            if mark == "\n":
                if lines:
                    continue
                return -1
            level += 1 if mark == "(" else -1
            if level == 1 and mark == ")":
                return found.start() if self.text.startswith("))", found.start()) else -1
        return -1

    # Words

    def word(self, *, pattern: bool = False) -> Word:
        begin = self.at
        parts: Parts = []
        while self.at < len(self.text):
            if found := PLAIN.match(self.text, self.at):
                parts.append(Literal(found.group()))
                self.at = found.end()
                continue
            here = self.peek()
            if here == "'":
                parts.append(Literal(self.single(), quoted=True))
            elif here == '"':
                self.at += 1
                parts.append(Literal("", quoted=True))
                self.double(parts)
            elif here == "\\":
                self.escape(parts)
            elif here in "$`":
                self.dollar(parts, quoted=False)
            elif here in "<>" and self.text[self.at + 1 : self.at + 2] == "(":
                self.at += 2
                parts.append(CommandSubstitution(self.sequence(")"), opaque=True))
                self.at += 1
            elif pattern and here in "()|":
                parts.append(Literal(here))
                self.at += 1
            else:
                break
        if self.at == begin:
            raise self.fail(f"a word is missing before {self.peek(8)!r}")
        return Word(parts, self.text[begin : self.at])

    def single(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise self.fail("unterminated '")
        text = self.text[self.at + 1 : end]
        self.at = end + 1
        return text

    def escape(self, parts: Parts) -> None:
        follower = self.text[self.at + 1 : self.at + 2]
        if follower == "\r" and self.text[self.at + 2 : self.at + 3] == "\n":
            self.at += 3
            return
        self.at += 2
        if follower != "\n":
            parts.append(Literal(follower or "\\", quoted=True))

    def double(self, parts: Parts) -> None:
        """The inside of double quotes; the closing quote is consumed."""
        while True:
            if found := _DOUBLE.match(self.text, self.at):
                parts.append(Literal(found.group(), quoted=True))
                self.at = found.end()
            here = self.peek()
            if here == '"':
                self.at += 1
                return
            if not here:
                raise self.fail('unterminated "')
            if here == "\\":
                self.quoted_escape(parts, '$`"\\')
            else:
                self.dollar(parts, quoted=True)

    def quoted_escape(self, parts: Parts, special: str) -> None:
        follower = self.text[self.at + 1 : self.at + 2]
        self.at += 2 if follower else 1
        if follower == "\n":
            return
        parts.append(Literal(follower if follower and follower in special else "\\" + follower, quoted=True))

    def here_parts(self) -> Parts:
        """The rest of the text with substitutions but no quotes."""
        parts: Parts = []
        while self.at < len(self.text):
            if found := _HEREDOC.match(self.text, self.at):
                parts.append(Literal(found.group(), quoted=True))
                self.at = found.end()
            elif self.peek() == "\\":
                self.quoted_escape(parts, "$`\\")
            else:
                self.dollar(parts, quoted=True)
        return parts

    def dollar(self, parts: Parts, *, quoted: bool) -> None:
        if self.peek() == "`":
            parts.append(self.backquote(quoted=quoted))
            return
        follower = self.text[self.at + 1 : self.at + 2]
        if follower == "(":
            parts.append(self.substitution(quoted=quoted))
        elif follower == "{":
            parts.append(self.braced(quoted=quoted))
        elif follower == "'" and not quoted:
            parts.append(self.ansi())
        elif follower == '"' and not quoted:
            self.at += 1
        elif found := NAME.match(self.text, self.at + 1):
            self.at = found.end()
            parts.append(Parameter(found.group(), quoted))
        elif follower and follower in _SPECIAL:
            self.at += 2
            parts.append(Parameter(follower, quoted))
        else:
            self.at += 1
            parts.append(Literal("$", quoted=True))

    def ansi(self) -> Literal:
        found = re.compile(r"\$'((?:[^'\\]|\\.)*)'", re.DOTALL).match(self.text, self.at)
        if found is None:
            raise self.fail("unterminated $'")
        self.at = found.end()
        escapes = {"n": "\n", "t": "\t", "r": "\r", "e": "\x1b", "a": "\a", "b": "\b"}
        return Literal(re.sub(r"\\(.)", lambda m: escapes.get(m.group(1), m.group(1)), found.group(1)), quoted=True)

    def backquote(self, *, quoted: bool) -> CommandSubstitution:
        found = re.compile(r"`((?:[^`\\]|\\.)*)`", re.DOTALL).match(self.text, self.at)
        if found is None:
            raise self.fail("unterminated `")
        line = self.line()
        self.at = found.end()
        special = r'\\([$`\\"])' if quoted else r"\\([$`\\])"
        inner = type(self)(re.sub(special, r"\1", found.group(1)), line, self.depth)
        inner.enter()
        body = Sequence([])
        inner.program(body)
        return CommandSubstitution(body, quoted)

    def substitution(self, *, quoted: bool) -> CommandSubstitution | Arithmetic:
        if self.text.startswith("$((", self.at):
            start = self.at
            self.at += 1
            end = self.double_parenthesis_end(lines=True)
            if end >= 0:
                inner = type(self)(self.text[self.at + 2 : end], self.line(), self.depth)
                self.at = end + 2
                inner.enter()
                return Arithmetic(Word(inner.here_parts(), self.text[start : self.at]), quoted)
            self.at = start
        self.at += 2
        body = self.sequence(")")
        self.at += 1
        return CommandSubstitution(body, quoted)

    def braced(self, *, quoted: bool) -> Parameter:
        self.enter()
        self.at += 2
        length = self.peek() == "#" and self.text[self.at + 1 : self.at + 2] not in ("}", "")
        indirect = self.peek() == "!"
        self.at += int(length or indirect)
        found = NAME.match(self.text, self.at) or re.compile(r"\d+|[@*#?$!-]").match(self.text, self.at)
        if found is None:
            raise self.fail("bad substitution")
        self.at = found.end()
        parameter = Parameter(found.group(), quoted)
        if length or indirect or self.peek() == "[":
            parameter.op = "length" if length else "other"
            self.braced_rest(quoted=quoted)
        elif self.peek() != "}":
            self.operator(parameter)
            parameter.argument = self.braced_rest(quoted=quoted)
        else:
            self.at += 1
        self.depth -= 1
        return parameter

    def operator(self, parameter: Parameter) -> None:
        if self.peek() == ":" and self.text[self.at + 1 : self.at + 2] in tuple("-=?+"):
            parameter.colon = True
            self.at += 1
        for op in ("##", "%%", "//", "-", "=", "?", "+", "#", "%", "/", ":"):
            if self.text.startswith(op, self.at):
                parameter.op = "substring" if op == ":" else op
                self.at += len(op)
                return
        parameter.op = "other"

    def braced_rest(self, *, quoted: bool) -> Word:
        """The argument of ``${name op ...}`` up to the closing brace, which is consumed."""
        begin = self.at
        parts: Parts = []
        while True:
            if found := _BRACED.match(self.text, self.at):
                parts.append(Literal(found.group()))
                self.at = found.end()
            here = self.peek()
            if here == "}":
                self.at += 1
                return Word(parts, self.text[begin : self.at - 1])
            if not here:
                raise self.fail("unterminated ${")
            if here == '"':
                self.at += 1
                parts.append(Literal("", quoted=True))
                self.double(parts)
            elif here == "'" and not quoted:
                parts.append(Literal(self.single(), quoted=True))
            elif here == "'":
                self.at += 1
                parts.append(Literal("'"))
            elif here == "\\":
                self.escape(parts)
            else:
                self.dollar(parts, quoted=quoted)
