"""Logins without passwords, root over SSH, and first-login steps."""

import random

import pytest
from msgspec import structs
from support.trees import Link, firmware_of

from fwcheck.analysers.logins import analyse
from fwcheck.device.accounts import accounts
from fwcheck.model import Component, Device, Evidence, Location, Service

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


DEBIAN = "auth [success=1 default=ignore] pam_unix.so nullok\nauth requisite pam_deny.so\nauth required pam_permit.so\n"
YOCTO_LOGIN = """auth       optional   pam_faildelay.so  delay=3000000
auth       [success=ok ignore=ignore user_unknown=ignore default=die]  pam_securetty.so
auth       requisite  pam_nologin.so
auth       include      common-auth
auth       optional   pam_group.so
"""
SSHD = service("sshd")


def pam(**files):
    return {f"/etc/pam.d/{name.replace('_', '-')}": text for name, text in files.items()}


@pytest.mark.parametrize(
    ("files", "opens"),
    [
        (pam(sshd="auth required pam_permit.so\n"), True),
        (pam(sshd="auth sufficient pam_permit.so\nauth required pam_unix.so\n"), True),
        (pam(sshd="auth optional pam_unix.so\nauth required pam_permit.so\n"), True),
        (pam(sshd="auth [default=ignore] pam_unix.so\nauth required pam_permit.so\n"), True),
        (pam(sshd="@include common-auth\n", common_auth="auth sufficient pam_unix.so\nauth required pam_permit.so\n"), True),
        (pam(sshd="auth substack system-auth\n", system_auth="-auth required /lib/security/pam_permit.so\n"), True),
        (pam(sshd="auth required \\\n  pam_permit.so\n"), True),
        (pam(sshd="@include common-auth\n", common_auth=DEBIAN), False),
        (pam(sshd=YOCTO_LOGIN, common_auth=DEBIAN), False),
        (pam(sshd=YOCTO_LOGIN), False),  # what is included is not in the image
        (pam(sshd="#auth required pam_permit.so\nauth required pam_unix.so\n"), False),
        (pam(sshd="auth required pam_unix.so\nauth required pam_permit.so\n"), False),
        (pam(sshd="auth required pam_env.so\nauth sufficient pam_unix.so\nauth required pam_deny.so\n"), False),
        (pam(sshd="account required pam_permit.so\nauth required pam_vendor.so\n"), False),
        (pam(sshd="auth include sshd\nauth include system-auth\n", system_auth="auth include sshd\n"), False),
        (pam(cron="auth required pam_permit.so\n"), False),  # nobody logs in by cron
    ],
)
def test_a_stack_opens_when_pam_permit_decides(files, opens):
    found = judged(files, SSHD)
    assert ("ACC-013" in found) is opens
    if opens:
        assert (found["ACC-013"].verdict, found["ACC-013"].confidence) == ("violation", "firm")


def test_a_stack_that_opens_weighs_as_much_as_its_service():
    files = pam(sshd="auth required pam_permit.so\n")
    assert judged(files, service("sshd", "unknown"))["ACC-013"].verdict == "concern"
    assert judged(files, service("sshd", "no"))["ACC-013"].severity == "low"


def test_included_parts_of_sshd_config_count():
    files = {
        "/etc/ssh/sshd_config": "Include sshd_config.d/*.conf\nPermitEmptyPasswords no\n",
        "/etc/ssh/sshd_config.d/10-vendor.conf": "PermitEmptyPasswords yes\n",
    }
    assert "ACC-007" in judged(files, SSHD)


def test_old_servers_let_root_in_when_nothing_is_said():
    firmware = firmware_of({**ROOT, **SHADOW, "/etc/ssh/sshd_config": "Port 22\n"})
    device = Device(accounts=accounts(firmware), services=(SSHD,))

    def told(version):
        found = analyse(firmware, structs.replace(device, components=(Component(name="openssh", version=version),)))
        return "ACC-008" in {each.rule for each in found}

    assert told("6.6.1p1")
    assert not told("9.2p1")


@pytest.mark.fuzz
def test_pam_configurations_of_any_shape_never_raise():
    random.seed(11)
    seed = YOCTO_LOGIN + DEBIAN + "@include login\nauth include other\n"
    for _ in range(100):
        text = "".join(
            random.choice((char, random.choice("[]=\\\n @-"), "")) if random.random() < 0.05 else char for char in seed
        )
        judged(pam(login=text, other=text, sshd=text * 20), SSHD)
