"""Checks that keep a program from writing, and those that do not, on programs built for nine kinds of processors."""

import time
from itertools import chain

import pytest
from support.hostile import mutations, truncations
from support.programs import build

from fwcheck.inspection.calls import Read, read_calls
from fwcheck.inspection.elf import read_elf

PROGRAMS = build.kept("guards")
NAMES = sorted(PROGRAMS)
GOOD = ("return", "inside", "zero", "again", "exit", "helper", "plain", "below", "chain")


def read(name):
    content = PROGRAMS[name]
    return read_calls(content, read_elf(content))


def states(found: Read):
    """The states of the checks around each write, by the last word of its command."""
    told = {}
    for call in found.calls:
        if call.role == "write":
            word = str(call.arguments[0]).rsplit(" ", 1)[1]
            told.setdefault(word, set()).update(each.state for each in found.guards if each.write == call.offset)
    return told


@pytest.mark.parametrize("name", NAMES)
def test_no_write_that_can_be_come_to_unchecked_is_guarded(name):
    told = states(read(name))
    assert {word: found for word, found in told.items() if word.startswith("bad_") and "guards" in found} == {}


@pytest.mark.parametrize("name", NAMES)
def test_checks_that_decide_are_followed(name):
    told = states(read(name))
    guarded = {word for word, found in told.items() if word.startswith("good_") and "guards" in found}
    # In how many of nine ways: compilers keep results where they are not followed, and join calls.
    least = {"mips64el -O0": 4, "mips64el -Os": 4, "thumb -O0": 4, "x86 -Os": 6}.get(name, 6)
    assert len(guarded) >= least, sorted({f"good_{each}" for each in GOOD} - guarded)


@pytest.mark.parametrize("name", NAMES)
def test_a_check_behind_the_write_and_a_way_round_it_are_told(name):
    told = states(read(name))
    assert told["bad_behind"] == {"behind"}
    assert told["bad_forced"] <= {"passable"}


def test_every_way_that_is_followed_is_followed_on_a_common_processor():
    told = states(read("aarch64 -O2"))
    assert {word for word, found in told.items() if found == {"guards"}} == {f"good_{each}" for each in GOOD}


def test_a_guard_names_the_calls_in_between():
    found = read("aarch64 -O2")
    write = next(call for call in found.calls if "good_chain" in str(call.arguments))
    (guard,) = [each for each in found.guards if each.write == write.offset]
    assert len(guard.through) == 4  # two helpers around the check, two functions around the write
    assert next(call for call in found.calls if call.offset == guard.check).function == "EVP_DigestVerifyFinal"


@pytest.mark.parametrize("name", ["arm -O2", "thumb -Os", "aarch64 -O0", "mips -O2", "x86 -O2", "riscv64 -Os"])
def test_damaged_programs_are_followed_in_bounds(name):
    content = PROGRAMS[name]
    elf = read_elf(content)
    for damaged in chain(truncations(content, 4), mutations(content, 0.05, hot=((0, 64), (0x500, 0x1400)))):
        begun = time.process_time()
        read_calls(damaged, elf)
        assert time.process_time() - begun < 3


@pytest.mark.parametrize("level", build.LEVELS)
@pytest.mark.parametrize("target", build.TARGETS)
def test_the_compiler_of_this_machine_gives_nothing_wrong(target, level):
    if build.compiler(target) is None:
        pytest.skip(f"{build.TARGETS[target][0]} is not installed: the kept program of this target is read instead")
    content = build.build(target, level, "guards")
    told = states(read_calls(content, read_elf(content)))
    assert not any("guards" in found for word, found in told.items() if word.startswith("bad_"))
    assert sum("guards" in found for word, found in told.items() if word.startswith("good_")) >= 4
