"""Shell scripts parsed: the POSIX shell grammar with the ksh and bash forms that firmware scripts use.

Source: POSIX.1-2017, Shell Command Language (XCU chapter 2); ``[[ ]]``, ``function``, ``$'..'``, ``<<<`` and ``&>`` as in bash.
A shell runs a script line by line, so what stands before a syntax error counts: :func:`parse` returns it, with the line of the
error. Time is linear in the text (times the nesting depth for backquotes); nesting deeper than ``DEPTH_LIMIT`` is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

DEPTH_LIMIT = 40
SIZE_LIMIT = 1 << 20

UNKNOWN = "\0"  # stands in a value for text that only the running device knows


class ShellSyntaxError(Exception):
    """The text is no shell script that this parser understands, from ``line`` on."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


# Word parts


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


# Commands


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


_BLANK = re.compile(r"(?:[ \t\r]|\\\r?\n)+")
_PLAIN = re.compile(r"[^\s;&|<>()$`\"'\\\0]+")
_DOUBLE = re.compile(r"[^\"$`\\]+")
_BRACED = re.compile(r"[^\"'$`\\}]+")
_HEREDOC = re.compile(r"[^$`\\]+")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\[[^\]\n]*\])?\+?=", re.ASCII)
_SPECIAL = "@*#?-$!0123456789"
_REDIRECT = re.compile(r"(\d*)(<<<|<<-|<<|<>|<&|>&|>>|>\||&>>|&>|<|>)")
_DESCRIPTOR = re.compile(r"\d+(?=[<>])")
_FUNCTION = re.compile(r"([^\s;&|<>()$`\"'\\=]+)[ \t]*\([ \t]*\)")
_RESERVED = frozenset(("then", "else", "elif", "fi", "do", "done", "esac", "}", "in"))


def parse(text: str) -> Script:
    """The script as far as it can be understood; never raises."""
    if len(text) > SIZE_LIMIT:
        return Script(error="the script is longer than 1 MiB")
    parser = _Parser(text.replace(UNKNOWN, " "))
    script = Script()
    try:
        parser.program(script.body)
    except ShellSyntaxError as error:
        script.error = str(error)
    return script


def parse_word(text: str) -> Word | None:
    """One word without splitting at blanks, as between double quotes; None when it does not parse."""
    parser = _Parser(text.replace(UNKNOWN, " "))
    try:
        return Word(parser.here_parts(), text)
    except ShellSyntaxError:
        return None


class _Parser:
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
        if found := _BLANK.match(self.text, self.at):
            self.at = found.end()
        if self.peek() == "#" and (self.at == 0 or self.text[self.at - 1] in " \t\r\n;&|()`"):
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

    # Grammar

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
        found = _PLAIN.match(self.text, self.at)
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

    def double_parenthesis_end(self) -> int:
        """Where the ``))`` that closes an arithmetic command stands; -1 when this is a subshell in a subshell."""
        level = 0
        for found in re.compile(r"[()\n]").finditer(self.text, self.at, self.at + 4096):
            mark = found.group()
            if mark == "\n":
                return -1
            level += 1 if mark == "(" else -1
            if level == 1 and mark == ")":
                return found.start() if self.text.startswith("))", found.start()) else -1
        return -1

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
            found = _NAME.match(self.text, self.at)
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
        found = _PLAIN.match(self.text, self.at)
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
            if redirect := self.redirect():
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
        inner = _Parser(text, line, self.depth)
        inner.enter()
        redirect.target = Word(inner.here_parts(), self.text[begin : self.at])

    # Words

    def word(self, *, pattern: bool = False) -> Word:
        begin = self.at
        parts: list[Literal | Parameter | CommandSubstitution | Arithmetic] = []
        while self.at < len(self.text):
            if found := _PLAIN.match(self.text, self.at):
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

    def escape(self, parts: list[Literal | Parameter | CommandSubstitution | Arithmetic]) -> None:
        follower = self.text[self.at + 1 : self.at + 2]
        if follower == "\r" and self.text[self.at + 2 : self.at + 3] == "\n":
            self.at += 3
            return
        self.at += 2
        if follower != "\n":
            parts.append(Literal(follower or "\\", quoted=True))

    def double(self, parts: list[Literal | Parameter | CommandSubstitution | Arithmetic]) -> None:
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

    def quoted_escape(self, parts: list[Literal | Parameter | CommandSubstitution | Arithmetic], special: str) -> None:
        follower = self.text[self.at + 1 : self.at + 2]
        self.at += 2 if follower else 1
        if follower == "\n":
            return
        parts.append(Literal(follower if follower and follower in special else "\\" + follower, quoted=True))

    def here_parts(self) -> list[Literal | Parameter | CommandSubstitution | Arithmetic]:
        """The rest of the text with substitutions but no quotes."""
        parts: list[Literal | Parameter | CommandSubstitution | Arithmetic] = []
        while self.at < len(self.text):
            if found := _HEREDOC.match(self.text, self.at):
                parts.append(Literal(found.group(), quoted=True))
                self.at = found.end()
            elif self.peek() == "\\":
                self.quoted_escape(parts, "$`\\")
            else:
                self.dollar(parts, quoted=True)
        return parts

    def dollar(self, parts: list[Literal | Parameter | CommandSubstitution | Arithmetic], *, quoted: bool) -> None:
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
        elif found := _NAME.match(self.text, self.at + 1):
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
        inner = _Parser(re.sub(special, r"\1", found.group(1)), line, self.depth)
        inner.enter()
        body = Sequence([])
        inner.program(body)
        return CommandSubstitution(body, quoted)

    def substitution(self, *, quoted: bool) -> CommandSubstitution | Arithmetic:
        if self.text.startswith("$((", self.at):
            start = self.at
            self.at += 1
            end = self.double_parenthesis_end()
            if end >= 0:
                inner = _Parser(self.text[self.at + 2 : end], self.line(), self.depth)
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
        found = _NAME.match(self.text, self.at) or re.compile(r"\d+|[@*#?$!-]").match(self.text, self.at)
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
        parts: list[Literal | Parameter | CommandSubstitution | Arithmetic] = []
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


_COMPOUND = {
    "{": _Parser.brace_group,
    "if": _Parser.if_command,
    "while": _Parser.while_command,
    "until": _Parser.until_command,
    "for": _Parser.for_command,
    "select": _Parser.for_command,
    "case": _Parser.case_command,
    "function": _Parser.function_command,
    "[[": _Parser.double_bracket,
}
