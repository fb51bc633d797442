"""Microcontroller images: chip, SDK and application, slots and flash encryption, updates, TLS, consoles, servers in clear.

Sources: ESP-IDF (esp_app_desc_t, partition tables), MCUboot image.h, Zephyr, Nordic nRF5 SDK. What a program links in is not
what it uses: libraries and functions are told as present.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Literal, cast

from fwcheck.device._flash_settings import StoredSecret, stored_secrets
from fwcheck.device._microcontroller_code import addresses, for_people, is_microcontroller, said, slots_of
from fwcheck.device.firmware import Firmware
from fwcheck.model import Evidence, Location, Node, NodeKind, Trait

_SDKS = {
    "esp-idf": "ESP-IDF", "esp8266_nonos_sdk": "ESP8266 NonOS SDK", "zephyr": "Zephyr", "freertos": "FreeRTOS", "nuttx": "NuttX",
    "mbed_os": "Mbed OS", "threadx": "ThreadX", "rt-thread": "RT-Thread", "riot": "RIOT", "contiki-ng": "Contiki-NG",
    "nrf_connect_sdk": "nRF Connect SDK", "nrf5_sdk": "nRF5 SDK", "gecko_software_development_kit": "Gecko SDK",
    "simplelink_sdk": "TI SimpleLink SDK", "stm32cube": "STM32Cube", "realtek_ameba_sdk": "Realtek Ameba SDK",
    "bl_iot_sdk": "Bouffalo SDK",
}  # fmt: skip
_FRAMEWORKS = {
    "arduino-esp32": "Arduino core for ESP32", "arduino-esp8266": "Arduino core for ESP8266", "tasmota": "Tasmota",
    "esphome": "ESPHome", "mongoose_os": "Mongoose OS", "openbeken": "OpenBeken", "tuya_iot_sdk": "TuyaOS", "esp-at": "ESP-AT",
    "micropython": "MicroPython", "circuitpython": "CircuitPython", "aws_iot_device_sdk": "AWS IoT Device SDK",
    "azure_sdk_for_c": "Azure SDK for C", "anjay": "Anjay (LwM2M)",
}  # fmt: skip
# Makers and series by the format of their images, where the image names no chip of its own.
_CHIPS = {
    "cortex-m": "ARM Cortex-M", "riscv-raw": "RISC-V", "beken-rbl": "Beken", "beken-flash": "Beken",
    "realtek-ameba": "Realtek Ameba",
    "telink": "Telink", "gbl": "Silicon Labs", "ebl": "Silicon Labs", "winner-micro": "Winner Micro", "xradio": "XRadio",
    "bouffalo": "Bouffalo Lab", "ti-oad": "Texas Instruments", "nxp-jn518x": "NXP JN51xx", "nordic-dfu": "Nordic nRF5",
    "dialog-suota": "Dialog DA14xxx", "rp2040": "RP2040", "nrf-softdevice": "Nordic nRF5",
}  # fmt: skip
_NORDIC = {"boot_loader_address", "boot_validation"}  # what only the flash of these chips has
_CORES = ("ARM Cortex-M", "RISC-V")
_ORDER = (
    *("chip", "SDK", "framework", "application", "boot loader", "A/B slots", "flash encryption", "secure boot"),
    *("debug port lock", "ROM functions lock", "update source"),
    *("update writer", "update over the air", "image check", "update signature"),
    *("older versions", "fall-back", "TLS library", "TLS implementation"),
    *("server check", "cloud service", "endpoint", "endpoint in clear", "update address in clear", "console"),
)
# What is told in words only where nothing says it better.
_INSTEAD = {
    "TLS implementation": frozenset({"TLS library"}),
    "update over the air": frozenset({"update source", "update writer"}),
}
_MOST = 96
_MOST_OF_A_SUBJECT = 16
State = Literal["yes", "no", "unknown"]

__all__ = ["StoredSecret", "is_microcontroller", "microcontroller", "platform", "said", "stored_secrets"]


def microcontroller(firmware: Firmware) -> tuple[Trait, ...]:
    """What the image of a microcontroller says of itself, one row per fact; nothing for other images."""
    if not is_microcontroller(firmware):
        return ()
    rows: list[Trait] = []
    seen: set[tuple[str, str]] = set()
    of_image = (*_headers(firmware), *_versions(firmware), *_slots(firmware), *_locks(firmware))
    for row in (*of_image, *_code(firmware), *_servers(firmware)):
        if (row.name, row.detail) not in seen and not _told_better(row, rows):
            seen.add((row.name, row.detail))
            rows.append(row)
    if any(row.name == "chip" and row.detail not in _CORES for row in rows):
        rows = [row for row in rows if row.name != "chip" or row.detail not in _CORES]
    held = {row.name for row in rows}
    counts: Counter[str] = Counter()
    kept = []
    for row in sorted(rows, key=lambda row: _ORDER.index(row.name) if row.name in _ORDER else len(_ORDER)):
        counts[row.name] += 1
        if counts[row.name] <= _MOST_OF_A_SUBJECT and not _INSTEAD.get(row.name, frozenset()) & held:
            kept.append(row)
    return tuple(kept[:_MOST])


def platform(rows: tuple[Trait, ...]) -> str:
    """SDK and chip in words, by the rows of :func:`microcontroller`: ``ESP-IDF v5.3.1 on ESP32-C6``; empty when nothing tells."""
    first = {trait.name: trait.detail for trait in reversed(rows)}
    return " on ".join(part for part in (first.get("SDK", "") or first.get("framework", ""), first.get("chip", "")) if part)


def _told_better(row: Trait, rows: list[Trait]) -> bool:
    """Whether an SDK or framework is there already with its version, or the kernel of an SDK that is named."""
    same = [each for each in rows if each.name == row.name]
    if row.name == "SDK" and row.detail == "FreeRTOS":
        return bool(same)
    return row.name in ("SDK", "framework") and any(_name(each.detail) == _name(row.detail) for each in same)


def _name(detail: str) -> str:
    """``ESP-IDF`` of ``ESP-IDF v5.1``."""
    return re.sub(r" v?\d\S*$", "", detail)


def _where(node: Node, text: str, offset: int | None = None) -> tuple[Evidence, ...]:
    place = Location(chain=node.chain, path=node.path, offset=node.offset if offset is None else offset)
    return (Evidence(location=place, text=text[:240]),)


def _headers(firmware: Firmware) -> Iterator[Trait]:
    """Chip, SDK and application by the headers of the images."""
    for node in firmware.nodes:
        if node.kind is not NodeKind.CONTAINER:
            continue
        chip = str(node.detail.get("chip", "")) or _CHIPS.get(node.format or "", "")
        rows = [("chip", "Nordic nRF5" if _NORDIC & node.detail.keys() else chip)]
        if model := node.detail.get("softdevice"):
            rows += [("SDK", f"Nordic SoftDevice {model} {node.detail.get('version', '')}".strip())]
        if idf := node.detail.get("idf_version"):
            rows.append(("SDK", f"ESP-IDF {idf}"))
        if project := node.detail.get("project"):
            rows.append(("application", f"{project} {node.detail.get('version', '')}".strip()))
        elif node.format == "mcuboot":
            rows.append(("application", f"version {node.detail.get('version', '?')}"))
        for name, detail in rows:
            if detail:
                place = f", loaded at {at}" if name == "chip" and (at := node.detail.get("load_address")) else ""
                yield Trait(name=name, state="yes", detail=detail, evidence=_where(node, f"{node.format}: {detail}{place}"))


def _versions(firmware: Firmware) -> Iterator[Trait]:
    """SDKs and frameworks by their version banners."""
    for node, facts in firmware.contents():
        for hit in facts.banners:
            for topic, names in (("SDK", _SDKS), ("framework", _FRAMEWORKS)):
                if hit.component in names:
                    words = f"{names[hit.component]} {hit.version}"
                    yield Trait(name=topic, state="yes", detail=words, evidence=_where(node, hit.text, hit.offset))


def _slots(firmware: Firmware) -> Iterator[Trait]:
    """Slots for updates and flash encryption, by the partition table of ESP-IDF."""
    for node in firmware.containers("esp-partition-table"):
        table = str(node.detail.get("table", ""))
        count, overlap = slots_of(table)
        factory = " and a factory application" if " app/factory" in table else ""
        detail = f"{count} slots{factory}" if count else "one application, no slot to fall back to"
        state: State = "unknown" if overlap else "yes" if count > 1 else "no"
        if overlap:
            detail += ", which overlap"
        yield Trait(name="A/B slots", state=state, detail=detail, evidence=_where(node, table))
        encrypted = str(node.detail.get("encrypted_partitions", ""))
        # Applications are encrypted without a mark, too, once the fuses say so: without marks nothing is decided.
        told = encrypted or "no partition is marked; fuses decide"
        marked: State = "yes" if encrypted else "unknown"
        yield Trait(name="flash encryption", state=marked, detail=told, evidence=_where(node, f"encrypted: {told}"))


_LOCKS: dict[str, tuple[State, str]] = {
    "locked": ("yes", "the image locks it"),
    "partly": ("unknown", "the image locks reading, the level can be taken back with the content erased"),
    "open": ("no", "the image leaves it open"),
    "unknown": ("unknown", "not decided by the image: it depends on the revision of the chip"),
}


def _locks(firmware: Firmware) -> Iterator[Trait]:
    """The lock of the debug port, by the word that an image with addresses writes into the chip's settings."""
    for node in firmware.nodes:
        if lock := _LOCKS.get(str(node.detail.get("debug_lock", ""))):
            word = str(node.detail.get("debug_lock_word", ""))
            yield Trait(name="debug port lock", state=lock[0], detail=f"{lock[1]} ({word})", evidence=_where(node, word))


def _code(firmware: Firmware) -> Iterator[Trait]:
    """What the texts of the code say: updates, TLS, consoles, locks, cloud services."""
    for held in said(firmware).values():
        meta = held[0].hit.meta
        if "topic" in meta and "says" in meta:
            state = cast("State", meta.get("state", "yes"))
            proof = tuple(each.evidence for each in held)
            yield Trait(name=meta["topic"], state=state, detail=meta["says"], evidence=proof)


def _servers(firmware: Firmware) -> Iterator[Trait]:
    """Addresses in the code, with and without encryption, and where updates are fetched from in clear."""
    updates: set[str] = set()
    for node, facts in firmware.contents():
        for found in facts.patterns:
            if found.rule == "plain-update-address" and node.kind is not NodeKind.CONTAINER and not for_people(found.text):
                updates.add(found.text)
                proof = _where(node, found.text, found.offset)
                yield Trait(name="update address in clear", state="yes", detail=found.text, evidence=proof)
    for each in addresses(firmware):
        if not any(each.text.startswith(address) or address.startswith(each.text) for address in updates):
            name = "endpoint" if each.encrypted else "endpoint in clear"
            yield Trait(name=name, state="yes", detail=each.text, evidence=(each.said.evidence,))
