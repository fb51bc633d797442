"""Functions that read, write, copy and unpack files, and run code out of them."""

from __future__ import annotations

import re

from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.updating.commands import (
    Sink,
    Unpack,
    runs_foreign,
    written_device,
)
from fwcheck.device.updating.meanings.invocation import URL, Invocation, event, unproven
from fwcheck.device.updating.meanings.network import fetched
from fwcheck.device.updating.readers import unpacked
from fwcheck.device.updating.state import ANY, NETWORK, Value
from fwcheck.device.updating.values import (
    OBJECT,
    Pair,
    Pairs,
    key_of,
    kind_of,
    mixed,
    object_of,
)


def opened(inv: Invocation) -> Pairs:
    """``open(path, mode)``: for flash it is a write, for an address a download."""
    path, mode = inv.argument(0), inv.argument(1, "mode").text
    if inv.name == "perl open":
        return _perl_open(inv)
    if URL.match(path.text):
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
    if URL.match(held.text):
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
        state = unproven(inv, handle.of, state.assign(f"file:{handle.of}", Value(UNKNOWN, of=NETWORK)))
    return inv.to(ANY, state)


def into_file(inv: Invocation) -> Pairs:
    """``file_put_contents(path, data)``."""
    path, data = inv.argument(0), inv.argument(1)
    if written_device(path.text):
        return inv.to(ANY, inv.program.write(Sink("raw write to flash"), inv.state))
    if data.of == NETWORK and path.known:
        return inv.to(ANY, unproven(inv, path.text, inv.state.assign(f"file:{path.text}", Value(UNKNOWN, of=NETWORK))))
    return inv.to(ANY)


def copied(inv: Invocation) -> Pairs:
    """``copy(from, to)``, ``shutil.copyfile(from, to)``: to flash a write, from an address a download."""
    source, target = inv.argument(0), inv.argument(1)
    if URL.match(source.text):
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
    _, state = event(inv, told)
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
