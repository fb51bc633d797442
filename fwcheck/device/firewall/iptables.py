"""iptables: commands that boot scripts run, and files of iptables-save. Source: iptables(8), iptables-extensions(8)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from fwcheck.device.firewall.rules import Chain, Rule, Ruleset
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.world import Run
from fwcheck.model import Evidence

_PROGRAMS = ("iptables", "iptables-legacy", "iptables-nft")
_KNOWN_MATCHES = ("state", "conntrack", "tcp", "udp", "multiport", "comment", "addrtype")
_HARMLESS = (
    "--comment",
    "--reject-with",
    "--log-prefix",
    "--log-level",
    "--syn",
    "--icmp-type",
    "-w",
    "--wait",
    "-n",
    "-v",
    "--dst-type",
)
_RULE_LIMIT = 4096
_NAMES = {
    "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "bootps": 67, "bootpc": 68, "tftp": 69, "http": 80, "www": 80,
    "ntp": 123, "snmp": 161, "https": 443, "isakmp": 500, "syslog": 514, "rtsp": 554,
}  # fmt: skip


def of_runs(runs: Iterable[Run], shown: Callable[[Run], Evidence]) -> Ruleset:
    """The filter table as the commands of a boot leave it; a command under a condition may not have run."""
    found = Ruleset({"INPUT": Chain("ACCEPT")})
    foreign: set[str] = set()
    for run in runs:
        if run.name in _PROGRAMS:
            apply(found, run.words[1:], shown(run), conditional=bool(run.conditions))
            foreign |= masquerades(run.words)
    found.wan = frozenset(foreign)
    return found


def masquerades(words: Sequence[str]) -> set[str]:
    """The interface behind which addresses are hidden: it leads to a foreign network."""
    if "MASQUERADE" not in words and "SNAT" not in words:
        return set()
    return {
        words[at + 1] for at, word in enumerate(words[:-1]) if word in ("-o", "--out-interface") and UNKNOWN not in words[at + 1]
    }


def of_text(text: str, shown: Callable[[int, str], Evidence], entry: str = "INPUT") -> Ruleset:
    """The filter table of an iptables-save file."""
    found = Ruleset(entry=entry)
    table = "filter"
    foreign: set[str] = set()
    for number, row in enumerate(text.splitlines()[: _RULE_LIMIT * 2], 1):
        line = row[:2048].strip()
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":") and table == "filter":
            words = line[1:].split()
            policy = words[1] if len(words) > 1 and words[1] != "-" else ""
            found.chains[words[0] if words else ""] = Chain(policy, evidence=shown(number, line))
        elif line.startswith("-"):
            words = split(line)
            foreign |= masquerades(words)
            if table == "filter":
                apply(found, words, shown(number, line))
    found.wan = frozenset(foreign)
    return found


def split(line: str) -> list[str]:
    """Words of a rule; quoted comments stay one word."""
    return [word.strip('"') for word in re.findall(r'"[^"]*"|[^\s"]+', line)]


def apply(found: Ruleset, words: Sequence[str], evidence: Evidence | None, *, conditional: bool = False) -> None:
    """One command: policies, chains, rules added, put in front, removed."""
    if "nat" in words or "mangle" in words or "raw" in words:
        return
    command = next(((at, word) for at, word in enumerate(words) if word in _COMMANDS), None)
    if command is None:
        return
    at, word = command
    name = words[at + 1] if at + 1 < len(words) and not words[at + 1].startswith("-") else ""
    chain = found.chains.get(name)
    kind = _COMMANDS[word]
    if kind == "policy" and name and at + 2 < len(words):
        kept = found.chains.setdefault(name, Chain())
        kept.policy = "" if conditional and kept.policy != words[at + 2] else words[at + 2]
        kept.evidence = evidence
    elif kind == "new" and name:
        found.chains.setdefault(name, Chain())
    elif kind == "flush" and not conditional:
        for each in [chain] if name and chain is not None else list(found.chains.values()) if not name else []:
            each.rules.clear()
    elif kind in ("append", "insert") and name:
        rest = list(words[at + 2 :])
        if kind == "insert" and rest and rest[0].isdigit():
            rest = rest[1:]
        held = found.chains.setdefault(name, Chain())
        if len(held.rules) < _RULE_LIMIT:
            rule = parse(rest, evidence, conditional=conditional)
            held.rules.insert(0 if kind == "insert" else len(held.rules), rule)
    elif kind == "delete" and chain is not None:
        same = parse(list(words[at + 2 :]), None)
        chain.rules = [each for each in chain.rules if _same(each) != _same(same)]


_COMMANDS = {
    **dict.fromkeys(("-P", "--policy"), "policy"),
    **dict.fromkeys(("-N", "--new-chain"), "new"),
    **dict.fromkeys(("-F", "--flush"), "flush"),
    **dict.fromkeys(("-A", "--append"), "append"),
    **dict.fromkeys(("-I", "--insert"), "insert"),
    **dict.fromkeys(("-D", "--delete"), "delete"),
}


def _same(rule: Rule) -> tuple[object, ...]:
    return rule.target, rule.interfaces, rule.transports, rule.ports, rule.source, rule.states, rule.undecided


def parse(words: list[str], evidence: Evidence | None, *, conditional: bool = False) -> Rule:
    """The rule that the words behind the chain's name describe."""
    if "ipsec" in words:  # "-m policy --pol ipsec": what came out of a tunnel is nobody's first packet
        return Rule("", evidence)
    held: dict[str, tuple[str, ...]] = {}
    negated: set[str] = set()
    target, undecided, at, negative = "", conditional, 0, False
    while at < len(words):
        word = words[at]
        value = words[at + 1] if at + 1 < len(words) else ""
        if word == "!":
            negative = True
            at += 1
            continue
        if value == "!" and at + 2 < len(words):  # the old place of the negation
            negative, value = True, words[at + 2]
            at += 1
        key = _OPTIONS.get(word, "")
        if key == "target":
            target = value
            at += 2
        elif key:
            held[key] = tuple(value.split(","))
            if negative:
                negated.add(key)
            undecided = undecided or UNKNOWN in value
            at += 2
        elif word in ("-m", "--match"):
            undecided = undecided or value not in _KNOWN_MATCHES
            at += 2
        elif word == "--syn" and negative:
            held["states"] = ("established",)
            at += 1
        elif word in _HARMLESS:
            at += 1 if word in ("--syn", "-n", "-v", "-w") else 2
        else:
            undecided = undecided or word.startswith("-") or UNKNOWN in word
            at += 1
        negative = False
    return Rule(
        target=target,
        evidence=evidence,
        interfaces=held.get("interface", ()),
        interfaces_not="interface" in negated,
        transports=tuple(each.lower() for each in held.get("protocol", ())),
        ports=ports(held.get("ports", ())),
        ports_not="ports" in negated,
        source=held.get("source", ("",))[0],
        source_not="source" in negated,
        states=tuple(each.lower() for each in held.get("states", ())),
        states_not="states" in negated,
        # One protocol that is negated, several sources and ports without a number are left to the device.
        undecided=undecided or "protocol" in negated or len(held.get("source", ())) > 1 or _unread(held.get("ports", ())),
    )


def ports(values: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """``80``, ``80:90``, ``80-90`` and the usual service names as ranges."""
    ranges = []
    for value in values:
        low, _, high = value.replace("-", ":").partition(":")
        first = int(low) if low.isdigit() and len(low) < 6 else _NAMES.get(low.lower())
        last = int(high) if high.isdigit() and len(high) < 6 else first
        if first is not None and last is not None:
            ranges.append((first, last))
    return tuple(ranges)


def _unread(values: tuple[str, ...]) -> bool:
    return bool(values) and len(ports(values)) < len(values)


_OPTIONS = {
    **dict.fromkeys(("-i", "--in-interface"), "interface"),
    **dict.fromkeys(("-p", "--protocol", "--proto"), "protocol"),
    **dict.fromkeys(("--dport", "--destination-port", "--dports", "--destination-ports", "--ports"), "ports"),
    **dict.fromkeys(("-s", "--source", "--src"), "source"),
    **dict.fromkeys(("--state", "--ctstate"), "states"),
    **dict.fromkeys(("-j", "--jump", "-g", "--goto"), "target"),
}
