"""Listeners: ports and addresses from arguments and configuration files."""

from __future__ import annotations

import pytest
from support.trees import firmware_of

from fwcheck.device.listeners import listeners
from fwcheck.device.services import services

_ELF = b"\x7fELF" + bytes(60)


def opened(command: str, files: dict[str, bytes | str] | None = None) -> set[tuple[int | None, str, str]]:
    tree: dict[str, bytes | str] = {
        "/sbin/init": _ELF,
        "/etc/inittab": "::sysinit:/etc/rcS\n",
        "/etc/rcS": f"#!/bin/sh\n{command}\n",
        "/lib/x": "",
    }
    tree[f"/usr/sbin/{command.split(maxsplit=1)[0]}"] = _ELF
    firmware = firmware_of(tree | (files or {}))
    return {(each.port, each.protocol, each.address) for each in listeners(firmware, services(firmware))}


@pytest.mark.parametrize(
    ("command", "files", "expected"),
    [
        ("telnetd", {}, {(23, "tcp", "0.0.0.0")}),
        ("telnetd -p 2323 &", {}, {(2323, "tcp", "0.0.0.0")}),
        ("telnetd -b 127.0.0.1 -p 12345", {}, {(12345, "tcp", "127.0.0.1")}),
        ("telnetd -b 192.168.1.1:99", {}, {(99, "tcp", "192.168.1.1")}),
        ("dropbear -p 22 -p 127.0.0.1:2222", {}, {(22, "tcp", "0.0.0.0"), (2222, "tcp", "127.0.0.1")}),
        ("sshd", {"/etc/ssh/sshd_config": "#Port 1\nPort 2022\nListenAddress 10.0.0.1\n"}, {(2022, "tcp", "10.0.0.1")}),
        ("sshd", {"/etc/ssh/sshd_config": "ListenAddress [::1]:24\n"}, {(24, "tcp", "::1")}),
        ("sshd -D", {}, {(22, "tcp", "0.0.0.0")}),
        ("uhttpd -f -p 0.0.0.0:80 -s 443", {}, {(80, "tcp", "0.0.0.0"), (443, "tcp", "0.0.0.0")}),
        (
            "uhttpd",
            {"/etc/config/uhttpd": "config uhttpd main\n list listen_http 127.0.0.1:8080\n"},
            {(8080, "tcp", "127.0.0.1")},
        ),
        (
            "lighttpd -f /etc/l.conf",
            {"/etc/l.conf": 'server.port = 8081\n#server.port = 1\n$SERVER["socket"] == ":443" {\n}\n'},
            {(8081, "tcp", "0.0.0.0"), (443, "tcp", "0.0.0.0")},
        ),
        ("nginx", {"/etc/nginx/nginx.conf": "http {\n server {\n listen 127.0.0.1:8000;\n }\n}\n"}, {(8000, "tcp", "127.0.0.1")}),
        ("boa", {"/etc/boa/boa.conf": "Port 8888\n"}, {(8888, "tcp", "0.0.0.0")}),
        ("httpd -p 8080 -h /www", {}, {(8080, "tcp", "0.0.0.0")}),
        ("goahead &", {}, {(80, "tcp", "0.0.0.0")}),
        ("dnsmasq", {"/etc/dnsmasq.conf": "port=0\ndhcp-range=192.168.1.2,192.168.1.9\n"}, {(67, "udp", "0.0.0.0")}),
        ("vsftpd", {"/etc/vsftpd.conf": "listen=YES\nlisten_port=2121\n"}, {(2121, "tcp", "0.0.0.0")}),
        ("snmpd udp:127.0.0.1:161", {}, {(161, "udp", "127.0.0.1")}),
        (
            "mosquitto -c /etc/m.conf",
            {"/etc/m.conf": "listener 8883 0.0.0.0\nlistener 1883 127.0.0.1\n"},
            {(8883, "tcp", "0.0.0.0"), (1883, "tcp", "127.0.0.1")},
        ),
        (
            "miniupnpd -f /etc/miniupnpd.conf",
            {"/etc/miniupnpd.conf": "port=5000\n"},
            {(1900, "udp", "0.0.0.0"), (5000, "tcp", "0.0.0.0")},
        ),
        ("telnetd -p 99999", {}, {(23, "tcp", "0.0.0.0")}),
        ("udhcpd", {}, {(67, "udp", "0.0.0.0")}),
        ("dnsmasq", {"/etc/dnsmasq.conf": "port=0\nenable-tftp\n"}, {(69, "udp", "0.0.0.0")}),
        ("dnsmasq", {"/etc/dnsmasq.conf": "listen-address=127.0.0.1\n"}, {(53, "udp", "127.0.0.1"), (53, "tcp", "127.0.0.1")}),
        ("dnsmasq --test", {}, set()),
        ("nginx -t", {}, set()),
        ("redis-server /r.conf", {"/r.conf": "port 6379\n"}, {(6379, "tcp", "127.0.0.1")}),
        ("redis-server /r.conf", {"/r.conf": "bind 10.0.0.1 -::1\n"}, {(6379, "tcp", "10.0.0.1"), (6379, "tcp", "::1")}),
        ("mysqld", {"/etc/my.cnf": "[mysqld]\nskip-networking\n"}, set()),
        (
            "mysqld",
            {"/etc/my.cnf": "!includedir /etc/m\n", "/etc/m/a.cnf": "[mysqld]\nport=3307\n"},
            {(3307, "tcp", "0.0.0.0")},
        ),
        ("rsyslogd", {"/etc/rsyslog.conf": "$ModLoad imuxsock\n"}, set()),
        ("rsyslogd", {"/etc/rsyslog.conf": 'input(type="imudp" port="514")\n'}, {(514, "udp", "0.0.0.0")}),
        ("rsyslogd", {"/etc/rsyslog.conf": "#$UDPServerRun 514\n$InputTCPServerRun 601\n"}, {(601, "tcp", "0.0.0.0")}),
        ("syslogd -n", {}, set()),
        ("chronyd", {"/etc/chrony/chrony.conf": "pool x\n"}, set()),
        ("chronyd", {"/etc/chrony/chrony.conf": "allow 10/8\n"}, {(123, "udp", "0.0.0.0")}),
        ("openvpn --config /o", {"/o": "client\nremote a.net\n"}, set()),
        ("openvpn --config /o.conf", {"/o.conf": "server 10.8.0.0 255.0.0.0\nproto tcp\n"}, {(1194, "tcp", "0.0.0.0")}),
        ("socat TCP4-LISTEN:99,bind=127.0.0.1 x", {}, {(99, "tcp", "127.0.0.1")}),
        ("gdbserver 127.0.0.1:99 /bin/app", {}, {(99, "tcp", "127.0.0.1")}),
        (
            "ser2net",
            {"/etc/ser2net.conf": "2000:telnet:0:/dev/ttyS0:9600\nlocalhost,2001:raw:0:/dev/x\n"},
            {(2000, "tcp", "0.0.0.0"), (2001, "tcp", "localhost")},
        ),
        ("ser2net", {"/etc/ser2net.yaml": "connection: &c\n accepter: telnet(rfc2217),tcp,2002\n"}, {(2002, "tcp", "0.0.0.0")}),
        ("cupsd", {"/etc/cups/cupsd.conf": "Listen localhost:631\nListen /run/cups.sock\n"}, {(631, "tcp", "localhost")}),
        ("gpsd /dev/ttyS0", {}, {(2947, "tcp", "127.0.0.1")}),
        ("motion", {"/etc/motion/motion.conf": "webcontrol_port 8080\nwebcontrol_localhost off\n"}, {(8080, "tcp", "0.0.0.0")}),
        ("dockerd -H fd://", {}, set()),
        (
            "unbound",
            {"/etc/unbound/unbound.conf": "server:\n interface: 10.0.0.1\n"},
            {(53, "udp", "10.0.0.1"), (53, "tcp", "10.0.0.1")},
        ),
        ("hostapd /etc/h.conf", {"/etc/h.conf": "ssid=x\n"}, set()),
    ],
)
def test_ports(command: str, files: dict[str, bytes | str], expected: set[tuple[int | None, str, str]]) -> None:
    assert opened(command, files) == expected


def test_a_service_that_is_not_started_has_no_listener() -> None:
    assert opened(": telnetd", {"/usr/sbin/telnetd": _ELF}) == set()


def test_the_evidence_of_a_configured_port_is_its_line() -> None:
    tree: dict[str, bytes | str] = {"/sbin/init": _ELF, "/etc/inittab": "::sysinit:sshd\n", "/usr/sbin/sshd": _ELF, "/lib/x": ""}
    firmware = firmware_of(tree | {"/etc/ssh/sshd_config": "# x\nPort 2022\n"})
    (found,) = listeners(firmware, services(firmware))
    assert (found.evidence[0].location.path, found.evidence[0].location.line, found.evidence[0].text) == (
        "/etc/ssh/sshd_config",
        2,
        "Port 2022",
    )
