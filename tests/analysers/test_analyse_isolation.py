"""Permissions and isolation: what a bit lets somebody do, and what it does not."""

from __future__ import annotations

import msgspec
import pytest
from support.trees import Link, firmware_of

from fwcheck.analysers import isolation
from fwcheck.device.build import build
from fwcheck.device.firmware import Firmware
from fwcheck.model import Device, Evidence, Finding, Location, Node, Service, Trait

_ELF = b"\x7fELF\1\2\1" + bytes(60)
BASE: dict[str, bytes | str] = {
    "/bin/busybox": _ELF, "/sbin/init": Link("../bin/busybox"), "/bin/sh": Link("busybox"), "/lib/x": "", "/etc/conf": "a=b\n",
    "/etc/inittab": "::sysinit:/etc/init.d/rcS\n", "/etc/init.d/rcS": "#!/bin/sh\n/usr/bin/app &\n", "/usr/bin/app": _ELF + b"1",
}  # fmt: skip


def found(
    files: dict[str, bytes | str] | None = None, modes: dict[str, int] | None = None, format: str = "ubifs"
) -> list[Finding]:
    firmware = firmware_of(BASE | (files or {}), modes, format)
    return list(isolation.analyse(firmware, build(firmware)))


def test_a_script_of_the_boot_that_anybody_may_change() -> None:
    (one,) = found(modes={"/etc/init.d/rcS": 0o777})
    assert (one.rule, one.verdict, one.severity.value, one.location.path) == ("FS-004", "violation", "medium", "/etc/init.d/rcS")
    assert one.evidence == "mode 0777, owner 0:0"
    (program,) = found(modes={"/usr/bin/app": 0o777})
    assert program.rule == "FS-004"


def test_on_a_read_only_file_system_the_bit_is_told_and_not_counted() -> None:
    (one,) = found(modes={"/etc/init.d/rcS": 0o777}, format="squashfs")
    assert (one.rule, one.verdict) == ("FS-001", "info")


def test_other_files_that_anybody_may_change() -> None:
    (one,) = found(modes={"/etc/conf": 0o666})
    assert (one.rule, one.verdict, one.severity.value) == ("FS-001", "concern", "low")
    assert found({"/tmp/x": "y", "/var/log/z": "y"}, {"/tmp/x": 0o666, "/var/log/z": 0o666}) == []


def test_modes_that_were_lost_in_packing_say_nothing() -> None:
    assert found(modes=dict.fromkeys(BASE, 0o777)) == []
    held = found(modes={path: 0o777 for path in BASE if path != "/usr/bin/app"})
    assert [(each.rule, each.confidence) for each in held] == [("FS-001", "tentative")]


@pytest.mark.parametrize(
    ("path", "content", "mode", "told"),
    [
        ("/bin/bash", _ELF + b"2", 0o4755, "concern"),
        ("/usr/bin/python3.9", _ELF + b"2", 0o4755, "concern"),
        ("/usr/bin/vendor-tool", _ELF + b"2", 0o4755, "concern"),
        ("/usr/bin/run.sh", "#!/bin/sh\nid\n", 0o4755, "info"),
        ("/usr/bin/passwd", _ELF + b"2", 0o4755, ""),
        ("/bin/busybox", _ELF, 0o4755, ""),
        ("/web/model.conf", "data\n", 0o7755, ""),  # data: the bit does nothing
        ("/usr/bin/vendor-tool", _ELF + b"2", 0o4644, ""),  # cannot be run
    ],
)
def test_setuid(path: str, content: bytes | str, mode: int, told: str) -> None:
    held = found({path: content}, {path: mode}, "squashfs")
    assert [(each.rule, each.verdict) for each in held] == ([("FS-005", told)] if told else [])


@pytest.mark.parametrize(
    ("words", "told"), [("cap_sys_admin+ep", True), ("cap_net_raw+ep", False), ("cap_net_bind_service,cap_setuid+eip", True)]
)
def test_file_capabilities(words: str, told: bool) -> None:
    firmware = firmware_of(BASE | {"/usr/bin/cap": _ELF + b"3"})

    def marked(node: Node) -> Node:
        return msgspec.structs.replace(node, detail={"security.capability": words}) if node.path == "/usr/bin/cap" else node

    facts = {each.sha256: held for each in firmware.nodes if each.sha256 and (held := firmware.facts_of(each))}
    changed = Firmware(firmware.image, [marked(node) for node in firmware.nodes], facts, firmware.coverage)
    assert [each.rule for each in isolation.analyse(changed, Device())] == (["FS-006"] if told else [])


@pytest.mark.parametrize(
    ("files", "line", "told"),
    [
        ({"/etc/lighttpd.conf": "server.port = 80\n"}, "lighttpd -f /etc/lighttpd.conf", True),
        ({"/etc/lighttpd.conf": 'server.username = "www"\n'}, "lighttpd -f /etc/lighttpd.conf", False),
        ({"/etc/boa/boa.conf": "Port 80\nUser nobody\n"}, "boa", False),
        ({"/etc/boa/boa.conf": "Port 80\nUser root\n"}, "boa", True),
        ({"/etc/nginx/nginx.conf": "worker_processes 1;\n"}, "nginx", False),
        ({}, "thttpd -u www -d /www", False),
        ({}, "goahead", True),
    ],
)
def test_web_servers_that_keep_the_rights_of_root(files: dict[str, bytes | str], line: str, told: bool) -> None:
    name = line.partition(" ")[0]
    script = f"#!/bin/sh\n/usr/sbin/{line}\n"
    held = found({f"/usr/sbin/{name}": _ELF + b"4", "/etc/init.d/rcS": script, **files}, format="squashfs")
    assert [each.rule for each in held if each.verdict == "concern"] == (["FS-007"] if told else [])


def test_measures_in_force_speak_for_the_device_and_others_against_it() -> None:
    proof = (Evidence(location=Location(path="/etc/selinux/config", line=3), text="SELINUX=x"),)
    rows = (
        Trait(name="SELinux", state="no", detail="permissive", evidence=proof),
        Trait(name="systemd sandbox", state="yes", detail="webd.service (3)", evidence=proof),
        Trait(name="AppArmor", state="unknown", detail="2 profiles", evidence=proof),
    )
    held = list(isolation.analyse(firmware_of(BASE), Device(isolation=rows)))
    assert [(each.rule, each.verdict) for each in held] == [("HRD-003", "concern"), ("FS-009", "support")]


def test_a_service_with_an_odd_user_does_no_harm() -> None:
    service = Service(name="httpd", program="", protocol="http", enabled="yes", user="\0", root="nowhere")
    assert list(isolation.analyse(firmware_of(BASE), Device(services=(service,)))) == []
