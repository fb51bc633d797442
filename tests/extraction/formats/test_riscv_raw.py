"""Raw RISC-V images: start-up code makes one, its entry point is told, its trailing filling is not claimed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.riscv_raw import FORMATS
from fwcheck.extraction.source import Mapped, Memory

RISCV = FORMATS[0]
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"
GLOBAL_POINTER = bytes.fromhex("97012000 93810180")  # auipc gp, 0x200; addi gp, gp, -2048
TRAP_VECTOR = bytes.fromhex("97020000 73905230")  # auipc t0, 0; csrw mtvec, t0
CODE = random.Random(2).randbytes(900)


def rust() -> bytes:
    return bytes.fromhex("b7000b10 67808000 73504030 73504034") + GLOBAL_POINTER + CODE


def crt0() -> bytes:
    return bytes.fromhex("6f000004") + bytes(60) + GLOBAL_POINTER + TRAP_VECTOR + CODE


def seeds() -> list[bytes]:
    return [rust(), crt0()]


def test_the_start_of_riscv_rt_is_recognised():
    container = RISCV.open(Memory(rust() + b"\0" + b"\xff" * 3000), 0)
    assert (container.size, container.detail["entry_point"]) == (len(rust()) + 1, "0x100b0008")
    [entry] = container.entries
    assert entry.open().read(0, entry.size) == rust() + b"\0"


def test_a_jump_to_a_usual_crt0_is_recognised():
    assert RISCV.open(Memory(crt0() + b"\0"), 0).size == len(crt0()) + 1


@pytest.mark.parametrize("missing", [GLOBAL_POINTER, TRAP_VECTOR])
def test_a_jump_alone_is_no_image(missing):
    with pytest.raises(FormatError):
        RISCV.open(Memory(crt0().replace(missing, bytes(8)).replace(CODE, bytes(900))), 0)


@pytest.mark.corpus
def test_a_real_image_is_read():
    path = CORPUS / "cynthion-moondancer_moondancer.bin"
    if not path.exists():
        pytest.skip("the shared corpus is not here")
    source = Mapped.open(path)
    container = RISCV.open(source, 0)
    assert (container.size, container.detail["entry_point"]) == (source.size, "0x100b0008")
