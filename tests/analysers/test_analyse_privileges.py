"""Accounts that become root without a password, and those that do not."""

import pytest
from support.trees import Link, firmware_of

from fwcheck.analysers.privileges import analyse
from fwcheck.device.accounts import accounts
from fwcheck.model import Device

ROOT = {
    "/bin/busybox": b"\x7fELF",
    "/bin/sh": Link("busybox"),
    "/sbin/init": Link("/bin/busybox"),
    "/etc/inittab": "::sysinit:/etc/init.d/rcS\n",
    "/etc/passwd": "root:*:0:0:r:/:/bin/sh\n"
    "admin:$1$jQp.B1Ox$HFgEa6.V4zlUnyruo7aqL/:1000:1000::/:/bin/sh\n"
    "web:*:33:33::/:/bin/false\n",
    "/etc/group": "sudo:x:27:admin\nwheel:x:10:\n",
}


def judged(files):
    firmware = firmware_of({**ROOT, **files})
    return list(analyse(firmware, Device(accounts=accounts(firmware))))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/sudoers", "admin ALL=(ALL) NOPASSWD: ALL\n"),
        ("/etc/sudoers", "%sudo ALL=(ALL:ALL) NOPASSWD:ALL\n"),
        ("/etc/sudoers", "admin ALL = NOPASSWD: /sbin/reboot, /bin/sh\n"),
        ("/etc/sudoers", "User_Alias OPS = admin, web\nOPS ALL=(root) \\\n   NOPASSWD: /usr/bin/vim\n"),
        ("/etc/sudoers", "web,admin ALL=(ALL) NOPASSWD: SETENV: ALL\n"),
        ("/etc/doas.conf", "permit nopass :sudo\n"),
        ("/etc/doas.conf", "permit nopass keepenv admin as root\n"),
        (
            "/etc/pam.d/su",
            "auth sufficient pam_rootok.so\nauth sufficient pam_wheel.so trust group=sudo\nauth required pam_unix.so\n",
        ),
        ("/etc/pam.d/su", "auth required pam_permit.so\n"),
    ],
)
def test_an_account_with_a_known_password_that_becomes_root_is_a_concern(path, text):
    (finding,) = (each for each in judged({path: text}) if each.verdict == "concern")
    assert (finding.rule, finding.severity, finding.location.path) == ("ACC-014", "high", path)
    assert "HFgEa6" not in str(finding)


def test_included_directories_are_read_but_not_their_backups():
    files = {
        "/etc/sudoers": "Defaults env_reset\n@includedir /etc/sudoers.d\n",
        "/etc/sudoers.d/vendor": "admin ALL=(ALL) NOPASSWD: ALL\n",
        "/etc/sudoers.d/old.bak": "web ALL=(ALL) NOPASSWD: ALL\n",
    }
    assert [each.location.path for each in judged(files)] == ["/etc/sudoers.d/vendor"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/sudoers", "root ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n"),
        ("/etc/sudoers", "# admin ALL=(ALL) NOPASSWD: ALL\n"),
        ("/etc/sudoers", "admin ALL=(ALL) NOPASSWD: /sbin/reboot, PASSWD: ALL\n"),
        ("/etc/sudoers", "admin ALL=(www-data) NOPASSWD: ALL\n"),
        ("/etc/sudoers", "nobodyhere ALL=(ALL) NOPASSWD: ALL\n"),
        ("/etc/sudoers", "%wheel ALL=(ALL) NOPASSWD: ALL\n"),  # the group is empty
        ("/etc/doas.conf", "permit persist :sudo\ndeny nopass admin\n# permit nopass admin\n"),
        ("/etc/doas.conf", "permit nopass admin cmd reboot\n"),
        ("/etc/pam.d/su", "auth sufficient pam_rootok.so\nauth required pam_wheel.so\nauth required pam_unix.so\n"),
    ],
)
def test_what_asks_for_a_password_or_gives_no_shell_is_not_told(path, text):
    assert judged({path: text}) == []


def test_an_account_that_nobody_can_log_in_to_is_only_worth_knowing():
    (finding,) = judged({"/etc/sudoers": "web ALL=(ALL) NOPASSWD: ALL\n"})
    assert (finding.verdict, finding.severity) == ("info", "low")


def test_files_that_include_each_other_come_to_an_end():
    files = {"/etc/sudoers": "#include /etc/sudoers\n" * 2000 + "#includedir /etc\n" + "admin ALL=NOPASSWD: ALL\\\n" * 5000}
    judged(files)
