"""nftables rulesets. Source: nft(8). Base chains with ``hook input`` are followed in order of the file, jumps included."""

from __future__ import annotations

import re
from collections.abc import Callable

from fwcheck.device.firewall.iptables import ports
from fwcheck.device.firewall.rules import Chain, Rule, Ruleset
from fwcheck.model import Evidence

_HEADER = re.compile(r"chain\s+([\w.-]+)\s*\{")
_POLICY = re.compile(r"\bpolicy\s+(accept|drop)\b")
_DEFINE = re.compile(r"define\s+(\w+)\s*=\s*(.+)")
_LINE_LIMIT = 8192
_FILLER = re.compile(
    r"\b(counter(\s+packets\s+\d+\s+bytes\s+\d+)?|log(\s+(prefix\s+\"[^\"]*\"|level\s+\w+|group\s+\d+))*|comment\s+\"[^\"]*\")"
)


def of_text(text: str, shown: Callable[[int, str], Evidence]) -> Ruleset:
    """The input filter of a ruleset file; without an input chain nothing is filtered."""
    found = Ruleset({"INPUT": Chain("ACCEPT")})
    name, hooked, defines = "", False, dict[str, str]()
    for number, row in enumerate(text.splitlines()[:_LINE_LIMIT], 1):
        line = row[:1024].split("#")[0].strip()
        if define := _DEFINE.match(line):
            defines[define.group(1)] = define.group(2).strip()
        if header := _HEADER.search(line):
            name, hooked = header.group(1), False
            line = line[header.end() :].strip()
            found.chains.setdefault(name, Chain())
        for statement in filter(None, (part.strip() for part in line.split(";"))):
            if not name:
                continue
            if statement.startswith("type "):
                hooked = "hook input" in statement and "filter" in statement
                if hooked:
                    found.chains["INPUT"].rules.append(Rule(name))
                    found.chains["INPUT"].evidence = shown(number, line)
            elif policy := _POLICY.match(statement):
                if hooked:
                    found.chains[name].policy = ""
                    found.chains["INPUT"].policy = policy.group(1).upper()
                    found.chains["INPUT"].evidence = shown(number, statement)
            elif statement == "}":
                name = ""
            else:
                found.chains[name].rules.append(parse(_defined(statement, defines), shown(number, statement)))
    return found


def _defined(statement: str, defines: dict[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda hit: defines.get(hit.group(1), hit.group(0)), statement)[:2048]


def parse(statement: str, evidence: Evidence | None) -> Rule:
    """One rule of a chain."""
    text = _FILLER.sub(" ", statement)
    target = next((word.upper() for word in ("accept", "drop", "reject", "return") if re.search(rf"\b{word}\b", text)), "")
    if jump := re.search(r"\b(?:jump|goto)\s+([\w.-]+)", text):
        target = jump.group(1)
    if "vmap" in text:  # "ct state vmap { established : accept, ... }": new connections go on
        return Rule("" if "ct state" in text else target, evidence, undecided=True)
    held: dict[str, tuple[str, ...]] = {}
    negated: set[str] = set()
    rest = text
    for key, shape in _SHAPES.items():
        hit = shape.search(rest)
        if hit is not None:
            values = hit.group("value").strip("{} ").replace('"', "").split(",")
            held[key] = tuple(each.strip() for each in values if each.strip())
            if hit.group("not"):
                negated.add(key)
            if "proto" in hit.groupdict() and hit.group("proto") != "th":
                held.setdefault("transports", (hit.group("proto"),))
            rest = rest[: hit.start()] + rest[hit.end() :]
    rest = re.sub(r"\b(accept|drop|reject( with [\w -]+)?|return|jump|goto|meta)\b|[\w.-]+$", " ", rest).strip()
    source = held.get("source", ())
    return Rule(
        target=target,
        evidence=evidence,
        interfaces=held.get("interfaces", ()),
        interfaces_not="interfaces" in negated,
        transports=held.get("transports", ()),
        ports=ports(held.get("ports", ())),
        ports_not="ports" in negated,
        source=source[0] if source else "",
        source_not="source" in negated,
        states=held.get("states", ()),
        states_not="states" in negated,
        undecided=bool(rest) or len(source) > 1 or len(ports(held.get("ports", ()))) < len(held.get("ports", ())),
    )


def _shape(head: str) -> re.Pattern[str]:
    return re.compile(rf"\b{head}\s+(?P<not>!=\s*)?(?P<value>\{{[^}}]{{0,1024}}\}}|[\w.:/*\"+,$-]+)")


_SHAPES = {
    "interfaces": _shape(r"(?:meta\s+)?iif(?:name)?"),
    "ports": _shape(r"(?P<proto>tcp|udp|th)\s+dport"),
    "states": _shape(r"ct\s+state"),
    "source": _shape(r"ip6?\s+saddr"),
    "transports": _shape(r"(?:meta\s+l4proto|ip\s+protocol|ip6\s+nexthdr)"),
}
