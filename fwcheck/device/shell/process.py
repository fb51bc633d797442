"""Boot scripts followed as a shell would run them, with three answers to every condition: true, false, not decidable.

Files are those of the image, configuration values those it ships. Where only the running device can decide, both ways are
followed and what they start is recorded under that condition. What cannot be followed at all (a script that is missing, text
that is no shell) becomes a hole: nothing may be called "not started" then. Budgets bound steps, depth and text.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from fwcheck.device._disk import Found
from fwcheck.device.shell import patterns
from fwcheck.device.shell.flow import Flow
from fwcheck.device.shell.grammar import parse
from fwcheck.device.shell.state import PATH
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.world import RUN_LIMIT, Call, Exhausted, Frame, Run, Status
from fwcheck.model import NodeKind

_SCRIPT_DEPTH_LIMIT = 20
Detail = Mapping[str, str]
_SHELLS = ("sh", "ash", "bash", "dash", "hush", "ksh", "busybox")


_STANDARD = frozenset(PATH.split(":"))  # empty ones stay empty: what is mounted there is told by the scripts
_PROBES = frozenset(("-?", "--help", "-h", "-V", "-v", "--version", "-version"))
_NAMES = {"sshd": "OpenSSH", "busybox": "BusyBox", "dropbear": "Dropbear"}  # what they call themselves when asked
_CHECKS = {
    "lighttpd": ("-t", "-tt"),
    "nginx": ("-t",),
    "sshd": ("-t", "-T"),
    "apache2": ("-t",),
    "dnsmasq": ("--test",),
    "dhcpd": ("-t", "-T"),
    "proftpd": ("-t",),
}


class Shell(Flow):
    """A whole shell: finds programs, follows scripts, records what it starts."""

    def dispatch(self, call: Call) -> None:
        """Runs a command by name: function, known command, script, program."""
        name = call.fields[0]
        vocabulary = self.world.vocabulary
        if not name:
            self.status = False
            return
        if name in self.functions and not vocabulary.is_override(name):
            self.invoke(name, call.fields[1:])
            return
        handler = vocabulary.commands.get(posixpath.basename(name))
        if handler is not None and ("/" not in name or self.is_program(name)):
            self.status = handler(self, call)
            return
        if vocabulary.is_override(name):  # OpenWrt's board and JSON calls: they start nothing
            self.status = True
            return
        self.status = self.execute(call)

    def is_program(self, name: str) -> bool:
        """Whether a path leads to a program, so that its name says what it does (a script is followed instead)."""
        found = self.disk.find(self.absolute(name))
        facts = found.fs.facts_of(found.node) if found is not None else None
        return facts is None or facts.text is None

    def invoke(self, name: str, args: list[str]) -> None:
        """Calls a function that is defined."""
        function, fs, path = self.functions[name]
        frame = Frame("return")
        held, self.args = self.args, args
        place = self.fs, self.path, self.line, self.base
        self.fs, self.path, self.base = fs, path, 0
        self.frames.append(frame)
        try:
            self.scoped(frame, lambda: self.command(function.body))
        finally:
            self.frames.pop()
            self.args = held
            self.fs, self.path, self.line, self.base = place
            self.variables.update(frame.saved)

    def locate(self, name: str) -> tuple[str, Found | None, bool | None]:
        """Path, node and presence of a command name."""
        if "/" in name:
            path = self.absolute(name)
            found = self.disk.find(path)
            return path, found, True if found is not None else self.disk.exists(path)
        search = self.variables.get("PATH") or PATH
        undecided = UNKNOWN in search
        for directory in search.split(":"):
            if UNKNOWN in directory or not directory:
                continue
            path = posixpath.join(directory, name)
            found = self.disk.find(path) if self.disk.root.resolve(directory) is not None else None
            if found is not None and found.node.kind is NodeKind.FILE:
                return path, found, True
            if not undecided and (directory not in _STANDARD or directory in self.disk.mounted):
                undecided = self.disk.exists(path) is None
        return name, None, None if undecided else False

    def execute(self, call: Call, *, manner: str = "", user: str = "", detail: Detail | None = None) -> Status:
        """Runs a program or follows a script; ``manner`` says who keeps the program running."""
        name = call.fields[0]
        if UNKNOWN in name:
            if name.strip(UNKNOWN) == "" and self.world.certain:
                self.world.hole(self.place, f"runs {call.shown[0]}, whose value the image does not hold")
            self.write(UNKNOWN)
            return None
        path, found, present = self.locate(name)
        facts = found.fs.facts_of(found.node) if found is not None else None
        text = self.disk.written.get(self.disk.real(path)) if found is None else facts.text if facts is not None else None
        if text is not None and not manner and self.script_status(path, found, text, call.fields[1:]):
            return self.status
        if facts is not None and text is None and facts.elf is None and facts.interpreter:
            self.world.hole(self.place, f"runs {path}, which is too long to be read")
        if found is None and present is not False and path.endswith(".sh"):
            self.world.hole(self.place, f"runs {path}, which is not in the image")
        stays = bool(manner) or (self.background and self.replacing)  # the service itself: "-v" is no question then
        if found is not None and not stays and self.asks(call.fields):
            self.write(_NAMES.get(posixpath.basename(path), "") + UNKNOWN)
            return True
        if present is False and not manner and "/" in name:
            return False  # "/etc/init.d/name enabled" of a service that is not there
        self.record(call, path, found, present, manner, user, detail)
        self.write(UNKNOWN)
        return True if self.background or manner else None if present is not False else False

    @staticmethod
    def asks(words: list[str]) -> bool:
        """Whether a program is only asked for its version or usage, or to check its configuration, and ends."""
        checks = _CHECKS.get(posixpath.basename(words[0]), ())
        return len(words) > 1 and (all(word in _PROBES for word in words[1:]) or any(word in checks for word in words[1:]))

    def script_status(self, path: str, found: Found | None, text: str, args: list[str]) -> bool:
        """Follows the file as a script; False when it is none that a shell reads."""
        first = text.split("\n", 1)[0]
        interpreter = (
            first[2:].split() if first.startswith("#!") else ["/bin/sh"] if found is None or found.node.mode & 0o111 else []
        )
        if interpreter and posixpath.basename(interpreter[0]) in ("env", "with-contenv") and len(interpreter) > 1:
            interpreter = interpreter[1:]
        program = posixpath.basename(interpreter[0]) if interpreter else ""
        if UNKNOWN in text:
            return False
        if program not in _SHELLS:
            return self.interpreted(interpreter[0] if interpreter else "", path, args)
        if posixpath.basename(path) == "rc.common" and args:
            self.dispatch(Call.of(*args))
            return True
        common = next(
            (base for word in interpreter[1:] if (base := posixpath.basename(word)) in self.world.vocabulary.readers), ""
        )
        if found is not None and not found.node.mode & 0o111 and found.node.mode:
            child = self.follow
            self.alternatives([(f"{path} is executable", lambda: child(path, found, text, args, common))], exhaustive=False)
        else:
            self.follow(path, found, text, args, common)
        return True

    def interpreted(self, interpreter: str, path: str, args: list[str]) -> bool:
        """A script whose interpreter is a shell script itself (Debian's init-d-script): that one runs, with the script's path."""
        reader = self.disk.find(interpreter) if interpreter.startswith("/") and interpreter != path else None
        facts = reader.fs.facts_of(reader.node) if reader is not None else None
        if reader is None or facts is None or facts.text is None:
            return False
        return self.script_status(interpreter, reader, facts.text, [path, *args])

    def follow(self, path: str, found: Found | None, text: str, args: list[str], common: str = "") -> None:
        """Runs a script in a process of its own."""
        fs = found.fs if found is not None else self.fs
        at = found.node.path if found is not None and found.fs is not self.disk.root else path
        child = Shell(self.world, fs, at, args)
        child.caller = self.place
        child.serves = self.background
        child.variables = {name: self.variables.get(name) for name in self.exported if name in self.variables} | {"IFS": " \t\n"}
        child.exported = set(self.exported)
        child.cwd, child.stdin, child.buffer, child.user = self.cwd, self.stdin, self.buffer, self.user
        if len(self.world.active) >= _SCRIPT_DEPTH_LIMIT or self.world.active.count(path) >= 3:
            self.world.hole(self.place, f"{path} calls itself")
            self.status = None
            return
        if self.world.certain:
            self.world.followed.setdefault(at, self.place)
        reader = self.world.vocabulary.readers.get(common)
        life = (lambda: reader(child, path, text)) if reader is not None else (lambda: child.read(text))
        self.world.bounded(path, self.place, lambda: child.process(life))
        self.status = child.status

    def read(self, text: str) -> None:
        """Runs the text of a script in this process."""
        script = self.world.script(text)
        self.sequence(script.body)
        if script.error:
            self.world.hole(self.place, f"{self.path} cannot be read as a shell script: {script.error}")

    def source(self, path: str, args: list[str]) -> Status:
        """``. path``: the script runs in this very process."""
        absolute = self.absolute(path) if "/" in path else self.locate(path)[0]
        text = self.disk.text(absolute)
        if text is None:
            return False
        if UNKNOWN in text or len(self.world.active) >= _SCRIPT_DEPTH_LIMIT or self.world.active.count(absolute) >= 3:
            self.world.hole(self.place, f"reads {absolute if patterns.known(absolute) else path}, which is not in the image")
            return None
        found = self.disk.find(absolute)
        held = self.fs, self.path, self.line, self.args, self.base
        self.base = 0
        frame = Frame("return")
        self.frames.append(frame)
        self.world.active.append(absolute)
        if found is not None:
            self.fs, self.path = found.fs, absolute if found.fs is self.disk.root else found.node.path
        if args:
            self.args = args
        try:
            self.scoped(frame, lambda: self.read(text))
        finally:
            self.world.active.pop()
            self.frames.pop()
            self.fs, self.path, self.line, self.args, self.base = held
        return self.status

    def record(
        self,
        call: Call,
        path: str,
        found: Found | None,
        present: bool | None,
        manner: str,
        user: str,
        detail: Detail | None = None,
    ) -> None:
        """Remembers that a program is started here."""
        if len(self.world.runs) >= RUN_LIMIT:
            raise Exhausted
        self.world.add(
            Run(
                name=posixpath.basename(call.fields[0]),
                program=path,
                words=tuple(call.fields),
                shown=tuple(call.shown),
                found=found,
                present=present,
                conditions=self.world.under,
                place=self.place,
                background=self.background,
                manner=manner,
                user=user or self.user,
                detail=dict(detail or {}),
            )
        )

    def run_text(self, text: str) -> Status:
        """Runs a command line in this process, as ``eval`` and ``sh -c`` do."""
        script = parse(text)
        base, self.base = self.base, max(self.line - 1, 0)
        try:
            self.sequence(script.body)
        finally:
            self.base = base
        if script.error:
            self.world.hole(self.place, f"runs text that is no shell command: {text[:60]}")
            return None
        return self.status if script.body.items else True

    def run_line(self, line: str) -> None:
        """Runs a command line as a process of its own (inittab, crontab)."""
        self.process(lambda: self.run_text(line))
