"""Accounts that scripts make: every way to set a password, and what is left alone because nobody can know it."""

import time

import pytest
from support.trees import Link, firmware_of

from fwcheck.device.accounts import accounts

ROOT = {
    "/bin/busybox": b"\x7fELF",
    "/bin/sh": Link("busybox"),
    "/sbin/init": Link("/bin/busybox"),
    "/etc/inittab": "::sysinit:/etc/rcS\n",
}
HASH = "$1$jQp.B1Ox$HFgEa6.V4zlUnyruo7aqL/"  # admin
DES = "rJ0FHsG0ZbyZo"  # ismart12


def made(*lines: str, path: str = "/etc/init.d/S50accounts"):
    found = accounts(firmware_of({**ROOT, path: "\n".join(("#!/bin/sh", *lines, ""))}))
    return [(each.name, each.uid, each.password, each.plain) for each in found if each.file == path]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('echo "root:hi3518" | chpasswd', ("root", 0, "hash", "hi3518")),
        ("echo root:hi3518 | /usr/sbin/chpasswd", ("root", 0, "hash", "hi3518")),
        ("printf 'root:hi3518\\n' | busybox chpasswd", ("root", 0, "hash", "hi3518")),
        ('chpasswd <<< "root:hi3518"', ("root", 0, "hash", "hi3518")),
        (f"echo 'root:{HASH}' | chpasswd -e", ("root", 0, "hash", "admin")),
        ('echo -e "hi3518\\nhi3518" | passwd root', ("root", 0, "hash", "hi3518")),
        ("(echo hi3518; sleep 1; echo hi3518) | passwd", ("root", 0, "hash", "hi3518")),
        ("(echo hi3518; sleep 1; echo hi3518) | passwd root > /dev/null 2>&1", ("root", 0, "hash", "hi3518")),
        ("echo hi3518 | passwd --stdin support", ("support", None, "hash", "hi3518")),
        (f"useradd -m -p '{HASH}' -s /bin/sh vendor", ("vendor", None, "hash", "admin")),
        (f"useradd -o -u 0 -g 0 -p '{HASH}' vendor", ("vendor", 0, "hash", "admin")),
        ('useradd -p "$(openssl passwd -1 letmein9)" vendor', ("vendor", None, "hash", "letmein9")),
        ("usermod -p `mkpasswd letmein9` root", ("root", 0, "hash", "letmein9")),
        (f"sed -i 's|^root:[^:]*:|root:{HASH}:|' /etc/shadow", ("root", 0, "hash", "admin")),
        (f"sed -i 's/root:x:/root:{DES}:/' /etc/passwd", ("root", 0, "hash", "ismart12")),
        ("sed -i 's/^root:[^:]*:/root::/' /etc/shadow", ("root", 0, "empty", "")),
        ("sed -i -e 's/root:x:/root::/' /etc/passwd", ("root", 0, "empty", "")),
        ("passwd -d root", ("root", 0, "empty", "")),
        ("[ -x /usr/bin/passwd ] && passwd -d root", ("root", 0, "empty", "")),
        ("echo 'root::0:0:root:/:/bin/sh' > /etc/passwd", ("root", 0, "empty", "")),
        (f"echo 'root:{HASH}:10957:0:99999:7:::' > /etc/shadow", ("root", 0, "hash", "admin")),
        (f'echo "admin:{HASH}:0:0:Administrator:/:/bin/sh" >> /var/passwd'.replace("$", "\\$"), ("admin", 0, "hash", "admin")),
    ],
)
def test_each_way_to_set_a_password_is_read(line, expected):
    assert made(line) == [expected]


@pytest.mark.parametrize(
    "lines",
    [
        ("chpasswd <<EOF", "root:hi3518", "EOF"),
        ("chpasswd <<-'END' >/dev/null", "root:hi3518", "END"),
        ("passwd root <<EOF", "hi3518", "hi3518", "EOF"),
        ("adduser -D -H root <<EOF", "hi3518", "hi3518", "EOF"),
    ],
)
def test_here_documents_are_read(lines):
    assert made(*lines) == [("root", 0, "hash", "hi3518")]


def test_a_password_file_written_by_cat_is_read_line_by_line():
    lines = (
        "cat > /etc/passwd <<EOF",
        f"root:{HASH}:0:0:root:/root:/bin/sh",
        "nobody:*:99:99:n:/:/bin/false",
        "EOF",
        "echo done",
    )
    firmware = firmware_of({**ROOT, "/etc/rcS": "\n".join(("#!/bin/sh", *lines, ""))})
    found = {each.name: each for each in accounts(firmware)}
    assert {name: (each.password, each.login) for name, each in found.items()} == {
        "root": ("hash", True),
        "nobody": ("locked", False),
    }
    assert found["root"].plain == "admin"
    assert found["root"].evidence[0].location.line == 3


@pytest.mark.parametrize(
    "line",
    [
        '# echo "root:hi3518" | chpasswd',
        'echo "$USER:$PASS" | chpasswd',
        'echo "root:$(cat /factory/password)" | chpasswd',
        'echo "Usage: echo name:password | chpasswd"',
        'echo "user:password" | chpasswd',
        'echo -e "$pw\\n$pw" | passwd root',
        "passwd -l root",
        "echo root | passwd -l root",
        "useradd -r -s /bin/false -d /var/empty sshd",
        'useradd -p "$HASH" vendor',
        'useradd -p "$(openssl passwd -1 $PASS)" vendor',
        "adduser -D -H -s /bin/false www-data",
        "grep -q '^root:' /etc/shadow || exit 1",
        "sed -i '/^guest:/d' /etc/passwd",
        "sed -i 's/^root:[^:]*:/root:*:/' /etc/shadow",
        "mount -o bind /data/passwd /etc/passwd",
        "while IFS=: read -r name pass uid gid gecos home shell; do echo $name; done < /etc/passwd",
    ],
)
def test_what_is_computed_locked_or_only_talked_about_is_no_account(line):
    assert made(line) == []


def test_no_password_stands_in_the_evidence():
    found = accounts(firmware_of({**ROOT, "/etc/rcS": f"#!/bin/sh\necho 'root:S3kretWord' | chpasswd\nuseradd -p '{HASH}' v\n"}))
    assert len(found) == 2
    shown = " ".join(each.text for account in found for each in account.evidence)
    assert "S3kretWord" not in shown
    assert HASH not in shown


@pytest.mark.fuzz
@pytest.mark.parametrize(
    "piece",
    [
        "root:",
        "echo ",
        "s|root:",
        "$1$a",
        " | passwd -a",
        "<<EOF\n",
        "useradd -p ",
        "a:$1:",
        "chpasswd <<<",
        "sed passwd ::",
        "| passwd a ",
    ],
)
def test_hostile_scripts_take_no_time(piece):
    text = "#!/bin/sh\n# passwd shadow useradd\n" + piece * (200_000 // len(piece)) + "\n" + (piece * 100 + "\n") * 100
    begun = time.process_time()
    accounts(firmware_of({**ROOT, "/etc/rcS": text}))
    assert time.process_time() - begun < 5
