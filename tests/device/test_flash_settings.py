"""Secrets in the settings that flash images of microcontrollers ship: by the names of settings, never texts of pages."""

from __future__ import annotations

import json
import random
import time

import pytest
from support.trees import firmware_of

from fwcheck.analysers import registry
from fwcheck.device._flash_settings import stored_secrets
from fwcheck.device.build import build


def secrets(files: dict[str, bytes | str], format: str = "littlefs") -> dict[tuple[str, str], str]:
    return {(each.node.path, each.name): each.value for each in stored_secrets(firmware_of(files, format=format))}


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("/config.json", '{"wifi": {"ssid": "Home", "password": "cor-horse"}, "ap_pass": "12345678"}', {"password", "ap_pass"}),
        ("/conf9.json", '{"mqtt":{"enable":true,"user":"u1","pass":"Gq77"},"sta":{"ssid":"x","pass":"my net key!"}}', {"pass"}),
        ("/app.json", '{"password": "lan-secret-77", "psk": "the secret"}', {"password"}),
        ("/net.json", '[{"ssid":"a","psk":"one-two-three"},{"ssid":"b","psk":"four-five-six"}]', {"psk"}),
        ("/settings.toml", '# shipped\nCIRCUITPY_WIFI_PASSWORD = "let-me-in"\nCIRCUITPY_WEB_API_PASSWORD="passw0rd"\n', {
            "CIRCUITPY_WIFI_PASSWORD", "CIRCUITPY_WEB_API_PASSWORD"}),
        ("/secrets.py", "WIFI_SSID = 'net'\nWIFI_PASSWORD = 'hunter2-hunter2'\n", {"WIFI_PASSWORD"}),
        ("/boot.py", "import network\nsta = network.WLAN(0)\nsta.connect('net', 'pw-of-the-net')\n", {"password"}),
        ("/wifi.txt", "ssid=Factory\r\npsk=linelineline\r\n", {"psk"}),
        ("/mqtt.conf", "mqtt_user plug\nmqtt_token: ab12-cd34-ef56\n", {"mqtt_token"}),
        # what looks like it and is none
        ("/config.json", '{"password": "", "token": null, "ap_pass": "", "psk_len": "12345678", "secret": "your_secret"}', set()),
        ("/config.json", '{"password": "${WIFI_PASSWORD}", "psk": "%PSK%", "api_key": "<key>", "pass": "****"}', set()),
        ("/config.json", '{"password": "string", "token": "YOUR_TOKEN", "pwd": "1234", "pass_count": "12345678"}', set()),
        ("/config.json", '{"password": {"type": "text"}, "password_file": "/keys/pw", "token_url": "https://a.b/c"}', set()),
        ("/lang/de.json", '{"wifi_password": "WLAN-Zugang", "token": "Marke"}', set()),
        ("/strings.json", '{"wifi_password": "Enter the passphrase"}', set()),
        ("/labels.json", '{"wifi_password": "Wi-Fi-Kennwort", "api_key": "The API key"}', set()),
        ("/index.html", '<input name="password" value="x1y2z3w4">', set()),
        ("/main.py", "password = config['password']\ntoken = get_token()\n# psk = 'not-this-one'\n", set()),
        ("/README.md", "password: correct-horse\n", set()),
    ],
)  # fmt: skip
def test_what_counts_as_a_secret(path: str, text: str, found: set[str]) -> None:
    assert {name for _, name in secrets({path: text})} == found


def test_values_of_nvs() -> None:
    values: dict[str, bytes | str] = {
        "/nvs.net80211/sta.pswd": "correct-horse\0", "/nvs.net80211/ap.passwd": "12345678\0", "/app/pass_count": "1234",
        "/.erased/app/password": "former-one",
    }  # fmt: skip
    assert set(secrets(values, "esp-nvs").values()) == {"correct-horse", "12345678", "former-one"}


def test_values_of_tuyas_storage() -> None:
    values: dict[str, bytes | str] = {
        "/gw_bi": '{"uuid":"u-1","auz_key":"A1b2C3d4E5f6","ap_ssid":"SmartLife","ap_passwd":null}',
        "/gw_wsm": '{"nc_tp":9,"ssid":"net","passwd":"correct-horse"}',
    }  # fmt: skip
    assert {name for _, name in secrets(values, "tuya-kv")} == {"auz_key", "passwd"}


def test_a_secret_has_its_line_and_is_told_once() -> None:
    firmware = firmware_of({"/config.json": '{\n "ssid": "x",\n "mqtt_password": "Gq77-xx2-kk"\n}\n'}, format="spiffs")
    found = [each for each in registry.analyse(firmware, build(firmware)) if each.rule in ("FS-020", "FS-003", "NET-006")]
    assert [(each.rule, each.location.line) for each in found] == [("FS-020", 3)]
    assert "Gq77-xx2-kk" not in str(found)


def test_a_card_of_another_computer_is_left_to_the_other_rules() -> None:
    files = {"/secrets.py": "WIFI_PASSWORD='hunter2-hunter2'\n", "/cmdline.txt": "console=tty1\n"}
    assert secrets(dict(files), "fat") == {}
    firmware = firmware_of(dict(files), format="fat")
    assert [each.rule for each in registry.analyse(firmware, build(firmware)) if each.location.path == "/secrets.py"] == [
        "FS-003"
    ]


def test_images_with_a_root_file_system_have_none_here() -> None:
    files = {
        "/bin/busybox": b"\x7fELF",
        "/etc/passwd": "r:x:0:0:::\n",
        "/lib/x": "",
        "/sbin/init": b"\x7fELF",
        "/c.json": '{"psk":"abcdefgh1"}',
    }
    assert secrets(files) == {}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 30_000, '{"a":' * 20_000, json.dumps({"password": "x" * 50_000}), "password = '" * 8000, "password=" + " " * 60_000,
        json.dumps([{"password": f"secret-{number:x}-of-many"} for number in range(1500)]), "\n".join(["a" * 399 + "="] * 150),
    ],
)  # fmt: skip
def test_hostile_texts_are_read_in_bounded_time(text: str) -> None:
    start = time.process_time()
    assert len(stored_secrets(firmware_of({"/config.json": text}, format="littlefs"))) <= 100
    assert time.process_time() - start < 2


def test_random_settings_never_raise() -> None:
    rng = random.Random(7)
    base = '{"wifi": {"ssid": "Home", "password": "correct-horse"}, "list": [1, "x", {"psk": "eight-888"}]}'
    for _ in range(300):
        cut = list(base)
        for _ in range(rng.randrange(1, 6)):
            cut[rng.randrange(len(cut))] = rng.choice('{}[]":,\\\0ä\n')
        stored_secrets(firmware_of({"/c.json": "".join(cut)}, format="littlefs"))
