"""From where a listener can be reached: what the shipped firewall rules decide, in each language."""

from __future__ import annotations

import time

import pytest
from support.trees import Link, firmware_of

from fwcheck.device.firewall import iptables, nft, rules
from fwcheck.device.firewall.rules import Packet
from fwcheck.device.listeners import listeners, with_reach
from fwcheck.device.services import services
from fwcheck.model import Evidence, Location

ELF = b"\x7fELF" + bytes(60)
_UCI = """config defaults
	option input ACCEPT
config zone
	option name lan
	option network lan
	option input ACCEPT
config zone
	option name wan
	list network wan
	option input {}
	option masq 1
{}
"""
_NETWORK = """config interface lan
	option ifname eth0
config interface wan
	option ifname eth1
"""
_RULE = "config rule\n option src wan\n option dest_port 22\n option target ACCEPT\n"
_NAT = "iptables -t nat -A POSTROUTING -o eth1 -j MASQUERADE\n"


def reach(script: str, files: dict[str, bytes | str] | None = None, daemon: str = "dropbear") -> list[tuple[str, str]]:
    tree: dict[str, bytes | str] = {
        "/sbin/init": ELF, "/etc/inittab": "::sysinit:/etc/rcS\n", "/etc/rcS": f"#!/bin/sh\n{script}\n{daemon}\n", "/lib/x": "",
        f"/usr/sbin/{daemon.split(maxsplit=1)[0]}": ELF, "/usr/sbin/iptables": ELF, "/usr/sbin/nft": ELF,
        "/usr/sbin/iptables-restore": ELF, "/usr/sbin/firewalld": ELF,
    }  # fmt: skip
    firmware = firmware_of(tree | (files or {}))
    found = listeners(firmware, services(firmware))
    name = daemon.split(maxsplit=1)[0]
    return [(each.reachable_from, each.decided_by[0].text if each.decided_by else "") for each in found if each.service == name]


def _openwrt(policy: str, more: str = "", link: bool = True) -> dict[str, bytes | str]:
    tree: dict[str, bytes | str] = {"/etc/config/firewall": _UCI.format(policy, more), "/etc/config/network": _NETWORK}
    tree |= {"/etc/init.d/firewall": "#!/bin/sh\n", "/etc/rc.d/S95done": "#!/bin/sh\n"}
    return tree | ({"/etc/rc.d/S19firewall": Link("../init.d/firewall")} if link else {})


@pytest.mark.parametrize(
    ("files", "daemon", "expected"),
    [
        (_openwrt("REJECT"), "dropbear", "lan"),
        (_openwrt("ACCEPT"), "dropbear", "wan"),
        (_openwrt("REJECT", link=False), "dropbear", "wan"),
        (_openwrt("DROP", _RULE + " option proto tcp\n"), "dropbear", "wan"),
        (_openwrt("DROP", _RULE + " option proto udp\n"), "dropbear", "lan"),
        (_openwrt("DROP", _RULE + " option dest lan\n"), "dropbear", "lan"),
        (
            _openwrt("DROP", _RULE + " option enabled 0\n"),
            "dropbear",
            "lan",
        ),
        (
            _openwrt("DROP", _RULE + " option src_ip 203.0.113.7\n"),
            "dropbear",
            "lan",
        ),
        (_openwrt("ACCEPT", "config rule\n option src '*'\n option dest_port '20-25'\n option target DROP"), "dropbear", "lan"),
        (_openwrt("DROP", "config rule\n option src wan\n option extra '--pol ipsec'\n option target ACCEPT"), "dropbear", "lan"),
        (_openwrt("ACCEPT"), "dropbear -p 127.0.0.1:22", "local"),
        (_openwrt("ACCEPT"), "dropbear -p 192.168.1.1:22", "lan"),
        (_openwrt("ACCEPT"), "dropbear -l br-lan -p 22", "lan"),
        (_openwrt("ACCEPT"), "dropbear -l eth1 -p 22", "wan"),
    ],
)  # fmt: skip
def test_zones_of_openwrt(files: dict[str, bytes | str], daemon: str, expected: str) -> None:
    assert [each for each, _ in reach(":", files, daemon)] == [expected]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("iptables -P INPUT DROP\niptables -A INPUT -i br0 -j ACCEPT\n", "lan"),
        ("iptables -P INPUT DROP\niptables -A INPUT -p tcp --dport 22 -j ACCEPT\n", "wan"),
        ("iptables -P INPUT DROP\niptables -A INPUT -i eth1 -p tcp -m multiport --dports 80,22 -j ACCEPT\n", "wan"),
        ("iptables -P INPUT DROP\niptables -A INPUT -p tcp --dport 23 -j ACCEPT\n", "lan"),
        ("iptables -P INPUT DROP\niptables -A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT\n", "lan"),
        ("iptables -A INPUT -i eth1 -j DROP\n", "lan"),
        ("iptables -A INPUT -i ! eth1 -j ACCEPT\niptables -A INPUT -j DROP\n", "lan"),
        ("iptables -A INPUT -p tcp --dport 22 -j DROP\niptables -F INPUT\n", "wan"),
        ("iptables -A INPUT -p tcp --dport 22 -j DROP\niptables -D INPUT -p tcp --dport 22 -j DROP\n", "wan"),
        ("iptables -P INPUT DROP\niptables -A INPUT -s 192.168.0.0/16 -j ACCEPT\n", "lan"),
        ("iptables -N in_wan\niptables -A INPUT -i eth1 -j in_wan\niptables -A in_wan -j REJECT\n", "lan"),
        ("iptables -P INPUT DROP\niptables -A INPUT -p tcp --dport 22 -m limit --limit 3/m -j ACCEPT\n", "unknown"),
        ("iptables -P INPUT DROP\niptables -A INPUT -m recent --update --seconds 60 -j DROP\n", "lan"),
        ('[ "$(nvram get fw)" = 1 ] && iptables -A INPUT -i eth1 -j DROP\n', "unknown"),
        ("iptables -P INPUT DROP\niptables -I INPUT -p tcp ! --syn -j ACCEPT\n", "lan"),
    ],
)
def test_commands_of_boot_scripts(script: str, expected: str) -> None:
    assert [each for each, _ in reach(_NAT + script)] == [expected]


def test_the_rule_that_decides_is_named() -> None:
    ((who, why),) = reach(_NAT + "iptables -P INPUT DROP\niptables -A INPUT -p tcp --dport 22 -j ACCEPT")
    assert (who, why) == ("wan", "iptables -A INPUT -p tcp --dport 22 -j ACCEPT")


def test_a_device_with_one_side_is_reached_from_its_network_and_a_router_without_rules_is_undecided() -> None:
    assert [each for each, _ in reach(":")] == ["lan"]
    assert [each for each, _ in reach("iptables -P INPUT DROP")] == ["local"]
    assert [each for each, _ in reach(":", {"/usr/sbin/pppoe": ELF, "/usr/sbin/miniupnpd": ELF})] == ["unknown"]
    assert [each for each, _ in reach(":", {"/usr/bin/quectel-CM": ELF})] == ["unknown"]


_SAVED = """*nat
-A POSTROUTING -o eth1 -j MASQUERADE
COMMIT
*filter
:INPUT DROP [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -m comment --comment "for us" -j ACCEPT
COMMIT
"""
_NFT = """table inet filter {
	chain input {
		type filter hook input priority 0; policy drop;
		ct state established,related accept
		iifname "lo" accept
		RULE
	}
	chain forward { type filter hook forward priority 0; }
}
table ip nat { chain post { type nat hook postrouting priority 0; oifname "eth1" masquerade } }
"""


def test_saved_rules_and_nftables() -> None:
    assert [each for each, _ in reach("iptables-restore < /etc/iptables/rules.v4", {"/etc/iptables/rules.v4": _SAVED})] == ["wan"]
    closed = _SAVED.replace("--dport 22", "--dport 80")
    assert [each for each, _ in reach("iptables-restore < /etc/iptables/rules.v4", {"/etc/iptables/rules.v4": closed})] == ["lan"]
    for rule, expected in (
        ("tcp dport 22 accept", "wan"),
        ("tcp dport { 80, 22 } counter accept", "wan"),
        ("udp dport 22 accept", "lan"),
        ("tcp dport 80 accept", "lan"),
        ("ip saddr 192.168.0.0/16 tcp dport 22 accept", "lan"),
        ("tcp dport 22 limit rate 3/minute accept", "unknown"),
        ('iifname "br0" accept', "lan"),
        ("ct state vmap { established : accept, related : accept, invalid : drop }", "lan"),
    ):
        found = reach("nft -f /etc/nftables.conf", {"/etc/nftables.conf": _NFT.replace("RULE", rule)})
        assert [each for each, _ in found] == [expected], rule


def test_front_ends() -> None:
    ufw = {"/etc/ufw/ufw.conf": "ENABLED=yes\n", "/etc/default/ufw": 'DEFAULT_INPUT_POLICY="DROP"\n'}
    allow = {"/etc/ufw/user.rules": "*filter\n:ufw-user-input - [0:0]\n-A ufw-user-input -p tcp --dport 22 -j ACCEPT\nCOMMIT\n"}
    assert [each for each, _ in reach(":", {**ufw})] == ["local"]
    assert [each for each, _ in reach(":", {**ufw, **allow})] == ["lan"]
    zone = {"/usr/lib/firewalld/zones/public.xml": '<zone>\n<service name="ssh"/>\n</zone>\n'}
    zone["/usr/lib/firewalld/services/ssh.xml"] = '<service><port protocol="tcp" port="22"/></service>'
    assert [each for each, _ in reach("firewalld --nofork &", {**zone})] == ["lan"]
    closed = {"/usr/lib/firewalld/zones/public.xml": "<zone>\n</zone>\n"}
    assert [each for each, _ in reach("firewalld --nofork &", {**closed})] == ["local"]


def test_services_take_the_widest_reach_of_their_listeners() -> None:
    tree = {"/sbin/init": ELF, "/etc/inittab": "::sysinit:/etc/rcS\n", "/etc/rcS": "#!/bin/sh\ndropbear -p 127.0.0.1:2 -p 22\n"}
    firmware = firmware_of({**tree, "/lib/x": "", "/usr/sbin/dropbear": ELF})
    found = services(firmware)
    assert [each.reachable_from for each in with_reach(found, listeners(firmware, found)) if each.enabled == "yes"] == ["lan"]


@pytest.mark.parametrize(
    "text", ["{" * 50_000, "x " * 50_000, "-A INPUT " * 20_000, "chain a { jump a }\n" * 2000, '"' * 50_000, "!" * 9999]
)
def test_hostile_rules_are_read_in_bounded_time(text: str) -> None:
    before = time.process_time()

    def shown(line: int, row: str) -> Evidence:
        return Evidence(location=Location(line=line), text=row[:20])

    for found in (
        nft.of_text("chain a { type filter hook input priority 0; }\n" + text, shown),
        iptables.of_text("*filter\n" + text, shown),
    ):
        found.decide(Packet("wan", "tcp", 22))
    assert time.process_time() - before < 3


def test_chains_that_call_each_other_end() -> None:
    ring = rules.Ruleset({"INPUT": rules.Chain("DROP", [rules.Rule("INPUT"), rules.Rule("INPUT")])})
    assert ring.decide(Packet("wan", "tcp", 1)).accepted in (None, False)
