"""Encrypted D-Link images whose keys are published.

encrpted_img: ``encrpted_img``, length of what follows (big-endian), a UBI image under AES-256-CBC.

MH01: ``MH01``, length of all behind 16, length of what stands behind that, a number; ``MH01``, length of the IV in text, length
of the encrypted bytes, a number, the IV as hexadecimal text; then what openssl enc writes: ``Salted__``, salt, AES-128-CBC, the
key being the beginning of SHA-256 over passphrase and salt.

Alpha: images of older boards from Alpha Networks, known by their first bytes; what is inside is a SEAMA image (delink; unblob).
"""

from __future__ import annotations

import hashlib
import struct
from functools import partial

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._alpha import BOARDS, SCHEME, Board, head, mixed
from fwcheck.extraction.formats._decrypt import aes_cbc, decrypted, encrypted
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_KEY, _IV = b"he9-4+M!)d6=m~we1,q2a3d1n&2*Z^%8", b"J%1iQl8$=lm-;8AE"
_UBI_SCHEME = "AES-256-CBC, D-Link encrpted_img"
_MH01_SCHEME = "AES-128-CBC (openssl enc), D-Link MH01"
_MH01 = struct.Struct("<4s3I4s3I")
_PASSPHRASES = {
    "044b4e59846ecee953662ff2238fcc23": "E15",
    "927fc5786df1a9557524a0289e1e3f3b": "E15",
    "4d5ee2c8b5d0fdd9a9a2d351ba897752": "E30",
    "238a29b9432f688e30b701548c753146": "E30",
    "a4f7c17c3e0aa4532c2024ce6ac5f17c": "R12",
    "6b5a65dbc1ebc492ac6d8efbbb59ae09": "R12",
    "70070e579f97548a96a7794d4d779376": "R15",
    "7b4df82f7f042b9d0b40971be0ff53c4": "R15",
    "6276ccf4c1d8d6f54b481095e78ff97f": "R18",
    "1ae6c79be7d069ca74df7670bdfc4952": "M18",
    "b4517d9b98e04d9f075f5e78c743e097": "M30",
    "05c79b73cf88619d7b9725505cfd718f": "M30",
    "6b29f1d663a21b35fb45b69a42649f5e": "M32",
    "1bfb1004e29f9eb76dbe26eb0dd87cd1": "M32",
    "c5f8a1e22f808abc84f2e4a6fa5f10bb": "M60",
    "6420da70a975455e4ddd6b8fa5b652e7": "M60",
}
_SEAMA = b"\x5e\xa3\xa4\x17"


class EncrptedImg(Format):
    """D-Link encrpted_img (DIR-X series)."""

    name = "encrpted-img"
    title = "D-Link encrypted image (encrpted_img)"
    specification = "delink; unblob, encrpted_img"
    category = "encryption"
    reads = "header; where asked for, decrypted with the published key"
    signatures = (Signature(pattern=rb"encrpted_img[\x00-\x3f]", width=13),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, 16)
        length = int.from_bytes(raw[12:], "big")
        start, available = offset + 16, source.size - offset - 16
        if not raw.startswith(b"encrpted_img") or length < 16 or available < 16:
            raise FormatError("not an encrpted_img header")
        size = min(length, available)
        problems = [f"{length} bytes announced, {size} there"] if size < length else []
        entry = encrypted(source, start, size, _UBI_SCHEME)
        if limits.published_keys:
            pieces = partial(aes_cbc, source.window(start, size), _KEY, _IV)
            entry = decrypted(pieces, start, size - size % 16, _UBI_SCHEME, limits)
        detail: dict[str, str | int] = {"encryption": _UBI_SCHEME, "integrity": "none", "integrity_detail": "none in the header"}
        return Container(format=self.name, size=16 + size, entries=[entry], detail=detail, problems=problems)


class Mh01(Format):
    """D-Link MH01 (EAGLE PRO AI, AQUILA PRO AI)."""

    name = "mh01"
    title = "D-Link encrypted image (MH01)"
    specification = "delink, mh01"
    category = "encryption"
    reads = "header; where asked for, decrypted with the published passphrases of E15, E30, R12, R15, R18, M18, M30, M32 and M60"
    not_read = "the signature behind the image is told, not verified"
    signatures = (Signature(pattern=rb"MH01.{12}MH01[\x20-\x40]\x00\x00\x00.{8}[0-9A-Fa-f]{32}", width=64),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        one, whole, footer, _, two, length, packed, _ = _MH01.unpack(source.read(offset, _MH01.size))
        iv_text = source.read(offset + _MH01.size, min(length, 64))
        try:
            iv = bytes.fromhex(iv_text.decode("ascii"))
        except ValueError as error:
            raise FormatError("an MH01 header without an IV") from error
        start = offset + _MH01.size + length
        size = min(packed, source.size - start)
        if one != two or len(iv) != 16 or packed < 32 or size < 32:
            raise FormatError("not an MH01 header")
        problems = [f"{packed} bytes announced, {size} there"] if size < packed else []
        end = start + size
        entry, model = self._payload(source, start, size, iv, limits)
        entries = [entry]
        # What follows is only claimed where both lengths of the header meet.
        signature = min(footer, source.size - end) if offset + 16 + whole == end else 0
        if signature > 0:
            entries.append(part(source, "signature", end, signature))
        detail: dict[str, str | int] = {"encryption": _MH01_SCHEME, "iv": iv.hex(), "model": model}
        detail |= {
            "integrity": "signature" if signature > 0 else "none",
            "integrity_detail": f"signature of {signature} bytes (not verified)" if signature > 0 else "none found",
        }
        return Container(
            format=self.name, size=end + max(signature, 0) - offset, entries=entries, detail=detail, problems=problems
        )

    @staticmethod
    def _payload(source: ByteSource, start: int, size: int, iv: bytes, limits: Limits) -> tuple[Entry, str]:
        cipher = source.window(start + 16, size - 16)
        mark = source.read(start, 16)
        if limits.published_keys and mark.startswith(b"Salted__"):
            for phrase, model in _PASSPHRASES.items():
                key = hashlib.sha256(phrase.encode() + mark[8:]).digest()[:16]
                if next(aes_cbc(cipher.window(0, 16), key, iv)).startswith(b"MH01"):
                    pieces = partial(aes_cbc, cipher, key, iv)
                    return decrypted(pieces, start + 16, cipher.size - cipher.size % 16, _MH01_SCHEME, limits), model
        return encrypted(source, start, size, _MH01_SCHEME), ""


class AlphaImage(Format):
    """An encrypted image of a board from Alpha Networks."""

    name = "alpha-encimg"
    title = "D-Link encrypted image (Alpha Networks)"
    specification = "delink, encimg; unblob, alpha_encimg"
    category = "encryption"
    reads = (
        "known by their first bytes; where asked for, decrypted with the keys of DAP-1665, DAP-1720, DIR-822, DIR-842, "
        "DIR-850L and DIR-859"
    )
    not_read = "DIR-865L, 868L, 880L, 885L, 890L and 895L are named, their keys are not known"
    signatures = tuple(
        Signature(pattern=b"".join(b"\\x%02x" % each for each in bytes.fromhex(board.begin)), width=16, anywhere=False)
        for board in BOARDS
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        begin = source.peek(offset, 16).hex()
        board = next((each for each in BOARDS if each.begin == begin), None)
        if board is None:
            raise FormatError("not an image of a known board")
        size = _length(source.window(offset, source.size - offset), board) if board.key else source.size - offset
        scheme = f"{SCHEME}, {board.name}"
        entry = encrypted(source, offset, size, scheme)
        if board.key and limits.published_keys:
            window = source.window(offset, size)
            key, iv = (mixed(board.signature, each) for each in (board.key, board.iv))
            entry = decrypted(partial(aes_cbc, window, key, iv), offset, size - size % 16, scheme, limits)
        return Container(
            format=self.name,
            size=size,
            entries=[entry],
            detail={"board": board.name, "signature": words(board.signature), "encryption": scheme},
        )


def _length(source: ByteSource, board: Board) -> int:
    """How long the SEAMA image inside is: its seal and its first entity are decrypted."""
    plain = head(source, board.signature, board.key, board.iv, 0x200)
    at = 12 + int.from_bytes(plain[6:8], "big")
    if plain[:4] != _SEAMA or plain[at : at + 4] != _SEAMA or at + 12 > len(plain):
        return source.size
    meta, size = struct.unpack_from(">HI", plain, at + 6)
    length = at + 12 + 16 + int(meta) + int(size)
    return min(source.size, length + -length % 16)


FORMATS = (EncrptedImg(), Mh01(), AlphaImage())
