"""Protection in transit as the code of programs asks for it: certificate checks switched off, old protocols, plain addresses.

It proves that the code calls a TLS library with these constants. Where a program calls it with other values, too, it may be an
option of the user, and nothing is said; programs of well-known projects leave the choice to their users and are passed over.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import rules_of
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import CallFact, Device, Evidence, Facts, Finding, Node

RULES = rules_of(__name__)
_UNCHECKED, _PLAIN, _OLD, _NAMES = RULES["TLS-020"], RULES["TLS-021"], RULES["TLS-022"], RULES["TLS-023"]

# curl/curl.h: CURLOPT_* (longs from 0 on, pointers from 10000 on).
_VERIFY_PEER, _VERIFY_HOST, _URL = 64, 81, 10002
_SET_VERIFY = re.compile(r"(?:SSL|wolfSSL|CyaSSL)_(?:CTX_)?set_verify")  # SSL_VERIFY_NONE is 0
_AUTHMODE = frozenset({"mbedtls_ssl_conf_authmode", "ssl_set_authmode"})  # MBEDTLS_SSL_VERIFY_NONE is 0
_OLD_METHOD = re.compile(r"(?:SSLv2|SSLv3|TLSv1|TLSv1_1)_(?:(?:client|server)_)?method")
_METHOD = re.compile(r"(?:SSLv23|TLSv1_2|TLSv1_3|TLS)_(?:(?:client|server)_)?method")
_CONNECTS = re.compile(
    r"(?:SSL|wolfSSL|CyaSSL)_connect|BIO_new_ssl_connect|mbedtls_ssl_set_hostname|mbedtls_net_connect|net_connect"
)
_ACCEPTS = re.compile(r"(?:SSL|wolfSSL|CyaSSL)_accept|mbedtls_net_accept|net_accept")
_FOREIGN = re.compile(
    r"openssl|transmission\S*|curl|wget\S*|uclient-fetch|libuclient\S*|wpa_\S+|hostapd|stunnel\S*|mailx?|msmtp|ssmtp|sendmail|postfix|exim\S*|socat|nmap|ncat"
    r"|openvpn|lighttpd|mod_\S+|nginx|apache2|httpd2|ab|git\S*|aria2c|links|lynx|w3m|mutt|ftp|lftp|php\S*|python\S*|perl\S*|lua\S*|node"
    r"|mosquitto\S*|libmosquitto\S*|libpaho\S*|lib(?:ssl|crypto|curl|ustream-ssl|event\S*|websockets|neon|serf|ldap\S*|mariadb|mysql\S*"
    r"|pq|gnutls|mbed\S*|wolfssl|qt\S*|Qt\S*|soup\S*|microhttpd|nghttp\S*|vncserver|gsoap\S*)[-.\d]\S*|radius\S*|snmp\S*|ldap\S*|busybox|ssl_client"
)
_HTTP = re.compile(r"http://(?P<host>[\w.-]+)(?::\d+)?(?:/.*)?", re.IGNORECASE)
_HERE = re.compile(
    r"localhost|127\.|10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|169\.254\.|.*\.(?:local|lan|internal)$|[^.]+$", re.IGNORECASE
)


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:  # noqa: ARG001  # the signature of all
    """Findings on how programs use TLS libraries."""
    return once(_findings(firmware))


def _findings(firmware: Firmware) -> Iterator[Finding]:
    for root in firmware.filesystems:
        for node, facts in root.files():
            if facts.calls and facts.elf is not None and not _FOREIGN.fullmatch(posixpath.basename(node.path)):
                yield from _curl(root, node, facts)
                yield from _set_verify(root, node, facts)
                yield from _methods(root, node, facts)


def _curl(root: FileSystem, node: Node, facts: Facts) -> Iterator[Finding]:
    options: dict[int, list[CallFact]] = {}
    for call in facts.calls:
        if call.function == "curl_easy_setopt" and len(call.arguments) == 3 and isinstance(call.arguments[1], int):
            options.setdefault(call.arguments[1], []).append(call)
    peer, host = _always_off(options.get(_VERIFY_PEER, [])), _always_off(options.get(_VERIFY_HOST, []))
    if peer is not None:
        yield _UNCHECKED.finding(
            _evidence(root, node, peer, "CURLOPT_SSL_VERIFYPEER"),
            f"{node.path} curl",
            title=f"{posixpath.basename(node.path)} switches the check of certificates off",
            witnesses=(_evidence(root, node, host, "CURLOPT_SSL_VERIFYHOST"),) if host is not None else (),
        )
    elif host is not None:
        yield _NAMES.finding(_evidence(root, node, host, "CURLOPT_SSL_VERIFYHOST"), f"{node.path} curl host")
    for call in options.get(_URL, []):
        found = _HTTP.fullmatch(call.arguments[2]) if isinstance(call.arguments[2], str) else None
        if found and not _HERE.match(found["host"]):
            yield _PLAIN.finding(_evidence(root, node, call, "CURLOPT_URL"), f"{node.path} {found['host']}")


def _always_off(calls: list[CallFact]) -> CallFact | None:
    """The first call that sets an option to 0, where no call of the program sets it to anything else."""
    return calls[0] if calls and all(call.arguments[2] == 0 for call in calls) else None


def _set_verify(root: FileSystem, node: Node, facts: Facts) -> Iterator[Finding]:
    assert facts.elf is not None
    imports = facts.elf.imports
    # A server that asks its clients for no certificate is usual.
    if not any(_CONNECTS.fullmatch(each) for each in imports) or any(_ACCEPTS.fullmatch(each) for each in imports):
        return
    calls = [call for call in facts.calls if _SET_VERIFY.fullmatch(call.function) or call.function in _AUTHMODE]
    own = any(each in ("SSL_get_verify_result", "wolfSSL_get_verify_result", "X509_verify_cert") for each in imports)
    if calls and not own and all(len(call.arguments) > 1 and call.arguments[1] == 0 for call in calls):
        yield _UNCHECKED.finding(
            _evidence(root, node, calls[0], ""),
            f"{node.path} {calls[0].function}",
            title=f"{posixpath.basename(node.path)} switches the check of certificates off",
            witnesses=tuple(_evidence(root, node, call, "") for call in calls[1:4]),
        )


def _methods(root: FileSystem, node: Node, facts: Facts) -> Iterator[Finding]:
    """A method of one version allows that version alone (SSL_CTX_new(3))."""
    assert facts.elf is not None
    if any(_METHOD.fullmatch(each) for each in facts.elf.imports):
        return
    old = [call for call in facts.calls if _OLD_METHOD.fullmatch(call.function)]
    if old:
        yield _OLD.finding(
            _evidence(root, node, old[0], ""),
            f"{node.path} {old[0].function}",
            title=f"{posixpath.basename(node.path)} speaks no TLS newer than {old[0].function.split('_method')[0]}",
            witnesses=tuple(_evidence(root, node, call, "") for call in old[1:4]),
        )


def _evidence(root: FileSystem, node: Node, call: CallFact, option: str) -> Evidence:
    shown = ["…" if each is None else f'"{each}"' if isinstance(each, str) else str(each) for each in call.arguments]
    if option:
        shown[1] = option
    where = f" in {call.caller}" if call.caller else ""
    return root.evidence(node.path, f"{call.function}({', '.join(shown)}){where}", offset=call.offset)
