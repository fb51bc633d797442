"""dnsmasq. Source: dnsmasq(8).

Long options are the settings of the file; without an address it binds the wildcard one and drops what comes in by other
interfaces than those named.
"""

from __future__ import annotations

from fwcheck.device.configuration import Setting
from fwcheck.device.configurations.reading import ANY, Bound, Includes, Note, Reading, Start, first, host_of, number

NAMES = ("dnsmasq",)


def read(start: Start) -> Reading:
    """DNS, DHCP and TFTP as far as they are on."""
    path = next(iter(start.option("-C", "--conf-file")), "/etc/dnsmasq.conf")
    settings = [*_arguments(start), *_file(start, path, Includes()), *_directories(start)]
    ports = start.option("-p", "--port")
    port = first(settings, "port")
    text = ports[0] if ports else port.value if port else "53"
    where = _where(settings)
    bounds = [Bound(number(text), kind, host, each, interface=name) for host, name, each in where for kind in ("udp", "tcp")]
    bounds = bounds if number(text) else []
    leases = first(settings, "dhcp-range")
    dhcp = leases is not None or start.option("-F") or any(each.key == "interface" for each in start.uci("dhcp"))
    cards = [(name, each) for _, name, each in where if name] or [("", None)]
    if dhcp:
        bounds += [Bound(67, "udp", ANY, each or leases, interface=name) for name, each in cards]
    tftp = first(settings, "enable-tftp") or first([each for each in start.uci("dhcp") if each.value == "1"], "enable_tftp")
    if tftp is not None:
        names = [name for name in tftp.value.split(",") if name and name != "1"] if tftp.value else []
        bounds += [Bound(69, "udp", ANY, tftp, interface=name) for name in names or [name for name, _ in cards]]
    return Reading(
        tuple(dict.fromkeys(bounds)),
        closed=not bounds,
        authentication="none",
        encryption="none",
        notes=(Note("tftp", tftp),) if tftp is not None else (),
    )


def _where(settings: list[Setting]) -> list[tuple[str, str, Setting | None]]:
    """Addresses and interfaces it answers on: both may be given, and together they add up."""
    found: list[tuple[str, str, Setting | None]] = []
    for each in settings:
        if each.key == "interface":
            found += [("127.0.0.1", "", each) if name == "lo" else (ANY, name, each) for name in each.value.split(",") if name]
        elif each.key == "listen-address":
            found += [(host_of(host), "", each) for host in each.value.split(",") if host]
    return found[:16] or [(ANY, "", None)]


def _arguments(start: Start) -> list[Setting]:
    short = {"-i": "interface", "-a": "listen-address", "-F": "dhcp-range"}
    found = [Setting(name, value, "", 0, "") for letter, name in short.items() for value in start.option(letter)]
    for word in start.words:
        if word.startswith("--") and not word.startswith(("--conf", "--port")):
            key, _, value = word[2:].partition("=")
            found.append(Setting(key, value, "", 0, ""))
    return [each for each in found if not each.value.startswith("-")]


def _file(start: Start, path: str, includes: Includes) -> list[Setting]:
    found = []
    for each in start.assignments(path):
        found.append(each)
        if each.key == "conf-file":
            names = [each.value]
        elif each.key == "conf-dir":
            names = start.files(f"{each.value.split(',')[0].rstrip('/')}/*")
        else:
            continue
        for name in includes.follow(names):
            found += _file(start, name, includes)
    return found


def _directories(start: Start) -> list[Setting]:
    return [
        row
        for text in start.option("-7", "--conf-dir")
        for name in start.files(f"{text.split(',')[0].rstrip('/')}/*")
        for row in start.assignments(name)
    ]
