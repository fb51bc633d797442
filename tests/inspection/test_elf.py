"""ELF facts, against files that the system's own compiler and linker make."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from fwcheck.inspection.elf import read_elf
from fwcheck.inspection.elf_fallback import read_with_pyelftools
from fwcheck.inspection.elf_judgement import ElfUnreadable, Shape, judge

GCC = shutil.which("gcc")
needs_gcc = pytest.mark.skipif(GCC is None, reason="gcc is not installed")
PROGRAM = (
    "#include <stdio.h>\n#include <string.h>\nint main(int c, char **v) { char b[64]; strcpy(b, v[0]); puts(b); return c; }\n"
)
LIBRARY = "#include <string.h>\nint twice(int a) { return a * 2; } void copy(char *d, const char *s) { strcpy(d, s); }\n"


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("elf")
    made: dict[tuple[str, ...], bytes] = {}

    def make(*flags: str, source: str = PROGRAM) -> bytes:
        key = (source, *flags)
        if key not in made:
            (folder / "a.c").write_text(source)
            out = folder / "out"
            done = subprocess.run([GCC, "-w", *flags, "-o", out, folder / "a.c"], capture_output=True, check=False)
            if done.returncode:
                pytest.skip(f"gcc cannot build with {' '.join(flags)}: {done.stderr.decode()[:120]}")
            made[key] = out.read_bytes()
        return made[key]

    return make


@needs_gcc
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("-fPIE", "-pie", "-Wl,-z,relro,-z,now"), {"type": "executable", "pie": True, "relro": "full", "nx": True}),
        (("-no-pie", "-Wl,-z,relro,-z,lazy"), {"type": "executable", "pie": False, "relro": "partial"}),
        (("-no-pie", "-Wl,-z,norelro"), {"relro": "none", "pie": False}),
        (("-z", "execstack"), {"nx": False}),
        (("-z", "noexecstack"), {"nx": True}),
        (("-fstack-protector-all",), {"canary": True}),
        (("-fno-stack-protector",), {"canary": False}),
        (("-O2", "-D_FORTIFY_SOURCE=2"), {"fortify": True}),
        (("-O0", "-U_FORTIFY_SOURCE"), {"fortify": False}),
        (("-s",), {"stripped": True, "dwarf": False}),
        (("-g",), {"stripped": False, "dwarf": True}),
        (("-static", "-s"), {"canary": None, "interpreter": None, "needed": (), "imports": (), "stripped": True}),
        (("-static", "-fstack-protector-all"), {"canary": True, "interpreter": None}),
        (("-static-pie", "-s"), {"type": "executable", "pie": True, "interpreter": None}),
        (("-Wl,-rpath,/opt/lib:/x", "-Wl,--enable-new-dtags"), {"rpath": ("/opt/lib", "/x")}),
        (("-Wl,-rpath,/opt/lib", "-Wl,--disable-new-dtags"), {"rpath": ("/opt/lib",)}),
        (("-Wl,--build-id=0x1234abcd",), {"build_id": "1234abcd"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_program_says_how_it_was_built(build, flags, expected):
    facts = read_elf(build(*flags))
    assert {name: getattr(facts, name) for name in expected} == expected
    assert facts.reader == "direct"


@needs_gcc
def test_a_library_is_no_executable_whatever_it_has(build):
    facts = read_elf(build("-shared", "-fPIC", "-Wl,-soname,libtwice.so.1", source=LIBRARY))
    assert (facts.type, facts.soname, facts.pie) == ("shared", "libtwice.so.1", None)
    assert "twice" in facts.exports
    assert "strcpy" in facts.imports
    assert "twice" not in facts.imports


@needs_gcc
def test_weak_imports_count(build):
    facts = read_elf(build("-fPIE", "-pie"))
    assert any(name.startswith(("_ITM_", "__gmon_start__", "__cxa_finalize")) for name in facts.imports)
    assert "puts" in facts.imports or "__puts_chk" in facts.imports


@needs_gcc
def test_an_object_file_imports_through_its_symbol_table(build):
    facts = read_elf(build("-c", "-fstack-protector-all"))
    assert (facts.type, facts.nx, facts.relro, facts.pie, facts.stripped) == ("relocatable", None, None, None, None)
    assert {"strcpy", "__stack_chk_fail"} <= set(facts.imports)
    assert facts.canary is True


@needs_gcc
def test_remarks_of_the_compiler_are_read(build):
    facts = read_elf(build("-fPIE", "-pie"))
    assert any("GCC" in each for each in facts.comment)
    assert any(note.startswith("GNU ABI linux") for note in facts.notes)
    assert any(version.startswith("GLIBC_2") for version in facts.symbol_versions)
    assert facts.interpreter.startswith("/lib")


@needs_gcc
def test_a_kernel_module_shows_its_information(build):
    source = (
        '__attribute__((section(".modinfo"), used)) static const char a[] = "license=GPL v2";\n'
        '__attribute__((section(".modinfo"), used)) static const char b[] = "vermagic=4.4.92 mod_unload MIPS32_R2 32BIT ";\n'
        '__attribute__((section(".modinfo"), used)) static const char c[] = "depends=nf_nat,x_tables";\n'
        '__attribute__((section(".modinfo"), used)) static const char d[] = "alias=pci:v*";\n'
    )
    facts = read_elf(build("-c", source=source))
    assert facts.modinfo == {"license": "GPL v2", "vermagic": "4.4.92 mod_unload MIPS32_R2 32BIT ", "depends": "nf_nat,x_tables"}


@needs_gcc
@pytest.mark.parametrize(
    "flags", [("-fPIE", "-pie"), ("-no-pie",), ("-static",), ("-s",), ("-c",), ("-shared", "-fPIC")], ids=" ".join
)
def test_both_readers_agree(build, flags):
    content = build(*flags, source=LIBRARY if "-shared" in flags else PROGRAM)
    first, second = read_elf(content), read_with_pyelftools(content)
    assert (first.reader, second.reader) == ("direct", "pyelftools")
    for name in ("machine", "bits", "endian", "type", "interpreter", "needed", "rpath", "nx", "pie", "relro", "canary"):
        assert getattr(first, name) == getattr(second, name), name
    for name in ("fortify", "stripped", "dwarf", "build_id", "comment", "notes", "imports"):
        assert getattr(first, name) == getattr(second, name), name


def header(machine: int, order: str, wide: bool, kind: int = 2) -> bytes:
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    layout = "HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"
    size = 64 if wide else 52
    return ident + struct.pack(
        order + layout, kind, machine, 1, 0x400000, 0, 0, 0, size, 56 if wide else 32, 0, 64 if wide else 40, 0, 0
    )


@pytest.mark.parametrize(
    ("machine", "order", "wide", "expected"),
    [
        (8, ">", False, ("mips", 32, "big")),
        (8, "<", False, ("mips", 32, "little")),
        (40, "<", False, ("arm", 32, "little")),
        (183, "<", True, ("aarch64", 64, "little")),
        (243, "<", True, ("riscv", 64, "little")),
        (20, ">", False, ("powerpc", 32, "big")),
    ],
)
def test_the_header_names_the_machine(machine, order, wide, expected):
    facts = read_elf(header(machine, order, wide) + bytes(64))
    assert (facts.machine, facts.bits, facts.endian) == expected
    assert facts.nx is None
    assert facts.canary is None


def test_a_missing_stack_header_is_no_answer():
    shape = Shape(2, True, "/lib/ld.so", None, 0, 0, frozenset({1, 21}), None, False)
    said = judge(shape, (), {"puts"}, set(), b"", {})
    assert said["nx"] is None
    assert said["canary"] is False


def test_the_c_library_offers_the_canary_and_leaves_its_own_open():
    shape = Shape(3, True, None, "libc.so.6", 0, 0, frozenset({1}), 6, True)
    assert judge(shape, (), {"x"}, {"__stack_chk_fail"}, b"", {})["canary"] is None


def test_musl_fortifies_unseen():
    shape = Shape(2, True, "/lib/ld-musl-mips-sf.so.1", None, 0, 0, frozenset({1, 21}), 6, True)
    assert judge(shape, ("libc.so",), {"memcpy"}, set(), b"", {})["fortify"] is None
    glibc = Shape(2, True, "/lib/ld.so.1", None, 0, 0, frozenset({1, 21}), 6, True)
    assert judge(glibc, ("libc.so.6",), {"memcpy"}, set(), b"", {})["fortify"] is False
    assert judge(glibc, ("libc.so.6",), {"qsort"}, set(), b"", {})["fortify"] is None


def test_a_runnable_library_stays_a_library():
    libc = Shape(3, True, "/lib64/ld-linux-x86-64.so.2", "libc.so.6", 0, 0, frozenset({1}), 6, True)
    program = Shape(3, True, "/lib64/ld-linux-x86-64.so.2", None, 0, 0, frozenset({1, 21}), 6, True)
    assert judge(libc, (), set(), set(), b"", {})["type"] == "shared"
    assert judge(program, (), set(), set(), b"", {})["type"] == "executable"


@pytest.mark.parametrize("content", [b"\x7fELF", b"\x7fELF" + bytes(40), b"\x7fELF" + b"\xff" * 200])
def test_what_no_reader_understands_is_said(content):
    with pytest.raises(ElfUnreadable, match=r"pyelftools|cut off"):
        read_elf(content)


@pytest.mark.skipif(not Path("/bin/ls").exists(), reason="no /bin/ls here")
def test_a_header_cut_off_from_its_tables_still_gives_facts():
    content = Path("/bin/ls").read_bytes()
    facts = read_elf(content[: len(content) // 2])
    assert facts.machine != "unknown"
    assert facts.stripped is True
