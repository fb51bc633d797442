"""Boot commands followed: what they start, from where, under which condition; and nothing runs away on hostile ones."""

from __future__ import annotations

import time

import pytest

from fwcheck.device.booting.script import Walk, is_off, walk

DISTRO = {
    "bootcmd": "run distro_bootcmd",
    "distro_bootcmd": "for target in ${boot_targets}; do run bootcmd_${target}; done",
    "bootcmd_mmc0": "devnum=0; run mmc_boot",
    "bootcmd_usb0": "devnum=0; run usb_boot",
    "bootcmd_dhcp": "if dhcp ${scriptaddr} boot.scr; then source ${scriptaddr}; fi",
    "mmc_boot": "if mmc dev ${devnum}; then devtype=mmc; run scan_dev_for_boot_part; fi",
    "usb_boot": "usb start; if usb dev ${devnum}; then devtype=usb; run scan_dev_for_boot_part; fi",
    "scan_dev_for_boot_part": "part list ${devtype} ${devnum} -bootable devplist; env exists devplist || setenv devplist 1; "
    "for distro_bootpart in ${devplist}; do if fstype ${devtype} ${devnum}:${distro_bootpart} bootfstype; then "
    "run scan_dev_for_boot; fi; done; setenv devplist",
    "scan_dev_for_boot": "if test -e ${devtype} ${devnum}:1 /extlinux.conf; then sysboot ${devtype} ${devnum}:1 any 1000 /x; fi",
}


def of(command: str, **values: str) -> Walk:
    return walk({"bootcmd": command, **values})


@pytest.mark.parametrize(
    ("command", "values", "expected"),
    [
        ("sf probe;sf read 0x80600000 0x40000 0x220000; bootm 0x80600000", {}, [("bootm", "flash", True)]),
        ("nand read 82000000 kernel; bootm 82000000", {}, [("bootm", "flash", True)]),
        ("bootm 0xbf020000", {}, [("bootm", "memory", True)]),
        ("tftp $(loadaddr) $(bootfile); bootm", {}, [("bootm", "network", True)]),
        ("tftp", {}, []),  # loads and starts nothing
        ("tftp", {"autostart": "yes"}, [("bootm", "network", True)]),
        ("run flash || run net", {"flash": "ubi read 1000000 kernel && bootm 1000000", "net": "dhcp 2000000 k; bootm 2000000"},
         [("bootm", "flash", True), ("bootm", "network", True)]),
        ("if test ${netboot} = yes; then tftp 1000000 x; bootm 1000000; fi; bootm 9f020000", {"netboot": "no"},
         [("bootm", "memory", True)]),
        ("if test ${netboot} = yes; then tftp 1000000 x; bootm 1000000; fi; bootm 9f020000", {"netboot": "yes"},
         [("bootm", "network", True), ("bootm", "memory", True)]),
        ("if gpio input 4; then tftp 1000000 x; bootm 1000000; fi", {}, [("bootm", "network", True)]),
        ("if vendor_button; then tftp 1000000 x; bootm 1000000; fi", {}, [("bootm", "network", False)]),
        ("load mmc 0:1 42000000 zImage; bootz 42000000 - 43000000", {}, [("bootz", "mmc", True)]),
        ("fatload usb 0 42000000 Image && booti 42000000", {}, [("booti", "usb", True)]),
        ("setenv a bootm; $a 0x1000000", {}, [("bootm", "memory", True)]),
        ('test -n "$x" && bootm 1; test -z "$x" && go 2', {}, [("go", "memory", True)]),
        ("while true; do dhcp; bootm; done", {}, [("bootm", "network", True)]),
        ("tftp 0x1000000 x; nand read 0x2000000 k; bootm 0x2000000", {}, [("bootm", "flash", True)]),
        ("tftp ${loadaddr} x; sf read 01000000 0 1; bootm", {"loadaddr": "0x1000000"}, [("bootm", "flash", True)]),
        ("pxe get; pxe boot", {}, [("pxe", "network", True)]),
        ("", {}, []),
    ],
)  # fmt: skip
def test_what_is_started_and_from_where(command: str, values: dict[str, str], expected: list[tuple[str, str, bool]]) -> None:
    assert [(each.command, each.origin, each.sure) for each in of(command, **values).starts] == expected


@pytest.mark.parametrize(("targets", "first"), [("mmc0 usb0 dhcp", "mmc"), ("usb0 mmc0 dhcp", "usb"), ("dhcp mmc0", "network")])
def test_the_order_of_boot_targets_counts(targets: str, first: str) -> None:
    found = walk({**DISTRO, "boot_targets": targets})
    assert found.starts[0].origin == first
    assert (found.foreign is not None) is (first != "mmc")


def test_a_condition_that_only_the_device_knows_is_no_boot_from_outside() -> None:
    assert of("if vendor_button; then tftp 1000000 x; bootm 1000000; fi; bootm 9f020000").foreign is None
    assert of("if fatload usb 0 1000000 x; then bootm 1000000; fi; bootm 9f020000").foreign is not None


def test_verify_is_the_value_at_the_start() -> None:
    (start,) = of("setenv verify n; bootm 1000000").starts
    assert start.verify == "n"


@pytest.mark.parametrize(
    ("value", "off"),
    [("n", True), ("no", True), ("0", True), ("false", True), ("off", True), ("y", False), ("", False), ("1", False)],
)
def test_values_of_verify(value: str, off: bool) -> None:
    assert is_off(value) is off


def test_commands_of_the_vendor_and_checks_are_told() -> None:
    found = of("tw_boot; hab_auth_img 12000000 2000 && bootm 12000000")
    assert (found.unknown, found.checks, found.complete) == (("tw_boot",), ("hab_auth_img 12000000 2000",), False)


@pytest.mark.parametrize(
    "values",
    [
        {"bootcmd": "run a", "a": "run b", "b": "run a; run b; bootm 1"},
        {"bootcmd": "boot; bootd; run bootcmd"},
        {"bootcmd": "a" * 1_000_000},
        {"bootcmd": "run a;" * 170_000, "a": "b;" * 500_000},
        {"bootcmd": f"for a in {'x ' * 5000}; do for b in {'y ' * 5000}; do run c; done; done", "c": "run d;" * 50, "d": "go 1"},
        {"bootcmd": "if " * 300_000},
        {"bootcmd": "(" * 100_000 + "$(" * 50_000 + "`" * 9_999},
        {"bootcmd": "${" * 200_000},
        {"bootcmd": "setenv a $a$a$a$a$a$a;" * 2000 + "$a", "a": "x" * 2000},
        {f"v{number}": f"run v{number + 1}" for number in range(5000)} | {"bootcmd": "run v0"},
        {"bootcmd": "\0\1\2\x7f\udce9 ; bootm \udcff"},
        {"bootcmd": "test " + "! " * 5000 + "x && bootm 1"},
    ],
)  # fmt: skip
def test_hostile_commands_end_soon(values: dict[str, str]) -> None:
    begin = time.process_time()
    found = walk(values)
    assert time.process_time() - begin < 2
    assert len(found.starts) <= 64
    assert all(len(each.line) <= 200 and len(each.load) <= 200 for each in found.starts)
