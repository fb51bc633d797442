"""Shell scripts of updates followed along all their ways: which checks guard a write, and which only look like it."""

import time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.trees import Link, firmware_of

from fwcheck.device.shell.grammar import parse
from fwcheck.device.updates import _started, update_paths
from fwcheck.device.updating.commands import Check, Digest, Fetch, Sink, words_of
from fwcheck.device.updating.table import may_lead, may_write, understand
from fwcheck.model import Evidence, Location, Service, UpdatePath

ROOT = {"/bin/busybox": b"\x7fELF", "/sbin/init": Link("/bin/busybox"), "/etc/inittab": "::sysinit:/etc/init.d/rcS\n"}
HEAD = "#!/bin/sh\n# firmware\n"
FETCH = "wget https://fw.example.net/fw.bin -O /tmp/fw.bin\n"
WRITE = "mtd write /tmp/fw.bin firmware\n"
VERIFY = "usign -V -q -m /tmp/fw.bin -p /etc/fw.pub"
OPENSSL = "openssl dgst -sha256 -verify /etc/k.pem -signature /tmp/s /tmp/fw.bin"


def told(before, *, more=(), path="/usr/sbin/up.sh", after=""):
    """The path of a script that writes at its end, after ``before``."""
    found = update_paths(firmware_of({**ROOT, **dict(more), path: HEAD + FETCH + before + WRITE + after}))
    (own,) = [each for each in found if each.mechanism == path]
    return own


GUARDED = {
    "or exit": f"{VERIFY} || exit 1\n",
    "or a function that exits": f"fail() {{ echo $1; exit 1; }}\n{VERIFY} || fail bad\n",
    "if not": f"if ! {VERIFY}; then\n  rm /tmp/fw.bin\n  exit 1\nfi\n",
    "if else": f"if {VERIFY}; then\n  echo good\nelse\n  exit 1\nfi\n",
    "status": f"{VERIFY}\nif [ $? -ne 0 ]; then exit 1; fi\n",
    "status kept": f"{VERIFY}\nret=$?\necho checked\n[ $ret -eq 0 ] || exit $ret\n",
    "status by case": f"{VERIFY}\ncase $? in 0) ;; *) exit 1 ;; esac\n",
    "flag": f"ok=0\n{VERIFY} && ok=1\n[ $ok = 1 ] || exit 1\n",
    "flag turned": f"bad=1\nif {VERIFY}; then bad=0; fi\nif [ $bad -gt 0 ]; then exit 2; fi\n",
    "errexit": f"set -e\n{VERIFY}\n",
    "until": f"until {VERIFY}; do sleep 1; wget -O /tmp/fw.bin https://fw.example.net/fw.bin; done\n",
    "endless loop left by break": f"while true; do\n  {VERIFY} && break\n  sleep 5\ndone\n",
    "function's status": f"check() {{ {VERIFY}; }}\ncheck || exit 1\n",
    "function's return": f"check() {{\n {VERIFY} && return 0\n return 1\n}}\nif ! check; then exit 1; fi\n",
    "through an argument": 'check() { usign -V -m "$1" -p /etc/fw.pub; }\ncheck /tmp/fw.bin || exit 1\n',
    "by a variable's name": "TOOL='usign -V -q'\n$TOOL -m /tmp/fw.bin -p /etc/fw.pub || exit 1\n",
    "output by grep": f"{OPENSSL} | grep -q 'Verified OK' || exit 1\n",
    "output kept": f'out=$({OPENSSL})\nif [ "$out" != "Verified OK" ]; then exit 1; fi\n',
    "output by grep kept": f'out=$({OPENSSL} | grep OK)\n[ -z "$out" ] && exit 1\n',
    "output by case": f"case $({OPENSSL}) in *OK*) ;; *) exit 1 ;; esac\n",
    "pipefail": f"set -eo pipefail\n{OPENSSL} | tee /tmp/log\n",
    "subshell": f"( {VERIFY} ) || exit 1\n",
    "signed sums": "usign -V -m /tmp/sums -p /etc/fw.pub || exit 1\n(cd /tmp && sha256sum -c sums) || exit 1\n",
    "recovered digest": "openssl rsautl -verify -pubin -inkey /k -in /tmp/s > /tmp/a\n"
    "sha256sum /tmp/fw.bin > /tmp/b\ncmp /tmp/a /tmp/b || exit 1\n",
    "signed archive": "usign -V -m /tmp/fw.tar -p /etc/fw.pub || exit 1\ntar xf /tmp/fw.tar -C /tmp\n",
    "options in front": f"busybox nice -n 5 {VERIFY} || exit 1\n",
    "negated list": f"! {VERIFY} && exit 1\n",
}  # fmt: skip


@pytest.mark.parametrize("before", GUARDED.values(), ids=GUARDED)
def test_a_signature_counts_when_no_way_leads_around_it(before):
    found = told(before)
    assert (found.verified, found.sink) == ("signature", "mtd write"), found.detail
    assert "yes" in {step.honoured for step in found.steps if step.check}


IGNORED = {
    "never asked": f"{VERIFY}\necho flashing\n",
    "or true": f"{VERIFY} || true\n",
    "or a message": f"{VERIFY} || echo bad\n",
    "tee takes the status": f"{OPENSSL} | tee /tmp/log || exit 1\n",
    "local takes the status": f"check() {{ local r=$({VERIFY}); return $?; }}\ncheck || exit 1\n",
    "in the background": f"{VERIFY} || exit 1 &\n",
    "exit of a subshell": f"( {VERIFY} || exit 1 )\necho on\n",
    "a flag that nobody asks for": f"ok=0\n{VERIFY} && ok=1\n",
    "the wrong status": f"{VERIFY}\necho checked\nif [ $? -ne 0 ]; then exit 1; fi\n",
    "turned around": f"if {VERIFY}; then exit 1; fi\n",
    "three tries, then on": f"for i in 1 2 3; do {VERIFY} && break; done\n",
    "any certificate": "openssl cms -verify -noverify -inform DER -in /tmp/s -content /tmp/fw.bin || exit 1\n",
    "only where a signature lies": f"if [ -f /tmp/fw.sig ]; then {VERIFY} || exit 1; fi\n",
}


@pytest.mark.parametrize("before", IGNORED.values(), ids=IGNORED)
def test_a_check_that_cannot_stop_the_write_does_not_count(before):
    found = told(before)
    assert found.verified == "none", found.detail
    assert found.steps[-1].action == "write"


OPEN = {
    "an option goes around it": f'if [ "$1" != --force ]; then {VERIFY} || exit 1; fi\n',
    "a function that is not in the image": f"{VERIFY} || die bad\n",
    "another file": "usign -V -m /tmp/other.bin -p /etc/fw.pub || exit 1\n",
    "a program that nobody knows": "check_firmware /tmp/fw.bin || exit 1\n",
    "words that nobody knows": f'out=$({OPENSSL})\n[ "$out" = "$EXPECTED" ] || exit 1\n',
}


@pytest.mark.parametrize("before", OPEN.values(), ids=OPEN)
def test_what_cannot_be_followed_stays_open(before):
    assert told(before).verified == "unknown"


@pytest.mark.parametrize(
    ("before", "verified"),
    [
        ('sum=$(md5sum /tmp/fw.bin | cut -d" " -f1)\n[ "$sum" = "$WANT" ] || exit 1\n', "hash"),
        ('sum=$(sha256sum /tmp/fw.bin)\nsum=${sum%% *}\nif [ "$sum" != "$(cat /tmp/fw.sha)" ]; then exit 1; fi\n', "hash"),
        ("sha256sum /tmp/fw.bin | grep -q $WANT || exit 1\n", "hash"),
        ("md5sum -c /tmp/fw.md5 || exit 1\n", "hash"),
        ('[ "$(cksum < /tmp/fw.bin)" = "$WANT" ] || exit 1\n', "checksum"),
        ("mkimage -l /tmp/fw.bin || exit 1\n", "checksum"),
        ("sum=$(md5sum /tmp/fw.bin)\necho $sum\n", "none"),
        (f'[ "$(sha256sum /tmp/fw.bin)" = "$WANT" ] || exit 1\n{VERIFY} || true\n', "hash"),
    ],
)  # fmt: skip
def test_digests_count_when_they_are_compared(before, verified):
    assert told(before).verified == verified


def test_a_check_behind_the_write_is_told_as_such():
    found = told("", after=f"{VERIFY} || exit 1\n")
    assert found.verified == "none"
    assert [(step.action, step.honoured, step.reason) for step in found.steps[-1:]] == [
        ("verify", "no", "it stands behind the write")
    ]


def test_the_steps_name_their_lines_in_order():
    found = told(f"{VERIFY} || exit 1\n", after="reboot\n")
    assert [(step.action, step.evidence.location.line) for step in found.steps] == [("fetch", 3), ("verify", 4), ("write", 5)]
    assert found.steps[0].what == "https://fw.example.net/fw.bin"


def test_scripts_and_libraries_of_the_image_are_followed():
    library = {"/usr/lib/fw.sh": f"stop() {{ exit 1; }}\ncheck() {{ {VERIFY} || stop; }}\n"}
    assert told(". /usr/lib/fw.sh\ncheck\n", more=library).verified == "signature"
    program = {"/usr/bin/check.sh": f"#!/bin/sh\n{VERIFY.replace('/tmp/fw.bin', '$1')} || exit 3\nexit 0\n"}
    assert told("check.sh /tmp/fw.bin || exit 1\n", more=program).verified == "signature"
    assert told("check.sh /tmp/fw.bin\n", more=program).verified == "none"


def test_the_errexit_of_a_called_script_holds_wherever_it_is_called():
    strict = {"/usr/bin/check.sh": f"#!/bin/sh\nset -e\n{VERIFY}\nexit 0\n"}
    assert told("check.sh /tmp/fw.bin || exit 1\n", more=strict).verified == "signature"


def test_a_hash_list_that_is_not_the_signed_file_binds_nothing():
    text = "usign -V -m /tmp/other -p /etc/fw.pub || exit 1\nsha256sum -c /tmp/sums || exit 1\n"
    assert told(text).verified == "unknown"
    crc = "usign -V -m /tmp/other -p /etc/fw.pub || exit 1\n[ $(cksum /tmp/fw.bin) = $WANT ] || exit 1\n"
    assert told(crc).verified == "unknown"


def test_what_stands_behind_a_syntax_error_is_left_open():
    text = HEAD + f"{VERIFY} || exit 1\n{WRITE}done done )\nmtd write /tmp/x kernel\n"
    assert {each.verified for each in update_paths(firmware_of({**ROOT, "/sbin/up.sh": text}))} == {"signature", "unknown"}


def test_many_ways_to_a_write_behind_a_check_are_not_called_unchecked():
    many = "".join(f"if [ $a{n} ]; then x{n}=1; else x{n}=0; fi\n" for n in range(8))
    calls = "".join(f"[ $b{n} ] && flash\n" for n in range(80))
    found = told(f"flash() {{ mtd write /tmp/fw.bin firmware; }}\n{many}{VERIFY} || exit 1\n{calls}")
    assert found.verified in ("signature", "unknown")


def test_a_script_of_the_image_named_like_a_check_is_read():
    weak = {"/usr/bin/check_firmware": "#!/bin/sh\n[ -s $1 ] || exit 1\nexit 0\n"}
    assert told("check_firmware /tmp/fw.bin || exit 1\n", more=weak).verified == "none"


def test_two_verdicts_of_one_script_are_two_paths():
    text = HEAD + f"case $1 in\n kernel) mtd write /tmp/k kernel;;\n fw) {VERIFY} || exit 1; {WRITE.strip()};;\nesac\n"
    assert {each.verified for each in update_paths(firmware_of({**ROOT, "/sbin/up.sh": text}))} == {"none", "signature"}


def test_functions_of_an_init_script_are_called_by_its_framework():
    text = f"#!/bin/sh /etc/rc.common\n# firmware\nSTART=99\nstart() {{\n {FETCH} {WRITE}}}\n"
    (found,) = update_paths(firmware_of({**ROOT, "/etc/init.d/fwup": text}))
    assert found.verified == "none"


def test_a_function_that_nothing_calls_is_left_open():
    assert update_paths(firmware_of({**ROOT, "/usr/lib/fw.sh": HEAD + f"flash() {{\n{WRITE}}}\n"}))[0].verified == "unknown"


@pytest.mark.parametrize(
    ("fetch", "transport"),
    [
        ("wget http://x.example/fw.bin", "plain"),
        ("wget --no-check-certificate https://x.example/fw.bin", "unchecked"),
        ("curl -sk https://x.example/fw.bin -o /tmp/fw.bin", "unchecked"),
        ("curl -s https://x.example/fw.bin -o /tmp/fw.bin", "authenticated"),
        ("tftp -g -r fw.bin 192.168.1.2", "plain"),
        ('curl "$URL" -o /tmp/fw.bin', "unknown"),
    ],
)
def test_the_transport_is_told(fetch, transport):
    (found,) = update_paths(firmware_of({**ROOT, "/sbin/up.sh": f"{HEAD}{fetch}\n{WRITE}"}))
    assert found.transport == transport


def test_the_wget_of_busybox_is_not_trusted_to_check_certificates():
    files = {**ROOT, "/usr/bin/wget": Link("/bin/busybox"), "/sbin/up.sh": HEAD + FETCH + WRITE}
    assert update_paths(firmware_of(files))[0].transport == "unknown"
    assert update_paths(firmware_of({**files, "/usr/bin/wget": b"\x7fELF"}))[0].transport == "authenticated"


def test_what_was_checked_of_a_file_is_forgotten_when_it_is_brought_in_anew():
    assert told(f"{VERIFY} || exit 1\n{FETCH}").verified == "none"


def test_a_check_on_another_branch_stands_not_behind_the_write():
    text = HEAD + f"case $1 in\n a) {WRITE.strip()};;\n b) {VERIFY} || exit 1;;\nesac\n"
    (found,) = update_paths(firmware_of({**ROOT, "/sbin/up.sh": text}))
    assert [step.action for step in found.steps] == ["write"]


def test_the_shell_of_a_page_of_haserl_is_followed():
    page = f"#!/usr/bin/haserl --upload-dir=/tmp\n<html>\n<% if ! {VERIFY}; then %>\nbad\n<% exit 1; fi\n{WRITE}%>\n"
    (found,) = update_paths(firmware_of({**ROOT, "/www/cgi-bin/up": page}))
    assert (found.source, found.verified) == ("web upload", "signature")
    assert found.evidence[0].location.line == 6


def test_logins_in_addresses_are_masked():
    found = told("", path="/usr/sbin/up.sh", after="curl ftp://admin:hunter2@x.example/log\n")
    text = HEAD + "curl -o /tmp/fw.bin https://admin:hunter2@x.example/fw\n" + WRITE
    masked = update_paths(firmware_of({**ROOT, "/sbin/up.sh": text}))[0]
    for path in (found, masked):
        shown = " ".join(step.what + (step.evidence.text if step.evidence else "") for step in path.steps)
        assert "hunter2" not in shown
    assert "https://****@x.example/fw" in masked.steps[0].what


ALONE = [
    ("sh /mnt/usb/update.sh", "program that was brought in"),
    ("/mnt/sd/upgrade.sh &", "program that was brought in"),
    (". /media/sda1/update.sh", "program of a removable medium"),
    ("curl http://x.example/update.sh | sh", "run as it comes"),
    ("wget -qO- http://x.example/update.sh | sudo bash -s", "run as it comes"),
    ("wget -O /tmp/u.sh http://x.example/u\nchmod +x /tmp/u.sh\n/tmp/u.sh", "program that was brought in"),
    ("cd /tmp\nwget http://x.example/u.sh\nsh u.sh", "program that was brought in"),
    ("curl http://x.example/u > /tmp/u.sh\n. /tmp/u.sh", "program that was brought in"),
    ("U=/tmp/u\ntftp -g -r u -l $U 10.0.0.1\nchmod 755 $U && $U", "program that was brought in"),
    ("tar xzf /tmp/firmware.tgz -C /", "unpacked over the root"),
    ("tar -C / -x -f /tmp/update.tar", "unpacked over the root"),
    ("tar xf /mnt/usb/update.tar -C /", "unpacked over the root"),
    ("wget -O - http://x.example/x.tgz | tar xz -C /", "unpacked over the root"),
    ("cd /\ncurl -s http://x.example/x.tgz | tar xz", "unpacked over the root"),
    ("wget -O /tmp/x.zip http://x.example/x\nunzip -o /tmp/x.zip -d /", "unpacked over the root"),
    ("opkg install /tmp/update.ipk", "package of its own"),
    ("opkg update && opkg upgrade", "opkg"),
    ("apt-get -y dist-upgrade", "apt"),
    ("zcat /tmp/fw.gz > /dev/mtdblock3", "raw write to flash"),
    ("zcat /tmp/fw.gz | dd of=/dev/mmcblk0p2", "raw write to flash"),
    ("FLASH='mtd write'\n$FLASH /tmp/fw.bin firmware", "mtd write"),
    ('run() { "$@" || exit 1; }\nrun flashcp /tmp/fw.bin /dev/mtd2', "flashcp"),
    ("out=$(swupdate -i /tmp/fw.swu 2>&1)", "swupdate"),
    ("ubiformat /dev/mtd3 -f /tmp/fw.ubi", "ubi volume"),
    ("dfu-util -a 0 -D /tmp/radio.bin", "firmware of another chip"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "sink"), ALONE)
def test_what_runs_or_unpacks_software_is_a_write(command, sink):
    found = update_paths(firmware_of({**ROOT, "/sbin/up.sh": f"{HEAD}{command}\n"}))
    assert [each.sink for each in found if each.mechanism == "/sbin/up.sh"] == [sink]


@pytest.mark.parametrize(
    "command",
    [
        "wget -O /tmp/weather.json http://x.example/w\n. /lib/functions.sh",
        "curl http://x.example/list | grep sh",
        "echo 'wget x | sh'",
        "tar xzf /tmp/backup.tgz -C /tmp",
        "wget -O - http://x.example/x.tgz | tar xz -C /tmp/www",
        "mount /dev/sda1 /mnt/usb\nls /mnt/usb",
        "sh /mnt/sdcard/run.sh",
        "echo 1 | sh -c 'cat'",
        "opkg update\nopkg list-upgradable",
        "apt-get --dry-run upgrade",
        "ubiformat /dev/mtd3 -y",
        "restart=1\nstart() { mtdinfo; }",
    ],
)
def test_fetching_and_unpacking_elsewhere_is_no_write(command):
    assert update_paths(firmware_of({**ROOT, "/sbin/up.sh": f"{HEAD}{command}\n"})) == ()


@pytest.mark.parametrize(("command", "sink"), ALONE)
def test_every_write_of_the_flow_is_foreseen_before_it_is_followed(command, sink):
    script = f"{HEAD}{command}\n"
    assert may_write(script), sink
    assert may_lead(parse(script))


def test_a_path_that_the_boot_starts_is_automatic():
    started = Service(
        name="fwup", program="/bin/sh", arguments="/usr/sbin/up.sh", enabled="yes",
        evidence=(Evidence(location=Location(chain=("x",), path="/etc/crontabs/root", line=1), text="* * * * * up.sh"),),
    )  # fmt: skip
    firmware = firmware_of({**ROOT, "/usr/sbin/up.sh": HEAD + FETCH + WRITE})
    (found,) = update_paths(firmware, [started])
    assert found.automatic == "yes"
    assert found.evidence[-1].location.path == "/etc/crontabs/root"
    assert update_paths(firmware)[0].automatic == "unknown"


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("openssl dgst -sha256 -verify k -signature s f", Check("signature", "f")),
        ("openssl dgst -sha256 -sign k f", None),
        ("openssl sha256 f", Digest("hash", "f")),
        ("sudo -u root gpgv --keyring k s f", Check("signature", "f")),
        ("timeout 10 curl https://h/f -o g", Fetch("https://h/f", "authenticated", "g")),
        ("mtd -r write f firmware", Sink("mtd write", "f")),
        ("mtd write f nvram", None),
        ("mtd erase firmware", None),
        ("tar xzf /tmp/backup.tgz -C /", Sink),
        ("sysupgrade -F f", Sink("sysupgrade --force", "f")),
    ],
)  # fmt: skip
def test_commands_are_understood(command, kind):
    got = understand(words_of(command.split()))
    if kind is Sink:  # settings unpacked over the root are no software
        assert not isinstance(got, Sink)
    else:
        assert got == kind


# --------------------------------------------------------------------------- hostile


@pytest.mark.parametrize(
    "body",
    [
        "f() { f; }\nf\n",
        "f() { g; }\ng() { f; }\nf\n",
        ". /usr/sbin/up.sh\n",
        "/usr/sbin/up.sh\n",
        "eval 'eval \"eval x\"'\n",
        "if " * 60 + "\n",
        "(" * 500 + "\n",
        "x=$(" * 45 + "md5sum f" + ")" * 45 + "\n",
        "".join(f"if [ $a{n} ]; then x{n}=1; else x{n}=0; fi\n" for n in range(300)),
        "".join(f"md5sum f{n} > /tmp/{n}\n" for n in range(3000)),
        "a | " * 400 + "b\n",
        "a && " * 2000 + "b\n",
        "x=$x$x$x$x\n" * 200,
        "f() { " + "g; " * 500 + "}\ng() { " + "h; " * 500 + "}\nh() { true; }\nf\n",
    ],
    ids=range(14),
)
def test_hostile_scripts_end(body):
    begun = time.process_time()
    update_paths(firmware_of({**ROOT, "/usr/sbin/up.sh": HEAD + body + WRITE}))
    assert time.process_time() - begun < 6


WORDS = st.sampled_from([
    *("if", "then", "fi", "while", "do", "done", "case", "in", "esac", ";", ";;", "&&", "||", "|", "(", ")", "{", "}", "!", "\n"),
    *("&", "usign -V -m /tmp/fw.bin", "mtd write /tmp/fw.bin firmware", "exit 1", "return", "$?", "[ $? -eq 0 ]", "local"),
    *("x=$(md5sum f)", '[ "$x" = y ]', "set -e", "> /dev/mtd3", "break", "f()", "f", ". /usr/sbin/up.sh", "true", "*)", "$("),
    *("`", '"', "<<E", "E", "\0"),
])  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(WORDS, max_size=40))
def test_no_order_of_words_breaks_it_or_is_called_signed_without_a_verifier(words):
    text = HEAD + " ".join(words) + "\n" + WRITE
    found = update_paths(firmware_of({**ROOT, "/usr/sbin/up.sh": text}))
    assert "usign -V -m /tmp/fw.bin" in words or all(each.verified != "signature" for each in found)


# --------------------------------------------------------------------------- paths without a script


def test_every_path_has_steps():
    files = {
        **ROOT,
        "/etc/rauc/system.conf": "[system]\ncompatible=x\n[keyring]\npath=/etc/rauc/ca.pem\n",
        "/usr/bin/swupdate": b"\x7fELF",
    }
    found = update_paths(firmware_of(files))
    assert {each.mechanism for each in found} == {"rauc", "swupdate"}
    for path in found:
        assert [step.action for step in path.steps][-1] == "write"
        assert [step.honoured for step in path.steps if step.check] == ["yes"]


def test_a_daemon_that_does_other_things_too_is_not_called_automatic():
    path = UpdatePath(source="http download", sink="flash", mechanism="/sbin/rc")
    service = Service(name="rc", program="/sbin/rc", enabled="yes")
    assert _started(path, [service]).automatic == "unknown"
    dedicated = msgspec.structs.replace(path, mechanism="/usr/sbin/fwupdate")
    assert _started(dedicated, [msgspec.structs.replace(service, program="/usr/sbin/fwupdate")]).automatic == "yes"
