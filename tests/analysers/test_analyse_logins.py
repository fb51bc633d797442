"""Logins without passwords, root over SSH, and first-login steps."""

import pytest
from support.trees import Link, firmware_of

from fwcheck.analysers.logins import analyse
from fwcheck.device.accounts import accounts
from fwcheck.model import Device, Evidence, Location, Service

ROOT = {"/bin/busybox": b"\x7fELF", "/sbin/init": Link("/bin/busybox"), "/etc/inittab": "::sysinit:/etc/init.d/rcS\n"}
SHADOW = {"/etc/passwd": "root:x:0:0:r:/:/bin/sh\n", "/etc/shadow": "root:$1$jQp.B1Ox$HFgEa6.V4zlUnyruo7aqL/:0:0:99999:7:::\n"}
START = Evidence(location=Location(path="/etc/init.d/rcS", line=3), text="dropbear")


def service(name, enabled="yes", arguments=""):
    return Service(
        name=name, program=f"/usr/sbin/{name}", enabled=enabled, protocol="ssh", arguments=arguments, evidence=(START,)
    )


def judged(files, *services):
    firmware = firmware_of({**ROOT, **files})
    return {each.rule: each for each in analyse(firmware, Device(accounts=accounts(firmware), services=services))}


@pytest.mark.parametrize(
    ("state", "verdict", "confidence"),
    [("yes", "violation", "certain"), ("unknown", "concern", "firm"), ("no", "concern", "tentative")],
)
def test_permit_empty_passwords_counts_as_far_as_sshd_runs(state, verdict, confidence):
    config = "# PermitEmptyPasswords no\nPort 22\nPermitEmptyPasswords yes\n"
    finding = judged({"/etc/ssh/sshd_config": config}, service("sshd", state))["ACC-007"]
    assert (finding.verdict, finding.confidence, finding.location.line) == (verdict, confidence, 3)


@pytest.mark.parametrize(
    "config",
    [
        "#PermitEmptyPasswords yes\n",
        "PermitEmptyPasswords no\nPermitEmptyPasswords yes\n",
        "Match User x\nPermitEmptyPasswords yes\n",
    ],
)
def test_comments_later_values_and_match_blocks_do_not_count(config):
    assert "ACC-007" not in judged({"/etc/ssh/sshd_config": config}, service("sshd"))


@pytest.mark.parametrize(("arguments", "hit"), [("-B", True), ("-R -B -p 22", True), ("-RB", True), ("-b /etc/Banner", False)])
def test_dropbear_lets_empty_passwords_in_with_capital_b(arguments, hit):
    assert ("ACC-007" in judged({}, service("dropbear", arguments=arguments))) is hit


def test_root_over_ssh_needs_a_running_server_a_password_and_permission():
    config = {"/etc/ssh/sshd_config": "PermitRootLogin yes\n"}
    assert judged({**SHADOW, **config}, service("sshd"))["ACC-008"].verdict == "concern"
    assert "ACC-008" not in judged({**SHADOW, **config}, service("sshd", "no"))
    assert "ACC-008" not in judged(
        {**SHADOW, "/etc/ssh/sshd_config": "PermitRootLogin yes\nPasswordAuthentication no\n"}, service("sshd")
    )
    locked = {"/etc/passwd": "root:x:0:0:r:/:/bin/sh\n", "/etc/shadow": "root:!:0:0:99999:7:::\n"}
    assert "ACC-008" not in judged({**locked, **config}, service("sshd"))


@pytest.mark.parametrize("arguments", ["-s", "-g", "-w", "-R -s"])
def test_dropbear_that_refuses_root_passwords_is_no_finding(arguments):
    assert "ACC-008" in judged(SHADOW, service("dropbear"))
    assert "ACC-008" not in judged(SHADOW, service("dropbear", arguments=arguments))


def test_openwrts_dropbear_settings_are_read():
    on = "config dropbear\n\toption PasswordAuth 'on'\n\toption RootPasswordAuth 'on'\n\toption Port '22'\n"
    finding = judged({**SHADOW, "/etc/config/dropbear": on}, service("dropbear"))["ACC-008"]
    assert (finding.location.path, finding.location.line) == ("/etc/config/dropbear", 3)
    off = on.replace("RootPasswordAuth 'on'", "RootPasswordAuth 'off'")
    assert "ACC-008" not in judged({**SHADOW, "/etc/config/dropbear": off}, service("dropbear"))


def test_nullok_is_a_violation_only_where_an_account_is_open():
    pam = {"/etc/pam.d/common-auth": "auth [success=1 default=ignore] pam_unix.so nullok\n"}
    assert judged({**SHADOW, **pam})["ACC-007"].verdict == "info"
    assert judged({"/etc/passwd": "root::0:0:r:/:/bin/sh\n", **pam})["ACC-007"].verdict == "violation"


def test_a_forced_first_login_is_support():
    page = {"/www/js/login.js": "if (force_change_password == 1) { location = 'setpw.html'; }\n"}
    assert judged(page)["ACC-012"].verdict == "support"
    expired = {**SHADOW, "/etc/pam.d/login": "auth required pam_unix.so\n"}
    finding = judged(expired)["ACC-012"]
    assert finding.location.path == "/etc/shadow"
    assert "jQp" not in finding.evidence
    assert "ACC-012" not in judged(SHADOW)  # without PAM nothing reads the day of the last change
