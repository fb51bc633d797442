"""Protection in transit as configuration files and scripts state it: TLS versions, ciphers, certificate checks, plain HTTP.

It proves what the settings say. What a program does by its own code, and what the server at the other end refuses, it cannot see.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import rules_of
from fwcheck.device import configuration
from fwcheck.device.configuration import Setting
from fwcheck.device.daemons import daemon_of
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Device, Finding, Service, Severity

RULES = rules_of(__name__)
_FLOOR = RULES["TLS-001"]
_CIPHERS = RULES["TLS-002"]
_CHECK = RULES["TLS-003"]
_PLAIN_WEB = RULES["TLS-006"]

_OLD = re.compile(r"(?i)(?<![\w!.-])(sslv2|sslv3|tlsv1|tlsv1\.0|tlsv1\.1|tls1|tls1\.0|tls1\.1)(?![\w.])")
_WEAK = re.compile(
    r"(?i)(^|[\s:,+])(RC4|3DES|DES|DES-CBC3?-SHA|NULL|eNULL|aNULL|ADH|EXPORT|EXP|LOW|MD5|[\w-]*RC4[\w-]*|[\w-]*-NULL-[\w-]*|EXP-[\w-]+)(?=$|[\s:,+])"
)
_TLS_LIBRARIES = re.compile(r"lib(ssl|mbedtls|polarssl|wolfssl|cyassl|gnutls|axtls|matrixssl|ustream-ssl)")
# A word without which the expression cannot match, looked for in the whole text first; then the expression.
_SWITCHED_OFF = (
    ("curl", re.compile(r"\bcurl\b[^|;&\n]*\s(-[a-zA-Z]*k[a-zA-Z]*|--insecure)(\s|$)")),
    ("--no-check-certificate", re.compile(r"\b(wget|uclient-fetch)\b[^|;&\n]*--no-check-certificate")),
    ("False", re.compile(r"\bverify\s*=\s*False\b")),
    ("rejectUnauthorized", re.compile(r"\brejectUnauthorized['\"]?\s*:\s*false\b")),
    ("--insecure", re.compile(r"\bmosquitto_(pub|sub)\b[^|;&\n]*--insecure")),
    ("CURLOPT_SSL_VERIFY", re.compile(r"CURLOPT_SSL_VERIFY(PEER|HOST)\s*,\s*(0|false)", re.IGNORECASE)),
)
_TLS_FILES = (
    "/etc/lighttpd.conf",
    "/etc/lighttpd/lighttpd.conf",
    "/etc/nginx/nginx.conf",
    "/etc/ssl/openssl.cnf",
    "/etc/stunnel/stunnel.conf",
    "/etc/stunnel.conf",
    "/etc/vsftpd.conf",
    "/etc/mosquitto/mosquitto.conf",
    "/etc/hiawatha/hiawatha.conf",
)
_FLOOR_KEYS = (
    "ssl_protocols",
    "minprotocol",
    "sslversion",
    "sslversionmin",
    "tls_version",
    "mintlsversion",
    "ssl.openssl.ssl-conf-cmd",
)
_CIPHER_KEYS = ("ssl_ciphers", "cipherstring", "ciphers", "ssl.cipher-list", "ssl_ciphers;")
_SWITCHES = {
    "ssl.use-sslv2": "enable",
    "ssl.use-sslv3": "enable",
    "ssl_sslv2": "yes",
    "ssl_sslv3": "yes",
    "ssl_tlsv1": "yes",
}


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on protection in transit."""
    return once(_findings(firmware, device))


def _findings(firmware: Firmware, device: Device) -> Iterator[Finding]:
    for root in firmware.roots():
        paths = [
            *_TLS_FILES,
            *configuration.files(root, "/etc/lighttpd/conf.d", ".conf"),
            *configuration.files(root, "/etc/nginx/conf.d", ".conf"),
        ]
        for path in paths:
            yield from _settings(root, path, device)
        yield from _checks(root)
    for service in device.services:
        if service.enabled == "yes" and service.protocol == "http" and service.reachable != "loopback" and service.evidence:
            yield from _web(firmware, service)


def _settings(root: FileSystem, path: str, device: Device) -> Iterator[Finding]:
    reader = configuration.keywords if "nginx" in path or "mosquitto" in path else configuration.assignments
    program = next((name for name in ("lighttpd", "nginx", "stunnel", "vsftpd", "mosquitto", "hiawatha") if name in path), "")
    state = _state(root, device, program)
    if state == "no":
        return
    # Without a service that is started for sure the setting may never be read.
    sure = state == "yes"
    for each in reader(root, path):
        where = root.evidence(path, each.text, line=each.line)
        if _below_floor(each):
            yield _FLOOR.finding(where, f"{path} {each.key}", verdict="violation" if sure else "concern")
        elif each.key in _CIPHER_KEYS and (found := _WEAK.search(each.value)):
            yield _CIPHERS.finding(where, f"{path} {each.key} {found.group(2)}", verdict="violation" if sure else "concern")
        elif program == "stunnel" and each.key == "verify" and each.value == "0":
            yield _CHECK.finding(where, f"{path} verify")
        elif program == "mosquitto" and each.key in ("bridge_insecure", "tls_insecure") and each.value == "true":
            yield _CHECK.finding(where, f"{path} {each.key}")


def _state(root: FileSystem, device: Device, program: str) -> str:
    if not program:
        return "unknown"
    states = {each.enabled for each in device.services if each.root == root.label and each.name == program and each.present}
    return "yes" if "yes" in states else "unknown" if "unknown" in states or program == "stunnel" else "no"


def _below_floor(each: Setting) -> bool:
    if _SWITCHES.get(each.key) == each.value.lower():
        return True
    if each.key not in _FLOOR_KEYS:
        return False
    if each.key in ("sslversion", "sslversionmin") and each.value.lower() == "all":
        return True
    value = each.text.partition("=")[2] if each.key == "ssl.openssl.ssl-conf-cmd" else each.value
    return _OLD.search(value) is not None


def _checks(root: FileSystem) -> Iterator[Finding]:
    for node, facts in root.files():
        if (
            facts.text is None
            or facts.size > 1 << 20
            or (facts.kind != "script" and not node.path.endswith((".sh", ".py", ".lua", ".js")))
        ):
            continue
        if node.path.startswith(("/www/", "/usr/share/doc/")):
            continue
        possible = [(word, shape) for word, shape in _SWITCHED_OFF if word in facts.text]
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
    if service.name == "uhttpd":
        plain = not any(each.key == "listen_https" for each in configuration.uci(root, "uhttpd")) or not _has_library(root)
    elif service.name in ("lighttpd", "nginx"):
        plain = not _tls_configured(root, service.name)
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


def _tls_configured(root: FileSystem, name: str) -> bool:
    top = f"/etc/{name}"
    for node, facts in root.files():
        if node.path.startswith(top) and facts.text is not None and not node.path.endswith((".md", ".sh")):
            for line in facts.text.splitlines():
                if re.match(r'\s*(ssl\.engine\s*=\s*"enable"|listen\s[^#]*\bssl\b|ssl\s+on\b|ssl\.pemfile\s*=)', line):
                    return True
    return False
