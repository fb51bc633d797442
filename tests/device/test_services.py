"""Services: what init systems start, from which line, with which certainty."""

from __future__ import annotations

import msgspec
import pytest
from support.trees import Link, firmware_of

from fwcheck.device.services import services
from fwcheck.model import CallFact, ElfFacts, Service

_ELF = b"\x7fELF" + bytes(60)
_RC = "#!/bin/sh /etc/rc.common\nSTART=50\n"
_TELNET = (
    _RC
    + """USE_PROCD=1
has_root_pwd() {
	local pwd=$([ -f "$1" ] && cat "$1")
	pwd="${pwd#*root:}"
	pwd="${pwd%%:*}"
	test -n "${pwd#[\\!x]}"
}
has_key() { ( /etc/init.d/dropbear enabled 2> /dev/null && grep -qs "^ssh-" /etc/dropbear/authorized_keys ); }
start_service() {
	if ( ! has_key && ! has_root_pwd /etc/passwd && ! has_root_pwd /etc/shadow ); then
		procd_open_instance
		procd_set_param command /usr/sbin/telnetd -F -l /bin/login.sh
		procd_close_instance
	fi
}
"""
)


def by_name(files: dict[str, bytes | str], name: str = "telnetd") -> list[Service]:
    return [each for each in services(firmware_of(files)) if each.name == name]


def busybox(inittab: str | None, **more: bytes | str) -> dict[str, bytes | str]:
    tree: dict[str, bytes | str] = {
        "/bin/busybox": _ELF,
        "/sbin/init": Link("../bin/busybox"),
        "/usr/sbin/telnetd": Link("../../bin/busybox"),
    }
    tree |= {"/lib/x": "", "/usr/bin/app": _ELF, "/bin/sh": Link("busybox"), "/bin/login": Link("busybox")}
    if inittab is not None:
        tree["/etc/inittab"] = inittab
    return tree | {name.replace("__", "/"): content for name, content in more.items()}


def openwrt(telnet: str = _TELNET, link: bool = True, **more: bytes | str) -> dict[str, bytes | str]:
    tree = busybox("::sysinit:/etc/init.d/rcS S boot\n") | {"/sbin/procd": _ELF, "/sbin/init": _ELF, "/etc/init.d/telnet": telnet}
    tree |= {"/etc/passwd": "root:x:0:0:root:/root:/bin/ash\n", "/etc/shadow": "root::0:0:99999:7:::\n"}
    tree |= {"/etc/rc.d/S50telnet": Link("../init.d/telnet")} if link else {}
    return tree | {name.replace("__", "/"): content for name, content in more.items()}


def test_busybox_inittab_script_and_applet_link() -> None:
    (found,) = by_name(
        busybox("::sysinit:/etc/init.d/rcS\n", __etc__init__dot="") | {"/etc/init.d/rcS": "#!/bin/sh\ntelnetd &\n"}
    )
    assert (found.enabled, found.program, found.started_by) == ("yes", "/usr/sbin/telnetd", "/etc/init.d/rcS:2")
    assert (found.protocol, found.authentication, found.reachable, found.user) == ("telnet", "password", "unknown", "root")


def test_default_inittab_runs_rcs_when_there_is_none() -> None:
    (found,) = by_name(busybox(None) | {"/etc/init.d/rcS": "#!/bin/sh\ntelnetd\n"})
    assert found.enabled == "yes"


@pytest.mark.parametrize(
    ("line", "enabled"),
    [
        ("::respawn:/usr/sbin/telnetd -F", "yes"),
        ("::once:/usr/sbin/telnetd", "yes"),
        ("::wait:telnetd", "yes"),
        ("#::respawn:/usr/sbin/telnetd -F", "no"),
        ("::off:/usr/sbin/telnetd", "no"),
        ("::ctrlaltdel:/usr/sbin/telnetd", "no"),
        ("::shutdown:/usr/sbin/telnetd", "no"),
        ("id:3:initdefault:\nt:5:respawn:/usr/sbin/telnetd -F", "yes"),  # busybox knows no runlevels
        ("id:3:initdefault:\nt:35:respawn:/usr/sbin/telnetd -F", "yes"),
    ],
)
def test_inittab_actions(line: str, enabled: str) -> None:
    assert by_name(busybox(line + "\n"))[0].enabled == enabled


def test_links_of_runlevel_directories_run_in_order_and_kill_links_do_not() -> None:
    tree = busybox("::sysinit:/etc/init.d/rcS\n")
    tree["/etc/init.d/rcS"] = '#!/bin/sh\nfor i in /etc/rc.d/S??* ;do\n  [ ! -f "$i" ] && continue\n  $i start\ndone\n'
    script = '#!/bin/sh\ncase "$1" in start) telnetd;; stop) killall telnetd;; esac\n'
    assert by_name(tree | {"/etc/rc.d/S50x": script})[0].enabled == "yes"
    assert by_name(tree | {"/etc/rc.d/K50x": script})[0].enabled == "no"
    assert by_name(tree | {"/etc/init.d/x": script})[0].enabled == "no"


def test_openwrt_telnet_runs_until_a_root_password_or_a_key_is_set() -> None:
    (found,) = by_name(openwrt())
    assert (found.enabled, found.started_by) == ("yes", "/etc/rc.d/S50telnet:14")
    hashed = {"/etc/shadow": "root:$1$abcdefgh$0123456789abcdefghijkl:0:0:99999:7:::\n"}
    assert by_name(openwrt() | hashed)[0].enabled == "no"
    key = {
        "/etc/dropbear/authorized_keys": "ssh-rsa AAAA x\n",
        "/etc/init.d/dropbear": _RC,
        "/etc/rc.d/S50dropbear": Link("../init.d/dropbear"),
    }
    assert by_name(openwrt() | key)[0].enabled == "no"
    assert by_name(openwrt() | {"/etc/dropbear/authorized_keys": "ssh-rsa AAAA x\n"})[0].enabled == "yes"


def test_openwrt_script_without_a_start_link_is_not_enabled() -> None:
    assert by_name(openwrt(link=False))[0].enabled == "no"


@pytest.mark.parametrize(("option", "enabled"), [("option enable '0'", "no"), ("option enable '1'", "yes"), ("", "yes")])
def test_uci_options_decide(option: str, enabled: str) -> None:
    script = _RC + "start_service() {\n config_load x\n config_get_bool on main enable 1\n [ $on -eq 1 ] || return\n"
    script += " procd_open_instance\n procd_set_param command telnetd\n procd_set_param user nobody\n"
    script += " procd_close_instance\n}\nUSE_PROCD=1\n"
    (found,) = by_name(openwrt(script) | {"/etc/config/x": f"config x 'main'\n\t{option}\n"})
    assert found.enabled == enabled
    if enabled == "yes":
        assert found.user == "nobody"


def test_uci_options_of_a_missing_package_are_unknown() -> None:
    script = _RC + 'start() {\n [ "$(uci get absent.main.on)" = 1 ] && telnetd\n}\n'
    assert by_name(openwrt(script))[0].enabled == "unknown"


def test_a_first_boot_script_that_disables_a_service_counts() -> None:
    boot = _RC + "boot() {\n for i in /etc/uci-defaults/*; do ( . $i ); done\n}\n"
    tree = openwrt() | {
        "/etc/init.d/boot": boot,
        "/etc/rc.d/S10boot": Link("../init.d/boot"),
        "/etc/uci-defaults/9": "/etc/init.d/telnet disable\n",
    }
    (found,) = by_name(tree)
    assert found.enabled == "no"
    assert "/etc/uci-defaults/9:1" in found.condition


def test_started_either_way_is_enabled() -> None:
    tree = busybox("::sysinit:/etc/rcS\n") | {"/etc/rcS": "#!/bin/sh\nif [ -f /tmp/a ]; then telnetd & else telnetd & fi\n"}
    assert by_name(tree)[0].enabled == "yes"


def test_a_file_on_a_memory_card_is_not_there_by_default() -> None:
    tree = busybox("::sysinit:/etc/rcS\n") | {
        "/etc/rcS": "#!/bin/sh\nif [ -f /tmp/sd/test.sh ]; then sh /tmp/sd/test.sh; else telnetd; fi\n"
    }
    (found,) = by_name(tree)
    assert (found.enabled, found.condition) == ("yes", "not ([ -f /tmp/sd/test.sh ])")
    (found,) = by_name(tree | {"/etc/rcS": "#!/bin/sh\n[ -f /tmp/sd/test.sh ] && telnetd\n"})
    assert found.enabled == "unknown"


def test_bind_address_and_login_program_are_read_from_the_arguments() -> None:
    tree = busybox("::sysinit:/etc/rcS\n")
    (found,) = by_name(tree | {"/etc/rcS": "#!/bin/sh\ntelnetd -b 127.0.0.1 -p 12345 -l /bin/sh\n"})
    assert (found.reachable, found.authentication) == ("loopback", "none")
    (found,) = by_name(
        tree | {"/etc/rcS": "#!/bin/sh\ntelnetd -l /bin/l.sh\n", "/bin/l.sh": "#!/bin/sh\n# login\nexec /bin/sh\n"}
    )
    assert found.authentication == "none"
    (found,) = by_name(tree | {"/etc/rcS": "#!/bin/sh\ntelnetd -l /bin/l.sh\n", "/bin/l.sh": "#!/bin/sh\nexec /bin/login\n"})
    assert found.authentication == "password"
    (found,) = by_name(tree | {"/etc/rcS": "#!/bin/sh\ntelnetd -u admin:secret99\n"})
    assert "secret99" not in repr(found)


def test_a_background_program_of_the_vendor_is_a_service_and_a_foreground_tool_is_not() -> None:
    tree = busybox("::sysinit:/etc/rcS\n") | {
        "/etc/rcS": "#!/bin/sh\ninsmod x.ko\n/usr/bin/app -d &\nsleep 5 &\n/usr/bin/tool\n",
        "/usr/bin/tool": _ELF,
    }
    found = services(firmware_of(tree))
    assert [each.name for each in found if each.enabled == "yes"] == ["app"]


def test_a_missing_program_is_not_enabled() -> None:
    tree = {
        "/sbin/init": _ELF,
        "/etc/inittab": "::sysinit:/etc/rcS\n",
        "/etc/rcS": "#!/bin/sh\n/usr/sbin/telnetd\ndropbear\n",
        "/lib/x": "",
    }
    assert [each for each in services(firmware_of(tree)) if each.enabled == "yes"] == []


def test_an_init_that_is_a_program_of_its_own_leaves_everything_unknown() -> None:
    tree = {"/sbin/init": _ELF, "/usr/sbin/telnetd": _ELF, "/etc/x": "", "/lib/x": ""}
    assert by_name(tree)[0].enabled == "unknown"


def test_inetd_and_xinetd_offer_what_their_files_say() -> None:
    tree = busybox("::sysinit:/etc/rcS\n") | {"/usr/sbin/inetd": _ELF, "/etc/rcS": "#!/bin/sh\ninetd\n"}
    line = "telnet stream tcp nowait root /usr/sbin/telnetd telnetd -i\n"
    assert by_name(tree | {"/etc/inetd.conf": line})[0].started_by == "/etc/inetd.conf:1"
    assert by_name(tree | {"/etc/inetd.conf": "#" + line})[0].enabled == "no"
    tree = busybox("::sysinit:/etc/rcS\n") | {"/usr/sbin/xinetd": _ELF, "/etc/rcS": "#!/bin/sh\nxinetd\n"}
    block = "service telnet\n{{\n disable = {}\n user = root\n server = /usr/sbin/telnetd\n}}\n"
    assert by_name(tree | {"/etc/xinetd.d/telnet": block.format("no")})[0].enabled == "yes"
    assert by_name(tree | {"/etc/xinetd.d/telnet": block.format("yes")})[0].enabled == "no"


def systemd(unit: str = "", **files: bytes | str) -> dict[str, bytes | str]:
    tree: dict[str, bytes | str] = {
        "/lib/systemd/systemd": _ELF,
        "/sbin/init": Link("/lib/systemd/systemd"),
        "/usr/sbin/telnetd": _ELF,
    }
    tree |= {"/etc/machine-id": "0123456789abcdef0123456789abcdef\n", "/usr/bin/x": "", "/bin/x": ""}
    tree |= {"/lib/systemd/system/default.target": Link("multi-user.target"), "/lib/systemd/system/multi-user.target": "[Unit]\n"}
    text = f"[Unit]\n{unit}\n[Service]\nUser=tel\nExecStart=/usr/sbin/telnetd -F $OPTS\nEnvironment=OPTS=-p99\n"
    text += "[Install]\nWantedBy=multi-user.target\n"
    return tree | {"/lib/systemd/system/t.service": text} | files


_WANTED = {"/etc/systemd/system/multi-user.target.wants/t.service": Link("/lib/systemd/system/t.service")}


def test_systemd_starts_what_the_default_target_wants() -> None:
    (found,) = by_name(systemd() | _WANTED)
    assert (found.enabled, found.user, found.arguments, found.started_by) == (
        "yes",
        "tel",
        "-F -p99",
        "/lib/systemd/system/t.service:5",
    )


def test_systemd_units_that_are_not_wanted_masked_or_impossible_are_not_enabled() -> None:
    assert by_name(systemd())[0].enabled == "no"
    assert by_name(systemd() | _WANTED | {"/etc/systemd/system/t.service": Link("/dev/null")})[0].enabled == "no"
    assert by_name(systemd("ConditionPathExists=/absent") | _WANTED)[0].enabled == "no"
    assert by_name(systemd("ConditionKernelCommandLine=debug") | _WANTED)[0].enabled == "unknown"


def test_systemd_socket_units_offer_their_service() -> None:
    socket = {"/etc/systemd/system/sockets.target.wants/t.socket": Link("/lib/systemd/system/t.socket")}
    tree = systemd() | socket | {"/lib/systemd/system/t.socket": "[Socket]\nListenStream=23\n"}
    tree |= {
        "/lib/systemd/system/multi-user.target": "[Unit]\nRequires=sockets.target\n",
        "/lib/systemd/system/sockets.target": "[Unit]\n",
    }
    assert by_name(tree)[0].enabled == "yes"


def test_systemd_presets_of_a_first_boot_are_undecided() -> None:
    preset = {"/usr/lib/systemd/system-preset/90.preset": "enable t.service\ndisable *\n", "/etc/machine-id": ""}
    assert by_name(systemd() | preset)[0].enabled == "unknown"


def test_openrc_services_of_the_default_runlevel_are_enabled() -> None:
    tree = busybox("::sysinit:/sbin/openrc default\n") | {"/sbin/openrc": _ELF}
    tree |= {
        "/etc/init.d/tel": '#!/sbin/openrc-run\ncommand=/usr/sbin/telnetd\ncommand_args="$OPTS"\n',
        "/etc/conf.d/tel": "OPTS='-p 99'\n",
    }
    assert by_name(tree)[0].enabled == "no"
    (found,) = by_name(tree | {"/etc/runlevels/default/tel": Link("/etc/init.d/tel")})
    assert (found.enabled, found.arguments) == ("yes", "-p 99")


def test_cron_commands_run_where_crond_does() -> None:
    tree = busybox("::sysinit:/etc/rcS\n") | {"/etc/crontabs/root": "*/5 * * * * /usr/sbin/telnetd\n", "/usr/sbin/crond": _ELF}
    assert by_name(tree | {"/etc/rcS": "#!/bin/sh\ncrond\n"})[0].started_by == "/etc/crontabs/root:1"
    assert by_name(tree | {"/etc/rcS": "#!/bin/sh\n:\n"})[0].enabled == "no"


def test_hotplug_scripts_are_unknown_but_the_lan_always_comes_up() -> None:
    tree = openwrt(link=False) | {"/etc/hotplug.d/usb/10": "telnetd\n"}
    assert by_name(tree)[0].enabled == "unknown"


def test_super_servers_of_busybox_name_the_inner_program() -> None:
    tree = busybox("::sysinit:/etc/rcS\n") | {
        "/etc/rcS": "#!/bin/sh\ntcpsvd -vE 0.0.0.0 21 ftpd -w / &\n",
        "/usr/sbin/ftpd": Link("../../bin/busybox"),
    }
    (found,) = by_name(tree, "ftpd")
    assert (found.enabled, found.authentication) == ("yes", "none")


@pytest.mark.parametrize(
    ("function", "arguments", "enabled"),
    [
        ("system", ("telnetd &",), "unknown"),
        ("doSystem", ("killall telnetd; /usr/sbin/telnetd -l /bin/sh",), "unknown"),
        ("execl", ("/usr/sbin/telnetd", "telnetd"), "unknown"),
        ("system", ("killall telnetd",), "no"),
        ("fopen", ("telnetd", "r"), "no"),
        ("execl", ("/bin/killall", "telnetd"), "no"),
        ("system", (None, 1), "no"),
    ],
)
def test_a_daemon_that_the_code_of_a_started_program_can_start_is_undecided(
    function: str, arguments: tuple[str | int | None, ...], enabled: str
) -> None:
    app = _ELF + b"app"
    firmware = firmware_of(busybox("::sysinit:/etc/rcS\n") | {"/etc/rcS": "#!/bin/sh\n/usr/bin/app &\n", "/usr/bin/app": app})
    fs = firmware.filesystems[0]
    facts = fs.facts("/usr/bin/app")
    assert facts is not None
    elf = ElfFacts(machine="mips", bits=32, endian="big", type="executable")
    called = (CallFact(function=function, arguments=arguments, offset=64),)
    fs._facts[facts.sha256] = msgspec.structs.replace(facts, kind="elf", elf=elf, calls=called)  # type: ignore[index]
    found = [each for each in services(firmware) if each.name == "telnetd"]
    assert [each.enabled for each in found] == [enabled]
    if enabled == "unknown":
        assert "app runs" in found[0].condition
