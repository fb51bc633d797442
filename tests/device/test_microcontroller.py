"""Images of microcontrollers: what headers, partition tables and code say, and secrets in the settings that are shipped."""

from __future__ import annotations

import time
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
LABELS = b"master secret\0key expansion\0client finished\0server finished"
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
    assert told["flash encryption"] == ("unknown", "no partition is marked; fuses decide")
    assert all(trait.evidence for trait in device.microcontroller)


def test_one_application_and_an_encrypted_partition() -> None:
    told = rows(build(plug(table="factory app/factory 0x10000+0x100000", encrypted="nvs_keys")))
    assert told["A/B slots"] == ("no", "one application, no slot to fall back to")
    assert told["flash encryption"] == ("yes", "nvs_keys")


@pytest.mark.parametrize(("lock", "state"), [("locked", "yes"), ("open", "no"), ("partly", "unknown"), ("unknown", "unknown")])
def test_the_lock_of_the_debug_port_by_the_word_that_the_image_writes(lock: str, state: str) -> None:
    chain = ("app.hex", "intel-hex@0x0")
    detail: dict[str, str | int] = {"address": "0x10001208", "debug_lock": lock, "debug_lock_word": "nRF52 UICR.APPROTECT is 0x0"}
    nodes = [
        Node(chain=chain, path="", kind=NodeKind.CONTAINER, format="intel-hex"),
        Node(chain=chain, path="0x10001208", kind=NodeKind.REGION, size=4, detail=detail),
    ]
    told = rows(build(Firmware(IMAGE, nodes, {}, Coverage(bytes_total=1, bytes_explained=1))))["debug port lock"]
    assert told[0] == state
    assert told[1].endswith("(nRF52 UICR.APPROTECT is 0x0)")


def test_slots_that_overlap_are_none() -> None:
    table = "app0 app/ota_0 0x10000+0x140000, app1 app/ota_1 0x100000+0x140000"
    assert rows(build(plug(table=table)))["A/B slots"] == ("unknown", "2 slots, which overlap")


def test_addresses_without_end_are_read_in_bounded_time() -> None:
    for code in (
        b"http://" + b"a." * 200_000,
        b"mqtt://a-" * 50_000,
        b"\0http://h.sample-cloud.net/" * 20_000,
        b"\0ws://1.1.1" * 40_000,
    ):
        start = time.process_time()
        device = build(plug(code))
        assert time.process_time() - start < 10
        assert len(device.microcontroller) <= 96


def test_what_the_code_speaks_of() -> None:
    code = b"\0esp_https_ota\0mbedtls_ssl_setup\0mqtt://broker.sample-cloud.net\0http://ota.sample-cloud.net/plug/firmware.bin\0"
    firmware = plug(code)
    device = build(firmware)
    told = rows(device)
    assert told["update source"] == ("yes", "HTTPS download (esp_https_ota)")
    assert told["TLS library"] == ("yes", "mbed TLS")
    assert told["endpoint in clear"] == ("yes", "mqtt://broker.sample-cloud.net")
    found = {each.rule: each for each in microcontrollers.analyse(firmware, device)}
    assert {id: (each.verdict, each.confidence) for id, each in found.items()} == {
        "NET-020": ("concern", "tentative"),
        "UPD-013": ("concern", "tentative"),
    }
    assert found["UPD-013"].location.offset == code.index(b"http://")


@pytest.mark.parametrize(
    ("code", "subject", "told"),
    [
        (b"OTA update in progress", "update over the air", ["the texts speak of it"]),
        (b"OTA update\0OTA image has invalid magic byte (expected 0xE9)", "update over the air", []),  # told better
        (b"OTA image has invalid magic byte", "update writer", ["ESP-IDF (esp_ota_write)"]),
        (LABELS, "TLS implementation", ["a TLS client or server is linked in"]),
        (LABELS + b"\0ssl_tls.c", "TLS implementation", []),
        (b"uart:~$ \0nsh> \0", "console", ["Zephyr shell", "NuttShell"]),
        (b"Not disabling JTAG - SECURITY COMPROMISED", "debug port lock", ["the boot loader leaves JTAG on"]),
        (b"Tmr Svc\0", "SDK", ["ESP-IDF v5.1.2"]),  # the kernel of the SDK that the header names
        (b"Thread Operating System", "SDK", ["ESP-IDF v5.1.2", "RT-Thread"]),
        (b"ESPHome version 2024.6.1 compiled on %s", "framework", ["ESPHome 2024.6.1"]),
        (b"\0https://api.sample-cloud.net/v1\0", "endpoint", ["https://api.sample-cloud.net/v1"]),
        (b"$aws/things/plug/shadow", "cloud service", ["AWS IoT"]),
    ],
)  # fmt: skip
def test_subjects_of_the_code(code: bytes, subject: str, told: list[str]) -> None:
    assert [trait.detail for trait in build(plug(code)).microcontroller if trait.name == subject] == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"\0http://iot.sample-cloud.net:8080/v1/report\0", "http://iot.sample-cloud.net:8080/v1/report"),
        (b"\0http://api.sample-cloud.net\0", "http://api.sample-cloud.net"),
        (b"\0http://sample.net/device/status?id=%s\0", "http://sample.net/device/status?id=%s"),
        (b"\0\0\0\x3f\0\x40\x20\x3fhttp://data.sample.net/post\0", "http://data.sample.net/post"),  # behind a table of pointers
        (b'{"broker":"mqtt://broker.sample.net:1883","x":1}', "mqtt://broker.sample.net:1883"),
        (b"\0ws://push.sample.net/socket\0", "ws://push.sample.net/socket"),
        (b"\0http://93.184.216.34/report\0", "http://93.184.216.34/report"),
        # pages, credits, schemas, manuals, licences, home networks, captive portals
        (b"\0http://www.sample.net\0http://www.sample.net/\0http://sample.net\0", None),
        (b"\0http://www.sample.net/help.html\0http://cdn.sample.net/jquery.js\0", None),
        (b"see http://sample.net/docs/ota for more\0", None),
        (b'<a href="http://iot.sample.net/v1">x</a>\0', None),
        (b"\0http://www.w3.org/2000/svg\0http://schemas.xmlsoap.org/soap/envelope/\0http://ns.adobe.com/x/1.0/\0", None),
        (b"\0http://github.com/maker/plug/issues\0http://docs.sample.net/errors/12\0http://arduino.cc/en/x\0", None),
        (b"\0http://192.168.4.1/setup\0http://10.0.0.1/x\0http://127.0.0.1/x\0http://plug.local/x\0", None),
        (b"\0http://connectivitycheck.gstatic.com/generate_204\0http://captive.apple.com/hotspot-detect\0", None),
        (b"\x86\x22http://crl.sample.net/root/ca.crl0\x1d", None),  # in a certificate
        (b"\0http://%s/api\0mqtt://%s:%d\0http://\0", None),
        (b"\0mqtts://broker.sample.net\0https://api.sample.net/x\0wss://api.sample.net/x\0coaps://a.sample.net\0", None),
    ],
)  # fmt: skip
def test_which_addresses_are_servers_in_clear(text: bytes, told: str | None) -> None:
    firmware = plug(b"\x08\x10\x20\x30" + text)
    device = build(firmware)
    assert [each.detail for each in device.microcontroller if each.name == "endpoint in clear"] == ([told] if told else [])
    assert [each.rule for each in microcontrollers.analyse(firmware, device)] == (["NET-020"] if told else [])


def test_addresses_with_encryption_and_placeholders_say_nothing() -> None:
    firmware = plug(b"\0mqtts://broker.sample-cloud.net\0https://ota.sample-cloud.net/firmware.bin\0mqtt://%s:%d\0")
    assert list(microcontrollers.analyse(firmware, build(firmware))) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        (b'AT+QSSLCFG="seclevel",1,0\r\n', ("TLS-024", "high")),
        (b"Continuing with insecure option because CONFIG_ESP_HTTPS_OTA_ALLOW_HTTP is set.", ("TLS-024", "high")),
        (b"Not disabling JTAG - SECURITY COMPROMISED", ("DBG-022", "medium")),
        (b"Not disabling UART bootloader encryption", ("DBG-022", "medium")),
        (b"Entering gdb stub now.", ("DBG-023", "medium")),
        (b"================= CORE DUMP START =================", ("DBG-023", "low")),
        (b'AT+QSSLCFG="seclevel",1,2\r\n', None),
        (b"No option for server verification is enabled in esp_http_client config.", None),
        (b"Disable JTAG...\0uart:~$ \0Skipping SSL Verification. INSECURE!\0", None),  # there, but not proven to be in use
    ],
)
def test_options_that_a_build_was_made_with(code: bytes, found: tuple[str, str] | None) -> None:
    firmware = plug(b"\0" + code + b"\0")
    told = [(each.rule, str(each.severity)) for each in microcontrollers.analyse(firmware, build(firmware))]
    assert told == ([found] if found else [])


def test_what_runs_there_are_components_with_or_without_a_version() -> None:
    node = Node(chain=("p", "nrf-softdevice@0x0"), path="", kind=NodeKind.CONTAINER, format="nrf-softdevice", detail={
        "softdevice": "S140", "version": "7.2.0"})  # fmt: skip
    code = inspect(b"\x08\0\0\0wolfSSL_CTX_new\0Tmr Svc\0MicroPython v1.22.1 on 2024-01-05\0raw REPL; CTRL-B to exit\0")
    region = Node(chain=("p", "cortex-m@0x1000"), path="code", kind=NodeKind.REGION, sha256=code.sha256)
    device = build(Firmware(IMAGE, [node, region], {code.sha256: code}, Coverage(bytes_total=1, bytes_explained=1)))
    assert {(each.name, each.version) for each in device.components} == {
        ("nordic_softdevice", "7.2.0"), ("wolfssl", None), ("freertos", None), ("micropython", "1.22.1"),
    }  # fmt: skip
    assert device.platform == "Nordic SoftDevice S140 7.2.0 on Nordic nRF5"


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
        ("tasmota-8.5.0_tasmota.bin", "ESP8266 NonOS SDK 2.2.2 on ESP8266", "UPD-013"),
        ("zb-zigusb-c6_ZigUSB_C6.ota", "ESP-IDF v5.3.1 on ESP32-C6", ""),
        ("ucritair-zephyr_zephyr.signed.bin", "Zephyr 3.7.0 on ARM Cortex-M", ""),
        ("marstek-hmg50-156_HMG-50_156.bin", "FreeRTOS on ARM Cortex-M", "UPD-013"),
        ("greatfet-usb_greatfet_usb.bin", "ARM Cortex-M", ""),
        ("cynthion-moondancer_moondancer.bin", "RISC-V", ""),
    ],
)
def test_real_images(name: str, platform: str, rule: str) -> None:
    report = scan(CORPUS / name, Options(jobs=1))
    assert report.device.platform == platform
    assert {each.rule for each in report.findings} & {"FS-020", "NET-020", "UPD-013"} == ({rule} if rule else set())
