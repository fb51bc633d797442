"""Alpha Networks' encryption of D-Link images: AES-256-CBC, key and IV mixed with the signature of the board.

Byte i of key and IV is combined by exclusive or with i + 1 (modulo 0xFC) and with byte i of the signature, which repeats. Older
boards have a key of their own and encrypt the whole SEAMA image; newer ones share one and leave a WRGG header in front (delink;
unblob, alpha_encimg).
"""

from __future__ import annotations

import msgspec

from fwcheck.extraction.formats._decrypt import aes_cbc
from fwcheck.extraction.source import ByteSource

_PERIOD = 0xFC
SCHEME = "AES-256-CBC, Alpha Networks (D-Link)"
SHARED = (b"oVhq0hvXHdfaGFLdubM4/QvuVHdKee7v", b"0BO5nlYankuVBe4s")


class Board(msgspec.Struct, frozen=True):
    """A board whose images are encrypted from the first byte on."""

    name: str
    begin: str  # the first 16 bytes of its images, hexadecimal
    signature: bytes = b""
    key: bytes = b""
    iv: bytes = b""


BOARDS = (
    Board(
        "DAP-1665 B",
        "35666f68ef1afe1f34ef4f1121054ebe",
        b"wapac25_dlink.2015_dap1665",
        b"EfCHXytwsC6F0zsedwZc+9vDbCjE3ge4",
        b"ggPy917jwESpnfXm",
    ),
    Board(
        "DAP-1720 A",
        "6801ccfbad6ba0ba3304b09cbb48b027",
        b"wapac28_dlink.2015_dap1720",
        b"qBiz6o/1RVQTtJBd3FS7FDbqogE8yoBm",
        b"EfDMqWWxHCOhEqgY",
    ),
    Board(
        "DIR-822 C1",
        "df8c390d22b4dc29fb4ebfdbe8e18bfb",
        b"wrgac43s_dlink.2015_dir822c1",
        b"KNpsEntCcsep1jdFIs3wnXySKRGNCGmf",
        b"uph587JdKHrtAUlr",
    ),
    Board(
        "DIR-842 C1, C2",
        "f52aa0b49253bfeff821a62e28a7398b",
        b"wrgac65_dlink.2015_dir842",
        b"xQYoRZeD726UAbRb846kO7TeNw8eZa6u",
        b"zufEbNF3kUafxFiE",
    ),
    Board(
        "DIR-842 C3",
        "21ddda0099d887a9d52d7eff3b5870a6",
        b"wrgac65_dlink.2015_dir842EU",
        b"xQYoRZeD726UAbRb846kO7TeNw8eZa6u",
        b"zufEbNF3kUafxFiE",
    ),
    Board(
        "DIR-850L A1",
        "e313005b76df0be883245a42ff912d3d",
        b"wrgac05_dlob.hans_dir850l",
        b"BIuS1CVMEQG+0pUeE99jnR+vLlLd9unr",
        b"f3+odwHhmJL1ceW1",
    ),
    Board(
        "DIR-850L B1",
        "0a14e424ff0fb4d75366a0b072feabdf",
        b"wrgac25_dlink.2013gui_dir850l",
        b"qQehHMEmEPQ5izL+cabn8bNHZXHjkp6W",
        b"Mmb+IKQgnO8OuF4b",
    ),
    Board(
        "DIR-859 A",
        "4c1b95af93725f810303964ddd760174",
        b"wrgac37_dlink.2013gui_dir859",
        b"KY0H9R2PDL3eu1J4uCVd1CK7BJ7vF1kc",
        b"qbStAzIRvWeQHz5U",
    ),
    Board("DIR-865L A", "989c3c2c6b191b256e03ee0f725c6ca0"),
    Board("DIR-868L A", "3de602633fc185e7d2bf64af29573abd"),
    Board("DIR-880L A", "8e6957e77609d794477578a24a1fc9b2"),
    Board("DIR-885L A", "9261585814dbbb3be5a5f3e7109ca20b"),
    Board("DIR-890L A", "cbc3a74c500f4243a5d97ca5256bcdba"),
    Board("DIR-895L A", "915ac9a211ffaa6db012e88d2c3c23cb"),
)


def mixed(signature: bytes, data: bytes) -> bytes:
    """Key or IV as the board uses it."""
    return bytes(each ^ (at + 1) % _PERIOD ^ signature[at % len(signature)] for at, each in enumerate(data))


def head(source: ByteSource, signature: bytes, key: bytes, iv: bytes, size: int) -> bytes:
    """The first ``size`` plain bytes."""
    return b"".join(aes_cbc(source.window(0, min(size, source.size)), mixed(signature, key), mixed(signature, iv)))
