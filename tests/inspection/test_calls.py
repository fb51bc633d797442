"""Constant arguments of calls, on one program built for nine kinds of processors at three levels of optimisation."""

import struct
import time
from itertools import chain

import pytest
from support.hostile import mutations, truncations
from support.programs import build

from fwcheck.inspection.calls import CALL_LIMIT, read_calls, table
from fwcheck.inspection.elf import read_elf
from fwcheck.inspection.elf_judgement import ElfUnreadable
from fwcheck.inspection.inspect import inspect

PROGRAMS = build.kept()
NAMES = sorted(PROGRAMS)
# Function and arguments that every build of calls.c has, whatever the compiler does.
EVERYWHERE = [
    ("strcmp", (None, "service")),
    ("strcmp", (None, "Let-me-1n")),
    ("strncmp", (None, "Open7Sesame", 11)),
    ("system", ("telnetd -l /bin/sh &",)),
    ("crypt", (None, "$1$salt$")),
    ("strcmp", (None, "$1$salt$2oAUOUYQqb2iTCcRDbHAT1")),
    ("open", ("/dev/mtd0", 2, None)),
    ("ioctl", (None, 0x40084D02, None)),
    ("setenv", ("PATH", "/bin:/sbin", 1)),
    ("execl", ("/bin/sh", "sh", "-c", "reboot")),
    ("curl_easy_setopt", (None, 64, 0)),
    ("curl_easy_setopt", (None, 81, None)),
    ("curl_easy_setopt", (None, 10002, "http://updates.example/firmware.bin")),
    ("SSL_CTX_set_verify", (None, 0, None)),
]
# Calls that are shared by two ways (-Os), of which only one is told.
MISSED = {"mips64el -Os": {"Let-me-1n"}}


def calls_of(content):
    return read_calls(content, read_elf(content)).calls


def told(content):
    return {(each.function, each.arguments) for each in calls_of(content)}


@pytest.mark.parametrize("name", NAMES)
def test_constant_arguments_are_found(name):
    missed = [each for each in EVERYWHERE if each not in told(PROGRAMS[name]) and not MISSED.get(name, set()) & set(each[1])]
    assert missed == []


@pytest.mark.parametrize("name", NAMES)
def test_what_depends_on_the_way_to_a_call_is_not_told(name):
    facts = calls_of(PROGRAMS[name])
    modes = [each for each in facts if each.function == "SSL_CTX_set_verify"]
    assert {each.arguments for each in modes} <= {
        (None, 0, None),
        (None, 1, 0),
        (None, 1, None),
        (None, None, None),
        (None, 3, None),
    }
    assert sum(each.count for each in modes if each.arguments[1] == 0) <= 2
    # The text that is read from outside, and the argument of the function, are no constants.
    assert {each.arguments[0] for each in facts if each.function == "system"} <= {
        "telnetd -l /bin/sh &", "mtd write /tmp/fw firmware", "mtd write /tmp/fw kernel", "mtd write /tmp/fw second",
        "one", "two", "again",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_result_that_is_tested_is_told_from_one_that_is_not(name):
    used = {each.function: each.result_used for each in calls_of(PROGRAMS[name])}
    assert used["EVP_DigestVerifyFinal"] is True
    assert used["EVP_PKEY_verify"] in (True, None)  # None: put into memory without optimisation
    assert used["RSA_verify"] in (False, None)
    assert used["system"] is None


@pytest.mark.parametrize("name", NAMES)
def test_calls_of_one_function_can_be_told_together(name):
    facts = calls_of(PROGRAMS[name])
    login = {each.within for each in facts if each.arguments[1:2] in (("service",), ("Open7Sesame",))}
    assert len(login) == 1
    assert login != {each.within for each in facts if each.function == "ioctl"}
    assert {each.caller for each in facts} <= {
        "login",
        "devices",
        "transport",
        "verified",
        "kept_aside",
        "unverified",
        "loop",
        "",
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_offset_is_that_of_the_call(name):
    content = PROGRAMS[name]
    for each in calls_of(content):
        assert 0 < each.offset < len(content)
        if name.startswith("mips "):
            assert content[each.offset : each.offset + 4] in (b"\x03\x20\xf8\x09", b"\x03\x20\x00\x08")
        elif name.startswith("x86"):
            assert content[each.offset] in (0xE8, 0xE9, 0xFF)
        elif name.startswith("aarch64"):
            assert content[each.offset + 3] & 0x7C == 0x14


@pytest.mark.parametrize("level", build.LEVELS)
@pytest.mark.parametrize("target", build.TARGETS)
def test_the_compiler_of_this_machine_gives_the_same(target, level):
    if build.compiler(target) is None:
        pytest.skip(f"{build.TARGETS[target][0]} is not installed: the kept program of this target is read instead")
    found = told(build.build(target, level))
    assert sum(each not in found for each in EVERYWHERE) <= 1  # another version of the compiler may join two calls


def test_inspection_gives_the_calls():
    content = PROGRAMS["mipsel -O2"]
    assert inspect(content).calls == calls_of(content) != ()


def test_programs_that_call_nothing_of_interest_cost_nothing():
    content = PROGRAMS["arm -O2"]
    for name in (*table().anchors, "doSystemCmd"):
        content = content.replace(b"\0" + name.encode() + b"\0", b"\0" + b"x" * len(name) + b"\0")
    assert calls_of(content) == ()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("doSystemCmd", True),
        ("twsystem", True),
        ("CsteSystem", True),
        ("bl_system", False),
        ("tp_systemEx", True),
        ("util_execSystem", True),
        ("exec_cmd", True),
        ("run_shell_command", True),
        ("system_call", True),
        ("do_system", True),
        ("systemd_notify", False),
        ("get_system_info", False),
        ("sysconf", False),
        ("filesystem", False),
        ("syslog", False),
        ("printf", False),
        ("command_line", False),
    ],
)
def test_wrappers_are_known_by_their_names(name, wanted):
    assert (table().of(name) is not None) == wanted


@pytest.mark.parametrize("name", ["arm -O2", "thumb -Os", "aarch64 -O2", "mips -O2", "mips64el -Os", "x86 -O2", "riscv64 -Os"])
def test_damaged_programs_are_read_in_bounds(name):
    content = PROGRAMS[name]
    elf = read_elf(content)  # what the headers said before: nothing keeps the tracer from reading on
    for damaged in chain(truncations(content, 20), mutations(content, 0.3, hot=((0, 64), (64, 1200)))):
        begun = time.process_time()
        facts = read_calls(damaged, elf).calls
        assert time.process_time() - begun < 2
        assert len(facts) <= CALL_LIMIT
        for each in facts:
            assert all(len(text) <= 240 for text in each.arguments if isinstance(text, str))


@pytest.mark.parametrize("name", ["arm -O2", "thumb -O2", "aarch64 -O2", "mips -O2", "x86_64 -O2", "riscv64 -O2"])
def test_a_program_of_nothing_but_one_instruction_is_bounded_in_time(name):
    content = PROGRAMS[name]
    header = struct.unpack_from(
        ("<" if content[5] == 1 else ">") + ("Q" if content[4] == 2 else "I"), content, 32 if content[4] == 2 else 28
    )[0]
    size, wide = (56, True) if content[4] == 2 else (32, False)
    order = "<" if content[5] == 1 else ">"
    for fact in calls_of(content)[:3]:
        filler = content[fact.offset : fact.offset + 4] * (1 << 18)
        at = len(content) + -len(content) % 4096
        grown = bytearray(content.ljust(at, b"\0") + filler)
        # The loaded code becomes the repeated instruction: a segment of a mebibyte at a fresh address.
        entry = (
            struct.pack(order + "IIQQQQQQ", 1, 5, at, 0x400000, 0x400000, len(filler), len(filler), 4096)
            if wide
            else struct.pack(order + "IIIIIIII", 1, at, 0x400000, 0x400000, len(filler), len(filler), 5, 4096)
        )
        grown[header + 3 * size : header + 4 * size] = entry
        begun = time.process_time()
        try:
            elf = read_elf(bytes(grown))
        except ElfUnreadable:
            continue
        read_calls(bytes(grown), elf)
        assert time.process_time() - begun < 5
