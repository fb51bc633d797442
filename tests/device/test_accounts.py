"""Accounts of an image: which files count, what decides a password, and what stays out."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.trees import Link, firmware_of

from fwcheck.device.accounts import accounts, origin

ROOT = {"/bin/busybox": b"\x7fELF", "/sbin/init": Link("/bin/busybox"), "/etc/inittab": "::sysinit:/etc/init.d/rcS\n"}
HASH = "$1$jQp.B1Ox$HFgEa6.V4zlUnyruo7aqL/"  # admin


def found(files):
    return {(each.name, each.file): each for each in accounts(firmware_of({**ROOT, **files}))}


def test_shadow_decides_where_passwd_says_x():
    held = found({"/etc/passwd": "root:x:0:0:root:/root:/bin/ash\n", "/etc/shadow": f"root:{HASH}:0:0:99999:7:::\n"})
    root = held["root", "/etc/shadow"]
    assert (root.password, root.scheme, root.cracked, root.plain, root.uid, root.login) == ("hash", "md5", True, "admin", 0, True)
    assert [(each.location.path, each.location.line) for each in root.evidence] == [("/etc/shadow", 1), ("/etc/passwd", 1)]
    assert all(HASH not in each.text for each in root.evidence)


def test_x_without_a_shadow_entry_is_locked():
    held = found({"/etc/passwd": "dropbear:x:500:500:dropbear:/var/dropbear:/bin/sh\n", "/etc/shadow": "root:*:0:0:99999:7:::\n"})
    assert held["dropbear", "/etc/passwd"].password == "locked"
    assert held["root", "/etc/shadow"].password == "locked"


def test_a_passwd_field_of_its_own_beats_shadow():
    held = found({"/etc/passwd": "root::0:0:root:/:/bin/sh\n", "/etc/shadow": "root:*:0:0:99999:7:::\n"})
    assert held["root", "/etc/passwd"].password == "empty"


def test_an_empty_field_is_an_empty_password_and_a_nologin_shell_keeps_out():
    held = found({"/etc/passwd": "root::0:0:root:/:\nweb::99:99:web:/:/sbin/nologin\nftp::98:98:f:/:/bin/false\n"})
    assert [held[name, "/etc/passwd"].login for name in ("root", "web", "ftp")] == [True, False, False]
    assert {each.password for each in held.values()} == {"empty"}


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd.bak",
        "/etc/passwd-",
        "/etc/default/passwd",
        "/default/etc/passwd",
        "/etc_ro/passwd",
        "/usr/etc/passwd.sample",
        "/mnt/etc/default_passwd",
    ],
)
def test_seeds_and_copies_of_passwd_count(path):
    held = found({path: f"admin:{HASH}:0:0:root:/:/bin/sh\n"})
    assert held["admin", path].cracked


@pytest.mark.parametrize("path", ["/usr/bin/passwd", "/etc/pam.d/passwd", "/usr/share/bash-completion/completions/passwd"])
def test_other_files_of_that_name_do_not(path):
    assert not found({path: "#!/bin/sh\nroot:x:0:0:root:/:/bin/sh\n"})


def test_web_strings_and_prose_are_no_accounts():
    assert not found(
        {"/www/login_passwd.html": "<b>passwd</b>: enter: your: password:\n", "/etc/passwd.txt": "see: passwd(5): for: more\n"}
    )


def test_the_same_account_in_a_backup_is_told_once_with_both_places():
    line = f"root:{HASH}:0:0:root:/:/bin/sh\n"
    held = found({"/etc/passwd": line, "/etc/passwd-": line})
    assert list(held) == [("root", "/etc/passwd")]
    assert len(held["root", "/etc/passwd"].evidence) == 2


def test_a_backup_with_another_password_is_another_account():
    held = found({"/etc/passwd": "root:*:0:0:root:/:/bin/sh\n", "/etc/passwd-": f"root:{HASH}:0:0:root:/:/bin/sh\n"})
    assert {key: each.password for key, each in held.items()} == {
        ("root", "/etc/passwd"): "locked",
        ("root", "/etc/passwd-"): "hash",
    }


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/etc/passwd": f"admin:{HASH}:0:0::/:/bin/sh\n"}, "live"),
        ({"/etc/passwd": Link("/var/passwd"), "/etc/passwd.bak": f"admin:{HASH}:0:0::/:/bin/sh\n"}, "seed"),
        (
            {
                "/etc/passwd": "root:x:0:0::/:/bin/sh\n",
                "/etc/default/passwd": f"admin:{HASH}:0:0::/:/bin/sh\n",
                "/etc/init.d/rcS": "#!/bin/sh\ncp -f /etc/default/passwd /tmp/etc/passwd\n",
            },
            "seed",
        ),
        ({"/etc/passwd": "root:x:0:0::/:/bin/sh\n", "/etc/passwd-": f"admin:{HASH}:0:0::/:/bin/sh\n"}, "copy"),
    ],
)
def test_origin_tells_live_files_from_seeds_and_copies(files, expected):
    firmware = firmware_of({**ROOT, **files})
    admin = next(each for each in accounts(firmware) if each.name == "admin")
    assert origin(firmware, admin) == expected


def test_web_server_password_files_give_accounts_without_a_shell():
    held = found(
        {"/etc/.htpasswd": f"admin:{HASH}\n", "/etc/boa/boa.passwd": "root:rJ0FHsG0ZbyZo\n", "/etc/lighttpd.htpasswd": "x y z\n"}
    )
    assert held["admin", "/etc/.htpasswd"].cracked
    assert held["root", "/etc/boa/boa.passwd"].plain == "ismart12"
    assert {each.login for each in held.values()} == {None}


def test_samba_accounts_are_read():
    text = "admin:0:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX:209C6174DA490CAEB422F3FA5A7AE634:[U          ]:LCT-00000000:\n"
    held = found({"/etc/samba/smbpasswd": text})
    assert held["admin", "/etc/samba/smbpasswd"].plain == "admin"


def test_accounts_that_scripts_create_are_found():
    script = f"""#!/bin/sh
# echo "ghost:{HASH}:0:0:root:/:/bin/sh" >> /etc/passwd
echo "admin:{HASH}:0:0:Adminstrator:/:/bin/sh" > /etc/passwd
echo "root:hi3518" | chpasswd
echo "$1:$2" | chpasswd
"""
    held = found({"/etc/init.d/rcS": script})
    assert set(held) == {("admin", "/etc/init.d/rcS"), ("root", "/etc/init.d/rcS")}
    assert held["root", "/etc/init.d/rcS"].plain == "hi3518"
    assert held["admin", "/etc/init.d/rcS"].cracked
    assert "hi3518" not in held["root", "/etc/init.d/rcS"].evidence[0].text


def test_logins_kept_in_settings_are_found_but_not_references_to_the_system_password():
    rpcd = "config login\n\toption username 'root'\n\toption password '$p$root'\n"
    rpcd += "config login\n\toption username 'vendor'\n\toption password 'letmein'\n"
    held = found({"/etc/config/rpcd": rpcd, "/etc/httpd.conf": "/:admin:secret9\n# /x:a:b\nA:10.0.0.0/8\n"})
    assert {(name, path): each.plain for (name, path), each in held.items()} == {
        ("vendor", "/etc/config/rpcd"): "letmein",
        ("admin", "/etc/httpd.conf"): "secret9",
    }
    assert all("letmein" not in each.evidence[0].text and "secret9" not in each.evidence[0].text for each in held.values())


@pytest.mark.fuzz
def test_mutated_password_files_never_raise(monkeypatch):
    monkeypatch.setattr("fwcheck.device.accounts.crack", lambda *_: {})  # the reading is tried here, not the guessing
    random.seed(7)
    seed = f"root:{HASH}:0:0:root:/root:/bin/sh\nadmin::0:0::/:\nnobody:*:99:99:n:/:/bin/false\n".encode()
    for _ in range(60):
        raw = bytearray(seed)
        for _ in range(random.randint(1, 8)):
            raw[random.randrange(len(raw))] = random.choice(b":\n\0x*!$/9\xff ")
        for each in accounts(firmware_of({**ROOT, "/etc/passwd": bytes(raw), "/etc/shadow": bytes(raw)})):
            assert each.password in ("empty", "locked", "hash")


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=200))
def test_any_text_can_stand_in_a_password_file(text):
    accounts(firmware_of({**ROOT, "/etc/passwd": text, "/etc/smbpasswd": text, "/etc/.htpasswd": text}))
