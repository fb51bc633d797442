"""Which service uses which private key: named in arguments, in configurations, in code, or read by default."""

from __future__ import annotations

import time

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from support.trees import Link, firmware_of

from fwcheck.device.services import services
from fwcheck.model import CallFact

ELF = b"\x7fELF" + bytes(60)
SECRET = ec.derive_private_key(99, ec.SECP256R1())
KEY = SECRET.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
PUBLIC = SECRET.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
NGINX = "events {}\nhttp {\n server {\n  listen 443 ssl;\n  ssl_certificate_key tls/server.key;\n }\n}\n"
UHTTPD = "config uhttpd main\n\tlist listen_https 0.0.0.0:443\n\toption key /etc/uhttpd.key\n"
MOSQUITTO = "listener 8883\ncertfile /etc/m/server.crt\nkeyfile /etc/m/server.key\n"
OPENVPN = "dev tun\nserver 10.8.0.0 255.255.255.0\nca ca.crt\nkey server.key\n"
STUNNEL = "; cert = /etc/other.pem\n[https]\naccept = 443\nconnect = 80\ncert = /etc/stunnel/stunnel.pem\n"


def tree(command: str, files: dict[str, bytes | str]) -> dict[str, bytes | str]:
    program = command.split(maxsplit=1)[0]
    base: dict[str, bytes | str] = {
        "/bin/busybox": ELF,
        "/sbin/init": Link("../bin/busybox"),
        "/bin/sh": Link("busybox"),
        "/lib/x": "",
    }
    return base | {"/etc/inittab": f"::respawn:{command}\n", program: ELF} | files


def used(command: str, files: dict[str, bytes | str]) -> list[tuple[str, str, int | None]]:
    """Key file, and where it is named, of every service."""
    return [
        (each.path, each.evidence.location.path, each.evidence.location.line)
        for service in services(firmware_of(tree(command, files)))
        for each in service.keys
    ]


@pytest.mark.parametrize(
    ("command", "path", "conf", "text", "line"),
    [
        ("/usr/sbin/lighttpd -D -f /etc/l.conf", "/etc/ssl/l.pem", "/etc/l.conf", 'ssl.pemfile = "/etc/ssl/l.pem"\n', 1),
        ("/usr/sbin/nginx", "/etc/nginx/tls/server.key", "/etc/nginx/nginx.conf", NGINX, 5),
        ("/usr/sbin/uhttpd -f", "/etc/uhttpd.key", "/etc/config/uhttpd", UHTTPD, 3),
        ("/usr/sbin/mosquitto -c /etc/m/m.conf", "/etc/m/server.key", "/etc/m/m.conf", MOSQUITTO, 3),
        ("/usr/sbin/openvpn --config /etc/openvpn/s.conf", "/etc/openvpn/server.key", "/etc/openvpn/s.conf", OPENVPN, 4),
        ("/usr/bin/stunnel", "/etc/stunnel/stunnel.pem", "/etc/stunnel/stunnel.conf", STUNNEL, 5),
        ("/usr/sbin/hostapd /etc/h.conf", "/etc/eap.key", "/etc/h.conf", "ssid=x\nprivate_key=/etc/eap.key\n", 2),
        ("/usr/sbin/sshd -D", "/etc/ssh/mine", "/etc/ssh/sshd_config", "HostKey /etc/ssh/mine\n", 1),
        ("/usr/sbin/vendord -c /etc/v.xml", "/etc/v.pem", "/etc/v.xml", "<tls>\n<key>/etc/v.pem</key>\n</tls>\n", 2),
    ],
)
def test_a_configuration_names_the_key(command: str, path: str, conf: str, text: str, line: int) -> None:
    assert used(command, {path: KEY, conf: text}) == [(path, conf, line)]
    assert used(command, {path: PUBLIC, conf: text}) == []  # no secret in it
    assert used(command, {path: KEY, conf: "\n".join(f"# {row}" for row in text.splitlines())}) == []


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("/usr/sbin/uhttpd -f -s 0.0.0.0:443 -K /etc/my.key", "/etc/my.key"),
        ("/usr/sbin/uhttpd -f -s 0.0.0.0:443 -K/etc/my.key", "/etc/my.key"),
        ("/usr/sbin/openvpn --dev tun --server 10.8.0.0 255.255.255.0 --cd /etc/vpn --key my.key", "/etc/vpn/my.key"),
        ("/usr/sbin/dropbear -F -r /etc/keys/host", "/etc/keys/host"),
        ("/usr/sbin/dropbear -F", "/etc/dropbear/dropbear_rsa_host_key"),
        ("/usr/sbin/sshd -D", "/etc/ssh/ssh_host_ed25519_key"),
    ],
)
def test_arguments_and_defaults_name_the_key(command: str, path: str) -> None:
    assert used(command, {path: KEY}) == [(path, "/etc/inittab", 1)]


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("/usr/sbin/dropbear -F -r /etc/keys/host", {"/etc/dropbear/dropbear_rsa_host_key": KEY}),
        ("/usr/sbin/sshd -D", {"/etc/ssh/ssh_host_rsa_key": KEY, "/etc/ssh/sshd_config": "HostKey /etc/ssh/other\n"}),
        ("/usr/sbin/vsftpd", {"/usr/share/ssl/certs/vsftpd.pem": KEY, "/etc/vsftpd.conf": "ssl_enable=NO\n"}),
        ("/usr/sbin/lighttpd -f /etc/l.conf", {"/etc/a.pem": KEY, "/etc/l.conf": 'ssl.pemfile = "/etc/a.pem.old"\n'}),
    ],
)
def test_a_key_that_another_setting_rules_out_is_not_used(command: str, files: dict[str, bytes | str]) -> None:
    assert used(command, files) == []


def test_a_link_leads_to_the_key() -> None:
    files: dict[str, bytes | str] = {
        "/etc/l.conf": "ssl.privkey = /etc/tls.key\n",
        "/etc/tls.key": Link("/usr/share/k"),
        "/usr/share/k": KEY,
    }
    assert used("/usr/sbin/lighttpd -f /etc/l.conf", files) == [("/usr/share/k", "/etc/l.conf", 1)]


def test_code_names_the_key() -> None:
    firmware = firmware_of(tree("/usr/sbin/httpsd", {"/etc/web.pem": KEY}))
    node = firmware.filesystems[0].nodes["/usr/sbin/httpsd"]
    facts = firmware.facts_of(node)
    assert facts is not None
    call = CallFact(function="SSL_CTX_use_PrivateKey_file", arguments=(None, "/etc/web.pem", 1), offset=64)
    changed = msgspec.structs.replace(facts, calls=(call,))
    firmware._facts[facts.sha256] = changed
    keys = [each for service in services(firmware) if service.name == "httpsd" for each in service.keys]
    assert [(each.path, each.evidence.location.path, each.evidence.location.offset) for each in keys] == [
        ("/etc/web.pem", "/usr/sbin/httpsd", 64)
    ]


def test_an_image_without_keys_and_hostile_lines_cost_little() -> None:
    hostile = ("/" + "a/." * 1000 + "server.key ") * 300 + "\n" + "server.key" * 20_000
    started = time.process_time()
    assert used("/usr/sbin/lighttpd -f /etc/l.conf", {"/etc/k/server.key": KEY, "/etc/l.conf": hostile}) == []
    assert time.process_time() - started < 3
