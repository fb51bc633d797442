"""Front ends that write the filter themselves: ufw, firewalld, Shorewall.

Sources: ufw(8) and ufw-framework(8); firewalld.zone(5), firewalld.service(5); shorewall-policy(5), shorewall-rules(5).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from fwcheck.device import configuration
from fwcheck.device._disk import Disk
from fwcheck.device.firewall import iptables
from fwcheck.device.firewall.rules import Chain, Rule, Ruleset
from fwcheck.model import Evidence

Shown = Callable[[str, int, str], Evidence]
_MACROS = {
    "ssh": ("tcp", 22), "telnet": ("tcp", 23), "ftp": ("tcp", 21), "http": ("tcp", 80), "web": ("tcp", 80), "https": ("tcp", 443),
    "dns": ("udp", 53),
    "snmp": ("udp", 161), "ntp": ("udp", 123), "smb": ("tcp", 445), "rsync": ("tcp", 873), "vnc": ("tcp", 5900),
}  # fmt: skip
_XML = re.compile(r"<(service|port|source|zone|interface)\b([^>]{0,400})>")
_ATTRIBUTE = re.compile(r'(\w+)="([^"]{0,200})"')


def ufw(disk: Disk, shown: Shown) -> Ruleset | None:
    """Ufw where ufw.conf switches it on: the user's rules, then the default policy (``deny`` when nothing is said)."""
    enabled = [each for each in configuration.assignments(disk, "/etc/ufw/ufw.conf") if each.key == "enabled"]
    if not enabled or enabled[-1].value.lower() != "yes":
        return None
    default = [each for each in configuration.assignments(disk, "/etc/default/ufw") if each.key == "default_input_policy"]
    path = "/etc/ufw/user.rules"
    rules = iptables.of_text(disk.text(path) or "", lambda line, text: shown(path, line, text))
    user = rules.chains.get("ufw-user-input", Chain())
    policy = default[-1].value.upper() if default else "DROP"
    where = default[-1] if default else enabled[-1]
    return Ruleset({"INPUT": Chain(policy, user.rules, shown(where.path, where.line, where.text)), **rules.chains})


def firewalld(disk: Disk, shown: Shown) -> Ruleset | None:
    """The default zone: its services and ports are open, the rest is rejected unless the zone's target says ACCEPT."""
    settings = configuration.assignments(disk, "/etc/firewalld/firewalld.conf")
    zone = next((each.value for each in settings if each.key == "defaultzone"), "public")
    for top in ("/etc/firewalld/zones", "/usr/lib/firewalld/zones"):
        path = f"{top}/{zone}.xml"
        text = disk.text(path)
        if text:
            break
    else:
        return None
    chain = Chain("REJECT", evidence=shown(path, 1, f"zone {zone}"))
    for number, row in enumerate(text.splitlines()[:512], 1):
        for kind, rest in _XML.findall(row[:1024]):
            held = dict(_ATTRIBUTE.findall(rest))
            if kind == "zone" and held.get("target") == "ACCEPT":
                chain.policy = "ACCEPT"
            for protocol, port in _opened(disk, kind, held):
                chain.rules.append(
                    Rule("ACCEPT", shown(path, number, row.strip()), transports=(protocol,), ports=iptables.ports((port,)))
                )
    return Ruleset({"INPUT": chain})


def _opened(disk: Disk, kind: str, held: dict[str, str]) -> list[tuple[str, str]]:
    if kind == "port" and "port" in held:
        return [(held.get("protocol", "tcp"), held["port"])]
    if kind != "service" or not re.fullmatch(r"[\w.+-]{1,64}", held.get("name", "")):
        return []
    for top in ("/etc/firewalld/services", "/usr/lib/firewalld/services"):
        text = disk.text(f"{top}/{held['name']}.xml")
        if text:
            rows = [dict(_ATTRIBUTE.findall(rest)) for name, rest in _XML.findall(text[:16384]) if name == "port"]
            return [(row.get("protocol", "tcp"), row["port"]) for row in rows if row.get("port")]
    return []


def shorewall(disk: Disk, shown: Shown) -> Ruleset | None:
    """Rules and policies between the net zone and the firewall itself."""
    top = "/etc/shorewall"
    policies = configuration.keywords(disk, f"{top}/policy")
    if not policies:
        return None
    chain = Chain("")
    for each in configuration.keywords(disk, f"{top}/rules"):
        words = [each.key.upper(), *each.value.split()]
        if len(words) < 3 or words[1].split(":")[0] not in ("net", "all", "any") or words[2] not in ("$FW", "fw", "all"):
            continue
        macro = re.match(r"(\w+)[(/](\w+)", each.text)
        target = (macro.group(2) if macro else words[0]).upper()
        protocol, port = _MACROS.get(macro.group(1).lower(), ("", 0)) if macro else (words[3] if len(words) > 3 else "", 0)
        listed = (str(port),) if port else tuple(words[4].split(",")) if len(words) > 4 else ()
        chain.rules.append(
            Rule(
                target,
                shown(each.path, each.line, each.text),
                transports=(protocol,) if protocol and protocol != "-" else (),
                ports=iptables.ports(listed),
                undecided=":" in words[1] or (macro is not None and not port),
            )
        )
    for each in policies:
        words = [each.text.split()[0], *each.value.split()]
        if len(words) >= 3 and words[0] in ("net", "all") and words[1] in ("$FW", "fw", "all"):
            chain.policy = words[2].split(":")[0].upper()
            chain.evidence = shown(each.path, each.line, each.text)
            break
    return Ruleset({"INPUT": chain})
