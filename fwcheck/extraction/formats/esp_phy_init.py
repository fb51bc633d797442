"""The partition with the radio settings of ESP32 chips (ESP-IDF components/esp_phy: phy_init_data.h, esp_phy_init.h).

``PHYINIT`` and a zero, 128 bytes of settings (byte 0: version of the settings), ``PHYINIT`` and a zero again.
"""

from __future__ import annotations

from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_MARK: Final = b"PHYINIT\0"
_SETTINGS: Final = 128
_SIZE: Final = _SETTINGS + 2 * len(_MARK)


class EspPhyInit(Format):
    """Radio settings, told by their marks."""

    name = "esp-phy-init"
    title = "ESP32 radio settings (phy_init)"
    specification = "ESP-IDF components/esp_phy: phy_init_data.h"
    category = "microcontroller"
    reads = "both marks and the version of the settings, at the beginning of a source"
    not_read = "the settings, which differ from chip to chip; partitions with settings for several countries"
    signatures = (Signature(pattern=rb"PHYINIT\x00.{128}PHYINIT\x00", width=_SIZE, anywhere=False),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _SIZE)
        if not raw.startswith(_MARK) or not raw.endswith(_MARK):
            raise FormatError("no radio settings")
        detail: dict[str, str | int] = {
            "version": raw[len(_MARK)],
            "integrity": "none",
            "integrity_detail": "two marks, no check",
        }
        return Container(format=self.name, size=_SIZE, detail=detail)


FORMATS = (EspPhyInit(),)
