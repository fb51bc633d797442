"""What is said of logs, of the way back to the factory state, of resilience and of information for the user."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import pytest
from support.trees import Link, firmware_of

from fwcheck.analysers import logs, product_information, reset, resilience
from fwcheck.device.build import build
from fwcheck.device.firmware import Firmware
from fwcheck.model import Coverage, Device, Evidence, Finding, Gap, Image, Location, Node, NodeKind, Service, Trait

_ELF = b"\x7fELF\1\2\1" + bytes(60)
ROOT = "test.bin › squashfs@0x0"
BASE: dict[str, bytes | str] = {
    "/bin/busybox": _ELF, "/sbin/init": Link("../bin/busybox"), "/bin/sh": Link("busybox"), "/lib/x": "",
    "/sbin/syslogd": Link("../bin/busybox"), "/etc/inittab": "::sysinit:/etc/init.d/rcS\n", "/usr/bin/app": _ELF + b"1",
    "/etc/init.d/rcS": "#!/bin/sh\n/usr/bin/app &\n",
}  # fmt: skip
PROOF = (Evidence(location=Location(chain=("test.bin", "squashfs@0x0"), path="/etc/x", line=1), text="x"),)


def trait(name: str, state: Literal["yes", "no", "unknown"] = "yes", detail: str = "d") -> Trait:
    return Trait(name=name, state=state, detail=detail, root=ROOT, evidence=PROOF)


def said(findings: Any) -> list[tuple[str, str, str]]:
    return [(each.rule, each.verdict, each.confidence) for each in findings]


def whole(files: dict[str, bytes | str], analyser: Any) -> list[Finding]:
    firmware = firmware_of(BASE | files)
    return list(analyser.analyse(firmware, build(firmware)))


# --------------------------------------------------------------------------- logs


def test_no_log_is_told_only_where_the_boot_could_be_followed() -> None:
    assert said(whole({}, logs)) == [("LOG-001", "concern", "tentative")]
    assert said(whole({"/etc/init.d/rcS": "#!/bin/sh\nsyslogd -n\n"}, logs)) == [("LOG-006", "support", "firm")]
    assert whole({"/etc/init.d/rcS": "#!/bin/sh\n/usr/bin/app &\n/var/run/more.sh\n"}, logs) == []  # a script that is not there
    assert whole({"/web/SystemLog.htm": "<p>"}, logs) == []  # some program keeps one


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([trait("log kept over a restart", "no")], [("LOG-002", "concern", "firm")]),
        ([trait("log kept over a restart")], [("LOG-002", "support", "firm")]),
        ([trait("log kept over a restart", "no"), trait("remote log", detail="TLS to x")], [("LOG-003", "support", "firm")]),
        ([trait("remote log", detail="udp to 192.0.2.1")], [("LOG-003", "concern", "firm")]),
        ([trait("audit", detail="auditd")], [("LOG-005", "support", "firm")]),
        ([trait("time", detail="ntpd")], [("LOG-005", "info", "firm")]),
        ([trait("time", "unknown")], []),
    ],
)
def test_rows_on_logs(rows: list[Trait], expected: list[tuple[str, str, str]]) -> None:
    assert said(logs.analyse(firmware_of({"/x": "y"}), Device(logging=tuple(rows)))) == expected


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('logger -t wifi "key set to $wpa_passphrase"', True),
        ('logger "login of $user with ${PASSWORD}"', True),
        ('logger "wrong password for $user"', False),
        ('# logger "$password"', False),
        ('echo "$password" > /etc/config/x', False),
    ],
)
def test_passwords_that_scripts_log(line: str, told: bool) -> None:
    held = [each for each in whole({"/usr/sbin/wifi.sh": f"#!/bin/sh\n{line}\n"}, logs) if each.rule == "LOG-004"]
    assert [(each.verdict, each.location.line) for each in held] == ([("concern", 2)] if told else [])


def test_formats_that_show_a_password() -> None:
    held = [each for each in whole({"/usr/bin/app": _ELF + b"\0connect ssid:%s passwd:%s\0"}, logs) if each.rule == "LOG-004"]
    assert [(each.verdict, each.confidence, each.severity.value) for each in held] == [("concern", "tentative", "low")]
    config = whole({"/usr/bin/app": _ELF + b"\0user %s password %s\0ssid=%s,psk=%s\0"}, logs)  # lines of a settings file
    assert [each for each in config if each.rule == "LOG-004"] == []


# --------------------------------------------------------------------------- reset


def test_a_way_back_that_a_script_shows() -> None:
    (one,) = whole({"/usr/sbin/factory-reset.sh": "#!/bin/sh\nrm -rf /overlay/*\n"}, reset)
    assert (one.rule, one.verdict, one.confidence, one.location.path) == (
        "RST-001",
        "support",
        "firm",
        "/usr/sbin/factory-reset.sh",
    )


def test_words_alone_are_tentative() -> None:
    (one,) = whole({"/usr/bin/app": _ELF + b"\0factory_reset\0"}, reset)
    assert (one.rule, one.verdict, one.confidence) == ("RST-001", "support", "tentative")


def test_absence_counts_only_in_a_whole_image_that_was_read() -> None:
    base = firmware_of(BASE)
    service = Service(name="app", program="/usr/bin/app", enabled="yes", root=ROOT)
    device = Device(services=(service,))
    boot = Node(chain=("test.bin", "uimage@0x0"), path="", kind=NodeKind.CONTAINER, format="uimage")
    facts = {each.sha256: held for each in base.nodes if each.sha256 and (held := base.facts_of(each))}

    def image(coverage: Coverage, *nodes: Node) -> Firmware:
        return Firmware(base.image, (*nodes, *base.nodes), facts, coverage)

    read = Coverage(bytes_total=100, bytes_explained=100)
    assert said(reset.analyse(image(read, boot), device)) == [("RST-001", "concern", "tentative")]
    assert list(reset.analyse(image(read), device)) == []  # one partition
    assert list(reset.analyse(image(msgspec.structs.replace(read, bytes_unknown=20), boot), device)) == []
    assert list(reset.analyse(image(msgspec.structs.replace(read, gaps=(Gap(node="x", reason="y"),)), boot), device)) == []
    assert list(reset.analyse(image(read, boot), Device())) == []


def test_storage_that_the_way_back_leaves() -> None:
    kept = (
        trait("kept over a restart", detail="/data (ext4 on /dev/mmcblk0p3)"),
        trait("kept over a restart", detail="/overlay (jffs2 on x)"),
    )
    directories = trait("reset handler", detail="/overlay/*")
    partition = trait("reset handler", detail="rootfs_data")
    assert said(reset.analyse(firmware_of({"/x": "y"}), Device(reset=(directories,), storage=kept)))[1:] == [
        ("RST-002", "concern", "tentative")
    ]
    assert len(list(reset.analyse(firmware_of({"/x": "y"}), Device(reset=(directories, partition), storage=kept)))) == 1
    both = trait("reset handler", detail="/overlay/*, /data/*")
    assert len(list(reset.analyse(firmware_of({"/x": "y"}), Device(reset=(both,), storage=kept)))) == 1


# --------------------------------------------------------------------------- resilience, storage, information


@pytest.mark.parametrize(
    ("name", "state", "rule", "verdict"),
    [
        ("watchdog", "yes", "RES-001", "support"),
        ("watchdog", "unknown", "RES-001", "info"),
        ("two slots", "yes", "RES-002", "support"),
        ("storage that survives a power cut", "yes", "RES-003", "support"),
        ("redundant settings", "yes", "RES-003", "support"),
        ("services restarted", "yes", "RES-004", "support"),
    ],
)
def test_resilience(name: str, state: Literal["yes", "unknown"], rule: str, verdict: str) -> None:
    (one,) = resilience.analyse(firmware_of({"/x": "y"}), Device(resilience=(trait(name, state),)))
    assert (one.rule, one.verdict) == (rule, verdict)


def test_protected_storage() -> None:
    rows = (trait("encrypted storage"), trait("keys kept apart", "unknown"), trait("kept over a restart"))
    assert said(resilience.analyse(firmware_of({"/x": "y"}), Device(storage=rows))) == [("FS-008", "support", "firm")]


@pytest.mark.parametrize(
    ("path", "text", "criteria"),
    [
        ("/www/.well-known/security.txt", "# x\nContact: https://example.org/s\n", ("S1.1-05",)),
        ("/www/.well-known/security.txt", "nothing\n", ()),
        ("/www/userRpm/SoftwareUpgradeRpm.htm", "<p>", ("S1.1-07",)),
        ("/etc/upgrade.htm", "<p>", ()),  # no page
        ("/etc/upnp/desc.xml", "<root><modelName>SR-100</modelName></root>", ("S1.1-10",)),
        ("/etc/upnp/desc.xml", "<root><modelName>%s</modelName></root>", ()),
        ("/etc/os-release", "SUPPORT_END=2031-12-31\n", ("S1.1-16",)),
        ("/etc/os-release", 'PRETTY_NAME="Sample Router SR-100"\n', ("S1.1-10",)),
    ],
)
def test_information(path: str, text: str, criteria: tuple[str, ...]) -> None:
    held = list(product_information.analyse(firmware_of({path: text}), Device()))
    assert [(each.rule, each.verdict, each.criteria) for each in held] == ([("INF-001", "support", criteria)] if criteria else [])


def test_the_model_of_a_device_tree() -> None:
    node = Node(chain=("x", "fdt@0x0"), path="", kind=NodeKind.CONTAINER, format="fdt", detail={"model": "Sample SR-100"})
    image = Image(name="x", size=1, sha256="0" * 64, format="x")
    assert said(product_information.analyse(Firmware(image, [node], {}, Coverage()), Device())) == [
        ("INF-001", "support", "tentative")
    ]
