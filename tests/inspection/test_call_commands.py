"""Commands that a program fills in first, and its own functions that run commands, for nine kinds of processors."""

import pytest
from support.programs import build

from fwcheck.inspection.call_commands import OWN
from fwcheck.inspection.call_roles import command_role, role_of, writes_by_name
from fwcheck.inspection.calls import read_calls
from fwcheck.inspection.elf import read_elf

PROGRAMS = build.kept("commands")
NAMES = sorted(PROGRAMS)
STACK_ARGUMENTS = ("x86 ",)  # where the buffers of calls are told by place on the stack, which is not followed


def commands(name):
    content = PROGRAMS[name]
    calls = read_calls(content, read_elf(content)).calls
    return {(call.function.split("@")[0] + "@" * call.function.startswith(OWN), call.arguments[0]) for call in calls}


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(STACK_ARGUMENTS)])
def test_the_format_of_a_command_is_told(name):
    told = commands(name)
    assert ("system", "wget -O /tmp/fw.bin %s") in told
    # A constant value stands in its place, where registers carry it.
    assert told & {("system", "dd if=%s of=/dev/mtdblock4"), ("system", "dd if=%s of=%s")}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_put_into_another_buffer_is_not_the_command(name):
    assert not {text for _, text in commands(name)} & {"wrong %s", "not a command %s", "eth0"}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "mips64el -O0"])
def test_a_function_that_runs_what_it_is_given_is_one_that_runs_commands(name):
    told = commands(name)
    assert (OWN, "mtd write %s firmware") in told
    if not name.startswith(STACK_ARGUMENTS) and not name.endswith("-O0"):
        assert (OWN, "reboot -f") in told


def test_a_fixed_buffer_is_known_again():
    assert ("system", "tftp -g -r firmware.bin %s") in commands("aarch64 -O2")


@pytest.mark.parametrize("level", build.LEVELS)
@pytest.mark.parametrize("target", build.TARGETS)
def test_the_compiler_of_this_machine_gives_nothing_wrong(target, level):
    if build.compiler(target) is None:
        pytest.skip(f"{build.TARGETS[target][0]} is not installed: the kept program of this target is read instead")
    content = build.build(target, level, "commands")
    told = {text for call in read_calls(content, read_elf(content)).calls for text in call.arguments}
    assert not told & {"wrong %s", "not a command %s", "eth0"}


# --------------------------------------------------------------------------- roles


@pytest.mark.parametrize(
    ("line", "role"),
    [
        ("mtd -r write /tmp/fw.bin linux", "write"),
        ("/sbin/mtd_write -r write /var/tmp/fw Kernel", "write"),
        ("sleep 1; flash_eraseall /dev/mtd4", "write"),
        ("flashcp -v %s /dev/mtd1", "write"),
        ("dd if=/tmp/fw.bin of=/dev/mtdblock4 bs=64k", "write"),
        ("dd if=/dev/zero of=/dev/mtdblock4", ""),
        ("dd if=/dev/mtd3 of=/tmp/backup", ""),
        ("cat /tmp/fw.bin > /dev/mtdblock0", "write"),
        ("cp /tmp/fw.bin /dev/mtdblock3", "write"),
        ("cp /dev/mtdblock3 /tmp/fw.bin", ""),
        ("cat /proc/mtd", ""),
        ("mtd write /tmp/nvram.bin nvram", ""),
        ("mtd -r erase rootfs_data", ""),
        ("sysupgrade -n %s", "write"),
        ("sysupgrade -b /tmp/backup.tgz", ""),
        ("sysupgrade --test %s", ""),
        ("echo sysupgrade done", ""),
        ("rauc install %s", "write"),
        ("swupdate -i %s", "write"),
        ("openssl dgst -sha256 -verify /etc/key.pem -signature %s %s", "verify"),
        ("usign -V -m %s -p /etc/key.pub", "verify"),
        ("md5sum %s", "compare"),
        ("wget -O %s %s", "fetch"),
        ("killall wget", ""),
        ("tftp -g -r %s %s", "fetch"),
        ("tftp -p -l /tmp/log %s", ""),
        ("fw_setenv bootpart 2", "set"),
        ("tar xzf %s -C /", "unpack"),
        ("reboot", "restart"),
        ("sleep 3 && reboot &", "restart"),
        ("echo reboot", ""),
        ("/etc/init.d/reboot.sh", ""),
    ],
)
def test_what_a_command_line_does_in_an_update(line, role):
    assert command_role(line) == role


@pytest.mark.parametrize(
    ("function", "group", "arguments", "role"),
    [
        ("open", "files", ("/dev/mtd4", 2, None), "write"),
        ("open", "files", ("/dev/mtd4", 0, None), ""),
        ("open64", "files", ("/dev/mtdblock3", 1, None), "write"),
        ("fopen", "files", ("/dev/mtd4", "wb"), "write"),
        ("fopen", "files", ("/dev/mtd4", "rb"), ""),
        ("fopen", "files", ("/tmp/firmware.bin", "wb"), "receive"),
        ("fopen", "files", ("/tmp/upgrade_status", "w"), ""),
        ("fopen", "files", ("/etc/passwd", "w"), ""),
        ("ioctl", "device", (None, 0x40084D02, None), "write"),
        ("ioctl", "device", (None, -0x7FF7B2FE, None), "write"),  # MIPS: 0x80084d02
        ("ioctl", "device", (None, 0x80204D01, None), ""),  # MEMGETINFO
        ("reboot", "device", (0x1234567,), "restart"),
        ("curl_easy_setopt", "options", (None, 10002, "https://x/fw.bin"), "fetch"),
        ("curl_easy_setopt", "options", (None, 13, 30), ""),
        ("strcmp", "compare", (None, "/goform/formFirmwareUpgrade"), "receive"),
        ("strcmp", "compare", (None, "upgrade_firmware.cgi"), "receive"),
        ("strcmp", "compare", (None, "firmware"), ""),
        ("getenv", "request", ("CONTENT_LENGTH",), "receive"),
        ("getenv", "request", ("HOME",), ""),
        ("execl", "command", ("/sbin/sysupgrade", "sysupgrade", "-n", None), "write"),
        ("execl", "command", ("/bin/sh", "sh", "-c", "mtd write /tmp/f linux"), "write"),
        ("EVP_DigestVerifyFinal", "verify", (None, None, None), "verify"),
        ("X509_verify_cert", "verify", (None,), ""),
    ],
)
def test_what_a_call_does_in_an_update(function, group, arguments, role):
    assert role_of(function, group, arguments) == role


@pytest.mark.parametrize(
    ("name", "writes"),
    [
        ("mtd_write", True), ("mtd_write_firmware", True), ("flash_write", True), ("upgradeFirmware", True),
        ("FirmwareUpgrade", True), ("burnImage", True), ("mtd_erase", True), ("write_flash", True),
        ("mtd_write_protect", False), ("image_size", False), ("flash_read", False), ("firmware_version", False),
        ("check_firmware", False), ("update_status", False),
    ],
)  # fmt: skip
def test_names_of_functions_that_write(name, writes):
    assert writes_by_name(name) == writes


def test_long_lines_cost_no_more_than_their_length():
    for line in ("dd " * 40_000, "mtd -a " * 20_000, "cat " * 20_000 + "/dev/mtd", "openssl dgst " * 10_000, "gpg " * 20_000):
        command_role(line)
