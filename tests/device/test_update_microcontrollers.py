"""Update paths of microcontrollers: where software comes from, what checks it, what writes it; a signature only where proven."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fwcheck.analysers import updates
from fwcheck.device.build import build
from fwcheck.device.firmware import Firmware
from fwcheck.inspection.inspect import inspect
from fwcheck.model import Coverage, Image, Node, NodeKind, UpdatePath
from fwcheck.pipeline import Options, scan

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "open"
IMAGE = Image(name="plug.bin", size=1, sha256="0" * 64, format="esp")
TWO = "otadata data/ota 0xe000+0x2000, app0 app/ota_0 0x10000+0x1e0, app1 app/ota_1 0x1f0000+0x1e0"
ONE = "factory app/factory 0x10000+0x100000"
WRITES = b"\0OTA image has invalid magic byte (expected 0xE9, saw 0x%02x)\0"
HASHES = b"\0image at 0x%lx has invalid magic byte (nothing flashed here?)\0"
VERIFIES = b"\0Secure boot signature verification failed\0"
FETCHES = b"\0esp_https_ota\0"
DEMANDS = b"\0No option for server verification is enabled in esp_http_client config.\0"
WAIVES = b"\0Continuing with insecure option because CONFIG_ESP_HTTPS_OTA_ALLOW_HTTP is set.\0"


def image(*programs: bytes, format: str = "esp", table: str = "", detail: dict[str, str | int] | None = None) -> Firmware:
    """A flash image: each program is a container with one segment of code."""
    nodes, facts = [], {}
    if table:
        nodes.append(
            Node(chain=("p", "t"), path="", kind=NodeKind.CONTAINER, format="esp-partition-table", detail={"table": table})
        )
    for number, code in enumerate(programs):
        read = inspect(b"\x08\x10\x20\x30" + code)
        facts[read.sha256] = read
        chain = ("plug.bin", f"{format}@{number}")
        nodes.append(Node(chain=chain, path="", kind=NodeKind.CONTAINER, format=format, detail=detail or {}))
        nodes.append(Node(chain=chain, path="segment-0", kind=NodeKind.REGION, size=len(code), sha256=read.sha256))
    return Firmware(IMAGE, nodes, facts, Coverage(bytes_total=1, bytes_explained=1))


def ways(firmware: Firmware) -> list[UpdatePath]:
    return [path for path in build(firmware).update_paths if path.source != "container"]


def one(firmware: Firmware) -> UpdatePath:
    (path,) = ways(firmware)
    return path


def test_an_https_update_is_told_step_by_step() -> None:
    path = one(image(FETCHES + DEMANDS + HASHES + VERIFIES + WRITES, table=TWO))
    assert (path.source, path.sink, path.verified) == ("http download", "ESP-IDF (esp_ota_write)", "signature")
    assert (path.transport, path.slots) == ("authenticated", "A/B")
    assert [step.action for step in path.steps] == ["fetch", "verify", "write", "set"]
    assert [step.honoured for step in path.steps if step.check] == ["yes"]
    assert all(step.evidence is not None for step in path.steps if step.action != "set")


@pytest.mark.parametrize(
    ("code", "verified"),
    [
        (WRITES, "unknown"),  # quiet builds hold no texts of checks
        (WRITES + HASHES, "hash"),
        (WRITES + HASHES + VERIFIES, "signature"),
    ],
)
def test_what_is_checked_is_only_said_by_the_texts_of_the_check(code: bytes, verified: str) -> None:
    assert one(image(FETCHES + code)).verified == verified


def test_the_check_of_the_boot_loader_is_not_that_of_the_application() -> None:
    assert one(image(HASHES + VERIFIES, FETCHES + WRITES)).verified == "unknown"


@pytest.mark.parametrize(
    ("code", "transport"),
    [
        (FETCHES + WRITES, "unknown"), (FETCHES + WRITES + DEMANDS, "authenticated"), (FETCHES + WRITES + WAIVES, "unchecked"),
        (b"\0zcl_ota_upgrade\0" + WRITES, "none"), (b"\0ESP32-http-Update\0" + WRITES, "unknown"),
    ],
)  # fmt: skip
def test_what_it_comes_over(code: bytes, transport: str) -> None:
    assert one(image(code)).transport == transport


def test_one_application_has_no_other_slot() -> None:
    path = one(image(FETCHES + WRITES, table=ONE))
    assert path.slots == "single"
    assert "set" not in [step.action for step in path.steps]


def test_the_updater_of_the_esp8266_knows_a_sum_and_maybe_a_key() -> None:
    code = b"\0ESP8266-http-Update\0Bad Size Given\0Signature verification failed\0Magic byte is not 0xE9\0"
    assert one(image(code)).verified == "checksum"
    made = ec.generate_private_key(ec.SECP256R1()).public_key()
    key = made.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert one(image(code + key + b"\0")).verified == "unknown"


def test_mcuboot_demands_no_signature_where_the_image_has_none() -> None:
    code = b"\0smp_bt\0mcuboot_util\0"
    unsigned = one(image(code, format="mcuboot", detail={"integrity": "hash", "tlvs": "sha256"}))
    assert (unsigned.source, unsigned.verified, unsigned.transport) == ("Bluetooth LE", "hash", "none")
    signed = one(image(code, format="mcuboot", detail={"integrity": "signature", "tlvs": "sha256, ecdsa, security counter"}))
    assert (signed.verified, signed.rollback) == (
        "unknown",
        "protected",
    )  # a signature says nothing of the loader that is to ask for it


def test_a_module_that_is_told_to_update_itself() -> None:
    path = one(image(b"\0AT+QWLANOTA=%s\0", format="cortex-m"))
    assert (path.source, path.sink, path.verified) == ("http download", "radio module", "unknown")


def test_a_writer_without_a_known_way_in_is_a_path_too() -> None:
    assert one(image(WRITES)).source == "update over the air"


def test_texts_about_updates_and_images_of_others_make_no_path() -> None:
    assert ways(image(b"\0OTA update failed\0ESP_ERR_OTA_VALIDATE_FAILED\0")) == []
    assert ways(image(FETCHES + WRITES, format="squashfs")) == []


def test_the_protection_of_the_image_is_found_once() -> None:
    firmware = image(FETCHES + HASHES + WRITES, detail={"integrity": "hash", "integrity_detail": "SHA-256 right"})
    found = list(updates.analyse(firmware, build(firmware)))
    assert sorted(each.rule for each in found) == ["UPD-003", "UPD-009"]
    counted = b"\0New firmware security version is less than eFuse programmed, %d < %d\0"
    firmware = image(FETCHES + HASHES + WRITES + counted, detail={"integrity": "hash", "integrity_detail": "SHA-256 right"})
    assert [each.rule for each in updates.analyse(firmware, build(firmware))] == ["UPD-003"]


def test_a_dump_without_a_wrapping_is_judged_by_what_writes() -> None:
    firmware = image(FETCHES + HASHES + WRITES + b"\0zcl_ota_upgrade\0", table=TWO)
    (found,) = [each for each in updates.analyse(firmware, build(firmware)) if each.rule == "UPD-003"]
    assert (found.verdict, found.title) == (
        "concern", "ESP-IDF (esp_ota_write) checks updates by a hash only (Zigbee OTA, http download)",
    )  # fmt: skip


def test_an_image_full_of_texts_stays_bounded() -> None:
    code = b"".join(b"\0esp_https_ota\0zcl_ota_upgrade\0OTA image has invalid magic byte\0" for _ in range(3000))
    assert len(ways(image(*(code + bytes([number]) for number in range(40))))) <= 24


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real images is not beside the project")
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("tasmota-8.5.0_tasmota.bin", {("web upload", "checksum"), ("http download", "checksum"), ("container", "checksum")}),
        ("zb-zigusb-c6_ZigUSB_C6.ota", {("Zigbee OTA", "hash"), ("container", "none")}),
        ("ucritair-zephyr_zephyr.signed.bin", {("container", "hash")}),  # XModem there sends files to a phone
        ("nrf-bootloader-ble-debug_secure_bootloader_ble_s140_pca10056_debug_sdk160.hex", {("Bluetooth LE", "unknown")}),
        ("marstek-hmg50-156_HMG-50_156.bin", {("http download", "unknown")}),
        ("greatfet-usb_greatfet_usb.bin", set()),
    ],
)
def test_real_images(name: str, told: set[tuple[str, str]]) -> None:
    report = scan(CORPUS / name, Options(jobs=1))
    assert {(path.source, path.verified) for path in report.device.update_paths} == told
