"""Functions that bring something in: clients of HTTP and FTP, uploads, brokers."""

from __future__ import annotations

from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.updating import form
from fwcheck.device.updating.commands import (
    Fetch,
    Other,
    Sink,
    Transport,
    written_device,
)
from fwcheck.device.updating.meanings.invocation import URL, Invocation, event, unproven
from fwcheck.device.updating.state import ANY, NETWORK, Value
from fwcheck.device.updating.values import (
    OBJECT,
    Pair,
    Pairs,
    key_of,
    object_of,
    unchecked,
    unchecking,
)


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
    _, state = event(inv, Fetch(text, transport, into, flaw))
    if into:
        state = unproven(inv, into, state.assign(f"file:{into}", Value(UNKNOWN, of=NETWORK)))
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
    verb = method in ("request", "open", "stream") and len(inv.arguments) > 1 and not URL.match(inv.argument(0).text)
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
    _, state = event(inv, Fetch(inv.argument(0).text, "plain", inv.argument(1).text if inv.argument(1).known else ""))
    return inv.to(Value(UNKNOWN, of=NETWORK), state)


def listens(inv: Invocation) -> Pairs:
    """A broker's messages: ``client.subscribe(topic)``."""
    _, state = event(inv, Other("receive", f"messages of a broker on {inv.argument(0, 'topic').text}"))
    return inv.to(ANY, state)


def received(inv: Invocation) -> Pairs:
    """What a client of the web server sends."""
    _, state = event(inv, Other("receive", "upload to the web server"))
    return [Pair(each, ANY) for each in inv.program.handed_on(inv.given, state)]


def moved_upload(inv: Invocation) -> Pairs:
    """``move_uploaded_file(from, to)``."""
    target = inv.argument(1)
    _, state = event(inv, Other("receive", "upload to the web server"))
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
