"""What the code of a microcontroller image says, by the rules of ``microcontrollers.yar``, and the addresses that stand in it.

A rule's ``topic`` is the subject a fact is told under, ``says`` what it says. What is linked in is not what is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from fwcheck.device.firmware import Firmware
from fwcheck.model import Evidence, Location, Node, NodeKind, PatternHit

FORMATS = frozenset({
    *("esp", "esp-partition-table", "esp-nvs", "esp-otadata", "mcuboot", "mcuboot-trailer", "cortex-m", "riscv-raw"),
    *("nordic-dfu", "nrf-softdevice", "nrf-settings", "gbl", "ebl", "zigbee-ota", "uf2", "beken-rbl", "beken-flash"),
    *("bouffalo", "realtek-ameba", "telink", "ti-oad", "matter-ota", "tuya-ug", "winner-micro", "xradio", "dfuse", "nxp-mbi"),
    *("nxp-sb", "nxp-jn518x", "rp2040", "dialog-suota", "hisilicon-fwpkg", "cyacd", "stm32-sbsfu", "intel-hex", "srec"),
    *("ti-txt", "littlefs", "spiffs", "tuya-kv", "particle"),
})  # fmt: skip
_MOST_PER_RULE = 4
_MOST_ADDRESSES = 64
# Names of specifications, manuals, projects and licences, of people's networks, and of what captive portals are asked for.
_NO_SERVER = re.compile(
    r"(?i)(?:^|\.)(?:w3\.org|xmlsoap\.org|upnp\.org|dmtf\.org|oasis-open\.org|openmobilealliance\.org|json-schema\.org|purl\.org"
    r"|ietf\.org|iana\.org|iso\.org|ieee\.org|adobe\.com|gnu\.org|apache\.org|mozilla\.org|opensource\.org|creativecommons\.org"
    r"|github\.(?:com|io)|githubusercontent\.com|gitlab\.com|sourceforge\.net|bitbucket\.org|readthedocs\.(?:io|org)|wikipedia\.org"
    r"|stackoverflow\.com|bit\.ly|goo\.gl|tinyurl\.com|youtube\.com|youtu\.be|twitter\.com|facebook\.com|t\.me|discord\.(?:gg|com)"
    r"|arduino\.cc|freertos\.org|zephyrproject\.org|nuttx\.org|micropython\.org|circuitpython\.org|tasmota\.github\.io|espressif\.com"
    r"|openssl\.org|wolfssl\.com|bearssl\.org|mbed\.org|jquery\.com|bootstrapcdn\.com|googleapis\.com/css|fontawesome\.com"
    r"|gstatic\.com|captive\.apple\.com|msftconnecttest\.com|msftncsi\.com|detectportal\.firefox\.com|clients3\.google\.com"
    r"|example\.(?:com|org|net)|(?:local|localdomain|lan|home|internal|invalid|test|example|arpa))$"
)
_SCHEMA_HOST = re.compile(r"(?i)^(?:schemas?|ns|docs?|wiki|forum|blog|support|help|crl|ocsp)\d?\.")
_SERVICE_HOST = re.compile(
    r"(?i)^(?:api|mqtt|iot|cloud|ota|fw|firmware|update|upgrade|data|device|dev|server|srv|gw|gateway|log|logs|time|m2m|things?|ws|push"
    r"|report|collect|stat|stats|broker|coap|connect|node|app|open)[\w-]*\."
)
_PAGE = re.compile(r"(?i)\.(?:html?|pdf|md|xsd|dtd|css|js|png|jpe?g|gif|svg|ico|woff2?|c|h|cpp|zip|exe|apk|dmg)(?:[?#]|$)")
_FOR_PEOPLE = re.compile(r"(?i)/(?:docs?|wiki|help|support|manuals?|faq|blog|forum|licen[cs]es?|issues)(?:/|$)")
_SLOT = re.compile(r" app/ota_\d+ 0x([0-9a-f]{1,8})\+0x([0-9a-f]{1,8})")
_OWN_NETWORK = re.compile(r"^(?:0|10|127|169\.254|192\.168|172\.(?:1[6-9]|2\d|3[01])|22[4-9]|23\d|255)\.")
_ENCRYPTED = frozenset({"https", "mqtts", "coaps", "wss", "ssl"})


class Said(NamedTuple):
    """A text of a rule in the code: the node it stands in, and the hit."""

    node: Node
    hit: PatternHit

    @property
    def evidence(self) -> Evidence:
        """Where it stands."""
        place = Location(chain=self.node.chain, path=self.node.path, offset=self.hit.offset)
        return Evidence(location=place, text=self.hit.text[:240])


class Address(NamedTuple):
    """A server's address in the code, and whether what is sent there is encrypted."""

    text: str
    encrypted: bool
    said: Said


def is_microcontroller(firmware: Firmware) -> bool:
    """Whether the image is one of a microcontroller: formats of these, and no root file system."""
    formats = {node.format for node in firmware.nodes if node.kind is NodeKind.CONTAINER}
    return bool(formats & FORMATS) and not any(fs.is_root for fs in firmware.filesystems)


def slots_of(table: str) -> tuple[int, bool]:
    """How many slots for updates a partition table lists, and whether any two of them overlap."""
    places = sorted((int(begin, 16), int(size, 16)) for begin, size in _SLOT.findall(table))
    return len(places), any(first + size > second for (first, size), (second, _) in pairwise(places))


def said(firmware: Firmware) -> dict[str, list[Said]]:
    """The facts of the code by the rule's id, in image order, a few of each."""
    found: dict[str, list[Said]] = {}
    for node, facts in firmware.contents():
        for hit in sorted(facts.yara, key=lambda hit: -len(hit.text)):  # the longest text proves most
            if hit.rule.startswith("mcu-") and len(held := found.setdefault(hit.rule, [])) < _MOST_PER_RULE:
                held.append(Said(node, hit))
    return found


def addresses(firmware: Firmware) -> tuple[Address, ...]:
    """Servers that the code names: addresses that are a text of their own, but none of manuals, schemas and home networks."""
    return tuple(list(_addresses(firmware))[:_MOST_ADDRESSES])


def _addresses(firmware: Firmware) -> Iterator[Address]:
    seen: set[str] = set()
    for node, facts in firmware.contents():
        for hit in facts.patterns:
            if hit.rule not in ("address-in-code", "broker-in-clear"):
                continue
            address = _address(hit)
            if address not in seen and _is_server(hit):
                seen.add(address)
                yield Address(address, hit.meta["scheme"].lower() in _ENCRYPTED, Said(node, hit))


def for_people(address: str) -> bool:
    """Whether an address leads to a page about updates and not to an update: manuals, forums, code, licences."""
    host, _, path = address.partition("://")[2].partition("/")
    host = host.rpartition("@")[2].partition(":")[0].lower()
    return bool(_NO_SERVER.search(host) or _SCHEMA_HOST.match(host) or _FOR_PEOPLE.search(f"/{path}"))


def _address(hit: PatternHit) -> str:
    return f"{hit.meta['scheme']}://{hit.meta['host']}{hit.meta.get('port', '')}{hit.meta.get('path', '')}"[:120]


def _is_server(hit: PatternHit) -> bool:
    """Whether the device talks to it, as far as the address alone tells: a page about the product or a licence is no server."""
    host, path = hit.meta["host"].lower(), hit.meta.get("path", "")
    if _NO_SERVER.search(host) or _SCHEMA_HOST.match(host) or _OWN_NETWORK.match(host):
        return False
    if not hit.meta["scheme"].startswith("http"):
        return True
    if _PAGE.search(path) or _FOR_PEOPLE.search(path):
        return False
    return bool(path.strip("/")) or bool(hit.meta.get("port")) or bool(_SERVICE_HOST.match(host))
