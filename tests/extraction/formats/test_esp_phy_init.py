"""Radio settings of ESP32: two marks and what stands between them."""

from __future__ import annotations

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.esp_phy_init import FORMATS
from fwcheck.extraction.source import Memory

PHY = FORMATS[0]
DATA = b"PHYINIT\0" + b"\x05" + bytes(range(127)) + b"PHYINIT\0"


def seeds() -> list[bytes]:
    return [DATA.ljust(4096, b"\xff")]


def test_the_settings_end_at_their_second_mark():
    container = PHY.open(Memory(DATA.ljust(4096, b"\xff")), 0)
    assert (container.size, container.detail["version"], container.problems) == (144, 5, [])


@pytest.mark.parametrize("data", [DATA[:-1], DATA[:-2] + b"?\0", b"phyinit\0" + DATA[8:]])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        PHY.open(Memory(data), 0)
