"""systemd: targets, links, masks, drop-ins, aliases, templates, sockets, timers, presets, generators, conditions, confinement."""

from __future__ import annotations

import pytest
from support.trees import Link, firmware_of
from test_command_line import container

from fwcheck.device.boot import Boot, boots
from fwcheck.device.firmware import Firmware
from fwcheck.device.services import services
from fwcheck.device.shell.world import Run
from fwcheck.model import Node

_ELF = b"\x7fELF" + bytes(60)
_UNITS = "/usr/lib/systemd/system"
_ID = "0123456789abcdef0123456789abcdef\n"


def tree(unit: str = "", service: str = "", wanted: bool = True, **more: bytes | str) -> dict[str, bytes | str]:
    files: dict[str, bytes | str] = {
        "/usr/lib/systemd/systemd": _ELF,
        "/sbin/init": Link("/usr/lib/systemd/systemd"),
        "/bin/sh": _ELF,
        "/usr/sbin/telnetd": _ELF,
        "/etc/machine-id": _ID,
        f"{_UNITS}/default.target": Link("graphical.target"),
        f"{_UNITS}/graphical.target": "[Unit]\nRequires=multi-user.target\n",
        f"{_UNITS}/multi-user.target": "[Unit]\nRequires=basic.target\n",
        f"{_UNITS}/basic.target": "[Unit]\nRequires=sysinit.target\nWants=sockets.target timers.target paths.target\n",
        f"{_UNITS}/rescue.target": "[Unit]\nRequires=sysinit.target\n",
        f"{_UNITS}/t.service": f"[Unit]\n{unit}\n[Service]\nExecStart=/usr/sbin/telnetd -F\n{service}\n"
        "[Install]\nWantedBy=multi-user.target\n",
    }
    files |= {f"{_UNITS}/{name}.target": "[Unit]\n" for name in ("sysinit", "sockets", "timers", "paths")}
    if wanted:
        files["/etc/systemd/system/multi-user.target.wants/t.service"] = Link(f"{_UNITS}/t.service")
    return files | {name.replace("__", "/"): content for name, content in more.items()}


def boot_of(files: dict[str, bytes | str], line: str = "", format: str = "ext") -> Boot:
    firmware = firmware_of(files, format=format)
    if line:
        node: Node = container("fdt", bootargs=line)
        firmware = Firmware(firmware.image, (*firmware.nodes, node), firmware._facts, firmware.coverage)
    (boot,) = boots(firmware)
    assert boot.kind == "systemd"
    return boot


def telnetds(files: dict[str, bytes | str], line: str = "", format: str = "ext") -> list[Run]:
    return [run for run in boot_of(files, line, format).runs if run.name == "telnetd"]


def how(runs: list[Run]) -> str:
    return "no" if not runs else "unknown" if all(run.conditions for run in runs) else "yes"


def link(path: str, unit: str = "t.service") -> dict[str, bytes | str]:
    return {path: Link(f"{_UNITS}/{unit}")}


_OFF = {"/etc/systemd/system/multi-user.target.wants/t.service": Link("/dev/null")}


@pytest.mark.parametrize(
    ("files", "enabled"),
    [
        (tree(), "yes"),
        (tree(wanted=False), "no"),
        (tree() | {"/etc/systemd/system/t.service": Link("/dev/null")}, "no"),
        (tree() | {"/etc/systemd/system/t.service": ""}, "no"),
        (tree() | _OFF, "no"),
        (tree(wanted=False) | link("/etc/systemd/system/multi-user.target.requires/t.service"), "yes"),
        (tree(wanted=False) | link(f"{_UNITS}/sysinit.target.wants/t.service"), "yes"),
        (tree(wanted=False) | link("/etc/systemd/system/other.target.wants/t.service"), "no"),
        (tree() | {"/etc/systemd/system/default.target": Link(f"{_UNITS}/rescue.target")}, "no"),
        (tree(wanted=False) | {"/etc/systemd/system/multi-user.target.d/x.conf": "[Unit]\nWants=t.service\n"}, "yes"),
        (tree() | {"/etc/systemd/system/t.service.d/x.conf": "[Service]\nExecStart=\nExecStart=/bin/true\n"}, "no"),
        (
            tree()
            | {f"{_UNITS}/t.service.d/x.conf": "[Service]\nExecStart=\n"}
            | {"/etc/systemd/system/t.service.d/x.conf": Link("/dev/null")},
            "yes",
        ),
        (
            tree(wanted=False)
            | link("/etc/systemd/system/multi-user.target.wants/alias.service")
            | link(f"{_UNITS}/alias.service"),
            "yes",
        ),
    ],
)
def test_what_the_default_target_pulls_in(files: dict[str, bytes | str], enabled: str) -> None:
    assert how(telnetds(files)) == enabled


def test_an_alias_is_the_same_unit() -> None:
    files = tree() | link("/etc/systemd/system/dbus-org.t.service")
    files |= link("/etc/systemd/system/multi-user.target.wants/dbus-org.t.service")
    assert len(telnetds(files)) == 1


@pytest.mark.parametrize(
    ("line", "enabled"),
    [
        ("console=ttyS0 root=/dev/mmcblk0p2", "yes"),
        ("root=/dev/x systemd.unit=rescue.target", "no"),
        ("root=/dev/x single", "no"),
        ("root=/dev/x 3", "yes"),
        ("root=/dev/x systemd.mask=t.service", "no"),
        ("root=/dev/x systemd.unit=rescue.target systemd.wants=t.service", "yes"),
    ],
)
def test_the_command_line_chooses(line: str, enabled: str) -> None:
    assert how(telnetds(tree(), line)) == enabled


@pytest.mark.parametrize(
    ("condition", "enabled"),
    [
        ("ConditionPathExists=/absent", "no"),
        ("ConditionPathExists=!/absent", "yes"),
        ("ConditionPathExists=/dev/ttyS9", "unknown"),
        ("ConditionPathExists=|/absent\nConditionPathExists=|/bin/sh", "yes"),
        ("ConditionPathExists=|/absent\nConditionPathExists=|/absent2", "no"),
        ("ConditionPathExists=|/absent\nConditionKernelCommandLine=|x", "unknown"),
        ("ConditionVirtualization=yes", "no"),
        ("ConditionVirtualization=!container", "yes"),
        ("ConditionFirstBoot=yes", "no"),
        ("ConditionPathExistsGlob=/bin/s*", "yes"),
        ("ConditionPathExistsGlob=/bin/q*", "no"),
        ("ConditionFileNotEmpty=/etc/machine-id", "yes"),
        ("ConditionPathIsReadWrite=/sys", "yes"),
        ("ConditionSecurity=selinux", "unknown"),
        ("ConditionPathExists=/absent\nConditionPathExists=", "yes"),
        ("AssertPathExists=/absent", "no"),
    ],
)
def test_conditions(condition: str, enabled: str) -> None:
    assert how(telnetds(tree(condition))) == enabled


@pytest.mark.parametrize(
    ("service", "words", "user"),
    [
        ("User=tel", ("/usr/sbin/telnetd", "-F"), "tel"),
        ("DynamicUser=yes", ("/usr/sbin/telnetd", "-F"), "t"),
        ("ExecStart=\nExecStart=@/usr/sbin/telnetd telnetd -p 24", ("/usr/sbin/telnetd", "-p", "24"), ""),
        (
            "ExecStart=\nExecStart=-/usr/sbin/telnetd $A ${B}\nEnvironment=A='-l x' 'B=y z'",
            ("/usr/sbin/telnetd", "-l", "x", "y z"),
            "",
        ),
        ("ExecStart=\nExecStart=+/usr/sbin/telnetd %n %%\nUser=tel", ("/usr/sbin/telnetd", "t.service", "%"), ""),
        ("ExecStart=\nExecStart=/usr/sbin/telnetd \\\n -l \\\n # comment\n /bin/sh", ("/usr/sbin/telnetd", "-l", "/bin/sh"), ""),
        ("ExecStart=\nExecStart=/bin/sh -c 'exec telnetd -p 99'", ("telnetd", "-p", "99"), ""),
        ("EnvironmentFile=-/etc/default/t\nExecStart=\nExecStart=/usr/sbin/telnetd $OPTS", ("/usr/sbin/telnetd", "-p", "77"), ""),
    ],
)
def test_command_lines(service: str, words: tuple[str, ...], user: str) -> None:
    files = tree(service=service) | {"/etc/default/t": '# options\nOPTS="-p 77"\n'}
    (run,) = telnetds(files)
    assert (run.words, run.user) == (words, user)


def test_confinement_is_kept() -> None:
    service = "CapabilityBoundingSet=CAP_NET_BIND_SERVICE\nNoNewPrivileges=yes\nProtectSystem=strict\nGroup=g"
    (run,) = telnetds(tree(service=service))
    assert run.detail == {
        "CapabilityBoundingSet": "CAP_NET_BIND_SERVICE",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "Group": "g",
        "unit": "t.service",
        "manner": "unit",
    }


@pytest.mark.parametrize(
    ("name", "text", "enabled", "manner"),
    [
        ("t.socket", "[Socket]\nListenStream=23\n", "yes", "socket 23"),
        ("t.socket", "[Socket]\nListenFIFO=/run/x\n", "no", ""),
        ("q.socket", "[Socket]\nListenStream=127.0.0.1:23\nService=t.service\n", "yes", "socket 127.0.0.1:23"),
        ("t.timer", "[Timer]\nOnBootSec=5min\n", "yes", "timer"),
        ("q.timer", "[Timer]\nOnCalendar=daily\nUnit=t.service\n", "yes", "timer"),
        ("t.path", "[Path]\nPathExists=/run/start\n", "unknown", "path"),
    ],
)
def test_units_that_start_others(name: str, text: str, enabled: str, manner: str) -> None:
    target = {"socket": "sockets", "timer": "timers", "path": "paths"}[name.partition(".")[2]]
    files = tree(wanted=False) | {f"{_UNITS}/{name}": text} | link(f"/etc/systemd/system/{target}.target.wants/{name}", name)
    runs = telnetds(files)
    assert how(runs) == enabled
    assert {run.manner for run in runs} == ({manner} if manner else set())


def test_a_socket_with_accept_starts_an_instance_for_each_connection() -> None:
    files = tree(wanted=False) | {
        f"{_UNITS}/tel.socket": "[Socket]\nListenStream=23\nAccept=yes\n",
        f"{_UNITS}/tel@.service": "[Service]\nExecStart=-/usr/sbin/telnetd -i\nStandardInput=socket\n",
    }
    files |= link("/etc/systemd/system/sockets.target.wants/tel.socket", "tel.socket")
    (run,) = telnetds(files)
    assert run.words == ("/usr/sbin/telnetd", "-i")


@pytest.mark.parametrize(
    ("preset", "machine", "line", "format", "enabled"),
    [
        ("enable t.service\ndisable *\n", None, "root=/dev/a rw", "ext", "yes"),
        ("enable t.service\ndisable *\n", None, "root=/dev/a ro", "ext", "unknown"),
        ("enable t.service\ndisable *\n", None, "root=/dev/a rw", "squashfs", "unknown"),
        ("enable t.service\ndisable *\n", "uninitialized\n", "root=/dev/a rw", "ext", "yes"),
        ("enable t.service\ndisable *\n", "", "root=/dev/a rw", "ext", "unknown"),
        ("enable t.service\ndisable *\n", _ID, "root=/dev/a rw", "ext", "no"),
        ("disable *\nenable t.service\n", None, "root=/dev/a rw", "ext", "no"),
        ("disable other.service\n", None, "root=/dev/a rw", "ext", "yes"),  # what no line names is enabled
    ],
)
def test_presets_of_a_first_boot(preset: str, machine: str | None, line: str, format: str, enabled: str) -> None:
    files = tree(wanted=False) | {"/usr/lib/systemd/system-preset/90-x.preset": preset}
    if machine is None:
        del files["/etc/machine-id"]
    else:
        files["/etc/machine-id"] = machine
    assert how(telnetds(files, line, format)) == enabled


def test_init_scripts_without_a_unit_are_started_where_a_runlevel_links_them() -> None:
    script = "#!/bin/sh\ncase $1 in start) telnetd ;; esac\n"
    files = tree(wanted=False) | {"/etc/init.d/tel": script}
    assert how(telnetds(files)) == "no"
    files["/etc/rc3.d/S20tel"] = Link("../init.d/tel")
    assert how(telnetds(files)) == "yes"
    assert how(telnetds(files | {f"{_UNITS}/tel.service": "[Service]\nExecStart=/bin/true\n"})) == "no"


def test_systemctl_in_a_script_starts_a_unit() -> None:
    files = tree(wanted=False) | {
        f"{_UNITS}/q.service": "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'systemctl start t'\n",
    }
    assert how(telnetds(files | link("/etc/systemd/system/multi-user.target.wants/q.service", "q.service"))) == "yes"


def test_the_message_bus_starts_services_on_demand() -> None:
    files = tree(wanted=False) | {
        "/usr/share/dbus-1/system-services/org.t.service": "[D-BUS Service]\nName=org.t\nSystemdService=t.service\n",
        f"{_UNITS}/dbus.service": "[Service]\nExecStart=/usr/bin/dbus-daemon --system\n",
    }
    assert how(telnetds(files)) == "no"
    (run,) = telnetds(files | link("/etc/systemd/system/multi-user.target.wants/dbus.service", "dbus.service"))
    assert run.conditions == ("a program asks the message bus for org.t",)


def test_a_serial_console_of_the_kernel_gets_a_login() -> None:
    getty = {f"{_UNITS}/serial-getty@.service": "[Service]\nExecStart=-/sbin/agetty --autologin root %I 115200\n"}
    boot = boot_of(tree() | getty, "console=tty0 console=ttyS2,115200 root=/dev/a")
    assert [(entry.id, entry.command) for entry in boot.entries] == [("ttyS2", "/sbin/agetty --autologin root ttyS2 115200")]


def test_a_python_program_is_recorded_and_a_shell_script_followed() -> None:
    files = tree(service="ExecStart=\nExecStart=/usr/bin/agent\n") | {"/usr/bin/agent": "#!/usr/bin/python3\n"}
    assert [run.manner for run in boot_of(files).runs if run.name == "agent"] == ["unit"]
    files["/usr/bin/agent"] = "#!/bin/sh\ntelnetd &\n"
    assert [run.name for run in boot_of(files).runs] == ["telnetd"]


@pytest.mark.parametrize(
    ("service", "verdict"),
    [
        ("ExecCondition=/usr/share/t/is-configured t", "unknown"),
        ("ExecCondition=/bin/true", "yes"),
        ("ExecCondition=-true", "yes"),
    ],
)
def test_a_program_that_is_asked_before_the_unit_starts_leaves_it_open(service, verdict):
    assert how(telnetds(tree(service=service))) == verdict


@pytest.mark.parametrize(
    "last", ["exec /usr/bin/vendord -v", "exec /usr/bin/vendord -v $MORE", "exec nice -n 5 /usr/bin/vendord -v"]
)
def test_what_takes_the_place_of_a_units_script_is_the_service(last):
    """ "-v" is "verbose" there, not the question for a version."""
    files = tree() | {
        f"{_UNITS}/t.service": "[Service]\nExecStart=/usr/lib/t.sh\n[Install]\nWantedBy=multi-user.target\n",
        "/usr/lib/t.sh": f"#!/bin/sh\n/usr/bin/vendord -v\n{last}\n",
        "/usr/bin/vendord": _ELF,
    }
    firmware = firmware_of(files, modes={"/usr/lib/t.sh": 0o755, "/usr/bin/vendord": 0o755}, format="ext")
    assert [each.name for each in services(firmware) if each.enabled == "yes"] == ["vendord"]
    (run,) = boot_of(files).runs
    assert run.place.line == 3
