"""What functions of Lua, PHP, Python and Perl mean for an update: they run commands, fetch, check, compute digests, write.

One handler for each kind of meaning; which function has which is data (:mod:`fwcheck.device.updating.functions`).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.updating import form
from fwcheck.device.updating.commands import (
    Check,
    Command,
    Digest,
    Fetch,
    Kind,
    Other,
    Sink,
    Transport,
    Unpack,
    runs_foreign,
    written_device,
)  # fmt: skip
from fwcheck.device.updating.program import (
    OBJECT,
    Follower,
    Pair,
    Pairs,
    is_unchecked,
    key_of,
    kind_of,
    mixed,
    object_of,
    unchecked,
    unchecking,
)  # fmt: skip
from fwcheck.device.updating.readers import unpacked
from fwcheck.device.updating.state import ANY, NETWORK, Outcome, State, Value, joined

_URL = re.compile(r"(?:https?|ftps?|tftp)://")
_PLACES = re.compile(r"%[-+ 0#]*\d*(?:\.\d+)?[a-zA-Z]|\{[^{}]{0,40}\}")


class Invocation(NamedTuple):
    """One call on one way."""

    program: Follower
    call: form.Call
    name: str
    receiver: Value | None
    arguments: list[Value]
    named: Mapping[str, Value]
    state: State

    def argument(self, at: int, *names: str) -> Value:
        """An argument by its place or name."""
        for name in names:
            if name in self.named:
                return self.named[name]
        return self.arguments[at] if 0 <= at < len(self.arguments) else ANY

    @property
    def given(self) -> list[Value]:
        """Everything that is given."""
        return [*self.arguments, *self.named.values()]

    @property
    def truths(self) -> form.Truths:
        """The language's own values."""
        return self.program.program.truths

    @property
    def unchecked(self) -> bool:
        """Whether certificates are told not to be checked."""
        told = any(unchecking(name, value) for name, value in self.named.items())
        return told or any(map(is_unchecked, self.given)) or is_unchecked(self.receiver)

    def to(self, value: Value, state: State | None = None) -> Pairs:
        """The one way on, with a value."""
        return [Pair(state if state is not None else self.state, value)]

    def rebound(self, value: Value) -> Pairs:
        """The receiver, or the first argument, changed where it is kept."""
        at = self.call.receiver if self.call.receiver is not None else self.call.arguments[0] if self.call.arguments else None
        key = key_of(at) if at is not None else None
        return self.to(value, self.state.assign(key, value) if key is not None else self.state)


Meaning = Callable[[Invocation], Pairs]


# --------------------------------------------------------------------------- commands


def statuses(inv: Invocation, out: Outcome) -> Pairs:
    """The status of a command: 0 where it succeeds. One that does not part the ways is not known."""
    truths = inv.truths
    both = [each for each in out.good if _in(each, out.bad)]
    parted = frozenset[int]().union(*(each.passed for each in out.good)) - frozenset[int]().union(
        *(each.passed for each in out.bad)
    )
    good = Value("0", truth=not truths.zero_is_false)
    bad = Value("1", truth=True)
    if inv.program.program.language == "lua" and inv.name == "os.execute":
        # Since Lua 5.2 it gives true or nil; before, a number that is always true.
        bad = Value("1", "", parted)
    return [
        *(Pair(each, ANY) for each in both),
        *(Pair(each, good) for each in out.good if not _in(each, out.bad)),
        *(Pair(each, bad) for each in out.bad if not _in(each, out.good)),
    ]


def _in(state: State, others: tuple[State, ...]) -> bool:
    return any(each is state or replace(each, status="") == replace(state, status="") for each in others)


def run(inv: Invocation, line: Value, *, words: bool = False) -> Outcome:
    """A command line for a shell, or the words of a command."""
    inv.program.line = inv.program.place(inv.call.arguments[0] if inv.call.arguments else None)
    given = _list(inv, 0) if words else None
    if given is not None:
        return inv.program.words(given, inv.state)
    if words and (only := line.text.split()) and len(only) == 1 and line.known:
        return inv.program.words([line], inv.state)
    return inv.program.shell(line, inv.state)


def _list(inv: Invocation, at: int) -> list[Value] | None:
    """The words of an argument that is a list."""
    given = inv.call.arguments[at] if at < len(inv.call.arguments) else inv.call.named.get("args")
    if isinstance(given, form.Name):
        return None if (held := inv.program.lists.get(given.key)) is None else _words(inv, held)
    return _words(inv, given) if isinstance(given, form.Items) else None


def _words(inv: Invocation, items: form.Items) -> list[Value]:
    return [inv.program.evaluate(value, inv.state)[0].value for _, value in items.items[:64]]


def status(inv: Invocation) -> Pairs:
    """``os.execute(line)``, ``luci.sys.call(line)``, ``os.system(line)``."""
    return statuses(inv, run(inv, inv.argument(0)))


def words_status(inv: Invocation) -> Pairs:
    """Words one by one, or a line where there is only one: ``system`` of Perl, ``os.execv``, ``nixio.exec``."""
    if len(inv.arguments) > 1:
        inv.program.line = inv.program.place(inv.call.arguments[-1])
        listed = _list(inv, 1)
        out = inv.program.words(listed or inv.arguments, inv.state)
    else:
        out = run(inv, inv.argument(0))
    return _kept(inv, statuses(inv, out))


def _kept(inv: Invocation, pairs: Pairs) -> Pairs:
    """Perl keeps the status in ``$?``, too."""
    if inv.program.program.language != "perl":
        return pairs
    return [Pair(each.assign("\1.$?", value), value) for each, value in pairs]


def output(inv: Invocation) -> Pairs:
    """A command's output; the status is lost."""
    out = run(inv, inv.argument(0))
    if inv.program.program.language == "perl":
        return [Pair(each, each.output) for each, _ in _kept(inv, statuses(inv, out))]
    return [Pair(each, each.output if each.output.text else ANY) for each in out.both]


def php_command(inv: Invocation) -> Pairs:
    """``exec($line, $lines, $status)`` and ``system($line, $status)``: the status goes into the last argument."""
    out = run(inv, inv.argument(0))
    at = 2 if inv.name == "exec" else 1
    kept = inv.call.arguments[at] if len(inv.call.arguments) > at else None
    made: Pairs = []
    for state, value in statuses(inv, out):
        now = state.assign(key, value) if kept is not None and (key := key_of(kept)) is not None else state
        if inv.name == "exec" and len(inv.call.arguments) > 1 and (lines := key_of(inv.call.arguments[1])) is not None:
            now = now.assign(lines, state.output)
        made.append(Pair(now, state.output))
    return made


def process(inv: Invocation) -> Pairs:
    """``subprocess.run`` and its like: the value stands for the finished process."""
    shell = inv.named.get("shell", ANY).truth
    line = inv.argument(0, "args")
    out = run(inv, line, words=shell is not True)
    pairs = statuses(inv, out)
    strict = inv.name.rpartition(".")[2] in ("check_call", "check_output") or inv.named.get("check", ANY).truth is True
    made: Pairs = []
    for state, value in pairs:
        if strict and value.text == "1":
            inv.program.leave("raise", state, good=True)
        elif inv.name.endswith((".call", ".check_call")):
            made.append(Pair(state, value))
        elif inv.name.endswith("check_output"):
            made.append(Pair(state, state.output if state.output.text else ANY))
        else:  # an object is true whatever its status is
            made.append(Pair(state, value._replace(truth=True, of=state.output.of)))
    return made


def status_of(inv: Invocation) -> Pairs:
    """``process.wait()``, ``process.poll()``: the object's own status."""
    value = inv.receiver or ANY
    truth = value.text != "0" if value.known else None
    return inv.to(value._replace(truth=truth))


def piped(inv: Invocation) -> Pairs:
    """``io.popen``, ``os.popen``: an object to read from."""
    out = run(inv, inv.argument(0))
    return [Pair(each, object_of("pipe", of=each.output.of, checks=each.output.checks)) for each in out.both]


# --------------------------------------------------------------------------- bringing in


def _unproven(inv: Invocation, file: str, state: State) -> State:
    """A file brought in anew: what was checked of it before says nothing any more."""
    return inv.program.replaced(file, state) if file else state


def _event(inv: Invocation, command: Command, state: State | None = None) -> tuple[int, State]:
    return inv.program.seen(command, state if state is not None else inv.state)


def fetched(inv: Invocation, address: Value, target: Value | None = None, secure: Transport = "authenticated") -> Pairs:
    """Something brought in; ``secure`` is what the library makes of https when nothing is told."""
    text = address.text if not address.text.startswith(OBJECT) else address.of or UNKNOWN
    scheme = text.partition("://")[0].lower() if "://" in text else ""
    transport: Transport = "plain" if scheme in ("http", "ftp", "tftp") else secure if scheme == "https" else "unknown"
    flaw = ""
    if inv.unchecked and transport != "plain":
        transport, flaw = "unchecked", "the server's certificate is not checked"
    elif transport == "unchecked":
        flaw = "the library does not check the server's certificate by itself"
    into = target.text if target is not None and target.known else target.of if target is not None else ""
    _, state = _event(inv, Fetch(text, transport, into, flaw))
    if into:
        state = _unproven(inv, into, state.assign(f"file:{into}", Value(UNKNOWN, of=NETWORK)))
    return inv.to(Value(UNKNOWN, of=NETWORK), state)


def fetch(inv: Invocation) -> Pairs:
    """``requests.get(url)``, ``urlopen(url)``."""
    named = inv.named.get("sink", ANY)
    return fetched(inv, inv.argument(0, "url"), named if named is not ANY else None)


def fetch_unsure(inv: Invocation) -> Pairs:
    """A library that checks certificates in some versions only."""
    return fetched(inv, inv.argument(0, "url"), None, "unknown")


def fetch_trusting(inv: Invocation) -> Pairs:
    """A library that checks no certificate unless it is told to (``ssl.https`` of LuaSec)."""
    told = any(value.text == "peer" for value in inv.named.values())
    return fetched(inv, inv.argument(0, "url"), None, "authenticated" if told else "unchecked")


def fetch_to(inv: Invocation) -> Pairs:
    """``urlretrieve(url, file)``, ``getstore(url, file)``."""
    return fetched(inv, inv.argument(0, "url"), inv.argument(1, "filename", "target", "out"))


def fetch_method(inv: Invocation) -> Pairs:
    """``session.get(url)``, ``$ua->mirror(url, file)``."""
    method = inv.name.removeprefix(".")
    verb = method in ("request", "open", "stream") and len(inv.arguments) > 1 and not _URL.match(inv.argument(0).text)
    target = inv.argument(1) if method in ("mirror", "retrieve", "getstore") else inv.named.get(":content_file")
    return fetched(inv, inv.argument(1 if verb else 0, "url"), target)


def fetch_from(inv: Invocation) -> Pairs:
    """``curl_exec($ch)``: the address was told before."""
    held = inv.argument(0) if inv.receiver is None else inv.receiver
    key = key_of(inv.call.arguments[0]) if inv.call.arguments else None
    target = inv.state.values.get(f"{key}\1file")
    return fetched(inv, Value(held.of or UNKNOWN), target)


def fetch_plain(inv: Invocation) -> Pairs:
    """FTP and its like."""
    _, state = _event(inv, Fetch(inv.argument(0).text, "plain", inv.argument(1).text if inv.argument(1).known else ""))
    return inv.to(Value(UNKNOWN, of=NETWORK), state)


def listens(inv: Invocation) -> Pairs:
    """A broker's messages: ``client.subscribe(topic)``."""
    _, state = _event(inv, Other("receive", f"messages of a broker on {inv.argument(0, 'topic').text}"))
    return inv.to(ANY, state)


def received(inv: Invocation) -> Pairs:
    """What a client of the web server sends."""
    _, state = _event(inv, Other("receive", "upload to the web server"))
    return [Pair(each, ANY) for each in inv.program.handed_on(inv.given, state)]


def moved_upload(inv: Invocation) -> Pairs:
    """``move_uploaded_file(from, to)``."""
    target = inv.argument(1)
    _, state = _event(inv, Other("receive", "upload to the web server"))
    if written_device(target.text):
        return inv.to(ANY, inv.program.write(Sink("raw write to flash"), state))
    return inv.to(ANY, state)


def curl_option(inv: Invocation) -> Pairs:
    """``curl_setopt($ch, OPTION, value)``, kept with the handle."""
    options = [(inv.argument(1).text, inv.argument(2))] if inv.receiver is None else [(inv.argument(0).text, inv.argument(1))]
    held = inv.receiver if inv.receiver is not None else inv.argument(0)
    if len(inv.call.arguments) == 2 and isinstance(array := inv.call.arguments[1], form.Items):
        options = [(key, inv.program.evaluate(value, inv.state)[0].value) for key, value in array.items[:64]]
    state = inv.state
    key = key_of(inv.call.receiver if inv.call.receiver is not None else inv.call.arguments[0]) if inv.call.arguments else None
    for name, value in options:
        if unchecking(name, value):
            held = unchecked(held if held.text.startswith(OBJECT) else object_of("curl", held.of))
        elif name.endswith("URL"):
            held = held._replace(of=value.text)
        elif name.endswith(("OPT_FILE", "WRITEDATA")) and key is not None:
            state = state.assign(f"{key}\1file", value)
    return inv.to(Value("1", truth=True), state.assign(key, held) if key is not None else state)


def client(inv: Invocation) -> Pairs:
    """An object that talks to a server; whether it checks certificates is kept with it."""
    made = object_of(inv.name.replace(":new", ""), of=inv.argument(0).text if inv.name == "curl_init" else "")
    return inv.to(unchecked(made) if inv.unchecked else made)


def careless(inv: Invocation) -> Pairs:
    """``ssl._create_unverified_context()``."""
    return inv.to(unchecked(object_of("context")))


# --------------------------------------------------------------------------- digests and checks


_BESIDE = re.compile(r"(?i)\.(?:sig\w*|asc|p7\w|pem|pub|crt|cer|key|der)$|/keys?/|key[^/]*$|cert[^/]*$")


def _what(values: list[Value]) -> str:
    """The file that data came out of; that of a signature or key is not what is checked."""
    files = [each.of for each in values if each.of and each.of != NETWORK]
    told = {each for each in files if not _BESIDE.search(each)}
    return told.pop() if len(told) == 1 else ""


def _digest(inv: Invocation, kind: Kind, what: str) -> Pairs:
    number, state = _event(inv, Digest(kind, what))
    return inv.to(Value(UNKNOWN, "digest", frozenset({number})), state)


def digest(inv: Invocation) -> Pairs:
    """The digest of data: ``md5($data)``, ``sha256_hex($data)``."""
    return _digest(inv, "hash", _what(inv.given))


def digest_of_file(inv: Invocation) -> Pairs:
    """The digest of a file by its name: ``md5_file``, ``hash_file(algorithm, file)``."""
    name = inv.argument(1 if inv.name == "hash_file" else 0)
    return _digest(inv, "hash", name.text if name.known else "")


def checksum(inv: Invocation) -> Pairs:
    """``zlib.crc32(data)``."""
    return _digest(inv, "checksum", _what(inv.given))


def hasher(inv: Invocation) -> Pairs:
    """``hashlib.sha256()``: the digest comes later."""
    return inv.to(object_of("hash", of=_what(inv.given)))


def hashed(inv: Invocation) -> Pairs:
    """``hash.update(data)``."""
    return inv.rebound((inv.receiver or ANY)._replace(of=_what(inv.given) or (inv.receiver or ANY).of))


def digested(inv: Invocation) -> Pairs:
    """``hash.hexdigest()``."""
    return _digest(inv, "hash", (inv.receiver or ANY).of)


def same(inv: Invocation) -> Pairs:
    """``hash_equals(a, b)``, ``hmac.compare_digest(a, b)``."""
    compared = form.Compare("=", form.Constant(inv.argument(0)), form.Constant(inv.argument(1)))
    return inv.program.asked(compared, inv.state)


def _checked(inv: Invocation, check: Check) -> tuple[State, State]:
    number, state = _event(inv, check)
    passed = state if check.flaw else replace(state, passed=state.passed | {number})
    return passed, state


def signature(inv: Invocation) -> Pairs:
    """A verifier that gives true or false."""
    passed, failed = _checked(inv, Check("signature", _what(inv.given)))
    return [Pair(passed, inv.truths.true), Pair(failed, inv.truths.false)]


def signature_number(inv: Invocation) -> Pairs:
    """``openssl_verify``: 1, 0, or -1 for an error, which counts as true where nobody looks for 1."""
    passed, failed = _checked(inv, Check("signature", _what(inv.given)))
    number = max(failed.seen)
    return [
        Pair(passed, Value("1", truth=True)),
        Pair(failed, Value("0", truth=False)),
        Pair(failed, Value("-1", "", frozenset({number}))),
    ]


def signature_raised(inv: Invocation) -> Pairs:
    """A verifier that throws where the signature is wrong."""
    passed, failed = _checked(inv, Check("signature", _what(inv.given)))
    inv.program.leave("raise", failed, good=True)
    return [Pair(passed, inv.truths.true)]


_THROWS = ("cryptography", "nacl", "rsa", "ecdsa", "Crypto.Signature.pkcs1_15", "Crypto.Signature.pss", "Cryptodome")


def signature_method(inv: Invocation) -> Pairs:
    """``key.verify(...)``: thrown or given back, as the libraries in use do it; else left open."""
    if len(inv.given) < 2:
        return by_name(inv)
    used = set(inv.program.program.imports.values())
    if inv.program.program.language == "python" and any(name.startswith(_THROWS) for name in used):
        return signature_raised(inv)
    if inv.program.program.language == "perl" or any("PKCS1_v1_5" in name or "M2Crypto" in name for name in used):
        return signature(inv)
    return by_name(inv) if inv.program.program.language != "lua" else signature(inv)


def recovered(inv: Invocation) -> Pairs:
    """``openssl_public_decrypt($data, $out, $key)``: the digest that the signature holds goes into the second argument."""
    number, state = _event(inv, Digest("signature", _what(inv.given), recovered=True))
    key = key_of(inv.call.arguments[1]) if len(inv.call.arguments) > 1 else None
    value = Value(UNKNOWN, "recovered", frozenset({number}))
    return inv.to(ANY, state.assign(key, value) if key is not None else state)


def by_name(inv: Invocation) -> Pairs:
    """A function that is named like a check and not in reach."""
    what = next((each.text for each in inv.given if each.known and "/" in each.text), "")
    passed, failed = _checked(inv, Check("vendor", what))
    number = max(failed.seen)
    return [Pair(passed, Value("1", "", frozenset({number}), truth=True)), Pair(failed, inv.truths.false)]


# --------------------------------------------------------------------------- files


def opened(inv: Invocation) -> Pairs:
    """``open(path, mode)``: for flash it is a write, for an address a download."""
    path, mode = inv.argument(0), inv.argument(1, "mode").text
    if inv.name == "perl open":
        return _perl_open(inv)
    if _URL.match(path.text):
        return fetched(inv, path)
    writes = bool(re.search(r"[wax+]|WRONLY|RDWR", mode))
    state = inv.state
    if writes and written_device(path.text):
        state = inv.program.write(Sink("raw write to flash"), state)
    return inv.to(object_of("file", of=path.text if path.known else ""), state)


def _perl_open(inv: Invocation) -> Pairs:
    """``open(my $h, '>', path)``, ``open(H, ">path")``, ``open(my $h, '-|', command)``, ``open(H, "command |")``."""
    mode, path = inv.argument(1).text.strip(), inv.argument(2)
    if len(inv.arguments) < 3:
        spoken = inv.argument(1)
        if spoken.text.strip().endswith("|") or spoken.text.strip().startswith("|"):
            out = inv.program.shell(spoken._replace(text=spoken.text.strip().strip("|")), inv.state)
            return _handle(inv, [Pair(each, object_of("pipe", each.output.of, each.output.checks)) for each in out.both])
        mode = "".join(re.findall(r"^[<>+]+", mode))
        path = spoken._replace(text=spoken.text.strip().lstrip("<>+ "))
    if mode in ("-|", "|-"):
        out = inv.program.words(inv.arguments[2:], inv.state) if len(inv.arguments) > 3 else inv.program.shell(path, inv.state)
        return _handle(inv, [Pair(each, object_of("pipe", each.output.of, each.output.checks)) for each in out.both])
    state = inv.state
    if (">" in mode or "+" in mode) and written_device(path.text):
        state = inv.program.write(Sink("raw write to flash"), state)
    return _handle(inv, [Pair(state, object_of("file", of=path.text if path.known else ""))])


def _handle(inv: Invocation, pairs: Pairs) -> Pairs:
    """The handle goes into the first argument; the value says whether it worked, which nobody knows."""
    key = key_of(inv.call.arguments[0]) if inv.call.arguments else None
    return [Pair(state.assign(key, value) if key is not None else state, ANY) for state, value in pairs]


def content(inv: Invocation) -> Pairs:
    """What is read out of a file, by its name or handle: ``file_get_contents``, ``handle:read()``."""
    held = inv.receiver if inv.receiver is not None else inv.argument(0)
    if held.text.startswith(OBJECT):
        return inv.to(Value(UNKNOWN, "output" if held.checks and kind_of(held) == "pipe" else "", held.checks, held.of))
    if _URL.match(held.text):
        return fetched(inv, held)
    kept = inv.state.values.get(f"file:{held.text}", ANY)
    of = held.text if held.known and held.of != NETWORK else held.of
    return inv.to(kept._replace(of=of) if kept.how else Value(UNKNOWN, of=of))


def into_handle(inv: Invocation) -> Pairs:
    """``handle.write(data)``."""
    handle = inv.receiver if inv.receiver is not None else inv.argument(0)
    data = mixed(inv.given if inv.receiver is not None else inv.given[1:])
    state = inv.state
    if handle.of and data.of == NETWORK:
        state = _unproven(inv, handle.of, state.assign(f"file:{handle.of}", Value(UNKNOWN, of=NETWORK)))
    return inv.to(ANY, state)


def into_file(inv: Invocation) -> Pairs:
    """``file_put_contents(path, data)``."""
    path, data = inv.argument(0), inv.argument(1)
    if written_device(path.text):
        return inv.to(ANY, inv.program.write(Sink("raw write to flash"), inv.state))
    if data.of == NETWORK and path.known:
        return inv.to(ANY, _unproven(inv, path.text, inv.state.assign(f"file:{path.text}", Value(UNKNOWN, of=NETWORK))))
    return inv.to(ANY)


def copied(inv: Invocation) -> Pairs:
    """``copy(from, to)``, ``shutil.copyfile(from, to)``: to flash a write, from an address a download."""
    source, target = inv.argument(0), inv.argument(1)
    if _URL.match(source.text):
        return fetched(inv, source, target)
    if written_device(target.text):
        return inv.to(ANY, inv.program.write(Sink("raw write to flash", source.text if source.known else ""), inv.state))
    kept = inv.state.values.get(f"file:{source.text}")
    return inv.to(ANY, inv.state.assign(f"file:{target.text}", kept) if kept is not None and target.known else inv.state)


def copied_data(inv: Invocation) -> Pairs:
    """``shutil.copyfileobj(from, to)``."""
    return into_handle(inv._replace(receiver=inv.argument(1), arguments=[inv.argument(0)]))


def archive(inv: Invocation) -> Pairs:
    """``tarfile.open(path)``."""
    path = inv.argument(0, "name", "file", "fileobj")
    return inv.to(object_of("archive", of=path.text if path.known else path.of))


def extracted(inv: Invocation) -> Pairs:
    """``archive.extractall(directory)``, ``shutil.unpack_archive(path, directory)``."""
    where = inv.argument(0 if inv.receiver is not None else 1, "path", "extract_dir").text
    what = inv.receiver.of if inv.receiver is not None else inv.argument(0).text
    told = unpacked(what, where if where.strip("/") or not where else "/")
    if isinstance(told, Unpack) and inv.program.over_root(told, inv.state):
        told = Sink("unpacked over the root", what)
    if isinstance(told, Sink):
        return inv.to(ANY, inv.program.write(told, inv.state))
    _, state = _event(inv, told)
    return inv.to(ANY, state)


def code(inv: Invocation) -> Pairs:
    """Code taken as it comes: ``eval``, ``exec``, ``loadstring``, ``dofile``."""
    given = inv.argument(0)
    came = given.of != "" and (given.of == NETWORK or inv.program.brought(given.of, inv.state))
    if came or (given.known and given.text != "" and inv.program.brought(given.text, inv.state)):
        return inv.to(ANY, inv.program.write(Sink("run as it comes"), inv.state))
    foreign = next((each for each in (given.text, given.of) if runs_foreign(each)), "")
    if foreign:
        return inv.to(ANY, inv.program.write(Sink("program of a removable medium", foreign), inv.state))
    return inv.to(ANY)


def installed(inv: Invocation) -> Pairs:
    """RAUC over D-Bus: ``InstallBundle(path, options)``."""
    return inv.to(ANY, inv.program.write(Sink("rauc", inv.argument(0).text if inv.argument(0).known else ""), inv.state))


# --------------------------------------------------------------------------- the rest


def same_text(inv: Invocation) -> Pairs:
    """Functions that quote, trim or convert their first argument."""
    return inv.to(inv.argument(0) if inv.receiver is None else inv.receiver)


def path_of(inv: Invocation) -> Pairs:
    """``os.path.join(a, b)``."""
    parts = inv.arguments
    if all(each.known for each in parts):
        return inv.to(Value(posixpath.join(*(each.text for each in parts)))) if parts else inv.to(ANY)
    return inv.to(joined([part for each in parts for part in (Value("/"), each)][1:]))


def formatted(inv: Invocation) -> Pairs:
    """``string.format``, ``sprintf``, ``"...".format()``: the places filled."""
    parts = [*([inv.receiver] if inv.receiver is not None else []), *inv.given]
    if not parts:
        return inv.to(ANY)
    return inv.to(filled(parts[0], parts[1:]))


def filled(shape: Value, values: list[Value]) -> Value:
    """A text with places for values."""
    out: list[Value] = []
    at = 0
    rest = list(values)
    for place in _PLACES.finditer(shape.text):
        out += [Value(shape.text[at : place.start()]), rest.pop(0) if rest else ANY]
        at = place.end()
    return joined([*out, Value(shape.text[at:])])


def protected(inv: Invocation) -> Pairs:
    """``pcall(f, ...)``: true where it came to its end."""
    made = inv.program.function_of(inv.argument(0))
    if made is None:
        return inv.to(ANY)
    path = inv.program.origins.get(id(made), inv.program.path)
    with inv.program.frame("raise") as raised:
        done = inv.program.invoke(made, path, inv.arguments[1:], inv.state)
    return [
        *(Pair(state, inv.truths.true) for state, _ in done),
        *(Pair(state, inv.truths.false) for state in (*raised.good, *raised.bad, inv.state)),
    ]


def asserted(inv: Invocation) -> Pairs:
    """``assert(x)`` of Lua: goes on where it holds."""
    out = inv.program.truth(Pair(inv.state, inv.argument(0)))
    for state in out.bad:
        inv.program.leave("raise", state, good=True)
    return [Pair(state, inv.argument(0)) for state in out.good]


def ends(inv: Invocation) -> Pairs:
    """``os.exit``, ``die`` of PHP."""
    inv.program.leave("exit", inv.state, good=True)
    return []


def throws(inv: Invocation) -> Pairs:
    """``error(...)`` of Lua, ``die`` of Perl."""
    inv.program.leave("raise", inv.state, good=True)
    return []


def restarts(inv: Invocation) -> Pairs:
    """The device is started anew."""
    _, state = _event(inv, Other("restart", inv.name))
    return inv.to(ANY, state)


def nothing(inv: Invocation) -> Pairs:
    """Known to do nothing for an update."""
    return inv.to(ANY)


def last_result(inv: Invocation) -> Pairs:
    """Without an effect of its own, the receiver goes on: ``ua:timeout(3)``."""
    return inv.to(inv.receiver or ANY)
