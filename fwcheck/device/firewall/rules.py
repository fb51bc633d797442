"""Packet filter rules in one form, and what they decide for a new connection from a stranger.

Every language is turned into chains of rules. A condition that the image does not decide (a rate limit, a mark, a variable of the
running device) may match or not: when that changes the answer, the answer is unknown.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from fwcheck.model import Evidence

Side = Literal["wan", "lan"]
_DEPTH_LIMIT = 16
_STEP_LIMIT = 20_000
_FINAL = {"ACCEPT": True, "DROP": False, "REJECT": False, "TARPIT": False, "QUEUE": None}


class Packet(NamedTuple):
    """A new connection to the device."""

    side: Side
    transport: str
    port: int | None


class Decision(NamedTuple):
    """Whether the packet gets in (None: the image does not decide) and the rule or policy that says so."""

    accepted: bool | None
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what it compares, and where matching packets go. Empty and None compare nothing."""

    target: str
    evidence: Evidence | None = None
    interfaces: tuple[str, ...] = ()
    interfaces_not: bool = False
    transports: tuple[str, ...] = ()
    ports: tuple[tuple[int, int], ...] = ()
    ports_not: bool = False
    source: str = ""
    source_not: bool = False
    states: tuple[str, ...] = ()
    states_not: bool = False
    undecided: bool = False  # compares something else, or may not be there at all


@dataclass(slots=True)
class Chain:
    """Rules in order, and what happens behind the last one ("" returns to the caller)."""

    policy: str = ""
    rules: list[Rule] = field(default_factory=list)
    evidence: Evidence | None = None


@dataclass(slots=True)
class Ruleset:
    """The chains of a filter, beginning at ``entry``; ``wan`` names the interfaces towards a foreign network where known."""

    chains: dict[str, Chain] = field(default_factory=dict)
    entry: str = "INPUT"
    wan: frozenset[str] = frozenset()
    steps: int = 0

    def decide(self, packet: Packet) -> Decision:
        """What happens to the packet."""
        self.steps = 0
        chain = self.chains.get(self.entry)
        if chain is None:
            return Decision(None)
        found = self._walk(chain, packet, 0)
        if found is not None:
            return found
        if chain.policy not in _FINAL:
            return Decision(None)
        return Decision(_FINAL[chain.policy], chain.evidence)

    def _walk(self, chain: Chain, packet: Packet, depth: int) -> Decision | None:
        """The first decision of a chain, None when it returns. A rule that may match must agree with what follows it."""
        maybe: list[Decision] = []
        for rule in chain.rules:
            self.steps += 1
            if self.steps > _STEP_LIMIT:
                return Decision(None)
            match = matches(rule, packet, self.wan)
            if match is False:
                continue
            if rule.target == "RETURN" and match:
                return self._settled(maybe, None, chain)
            found = self._target(rule, packet, depth)
            if found is None:
                continue
            if match:
                return self._settled(maybe, found, chain)
            maybe.append(found)
        return self._settled(maybe, None, chain)

    def _target(self, rule: Rule, packet: Packet, depth: int) -> Decision | None:
        if rule.target in _FINAL:
            return Decision(_FINAL[rule.target], rule.evidence)
        inner = self.chains.get(rule.target)
        if inner is None or depth >= _DEPTH_LIMIT:
            return None
        found = self._walk(inner, packet, depth + 1)
        return found if found is not None or not inner.policy else Decision(_FINAL.get(inner.policy), inner.evidence)

    @staticmethod
    def _settled(maybe: list[Decision], found: Decision | None, chain: Chain) -> Decision | None:
        """A decision that every undecided rule in front of it shares, else none at all."""
        if not maybe:
            return found
        final = found.accepted if found is not None else _FINAL.get(chain.policy)
        if all(each.accepted == final for each in maybe):
            return found
        return Decision(None, maybe[0].evidence)


def matches(rule: Rule, packet: Packet, wan: frozenset[str]) -> bool | None:
    """Whether a rule applies to the packet; None when the running device decides."""
    answers = [_transport(rule, packet), _port(rule, packet), _state(rule), _source(rule, packet), _interface(rule, packet, wan)]
    if any(each is False for each in answers):
        return False
    return None if rule.undecided or any(each is None for each in answers) else True


def _transport(rule: Rule, packet: Packet) -> bool:
    names = {"6": "tcp", "17": "udp", "all": packet.transport, "any": packet.transport, "0": packet.transport}
    return not rule.transports or packet.transport in {names.get(each, each) for each in rule.transports}


def _port(rule: Rule, packet: Packet) -> bool | None:
    if not rule.ports:
        return True
    if packet.port is None:
        return None
    return any(low <= packet.port <= high for low, high in rule.ports) != rule.ports_not


def _state(rule: Rule) -> bool:
    return not rule.states or ("new" in rule.states) != rule.states_not


def _source(rule: Rule, packet: Packet) -> bool | None:
    """A stranger of the WAN has no private address and none that a rule names; one of the LAN has a private one."""
    if not rule.source:
        return True
    try:
        network = ipaddress.ip_network(rule.source, strict=False)
    except ValueError:
        return None
    if network.prefixlen == 0:
        return not rule.source_not
    inside = packet.side == "lan" and network.is_private and not network.is_loopback
    return inside != rule.source_not


def _interface(rule: Rule, packet: Packet, wan: frozenset[str]) -> bool | None:
    if not rule.interfaces:
        return True
    answers = [_is_side(name, packet.side, wan) for name in rule.interfaces]
    found = True if True in answers else None if None in answers else False
    return found if found is None else found != rule.interfaces_not


def _is_side(name: str, side: Side, wan: frozenset[str]) -> bool | None:
    """Whether packets of that side come in by an interface of this name."""
    if name == "lo":
        return False
    if name in ("+", "*"):
        return True
    plain = name.rstrip("+*")
    if plain in wan or (name != plain and any(each.startswith(plain) for each in wan)):
        return side == "wan"
    kind = side_of(plain)
    if kind:
        return kind == side
    # With the foreign interfaces known, every other one is on the near side.
    return side == "lan" if wan else None


def side_of(interface: str) -> Side | Literal[""]:
    """The side that the name of an interface gives away, "" when it gives nothing away."""
    name = interface.lower()
    if name.startswith(("ppp", "wan", "pppoe", "nas", "atm", "wwan", "rmnet", "usb", "ccmni", "wan6")):
        return "wan"
    return "lan" if name.startswith(("br", "lan", "ra", "rai", "wlan", "ath", "wl", "apcli", "guest")) else ""
