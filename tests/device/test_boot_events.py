"""What happens on a running device, and what started programs run: under a condition in words, never certain."""

from __future__ import annotations

import pytest
from support.trees import Link, firmware_of

from fwcheck.device.boot import boots
from fwcheck.device.firmware import Firmware
from fwcheck.device.shell.world import Run
from fwcheck.model import CallFact, Facts

_ELF = b"\x7fELF" + bytes(60)


def tree(script: str, **more: bytes | str) -> dict[str, bytes | str]:
    files: dict[str, bytes | str] = {
        "/bin/busybox": _ELF,
        "/sbin/init": Link("../bin/busybox"),
        "/bin/sh": Link("busybox"),
        "/lib/x": "",
        "/dev/x": "",
        "/etc/inittab": "::sysinit:/etc/rcS\n",
        "/etc/rcS": f"#!/bin/sh\n{script}\n",
    }
    files |= {f"/usr/sbin/{name}": _ELF for name in ("telnetd", "udhcpc", "pppd", "ifup", "mdev", "dnsmasq", "udevd", "crond")}
    return files | {name.replace("__", "/"): content for name, content in more.items()}


def runs(files: dict[str, bytes | str], name: str = "telnetd") -> list[Run]:
    (boot,) = boots(firmware_of(files))
    return [run for run in boot.runs if run.name == name]


@pytest.mark.parametrize(
    ("started", "path", "text", "condition"),
    [
        (
            "udhcpc -i eth0",
            "/usr/share/udhcpc/default.script",
            "case $1 in bound) telnetd;; esac",
            "a DHCP server grants a lease",
        ),
        ("udhcpc -s /etc/dhcp.sh", "/etc/dhcp.sh", "telnetd", "a DHCP server grants a lease"),
        ("pppd call isp", "/etc/ppp/ip-up", "telnetd", "a PPP link comes up"),
        ("dnsmasq --dhcp-script=/etc/lease", "/etc/lease", "telnetd", "dnsmasq grants a lease"),
    ],
)
def test_scripts_of_started_programs_run_on_their_event(started: str, path: str, text: str, condition: str) -> None:
    (run,) = runs(tree(started) | {path: f"#!/bin/sh\n{text}\n"})
    assert run.conditions == (condition,)
    assert runs(tree(":") | {path: f"#!/bin/sh\n{text}\n"}) == []


@pytest.mark.parametrize(
    ("line", "condition"),
    [
        ("sda[0-9]* root:root 660 @/etc/m.sh", ("mdev sees a device sda[0-9]*",)),
        ("sd.* root:disk 0660 */etc/m.sh $MDEV", ("mdev sees a device sd.*",)),
        ("sd.* root:disk 0660 >disk/ */etc/m.sh", ("mdev sees a device sd.*",)),
        ("sd.* root:disk 0660 $/etc/m.sh", None),
        ("# sd.* root:disk 0660 @/etc/m.sh", None),
    ],
)
def test_mdev(line: str, condition: tuple[str, ...] | None) -> None:
    found = runs(tree("mdev -s") | {"/etc/mdev.conf": line + "\n", "/etc/m.sh": "#!/bin/sh\ntelnetd\n"})
    assert [run.conditions for run in found] == ([condition] if condition else [])


def test_udev_rules() -> None:
    rules = 'ACTION=="add", SUBSYSTEM=="usb", RUN+="/etc/m.sh %k"\nRUN{builtin}+="kmod load"\n'
    files = {"/etc/udev/rules.d/9.rules": rules, "/etc/m.sh": "#!/bin/sh\ntelnetd -l $1\n"}
    (run,) = runs(tree("udevd") | files)
    assert run.conditions == ("a device appears that /etc/udev/rules.d/9.rules:1 is about",)
    assert runs(tree(":") | files) == []


def test_interfaces_that_come_up_at_boot_run_their_commands() -> None:
    text = "auto lo eth0\niface eth0 inet dhcp\n  post-up telnetd -b $IFACE\niface eth1 inet dhcp\n  up telnetd -p 9\n"
    (run,) = runs(tree("ifup -a") | {"/etc/network/interfaces": text})
    assert (run.words, run.conditions, run.place.line) == (("telnetd", "-b", "eth0"), (), 3)
    hook = {"/etc/network/interfaces": text, "/etc/network/if-up.d/t": "#!/bin/sh\n[ $IFACE = lo ] && telnetd -p 8\n"}
    assert ("telnetd", "-p", "8") in [run.words for run in runs(tree("ifup -a") | hook)]


@pytest.mark.parametrize(
    ("path", "line", "user"),
    [
        ("/etc/crontabs/root", "* * * * * telnetd", ""),
        ("/etc/crontabs/tel", "@reboot telnetd", "tel"),
        ("/etc/crontab", "17 * * * * tel telnetd", "tel"),
        ("/etc/cron.d/x", "*/5 * * * * root [ -d /lib ] && telnetd", ""),
        ("/etc/anacrontab", "1 5 daily telnetd", ""),
    ],
)
def test_cron_tables(path: str, line: str, user: str) -> None:
    files = tree("crond") | {path: f"SHELL=/bin/sh\n{line}\n"}
    (run,) = runs(files)
    assert (run.user, run.conditions, run.place.line) == (user, (), 2)


def test_the_profile_of_a_console_that_logs_in_by_itself_runs_at_boot() -> None:
    files = tree(":") | {"/etc/profile": "telnetd &\n"}
    assert runs(files) == []
    assert [run.conditions for run in runs(files | {"/etc/inittab": "ttyS0::respawn:-/bin/sh\n"})] == [()]
    assert runs(files | {"/etc/inittab": "ttyS0::askfirst:-/bin/sh\n"}) == []


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (CallFact(function="system", arguments=("telnetd -l /bin/sh &",), offset=64), ("telnetd", "-l", "/bin/sh")),
        (CallFact(function="doSystemCmd", arguments=("telnetd -p %d", 23)), ("telnetd", "-p", "23")),
        (CallFact(function="popen", arguments=("/etc/start.sh", "r")), ("telnetd",)),
        (CallFact(function="execl", arguments=("/bin/sh", "sh", "-c", "telnetd -F")), ("telnetd", "-F")),
        (CallFact(function="execlp", arguments=("telnetd", "telnetd", "-i", 0)), ("telnetd", "-i")),
        (CallFact(function="strcmp", arguments=("telnetd", None)), None),
        (CallFact(function="system", arguments=("killall telnetd",)), None),
        (CallFact(function="system", arguments=("%s", None)), None),
        (CallFact(function="system", arguments=("unterminated ' telnetd",)), None),
    ],
)
def test_commands_in_started_programs_are_followed_under_the_condition_that_they_run(
    call: CallFact, words: tuple[str, ...] | None
) -> None:
    app = b"\x7fELF" + b"a" * 60
    base = firmware_of(tree("appd &") | {"/usr/sbin/appd": app, "/etc/start.sh": "#!/bin/sh\ntelnetd\n"})
    facts: dict[str, Facts] = dict(base._facts)
    node = next(node for node in base.nodes if node.path == "/usr/sbin/appd")
    held = facts[str(node.sha256)]
    facts[str(node.sha256)] = Facts(sha256=held.sha256, size=held.size, kind=held.kind, calls=(call,))
    (boot,) = boots(Firmware(base.image, base.nodes, facts, base.coverage))
    found = [run for run in boot.runs if run.name == "telnetd"]
    assert [run.words for run in found] == ([words] if words else [])
    assert all(run.conditions[0].startswith("appd runs ") for run in found)
    assert boot.holes == []


def test_the_command_line_of_the_image_is_what_proc_cmdline_says() -> None:
    files = tree(
        "grep -q 'init=/sbin/init' /proc/cmdline && telnetd -p 1\ncase $(fw_printenv -n mode) in dbg) telnetd -p 2;; esac"
    )
    base = firmware_of(files)
    from test_command_line import environment, with_nodes

    node = environment("bootargs=console=ttyS0 init=/sbin/init\nmode=dbg\n")
    (boot,) = boots(with_nodes(node, files=files))
    assert [(run.words[2], run.conditions) for run in boot.runs if run.name == "telnetd"] == [("1", ()), ("2", ())]
    (boot,) = boots(base)
    assert all(run.conditions for run in boot.runs if run.name == "telnetd")
