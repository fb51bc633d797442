"""Microcontroller images: chip, SDK and application, slots and flash encryption, updates over the air, TLS, endpoints in clear.

Sources: ESP-IDF (esp_app_desc_t, partition tables, NVS keys of the Wi-Fi driver: ``nvs.net80211``), MCUboot image.h, Zephyr,
Nordic nRF5 SDK. What a program links in is not what it uses: libraries and functions are told as present.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Evidence, Facts, Location, Node, NodeKind, Trait

_SDKS = {
    "esp-idf": "ESP-IDF", "esp8266-sdk": "ESP8266 SDK", "zephyr": "Zephyr", "freertos": "FreeRTOS", "nuttx": "NuttX",
    "mbed-os": "Mbed OS", "arduino": "Arduino", "threadx": "ThreadX", "rt-thread": "RT-Thread", "riot": "RIOT",
}  # fmt: skip
_FORMATS = frozenset({
    *("esp", "esp-partition-table", "esp-nvs", "mcuboot", "cortex-m", "nordic-dfu", "gbl", "zigbee-ota", "uf2", "beken-rbl"),
    *("bouffalo", "realtek-ameba", "telink", "ti-oad", "matter-ota", "tuya-ug", "winner-micro", "xradio", "dfuse", "nxp-mbi"),
})  # fmt: skip
_LIBRARIES = {"mbedtls": "mbed TLS", "ssl_tls.c": "mbed TLS", "x509_crt.c": "mbed TLS", "esp": "mbed TLS (esp-tls)",
              "wolf": "wolfSSL", "cya": "wolfSSL", "bear": "BearSSL", "br_err": "BearSSL", "axtls": "axTLS",
              "tinydtls": "tinydtls", "matrix": "MatrixSSL"}  # fmt: skip
_SECRET_KEY = re.compile(
    r"(?i)^(?:(?:sta|ap)\.(?:pswd|passwd)|.*(?:passw(?:or)?d|passphrase|pswd|psk|wifi_?pass|wifi_?key|secret|token|apikey|api_key).*|pass|pwd)$"
)
_LEAST = 4  # characters of a stored secret
_MOST = 64


class StoredSecret(NamedTuple):
    """A secret in the settings a flash image ships: what it is, its value, whether it is in use or erased, and where."""

    name: str
    value: str
    erased: bool
    place: FileSystem
    node: Node


def is_microcontroller(firmware: Firmware) -> bool:
    """Whether the image is one of a microcontroller: formats of these, and no root file system."""
    formats = {node.format for node in firmware.nodes if node.kind is NodeKind.CONTAINER}
    return bool(formats & _FORMATS) and not any(fs.is_root for fs in firmware.filesystems)


def microcontroller(firmware: Firmware) -> tuple[Trait, ...]:
    """What the image of a microcontroller says of itself, one row per fact; nothing for other images."""
    if not is_microcontroller(firmware):
        return ()
    told = list(_headers(firmware))
    by_header = {trait.detail.split(" ")[0] for trait in told if trait.name == "SDK"}
    code = [row for row in _code(firmware) if row.name != "SDK" or row.detail.split(" ")[0] not in by_header]
    return tuple([*told, *_slots(firmware), *code][:_MOST])


def platform(rows: tuple[Trait, ...]) -> str:
    """SDK and chip in words, by the rows of :func:`microcontroller`: ``ESP-IDF v5.3.1 on ESP32-C6``; empty when nothing tells."""
    first = {trait.name: trait.detail for trait in reversed(rows)}
    return " on ".join(part for part in (first.get("SDK", ""), first.get("chip", "")) if part)


def _where(node: Node, text: str, offset: int | None = None) -> tuple[Evidence, ...]:
    place = Location(chain=node.chain, path=node.path, offset=node.offset if offset is None else offset)
    return (Evidence(location=place, text=text[:240]),)


def _headers(firmware: Firmware) -> Iterator[Trait]:
    """Chip, SDK and application by the headers of the images."""
    seen: set[tuple[str, str]] = set()
    for node in firmware.nodes:
        if node.kind is not NodeKind.CONTAINER:
            continue
        rows = [("chip", str(node.detail.get("chip", "")))]
        if idf := node.detail.get("idf_version"):
            rows.append(("SDK", f"ESP-IDF {idf}"))
        if project := node.detail.get("project"):
            rows.append(("application", f"{project} {node.detail.get('version', '')}".strip()))
        elif node.format == "mcuboot":
            rows.append(("application", f"version {node.detail.get('version', '?')}"))
        for name, detail in rows:
            if detail and (name, detail) not in seen:
                seen.add((name, detail))
                yield Trait(name=name, state="yes", detail=detail, evidence=_where(node, f"{node.format}: {detail}"))


def _slots(firmware: Firmware) -> Iterator[Trait]:
    """Slots for updates and flash encryption, by the partition table of ESP-IDF."""
    for node in firmware.containers("esp-partition-table"):
        table = str(node.detail.get("table", ""))
        slots = re.findall(r"\S+ app/ota_\d+", table)
        detail = f"{len(slots)} slots" if slots else "one application, no slot to fall back to"
        yield Trait(name="A/B slots", state="yes" if len(slots) > 1 else "no", detail=detail, evidence=_where(node, table))
        encrypted = str(node.detail.get("encrypted_partitions", ""))
        told = encrypted or "no partition is marked to be encrypted"
        yield Trait(
            name="flash encryption", state="yes" if encrypted else "no", detail=told, evidence=_where(node, f"encrypted: {told}")
        )


def _code(firmware: Firmware) -> Iterator[Trait]:
    """SDKs by their banners; updates, TLS and endpoints by what the code says."""
    seen: set[tuple[str, str]] = set()
    for node, facts in firmware.loose:
        for name, detail, offset, text in _said(facts):
            if (name, detail) not in seen:
                seen.add((name, detail))
                proof = _where(node, text, offset)
                yield Trait(name=name, state="unknown" if name == "update over the air" else "yes", detail=detail, evidence=proof)


def _said(facts: Facts) -> Iterator[tuple[str, str, int, str]]:
    for hit in facts.banners:
        if hit.component in _SDKS:
            yield "SDK", f"{_SDKS[hit.component]} {hit.version}", hit.offset, hit.text
    for found in facts.yara:
        if found.rule == "mcu-update-over-the-air":
            yield "update over the air", "the code speaks of it", found.offset, found.text
        elif found.rule == "mcu-tls-library":
            low = found.text.lower()
            name = next((words for key, words in _LIBRARIES.items() if low.startswith(key)), found.text)
            yield "TLS library", name, found.offset, found.text
        elif found.rule == "mcu-endpoint-in-clear":
            yield "endpoint in clear", found.text, found.offset, found.text
    for found in facts.patterns:
        if found.rule == "plain-update-address":
            yield "update address in clear", found.text, found.offset, found.text


def stored_secrets(firmware: Firmware) -> Iterator[StoredSecret]:
    """Secrets in the settings that a flash image ships (NVS): passphrases, passwords, tokens by the names of their keys."""
    for fs in firmware.filesystems:
        if fs.format != "esp-nvs":
            continue
        for node, facts in fs.files():
            key = node.path.rsplit("/", 1)[-1]
            if not _SECRET_KEY.fullmatch(key) or facts.text is None:
                continue
            value = facts.text.strip("\0 \r\n")
            if len(value) >= _LEAST and value.isprintable() and not value.isdigit():
                yield StoredSecret(node.path, value, node.path.startswith("/.erased"), fs, node)
