"""Every YARA rule is executed on a sample that it must match and on one that it must not."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fwcheck.inspection import catalogue, yara_rules
from fwcheck.inspection.inspect import inspect

ELF = b"\x7fELF\x01\x01\x01" + bytes(64)
KEY_LINES = b"-----BEGIN RSA PRIVATE KEY-----\n" + b"MIIEpAIBAAKCAQEA" * 4 + b"\n" + b"Zm9vYmFy" * 5 + b"\n"
MCUBOOT = bytes.fromhex("fc5701dc6135e1323847bdc40f04d2e5bee5833b23c29f93593d00018cfa9994")
XZ = bytes.fromhex("f30f1efa554889f54c89ce5389fb81e7000000804883ec28488954241848894c2410")

SAMPLES: dict[str, tuple[bytes, bytes]] = {
    "boot_fit_signature": (b"Failed to verify required signature '%s'\n\0", b"Failed to verify the signature\0"),
    "boot_image_checks": (b"Verifying Checksum ... \0Bad Data CRC\n\0", b"Bad CRC\0"),
    "boot_avb": (b"androidboot.vbmeta.digest\0", b"androidboot.slot_suffix\0"),
    "boot_mcuboot": (b"\0Unable to find bootable image\0", b"\0unable to find image\0"),
    "boot_rom_authentication": (b"\0hab_auth_img\0addr length offset\0", b"\0hab_status\0"),
    "backdoor_dlink_xmlset": (ELF + b"xmlset_roodkcableoj28840ybtide\0", ELF + b"xmlset_user\0"),
    "backdoor_alphanetworks_telnet": (
        b'telnetd -l "/usr/sbin/login" -u Alphanetworks:$image_sign -i br0 &\n',
        b"# Copyright Alphanetworks: telnetd is off\n",
    ),
    "backdoor_iptime_debug": (ELF + b"\0aaksjdkfj\0fdump\0", ELF + b"\0aaksjd\0"),
    "backdoor_netcore_igdmptd": (ELF + b"IGD MPT Interface daemon 1.0\0", ELF + b"IGD Interface daemon\0"),
    "backdoor_tenda_mfg": (ELF + b"\0w302r_mfg\0", ELF + b"\0w302r\0mfg\0"),
    "backdoor_zyxel_zyfwp": (ELF + b"PrOw!aN_fXp\0", ELF + b"zyfwp\0"),
    "backdoor_totolink_skt": (ELF + b"hel,xasf\0oki,xasf\0", ELF + b"hel,x\0"),
    "backdoor_xiongmai_opentelnet": (ELF + b"OpenTelnet:OpenOnce\0", ELF + b"OpenTelnet\0"),
    "backdoor_sercomm_32764": (ELF + b"scfgmgr\0ScMM\0", b"scfgmgr ScMM in a text about it"),
    "backdoor_juniper_screenos": (b"<<< %s(un='%s') = %u\0", b"<<< %s(un=%s)"),
    "backdoor_fortios_ssh": (b"FGTAbc11*xy+Qqz27", b"FGTAbc11"),
    "backdoor_mydlink_nas": (ELF + b"mydlinkBRionyg\0abc12345cba\0", ELF + b"mydlink\0"),
    "backdoor_arris_daily_password": (ELF + b"MPSJKMDHAI\0", ELF + b"MPSJ\0"),
    "backdoor_vsftpd_234": (ELF + b"(vsFTPd 2.3.4)\0vsf_sysutil_extra\0", ELF + b"(vsFTPd 2.3.4)\0vsf_sysutil_close\0"),
    "backdoor_proftpd_acidbitchez": (ELF + b"ACIDBITCHEZ\0", ELF + b"HELP\0"),
    "backdoor_xz_liblzma": (ELF + XZ, ELF + XZ[:-1]),
    "malware_mirai": (ELF + b"/bin/busybox MIRAI\0", ELF + b"/bin/busybox\0mirai\0"),
    "credentials_botnet_password": (ELF + b"\0root\0xc3511\0", ELF + b"\0model-xc35110a\0"),
    "credentials_known_hash": (b"root:absxcfbgXtb3o:0:0:root:/:/bin/sh\n", b"root:x:0:0:root:/:/bin/sh\n"),
    "credentials_hikvision_magic": (ELF + b"?auth=YWRtaW46MTEK\0", ELF + b"?auth=\0"),
    "credentials_ssh_empty_passwords": (
        b"Port 22\nPermitEmptyPasswords yes\n",
        b"#PermitEmptyPasswords yes\nPermitEmptyPasswords no\n",
    ),
    "credentials_ftp_anonymous_upload": (
        b"anonymous_enable=YES\nanon_upload_enable=YES\n",
        b"anonymous_enable=YES\n#anon_upload_enable=YES\n",
    ),
    "credentials_mqtt_anonymous": (b"listener 1883\nallow_anonymous true\n", b"listener 1883\n# allow_anonymous true\n"),
    "debug_command_page": (ELF + b"\0formSysCmd\0sysCmd\0", ELF + b"\0formSysLog\0"),
    "debug_tplink_page": (ELF + b"/userRpm/DebugResultRpm.htm\0osteam\0", ELF + b"/userRpm/DebugResultRpm.htm\0"),
    "debug_netgear_telnetenable": (ELF + b"AMBIT_TELNET_ENABLE+\0", ELF + b"TELNET_ENABLE\0"),
    "recovery_factory_reset": (b"<a>Reset to default</a>", b"The factory makes resets; ip route restore default route"),
    "recovery_storage_erased": (b"\0nvs_flash_erase()\0", b"nvs_flash_init mtd write jffs2"),
    "recovery_watchdog": (ELF + b"/dev/watchdog\0", ELF + b"/dev/watch\0watchdog\0"),
    "recovery_secret_in_log": (
        b"### Auto set wifi_ssid:%s,wifi_key:%s.\0",
        b'{"ssid":"%s","password":"%s"}\0network={ssid="%s" psk="%s"}\0user %s\0',
    ),
    "debug_telnet_from_program": (
        ELF + b"/usr/sbin/telnetd -l /bin/login &\0",
        ELF + b"telnetd: could not find pty\0killall telnetd\0usage: telnetd [-debug]\0",
    ),
    "debug_gdbserver": (ELF + b"GNU gdbserver (GDB) 7.6\0", b"This text is about GNU gdbserver and its use."),
    "debug_adb_enabled": (b"ro.secure=1\nro.adb.secure=0\n", b"ro.adb.secure=1\npersist.sys.usb.config=mtp\n"),
    "debug_android_engineering_build": (b"\nro.build.type=eng\n", b"\nro.build.type=user\nro.debuggable=0\n"),
    "debug_shell_as_init": (
        b"console=ttyS0,115200 root=/dev/mtdblock2 init=/bin/sh\0",
        b"console=ttyS0,115200 init=/sbin/init\0",
    ),
    "debug_console_shell": (
        b"::sysinit:/etc/rcS\nttyS0::respawn:-/bin/sh\n",
        b"#ttyS0::respawn:/bin/sh\nttyS0::askfirst:/bin/login\n",
    ),
    "update_http_to_flash": (
        b"#!/bin/sh\nwget -O /tmp/f.bin http://10.0.0.1/f.bin && mtd -r write /tmp/f.bin firmware\n",
        b"#!/bin/sh\nwget -O /tmp/page http://10.0.0.1/ && cat /tmp/page\n",
    ),
    "update_forced": (
        b"#!/bin/sh\nsysupgrade -n -F /tmp/fw.bin\n",
        b'#!/bin/sh\necho "Use sysupgrade -F to override"\nsysupgrade /tmp/f\n',
    ),
    "update_package_signatures_off": (b"dest root /\noption check_signature 0\n", b"dest root /\noption check_signature 1\n"),
    "tls_verification_off_in_script": (
        b"<?php curl_setopt($c, CURLOPT_SSL_VERIFYPEER, false);",
        b"<?php curl_setopt($c, CURLOPT_SSL_VERIFYPEER, true);",
    ),
    "tls_verification_off_in_config": (b"timeout = 3\ncheck_certificate = off\n", b"check_certificate = on\n"),
    "crypto_private_key_in_program": (ELF + KEY_LINES, ELF + b"-----BEGIN RSA PRIVATE KEY-----\0-----END RSA PRIVATE KEY-----\0"),
    "crypto_android_test_keys": (b"ro.build.id=X\nro.build.tags=test-keys\n", b"ro.build.tags=release-keys\n"),
    "crypto_mcuboot_sample_key": (bytes(16) + MCUBOOT, bytes(16) + MCUBOOT[::-1]),
    "crypto_uboot_development_key": (b"\0key-dev\0rsa,modulus\0", b"\0key-product7\0rsa,modulus\0"),
    "crypto_sample_certificate": (b"CN=x, emailAddress=snakeoil@snakeoil.dom", b"CN=snake"),
    "crypto_old_tls_enabled": (
        b'ssl.engine = "enable"\nssl.use-sslv3 = "enable"\n',
        b'ssl.use-sslv3 = "disable"\nssl_protocols TLSv1.2;\n',
    ),
    "crypto_weak_ssh_algorithms": (b"Ciphers aes128-ctr,3des-cbc\n", b"# Ciphers 3des-cbc\nCiphers aes256-gcm@openssh.com\n"),
}
SAMPLED_ELSEWHERE = {"updaters.yar", "microcontrollers.yar"}  # tests of the update paths; test_yara_microcontrollers.py
RULES = yara_rules._engine(filtered=True)


def matched(content: bytes) -> set[str]:
    return {match.rule for match in RULES.match(content)}


@pytest.mark.parametrize("rule", SAMPLES)
def test_a_rule_matches_what_it_is_about_and_nothing_near_it(rule):
    positive, negative = SAMPLES[rule]
    assert rule in matched(positive)
    assert rule not in matched(negative)


def test_samples_give_the_same_with_the_filter():
    for content in [content for pair in SAMPLES.values() for content in pair]:
        seen = catalogue.builtin().patterns.scan(content).seen
        assert yara_rules.scan(content, "text", [], seen) == yara_rules.scan(content, "text", [])


def test_every_rule_has_samples_and_says_what_it_is():
    yara = pytest.importorskip("yara", reason="yara-python is not installed")
    files = {name: data.decode() for name, data in yara_rules.rule_files().items()}
    sampled_here = {name: source for name, source in files.items() if name not in SAMPLED_ELSEWHERE}
    assert {rule.identifier for rule in yara.compile(sources=sampled_here)} == set(SAMPLES)
    rules = list(yara.compile(sources=files))
    assert len({rule.meta["id"] for rule in rules}) == len(rules)
    for rule in rules:
        assert {"id", "description", "severity", "reference"} <= set(rule.meta), rule.identifier
        assert rule.meta["severity"] in {"critical", "high", "medium", "low", "info"}


def test_hits_carry_rule_offset_and_meta():
    content = ELF + b"xmlset_roodkcableoj28840ybtide\0"
    (hit,) = inspect(content).yara
    assert (hit.rule, hit.offset, hit.text) == ("backdoor-dlink-xmlset", len(ELF), "xmlset_roodkcableoj28840ybtide")
    assert hit.meta["reference"] == "CVE-2013-6026"
    assert hit.meta["rule"] == "backdoor_dlink_xmlset"


def test_a_hit_shows_the_string_that_tells_not_the_one_that_makes_the_search_quick():
    (hit,) = (hit for hit in inspect(ELF + b"passwd: %s\0set ssid:%s,key:%s\0").yara if hit.rule == "recovery-secret-in-log")
    assert hit.text == "ssid:%s,key:%s"


def test_secrets_are_masked_in_hits():
    (hit,) = [hit for hit in inspect(b"root:absxcfbgXtb3o:0:0:root:/:/bin/sh\n").yara if hit.rule == "credentials-known-hash"]
    assert hit.text == "abs****"


def test_key_shaped_text_that_is_no_key_is_no_hit():
    assert all(hit.rule != "crypto-private-key-in-program" for hit in inspect(ELF + KEY_LINES).yara)


def test_pictures_and_sound_are_not_scanned():
    assert inspect(b"\x89PNG\r\n\x1a\n" + b"xmlset_roodkcableoj28840ybtide").yara == ()


def test_hits_of_one_rule_are_bounded():
    assert len(inspect(ELF + b"xmlset_roodkcableoj28840ybtide\0" * 5000).yara) <= 8


def test_a_scan_that_takes_too_long_is_told(monkeypatch):
    class Slow:
        def match(self, content):
            raise TimeoutError

    monkeypatch.setattr(yara_rules, "_engine", lambda *, filtered: Slow() if filtered else None)
    facts = inspect(b"xmlset_roodkcableoj28840ybtide\n")
    assert facts.yara == ()
    assert any(problem.startswith("yara: not finished") for problem in facts.problems)


def test_yara_x_gives_the_same_hits():
    yara_x = pytest.importorskip("yara_x", reason="yara-x is not installed")
    other = yara_rules._YaraX(yara_x, {name: data.decode() for name, data in yara_rules.rule_files().items()})
    for positive, negative in SAMPLES.values():
        for content in (positive, negative):
            assert {(each.rule, each.offset) for each in other.match(content)} == {
                (each.rule, each.offset) for each in RULES.match(content)
            }


def test_an_installed_package_holds_its_rules_inside(tmp_path):
    root = Path(yara_rules.__file__).parents[2]
    for name in ("inspection", "model"):
        shutil.copytree(root / "fwcheck" / name, tmp_path / "fwcheck" / name)
    for name in ("__init__.py", "declaration.py", "handwritten.py"):
        shutil.copy(root / "fwcheck" / name, tmp_path / "fwcheck" / name)
    shutil.copytree(root / "rules" / "yara", tmp_path / "fwcheck" / "rules" / "yara")
    code = "from fwcheck.inspection.yara_rules import rule_files; print(sorted(rule_files()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(sorted(path.name for path in (root / "rules" / "yara").glob("*.yar")))
