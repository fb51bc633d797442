"""Scripts and settings made to be slow: blank lines, endless lines, many copies. The time stays in proportion to the text."""

import time

import pytest
from support.trees import Link, firmware_of

from fwcheck.analysers import accounts as judge_accounts
from fwcheck.analysers import keys, logins, secrets_mode, updates, wireless
from fwcheck.device import _update_scripts
from fwcheck.device.accounts import accounts
from fwcheck.device.updates import update_paths
from fwcheck.model import Device

ROOT = {"/bin/busybox": b"\x7fELF", "/sbin/init": Link("/bin/busybox"), "/etc/inittab": "::sysinit:/etc/init.d/rcS\n"}
PATHS = (
    *("/etc/passwd", "/etc/shadow", "/etc/httpd.conf", "/etc/hostname", "/etc/os-release", "/etc/config/rpcd"),
    *("/etc/opkg.conf", "/etc/apt/sources.list", "/etc/mender/mender.conf", "/etc/rauc/system.conf", "/etc/swupdate.cfg"),
    *("/sbin/sysupgrade", "/lib/upgrade/platform.sh", "/usr/sbin/firmware_update.sh", "/etc/init.d/rcS", "/etc/pam.d/login"),
    *(
        "/root/.ssh/authorized_keys",
        "/etc/ssh/sshd_config",
        "/etc/hostapd.conf",
        "/etc/config/wireless",
        "/etc/nvram_default.txt",
    ),
    *("/etc/ppp/chap-secrets", "/www/login.js", "/usr/bin/opkg", "/usr/bin/apt-get", "/usr/bin/swupdate"),
)
TEXTS = {
    "blank lines": "\n" * 250_000,
    "blanks": " " * 250_000,
    "one line of commands": "#!/bin/sh\n# firmware passwd\n" + "cp /update/x" * 20_000,
    "paths": "#!/bin/sh\n# firmware\n" + ("cp " + "/update" * 140 + "\n") * 240,
    "options": "#!/bin/sh\n# firmware\n" + ("mtd " + "-a " * 330 + "\n") * 240,
    "writes": "#!/bin/sh\n# firmware\n" + (";dd of=" * 145 + "\n") * 240,
    "verifiers": "#!/bin/sh\n# firmware\nmtd write a b\n" + ("gpg --keyring x " * 63 + "\n") * 240,
    "keys": "swupdate -v " * 20_000,
    "colons": ":" * 250_000,
    "quotes": "option '\"\\" * 25_000,
    "clues": "model" + "\n" * 250_000,
    "names": "root:x:0:0:::\n" * 18_000,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_text_costs_more_than_its_length(text):
    firmware = firmware_of({**ROOT, **dict.fromkeys(PATHS, text)})
    begun = time.monotonic()
    device = Device(accounts=accounts(firmware), update_paths=update_paths(firmware))
    for module in (judge_accounts, logins, wireless, keys, secrets_mode, updates):
        list(module.analyse(firmware, device))
    assert time.monotonic() - begun < 10


def test_many_copies_of_a_password_file_stay_bounded():
    line = "".join(f"user{index}:$1$salt{index:04d}$jQp.B1OxHFgEa6.V4zlUny:0:0::/:/bin/sh\n" for index in range(150))
    files = {f"/backup/{index}/passwd": line.replace("user", f"u{index}_") for index in range(20)}
    firmware = firmware_of({**ROOT, "/etc/passwd": "root:*:0:0::/:/bin/sh\n", **files})
    begun = time.monotonic()
    found = accounts(firmware)
    list(judge_accounts.analyse(firmware, Device(accounts=found)))
    assert len(found) <= 4096
    assert time.monotonic() - begun < 20


def test_scripts_that_call_each_other_are_read_once():
    calls = "".join(f". /usr/lib/u/{index}.sh\n" for index in range(24))
    body = "#!/bin/sh\n# firmware\n" + calls + "sum=$(md5sum $1)\n" * 2000 + "mtd write a b\n"
    firmware = firmware_of({**ROOT, **{f"/usr/lib/u/{index}.sh": body + f"# {index}\n" for index in range(30)}})
    begun = time.process_time()
    assert update_paths(firmware)
    assert time.process_time() - begun < 20


def test_more_scripts_than_are_followed_are_told_and_stay_cheap(monkeypatch):
    monkeypatch.setattr(_update_scripts, "_MOST_TEXT", 40_000)
    body = "#!/bin/sh\n# firmware\n" + "sum=$(md5sum $1)\n" * 1000 + "mtd write a b\n"
    firmware = firmware_of({**ROOT, **{f"/usr/lib/u/{index:03}.sh": body + f"# {index}\n" for index in range(120)}})
    begun = time.process_time()
    paths = update_paths(firmware)
    assert time.process_time() - begun < 20
    assert len(paths) == 120
    told = [path for path in paths if "more scripts than are followed" in path.detail]
    assert len(told) == 117
    assert {path.verified for path in told} == {"unknown"}
