"""Images of microcontrollers: what headers, partition tables and code say, and secrets in the settings that are shipped."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.trees import firmware_of

from fwcheck.analysers import microcontrollers
from fwcheck.device.build import build
from fwcheck.device.firmware import Firmware
from fwcheck.inspection.inspect import inspect
from fwcheck.model import Coverage, Device, Image, Node, NodeKind
from fwcheck.pipeline import Options, scan

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "open"
IMAGE = Image(name="plug.bin", size=1, sha256="0" * 64, format="esp")
CHAIN = ("plug.bin", "esp@0x10000")
TABLE = "nvs data/nvs 0x9000+0x5000, otadata data/ota 0xe000+0x2000, app0 app/ota_0 0x10000+0x1e0, app1 app/ota_1 0x1f0000+0x1e0"


def plug(code: bytes = b"", table: str = TABLE, encrypted: str = "") -> Firmware:
    """A flash image: partition table, application with a description, one segment of code."""
    facts = inspect(code)
    detail = {"chip": "ESP32", "idf_version": "v5.1.2", "project": "plug", "version": "1.4"}
    listed: dict[str, str | int] = {"table": table, "encrypted_partitions": encrypted}
    nodes = [
        Node(chain=("plug.bin", "table@0x8000"), path="", kind=NodeKind.CONTAINER, format="esp-partition-table", detail=listed),
        Node(chain=CHAIN, path="", kind=NodeKind.CONTAINER, format="esp", detail=detail),
        Node(chain=CHAIN, path="segment-0", kind=NodeKind.REGION, size=len(code), sha256=facts.sha256),
    ]  # fmt: skip
    return Firmware(IMAGE, nodes, {facts.sha256: facts}, Coverage(bytes_total=1, bytes_explained=1))


def rows(device: Device) -> dict[str, tuple[str, str]]:
    return {trait.name: (trait.state, trait.detail) for trait in device.microcontroller}


def test_headers_and_partition_table() -> None:
    device = build(plug())
    assert device.platform == "ESP-IDF v5.1.2 on ESP32"
    told = rows(device)
    assert told["application"] == ("yes", "plug 1.4")
    assert told["A/B slots"] == ("yes", "2 slots")
    assert told["flash encryption"] == ("no", "no partition is marked to be encrypted")
    assert all(trait.evidence for trait in device.microcontroller)


def test_one_application_and_an_encrypted_partition() -> None:
    told = rows(build(plug(table="factory app/factory 0x10000+0x100000", encrypted="nvs_keys")))
    assert told["A/B slots"] == ("no", "one application, no slot to fall back to")
    assert told["flash encryption"] == ("yes", "nvs_keys")


def test_what_the_code_speaks_of() -> None:
    code = b"\0esp_https_ota\0mbedtls_ssl_setup\0mqtt://broker.sample-cloud.net\0http://ota.sample-cloud.net/plug/firmware.bin\0"
    firmware = plug(code)
    device = build(firmware)
    told = rows(device)
    assert told["update over the air"][0] == "unknown"  # present is not used
    assert told["TLS library"] == ("yes", "mbed TLS")
    found = {each.rule: each for each in microcontrollers.analyse(firmware, device)}
    assert {id: (each.verdict, each.confidence) for id, each in found.items()} == {
        "NET-020": ("concern", "tentative"),
        "UPD-013": ("concern", "tentative"),
    }
    assert found["UPD-013"].location.offset == code.index(b"http://")


def test_addresses_with_encryption_and_placeholders_say_nothing() -> None:
    firmware = plug(b"\0mqtts://broker.sample-cloud.net\0https://ota.sample-cloud.net/firmware.bin\0mqtt://%s:%d\0")
    assert list(microcontrollers.analyse(firmware, build(firmware))) == []


def settings(values: dict[str, bytes | str]) -> Firmware:
    return firmware_of(values, format="esp-nvs")


def test_secrets_in_the_settings() -> None:
    firmware = settings({
        "/nvs.net80211/sta.ssid": "factory-line", "/nvs.net80211/sta.pswd": "correct-horse\0", "/app/api_token": "k3-Zz81-mQp0",
        "/.erased/app/password": "former-one", "/app/pass_count": "1234", "/app/greeting": "hello there",
    })  # fmt: skip
    found = {each.location.path: each for each in microcontrollers.analyse(firmware, build(firmware))}
    assert {path: (each.rule, each.verdict) for path, each in found.items()} == {
        "/nvs.net80211/sta.pswd": ("FS-020", "violation"),
        "/app/api_token": ("FS-020", "violation"),
        "/.erased/app/password": ("FS-020", "concern"),
    }
    assert "correct-horse" not in str(found)


def test_images_with_a_root_file_system_are_left_to_the_others() -> None:
    firmware = firmware_of({"/bin/busybox": b"\x7fELF", "/etc/passwd": "root:x:0:0:::\n", "/lib/x": "", "/sbin/init": b"\x7fELF"})
    assert build(firmware).microcontroller == ()


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real images is not beside the project")
@pytest.mark.parametrize(
    ("name", "platform", "rule"),
    [
        ("tasmota-8.5.0_tasmota.bin", "ESP8266", "UPD-013"),
        ("zb-zigusb-c6_ZigUSB_C6.ota", "ESP-IDF v5.3.1 on ESP32-C6", ""),
        ("ucritair-zephyr_zephyr.signed.bin", "Zephyr 3.7.0", ""),
        ("marstek-hmg50-156_HMG-50_156.bin", "unknown", "UPD-013"),
    ],
)
def test_real_images(name: str, platform: str, rule: str) -> None:
    report = scan(CORPUS / name, Options(jobs=1))
    assert report.device.platform == platform
    assert {each.rule for each in report.findings} & {"FS-020", "NET-020", "UPD-013"} == ({rule} if rule else set())
