"""Rules on the code of microcontrollers: every text of a rule is found, and the texts that every build carries are not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fwcheck.inspection import yara_rules
from fwcheck.inspection.inspect import inspect

SOURCE = Path(__file__).parents[2].joinpath("rules", "yara", "microcontrollers.yar").read_text()
RULE = re.compile(r'id = "([\w-]+)"\n(.*?)    strings:\n(.*?)    condition:\n(.*?)\n\}', re.DOTALL)
STRING = re.compile(r'(\$s\d+) = "((?:[^"\\]|\\.)*)"')
SAMPLES = {
    "mcu-verify-module-off": [
        'AT+QSSLCFG="seclevel",1,0\r\n', 'AT+QSSLCFG="seclevel",%d,0', 'AT+CSSLCFG="authmode",0,0\r', "AT+CIPSSLCCONF=0\r\n",
        "AT+USECPRF=0,0,0", "AT#SSLSECCFG=1,0,0\r",
    ],
}  # fmt: skip
RULES = {found[1]: (found[2], dict(STRING.findall(found[3])), found[4]) for found in RULE.finditer(SOURCE)}


def ids(content: bytes) -> set[str]:
    return {hit.rule for hit in inspect(content).yara if hit.rule.startswith("mcu-")}


def of(strings: dict[str, str]) -> list[bytes]:
    return [text.replace('\\"', '"').encode() for text in strings.values()]


def test_every_rule_tells_a_subject_and_what_is_said() -> None:
    assert len(RULES) == SOURCE.count("\nrule ")
    for id, (meta, strings, condition) in RULES.items():
        assert 'topic = "' in meta, id
        assert 'says = "' in meta, id
        assert strings or id in SAMPLES, id
        assert "uint32(0) != 0x464c457f" in condition, id
        assert id not in yara_rules.prefilter().unfiltered


@pytest.mark.parametrize("id", RULES)
def test_a_rule_finds_its_texts_in_code_and_is_silent_in_elf_programs(id: str) -> None:
    _, strings, condition = RULES[id]
    texts = [text.encode() for text in SAMPLES[id]] if id in SAMPLES else of(strings)
    together = b"\x08\x00\x10\x20" + b"\0".join(texts) + b"\0"
    for content in [together] if "all of them" in condition else [b"\x08\x00\x10\x20" + text + b"\0" for text in texts]:
        assert id in ids(content)
    assert id not in ids(b"\x7fELF\x01\x01\x01" + bytes(60) + together)
    if "all of them" in condition:
        assert id not in ids(b"\x08\x00\x10\x20" + texts[0] + b"\0")


@pytest.mark.parametrize(
    "text",
    [
        # tables of error codes and log tags of ESP-IDF, which applications without updates and TLS carry too
        b"ESP_ERR_OTA_BASE\0ESP_ERR_OTA_VALIDATE_FAILED\0ESP_ERR_OTA_ROLLBACK_FAILED\0ESP_ERR_HTTPS_OTA_BASE\0",
        b"esp_ota_ops\0/IDF/components/app_update/esp_ota_ops.c\0esp_ota_get_running_partition\0",
        b"ESP_ERR_WOLFSSL_CERT_VERIFY_SETUP_FAILED\0ESP_ERR_MBEDTLS_CERT_PARTLY_OK\0prvDeleteTLS\0",
        b"ctx: bearssl\0",  # every build of the Arduino core for ESP8266 prints it after a crash
        b"meshtastic_XModem_tag\0XMODEM\0",  # files sent to a phone
        b"Bad Size Given\0Flash Write Failed\0",
        b"ELF file SHA256:  %s...\0Task watchdog got triggered\0/dev/console\0",
        b'AT+QSSLCFG="seclevel",1,2\r\n\0AT+QSSLCFG="sslversion",1,0\r\n\0AT+CSSLCFG="authmode",0,1\r\0AT+CIPSSLCCONF=2,0,0\r\n\0',
        b'AT+USECPRF=0,0,3\r\0AT#SSLSECCFG=1,0,1\r\0AT+QSSLCFG="seclevel",%d,%d\0',
        b"total_pwr=%ld, max=%ld\0rotation_update of the motor\0",
    ],
)
def test_texts_that_every_build_carries_tell_nothing(text: bytes) -> None:
    assert ids(b"\x08\x00\x10\x20" + text) <= {"mcu-sdk-freertos"}
