"""OpenWrt's firewall configuration. Source: openwrt.org, "Firewall configuration /etc/config/firewall".

Rules come before the zone's input policy; a zone without one takes the default's. A rule with ``dest`` is about forwarding.
A zone that hides addresses (``masq``) or is called wan leads to a foreign network.
"""

from __future__ import annotations

from collections.abc import Callable

from fwcheck.device._uci import Section, truth
from fwcheck.device.firewall.iptables import ports
from fwcheck.device.firewall.rules import Chain, Rule, Ruleset
from fwcheck.model import Evidence

_NARROWED = ("extra", "src_ip", "src_mac", "mark", "icmp_type", "ipset", "limit", "src_port", "start_time", "weekdays")


def of_sections(sections: list[Section], shown: Callable[[int, str], Evidence]) -> tuple[Ruleset | None, Ruleset | None]:
    """The filter of the WAN zone and that of the LAN zone, None for a zone that the configuration does not have."""
    zones = [each for each in sections if each.type == "zone"]
    wan = next((each for each in zones if is_foreign(each)), None)
    lan = next((each for each in zones if (each.get("name") or each.name) == "lan"), None)
    lan = lan or next((each for each in zones if each is not wan), None)
    default = next((each.get("input") for each in sections if each.type == "defaults" and each.get("input")), "REJECT")
    return _zone(sections, wan, default, shown), _zone(sections, lan, default, shown)


def is_foreign(zone: Section) -> bool:
    """Whether a zone leads to a foreign network."""
    name = zone.get("name") or zone.name
    return name.startswith(("wan", "internet")) or truth(zone.get("masq", "0")) is True


def _zone(sections: list[Section], zone: Section | None, default: str, shown: Callable[[int, str], Evidence]) -> Ruleset | None:
    if zone is None:
        return None
    name = zone.get("name") or zone.name
    policy = (zone.get("input") or default).upper()
    line = zone.lines.get("input", zone.line)
    chain = Chain(policy, evidence=shown(line, f"zone {name}: input {policy}"))
    for rule in sections:
        if rule.type != "rule" or rule.get("src") not in (name, "*") or rule.get("dest"):
            continue
        if truth(rule.get("enabled", "1")) is False or rule.get("family") == "ipv6":
            continue
        if "--pol ipsec" in rule.get("extra"):  # what came out of a tunnel: nobody's first packet
            continue
        protocols = (rule.get("proto") or "tcpudp").lower().replace("tcpudp", "tcp udp").split()
        everything = bool({"all", "any", "*"} & set(protocols))
        what = rule.get("name") or rule.name
        target = rule.get("target").upper()
        chain.rules.append(
            Rule(
                target=target,
                evidence=shown(rule.line, f"rule {what}: src {name}, port {rule.get('dest_port') or 'any'}, {target}"),
                transports=() if everything else tuple(protocols),
                ports=ports(tuple(rule.get("dest_port").replace(",", " ").split())),
                # A rule for some senders only does not let strangers in, nor keep all of them out.
                source=rule.get("src_ip"),
                undecided=any(rule.get(each) for each in _NARROWED if each != "src_ip"),
            )
        )
    return Ruleset({"INPUT": chain})
