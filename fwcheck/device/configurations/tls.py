"""TLS settings that mean the same in several daemons: versions below 1.2 and suites that protect nothing.

Sources: ``ssl_protocols`` (nginx), ``SSLProtocol`` (Apache), ``ssl.use-sslv3`` and ``ssl.openssl.ssl-conf-cmd`` (lighttpd),
``tls_version`` (mosquitto), ``MinProtocol`` (SSL_CONF_cmd(3)); suites as in openssl-ciphers(1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from fwcheck.device.configuration import Setting
from fwcheck.device.configurations.reading import Note

_OLD = re.compile(r"(?i)(?<![\w!.-])(sslv2|sslv3|tlsv1|tlsv1\.0|tlsv1\.1|tls1|tls1\.0|tls1\.1|tls1_0|tls1_1)(?![\w.])")
_WEAK = re.compile(
    r"(?i)(^|[\s:,+])(RC4|3DES|DES|DES-CBC3?-SHA|NULL|eNULL|aNULL|ADH|EXPORT|EXP|LOW|MD5|[\w-]{0,64}RC4[\w-]{0,64}"
    r"|[\w-]{0,64}-NULL-[\w-]{0,64}|EXP-[\w-]{1,64})(?=$|[\s:,+])"
)
_LISTS = ("ssl_protocols", "sslprotocol", "minprotocol", "sslversion", "sslversionmin", "tls_version", "mintlsversion")
_FLOORS = (*_LISTS, "ssl.openssl.ssl-conf-cmd", "tls-version-min", "tlsprotocol", "ssl-protocols", "tls-protocols")
_CIPHERS = (
    "ssl_ciphers",
    "cipherstring",
    "ciphers",
    "ssl.cipher-list",
    "sslciphersuite",
    "tls-ciphers",
    "ssl_cipher",
    "tlsciphersuite",
)
_SWITCHES = {"ssl.use-sslv2": "enable", "ssl.use-sslv3": "enable", "ssl_sslv2": "yes", "ssl_sslv3": "yes", "ssl_tlsv1": "yes"}


def below_floor(each: Setting) -> bool:
    """Whether a setting allows a version below TLS 1.2."""
    if _SWITCHES.get(each.key) == each.value.lower():
        return True
    if each.key not in _FLOORS:
        return False
    if each.key in ("sslversion", "sslversionmin") and each.value.lower() == "all":
        return True
    value = each.text.partition("=")[2] if each.key == "ssl.openssl.ssl-conf-cmd" else each.value
    if each.key == "sslprotocol" and (gone := re.findall(r"-(\S+)", value)):
        # "all -SSLv3 -TLSv1": what is taken away is not allowed; "all" alone depends on the version.
        value = " ".join(word for word in value.split() if not word.startswith("-") and word.lower() not in map(str.lower, gone))
    return _OLD.search(value) is not None


def weak_suite(each: Setting) -> str:
    """The weak suite that a cipher list allows, "" when there is none. A suite that is taken away (``!RC4``) does not match."""
    if each.key not in _CIPHERS:
        return ""
    found = _WEAK.search(each.value)
    return found.group(2) if found else ""


def server_notes(settings: Iterable[Setting]) -> list[Note]:
    """Notes on versions and suites among the settings of one daemon."""
    notes = []
    for each in settings:
        if below_floor(each):
            notes.append(Note("old-tls", each))
        elif suite := weak_suite(each):
            notes.append(Note("weak-cipher", each, suite))
    return notes[:8]
