"""Secrets in the files where services read them: PPP, IPsec, SNMPv3 and Redis; and passwords of the boot loader's prompt.

Sources: pppd(8) (chap-secrets, pap-secrets), ipsec.secrets(5), racoon.conf(5) (psk.txt), snmpd.conf(5) (createUser), redis.conf,
U-Boot's doc/README.autoboot (bootstopkey, bootstopkeysha256, bootdelaykey).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from fwcheck.device.crack import crack
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.device.hashes import is_hash
from fwcheck.model import Evidence, Location

_MOST_LINES = 512
_BOOT_KEYS = frozenset(("bootstopkey", "bootstopkey2", "bootdelaykey", "bootdelaykey2", "bootstopkeysha256", "bootstopkeycrypt"))
_PLACEHOLDER = re.compile(
    r"(?i)^(?:secret|password|passphrase|my.*|your.*|change.*|example.*|foo|bar|test|\*+|xxx+|none|\$.*|%.*|<.*>|@.*|\{.*\})$"
)


class ServiceSecret(NamedTuple):
    """A secret: what it is in words, which programs use it, and where it stands."""

    what: str
    programs: str  # a regular expression over service names
    where: Evidence
    value: str


def service_secrets(fs: FileSystem) -> Iterator[ServiceSecret]:
    """The secrets of a root file system; masked in the evidence."""
    for path in ("/etc/ppp/chap-secrets", "/etc/ppp/pap-secrets"):
        for number, words in _rows(fs, path):
            if len(words) >= 3 and _is_secret(words[2]) and not words[0].lower().startswith(("username", "user@")):
                where = fs.evidence(path, f"{words[0]} {words[1]} ******", line=number)
                yield ServiceSecret(f"The PPP secret of {words[0]}", r"pppd|xl2tpd|pptpd|l2tpd|accel|sstp", where, words[2])
    for path in ("/etc/ipsec.secrets", "/etc/racoon/psk.txt", "/etc/psk.txt"):
        for number, words in _rows(fs, path):
            if "psk.txt" in path and len(words) == 2 and _is_secret(words[1]):
                where = fs.evidence(path, f"{words[0]} ******", line=number)
                yield ServiceSecret(f"The IPsec key for {words[0]}", "racoon", where, words[1])
            elif "PSK" in words[:-1] and _is_secret(words[-1]):
                peers = " ".join(word for word in words[: words.index("PSK")] if word != ":") or "everybody"
                where = fs.evidence(path, f"{peers} : PSK ******", line=number)
                yield ServiceSecret(f"The IPsec key for {peers}", "ipsec|charon|pluto|strongswan|swan", where, words[-1])
    for path in ("/etc/snmp/snmpd.conf", "/etc/snmpd.conf", "/var/lib/snmp/snmpd.conf", "/var/net-snmp/snmpd.conf"):
        for number, words in _rows(fs, path):
            if words[0] == "createUser" and len(words) >= 4 and _is_secret(words[3]):
                where = fs.evidence(path, f"createUser {words[1]} {words[2]} ******", line=number)
                yield ServiceSecret(f"The SNMPv3 password of {words[1]}", "snmpd", where, words[3])
    for path in ("/etc/redis.conf", "/etc/redis/redis.conf"):
        for number, words in _rows(fs, path):
            if words[0] == "requirepass" and len(words) == 2 and _is_secret(words[1]):
                where = fs.evidence(path, "requirepass ******", line=number)
                yield ServiceSecret("The Redis password", "redis", where, words[1])


def _rows(fs: FileSystem, path: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate((fs.text(path) or "").splitlines()[:_MOST_LINES], 1):
        bare = line.strip()
        if bare and not bare.startswith(("#", ";")):
            words = [
                quoted or single or word for quoted, single, word in re.findall(r'"([^"]*)"|\'([^\']*)\'|([^\s"\']+)', bare[:512])
            ]
            if words:
                yield number, words


def _is_secret(text: str) -> bool:
    return 3 <= len(text) <= 128 and not _PLACEHOLDER.match(text) and not text.startswith("/")


def boot_passwords(firmware: Firmware) -> Iterator[tuple[str, Evidence, str]]:
    """Variables of boot environments that open the prompt: name, place, and the word where it is known."""
    seen: set[tuple[str, str]] = set()
    for node in firmware.nodes:
        if str(node.detail.get("bootdelay", node.detail.get("default_bootdelay", ""))) == "-2":
            continue  # U-Boot looks at no key
        for key in node.detail:
            name = key.removeprefix("default_")
            text = str(node.detail[key]).strip()
            if name not in _BOOT_KEYS or not text or (name, text) in seen:
                continue
            seen.add((name, text))
            hashed = is_hash(text)
            known = crack({text: []}).get(text, "") if hashed else text
            where = Evidence(location=Location(chain=node.chain, path=node.path, offset=node.offset), text=f"{name}=******")
            yield name, where, known
