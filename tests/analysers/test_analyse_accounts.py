"""Judging accounts: what is a violation, what only a concern, and what is never flagged."""

import pytest
from passlib.hash import md5_crypt
from support.trees import Link, firmware_of

from fwcheck.analysers.accounts import analyse
from fwcheck.device.accounts import accounts
from fwcheck.model import Console, Device, Service

ROOT = {"/bin/busybox": b"\x7fELF", "/sbin/init": Link("/bin/busybox"), "/etc/inittab": "::sysinit:/etc/init.d/rcS\n"}
ADMIN = "$1$jQp.B1Ox$HFgEa6.V4zlUnyruo7aqL/"  # admin
STRONG = "$6$saltsalt$JBEdB9GRhbKBFMxKq2BxwzHhI6oLWTYGfbUvxvPjkOZ4Qs/5UVdCSvAtIJQ7FrR8FSDdM8ukPjFHvB5gUvQyR."
TELNET = Service(name="telnetd", program="/usr/sbin/telnetd", enabled="yes", protocol="telnet")
SSH = Service(name="dropbear", program="/usr/sbin/dropbear", enabled="yes", protocol="ssh")


def judged(files, *services, consoles=()):
    firmware = firmware_of({**ROOT, **files})
    device = Device(accounts=accounts(firmware), services=services, consoles=consoles)
    return {finding.rule: finding for finding in analyse(firmware, device)}


def test_an_empty_root_password_behind_telnet_is_a_certain_violation():
    finding = judged({"/etc/passwd": "root::0:0:root:/:/bin/sh\n"}, TELNET)["ACC-001"]
    assert (finding.verdict, finding.confidence, finding.severity) == ("violation", "certain", "critical")
    assert finding.criteria == ("S1.1-02", "S1.1-01")
    assert (finding.location.path, finding.location.line) == ("/etc/passwd", 1)


def test_without_a_network_login_the_words_say_so():
    console = Console(tty="ttyS0", command="/sbin/getty", authenticated=True)
    finding = judged({"/etc/passwd": "root::0:0:root:/:/bin/sh\n"}, consoles=(console,))["ACC-001"]
    assert (finding.verdict, finding.confidence, finding.criteria) == ("violation", "firm", ("S1.1-02",))
    assert "console" in finding.explanation


def test_ssh_alone_does_not_open_an_account_without_a_password():
    finding = judged({"/etc/passwd": "root::0:0:root:/:/bin/sh\n"}, SSH)["ACC-001"]
    assert finding.criteria == ("S1.1-02",)


@pytest.mark.parametrize("field", ["*", "!", "x", "!!", "!" + STRONG])
def test_locked_accounts_are_never_flagged(field):
    assert judged({"/etc/passwd": f"root:{field}:0:0:root:/:/bin/sh\nadmin:{field}:0:0:a:/:/bin/sh\n"}, TELNET) == {}


def test_accounts_that_cannot_log_in_are_not_flagged():
    assert judged({"/etc/passwd": f"web::99:99:w:/:/bin/false\nftp:{STRONG}:98:98:f:/:/sbin/nologin\n"}, TELNET) == {}


def test_a_fixed_password_from_the_list_is_a_violation_and_never_printed():
    found = judged({"/etc/passwd": f"root:{ADMIN}:0:0:root:/:/bin/sh\n"}, TELNET)
    finding = found["ACC-002"]
    assert (finding.verdict, finding.confidence, finding.severity) == ("violation", "certain", "critical")
    assert ADMIN not in str(found)
    assert "ACC-003" not in found
    assert found["ACC-005"].criteria == ("S1.1-11",)


def test_an_unknown_fixed_password_is_a_concern():
    found = judged({"/etc/passwd": "root:x:0:0:r:/:/bin/sh\n", "/etc/shadow": f"root:{STRONG}:0:0:99999:7:::\n"}, SSH)
    assert (found["ACC-003"].verdict, found["ACC-003"].severity) == ("concern", "high")
    assert set(found) == {"ACC-003"}


def test_a_backup_that_nothing_uses_weighs_less():
    found = judged({"/etc/passwd": "root:x:0:0::/:/bin/sh\n", "/etc/passwd-": f"root:{ADMIN}:0:0::/:/bin/sh\n"}, TELNET)
    assert (found["ACC-002"].verdict, found["ACC-002"].confidence) == ("concern", "tentative")
    assert "ACC-005" not in found


def test_a_second_name_for_root_is_told():
    text = f"root:{STRONG}:0:0:r:/:/bin/sh\nsupport:{STRONG}:0:0:s:/:/bin/sh\nnobody:*:0:0:n:/:/bin/sh\n"
    finding = judged({"/etc/passwd": text}, SSH)["ACC-004"]
    assert "support" in finding.title
    assert finding.location.line == 2


def test_a_web_password_file_counts_only_when_its_server_may_run():
    files = {"/etc/boa/boa.passwd": f"admin:{ADMIN}\n"}
    boa = Service(name="boa", program="/bin/boa", enabled="yes", protocol="http")
    assert judged(files, boa)["ACC-002"].verdict == "violation"
    assert judged(files)["ACC-002"].verdict == "concern"


def test_the_fingerprint_survives_another_salt():
    other = md5_crypt.using(salt="saltsalt").hash("admin")
    first, again = (judged({"/etc/passwd": f"root:{each}:0:0:root:/:/bin/sh\n"})["ACC-002"] for each in (ADMIN, other))
    assert first.fingerprint == again.fingerprint


def test_an_account_that_nothing_asks_for_weighs_less_than_one_with_a_way_in():
    files = {"/etc/passwd": f"root:{ADMIN}:0:0:root:/:/bin/sh\n"}
    firmware = firmware_of({**ROOT, **files})
    other = Service(name="ntpd", program="/usr/sbin/ntpd", enabled="yes", protocol="ntp", root=firmware.filesystems[0].label)
    web = Service(name="boa", program="/bin/boa", enabled="unknown", protocol="http", root=firmware.filesystems[0].label)
    assert judged(files, other)["ACC-002"].verdict == "concern"
    assert judged(files, other, web)["ACC-002"].verdict == "violation"  # it may check the system's passwords
    assert judged(files, other, TELNET)["ACC-002"].verdict == "violation"
    assert judged(files)["ACC-002"].verdict == "violation"  # nothing is known of the boot


def test_the_password_file_of_a_broker_counts_where_the_broker_runs():
    files = {"/etc/mosquitto.conf": "password_file /etc/mosquitto/pw\n", "/etc/mosquitto/pw": f"sensor:{ADMIN}\n"}
    broker = Service(name="mosquitto", program="/usr/sbin/mosquitto", enabled="yes", protocol="mqtt")
    assert judged(files, broker)["ACC-002"].verdict == "violation"
    assert judged(files)["ACC-002"].verdict == "concern"
