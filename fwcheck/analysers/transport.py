"""Protection in transit as configuration files and scripts state it: TLS versions, ciphers, certificate checks, plain HTTP.

It proves what the settings say. What a program does by its own code, and what the server at the other end refuses, it cannot see.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers._places import TESTS
from fwcheck.analysers.rule import rules_of
from fwcheck.device import configuration
from fwcheck.device.configurations.tls import below_floor, weak_suite
from fwcheck.device.daemons import daemon_of
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Device, Finding, Service, Severity

RULES = rules_of(__name__)
_FLOOR = RULES["TLS-001"]
_CIPHERS = RULES["TLS-002"]
_CHECK = RULES["TLS-003"]
_PLAIN_WEB = RULES["TLS-006"]

_TLS_LIBRARIES = re.compile(r"lib(ssl|mbedtls|polarssl|wolfssl|cyassl|gnutls|axtls|matrixssl|ustream-ssl)")
# A word without which the expression cannot match, looked for in the whole text first; then the expression.
_SWITCHED_OFF = (
    ("curl", re.compile(r"\bcurl\b[^|;&\n]*\s(-[a-zA-Z]*k[a-zA-Z]*|--insecure)(\s|$)")),
    ("--no-check-certificate", re.compile(r"\b(wget|uclient-fetch)\b[^|;&\n]*--no-check-certificate")),
    ("False", re.compile(r"^(?!\s*(?:async\s+)?(?:def|class|lambda)\b).*\bverify\s*=\s*False\b")),
    ("rejectUnauthorized", re.compile(r"\brejectUnauthorized['\"]?\s*:\s*false\b")),
    ("--insecure", re.compile(r"\bmosquitto_(pub|sub)\b[^|;&\n]*--insecure")),
    ("CURLOPT_SSL_VERIFY", re.compile(r"CURLOPT_SSL_VERIFY(PEER|HOST)\s*,\s*(0|false)", re.IGNORECASE)),
)
# Python's HTTP clients that take the argument ``verify``; the word is a flag of anything else elsewhere.
_HTTP_CLIENT = re.compile(r"\b(?:requests|httpx|aiohttp|hvac|boto3|botocore|pyVim|kubernetes|ldap3)\b")
# Files that no daemon's reader looks at: whose program reads them is not known (openssl.cnf), or a tunnel's.
_TLS_FILES = ("/etc/ssl/openssl.cnf", "/etc/stunnel/stunnel.conf", "/etc/stunnel.conf")
_TOPICS = {"old-tls": "TLS-001", "weak-cipher": "TLS-002", "no-peer-check": "TLS-003"}


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on protection in transit."""
    return once(_findings(firmware, device))


def _findings(firmware: Firmware, device: Device) -> Iterator[Finding]:
    for service in device.services:
        yield from _service(service)
    for root in firmware.roots():
        for path in _TLS_FILES:
            yield from _settings(root, path)
        yield from _checks(root)
    for service in device.services:
        if service.enabled == "yes" and service.protocol == "http" and service.reachable != "loopback" and service.evidence:
            yield from _web(firmware, service)


def _service(service: Service) -> Iterator[Finding]:
    """What the configuration of a daemon allows, as sure as the daemon is to be started."""
    if service.enabled == "no":
        return
    for remark in service.remarks:
        rule = RULES.get(_TOPICS.get(remark.topic, ""))
        if rule is None:
            continue
        sure = service.enabled == "yes" and remark.certain
        key = re.split(r"[\s=]", remark.evidence.text.strip(), maxsplit=1)[0]
        yield rule.finding(
            remark.evidence,
            f"{remark.evidence.location.path} {key} {remark.detail}".strip(),
            verdict="violation" if sure and rule is not _CHECK else "concern",
            confidence=rule.confidence if sure else "firm",
        )


def _settings(root: FileSystem, path: str) -> Iterator[Finding]:
    """Settings of files whose reader may never run."""
    for each in configuration.assignments(root, path):
        where = root.evidence(path, each.text, line=each.line)
        if below_floor(each):
            yield _FLOOR.finding(where, f"{path} {each.key}", verdict="concern")
        elif suite := weak_suite(each):
            yield _CIPHERS.finding(where, f"{path} {each.key} {suite}", verdict="concern")
        elif "stunnel" in path and each.key == "verify" and each.value == "0":
            yield _CHECK.finding(where, f"{path} verify")


def _checks(root: FileSystem) -> Iterator[Finding]:
    for node, facts in root.files():
        if (
            facts.text is None
            or facts.size > 1 << 20
            or (facts.kind != "script" and not node.path.endswith((".sh", ".py", ".lua", ".js")))
        ):
            continue
        if node.path.startswith(("/www/", "/usr/share/doc/")) or TESTS.search(node.place):
            continue
        possible = [(word, shape) for word, shape in _SWITCHED_OFF if word in facts.text]
        if any(word == "False" for word, _ in possible) and not _HTTP_CLIENT.search(facts.text):
            possible = [each for each in possible if each[0] != "False"]
        for number, line in enumerate(facts.text.splitlines() if possible else (), 1):
            if len(line) >= 2048 or line.lstrip().startswith("#"):
                continue
            if any(word in line and shape.search(line) for word, shape in possible):
                yield _CHECK.finding(root.evidence(node.path, line, line=number), f"{node.path} {line.split()[0]}")
                break


def _web(firmware: Firmware, service: Service) -> Iterator[Finding]:
    root = next((each for each in firmware.filesystems if each.label == service.root), None)
    daemon = daemon_of(service.name)
    if root is None or daemon is None or daemon.kind != "web":
        return
    facts = root.facts(service.program) if service.program else None
    libraries = [
        name for name in (facts.elf.needed if facts is not None and facts.elf is not None else ()) if _TLS_LIBRARIES.match(name)
    ]
    plain: bool | None
    if service.encryption in ("tls", "optional"):
        plain = service.name == "uhttpd" and not _has_library(root)
    elif service.name in ("uhttpd", "lighttpd", "nginx") or (service.encryption == "none" and not libraries):
        plain = True
    else:
        plain = False if libraries or facts is None or facts.elf is None else None
    if plain is False:
        return
    login = root.exists("/www/cgi-bin/luci") or root.exists("/usr/lib/lua/luci")
    sure = bool(plain) and login
    yield _PLAIN_WEB.finding(
        service.evidence[0],
        f"{service.name} without TLS",
        title=f"{service.name} serves the management pages without TLS",
        severity=Severity.HIGH if sure else Severity.MEDIUM,
        verdict="violation" if sure else "concern",
        confidence="firm" if plain else "tentative",
    )


def _has_library(root: FileSystem) -> bool:
    return any(_TLS_LIBRARIES.match(node.path.rsplit("/", 1)[-1]) for top in ("/lib", "/usr/lib") for node in root.children(top))
