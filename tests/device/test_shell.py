"""Boot scripts are parsed as a shell parses them and followed with three answers to every condition."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.trees import firmware_of

from fwcheck.device.services import services

_ELF = b"\x7fELF" + bytes(60)
_PROGRAMS = ("/usr/sbin/telnetd", "/bin/busybox", "/usr/bin/app")


def started(script: str, files: dict[str, bytes | str] | None = None, name: str = "telnetd") -> tuple[str, str]:
    """Enabled state and condition of a daemon that this rcS may start."""
    tree: dict[str, bytes | str] = dict.fromkeys(_PROGRAMS, _ELF)
    tree |= {"/sbin/init": _ELF, "/etc/inittab": "::sysinit:/etc/init.d/rcS\n", "/etc/init.d/rcS": f"#!/bin/sh\n{script}\n"}
    found = [each for each in services(firmware_of(tree | (files or {}))) if each.name == name]
    best = next((each for each in found if each.enabled == "yes"), found[0])
    return best.enabled, best.condition


@pytest.mark.parametrize(
    "script",
    [
        "telnetd",
        "telnetd &",
        "/usr/sbin/telnetd -l /bin/login",
        "( telnetd )",
        "{ telnetd; }",
        "true && telnetd",
        "false || telnetd",
        "if [ -x /usr/sbin/telnetd ]; then telnetd; fi",
        "[ -f /etc/absent ] || telnetd",
        "X=telnetd\n$X &",
        "X=tel; Y=netd; ${X}${Y}",
        "f() { telnetd; }\nf",
        "function f { telnetd; }\nf",
        "for i in a b; do telnetd; done",
        "case start in start) telnetd ;; esac",
        "case $1 in '') telnetd ;; *) : ;; esac",
        "nohup setsid telnetd >/dev/null 2>&1 &",
        "busybox telnetd",
        "sh -c 'telnetd'",
        "eval 'telnetd &'",
        "exec telnetd",
        "start-stop-daemon -S -b -x /usr/sbin/telnetd -- -l /bin/login",
        "start-stop-daemon --start --exec /usr/sbin/telnetd",
        "echo x | telnetd",
        "tel\\\nnetd",
        "while true; do telnetd; sleep 1; done",
        "echo telnetd > /tmp/a; sh /tmp/a",
        "test $(cat /etc/flag) = on && telnetd",
        '[ "`grep -c on /etc/flag`" = 1 ] && telnetd',
        "X=a.b.c; [ ${X%%.*} = a ] && telnetd",
        "X=$((2*3)); [ $X -eq 6 ] && telnetd",
        'if [ -n "$(nvram get x)" ]; then telnetd; else telnetd; fi',
        "cat <<EOF > /tmp/x.sh\ntelnetd\nEOF\nsh /tmp/x.sh",
        "[[ abc == a* ]] && telnetd",
        "start-stop-daemon --start --exec /usr/sbin/telnetd --test >/dev/null && start-stop-daemon -S -x /usr/sbin/telnetd",
        '[ "$(echo a b | wc -w)" -ge 2 ] && telnetd',
        '[ "$(cat /etc/flag | wc -l)" = 1 ] && telnetd',
        '[ "$(wc -c < /etc/flag)" -eq 3 ] && telnetd',
        'case "$(uname -m)" in mips) A=1;; *) A=1;; esac\n[ $A = 1 ] && telnetd',
    ],
)
def test_what_certainly_runs_is_enabled(script: str) -> None:
    assert started(script, {"/etc/flag": "on\n"}) == ("yes", "")


@pytest.mark.parametrize(
    "script",
    [
        "#telnetd",
        ": # telnetd",
        "echo telnetd",
        "echo 'x; telnetd'",
        'echo "x\ntelnetd"',
        "f() { telnetd; }",
        "cat <<EOF\ntelnetd\nEOF",
        "cat <<'EOF' >/dev/null\ntelnetd\nEOF",
        "false && telnetd",
        "true || telnetd",
        "if false; then telnetd; fi",
        "[ -x /usr/sbin/absent ] && telnetd",
        "exit 0\ntelnetd",
        "f() { return 0; telnetd; }\nf",
        "for i in; do telnetd; done",
        "case stop in start) telnetd ;; esac",
        "X=1; [ $X = 2 ] && telnetd",
        "while false; do telnetd; done",
        "for i in 1 2; do break; telnetd; done",
        "killall telnetd",
        "start-stop-daemon -K -x /usr/sbin/telnetd",
        "start-stop-daemon --start --test --exec /usr/sbin/telnetd",
        "start-stop-daemon -S -t -x /usr/sbin/absent && telnetd",
        '[ "$(echo a | wc -w)" -ge 2 ] && telnetd',
        "alias t=telnetd",
        "PATH=/nowhere\n:",
    ],
)
def test_what_never_runs_is_not_enabled(script: str) -> None:
    assert started(script)[0] == "no"


@pytest.mark.parametrize(
    ("script", "condition"),
    [
        ('[ "$(nvram get telnet)" = 1 ] && telnetd', '[ "$(nvram get telnet)" = 1 ]'),
        ("if [ -f /tmp/debug ]; then telnetd; fi", "[ -f /tmp/debug ]"),
        ("if [ -f /tmp/x ]; then :; else telnetd; fi", "not ([ -f /tmp/x ])"),
        ("mode=$(fw_printenv mode)\ncase $mode in factory) telnetd;; esac", "$mode is factory"),
        ("[ -e /tmp/normal ] && exit 0\ntelnetd", "not ([ -e /tmp/normal ])"),
        ("f() { [ -e /tmp/n ] && return; telnetd; }\nf", "not ([ -e /tmp/n ])"),
        ("grep -q debug /proc/cmdline && telnetd", "grep -q debug /proc/cmdline"),
        ("for i in $(nvram get list); do telnetd; done", "$(nvram get list) is not empty"),
        ("while [ -f /tmp/x ]; do telnetd; done", "[ -f /tmp/x ]"),
        ("if ! vendor_check; then telnetd; fi", "vendor_check"),
    ],
)
def test_an_undecidable_condition_is_unknown_and_said_in_words(script: str, condition: str) -> None:
    enabled, words = started(script, {"/usr/bin/vendor_check": _ELF})
    assert enabled == "unknown"
    assert condition in words


def test_a_condition_inside_a_function_ends_with_the_function() -> None:
    assert started("f() { [ -e /tmp/n ] && return; echo; }\nf\ntelnetd") == ("yes", "")


def test_a_script_that_is_not_in_the_image_forbids_to_say_no() -> None:
    enabled, words = started("/system/init/app.sh &", {"/system/.keep": ""})
    assert enabled == "no"  # /system holds files, so the script is missing for sure
    tree = {
        "/sbin/init": _ELF,
        "/etc/inittab": "::sysinit:/etc/rcS\n",
        "/etc/rcS": "#!/bin/sh\nmount -t jffs2 /dev/mtdblock4 /data\n/data/app.sh &\n",
    }
    found = services(firmware_of(dict.fromkeys(_PROGRAMS, _ELF) | tree | {"/lib/x": "", "/data/x/y": ""}))
    assert [each.enabled for each in found if each.name == "telnetd"] == ["unknown"]
    assert words == "no boot script starts it"


def test_text_that_is_no_shell_leaves_the_rest_unknown_but_keeps_what_came_before() -> None:
    assert started("telnetd\nif then ) fi (((") == ("yes", "")
    assert started("echo ok\nif then ) fi\ntelnetd")[0] == "unknown"


def test_a_called_script_is_followed_with_its_arguments_and_environment() -> None:
    child = '#!/bin/sh\n[ "$1" = on ] && [ "$MODE" = a ] && telnetd\n'
    assert started("export MODE=a\n/etc/x.sh on", {"/etc/x.sh": child}) == ("yes", "")
    assert started("MODE=b\n/etc/x.sh on", {"/etc/x.sh": child})[0] == "no"
    assert started(". /etc/x.sh on", {"/etc/x.sh": child.replace('"$MODE" = a', '-z "$MODE"')}) == ("yes", "")


def test_evidence_names_the_file_and_line_of_the_function_that_starts_it() -> None:
    tree = dict.fromkeys(_PROGRAMS, _ELF)
    tree |= {"/sbin/init": _ELF, "/etc/inittab": "::sysinit:/etc/rcS\n"}
    tree |= {"/etc/rcS": "#!/bin/sh\n. /lib/f.sh\ngo\n", "/lib/f.sh": "# one\n# two\ngo() {\n  telnetd -p 99\n}\n"}
    (found,) = [each for each in services(firmware_of(tree)) if each.name == "telnetd"]
    assert found.started_by == "/lib/f.sh:4"
    assert found.evidence[0].location.line == 4
    assert found.evidence[0].text == "telnetd -p 99"


HOSTILE = [
    "$(" * 5000,
    "((" * 5000,
    "if true; then " * 3000,
    "`" * 9999,
    "${a" * 4000,
    "f() { f; }\nf",
    "f() { f; f; }\nf",
    "/etc/init.d/rcS",
    ". /etc/init.d/rcS",
    "while true; do while true; do :; done; done",
    "X=a; " + "X=$X$X; " * 64 + "echo $X",
    "for i in 1 2 3 4 5 6 7 8 9; do " * 12 + ":;" + " done;" * 12,
    "case x in " + "a|" * 50_000 + "b) ;; esac",
    "cat <<A <<B <<C\n" * 500,
    "echo " + "{a,b}" * 20_000,
    "X='" + "a" * 60_000 + "'; Y=${X##*a*a*a*a*b}; Z=${X%%a*a*a*b}",
    "grep '" + "a*" * 90 + "b' /etc/inittab",
    "[ " + "! " * 5000 + "x ]",
    "[ " + "( " * 5000 + "x ]",
    "X=$((" + "(" * 240 + "))",
    "eval eval eval eval 'eval $0'",
    "\x00\x01\xff" * 1000,
    "a=" * 20_000,
    "\n".join(f"[ -f /tmp/{n} ] && exit" for n in range(5000)),
    "\n".join(f"V{n}=1" for n in range(4000)) + "\n" + "\n".join("(:)" for _ in range(4000)),
    "X=" + "a" * 60_000 + "\n" + "\n".join("Y=${X##*b*c}" for _ in range(4000)),
    "X=" + "a" * 60_000 + "\n" + "\n".join('echo $X | grep "^a*a*b"' for _ in range(4000)),
    "\n".join(f"echo a > /tmp/f{n}" for n in range(3000)) + "\n" + "\n".join("echo /tmp/*/../*" for _ in range(2000)),
    "\n".join(f"/data/x{n}/a/b/c/d/e/f/g/h.sh" for n in range(4000)),
    "\n".join(f"[ -e /tmp/{n} ] && telnetd -p {n}" for n in range(600)),
    "trap '' 1; exec 3<>/dev/tcp/a/1; select x in a; do :; done",
]


@pytest.mark.parametrize("script", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_scripts_neither_raise_nor_hang(script: str) -> None:
    begin = time.process_time()
    assert started(script + "\n:")[0] in ("no", "unknown")
    assert time.process_time() - begin < 5


@given(st.text(alphabet="abfidonetlscwhr (){}[]$`'\"\\;&|<>#=*?!\n\t012:-/.", max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_an_answer(text: str) -> None:
    assert started(text)[0] in ("yes", "no", "unknown")


@pytest.mark.fuzz
def test_damaged_scripts_give_an_answer() -> None:
    source = 'f() { local a=$(cat /etc/x | cut -d: -f2); [ "${a#[!x]}" = b ] || return 1; }\nif f && [ -x /bin/x ]; then\n'
    source += "case $1 in a|b) telnetd & ;; *) for i in /etc/*; do . $i; done;; esac\nfi\n"
    source += "cat <<EOF\n$x `y`\nEOF\nwhile :; do break; done\n"
    rng = random.Random(7)
    for _ in range(400):
        text = list(source)
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(text))
            text[at : at + rng.randint(0, 3)] = rng.choice(["", "(", ")", "'", '"', "`", "$", "{", "}", "\n", "\\", "<<", ";;"])
        assert started("".join(text))[0] in ("yes", "no", "unknown")


@pytest.mark.parametrize(
    ("script", "asked", "enabled"),
    [
        ("test -e /sys/kernel/x || exit 0\nexit 1", "/bin/ask || exit 1", "unknown"),
        ("test -e /sys/kernel/x || exit 0\nexit 0", "/bin/ask || exit 1", "yes"),
        ("test -e /sys/kernel/x && exit 1\nexit 1", "/bin/ask || exit 1", "no"),
        ("leave() {\nexit 0\n}\ntest -e /sys/kernel/x || leave\n/sbin/absent -r", "/bin/ask || exit 1", "unknown"),
        ("if test -e /sys/kernel/x; then exit 0; else exit 1; fi", "/bin/ask || exit 1", "unknown"),
        ("", "f() { test -e /sys/kernel/x && return 0; return 1; }\nf || exit 1", "unknown"),
        ("", "f() { test -e /sys/kernel/x && return 1; return 1; }\nf || exit 1", "no"),
        ("", "(test -e /sys/kernel/x && exit 0; exit 1) || exit 1", "unknown"),
    ],
)
def test_a_script_that_may_have_left_before_answers_nothing_for_sure(script: str, asked: str, enabled: str) -> None:
    files: dict[str, bytes | str] = {"/bin/ask": f"#!/bin/sh\n{script}\n"} if script else {}
    assert started(f"mount -t sysfs sysfs /sys\n{asked}\ntelnetd", files)[0] == enabled
