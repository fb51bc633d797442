"""IPsec: strongSwan, Libreswan and racoon. Sources: ipsec.conf(5), swanctl.conf(5), racoon.conf(5); RFC 8221 and RFC 8247.

Only what is asked for by name is judged: the daemons' own lists are left to their versions. A ``conn`` of ipsec.conf that is
neither added nor started (``auto=ignore``, the default) is not in force.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fwcheck.device.configuration import Setting
from fwcheck.device.configurations.reading import Bound, Includes, Note, Reading, Start, include

NAMES = ("charon", "starter", "pluto", "racoon", "ipsec")
_WEAK = re.compile(
    r"(?i)(?<![\w])(3des|des(?:_iv32|_iv64)?|null|blowfish\d*|cast\d*|idea|rc5|md5(?:_128)?|modp768|modp1024(?:s160)?|dh1|dh2|dh22)(?![\w])"
)
_LIBRESWAN = re.compile(r"(?i);(?:modp|dh)?(768|1024|1|2|22)(?!\d)")
_PROPOSALS = ("ike", "esp", "ah", "phase2alg", "proposals", "esp_proposals", "ah_proposals")
_RACOON = re.compile(r"(?:encryption_algorithm|hash_algorithm|authentication_algorithm)\s+([^;{}]{1,200});")
_GROUP = re.compile(r"(?:dh_group|pfs_group)\s+(1|2|modp768|modp1024)\s*;")


def read(start: Start) -> Reading:
    """The exchange on ports 500 and 4500, and algorithms that are asked for although they are withdrawn."""
    connections = [] if start.name == "racoon" else _connections(start, "/etc/ipsec.conf", Includes())
    notes = _racoon(start) if start.name == "racoon" else [*connections, *_swanctl(start)]
    return Reading(
        (Bound(500, "udp"), Bound(4500, "udp")), authentication="unknown", encryption="unknown", notes=tuple(notes[:16])
    )


def _connections(start: Start, path: str, includes: Includes) -> list[Note]:
    """The ``conn`` sections that are in force, with what ``%default`` gives them."""
    section = ""
    held: dict[str, dict[str, Setting]] = {}
    notes: list[Note] = []
    for each in start.assignments(path):
        if head := re.match(r"(conn|config|ca)\s+(\S{1,64})", each.text):
            section = head[2] if head[1] == "conn" else ""
        elif each.text.startswith("include"):
            for name in includes.follow(start.files(include("/etc", each.text.partition(" ")[2].strip()))):
                notes += _connections(start, name, includes)
        elif section and "=" in each.text:
            held.setdefault(section, {})[each.key] = each
    default = held.pop("%default", {})
    for options in held.values():
        whole = {**default, **options}
        auto = whole.get("auto")
        if auto is None or auto.value.lower() == "ignore":
            continue
        for key in _PROPOSALS:
            if key in whole:
                notes += _of(whole[key])
    return list(dict.fromkeys(notes))


def _swanctl(start: Start) -> Iterator[Note]:
    for path in ("/etc/swanctl/swanctl.conf", *start.files("/etc/swanctl/conf.d/*.conf")):
        for each in start.assignments(path):
            if each.key in _PROPOSALS:
                yield from _of(each)


def _of(each: Setting) -> list[Note]:
    """The withdrawn algorithms of a list of proposals."""
    names = [hit.lower() for hit in _WEAK.findall(each.value)]
    names += [f"modp{number}" if len(number) > 2 else f"group {number}" for number in _LIBRESWAN.findall(each.value)]
    return [Note("weak-crypto", each, ", ".join(dict.fromkeys(names)))] if names else []


def _racoon(start: Start) -> list[Note]:
    path = next(iter(start.option("-f")), start.first("/etc/racoon/racoon.conf", "/etc/racoon.conf"))
    notes = []
    for each in start.keywords(path):
        names = [hit for value in _RACOON.findall(f"{each.text};") for hit in _WEAK.findall(value)]
        names += [f"group {hit}" for hit in _GROUP.findall(f"{each.text};")]
        if names:
            notes.append(Note("weak-crypto", each, ", ".join(dict.fromkeys(name.lower() for name in names))))
    return notes
