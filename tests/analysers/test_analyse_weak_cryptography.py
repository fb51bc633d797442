"""Withdrawn cryptography: only what a started service is told to use, and nothing of lists that take it away."""

from __future__ import annotations

import pytest
from support.trees import firmware_of

from fwcheck.analysers.weak_cryptography import analyse
from fwcheck.device.listeners import listeners, with_reach
from fwcheck.device.services import services
from fwcheck.model import Device, Finding

ELF = b"\x7fELF" + bytes(60)
SSHD, IPSEC, SNMPD, RACOON = "/etc/ssh/sshd_config", "/etc/ipsec.conf", "/etc/snmp/snmpd.conf", "/etc/racoon/racoon.conf"


def found(command: str, files: dict[str, bytes | str]) -> list[Finding]:
    tree: dict[str, bytes | str] = {
        "/sbin/init": ELF, "/etc/inittab": "::sysinit:/etc/rcS\n", "/etc/rcS": f"#!/bin/sh\n{command}\n", "/lib/x": "",
        **{f"/usr/sbin/{name}": ELF for name in ("sshd", "ipsec", "racoon", "snmpd", "charon")},
    }  # fmt: skip
    firmware = firmware_of(tree | files)
    started = services(firmware)
    return list(analyse(firmware, Device(services=with_reach(started, listeners(firmware, started)))))


CONN = "conn %default\n\tkeyexchange=ikev1\nconn work\n\tauto={auto}\n\tike={ike}\n\tesp={esp}\n"
SWANCTL = "connections {\n work {\n  proposals = 3des-sha1-modp1024\n  children {\n   net {\n    esp_proposals = aes128-sha256\n"
PHASE1 = "remote anonymous {\n proposal {\n  encryption_algorithm 3des;\n  hash_algorithm md5;\n  dh_group 2;\n"


@pytest.mark.parametrize(
    ("command", "files", "names", "line"),
    [
        ("sshd", {SSHD: "Ciphers aes256-ctr,3des-cbc,arcfour128\n"}, "3des-cbc, arcfour128", 1),
        ("sshd", {SSHD: "Port 22\nMACs +hmac-md5\n"}, "hmac-md5", 2),
        ("sshd", {SSHD: "KexAlgorithms diffie-hellman-group1-sha1,curve25519-sha256\n"}, "diffie-hellman-group1-sha1", 1),
        ("sshd", {SSHD: "HostKeyAlgorithms ssh-dss,ssh-ed25519\n"}, "ssh-dss", 1),
        ("sshd", {SSHD: "Protocol 2,1\n"}, "SSH protocol 1", 1),
        ("sshd -o Ciphers=3des-cbc", {}, "3des-cbc", 2),
        ("ipsec start", {IPSEC: CONN.format(auto="start", ike="3des-md5-modp1024!", esp="aes")}, "3des, md5, modp1024", 5),
        ("ipsec start", {IPSEC: CONN.format(auto="add", ike="aes256-sha256-modp2048", esp="null-sha1")}, "null", 6),
        ("ipsec start", {IPSEC: CONN.format(auto="add", ike="3des-sha1;modp1024", esp="aes")}, "3des, modp1024", 5),
        ("charon", {"/etc/swanctl/swanctl.conf": SWANCTL}, "3des, modp1024", 3),
        ("racoon", {RACOON: PHASE1}, "3des, md5, group 2", 3),
        ("snmpd", {SNMPD: 'createUser op MD5 "opensesame" DES\nrouser op\n'}, "MD5, DES", 1),
    ],
)  # fmt: skip
def test_an_algorithm_that_a_started_service_is_told_to_use(command, files, names, line) -> None:
    (finding,) = found(command, files)
    assert (finding.rule, finding.verdict, finding.confidence, finding.severity) == ("CRY-001", "concern", "firm", "medium")
    assert finding.title.endswith(f"allows {names}")
    assert finding.location.line == line
    assert "opensesame" not in repr(finding)


@pytest.mark.parametrize(
    ("command", "files"),
    [
        (":", {SSHD: "Ciphers 3des-cbc\n"}),  # nobody starts it
        ("sshd", {SSHD: "ListenAddress 127.0.0.1\nCiphers 3des-cbc\n"}),
        ("sshd", {SSHD: "Ciphers -3des-cbc,arcfour\n"}),
        ("sshd", {SSHD: "#Ciphers 3des-cbc\n"}),
        ("sshd", {SSHD: "Ciphers aes256-ctr\nCiphers 3des-cbc\n"}),  # the first one counts
        ("sshd", {SSHD: "Match User backup\nCiphers 3des-cbc\n"}),
        ("sshd", {SSHD: "MACs hmac-sha1,hmac-sha2-256\nKexAlgorithms diffie-hellman-group14-sha1\n"}),
        ("ipsec start", {IPSEC: CONN.format(auto="ignore", ike="3des-md5-modp1024", esp="3des")}),
        ("ipsec start", {IPSEC: CONN.format(auto="add", ike="aes256-sha2_256-modp2048", esp="aes256gcm16-modp10240")}),
        ("snmpd", {SNMPD: "createUser op SHA-256 opensesame AES\nrouser op\n"}),
    ],
)
def test_what_is_not_in_force_or_not_weak(command, files) -> None:
    assert [each.title for each in found(command, files)] == []


def test_a_service_that_is_only_possibly_started_gives_a_guess() -> None:
    (finding,) = found("grep -q ssh /proc/cmdline && sshd", {SSHD: "Ciphers 3des-cbc\n"})
    assert (finding.confidence, finding.severity) == ("tentative", "low")
