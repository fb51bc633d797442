"""By which ways an account can be logged in to: what a running service asks, and whom it turns away."""

import pytest
from support.trees import Link, firmware_of

from fwcheck.device.accounts import accounts
from fwcheck.device.ways_in import ways_in
from fwcheck.model import Console, Device, Service

ROOT = {
    "/bin/busybox": b"\x7fELF",
    "/bin/sh": Link("busybox"),
    "/sbin/init": Link("/bin/busybox"),
    "/etc/inittab": "::sysinit:/etc/rcS\n",
}
HASH = "$1$jQp.B1Ox$HFgEa6.V4zlUnyruo7aqL/"
PASSWD = {
    "/etc/passwd": f"root:{HASH}:0:0:r:/:/bin/sh\nadmin:{HASH}:1000:1000:a:/:/bin/sh\n",
    "/etc/group": "admin:x:1000:\nssh:x:50:root\n",
}
TELNET = Service(name="telnetd", program="/usr/sbin/telnetd", enabled="yes", protocol="telnet")
SSHD = Service(name="sshd", program="/usr/sbin/sshd", enabled="yes", protocol="ssh")
DROPBEAR = Service(name="dropbear", program="/usr/sbin/dropbear", enabled="yes", protocol="ssh")
FTP = Service(name="vsftpd", program="/usr/sbin/vsftpd", enabled="yes", protocol="ftp")


def ways(files, *services, name="root", **device):
    firmware = firmware_of({**ROOT, **PASSWD, **files})
    held = Device(accounts=accounts(firmware), services=services, **device)
    return ways_in(firmware, held, next(each for each in held.accounts if each.name == name))


@pytest.mark.parametrize(
    ("config", "root", "admin"),
    [
        ("Port 22\n", True, True),
        ("PermitRootLogin no\n", False, True),
        ("PermitRootLogin prohibit-password\n", False, True),
        ("PermitRootLogin no\nPermitRootLogin yes\n", False, True),
        ("PermitRootLogin no\nMatch Address 10.0.0.0/8\n  PermitRootLogin yes\n", True, True),
        ("PasswordAuthentication no\n", False, False),
        ("PasswordAuthentication no\nUsePAM yes\n", True, True),  # the keyboard-interactive way is left
        ("PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM yes\n", False, False),
        ("AllowUsers admin\n", False, True),
        ("AllowUsers root@10.0.0.1 guest*\n", True, False),
        ("DenyUsers ad*\n", True, False),
        ("AllowGroups ssh\n", True, False),
        ("DenyGroups admin\n", True, False),
    ],
)
def test_sshd_config_says_who_may_come_in(config, root, admin):
    files = {"/etc/ssh/sshd_config": config}
    assert [bool(ways(files, SSHD, name=name).network) for name in ("root", "admin")] == [root, admin]


@pytest.mark.parametrize(
    ("arguments", "root", "admin"), [("-R", True, True), ("-R -s", False, False), ("-g", False, True), ("-w", False, True)]
)
def test_dropbear_options_say_who_may_come_in(arguments, root, admin):
    server = Service(name="dropbear", program="/usr/sbin/dropbear", enabled="yes", protocol="ssh", arguments=arguments)
    assert [bool(ways({}, server, name=name).network) for name in ("root", "admin")] == [root, admin]


def test_openwrt_settings_say_who_may_come_in():
    files = {"/etc/config/dropbear": "config dropbear\n\toption PasswordAuth 'on'\n\toption RootPasswordAuth 'off'\n"}
    assert [bool(ways(files, DROPBEAR, name=name).network) for name in ("root", "admin")] == [False, True]


@pytest.mark.parametrize(
    ("text", "root"), [("console\nttyS0\n", False), ("ttyS0\npts/0\npts/1\n", True), ("# all\nttyp0\n", True), ("", True)]
)
def test_securetty_keeps_root_from_telnet(text, root):
    files = {"/etc/securetty": text or "# none\n"}
    assert bool(ways(files, TELNET).network) is root
    assert ways(files, TELNET, name="admin").network == ("telnet",)


def test_ftpusers_and_nologin_turn_people_away():
    assert ways({"/etc/ftpusers": "root\nbin\n"}, FTP).network == ()
    assert ways({"/etc/ftpusers": "root\nbin\n"}, FTP, name="admin").network == ("ftp",)
    assert ways({"/etc/nologin": "closed\n"}, TELNET, name="admin").network == ()


def test_the_sentence_names_what_is_open_and_what_is_refused():
    held = ways(
        {"/etc/securetty": "ttyS0\n"}, TELNET, SSHD, consoles=(Console(tty="ttyS0", command="getty", authenticated=True),)
    )
    assert held.network == ("ssh",)
    assert "securetty" in held.sentence()
    assert "ssh" in held.sentence()
    assert "console" in ways({}, consoles=(Console(tty="ttyS0", command="getty", authenticated=True),)).sentence()


def test_a_service_that_may_run_is_not_said_to_run():
    maybe = Service(name="telnetd", program="/usr/sbin/telnetd", enabled="unknown", protocol="telnet")
    assert (ways({}, maybe).network, ways({}, maybe).perhaps) == ((), ("telnet",))


@pytest.mark.parametrize(
    ("shell", "target", "expected"),
    [
        ("/bin/sh", None, True),
        ("", None, True),
        ("/sbin/nologin", None, False),
        ("/bin/menu", "#!/bin/sh\n# closed\necho 'no logins here'\nsleep 2\nexit 1\n", False),
        ("/bin/menu", "#!/bin/sh\nread choice\nexec /bin/sh\n", True),
        ("/bin/cli", Link("/bin/false"), False),
        ("/bin/cli", b"\x7fELF", True),
        ("/bin/bash", None, None),  # not in the image
    ],
)
def test_a_shell_lets_in_what_it_is(shell, target, expected):
    files = {"/etc/passwd": f"root:{HASH}:0:0:r:/:{shell}\n", "/bin/false": Link("busybox")}
    if target is not None:
        files[shell] = target
    (root,) = accounts(firmware_of({**ROOT, **files}))
    assert root.login is expected


def test_an_account_that_expired_long_ago_cannot_log_in_where_pam_asks():
    files = {"/etc/passwd": "root:x:0:0:r:/:/bin/sh\n", "/etc/shadow": f"root:{HASH}:18000:0:99999:7::1:\n"}
    assert accounts(firmware_of({**ROOT, **files}))[0].login is True
    assert accounts(firmware_of({**ROOT, **files, "/etc/pam.d/login": "auth required pam_unix.so\n"}))[0].login is False


def test_web_pages_that_ask_for_the_systems_password_are_a_way_in():
    rpcd = {"/etc/config/rpcd": "config login\n\toption username 'root'\n\toption password '$p$root'\n"}
    web = Service(name="uhttpd", program="/usr/sbin/uhttpd", enabled="yes", protocol="http")
    assert ways(rpcd, web).network == ("web",)
    assert ways(rpcd, web, name="admin").network == ()
    assert ways(rpcd).network == ()
    assert ways({}, web).network == ()
