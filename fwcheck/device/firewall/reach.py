"""From where a listener can be reached: its address, the sides of the device, and the firewall that the shipped default sets up.

"wan" is said where the shipped rules let a stranger from a foreign network in, "lan" where they do not or where the device has
one side only, "local" for the device itself. A router whose filter is set up by a program of its own stays "unknown".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple

from fwcheck.device import configuration
from fwcheck.device.boot import Boot, boots
from fwcheck.device.configurations.reading import ANY, is_local
from fwcheck.device.firewall import frontends, iptables, nft, uci
from fwcheck.device.firewall.rules import Chain, Packet, Ruleset, side_of
from fwcheck.device.firmware import Firmware
from fwcheck.device.services import vendor_programs
from fwcheck.device.shell.world import Run
from fwcheck.model import Evidence

Reach = Literal["wan", "lan", "local", "unknown"]
_SAVED = (
    "/etc/iptables/rules.v4",
    "/etc/iptables.rules",
    "/etc/sysconfig/iptables",
    "/etc/iptables/iptables.rules",
    "/etc/iptables.up.rules",
)
_RESTORE = ("iptables-restore", "netfilter-persistent", "iptables-persistent")
_NFT = ("/etc/nftables.conf", "/etc/sysconfig/nftables.conf", "/etc/nftables.nft")
_ROUTER_PROGRAMS = (
    "pppoe",
    "pppoe-connect",
    "rp-pppoe",
    "pppoecd",
    "igmpproxy",
    "miniupnpd",
    "upnpd",
    "xl2tpd",
    "ebtables",
    "wanduck",
    "wan",
)
_MODEM_PROGRAMS = ("quectel-CM", "ModemManager", "uqmi", "wvdial", "qmicli", "comgt")
_ROUTER_MINIMUM = 2


class Answer(NamedTuple):
    """The widest network that reaches a listener, and what says so."""

    reach: Reach
    evidence: tuple[Evidence, ...] = ()


@dataclass(slots=True)
class Sides:
    """What filters a root file system's network, and whether it has a side towards a foreign network."""

    router: bool | None = None  # None: signs of one, nothing sure
    wan: Ruleset | None = None
    lan: Ruleset | None = None
    why: tuple[Evidence, ...] = ()
    interfaces: frozenset[str] = frozenset()
    sure: bool = True  # nobody else can add rules: what no rule forbids is allowed
    near: frozenset[str] = field(default_factory=frozenset)


@lru_cache(maxsize=1)
def sides(firmware: Firmware) -> dict[str, Sides]:
    """The sides of each root file system by its label; made once per firmware."""
    return {boot.root.label: _sides(boot) for boot in boots(firmware)}


def answer(held: Sides | None, transport: str, port: int | None, address: str, interface: str = "") -> Answer:
    """From where a bound port can be reached."""
    if is_local(address):
        return Answer("local")
    if held is None:
        return Answer("unknown")
    card = side_of(interface) if interface else ""
    foreign = interface in held.interfaces or card == "wan"
    near = not foreign and (card == "lan" or interface in held.near or _is_private(address))
    if held.router is False or near:
        inside = held.lan.decide(Packet("lan", transport, port)) if held.lan is not None else None
        if inside is not None and inside.accepted is False:
            return Answer("local", (inside.evidence,) if inside.evidence else ())
        return Answer("lan", held.why)
    if held.wan is None:
        return Answer("unknown", held.why)
    outside = held.wan.decide(Packet("wan", transport, port))
    proof = (outside.evidence,) if outside.evidence else held.why
    if outside.accepted is None or (outside.accepted and (held.router is None or (not outside.evidence and not held.sure))):
        return Answer("unknown", proof)
    return Answer("wan" if outside.accepted else "lan", proof)


def widest(answers: Iterable[Reach]) -> Reach:
    """The widest of several answers; an unknown one counts unless another is the WAN already."""
    found = set(answers)
    return next((each for each in _WIDTH if each in found), "unknown")


_WIDTH: tuple[Reach, ...] = ("wan", "unknown", "lan", "local")


def _is_private(address: str) -> bool:
    if address == ANY:
        return False
    try:
        return ipaddress.ip_address(address).is_private
    except ValueError:
        return False


def _sides(boot: Boot) -> Sides:
    for reader in (_uci, _front_ends, _commands):
        found = reader(boot)
        if found is not None:
            return found
    signs = _router_signs(boot)
    if not signs:
        return Sides(router=False)
    return Sides(router=None, why=tuple(signs[:2]))


def _shown(boot: Boot, path: str, line: int, text: str) -> Evidence:
    return boot.root.evidence(path, text, line=line or None)


def _uci(boot: Boot) -> Sides | None:
    """OpenWrt: zones of /etc/config/firewall, where its script is started and the network configuration has a foreign side."""
    path = "/etc/config/firewall"
    sections = configuration.uci_sections(boot.disk, "firewall")
    if not sections or boot.root.resolve(path) is None:
        return None
    wan, lan = uci.of_sections(sections, lambda line, text: _shown(boot, path, line, text))
    networks = configuration.uci_sections(boot.disk, "network")
    zones = [each for each in sections if each.type == "zone"]
    foreign = {name for zone in zones if uci.is_foreign(zone) for name in zone.get("network").split() or [zone.get("name")]}
    cards = frozenset(
        card for each in networks if each.name in foreign for card in (each.get("device") or each.get("ifname")).split() if card
    )
    near = frozenset(
        card
        for each in networks
        if each.name not in foreign
        for card in (each.get("device") or each.get("ifname")).split()
        if card
    )
    starts = _switched_on(boot, "firewall") or any(run.name in ("fw3", "fw4") for run in boot.runs)
    if not starts and boot.root.exists("/etc/rc.d"):
        off = Ruleset({"INPUT": Chain("ACCEPT", evidence=_shown(boot, path, 0, "the firewall script has no start link"))})
        return Sides(router=bool(wan), wan=off if wan else None, interfaces=cards, near=near)
    return Sides(router=wan is not None, wan=wan, lan=lan, interfaces=cards, near=near)


def _switched_on(boot: Boot, script: str) -> bool:
    links = [node.path for node in boot.root.children("/etc/rc.d") if node.path.rsplit("/", 1)[-1][3:] == script]
    return any(path.rsplit("/", 1)[-1].startswith("S") for path in links) and (
        boot.world is None or script not in boot.world.disabled
    )


def _commands(boot: Boot) -> Sides | None:
    """Iptables commands of the boot; those of a script under a condition count as possible."""
    filters = boot.world.filters if boot.world is not None else []
    runs = [run for run in filters if run.name == "iptables"]
    found = iptables.of_runs(runs, _run_shown) if runs else None
    if found is not None and (found.wan or any(chain.rules for chain in found.chains.values()) or _is_closed(found)):
        forwards = bool(found.wan) or any("FORWARD" in run.words or "nat" in run.words for run in runs)
        sure = not boot.holes and not vendor_programs(boot)
        return Sides(router=_router(boot, forwards=forwards), wan=found, lan=found, interfaces=found.wan, sure=sure)
    restore = next((run for run in (*filters, *boot.runs) if run.name in _RESTORE and not run.conditions), None)
    if restore is not None:
        for path in (*[word for word in restore.words[1:] if word.startswith("/")], *_SAVED):
            if text := _plain(boot, path):
                saved = iptables.of_text(text, lambda line, row, path=path: _shown(boot, path, line, row))  # type: ignore[misc]
                return Sides(router=_router(boot, forwards=bool(saved.wan)), wan=saved, lan=saved)
    loads = next((run for run in boot.runs if run.name == "nft" and "-f" in run.words and not run.conditions), None)
    if loads is not None:
        for path in (*[word for word in loads.words[1:] if word.startswith("/")], *_NFT):
            if text := _plain(boot, path):
                rules = nft.of_text(text, lambda line, row, path=path: _shown(boot, path, line, row))  # type: ignore[misc]
                return Sides(router=_router(boot, forwards="masquerade" in text), wan=rules, lan=rules)
    return None


def _is_closed(found: Ruleset) -> bool:
    return found.chains["INPUT"].policy != "ACCEPT"


def _plain(boot: Boot, path: str) -> str:
    text = boot.root.text(path)
    return text if text is not None and len(text) < 1 << 20 else ""


def _run_shown(run: Run) -> Evidence:
    place = run.place
    return place.fs.evidence(place.path, " ".join(run.shown), line=place.line or None)


def _front_ends(boot: Boot) -> Sides | None:
    def shown(path: str, line: int, text: str) -> Evidence:
        return _shown(boot, path, line, text)

    names = {run.name for run in boot.runs if not run.conditions}
    found = frontends.ufw(boot.disk, shown) if names & {"ufw", "ufw-init"} or boot.root.exists("/etc/ufw/ufw.conf") else None
    if found is None and "firewalld" in names:
        found = frontends.firewalld(boot.disk, shown)
    if found is None and "shorewall" in names:
        found = frontends.shorewall(boot.disk, shown)
    if found is None:
        return None
    return Sides(router=_router(boot), wan=found, lan=found)


def _program(boot: Boot, name: str) -> str | None:
    paths = (f"{top}/{name}" for top in ("/usr/sbin", "/sbin", "/usr/bin", "/bin"))
    return next((path for path in paths if boot.root.exists(path)), None)


def _router(boot: Boot, *, forwards: bool = False) -> bool | None:
    """Whether there is a foreign side: rules that forward say so, signs leave it open."""
    return True if forwards else None if _router_signs(boot) else False


def _router_signs(boot: Boot) -> list[Evidence]:
    """Signs of a side towards a foreign network; one alone (a PPP daemon in a meter) is none."""
    signs: list[Evidence] = []
    for each in configuration.uci_sections(boot.disk, "network"):
        if each.type == "interface" and each.name.startswith("wan"):
            return [_shown(boot, "/etc/config/network", each.line, f"interface {each.name}")] * _ROUTER_MINIMUM
    for name in _MODEM_PROGRAMS:
        if (path := _program(boot, name)) is not None:
            return [_shown(boot, path, 0, "brings up a mobile network")] * _ROUTER_MINIMUM
    for name in _ROUTER_PROGRAMS:
        if (path := _program(boot, name)) is not None:
            signs.append(_shown(boot, path, 0, "a program of routers"))
    servers = [run for run in boot.runs if run.name in ("udhcpd", "dhcpd", "dnsmasq", "dhcps")]
    signs += [_run_shown(run) for run in servers[:1]]
    for path in (
        "/etc/init.d/wan",
        "/etc/rc.d/rc.wan",
        "/etc/init.d/firewall",
        "/etc/rc.d/rc.firewall",
        "/usr/sbin/iptables",
        "/sbin/iptables",
    ):
        if boot.root.exists(path):
            signs.append(_shown(boot, path, 0, "set up by routers"))
            break
    return signs if len(signs) >= _ROUTER_MINIMUM else []
